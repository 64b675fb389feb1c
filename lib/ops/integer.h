/* integer.h - what the operators on quantized tensors share: reading integers, scales and zero points per tensor, per
 * axis or per block. They are evaluated as the standard says; models that are quantized as a whole run on the int8
 * kernels instead, see onnx/qdq.h. */
#ifndef Q8_OPS_INTEGER_H
#define Q8_OPS_INTEGER_H

#include <math.h>

#include "ops/common.h"

/* An element of U8, S8, U16, S16 or S32. */
static inline int32_t q8_integer_at(const q8_value *v, size_t i) {
  switch (v->dtype) {
  case QINT8_DTYPE_U8:
    return ((const uint8_t *)v->data)[i];
  case QINT8_DTYPE_S8:
    return ((const int8_t *)v->data)[i];
  case QINT8_DTYPE_U16:
    return ((const uint16_t *)v->data)[i];
  case QINT8_DTYPE_S16:
    return ((const int16_t *)v->data)[i];
  default:
    return ((const int32_t *)v->data)[i];
  }
}
/* Zero point i of an optional input: one for all, or one each. */
static inline int32_t q8_zero_at(const q8_value *v, size_t i) {
  return v ? q8_integer_at(v, v->count == 1 ? 0 : i) : 0;
}
static inline float q8_scale_at(const q8_value *v, size_t i) {
  return ((const float *)v->data)[v->count == 1 ? 0 : i];
}

/* Stores clamp(rne(x) + zero) in element i of a tensor of U8, S8, U16 or S16; NaN becomes the lowest value. */
void q8_store_rounded(q8_value *y, size_t i, float x, int32_t zero);

/* ---- Products of 8-bit integers: ConvInteger, QLinearConv, MatMulInteger, QLinearMatMul ---- */

/* Where the inputs stand; y_zero 0: the accumulators are the result. A scale stands before its zero point. */
typedef struct q8_integer_places {
  int8_t b, a_zero, b_zero, y_zero, bias;
} q8_integer_places;
const q8_integer_places *q8_integer_places_of(const q8_op_io *io);
/* Checks types, and that scales, zero points and bias have one value or that many. */
q8_status q8_integer_check(const q8_op_io *io, size_t rows, size_t columns);
int32_t q8_integer_dtype(const q8_op_io *io);
/* Element i of y from its accumulator. */
void q8_integer_store(const q8_op_io *io, size_t row, size_t column, size_t i, uint32_t acc);

/* An operand less its zero point: of S8 the top bit is flipped, so that all are read as U8. */
typedef struct q8_integer_operand {
  const uint8_t *data;
  int32_t flip, zero;
} q8_integer_operand;
/* `place` of the operand and of its zero points, of which it has number i. */
q8_integer_operand q8_integer_operand_of(const q8_op_io *io, int32_t place, int32_t zero_place, size_t i);
static inline uint32_t q8_operand_at(const q8_integer_operand *o, size_t i) {
  return (uint32_t)((o->data[i] ^ o->flip) - o->zero);
}

/* Which scale serves element i of a tensor. */
typedef struct q8_scale_index {
  size_t inner, dim, block, scales; /* scales: along the axis, 0 for one scale in all */
} q8_scale_index;
q8_status q8_scale_index_of(const q8_op_io *io, int64_t axis, int64_t block_size, q8_scale_index *out);
static inline size_t q8_scale_of(const q8_scale_index *s, size_t i) {
  if (!s->scales)
    return 0;
  size_t j = i / s->inner % s->dim;
  if (!s->block)
    return j;
  return (i / (s->inner * s->dim) * s->scales + j / s->block) * s->inner + i % s->inner;
}

#endif
