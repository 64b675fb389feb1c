/* pack.c - int8 weights into panels of int16 pairs: 16 rows of 16 dwords are transposed, and the pairs of each are widened on
 * their way out, a cache line of 16 rows at a time. Edges are masked. Rows to int16. */
#if defined(__AVX512F__) && defined(__AVX512BW__) && defined(__AVX512VL__) && defined(__AVX512DQ__)
#include "vec.h"

enum { ROWS = 64, PAIRS = 32 };

/* At most 64 rows and 32 pairs, by way of the stack: so what is written is as sequential as it can be. */
static void block(size_t rows, size_t pairs, const int8_t *x, size_t x_stride, int16_t *y, size_t y_stride) {
  /* Bytes to the upper halves of words, of the first and the second pair of a dword. */
  const __m512i first = _mm512_broadcast_i32x4(_mm_setr_epi8(-1, 0, -1, 1, -1, 4, -1, 5, -1, 8, -1, 9, -1, 12, -1, 13));
  const __m512i second = _mm512_or_si512(first, _mm512_set1_epi16(0x200));
  __m512i words[ROWS / 16][16];
  for (size_t r = 0; r < rows; r += 16)
    q8_avx512bw_turn(rows - r, first64(2 * pairs), x + r * x_stride, x_stride, words[r / 16]);
  for (size_t p = 0; p < pairs; p++, y += 2 * y_stride) {
    if (2 * p < rows) { /* of the block after the next: too many rows for the CPU to do so by itself */
      _mm_prefetch((const char *)x + 2 * p * x_stride + 128, _MM_HINT_T0);
      _mm_prefetch((const char *)x + (2 * p + 1) * x_stride + 128, _MM_HINT_T0);
    }
    for (size_t r = 0; r < rows; r += 16) {
      const __m512i t = _mm512_shuffle_epi8(words[r / 16][p / 2], p % 2 ? second : first);
      _mm512_mask_storeu_epi32(y + 2 * r, first16(rows - r), _mm512_srai_epi16(t, 8));
    }
  }
}

void q8_avx512bw_pack_pairs(size_t rows, size_t pairs, const int8_t *x, size_t x_stride, int16_t *y, size_t y_stride) {
  for (size_t r = 0; r < rows; r += ROWS)
    for (size_t p = 0; p < pairs; p += PAIRS)
      block(rows - r < ROWS ? rows - r : ROWS, pairs - p < PAIRS ? pairs - p : PAIRS, x + r * x_stride + 2 * p, x_stride,
            y + 2 * (p * y_stride + r), y_stride);
}

void q8_avx512bw_widen(size_t n, const uint8_t *x, int16_t *y) {
  for (size_t i = 0; i < n; i += 32) {
    const __mmask32 m = (__mmask32)first64(n - i);
    _mm512_mask_storeu_epi16(y + i, m, _mm512_cvtepu8_epi16(_mm256_maskz_loadu_epi8(m, x + i)));
  }
}
#endif
