/* shape_of.c - operators on shapes: Shape, Size, ConstantOfShape, Range. */
#include <math.h>
#include <stddef.h>
#include <string.h>

#include "base/element.h"
#include "ops/common.h"

typedef struct shape_params {
  int64_t start, end;
} shape_params;

#define NO_END ((double)(1 << 30))

static const q8_attribute shape_attributes[] = {
    {"start", Q8_ATTR_INT, offsetof(shape_params, start), 0, 0, 0},
    {"end", Q8_ATTR_INT, offsetof(shape_params, end), 0, 0, NO_END}};

static int64_t clamp_axis(int64_t axis, int32_t rank) {
  axis = axis < 0 ? axis + rank : axis;
  return axis < 0 ? 0 : axis > rank ? rank : axis;
}

static void shape_range(const q8_op_io *io, int64_t *begin, int64_t *end) {
  const shape_params *p = io->node->params;
  *begin = clamp_axis(p->start, io->inputs[0]->shape.rank);
  *end = clamp_axis(p->end, io->inputs[0]->shape.rank);
  *end = *end < *begin ? *begin : *end;
}

static q8_status infer_shape(const q8_op_io *io) {
  int64_t begin, end;
  shape_range(io, &begin, &end);
  q8_shape y = {.rank = 1, .dim = {end - begin}};
  return q8_infer_set(io, 0, QINT8_DTYPE_S64, &y);
}

static q8_status eval_shape(const q8_op_io *io) {
  int64_t begin, end, *y = io->outputs[0].data;
  shape_range(io, &begin, &end);
  for (int64_t i = begin; i < end; i++)
    y[i - begin] = io->inputs[0]->shape.dim[i];
  return QINT8_OK;
}

static q8_status infer_size(const q8_op_io *io) {
  q8_shape y = {.rank = 0};
  return q8_infer_set(io, 0, QINT8_DTYPE_S64, &y);
}

static q8_status eval_size(const q8_op_io *io) {
  *(int64_t *)io->outputs[0].data = (int64_t)io->inputs[0]->count;
  return QINT8_OK;
}

typedef struct fill_params {
  q8_scalar value; /* absent: f32 zero */
} fill_params;

static const q8_attribute fill_attributes[] = {
    {"value", Q8_ATTR_SCALAR, offsetof(fill_params, value), 0, 0, 0}};

static q8_status infer_fill(const q8_op_io *io) {
  const q8_scalar *value = &((const fill_params *)io->node->params)->value;
  q8_shape y;
  Q8_TRY(q8_infer_shape(io, 0, &y));
  return q8_infer_set(io, 0, value->dtype == QINT8_DTYPE_NONE ? QINT8_DTYPE_F32 : value->dtype, &y);
}

static q8_status eval_fill(const q8_op_io *io) {
  const q8_scalar *value = &((const fill_params *)io->node->params)->value;
  q8_value *y = &io->outputs[0];
  uint64_t one; /* of the type of y */
  int64_t repeat[Q8_MAX_RANK] = {0};
  if (q8_is_float(y->dtype))
    q8_cast(QINT8_DTYPE_F64, &value->f, 1, y->dtype, &one, 1);
  else
    q8_cast(QINT8_DTYPE_S64, &value->i, 1, y->dtype, &one, 1);
  if (y->count)
    q8_copy_strided(qint8_dtype_size((qint8_dtype)y->dtype), &y->shape, &one, repeat, y->data);
  return QINT8_OK;
}

/* start, limit, delta: scalars of one type. */
static q8_status infer_range(const q8_op_io *io) {
  q8_shape y = {.rank = 1};
  int32_t dtype = io->inputs[0]->dtype;
  double v[3];
  for (int32_t i = 0; i < 3; i++) {
    const q8_value *x = io->inputs[i];
    if (!x->data)
      return q8_op_fail(io, QINT8_ERROR_SHAPE, "input %d must be constant once shapes are known", (int)i);
    if (x->count != 1 || x->dtype != dtype || dtype == QINT8_DTYPE_BOOL)
      return q8_op_fail(io, QINT8_ERROR_SHAPE, "input %d is not a scalar of the same type", (int)i);
    v[i] = q8_element_double(dtype, x->data, 0);
  }
  double count = v[2] == 0 ? -1 : ceil((v[1] - v[0]) / v[2]);
  if (v[2] == 0 || !(count <= 1e12))
    return q8_op_fail(io, QINT8_ERROR_SHAPE, "a range with a step of 0, or of too many values");
  y.dim[0] = count > 0 ? (int64_t)count : 0;
  return q8_infer_set(io, 0, dtype, &y);
}

static q8_status eval_range(const q8_op_io *io) {
  q8_value *y = &io->outputs[0];
  const void *first = io->inputs[0]->data, *delta = io->inputs[2]->data;
  for (size_t i = 0; i < y->count; i++) {
    if (q8_is_float(y->dtype)) {
      double v = q8_element_double(y->dtype, first, 0) + (double)i * q8_element_double(y->dtype, delta, 0);
      q8_put_double(y, i, v);
    } else {
      uint64_t v = (uint64_t)q8_element_int(y->dtype, first, 0) + i * (uint64_t)q8_element_int(y->dtype, delta, 0);
      q8_put_int(y, i, (int64_t)v);
    }
  }
  return QINT8_OK;
}

#define SHAPE_OP(id, onnx_name, opset, inputs, depends_on_shape, list, params, infer_fn, eval_fn)                   \
  const q8_op q8_op_##id = {                                                                                       \
      .name = onnx_name, Q8_OPSETS(opset, 21), Q8_INPUTS(inputs, inputs), Q8_OUTPUTS(1, 1),                        \
      Q8_ATTRIBUTES(list), .params_size = params, .quant = Q8_QUANT_FLOAT, .shape_only = depends_on_shape,         \
      .family = &(const q8_op_family){.int8_obstacle = "computes with shapes, not with values",                    \
                                      .infer = infer_fn, .eval = eval_fn}};

SHAPE_OP(shape, "Shape", 1, 1, 1, shape_attributes, sizeof(shape_params), infer_shape, eval_shape)
SHAPE_OP(size, "Size", 1, 1, 1, NULL, 0, infer_size, eval_size)
SHAPE_OP(constant_of_shape, "ConstantOfShape", 9, 1, 0, fill_attributes, sizeof(fill_params), infer_fill, eval_fill)
SHAPE_OP(range, "Range", 11, 3, 0, NULL, 0, infer_range, eval_range)
