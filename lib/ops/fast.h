/* fast.h - float loops that compilers vectorize at -O2, and an exponential for them.
 *
 * gcc -O2 vectorizes only loops of a constant count without aliasing, so rows go through blocks of results: of one vector,
 * since longer ones do not stay in registers. */
#ifndef Q8_OPS_FAST_H
#define Q8_OPS_FAST_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#define Q8_BLOCK 4

/* y[i] = expression for i in [0, n), of type R; `expression` may use i. y may be one of the inputs read at i. */
#define Q8_FOR_BLOCKS(R, n, y, expression)                                                                         \
  do {                                                                                                             \
    size_t q8_at_ = 0;                                                                                             \
    for (; q8_at_ + Q8_BLOCK <= (n); q8_at_ += Q8_BLOCK) {                                                         \
      R q8_block_[Q8_BLOCK];                                                                                       \
      for (size_t q8_j_ = 0; q8_j_ < Q8_BLOCK; q8_j_++) {                                                          \
        const size_t i = q8_at_ + q8_j_;                                                                           \
        q8_block_[q8_j_] = (R)(expression);                                                                        \
      }                                                                                                            \
      memcpy((y) + q8_at_, q8_block_, sizeof q8_block_);                                                           \
    }                                                                                                              \
    for (size_t i = q8_at_; i < (n); i++)                                                                          \
      (y)[i] = (R)(expression);                                                                                    \
  } while (0)

/* e^x with a relative error below 2.5e-7, without branches: 2^k e^r, |r| <= ln(2) / 2, e^r by a polynomial of degree 6.
 * 0 below -87.6, inf above 88.3, where the exponent field of 2^k is all zeros or ones. For float execution only: tables
 * use base/math.h. Like all functions here it is made of +, -, *, / alone: the same bits on every machine. */
static inline float q8_fast_exp(float x) {
  x = x < -88.0f ? -88.0f : x;
  x = x > 89.0f ? 89.0f : x;
  float shifted = x * 1.44269504f + 12582912.0f; /* 1.5 * 2^23: rounds to an integer in the low bits */
  float k = shifted - 12582912.0f;
  float r = (x - k * 0.693359375f) + k * 2.12194440e-4f;
  float p = 1.38889e-3f;
  p = p * r + 8.33333e-3f;
  p = p * r + 4.16666679e-2f;
  p = p * r + 1.66666672e-1f;
  p = p * r + 0.5f;
  p = p * r * r + r + 1.0f;
  uint32_t bits;
  memcpy(&bits, &shifted, sizeof bits);
  bits = (bits + 127) << 23; /* k from the low bits of 0x4B400000 + k into the exponent field */
  float scale;
  memcpy(&scale, &bits, sizeof scale);
  return p * scale;
}

#endif
