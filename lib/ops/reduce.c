/* reduce.c - ReduceMean, ReduceSum, ReduceMax, ... over given axes: one row each. */
#include <math.h>
#include <stddef.h>

#include "base/element.h"
#include "base/math.h"
#include "ops/common.h"
#include "ops/hooks.h"
#include "ops/reduce.h"

typedef struct reduce_params {
  int64_t keep_dims, noop_with_empty_axes;
  q8_ints axes; /* canonical for all but ReduceSum, whose axes are input 1 since opset 13; others': input 1 if computed */
} reduce_params;

#define ATTRIBUTES(name, moved, until)                                                                             \
  static const q8_attribute name[] = {                                                                             \
      {"keepdims", Q8_ATTR_INT, offsetof(reduce_params, keep_dims), 0, 0, 1},                                      \
      {"noop_with_empty_axes", Q8_ATTR_INT, offsetof(reduce_params, noop_with_empty_axes), 0, 0, 0},               \
      {"axes", Q8_ATTR_INTS, offsetof(reduce_params, axes), 0, moved, until}};
ATTRIBUTES(attributes, 0, 0)
ATTRIBUTES(sum_attributes, Q8_TO_INPUT(1), 13)

/* Axes become an attribute (opset 17), whatever the file's opset has. */
static q8_status axes_to_attribute(q8_upgrade *node) {
  reduce_params *p = node->params;
  if (node->graph->opset < 18 || node->input_count < 2 || node->inputs[1] == Q8_NONE)
    return QINT8_OK;
  const q8_tensor *axes = &node->graph->tensors[node->inputs[1]];
  size_t count = q8_shape_count(&axes->shape, NULL);
  if (!axes->data || axes->dtype != QINT8_DTYPE_S64 || count > Q8_MAX_INTS)
    return QINT8_OK; /* known once shapes are bound */
  p->axes.count = (int32_t)count;
  for (size_t i = 0; i < count; i++)
    p->axes.v[i] = ((const int64_t *)axes->data)[i];
  node->inputs[1] = Q8_NONE;
  node->input_count = 1;
  return QINT8_OK;
}

/* A bit for each reduced axis. */
static q8_status reduced_axes(const q8_op_io *io, uint32_t *mask) {
  const reduce_params *p = io->node->params;
  const q8_shape *x = &io->inputs[0]->shape;
  q8_ints axes = p->axes;
  if (q8_input(io, 1))
    Q8_TRY(q8_infer_ints(io, 1, &axes));
  Q8_TRY(q8_axes_mask(io, &axes, x->rank, 0, mask));
  if (axes.count <= 0 && !p->noop_with_empty_axes)
    *mask = (1u << x->rank) - 1;
  return QINT8_OK;
}

/* sum = step(sum, x) for all x, from `start` on; then finish(sum, count). Floats are summed in double, integers by
 * `whole` (modulo 2^64), or in double too where it is NULL; those without a start begin with the first value. */
#define NO_START (-INFINITY)
typedef struct reduction {
  double (*step)(double sum, double x);
  double (*finish)(double sum, size_t count); /* NULL: the sum itself */
  int64_t (*whole)(int64_t sum, int64_t x, int is_unsigned);
  float start;
  uint8_t adds, compares; /* `step` for rows of float32 is that of reduce_rows.c */
  uint8_t opposite;       /* of -x, and the result's sign is turned: floats only */
  uint8_t shifted;        /* sums e^(x - max) and adds max to the result, so that nothing overflows */
} reduction;

static int has_rows(const reduction *op) {
  return op->adds || op->compares;
}

static q8_status infer(const q8_op_io *io) {
  const reduction *op = io->node->op->variant;
  const reduce_params *p = io->node->params;
  const q8_value *x = io->inputs[0];
  uint32_t mask;
  Q8_TRY(reduced_axes(io, &mask));
  q8_shape y = {.rank = 0};
  for (int32_t i = 0; i < x->shape.rank; i++) {
    if (!(mask >> i & 1))
      y.dim[y.rank++] = x->shape.dim[i];
    else if (p->keep_dims)
      y.dim[y.rank++] = 1;
  }
  Q8_TRY(q8_infer_shaped(io, &y));
  if (x->count == 0 && io->outputs[0].count && !q8_is_float(x->dtype) && op->start == NO_START)
    return q8_op_fail(io, QINT8_ERROR_SHAPE, "%s of no integers", io->node->op->name);
  return QINT8_OK;
}

#define BLOCK 256

/* One result: the values at x->data[base + offsets of the reduced dimensions], a row of the last one at a time. */
typedef struct reduce_rows {
  const q8_value *x;
  const q8_axes_split *v;
  size_t row;   /* elements */
  int64_t step; /* between them */
  int32_t outer_rank;
} reduce_rows;

static const char *row_at(const reduce_rows *r, int64_t base, size_t i) {
  int64_t at = base + q8_split_offset(i / r->row, r->outer_rank, r->v->dim, r->v->stride);
  return (const char *)r->x->data + at * (int64_t)qint8_dtype_size((qint8_dtype)r->x->dtype);
}

static double fold_floats(const reduce_rows *r, int64_t base, double sum, double (*step)(double, double), double sign,
                          double shift) {
  double block[BLOCK];
  size_t size = qint8_dtype_size((qint8_dtype)r->x->dtype);
  for (size_t i = 0; i < r->v->inner; i += r->row)
    for (size_t at = 0; at < r->row; at += BLOCK) {
      size_t n = r->row - at < BLOCK ? r->row - at : BLOCK;
      q8_cast(r->x->dtype, row_at(r, base, i) + (int64_t)(at * size) * r->step, r->step, QINT8_DTYPE_F64, block, n);
      for (size_t j = 0; j < n; j++)
        sum = step(sum, sign * block[j] - shift);
    }
  return sum;
}

static double fold_rows(const reduce_rows *r, int64_t base, const reduction *op, double sign) {
  double sum = (double)op->start;
  for (size_t i = 0; i < r->v->inner; i += r->row)
    sum = (op->adds ? q8_add_along : q8_largest_along)(sum, sign, r->row, (const float *)(const void *)row_at(r, base, i));
  return sum;
}

static double finished(const reduction *op, double sum, size_t count, double sign) {
  return sign * (op->finish ? op->finish(sum, count) : sum);
}

#define WIDTH 64

/* All results where the last dimension is kept and one other is reduced: neighbours side by side. */
static void reduce_columns(const q8_value *x, const q8_axes_split *v, const reduction *op, double sign, float *y) {
  size_t n = v->inner, inner = (size_t)v->stride[0], outer = v->outer / inner;
  for (size_t o = 0; o < outer; o++)
    for (size_t at = 0; at < inner; at += WIDTH) {
      double sum[WIDTH];
      size_t width = inner - at < WIDTH ? inner - at : WIDTH;
      for (size_t i = 0; i < width; i++)
        sum[i] = (double)op->start;
      (op->adds ? q8_add_across : q8_largest_across)(sum, sign, width, n,
                                                     (const float *)x->data + o * n * inner + at, inner);
      for (size_t i = 0; i < width; i++)
        y[o * inner + at + i] = (float)finished(op, sum[i], n, sign);
    }
}

static int64_t fold_integers(const reduce_rows *r, int64_t base, const reduction *op) {
  int64_t sum = op->start == 1; /* or 0, which a first value replaces */
  int is_unsigned = q8_wide_dtype(r->x->dtype) == QINT8_DTYPE_U64;
  for (size_t i = 0; i < r->v->inner; i += r->row) {
    const char *row = row_at(r, base, i);
    for (size_t j = 0; j < r->row; j++) {
      int64_t x = q8_element_int(r->x->dtype, row, j * (size_t)r->step);
      sum = op->start == NO_START && i + j == 0 ? x : op->whole(sum, x, is_unsigned);
    }
  }
  return sum;
}

static double larger(double sum, double x); /* for the shift */

static q8_status eval(const q8_op_io *io) {
  const reduction *op = io->node->op->variant;
  const q8_value *x = io->inputs[0];
  q8_value *y = &io->outputs[0];
  uint32_t mask;
  Q8_TRY(reduced_axes(io, &mask));
  q8_axes_split v = q8_split_axes(&x->shape, mask);
  int whole = op->whole && !q8_is_float(x->dtype), rows = has_rows(op) && x->dtype == QINT8_DTYPE_F32;
  double sign = op->opposite ? -1 : 1;
  reduce_rows r = {.x = x, .v = &v, .row = 1, .step = 1};
  if (rows && v.reduced == 1 && v.stride[0] > 1 && x->count) {
    reduce_columns(x, &v, op, sign, y->data);
    return QINT8_OK;
  }
  if (v.reduced) {
    r.row = (size_t)v.dim[v.reduced - 1];
    r.step = v.stride[v.reduced - 1];
    r.outer_rank = v.reduced - 1;
  }
  for (size_t o = 0; o < v.outer; o++) {
    int64_t base = q8_split_offset(o, v.kept, v.kept_dim, v.kept_stride);
    if (whole) {
      q8_put_int(y, o, fold_integers(&r, base, op));
      continue;
    }
    double shift = op->shifted ? fold_floats(&r, base, -INFINITY, larger, 1, 0) : 0;
    shift = isfinite(shift) ? shift : 0;
    double sum = rows && r.step == 1 ? fold_rows(&r, base, op, sign)
                                     : fold_floats(&r, base, (double)op->start, op->step, sign, shift);
    q8_put_double(y, o, finished(op, sum, v.inner, sign) + shift);
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
static double add_square(double sum, double x) {
  return sum + x * x;
}
static double add_magnitude(double sum, double x) {
  return sum + fabs(x);
}
static double add_exp(double sum, double x) {
  return sum + q8_exp(x);
}

static double mean_of(double sum, size_t count) {
  return sum / (double)count;
}
static double root_of(double sum, size_t count) {
  (void)count;
  return sqrt(sum);
}
static double log_of(double sum, size_t count) {
  (void)count;
  return q8_log(sum);
}

static int64_t whole_add(int64_t sum, int64_t x, int is_unsigned) {
  (void)is_unsigned;
  return (int64_t)((uint64_t)sum + (uint64_t)x);
}
static int64_t whole_multiply(int64_t sum, int64_t x, int is_unsigned) {
  (void)is_unsigned;
  return (int64_t)((uint64_t)sum * (uint64_t)x);
}
static int64_t whole_larger(int64_t sum, int64_t x, int is_unsigned) {
  return (is_unsigned ? (uint64_t)x > (uint64_t)sum : x > sum) ? x : sum;
}
static int64_t whole_smaller(int64_t sum, int64_t x, int is_unsigned) {
  return (is_unsigned ? (uint64_t)x < (uint64_t)sum : x < sum) ? x : sum;
}
static int64_t whole_add_square(int64_t sum, int64_t x, int is_unsigned) {
  return whole_add(sum, whole_multiply(x, x, 0), is_unsigned);
}
static int64_t whole_add_magnitude(int64_t sum, int64_t x, int is_unsigned) {
  return whole_add(sum, x < 0 && !is_unsigned ? (int64_t)(0 - (uint64_t)x) : x, 0);
}

#define REDUCE(id, onnx_name, list, axes, ...)                                                                         \
  const q8_op q8_op_##id = {                                                                                       \
      .name = onnx_name, Q8_OPSETS(1, 21), Q8_INPUTS(1, 2), Q8_OUTPUTS(1, 1),                                      \
      Q8_ATTRIBUTES(list), .params_size = sizeof(reduce_params), .quant = Q8_QUANT_FLOAT, .family = &axes,   \
      .variant = &(const reduction){__VA_ARGS__}};
#define FAMILY(name, upgrade_fn)                                                                                   \
  static const q8_op_family name = {.int8_obstacle = "no int8 form: the result needs the range of float",          \
                                    .infer = infer, .eval = eval, .upgrade = upgrade_fn};

FAMILY(with_attribute, axes_to_attribute)
FAMILY(with_input, NULL)
REDUCE(reduce_mean, "ReduceMean", attributes, with_attribute, .step = add, .adds = 1, .finish = mean_of)
REDUCE(reduce_sum, "ReduceSum", sum_attributes, with_input, .step = add, .adds = 1, .whole = whole_add)
REDUCE(reduce_max, "ReduceMax", attributes, with_attribute, .start = NO_START, .step = larger, .compares = 1, .whole = whole_larger)
REDUCE(reduce_min, "ReduceMin", attributes, with_attribute, .start = NO_START, .step = larger, .compares = 1, .opposite = 1,
       .whole = whole_smaller)
REDUCE(reduce_prod, "ReduceProd", attributes, with_attribute, .start = 1, .step = multiply, .whole = whole_multiply)
REDUCE(reduce_sum_square, "ReduceSumSquare", attributes, with_attribute, .step = add_square, .whole = whole_add_square)
REDUCE(reduce_l1, "ReduceL1", attributes, with_attribute, .step = add_magnitude, .whole = whole_add_magnitude)
REDUCE(reduce_l2, "ReduceL2", attributes, with_attribute, .step = add_square, .finish = root_of)
REDUCE(reduce_log_sum, "ReduceLogSum", attributes, with_attribute, .step = add, .finish = log_of)
REDUCE(reduce_log_sum_exp, "ReduceLogSumExp", attributes, with_attribute, .step = add_exp, .finish = log_of, .shifted = 1)
