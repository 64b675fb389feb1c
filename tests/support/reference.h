/* reference.h - the formulas of kernels/kernel.h written as plainly as possible, independent of the scalar
 * kernels. */
#ifndef Q8_TEST_REFERENCE_H
#define Q8_TEST_REFERENCE_H

#include <math.h>
#include <stdint.h>

#include "kernel.h"

/* clamp(rne(v) + zero, lo, hi) for any float but NaN, without leaving the range of int. */
static inline uint8_t ref_round_clamp(float v, int32_t zero, int32_t lo, int32_t hi) {
  float r = rintf(v);
  if (r < -1e6f)
    return (uint8_t)lo;
  if (r > 1e6f)
    return (uint8_t)hi;
  int32_t q = (int32_t)r + zero;
  return (uint8_t)(q < lo ? lo : q > hi ? hi : q);
}

static inline uint8_t ref_requant(int64_t acc, const q8_requant *rq, size_t c) {
  int32_t sum = (int32_t)((uint32_t)acc + (uint32_t)rq->bias[c]);
  float v = (float)sum * rq->scale[c];
  return ref_round_clamp(v, rq->zero_point, rq->lo, rq->hi);
}

static inline uint8_t ref_binary(const q8_binary *p, uint8_t a, uint8_t b, int multiply) {
  float va = (float)(a - p->a_zero) * p->a_scale, vb = (float)(b - p->b_zero) * p->b_scale;
  float v = multiply ? va * vb : va + vb;
  return ref_round_clamp(v / p->y_scale, p->y_zero, p->lo, p->hi);
}

static inline float ref_clampf(float v, float lo, float hi) {
  return v < lo ? lo : v > hi ? hi : v;
}

/* A dot product of n terms in f32, in any order, with or without FMA, is off by at most n u / (1 - n u) times
 * the sum of the magnitudes, u = 2^-24 (Higham, Accuracy and Stability, 3.1). */
static inline double ref_dot_bound(size_t n, double magnitude) {
  double nu = (double)n * 0x1p-24;
  return nu / (1 - nu) * magnitude;
}

#endif
