/* table.c - 256-entry table lookup: vpermi2b takes bytes by seven bits of an index. */
#if defined(__AVX512VBMI__) && defined(__AVX512BW__) && defined(__AVX512VL__) && defined(__AVX512DQ__)
#include "avx512bw/vec.h"

q8_table_fn q8_avx512vbmi_table;

Q8_INLINE __m512i look_up(__m512i x, const __m512i t[4]) {
  const __m512i low = _mm512_permutex2var_epi8(t[0], x, t[1]), high = _mm512_permutex2var_epi8(t[2], x, t[3]);
  return _mm512_mask_blend_epi8(_mm512_movepi8_mask(x), low, high);
}

void q8_avx512vbmi_table(size_t n, const uint8_t *x, const uint8_t *table, uint8_t *y) {
  look_up_row(look_up, n, x, table, y);
}
#endif
