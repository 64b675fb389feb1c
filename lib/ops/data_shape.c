/* data_shape.c - operators whose result's shape depends on values: Compress, NonZero. The values must be known when the
 * plan is compiled. */
#include <inttypes.h>
#include <stddef.h>
#include <string.h>

#include "base/element.h"
#include "ops/common.h"

static int is_zero(const q8_value *x, size_t i) {
  return q8_is_float(x->dtype) ? q8_element_double(x->dtype, x->data, i) == 0 : q8_element_int(x->dtype, x->data, i) == 0;
}

/* ---- Compress: the slices along an axis (without one: the elements) for which the condition holds ---- */

#define NO_AXIS 1000000
typedef struct compress_params {
  int64_t axis;
} compress_params;

static const q8_attribute compress_attributes[] = {
    {"axis", Q8_ATTR_INT, offsetof(compress_params, axis), 0, 0, NO_AXIS}};

/* x as [outer][n][inner] around the axis. */
static q8_status compress_view(const q8_op_io *io, int32_t *axis, size_t *n) {
  int64_t wanted = ((const compress_params *)io->node->params)->axis;
  const q8_value *x = io->inputs[0];
  *axis = wanted == NO_AXIS ? -1 : q8_axis(wanted, x->shape.rank);
  *n = wanted == NO_AXIS ? x->count : *axis < 0 ? 0 : (size_t)x->shape.dim[*axis];
  return wanted != NO_AXIS && *axis < 0 ? q8_bad_axis(io, wanted, &x->shape) : QINT8_OK;
}

static q8_status infer_compress(const q8_op_io *io) {
  const q8_value *x = io->inputs[0], *condition = io->inputs[1];
  int32_t axis;
  size_t n, kept = 0;
  Q8_TRY(q8_need_dtype(io, 1, QINT8_DTYPE_BOOL));
  Q8_TRY(q8_need_data(io, 1));
  Q8_TRY(compress_view(io, &axis, &n));
  if (condition->shape.rank != 1 || condition->count > n)
    return q8_op_fail(io, QINT8_ERROR_SHAPE, "a condition of %zu values for %zu", condition->count, n);
  for (size_t i = 0; i < condition->count; i++)
    kept += ((const uint8_t *)condition->data)[i] != 0;
  q8_shape y = x->shape;
  if (axis < 0)
    y = (q8_shape){.rank = 1};
  y.dim[axis < 0 ? 0 : axis] = (int64_t)kept;
  return q8_infer_set(io, 0, x->dtype, &y);
}

static q8_status eval_compress(const q8_op_io *io) {
  const q8_value *x = io->inputs[0], *condition = io->inputs[1];
  int32_t axis;
  size_t n, size = qint8_dtype_size((qint8_dtype)x->dtype);
  Q8_TRY(compress_view(io, &axis, &n));
  size_t outer = axis < 0 ? 1 : q8_dims(&x->shape, 0, axis);
  size_t inner = (axis < 0 ? 1 : q8_dims(&x->shape, axis + 1, x->shape.rank)) * size;
  char *to = io->outputs[0].data;
  for (size_t o = 0; o < outer; o++)
    for (size_t i = 0; i < condition->count; i++)
      if (((const uint8_t *)condition->data)[i]) {
        memcpy(to, (const char *)x->data + (o * n + i) * inner, inner);
        to += inner;
      }
  return QINT8_OK;
}

/* ---- NonZero: [rank][count] coordinates in row-major order ---- */

static q8_status infer_nonzero(const q8_op_io *io) {
  const q8_value *x = io->inputs[0];
  Q8_TRY(q8_need_data(io, 0));
  q8_shape y = {.rank = 2, .dim = {x->shape.rank, 0}};
  for (size_t i = 0; i < x->count; i++)
    y.dim[1] += !is_zero(x, i);
  return q8_infer_set(io, 0, QINT8_DTYPE_S64, &y);
}

static q8_status eval_nonzero(const q8_op_io *io) {
  const q8_value *x = io->inputs[0];
  int64_t *y = io->outputs[0].data;
  size_t count = (size_t)io->outputs[0].shape.dim[1], at = 0;
  for (size_t i = 0; i < x->count; i++) {
    size_t rest = i;
    if (is_zero(x, i))
      continue;
    for (int32_t d = x->shape.rank; d-- > 0; rest /= (size_t)x->shape.dim[d])
      y[(size_t)d * count + at] = (int64_t)(rest % (size_t)x->shape.dim[d]);
    at++;
  }
  return QINT8_OK;
}

#define DATA_SHAPE(id, onnx_name, inputs, list, infer_fn, eval_fn)                                                  \
  const q8_op q8_op_##id = {                                                                                       \
      .name = onnx_name, Q8_OPSETS(9, 21), Q8_INPUTS(inputs, inputs), Q8_OUTPUTS(1, 1),                            \
      Q8_ATTRIBUTES(list), .params_size = sizeof(compress_params), .quant = Q8_QUANT_FLOAT,                        \
      .family = &(const q8_op_family){                                                                             \
                                      .int8_obstacle = "no int8 form: the shape of the result depends on values",  \
                                      .infer = infer_fn, .eval = eval_fn}};

DATA_SHAPE(compress, "Compress", 2, compress_attributes, infer_compress, eval_compress)
DATA_SHAPE(nonzero, "NonZero", 1, NULL, infer_nonzero, eval_nonzero)
