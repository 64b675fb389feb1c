/* unary_rows.c - rows of floats for elementwise functions that take less time than a call does. */
#include <math.h>

#include "ops/fast.h"
#include "ops/unary.h"

/* Whole numbers as floats, without the calls that baseline x86 would need: from 2^23 on all floats are whole.
 * A result of 0 keeps the sign of x. */
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
static inline float clip(float x, float lo, float hi) {
  x = x < lo ? lo : x;
  return x > hi ? hi : x;
}
static inline float nearest(float x) {
  return whole(x, (fabsf(x) + 0x1p23f) - 0x1p23f);
}

#define ROWS(which, expression)                                                                              \
  case which:                                                                                                \
    Q8_FOR_BLOCKS(float, n, y, expression);                                                                  \
    break

void q8_unary_run_rows(q8_unary_rows f, const q8_unary_coefficients *a, size_t n, const float *x, float *y) {
  const float alpha = a->alpha, lo = f == Q8_ROWS_RELU ? 0 : alpha,
              hi = f == Q8_ROWS_RELU ? INFINITY : a->beta;
  const float sign = f == Q8_ROWS_CEIL ? -1.0f : 1.0f;
  switch (f) {
  case Q8_ROWS_RELU:
    ROWS(Q8_ROWS_CLIP, clip(x[i], lo, hi));
    ROWS(Q8_ROWS_LEAKY_RELU, x[i] < 0 ? alpha * x[i] : x[i]);
    ROWS(Q8_ROWS_ABS, fabsf(x[i]));
    ROWS(Q8_ROWS_NEG, -x[i]);
    ROWS(Q8_ROWS_SQRT, sqrtf(x[i]));
    ROWS(Q8_ROWS_RECIPROCAL, 1 / x[i]);
  case Q8_ROWS_CEIL:
    ROWS(Q8_ROWS_FLOOR, sign * down(sign * x[i]));
    ROWS(Q8_ROWS_ROUND, nearest(x[i]));
  default:
    break;
  }
}
