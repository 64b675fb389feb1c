/* fma.h - a * b + c with one rounding, on every CPU: the step of the fp32 families.
 *
 * Where the CPU has the instruction the compiler emits it. Elsewhere fmaf of the C library costs a call per product; the
 * product of two floats is exact in double, so that one addition in double and one conversion do, but for results that
 * would be rounded twice. */
#ifndef Q8_SCALAR_FMA_H
#define Q8_SCALAR_FMA_H

#include <float.h>
#include <math.h>
#include <stdint.h>
#include <string.h>

/* s = p + c in double, rounded to odd instead of to nearest: 53 bits whose last one remembers that something is missing
 * round to 24 bits as the exact sum would (Boldo and Melquiond, Emulation of a FMA, 2008). Finite s, not 0. */
static inline double q8_round_to_odd(double p, double c, double s) {
  double part = s - p, error = (p - (s - part)) + (c - part); /* exact: TwoSum */
  uint64_t bits;
  memcpy(&bits, &s, sizeof bits);
  if (error != 0 && !(bits & 1))
    bits += (error > 0) == (s > 0) ? 1 : (uint64_t)-1;
  memcpy(&s, &bits, sizeof s);
  return s;
}

static inline float q8_fma_emulated(float a, float b, float c) {
  double p = (double)a * (double)b, s = p + (double)c, magnitude = s < 0 ? -s : s;
  uint64_t bits;
  memcpy(&bits, &s, sizeof bits);
  /* Rounding twice goes wrong only where the sum looks like the middle between two floats: those of 24 bits end in
   * 1000..., subnormal ones are shorter. */
  if ((bits & 0x1fffffff) == 0x10000000 || (magnitude < (double)FLT_MIN && s != 0))
    s = s - s == 0 ? q8_round_to_odd(p, (double)c, s) : s;
  return (float)s;
}

static inline float q8_scalar_fma(float a, float b, float c) {
#if defined(__FMA__) || defined(__FP_FAST_FMAF) || defined(__aarch64__)
  return fmaf(a, b, c);
#else
  return q8_fma_emulated(a, b, c);
#endif
}

#endif
