/* eltwise.c - addition and multiplication of quantized values. */
#include "kernel.h"

#if defined(__AVX2__) && defined(__FMA__)
#include "vec.h"

typedef struct binary_state {
  __m256 a_scale, b_scale, y_scale;
  __m256i a_zero, b_zero;
  q8_avx2_rounding rounding;
} binary_state;

Q8_INLINE binary_state binary_state_of(const q8_binary *p) {
  binary_state s = {_mm256_set1_ps(p->a_scale),   _mm256_set1_ps(p->b_scale),
                    _mm256_set1_ps(p->y_scale),   _mm256_set1_epi32(p->a_zero),
                    _mm256_set1_epi32(p->b_zero), q8_avx2_rounding_of(p->y_zero, p->lo, p->hi)};
  return s;
}

/* 8 values; every step is one f32 operation, as in the scalar kernel. */
Q8_INLINE __m256i binary8(int multiply, __m256i a, __m256i b, const binary_state *s) {
  __m256 va = _mm256_mul_ps(_mm256_cvtepi32_ps(_mm256_sub_epi32(a, s->a_zero)), s->a_scale);
  __m256 vb = _mm256_mul_ps(_mm256_cvtepi32_ps(_mm256_sub_epi32(b, s->b_zero)), s->b_scale);
  __m256 v = multiply ? _mm256_mul_ps(va, vb) : _mm256_add_ps(va, vb);
  return q8_avx2_round(_mm256_div_ps(v, s->y_scale), &s->rounding);
}

Q8_INLINE void binary_row(int multiply, size_t n, const uint8_t *a, const uint8_t *b, const binary_state *s,
                          uint8_t *y) {
  size_t c = 0;
  for (; c + 16 <= n; c += 16) {
    __m256i t0 = binary8(multiply, q8_avx2_load_u8(a + c), q8_avx2_load_u8(b + c), s);
    __m256i t1 = binary8(multiply, q8_avx2_load_u8(a + c + 8), q8_avx2_load_u8(b + c + 8), s);
    _mm_storeu_si128((__m128i *)(y + c), q8_avx2_pack16(t0, t1, &s->rounding));
  }
  for (; c < n; c += 8) {
    size_t m = n - c < 8 ? n - c : 8;
    __m256i va = _mm256_cvtepu8_epi32(q8_avx2_load_bytes(a + c, m));
    __m256i vb = _mm256_cvtepu8_epi32(q8_avx2_load_bytes(b + c, m));
    q8_avx2_store_bytes(y + c, q8_avx2_pack8(binary8(multiply, va, vb, s), &s->rounding), m);
  }
}

static void binary(int multiply, size_t rows, size_t n, const uint8_t *a, size_t a_stride,
                      const uint8_t *b, size_t b_stride, const q8_binary *p, uint8_t *y, size_t y_stride) {
  binary_state s = binary_state_of(p);
  for (size_t i = 0; i < rows; i++)
    binary_row(multiply, n, a + i * a_stride, b + i * b_stride, &s, y + i * y_stride);
}

#define RATIOS 256 /* columns whose ratios are looked up at a time */

/* n <= RATIOS columns of all rows with one row of b. */
static void mul_by_ratio(size_t rows, size_t n, const uint8_t *a, size_t a_stride, const uint8_t *b,
                         const q8_binary *p, uint8_t *y, size_t y_stride) {
  const binary_state s = binary_state_of(p);
  float ratio[RATIOS + 16] = {0};
  for (size_t c = 0; c < n; c++)
    ratio[c] = p->ratio[b[c]];
  for (size_t i = 0; i < rows; i++, a += a_stride, y += y_stride)
    for (size_t c = 0; c < n; c += 16) {
      const size_t m = n - c < 16 ? n - c : 16;
      const __m128i x = m < 16 ? q8_avx2_load_bytes(a + c, m) : _mm_loadu_si128((const __m128i *)(a + c));
      const __m256i a0 = _mm256_cvtepu8_epi32(x), a1 = _mm256_cvtepu8_epi32(_mm_unpackhi_epi64(x, x));
      const __m256 v0 = _mm256_cvtepi32_ps(_mm256_sub_epi32(a0, s.a_zero));
      const __m256 v1 = _mm256_cvtepi32_ps(_mm256_sub_epi32(a1, s.a_zero));
      const __m256i t0 = q8_avx2_round(_mm256_mul_ps(v0, _mm256_loadu_ps(ratio + c)), &s.rounding);
      const __m256i t1 = q8_avx2_round(_mm256_mul_ps(v1, _mm256_loadu_ps(ratio + c + 8)), &s.rounding);
      const __m128i t = q8_avx2_pack16(t0, t1, &s.rounding);
      if (m < 16)
        q8_avx2_store_bytes(y + c, t, m);
      else
        _mm_storeu_si128((__m128i *)(y + c), t);
    }
}

void q8_avx2_add(size_t rows, size_t n, const uint8_t *a, size_t a_stride, const uint8_t *b, size_t b_stride,
                const q8_binary *p, uint8_t *y, size_t y_stride) {
  binary(0, rows, n, a, a_stride, b, b_stride, p, y, y_stride);
}

void q8_avx2_mul(size_t rows, size_t n, const uint8_t *a, size_t a_stride, const uint8_t *b, size_t b_stride,
                const q8_binary *p, uint8_t *y, size_t y_stride) {
  if (!p->ratio || b_stride != 0 || rows == 1) {
    binary(1, rows, n, a, a_stride, b, b_stride, p, y, y_stride);
    return;
  }
  for (size_t c = 0; c < n; c += RATIOS)
    mul_by_ratio(rows, n - c < RATIOS ? n - c : RATIOS, a + c, a_stride, b + c, p, y + c, y_stride);
}
#endif
