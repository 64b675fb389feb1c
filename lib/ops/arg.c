/* arg.c - ArgMax, ArgMin: where along an axis the largest or smallest value is. */
#include <stddef.h>

#include "base/element.h"
#include "ops/common.h"

typedef struct arg_params {
  int64_t axis, keep_dims, last;
} arg_params;

static const q8_attribute attributes[] = {
    {"axis", Q8_ATTR_INT, offsetof(arg_params, axis), 0, 0, 0},
    {"keepdims", Q8_ATTR_INT, offsetof(arg_params, keep_dims), 0, 0, 1},
    {"select_last_index", Q8_ATTR_INT, offsetof(arg_params, last), 0, 0, 0}};

static q8_status infer(const q8_op_io *io) {
  const arg_params *p = io->node->params;
  const q8_shape *x = &io->inputs[0]->shape;
  int32_t axis = q8_axis_of(io);
  q8_shape y = {.rank = 0};
  for (int32_t i = 0; i < x->rank; i++)
    if (i != axis)
      y.dim[y.rank++] = x->dim[i];
    else if (p->keep_dims)
      y.dim[y.rank++] = 1;
  Q8_TRY(q8_infer_set(io, 0, QINT8_DTYPE_S64, &y));
  if (x->dim[axis] == 0 && io->outputs[0].count)
    return q8_op_fail(io, QINT8_ERROR_SHAPE, "axis %d of shape %p is empty", (int)axis, x);
  return QINT8_OK;
}

/* One plane of float32 [n][inner]: the place so far of each column is compared row by row. */
static void arg_plane(const float *x, size_t n, size_t inner, int sign, int last, int64_t *y) {
  for (size_t i = 0; i < inner; i++)
    y[i] = 0;
  for (size_t j = 1; j < n; j++)
    for (size_t i = 0; i < inner; i++) {
      float a = x[j * inner + i], b = x[(size_t)y[i] * inner + i];
      int larger = a > b || (a != a && b == b), smaller = a < b || (b != b && a == a);
      if ((sign > 0 ? larger : smaller) || (last && !larger && !smaller))
        y[i] = (int64_t)j;
    }
}

static q8_status eval(const q8_op_io *io, int sign) {
  const arg_params *p = io->node->params;
  const q8_value *x = io->inputs[0];
  q8_axis_view v = q8_view_axis(&x->shape, q8_axis_of(io));
  size_t n = v.n, inner = v.inner;
  int64_t *y = io->outputs[0].data;
  if (x->dtype == QINT8_DTYPE_F32) {
    for (size_t o = 0; inner && o < v.outer; o++)
      arg_plane((const float *)x->data + o * n * inner, n, inner, sign, p->last != 0, y + o * inner);
    return QINT8_OK;
  }
  for (size_t i = 0; i < io->outputs[0].count; i++) {
    size_t first = i / inner * n * inner + i % inner, best = 0;
    for (size_t j = 1; j < n; j++) {
      int order = sign * q8_element_compare(x->dtype, x->data, first + j * inner, first + best * inner);
      if (order > 0 || (order == 0 && p->last))
        best = j;
    }
    y[i] = (int64_t)best;
  }
  return QINT8_OK;
}

static q8_status eval_max(const q8_op_io *io) {
  return eval(io, 1);
}
static q8_status eval_min(const q8_op_io *io) {
  return eval(io, -1);
}

#define ARG(id, onnx_name, eval_fn)                                                                                 \
  const q8_op q8_op_##id = {                                                                                       \
      .name = onnx_name, Q8_OPSETS(1, 21), Q8_INPUTS(1, 1), Q8_OUTPUTS(1, 1),                                      \
      Q8_ATTRIBUTES(attributes), .params_size = sizeof(arg_params), .quant = Q8_QUANT_FLOAT, .has_axis = 1,        \
      .family = &(const q8_op_family){.int8_obstacle = "no int8 form: the result is an index", .infer = infer,     \
                                      .eval = eval_fn}};

ARG(arg_max, "ArgMax", eval_max)
ARG(arg_min, "ArgMin", eval_min)
