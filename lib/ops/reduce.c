/* reduce.c - ReduceMean, ReduceSum, ReduceMax, ReduceMin, ReduceProd over given axes. */
#include <math.h>
#include <stddef.h>

#include "ops/common.h"
#include "ops/hooks.h"

typedef struct reduce_params {
  int64_t keep_dims, noop_with_empty_axes;
  q8_ints axes; /* canonical for all but ReduceSum, whose axes are input 1 since opset 13 */
} reduce_params;

static const q8_attribute attributes[] = {
    {"keepdims", Q8_ATTR_INT, offsetof(reduce_params, keep_dims), 1, NULL, 0, 0},
    {"noop_with_empty_axes", Q8_ATTR_INT, offsetof(reduce_params, noop_with_empty_axes), 0, NULL, 0, 0},
    {"axes", Q8_ATTR_INTS, offsetof(reduce_params, axes), 0, NULL, 0, 0},
    {.name = NULL}};

/* Axes become an attribute (opset 17), whatever the file's opset has. */
static q8_status axes_to_attribute(q8_importer *importer, int64_t opset, void *params, q8_id *inputs,
                                   int32_t *input_count, const char *node_name, qint8_error *error) {
  reduce_params *p = params;
  if (opset < 18 || *input_count < 2 || inputs[1] == Q8_NONE)
    return QINT8_OK;
  const q8_tensor *axes = &q8_import_graph(importer)->tensors[inputs[1]];
  size_t count = q8_shape_count(&axes->shape, NULL);
  if (!axes->data || axes->dtype != QINT8_DTYPE_S64 || count > Q8_MAX_INTS)
    return q8_fail(error, QINT8_ERROR_UNSUPPORTED, node_name, "axes that are not constant");
  p->axes.count = (int32_t)count;
  for (size_t i = 0; i < count; i++)
    p->axes.v[i] = ((const int64_t *)axes->data)[i];
  inputs[1] = Q8_NONE;
  *input_count = 1;
  return QINT8_OK;
}

static q8_status axes_to_input(q8_importer *importer, int64_t opset, void *params, q8_id *inputs,
                               int32_t *input_count, const char *node_name, qint8_error *error) {
  reduce_params *p = params;
  if (opset < 13 && p->axes.count >= 0) {
    Q8_TRY(q8_import_ints(importer, node_name, &p->axes, &inputs[1], error));
    *input_count = 2;
  }
  p->axes.count = -1;
  return QINT8_OK;
}

/* A bit for each reduced axis. */
static q8_status reduced_axes(const q8_op_io *io, uint32_t *mask) {
  const reduce_params *p = io->node->params;
  const q8_shape *x = &io->inputs[0]->shape;
  q8_ints axes = p->axes;
  if (q8_input(io, 1))
    Q8_TRY(q8_infer_ints(io, 1, &axes));
  *mask = 0;
  for (int32_t i = 0; i < axes.count; i++) {
    int32_t axis = q8_axis(axes.v[i], x->rank);
    if (axis < 0)
      return q8_bad_axis(io, axes.v[i], x);
    *mask |= 1u << axis;
  }
  if (axes.count <= 0 && !p->noop_with_empty_axes)
    *mask = (1u << x->rank) - 1;
  return QINT8_OK;
}

static q8_status infer(const q8_op_io *io) {
  const reduce_params *p = io->node->params;
  const q8_value *x = io->inputs[0];
  uint32_t mask;
  int integer = x->dtype == QINT8_DTYPE_S64;
  if (!integer)
    Q8_TRY(q8_need_dtype(io, 0, QINT8_DTYPE_F32));
  Q8_TRY(reduced_axes(io, &mask));
  q8_shape y = {.rank = 0};
  for (int32_t i = 0; i < x->shape.rank; i++) {
    if (!(mask >> i & 1))
      y.dim[y.rank++] = x->shape.dim[i];
    else if (p->keep_dims)
      y.dim[y.rank++] = 1;
  }
  return q8_infer_set(io, 0, x->dtype, &y);
}

typedef struct reduction {
  double start;
  double (*step)(double sum, double x);
  int mean;
} reduction;

/* The input split into kept (outer) and reduced (inner) dimensions with their strides. */
typedef struct reduce_view {
  int32_t kept, reduced;
  size_t outer, inner;
  int64_t kept_dim[Q8_MAX_RANK], kept_stride[Q8_MAX_RANK], dim[Q8_MAX_RANK], stride[Q8_MAX_RANK];
} reduce_view;

static reduce_view view_of(const q8_shape *x, uint32_t mask) {
  reduce_view v = {.outer = 1, .inner = 1};
  int64_t stride[Q8_MAX_RANK];
  q8_strides(x, stride);
  for (int32_t i = 0; i < x->rank; i++) {
    if (mask >> i & 1) {
      v.dim[v.reduced] = x->dim[i];
      v.stride[v.reduced++] = stride[i];
      v.inner *= (size_t)x->dim[i];
    } else {
      v.kept_dim[v.kept] = x->dim[i];
      v.kept_stride[v.kept++] = stride[i];
      v.outer *= (size_t)x->dim[i];
    }
  }
  return v;
}

static int64_t offset_of(size_t index, int32_t rank, const int64_t *dim, const int64_t *stride) {
  int64_t at = 0;
  for (int32_t d = rank; d-- > 0; index /= (size_t)dim[d])
    at += (int64_t)(index % (size_t)dim[d]) * stride[d];
  return at;
}

static double value_at(const q8_value *x, int64_t i) {
  return x->dtype == QINT8_DTYPE_S64 ? (double)((const int64_t *)x->data)[i] : ((const float *)x->data)[i];
}

static q8_status eval(const q8_op_io *io, const reduction *op) {
  const q8_value *x = io->inputs[0];
  uint32_t mask;
  Q8_TRY(reduced_axes(io, &mask));
  reduce_view v = view_of(&x->shape, mask);
  /* Rows along the last reduced dimension, so that offsets are found once a row. */
  size_t row = v.reduced ? (size_t)v.dim[v.reduced - 1] : 1;
  int64_t step = v.reduced ? v.stride[v.reduced - 1] : 1;
  for (size_t o = 0; o < v.outer; o++) {
    int64_t base = offset_of(o, v.kept, v.kept_dim, v.kept_stride);
    double sum = op->start;
    for (size_t i = 0; i < v.inner; i += row) {
      int64_t at = base + offset_of(i, v.reduced, v.dim, v.stride);
      for (size_t j = 0; j < row; j++)
        sum = op->step(sum, value_at(x, at + (int64_t)j * step));
    }
    if (op->mean)
      sum /= (double)v.inner;
    if (x->dtype == QINT8_DTYPE_S64)
      ((int64_t *)io->outputs[0].data)[o] = (int64_t)sum;
    else
      ((float *)io->outputs[0].data)[o] = (float)sum;
  }
  return QINT8_OK;
}

static double add(double sum, double x) {
  return sum + x;
}
static double multiply(double sum, double x) {
  return sum * x;
}
static double larger(double sum, double x) {
  return x > sum || x != x ? x : sum;
}
static double smaller(double sum, double x) {
  return x < sum || x != x ? x : sum;
}
static double add_square(double sum, double x) {
  return sum + x * x;
}

#define REDUCE(id, onnx_name, most_inputs, upgrade_fn, ...)                                                         \
  static q8_status id##_eval(const q8_op_io *io) {                                                                 \
    static const reduction op = {__VA_ARGS__};                                                                     \
    return eval(io, &op);                                                                                          \
  }                                                                                                                \
  const q8_op q8_op_##id = {.name = onnx_name,                                                                     \
                            .domain = "",                                                                          \
                            .min_opset = 1,                                                                        \
                            .max_opset = 21,                                                                       \
                            .min_inputs = 1,                                                                       \
                            .max_inputs = most_inputs,                                                             \
                            .min_outputs = 1,                                                                      \
                            .max_outputs = 1,                                                                      \
                            .attributes = attributes,                                                              \
                            .params_size = sizeof(reduce_params),                                                  \
                            .quant = Q8_QUANT_FLOAT,                                                               \
                            .int8_obstacle = "no int8 form: the result needs the range of float",                  \
                            .upgrade = upgrade_fn,                                                                 \
                            .infer = infer,                                                                        \
                            .eval = id##_eval};

REDUCE(reduce_mean, "ReduceMean", 1, axes_to_attribute, 0, add, 1)
REDUCE(reduce_sum, "ReduceSum", 2, axes_to_input, 0, add, 0)
REDUCE(reduce_max, "ReduceMax", 1, axes_to_attribute, -INFINITY, larger, 0)
REDUCE(reduce_min, "ReduceMin", 1, axes_to_attribute, INFINITY, smaller, 0)
REDUCE(reduce_prod, "ReduceProd", 1, axes_to_attribute, 1, multiply, 0)
REDUCE(reduce_sum_square, "ReduceSumSquare", 1, axes_to_attribute, 0, add_square, 0)
