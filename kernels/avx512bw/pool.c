/* pool.c - reductions over rows: the cores of max and average pooling. */
#if defined(__AVX512F__) && defined(__AVX512BW__) && defined(__AVX512VL__) && defined(__AVX512DQ__)
#include "vec.h"

void q8_avx512bw_max_rows(size_t taps, size_t n, const uint8_t *const *a, uint8_t *y) {
  for (size_t c = 0; c < n; c += 64) {
    __mmask64 m = first64(n - c);
    __m512i v = _mm512_setzero_si512();
    for (size_t t = 0; t < taps; t++)
      v = _mm512_max_epu8(v, _mm512_maskz_loadu_epi8(m, a[t] + c));
    _mm512_mask_storeu_epi8(y + c, m, v);
  }
}

/* 64 columns of at most 257 rows, summed in 16 bits: even columns and odd ones. */
Q8_INLINE void sum_block(size_t taps, __mmask64 m, const uint8_t *a, size_t stride, __m512i *even,
                         __m512i *odd) {
  *even = *odd = _mm512_setzero_si512();
  for (size_t t = 0; t < taps; t++, a += stride) {
    __m512i x = _mm512_maskz_loadu_epi8(m, a);
    *even = _mm512_add_epi16(*even, _mm512_and_si512(x, _mm512_set1_epi16(255)));
    *odd = _mm512_add_epi16(*odd, _mm512_srli_epi16(x, 8));
  }
}

/* Columns 16 l + 4 v + e, v = 0 .. 3, of a block are the quad order: words (even, odd) of the columns of one
 * 128-bit lane are unpacked to columns 0..7 and 8..15 of that lane, then to int32. */
Q8_INLINE void widen(__m512i even, __m512i odd, __m512i quad[4]) {
  const __m512i zero = _mm512_setzero_si512();
  __m512i lo = _mm512_unpacklo_epi16(even, odd), hi = _mm512_unpackhi_epi16(even, odd);
  quad[0] = _mm512_unpacklo_epi16(lo, zero);
  quad[1] = _mm512_unpackhi_epi16(lo, zero);
  quad[2] = _mm512_unpacklo_epi16(hi, zero);
  quad[3] = _mm512_unpackhi_epi16(hi, zero);
}

void q8_avx512bw_sum_rows(size_t taps, size_t n, const uint8_t *a, size_t stride, int32_t *acc) {
  enum { BLOCK = 257 }; /* 257 * 255 = 65535 */
  for (size_t c = 0; c < n; c += 64) {
    __mmask64 m = first64(n - c);
    __m512i sum[4] = {_mm512_setzero_si512(), _mm512_setzero_si512(), _mm512_setzero_si512(),
                      _mm512_setzero_si512()};
    for (size_t t = 0; t < taps; t += BLOCK) {
      __m512i even, odd, quad[4];
      sum_block(taps - t < BLOCK ? taps - t : BLOCK, m, a + t * stride + c, stride, &even, &odd);
      widen(even, odd, quad);
      Q8_UNROLL
      for (int v = 0; v < 4; v++)
        sum[v] = _mm512_add_epi32(sum[v], quad[v]);
    }
    transpose4_lanes(sum);
    Q8_UNROLL
    for (int i = 0; i < 4; i++)
      _mm512_mask_storeu_epi32(acc + c + 16 * i, lanes16(n - c, 16 * i), sum[i]);
  }
}
#endif
