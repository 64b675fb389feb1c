/* unary_rows.c - rows of floats for elementwise functions that take less time than a call does. */
#include <math.h>

#include "ops/fast.h"
#include "ops/unary.h"

/* Whole numbers as floats, without the calls that baseline x86 would need: from 2^23 on all floats are whole. A result of 0
 * keeps the sign of x. */
static inline float whole(float x, float rounded) {
  return fabsf(x) < 0x1p23f ? copysignf(rounded, x) : x;
}
static inline float truncated(float x) {
  return (float)(int32_t)(fabsf(x) < 0x1p23f ? x : 0);
}
static inline float down(float x) {
  const float t = truncated(x);
  return whole(x, t > x ? t - 1 : t);
}
static inline float up(float x) {
  const float t = truncated(x);
  return whole(x, t < x ? t + 1 : t);
}
static inline float nearest(float x) {
  return whole(x, (fabsf(x) + 0x1p23f) - 0x1p23f);
}

#define ROWS(name, expression)                                                                                     \
  void name(const void *params, size_t n, const float *x, float *y) {                                              \
    (void)params;                                                                                                  \
    Q8_FOR_BLOCKS(float, n, y, expression);                                                                        \
  }
ROWS(q8_relu_rows, x[i] < 0 ? 0 : x[i])
ROWS(q8_abs_rows, fabsf(x[i]))
ROWS(q8_neg_rows, -x[i])
ROWS(q8_sqrt_rows, sqrtf(x[i]))
ROWS(q8_reciprocal_rows, 1 / x[i])
ROWS(q8_floor_rows, down(x[i]))
ROWS(q8_ceil_rows, up(x[i]))
ROWS(q8_round_rows, nearest(x[i]))

void q8_leaky_relu_rows(const void *params, size_t n, const float *x, float *y) {
  const float alpha = ((const q8_unary_coefficients *)params)->alpha;
  Q8_FOR_BLOCKS(float, n, y, x[i] < 0 ? alpha * x[i] : x[i]);
}
