#include "ops/integer.h"

void q8_store_rounded(q8_value *y, size_t i, float x, int32_t zero) {
  int is_signed = y->dtype == QINT8_DTYPE_S8 || y->dtype == QINT8_DTYPE_S16;
  int wide = y->dtype == QINT8_DTYPE_U16 || y->dtype == QINT8_DTYPE_S16;
  float low = is_signed ? (wide ? -32768.0f : -128.0f) : 0, high = low + (wide ? 65535.0f : 255.0f);
  float v = nearbyintf(x) + (float)zero; /* exact where it is not clamped */
  int32_t q = (int32_t)(v >= low ? (v > high ? high : v) : low);
  if (wide)
    ((uint16_t *)y->data)[i] = (uint16_t)q; /* two's complement serves the signed types */
  else
    ((uint8_t *)y->data)[i] = (uint8_t)q;
}

q8_status q8_need_int8(const q8_op_io *io, int32_t i) {
  const q8_value *v = q8_input(io, i);
  if (v && v->dtype != QINT8_DTYPE_U8 && v->dtype != QINT8_DTYPE_S8)
    return q8_op_fail(io, QINT8_ERROR_UNSUPPORTED, "input %d has element type %d, expected u8 or s8", (int)i,
                      (int)v->dtype);
  return QINT8_OK;
}

q8_status q8_need_count(const q8_op_io *io, int32_t i, size_t count, const char *what) {
  const q8_value *v = q8_input(io, i);
  if (v && v->count != 1 && v->count != count)
    return q8_op_fail(io, QINT8_ERROR_SHAPE, "%s of shape %p, expected 1 or %zu values", what, &v->shape,
                      count);
  return QINT8_OK;
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
