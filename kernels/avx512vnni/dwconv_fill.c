/* dwconv_fill.c - the first pass of the depthwise kernel: four taps of every channel side by side. */
#if defined(__AVX512VNNI__) && defined(__AVX512BW__) && defined(__AVX512VL__) && defined(__AVX512DQ__)
#include "dwconv.h"

/* A pixel of both strips. Merging under a mask while loading keeps the insertion from the one port that can
 * shuffle. */
Q8_INLINE __m512i load_halves(const uint8_t *x, const uint8_t *y) {
  const __m512i low = _mm512_castsi256_si512(_mm256_loadu_si256((const __m256i *)x));
  return _mm512_mask_broadcast_i64x4(low, 0xf0, _mm256_loadu_si256((const __m256i *)y));
}

Q8_INLINE void fill_wide(int halves, const block *b, const uint8_t *const *p, const size_t tap[4],
                         size_t step, size_t units, uint8_t *quads) {
  const size_t first = b->first, skip = b->skip, t1 = tap[1], t2 = tap[2], t3 = tap[3];
  for (uint8_t *const end = quads + 64 * units; quads < end; quads += 64, p += step) {
    const uint8_t *const *const at[4] = {p, p + t1, p + t2, p + t3};
    __m512i row[4], quad[4];
    Q8_UNROLL
    for (int i = 0; i < 4; i++)
      row[i] = halves ? load_halves(*at[i] + first, at[i][skip] + first) : _mm512_loadu_si512(*at[i] + first);
    interleave4(row, quad);
    Q8_UNROLL
    for (int v = 0; v < 4; v++)
      _mm512_store_si512(quads + v * QUAD_ROW, quad[v]);
  }
}

void q8_avx512vnni_dwconv_fill(const block *b, const uint8_t *const *p, const size_t tap[4], size_t step,
                               size_t units, uint8_t *quads) {
  if (b->vectors == 1)
    q8_avx512vnni_dwconv_fill16(b, p, tap, step, units, quads);
  else if (b->channels == 64)
    fill_wide(0, b, p, tap, step, units, quads);
  else
    fill_wide(1, b, p, tap, step, units, quads);
}

#endif
