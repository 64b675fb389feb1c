/* table.c - 256-entry table lookup without vpermi2b: vpermi2w takes 16-bit words, and the index's lowest bit chooses the byte. */
#if defined(__AVX512F__) && defined(__AVX512BW__) && defined(__AVX512VL__) && defined(__AVX512DQ__)
#include "vec.h"

/* Words by their number's lowest six bits from the first two registers, or from the other two. */
Q8_INLINE __m512i words(__m512i number, __mmask32 others, const __m512i t[4]) {
  const __m512i low = _mm512_permutex2var_epi16(t[0], number, t[1]), high = _mm512_permutex2var_epi16(t[2], number, t[3]);
  return _mm512_mask_blend_epi16(others, low, high);
}

Q8_INLINE __m512i look_up(__m512i x, const __m512i t[4]) {
  const __mmask64 odd_places = 0xaaaaaaaaaaaaaaaa;
  const __m512i even = words(_mm512_srli_epi16(x, 1), _mm512_test_epi16_mask(x, _mm512_set1_epi16(128)), t);
  const __m512i odd = words(_mm512_srli_epi16(x, 9), _mm512_movepi16_mask(x), t);
  const __m512i first = _mm512_mask_blend_epi8(odd_places, even, _mm512_slli_epi16(odd, 8));
  const __m512i second = _mm512_mask_blend_epi8(odd_places, _mm512_srli_epi16(even, 8), odd);
  return _mm512_mask_blend_epi8(_mm512_test_epi8_mask(x, _mm512_set1_epi8(1)), first, second);
}

void q8_avx512bw_table(size_t n, const uint8_t *x, const uint8_t *table, uint8_t *y) {
  look_up_row(look_up, n, x, table, y);
}
#endif
