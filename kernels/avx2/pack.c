/* pack.c - int8 weights into panels of int16 pairs. Pairs are transposed as 16-bit words, while they are half as large,
 * and widened on their way out. As in transpose.c the last blocks end at the last row and pair. Rows to int16. */
#include "kernel.h"

#if defined(__AVX2__) && defined(__FMA__)
#include "vec.h"

/* Pairs 0-7 of rows 0-7 from each lane: three rounds of interleaving row i with row i + 4 rotate the index bits (row, pair)
 * by three. */
Q8_INLINE void transpose_pairs(__m256i a[8]) {
  __m256i b[8];
  Q8_UNROLL
  for (size_t round = 0; round < 3; round++) {
    Q8_UNROLL
    for (size_t i = 0; i < 4; i++) {
      b[2 * i] = _mm256_unpacklo_epi16(a[i], a[i + 4]);
      b[2 * i + 1] = _mm256_unpackhi_epi16(a[i], a[i + 4]);
    }
    Q8_UNROLL
    for (size_t i = 0; i < 8; i++)
      a[i] = b[i];
  }
}

/* 8 rows of 16 pairs: the first eight in the low lanes. */
static void block16(const int8_t *x, size_t x_stride, int16_t *y, size_t y_stride) {
  __m256i a[8];
  Q8_UNROLL
  for (size_t i = 0; i < 8; i++)
    a[i] = _mm256_loadu_si256((const __m256i *)(const void *)(x + i * x_stride));
  transpose_pairs(a);
  Q8_UNROLL
  for (size_t i = 0; i < 8; i++) {
    int16_t *low = y + 2 * i * y_stride, *high = low + 16 * y_stride;
    _mm256_storeu_si256((__m256i *)(void *)low, _mm256_cvtepi8_epi16(_mm256_castsi256_si128(a[i])));
    _mm256_storeu_si256((__m256i *)(void *)high, _mm256_cvtepi8_epi16(_mm256_extracti128_si256(a[i], 1)));
  }
}

/* 8 rows of 8 pairs; the high lanes are not used. */
static void block8(const int8_t *x, size_t x_stride, int16_t *y, size_t y_stride) {
  __m256i a[8];
  Q8_UNROLL
  for (size_t i = 0; i < 8; i++)
    a[i] = _mm256_castsi128_si256(_mm_loadu_si128((const __m128i *)(const void *)(x + i * x_stride)));
  transpose_pairs(a);
  Q8_UNROLL
  for (size_t i = 0; i < 8; i++)
    _mm256_storeu_si256((__m256i *)(void *)(y + 2 * i * y_stride), _mm256_cvtepi8_epi16(_mm256_castsi256_si128(a[i])));
}

void q8_avx2_pack_pairs(size_t rows, size_t pairs, const int8_t *x, size_t x_stride, int16_t *y, size_t y_stride) {
  if (rows < 8 || pairs < 8) {
    for (size_t p = 0; p < pairs; p++)
      for (size_t r = 0; r < rows; r++)
        for (size_t e = 0; e < 2; e++)
          y[2 * (p * y_stride + r) + e] = x[r * x_stride + 2 * p + e];
    return;
  }
  for (size_t r = 0; r < rows; r += r + 16 <= rows || r + 8 == rows ? 8 : rows - 8 - r) {
    const int8_t *from = x + r * x_stride;
    int16_t *to = y + 2 * r;
    size_t p = 0;
    for (; p + 16 <= pairs; p += 16)
      block16(from + 2 * p, x_stride, to + 2 * p * y_stride, y_stride);
    for (; p < pairs; p += 8) {
      p = p + 8 <= pairs ? p : pairs - 8;
      block8(from + 2 * p, x_stride, to + 2 * p * y_stride, y_stride);
    }
  }
}

/* The last 16 end at the last value. */
void q8_avx2_widen(size_t n, const uint8_t *x, int16_t *y) {
  if (n < 16) {
    for (size_t i = 0; i < n; i++)
      y[i] = x[i];
    return;
  }
  for (size_t i = 0; i < n; i += 16) {
    const size_t at = i + 16 <= n ? i : n - 16;
    const __m128i bytes = _mm_loadu_si128((const __m128i *)(const void *)(x + at));
    _mm256_storeu_si256((__m256i *)(void *)(y + at), _mm256_cvtepu8_epi16(bytes));
  }
}
#endif
