/* srows.h - the families of float rows, for vectors of any width: one source, so that every ISA does the same operations.
 *
 * An ISA folder defines Q8_VECTOR, the bytes of its vectors, includes this and lists the functions in its tables. Only
 * +, -, *, / and comparisons are used, one rounding each: the same bits everywhere. Optionally Q8_MIN(a, b) and
 * Q8_MAX(a, b), exactly a < b ? a : b and a > b ? a : b (as minps and maxps are). */
#ifndef Q8_SROWS_H
#define Q8_SROWS_H

#include "kernel.h"
#include <string.h>

typedef float vf __attribute__((vector_size(Q8_VECTOR)));
typedef int32_t vi __attribute__((vector_size(Q8_VECTOR)));
typedef uint32_t vu __attribute__((vector_size(Q8_VECTOR)));

enum { VF_LANES = Q8_VECTOR / 4 };

Q8_INLINE vf vf_load(const float *x) {
  vf v;
  memcpy(&v, x, sizeof v);
  return v;
}
Q8_INLINE void vf_store(float *y, vf v) {
  memcpy(y, &v, sizeof v);
}
/* The first n < VF_LANES values; the other lanes are 0. */
Q8_INLINE vf vf_load_part(const float *x, size_t n) {
  float part[VF_LANES] = {0};
  memcpy(part, x, n * sizeof *x);
  return vf_load(part);
}
Q8_INLINE void vf_store_part(float *y, vf v, size_t n) {
  float part[VF_LANES];
  vf_store(part, v);
  memcpy(y, part, n * sizeof *y);
}
Q8_INLINE vf vf_all(float x) {
  return x - (vf){0};
}
/* mask ? a : b in each lane */
Q8_INLINE vf vf_pick(vi mask, vf a, vf b) {
  return (vf)(((vi)a & mask) | ((vi)b & ~mask));
}
#ifndef Q8_MIN
#define Q8_MIN(a, b) vf_pick((a) < (b), a, b)
#define Q8_MAX(a, b) vf_pick((a) > (b), a, b)
#endif
/* v < lo ? lo : v > hi ? hi : v, NaN stays */
Q8_INLINE vf vf_clamp(vf v, float lo, float hi) {
  return Q8_MIN(vf_all(hi), Q8_MAX(vf_all(lo), v));
}
Q8_INLINE vf vf_abs(vf v) {
  return (vf)((vi)v & 0x7fffffff);
}
/* |v| with the sign of s */
Q8_INLINE vf vf_with_sign(vf v, vf s) {
  return (vf)(((vi)v & 0x7fffffff) | ((vi)s & (int32_t)0x80000000));
}

/* ---- Functions of one vector ---- */

/* e^x with a relative error below 2.5e-7: 2^k e^r, |r| <= ln(2) / 2, e^r by a polynomial of degree 6. 0 below -87.6, inf
 * above 88.3, where the exponent field of 2^k is all zeros or ones. */
Q8_INLINE vf vf_exp(vf x) {
  x = vf_clamp(x, -88.0f, 89.0f);
  vf shifted = x * 1.44269504f + 12582912.0f; /* 1.5 * 2^23: rounds to an integer in the low bits */
  vf k = shifted - 12582912.0f, r = (x - k * 0.693359375f) + k * 2.12194440e-4f;
  vf p = r * 1.38889e-3f + 8.33333e-3f;
  p = p * r + 4.16666679e-2f;
  p = p * r + 1.66666672e-1f;
  p = p * r + 0.5f;
  p = p * r * r + r + 1.0f;
  return p * (vf)(((vu)shifted + 127) << 23); /* k from the low bits of 0x4B400000 + k into the exponent field */
}

Q8_INLINE vf vf_exp_from(vf x, float a, float b) {
  (void)b;
  return vf_exp(x - a);
}
Q8_INLINE vf vf_sigmoid(vf x, float a, float b) {
  (void)a, (void)b;
  return 1.0f / (1.0f + vf_exp(-x));
}
Q8_INLINE vf vf_silu(vf x, float a, float b) {
  (void)a, (void)b;
  return x / (1.0f + vf_exp(-x));
}
Q8_INLINE vf vf_hard_sigmoid(vf x, float a, float b) {
  return vf_clamp(a * x + b, 0, 1);
}
Q8_INLINE vf vf_hard_swish(vf x, float a, float b) {
  (void)a, (void)b;
  return x * vf_clamp(x * (1.0f / 6) + 0.5f, 0, 1);
}

/* Within 2 units of the last place: an odd polynomial near 0, where 1 - 2 / (e^2x + 1) would cancel. */
Q8_INLINE vf vf_tanh(vf x, float a, float b) {
  (void)a, (void)b;
  vf z = x * x, p = z * -5.71706e-3f + 2.06506e-2f;
  p = p * z - 5.37435e-2f;
  p = p * z + 1.33314910e-1f;
  p = p * z - 3.33332840e-1f;
  vf large = 1.0f - 2.0f / (vf_exp(2.0f * vf_abs(x)) + 1.0f);
  return vf_pick(vf_abs(x) < 0.625f, x + x * z * p, vf_with_sign(large, x));
}

/* Within 2 units of the last place: an odd polynomial below 1; above, 1 - e^-q(x) with a polynomial q, up to 4, from where
 * on it is 1. */
Q8_INLINE vf vf_erf(vf x, float a, float b) {
  (void)a, (void)b;
  vf z = x * x, p = z * -5.6317536e-4f + 4.9176435e-3f;
  p = p * z - 2.6711404e-2f;
  p = p * z + 1.1280184e-1f;
  p = p * z - 3.7612328e-1f;
  p = p * z + 1.1283791f;
  vf t = Q8_MIN(vf_all(4), vf_abs(x)), q = t * -1.8638269e-4f + 2.9476916e-3f;
  q = q * t - 2.1838194e-2f;
  q = q * t + 1.0310701e-1f;
  q = q * t + 6.3814455e-1f;
  q = q * t + 1.1270894f;
  q = q * t + 3.4148208e-4f;
  return vf_pick(vf_abs(x) < 1.0f, x * p, vf_with_sign(1.0f - vf_exp(-q), x));
}
Q8_INLINE vf vf_gelu(vf x, float a, float b) {
  return 0.5f * x * (1.0f + vf_erf(x * 0.70710678f, a, b));
}
Q8_INLINE vf vf_gelu_tanh(vf x, float a, float b) {
  return 0.5f * x * (1.0f + vf_tanh(0.79788456f * (x + 0.044715f * x * x * x), a, b));
}

/* ---- Rows ---- */

/* n is a multiple of VF_LANES. */
Q8_INLINE void vf_map(size_t n, vf (*f)(vf, float, float), const q8_sunary *s, const float *x, float *y) {
  const float alpha = s->alpha, beta = s->beta; /* y may alias *s as far as the compiler knows */
  for (size_t i = 0; i < n; i += VF_LANES)
    vf_store(y + i, f(vf_load(x + i), alpha, beta));
}

static __attribute__((noinline)) void vf_unary(size_t n, const q8_sunary *f, const float *x, float *y) {
  switch (f->function) {
  case Q8_SUNARY_HARD_SIGMOID:
    vf_map(n, vf_hard_sigmoid, f, x, y);
    break;
  case Q8_SUNARY_HARD_SWISH:
    vf_map(n, vf_hard_swish, f, x, y);
    break;
  case Q8_SUNARY_SIGMOID:
    vf_map(n, vf_sigmoid, f, x, y);
    break;
  case Q8_SUNARY_SILU:
    vf_map(n, vf_silu, f, x, y);
    break;
  case Q8_SUNARY_TANH:
    vf_map(n, vf_tanh, f, x, y);
    break;
  case Q8_SUNARY_ERF:
    vf_map(n, vf_erf, f, x, y);
    break;
  case Q8_SUNARY_GELU:
    vf_map(n, vf_gelu, f, x, y);
    break;
  case Q8_SUNARY_EXP:
    vf_map(n, vf_exp_from, f, x, y);
    break;
  default:
    vf_map(n, vf_gelu_tanh, f, x, y);
  }
}

/* The last values take the same loop in a vector of their own, so that each function is there once. */
static void sunary(size_t n, const q8_sunary *f, const float *x, float *y) {
  const size_t rest = n % VF_LANES, whole = n - rest;
  vf_unary(whole, f, x, y);
  if (rest) {
    float part[VF_LANES] = {0};
    memcpy(part, x + whole, rest * sizeof *x);
    vf_unary(VF_LANES, f, part, part);
    memcpy(y + whole, part, rest * sizeof *y);
  }
}

Q8_INLINE vf vf_add(vf a, vf b) {
  return a + b;
}
Q8_INLINE vf vf_mul(vf a, vf b) {
  return a * b;
}

Q8_INLINE void vf_binary(vf (*f)(vf, vf), size_t rows, size_t n, const float *a, size_t a_stride, const float *b,
                         size_t b_stride, float *y, size_t y_stride) {
  for (size_t r = 0; r < rows; r++, a += a_stride, b += b_stride, y += y_stride) {
    size_t i = 0;
    for (; i + VF_LANES <= n; i += VF_LANES)
      vf_store(y + i, f(vf_load(a + i), vf_load(b + i)));
    if (i < n)
      vf_store_part(y + i, f(vf_load_part(a + i, n - i), vf_load_part(b + i, n - i)), n - i);
  }
}

static void sadd(size_t rows, size_t n, const float *a, size_t a_stride, const float *b, size_t b_stride, float *y,
                 size_t y_stride) {
  vf_binary(vf_add, rows, n, a, a_stride, b, b_stride, y, y_stride);
}
static void smul(size_t rows, size_t n, const float *a, size_t a_stride, const float *b, size_t b_stride, float *y,
                 size_t y_stride) {
  vf_binary(vf_mul, rows, n, a, a_stride, b, b_stride, y, y_stride);
}

/* Sums of `count` vectors of columns side by side; a constant in every caller. */
Q8_INLINE void vf_sum(size_t count, size_t rows, const float *x, size_t stride, float *y) {
  vf sum[4] = {{0}, {0}, {0}, {0}};
  for (size_t r = 0; r < rows; r++)
    Q8_UNROLL
    for (size_t v = 0; v < count; v++)
      sum[v] += vf_load(x + r * stride + v * VF_LANES);
  Q8_UNROLL
  for (size_t v = 0; v < count; v++)
    vf_store(y + v * VF_LANES, sum[v]);
}

typedef float vf4 __attribute__((vector_size(16)));

/* n < VF_LANES columns */
Q8_INLINE void vf_sum_few(size_t rows, size_t n, const float *x, size_t stride, float *y) {
  size_t c = 0;
  for (; c + 4 <= n; c += 4) {
    vf4 sum = {0}, v;
    for (size_t r = 0; r < rows; r++) {
      memcpy(&v, x + r * stride + c, sizeof v);
      sum += v;
    }
    memcpy(y + c, &sum, sizeof sum);
  }
  for (; c < n; c++) {
    float sum = 0;
    for (size_t r = 0; r < rows; r++)
      sum += x[r * stride + c];
    y[c] = sum;
  }
}

/* Four vectors side by side hide the latency of the additions; the last vector ends at the last column. */
static void ssum_rows(size_t rows, size_t n, const float *x, size_t stride, float *y) {
  size_t c = 0;
  if (n < VF_LANES) {
    vf_sum_few(rows, n, x, stride, y);
    return;
  }
  for (; c + 4 * VF_LANES <= n; c += 4 * VF_LANES)
    vf_sum(4, rows, x + c, stride, y + c);
  for (; c < n; c += VF_LANES) {
    const size_t at = c + VF_LANES <= n ? c : n - VF_LANES;
    vf_sum(1, rows, x + at, stride, y + at);
  }
}

#define Q8_SROWS_TABLES(isa, needs)                                                                                \
  const q8_sunary_kernel q8_##isa##_sunary[] = {{"sunary_" #isa, needs, sunary}, {0}};                              \
  const q8_sbinary_kernel q8_##isa##_sadd[] = {{"sadd_" #isa, needs, sadd}, {0}};                                   \
  const q8_sbinary_kernel q8_##isa##_smul[] = {{"smul_" #isa, needs, smul}, {0}};                                   \
  const q8_ssum_rows_kernel q8_##isa##_ssum_rows[] = {{"ssum_rows_" #isa, needs, ssum_rows}, {0}};

#endif
