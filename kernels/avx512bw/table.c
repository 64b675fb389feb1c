/* table.c - 256-entry table lookup without vpermi2b. */
#if defined(__AVX512F__) && defined(__AVX512BW__) && defined(__AVX512VL__) && defined(__AVX512DQ__)
#include "vec.h"

/* 64 bytes: look up the 16-bit word that holds the entry, then take its byte. */
Q8_INLINE __m512i lookup_words(__m512i index, const __m512i t[4]) {
  __m512i word = _mm512_srli_epi16(index, 1);
  __mmask32 upper = _mm512_test_epi16_mask(index, _mm512_set1_epi16(128));
  __m512i low = _mm512_permutex2var_epi16(t[0], word, t[1]);
  __m512i entry = _mm512_mask_blend_epi16(upper, low, _mm512_permutex2var_epi16(t[2], word, t[3]));
  __m512i shift = _mm512_slli_epi16(_mm512_and_si512(index, _mm512_set1_epi16(1)), 3);
  return _mm512_srlv_epi16(entry, shift);
}
Q8_INLINE __m512i lookup(__m512i x, const uint8_t *table) {
  const __m512i t[4] = {_mm512_loadu_si512(table), _mm512_loadu_si512(table + 64),
                        _mm512_loadu_si512(table + 128), _mm512_loadu_si512(table + 192)};
  const __m512i byte = _mm512_set1_epi16(255);
  __m512i even = lookup_words(_mm512_and_si512(x, byte), t);
  __m512i odd = lookup_words(_mm512_srli_epi16(x, 8), t);
  return _mm512_mask_blend_epi8(0xaaaaaaaaaaaaaaaaull, even, _mm512_slli_epi16(odd, 8));
}

void q8_avx512bw_table(size_t n, const uint8_t *x, const uint8_t *entries, uint8_t *y) {
  size_t i = 0;
  for (; i + 64 <= n; i += 64)
    _mm512_storeu_si512(y + i, lookup(_mm512_loadu_si512(x + i), entries));
  if (i < n) {
    __mmask64 m = first64(n - i);
    _mm512_mask_storeu_epi8(y + i, m, lookup(_mm512_maskz_loadu_epi8(m, x + i), entries));
  }
}
#endif
