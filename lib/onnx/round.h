/* round.h - one value to an integer by the rule of QuantizeLinear; files hold few enough that no kernel is needed. */
#ifndef Q8_ONNX_ROUND_H
#define Q8_ONNX_ROUND_H

#include <math.h>
#include <stdint.h>

#include "qint8.h"

typedef struct q8_round_range {
  int32_t low, high;
} q8_round_range;

static inline q8_round_range q8_round_range_of(int32_t dtype) {
  if (dtype == QINT8_DTYPE_S32)
    return (q8_round_range){INT32_MIN, INT32_MAX};
  return dtype == QINT8_DTYPE_S8 ? (q8_round_range){-128, 127} : (q8_round_range){0, 255};
}

/* clamp(rne(x / scale) + zero_point); NaN to the lowest value. */
static inline int32_t q8_round(float x, float scale, int32_t zero_point, q8_round_range range) {
  double q = (double)rintf(x / scale) + zero_point; /* exact: below 2^53, or far outside the range */
  if (!(q > range.low))
    return range.low;
  return q < range.high ? (int32_t)q : range.high;
}

#endif
