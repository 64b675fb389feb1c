/* srows.h - the families of float rows, for vectors of any width: one source, so that every ISA does the same operations.
 *
 * An ISA folder defines Q8_VECTOR, the bytes of its vectors, includes this and lists the functions in its tables. Only
 * +, -, *, / and comparisons are used, one rounding each: the same bits everywhere. Optionally Q8_MIN(a, b) and
 * Q8_MAX(a, b), exactly a < b ? a : b and a > b ? a : b (as minps and maxps are). */
#ifndef Q8_SROWS_H
#define Q8_SROWS_H

#include "kernel.h"
#include <math.h>
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

/* e^x with a relative error below 2.5e-7: 2^k e^r, |r| <= ln(2) / 2, e^r by a polynomial of degree 6. 2^128 is no float:
 * 2^(k-1) times 2 e^r reaches the largest one. 0 below -86.99, where the exponent field of 2^(k-1) is all zeros. */
Q8_INLINE vf vf_exp(vf x) {
  x = vf_clamp(x, -87.3f, 89.0f);
  vf shifted = x * 1.44269504f + 12582912.0f; /* 1.5 * 2^23: rounds to an integer in the low bits */
  vf k = shifted - 12582912.0f, r = (x - k * 0.693359375f) + k * 2.12194440e-4f;
  vf p = r * 1.38889e-3f + 8.33333e-3f;
  p = p * r + 4.16666679e-2f;
  p = p * r + 1.66666672e-1f;
  p = p * r + 0.5f;
  p = p * r * r + r + 1.0f;
  return (p + p) * (vf)(((vu)shifted + 126) << 23); /* k from the low bits of 0x4B400000 + k into the exponent field */
}

/* Functions that differ only at their ends share a body: which one it is does not change in a row. */
typedef q8_sunary_function vf_which;

Q8_INLINE vf vf_exp_or_elu(vf x, vf_which which, float a, float b) {
  (void)b;
  vf t = x;
  if (which == Q8_SUNARY_EXP)
    t = x - a;
  t = vf_exp(t);
  return which == Q8_SUNARY_EXP ? t : vf_pick(x < 0, a * (t - 1.0f), x);
}
Q8_INLINE vf vf_sigmoid_or_silu(vf x, vf_which which, float a, float b) {
  (void)a, (void)b;
  vf top = vf_all(1);
  if (which == Q8_SUNARY_SILU)
    top = x;
  return top / (1.0f + vf_exp(-x));
}
Q8_INLINE vf vf_hard_sigmoid(vf x, vf_which which, float a, float b) {
  (void)which;
  return vf_clamp(a * x + b, 0, 1);
}
Q8_INLINE vf vf_hard_swish(vf x, vf_which which, float a, float b) {
  (void)which, (void)a, (void)b;
  return x * vf_clamp(x * (1.0f / 6) + 0.5f, 0, 1);
}

/* Within 2 units of the last place: an odd polynomial near 0, where 1 - 2 / (e^2x + 1) would cancel. */
Q8_INLINE vf vf_tanh(vf x) {
  vf z = x * x, p = z * -5.71706e-3f + 2.06506e-2f;
  p = p * z - 5.37435e-2f;
  p = p * z + 1.33314910e-1f;
  p = p * z - 3.33332840e-1f;
  vf large = 1.0f - 2.0f / (vf_exp(2.0f * vf_abs(x)) + 1.0f);
  return vf_pick(vf_abs(x) < 0.625f, x + x * z * p, vf_with_sign(large, x));
}
Q8_INLINE vf vf_tanh_or_gelu(vf x, vf_which which, float a, float b) {
  (void)a, (void)b;
  vf t = x;
  if (which != Q8_SUNARY_TANH)
    t = 0.79788456f * (x + 0.044715f * x * x * x);
  t = vf_tanh(t);
  return which == Q8_SUNARY_TANH ? t : 0.5f * x * (1.0f + t);
}

/* Within 2 units of the last place: an odd polynomial below 1; above, 1 - e^-q(x) with a polynomial q, up to 4, from where
 * on it is 1. */
Q8_INLINE vf vf_erf(vf x) {
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
Q8_INLINE vf vf_erf_or_gelu(vf x, vf_which which, float a, float b) {
  (void)a, (void)b;
  vf t = x;
  if (which == Q8_SUNARY_GELU)
    t = x * 0.70710678f;
  t = vf_erf(t);
  return which == Q8_SUNARY_GELU ? 0.5f * x * (1.0f + t) : t;
}

/* log((1 + s) / (1 - s)) = 2 (s + s^3 / 3 + s^5 / 5 + ...), |s| <= 1/3: the first term left out is below 2^-29 of the sum. */
Q8_INLINE vf vf_log_ratio(vf s) {
  vf z = s * s, p = z * (2.0f / 15) + 2.0f / 13;
  p = p * z + 2.0f / 11;
  p = p * z + 2.0f / 9;
  p = p * z + 2.0f / 7;
  p = p * z + 2.0f / 5;
  p = p * z + 2.0f / 3;
  return p * z * s + 2.0f * s;
}
/* Logarithm: x = 2^k m, m from sqrt(1/2) to sqrt(2): log(x) = k log(2) + log(m), whose ratio is (m - 1) / (m + 1).
 * Softplus: max(x, 0) + log(1 + e^-|x|), whose ratio is e / (2 + e). */
Q8_INLINE vf vf_log_or_softplus(vf x, vf_which which, float a, float b) {
  (void)a, (void)b;
  vf e, numerator, denominator;
  if (which == Q8_SUNARY_LOG) {
    vi tiny = x < 0x1p-126f;
    vf y = vf_pick(tiny, x * 0x1p24f, x);
    vi k = ((vi)y - 0x3f3504f3) >> 23;
    vf m = (vf)((vi)y - (k << 23));
    e = (vf)(k - (tiny & 24) + 0x4b400000) - 12582912.0f;
    numerator = m - 1.0f;
    denominator = m + 1.0f;
  } else {
    e = numerator = vf_exp(-vf_abs(x));
    denominator = 2.0f + e;
  }
  vf r = vf_log_ratio(numerator / denominator);
  if (which != Q8_SUNARY_LOG)
    return Q8_MAX(vf_all(0), x) + r;
  r = e * 0.693359375f + (r - e * 2.12194440e-4f);
  r = vf_pick(x == INFINITY, x, r);
  r = vf_pick(x == 0, vf_all(-INFINITY), r);
  return vf_pick(x >= 0, r, vf_all(NAN));
}

/* ---- Rows ---- */

/* n >= VF_LANES. The last vector ends at the last value; it is read before a result is written over it. */
Q8_INLINE void vf_map(size_t n, vf (*f)(vf, vf_which, float, float), const q8_sunary *s, const float *x, float *y) {
  const float alpha = s->alpha, beta = s->beta; /* y may alias *s as far as the compiler knows */
  const vf_which which = s->function;
  const size_t end = n - VF_LANES;
  const vf last = vf_load(x + end);
  vf v = vf_load(x);
  for (size_t at = 0;;) {
    vf_store(y + at, f(v, which, alpha, beta));
    at += VF_LANES;
    if (__builtin_expect(at <= end, 1)) { /* or clang 14 jumps once more for each vector */
      v = vf_load(x + at);
    } else if (at < n) {
      v = last;
      at = end;
    } else {
      break;
    }
  }
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
  case Q8_SUNARY_SILU:
    vf_map(n, vf_sigmoid_or_silu, f, x, y);
    break;
  case Q8_SUNARY_ERF:
  case Q8_SUNARY_GELU:
    vf_map(n, vf_erf_or_gelu, f, x, y);
    break;
  case Q8_SUNARY_EXP:
  case Q8_SUNARY_ELU:
    vf_map(n, vf_exp_or_elu, f, x, y);
    break;
  case Q8_SUNARY_LOG:
  case Q8_SUNARY_SOFTPLUS:
    vf_map(n, vf_log_or_softplus, f, x, y);
    break;
  default:
    vf_map(n, vf_tanh_or_gelu, f, x, y);
  }
}

static void sunary(size_t n, const q8_sunary *f, const float *x, float *y) {
  if (n >= VF_LANES) {
    vf_unary(n, f, x, y);
    return;
  }
  float part[VF_LANES] = {0};
  memcpy(part, x, n * sizeof *x);
  vf_unary(VF_LANES, f, part, part);
  memcpy(y, part, n * sizeof *y);
}

Q8_INLINE vf vf_add(vf a, vf b) {
  return a + b;
}
Q8_INLINE vf vf_mul(vf a, vf b) {
  return a * b;
}

/* One row. Four vectors share the loop's own instructions, of which clang 14 has twice as many as gcc 12. The last vector
 * ends at the last value; it is read before a result is written over it. */
Q8_INLINE void vf_binary_row(vf (*f)(vf, vf), size_t n, const float *a, const float *b, float *y) {
  const size_t at = n - VF_LANES;
  vf last = {0};
  if (n % VF_LANES != 0)
    last = f(vf_load(a + at), vf_load(b + at));
  size_t i = 0;
  for (; i + 4 * VF_LANES <= n; i += 4 * VF_LANES) {
    Q8_UNROLL
    for (size_t v = 0; v < 4 * VF_LANES; v += VF_LANES)
      vf_store(y + i + v, f(vf_load(a + i + v), vf_load(b + i + v)));
  }
  for (; i <= at; i += VF_LANES)
    vf_store(y + i, f(vf_load(a + i), vf_load(b + i)));
  if (i < n)
    vf_store(y + at, last);
}

Q8_INLINE void vf_binary(vf (*f)(vf, vf), size_t rows, size_t n, const float *a, size_t a_stride, const float *b,
                         size_t b_stride, float *y, size_t y_stride) {
  if (a_stride == n && b_stride == n && y_stride == n) {
    n *= rows;
    rows = 1;
  }
  for (size_t r = 0; r < rows; r++, a += a_stride, b += b_stride, y += y_stride) {
    if (n >= VF_LANES)
      vf_binary_row(f, n, a, b, y);
    else
      for (size_t i = 0; i < n; i++)
        y[i] = f(vf_all(a[i]), vf_all(b[i]))[0];
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
  for (; rows > 0; rows--, x += stride) {
    Q8_UNROLL
    for (size_t v = 0; v < count; v++)
      sum[v] += vf_load(x + v * VF_LANES);
  }
  Q8_UNROLL
  for (size_t v = 0; v < count; v++)
    vf_store(y + v * VF_LANES, sum[v]);
}

typedef float vf4 __attribute__((vector_size(16)));

/* n < VF_LANES columns */
static Q8_NOINLINE void vf_sum_few(size_t rows, size_t n, const float *x, size_t stride, float *y) {
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

#define Q8_SROWS(isa)                                                                                              \
  void q8_##isa##_sunary(size_t n, const q8_sunary *f, const float *x, float *y) {                                 \
    sunary(n, f, x, y);                                                                                            \
  }                                                                                                                \
  void q8_##isa##_sadd(size_t rows, size_t n, const float *a, size_t a_stride, const float *b, size_t b_stride,    \
                       float *y, size_t y_stride) {                                                                \
    sadd(rows, n, a, a_stride, b, b_stride, y, y_stride);                                                          \
  }                                                                                                                \
  void q8_##isa##_smul(size_t rows, size_t n, const float *a, size_t a_stride, const float *b, size_t b_stride,    \
                       float *y, size_t y_stride) {                                                                \
    smul(rows, n, a, a_stride, b, b_stride, y, y_stride);                                                          \
  }                                                                                                                \
  void q8_##isa##_ssum_rows(size_t rows, size_t n, const float *x, size_t stride, float *y) {                      \
    ssum_rows(rows, n, x, stride, y);                                                                              \
  }

#endif
