#include "ops/integer.h"

void q8_store_rounded(q8_value *y, size_t i, float x, int32_t zero) {
  int is_signed = y->dtype == QINT8_DTYPE_S8 || y->dtype == QINT8_DTYPE_S16;
  int wide = y->dtype == QINT8_DTYPE_U16 || y->dtype == QINT8_DTYPE_S16;
  float low = is_signed ? (wide ? -32768.0f : -128.0f) : 0, high = low + (wide ? 65535.0f : 255.0f);
  float v = rintf(x) + (float)zero; /* exact where it is not clamped */
  int32_t q = (int32_t)(v >= low ? (v > high ? high : v) : low);
  if (wide)
    ((uint16_t *)y->data)[i] = (uint16_t)q; /* two's complement serves the signed types */
  else
    ((uint8_t *)y->data)[i] = (uint8_t)q;
}

const q8_integer_places *q8_integer_places_of(const q8_op_io *io) {
  static const q8_integer_places plain = {1, 2, 3, 0, 0}, qlinear = {3, 2, 5, 7, 8};
  return io->node->input_count > 4 ? &qlinear : &plain;
}

static q8_status need_int8(const q8_op_io *io, int32_t i) {
  const q8_value *v = q8_input(io, i);
  if (v && v->dtype != QINT8_DTYPE_U8 && v->dtype != QINT8_DTYPE_S8)
    return q8_op_fail(io, QINT8_ERROR_UNSUPPORTED, "input %d has element type %d, expected u8 or s8", (int)i,
                      (int)v->dtype);
  return QINT8_OK;
}

static q8_status need_count(const q8_op_io *io, int32_t i, size_t count) {
  const q8_value *v = q8_input(io, i);
  if (v && v->count != 1 && v->count != count)
    return q8_op_fail(io, QINT8_ERROR_SHAPE, "input %d of shape %p, expected 1 or %zu values", (int)i, &v->shape, count);
  return QINT8_OK;
}

q8_status q8_integer_check(const q8_op_io *io, size_t rows, size_t columns) {
  const q8_integer_places *at = q8_integer_places_of(io);
  const struct {
    int32_t zero;
    size_t count;
  } points[] = {{at->a_zero, rows}, {at->b_zero, columns}, {at->y_zero, 1}};
  Q8_TRY(need_int8(io, 0));
  Q8_TRY(need_int8(io, at->b));
  for (int i = 0; i < (at->y_zero ? 3 : 2); i++) {
    Q8_TRY(need_int8(io, points[i].zero));
    Q8_TRY(need_count(io, points[i].zero, points[i].count));
    if (at->y_zero) {
      Q8_TRY(q8_need_dtype(io, points[i].zero - 1, QINT8_DTYPE_F32));
      Q8_TRY(need_count(io, points[i].zero - 1, points[i].count));
    }
  }
  const q8_value *bias = at->bias ? q8_input(io, at->bias) : NULL;
  if (bias && bias->count != columns)
    return q8_op_fail(io, QINT8_ERROR_SHAPE, "a bias of %zu values for %zu channels", bias->count, columns);
  return bias ? q8_need_dtype(io, at->bias, QINT8_DTYPE_S32) : QINT8_OK;
}

int32_t q8_integer_dtype(const q8_op_io *io) {
  const q8_integer_places *at = q8_integer_places_of(io);
  return at->y_zero ? io->inputs[at->y_zero]->dtype : QINT8_DTYPE_S32;
}

void q8_integer_store(const q8_op_io *io, size_t row, size_t column, size_t i, uint32_t acc) {
  const q8_integer_places *at = q8_integer_places_of(io);
  q8_value *y = &io->outputs[0];
  if (!at->y_zero) {
    ((uint32_t *)y->data)[i] = acc;
    return;
  }
  const q8_value *bias = q8_input(io, at->bias);
  if (bias)
    acc += ((const uint32_t *)bias->data)[column];
  float factor = q8_scale_at(io->inputs[at->a_zero - 1], row) * q8_scale_at(io->inputs[at->b_zero - 1], column) /
                 q8_scale_at(io->inputs[at->y_zero - 1], 0);
  q8_store_rounded(y, i, (float)(int32_t)acc * factor, q8_zero_at(io->inputs[at->y_zero], 0));
}

q8_integer_operand q8_integer_operand_of(const q8_op_io *io, int32_t place, int32_t zero_place, size_t i) {
  const q8_value *v = io->inputs[place];
  int32_t flip = v->dtype == QINT8_DTYPE_S8 ? 128 : 0;
  return (q8_integer_operand){v->data, flip, q8_zero_at(q8_input(io, zero_place), i) + flip};
}

q8_status q8_scale_index_of(const q8_op_io *io, int64_t axis, int64_t block_size, q8_scale_index *out) {
  const q8_value *x = io->inputs[0], *scale = io->inputs[1], *zero = q8_input(io, 2);
  *out = (q8_scale_index){.inner = 1};
  if (zero && zero->count != scale->count)
    return q8_op_fail(io, QINT8_ERROR_SHAPE, "scale of shape %p, zero point of shape %p", &scale->shape,
                      &zero->shape);
  if (scale->count == 1 && !block_size)
    return QINT8_OK;
  int32_t at = q8_axis(axis, x->shape.rank);
  if (at < 0)
    return q8_bad_axis(io, axis, &x->shape);
  out->inner = q8_dims(&x->shape, at + 1, x->shape.rank);
  out->dim = (size_t)x->shape.dim[at];
  out->scales = out->dim;
  if (block_size > 0) {
    out->block = (size_t)block_size;
    out->scales = (out->dim + out->block - 1) / out->block;
  }
  size_t expected = out->block ? q8_dims(&x->shape, 0, at) * out->scales * out->inner : out->dim;
  if (block_size < 0 || scale->count != expected || (!out->block && scale->shape.rank != 1))
    return q8_op_fail(io, QINT8_ERROR_SHAPE, "scale of shape %p for axis %d of shape %p", &scale->shape,
                      (int)at, &x->shape);
  return QINT8_OK;
}
