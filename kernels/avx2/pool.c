/* pool.c - reductions over rows. Both overwrite their result, so a tail may be a full vector that ends at n
 * and computes some columns twice; only rows shorter than a vector go column by column. */
#include "kernel.h"

#if defined(__AVX2__) && defined(__FMA__)
#include "vec.h"

/* Columns c .. c + 32 nv - 1. */
Q8_INLINE void max_columns(size_t nv, size_t taps, size_t c, const uint8_t *const *a, uint8_t *y) {
  __m256i best[4];
  Q8_UNROLL
  for (size_t j = 0; j < nv; j++)
    best[j] = _mm256_setzero_si256();
  for (size_t t = 0; t < taps; t++) {
    Q8_UNROLL
    for (size_t j = 0; j < nv; j++)
      best[j] = _mm256_max_epu8(best[j], _mm256_loadu_si256((const __m256i *)(a[t] + c) + j));
  }
  Q8_UNROLL
  for (size_t j = 0; j < nv; j++)
    _mm256_storeu_si256((__m256i *)(y + c) + j, best[j]);
}

static void max_columns16(size_t taps, size_t c, const uint8_t *const *a, uint8_t *y) {
  __m128i best = _mm_setzero_si128();
  for (size_t t = 0; t < taps; t++)
    best = _mm_max_epu8(best, _mm_loadu_si128((const __m128i *)(a[t] + c)));
  _mm_storeu_si128((__m128i *)(y + c), best);
}

void q8_avx2_max_rows(size_t taps, size_t n, const uint8_t *const *a, uint8_t *y) {
  size_t c = 0;
  if (n < 16) {
    for (; c < n; c++) {
      y[c] = 0;
      for (size_t t = 0; t < taps; t++)
        y[c] = a[t][c] > y[c] ? a[t][c] : y[c];
    }
    return;
  }
  for (; c + 128 <= n; c += 128)
    max_columns(4, taps, c, a, y);
  for (; c + 32 <= n; c += 32)
    max_columns(1, taps, c, a, y);
  for (; c + 16 <= n; c += 16)
    max_columns16(taps, c, a, y);
  if (c < n)
    max_columns16(taps, n - 16, a, y);
}

Q8_INLINE __m256i load_words(const uint8_t *x) {
  return _mm256_cvtepu8_epi16(_mm_loadu_si128((const __m128i *)x));
}

/* 16 columns: 16-bit sums of up to 257 rows cannot overflow, then they are added to 32-bit ones. */
static void sum_columns(size_t taps, const uint8_t *a, size_t stride, int32_t *acc) {
  __m256i low = _mm256_setzero_si256(), high = low;
  while (taps > 0) {
    __m256i words = _mm256_setzero_si256();
    size_t left = taps < 257 ? taps : 257;
    taps -= left;
    for (; left > 1; left -= 2, a += 2 * stride) { /* clang would add one row after the other */
      __m256i pair = _mm256_add_epi16(load_words(a), load_words(a + stride));
      q8_avx2_keep(&pair);
      words = _mm256_add_epi16(words, pair);
    }
    for (; left > 0; left--, a += stride)
      words = _mm256_add_epi16(words, load_words(a));
    low = _mm256_add_epi32(low, _mm256_cvtepu16_epi32(_mm256_castsi256_si128(words)));
    high = _mm256_add_epi32(high, _mm256_cvtepu16_epi32(_mm256_extracti128_si256(words, 1)));
  }
  _mm256_storeu_si256((__m256i *)acc, low);
  _mm256_storeu_si256((__m256i *)(acc + 8), high);
}

void q8_avx2_sum_rows(size_t taps, size_t n, const uint8_t *a, size_t stride, int32_t *acc) {
  size_t c = 0;
  if (n < 16) {
    for (; c < n; c++) {
      acc[c] = 0;
      for (size_t t = 0; t < taps; t++)
        acc[c] += a[t * stride + c];
    }
    return;
  }
  for (; c + 16 <= n; c += 16)
    sum_columns(taps, a + c, stride, acc + c);
  if (c < n)
    sum_columns(taps, a + n - 16, stride, acc + n - 16);
}
#endif
