/* eltwise.c - addition and multiplication of quantized values, 64 bytes at a time. */
#if defined(__AVX512F__) && defined(__AVX512BW__) && defined(__AVX512VL__) && defined(__AVX512DQ__)
#include "avx2/vec.h"
#include "vec.h"

typedef struct {
  __m512 a_scale, b_scale;
  quotient y_scale;
  __m512 a_zero, b_zero; /* plus 2^23: see dequantize64 */
  requant_bounds bounds;
  __m512i hi; /* bytes */
} binary_args;

/* 64 bytes in quad order: a byte below the upper half of 2^23 is the float 2^23 + byte. */
Q8_INLINE void subtract64(__m512i x, __m512 zero, __m512 out[4]) {
  const __m512i upper = _mm512_set1_epi16(0x4b00);
  const __m512i lo = _mm512_unpacklo_epi8(x, _mm512_setzero_si512());
  const __m512i hi = _mm512_unpackhi_epi8(x, _mm512_setzero_si512());
  const __m512i v[4] = {_mm512_unpacklo_epi16(lo, upper), _mm512_unpackhi_epi16(lo, upper),
                        _mm512_unpacklo_epi16(hi, upper), _mm512_unpackhi_epi16(hi, upper)};
  Q8_UNROLL
  for (int i = 0; i < 4; i++)
    out[i] = _mm512_sub_ps(_mm512_castsi512_ps(v[i]), zero);
}

Q8_INLINE void dequantize64(__m512i x, __m512 zero, __m512 scale, __m512 out[4]) {
  subtract64(x, zero, out);
  Q8_UNROLL
  for (int i = 0; i < 4; i++)
    out[i] = _mm512_mul_ps(out[i], scale);
}

/* Four registers of rounded quotients to bytes. */
Q8_INLINE __m512i narrow64(const __m512i t[4], const binary_args *g) {
  return _mm512_min_epu8(narrow_quad(t, &g->bounds), g->hi);
}

/* Quotients need no clamp before they are rounded, see is_moderate: bytes are clamped. */
Q8_INLINE __m512i finish64(const __m512 v[4], const binary_args *g) {
  __m512i t[4];
  Q8_UNROLL
  for (int i = 0; i < 4; i++)
    t[i] = _mm512_cvtps_epi32(divide_finite(v[i], &g->y_scale));
  return narrow64(t, g);
}

Q8_INLINE void combine(int multiply, const __m512 a[4], const __m512 b[4], __m512 v[4]) {
  if (multiply) {
    Q8_UNROLL
    for (int i = 0; i < 4; i++)
      v[i] = _mm512_mul_ps(a[i], b[i]);
  } else {
    Q8_UNROLL
    for (int i = 0; i < 4; i++)
      v[i] = _mm512_add_ps(a[i], b[i]);
  }
}

/* `multiply` is a constant in both callers: asking for each 64 bytes would cost 4 per cent. */
Q8_INLINE void binary_rows(int multiply, size_t rows, size_t n, const uint8_t *a, size_t a_stride, const uint8_t *b,
                           size_t b_stride, const binary_args *g, uint8_t *y, size_t y_stride) {
  for (size_t i = 0; i < rows; i++, a += a_stride, b += b_stride, y += y_stride)
    for (size_t c = 0; c < n; c += 64) {
      const __mmask64 m = first64(n - c);
      __m512 va[4], vb[4], v[4];
      dequantize64(_mm512_maskz_loadu_epi8(m, a + c), g->a_zero, g->a_scale, va);
      dequantize64(_mm512_maskz_loadu_epi8(m, b + c), g->b_zero, g->b_scale, vb);
      combine(multiply, va, vb, v);
      _mm512_mask_storeu_epi8(y + c, m, finish64(v, g));
    }
}

/* 64 columns of all rows with one row of b, which is dequantized once. */
static void binary_repeated(int multiply, size_t rows, size_t n, const uint8_t *a, size_t a_stride,
                               const uint8_t *b, const binary_args *g, uint8_t *y, size_t y_stride) {
  const __mmask64 m = first64(n);
  __m512 va[4], vb[4], v[4];
  dequantize64(_mm512_maskz_loadu_epi8(m, b), g->b_zero, g->b_scale, vb);
  for (size_t i = 0; i < rows; i++, a += a_stride, y += y_stride) {
    dequantize64(_mm512_maskz_loadu_epi8(m, a), g->a_zero, g->a_scale, va);
    combine(multiply, va, vb, v);
    _mm512_mask_storeu_epi8(y, m, finish64(v, g));
  }
}

/* 64 columns of all rows with one row of b, whose ratios stay in registers. */
static void mul_by_ratio(size_t rows, size_t n, const uint8_t *a, size_t a_stride, const uint8_t *b,
                            const float *ratio, const binary_args *g, uint8_t *y, size_t y_stride) {
  const __mmask64 m = first64(n);
  const __m512i zero = _mm512_setzero_si512(), x = _mm512_maskz_loadu_epi8(m, b);
  const __m512i lo = _mm512_unpacklo_epi8(x, zero), hi = _mm512_unpackhi_epi8(x, zero);
  const __m512 r[4] = {_mm512_i32gather_ps(_mm512_unpacklo_epi16(lo, zero), ratio, 4),
                       _mm512_i32gather_ps(_mm512_unpackhi_epi16(lo, zero), ratio, 4),
                       _mm512_i32gather_ps(_mm512_unpacklo_epi16(hi, zero), ratio, 4),
                       _mm512_i32gather_ps(_mm512_unpackhi_epi16(hi, zero), ratio, 4)};
  for (size_t i = 0; i < rows; i++, a += a_stride, y += y_stride) {
    __m512 v[4];
    __m512i t[4];
    subtract64(_mm512_maskz_loadu_epi8(m, a), g->a_zero, v);
    Q8_UNROLL
    for (int j = 0; j < 4; j++)
      t[j] = _mm512_cvtps_epi32(_mm512_mul_ps(v[j], r[j]));
    _mm512_mask_storeu_epi8(y, m, narrow64(t, g));
  }
}

/* Whether no quotient can leave the range of int32. */
static int is_moderate(int multiply, const q8_binary *p) {
  float a = 255.0f * p->a_scale, b = 255.0f * (p->b_scale < 0 ? -p->b_scale : p->b_scale);
  float largest = multiply ? a * b : a + b; /* infinity and NaN are not less */
  return quotient_is_fast(p->y_scale) && largest < 0x1p30f * p->y_scale;
}

/* Other quotients, of scales far apart, are left to the kernels of avx2. */
static void binary(int multiply, size_t rows, size_t n, const uint8_t *a, size_t a_stride, const uint8_t *b,
                   size_t b_stride, const q8_binary *p, uint8_t *y, size_t y_stride) {
  if (!is_moderate(multiply, p)) {
    (multiply ? q8_avx2_mul : q8_avx2_add)(rows, n, a, a_stride, b, b_stride, p, y, y_stride);
    return;
  }
  const binary_args g = {_mm512_set1_ps(p->a_scale),
                         _mm512_set1_ps(p->b_scale),
                         quotient_of(p->y_scale),
                         _mm512_set1_ps(0x1p23f + (float)p->a_zero),
                         _mm512_set1_ps(0x1p23f + (float)p->b_zero),
                         bounds_of(p->y_zero, p->lo, p->hi),
                         _mm512_set1_epi8((char)p->hi)};
  if (multiply && p->ratio && b_stride == 0 && rows > 1) {
    for (size_t c = 0; c < n; c += 64)
      mul_by_ratio(rows, n - c, a + c, a_stride, b + c, p->ratio, &g, y + c, y_stride);
    return;
  }
  if (b_stride == 0 && rows > 1) {
    for (size_t c = 0; c < n; c += 64)
      binary_repeated(multiply, rows, n - c, a + c, a_stride, b + c, &g, y + c, y_stride);
    return;
  }
  if (multiply)
    binary_rows(1, rows, n, a, a_stride, b, b_stride, &g, y, y_stride);
  else
    binary_rows(0, rows, n, a, a_stride, b, b_stride, &g, y, y_stride);
}

void q8_avx512bw_add(size_t rows, size_t n, const uint8_t *a, size_t a_stride, const uint8_t *b, size_t b_stride,
                const q8_binary *p, uint8_t *y, size_t y_stride) {
  binary(0, rows, n, a, a_stride, b, b_stride, p, y, y_stride);
}

void q8_avx512bw_mul(size_t rows, size_t n, const uint8_t *a, size_t a_stride, const uint8_t *b, size_t b_stride,
                const q8_binary *p, uint8_t *y, size_t y_stride) {
  binary(1, rows, n, a, a_stride, b, b_stride, p, y, y_stride);
}
#endif
