/* eltwise.c - table lookup, addition and multiplication of quantized values, 64 bytes at a time. */
#if defined(__AVX512VNNI__) && defined(__AVX512BW__) && defined(__AVX512VL__) && defined(__AVX512DQ__)
#include "vec.h"

static void table(size_t n, const uint8_t *x, const uint8_t *entries, uint8_t *y) {
  size_t i = 0;
  for (; i + 64 <= n; i += 64)
    _mm512_storeu_si512(y + i, lookup(_mm512_loadu_si512(x + i), entries));
  if (i < n) {
    __mmask64 m = first64(n - i);
    _mm512_mask_storeu_epi8(y + i, m, lookup(_mm512_maskz_loadu_epi8(m, x + i), entries));
  }
}

typedef struct {
  __m512 a_scale, b_scale, y_scale;
  __m512i a_zero, b_zero;
  requant_bounds bounds;
} binary_args;

Q8_INLINE __m512 dequantize16(__m512i bytes, int i, __m512i zero, __m512 scale) {
  __m512i v = _mm512_cvtepu8_epi32(i == 0   ? _mm512_castsi512_si128(bytes)
                                   : i == 1 ? _mm512_extracti32x4_epi32(bytes, 1)
                                   : i == 2 ? _mm512_extracti32x4_epi32(bytes, 2)
                                            : _mm512_extracti32x4_epi32(bytes, 3));
  return _mm512_mul_ps(_mm512_cvtepi32_ps(_mm512_sub_epi32(v, zero)), scale);
}

/* `multiply` is a constant in both callers. */
Q8_INLINE __m512i binary64(int multiply, __m512i a, __m512i b, const binary_args *g) {
  __m512i t[4];
  Q8_UNROLL
  for (int i = 0; i < 4; i++) {
    __m512 va = dequantize16(a, i, g->a_zero, g->a_scale), vb = dequantize16(b, i, g->b_zero, g->b_scale);
    __m512 v = multiply ? _mm512_mul_ps(va, vb) : _mm512_add_ps(va, vb);
    t[i] = round_below(_mm512_div_ps(v, g->y_scale), &g->bounds);
  }
  return narrow_plain(t, &g->bounds);
}

Q8_INLINE void binary(int multiply, size_t rows, size_t n, const uint8_t *a, size_t a_stride,
                      const uint8_t *b, size_t b_stride, const q8_binary *p, uint8_t *y, size_t y_stride) {
  const binary_args g = {_mm512_set1_ps(p->a_scale),   _mm512_set1_ps(p->b_scale),
                         _mm512_set1_ps(p->y_scale),   _mm512_set1_epi32(p->a_zero),
                         _mm512_set1_epi32(p->b_zero), bounds_of(p->y_zero, p->lo, p->hi)};
  for (size_t i = 0; i < rows; i++, a += a_stride, b += b_stride, y += y_stride)
    for (size_t c = 0; c < n; c += 64) {
      __mmask64 m = first64(n - c);
      __m512i t =
          binary64(multiply, _mm512_maskz_loadu_epi8(m, a + c), _mm512_maskz_loadu_epi8(m, b + c), &g);
      _mm512_mask_storeu_epi8(y + c, m, p->table ? lookup(t, p->table) : t);
    }
}

static void add(size_t rows, size_t n, const uint8_t *a, size_t a_stride, const uint8_t *b, size_t b_stride,
                const q8_binary *p, uint8_t *y, size_t y_stride) {
  binary(0, rows, n, a, a_stride, b, b_stride, p, y, y_stride);
}

static void mul(size_t rows, size_t n, const uint8_t *a, size_t a_stride, const uint8_t *b, size_t b_stride,
                const q8_binary *p, uint8_t *y, size_t y_stride) {
  binary(1, rows, n, a, a_stride, b, b_stride, p, y, y_stride);
}

const q8_table_kernel q8_avx512vnni_table[] = {{"table_avx512vnni", Q8_NEEDS_AVX512, table}, {0}};
const q8_binary_kernel q8_avx512vnni_add[] = {{"add_avx512vnni", Q8_NEEDS_AVX512, add}, {0}};
const q8_binary_kernel q8_avx512vnni_mul[] = {{"mul_avx512vnni", Q8_NEEDS_AVX512, mul}, {0}};
#endif
