/* gemm.c - int8 GEMM tiles for AVX-512 without VNNI: vpmaddwd multiplies pairs of int16 exactly, 16 columns a
 * register.
 *
 * As in avx2: A rows are int16, widened by the driver, and the B panel is int16 [k / 2][nr][2]. vpmaddubsw on
 * bytes is no way around: it saturates, and what makes it exact (vpsignb) has no 512-bit form and costs what
 * it saves. */
#if defined(__AVX512F__) && defined(__AVX512BW__) && defined(__AVX512VL__) && defined(__AVX512DQ__)
#include "vec.h"

enum { KR = 2, AHEAD = 1024 };

/* mr and nv are constants in every caller. */
Q8_INLINE void tile(int mr, int nv, size_t taps, size_t k, const void *const *a, size_t a_stride,
                    const int16_t *b, int32_t *c) {
  __m512i acc[14][4];
  Q8_UNROLL
  for (int i = 0; i < mr; i++)
    Q8_UNROLL
  for (int v = 0; v < nv; v++)
    acc[i][v] = _mm512_setzero_si512();
  for (size_t t = 0; t < taps; t++, a += a_stride) {
    const int16_t *rows[14];
    Q8_UNROLL
    for (int i = 0; i < mr; i++)
      rows[i] = a[i];
    for (size_t at = 0; at < k; at += KR, b += nv * 32) {
      __m512i w[4];
      Q8_UNROLL
      for (int v = 0; v < nv; v++) {
        w[v] = _mm512_load_si512(b + v * 32);
        _mm_prefetch((const char *)(b + v * 32) + AHEAD, _MM_HINT_T0);
      }
      Q8_UNROLL
      for (int i = 0; i < mr; i++) {
        int32_t pair;
        memcpy(&pair, rows[i] + at, sizeof pair);
        const __m512i x = _mm512_set1_epi32(pair);
        Q8_UNROLL
        for (int v = 0; v < nv; v++) {
          acc[i][v] = _mm512_add_epi32(acc[i][v], _mm512_madd_epi16(x, w[v]));
          __asm__("" : "+v"(acc[i][v])); /* see kernels/README.md */
        }
      }
    }
  }
  Q8_UNROLL
  for (int i = 0; i < mr; i++)
    Q8_UNROLL
  for (int v = 0; v < nv; v++)
    _mm512_store_si512(c + (i * nv + v) * 16, acc[i][v]);
}

#define TILE(mr, nr)                                                                                         \
  static void gemm_##mr##x##nr(size_t taps, size_t k, const void *const *a, size_t a_stride, const void *b,  \
                               int32_t *acc) {                                                               \
    tile(mr, nr / 16, taps, k, a, a_stride, b, acc);                                                         \
  }
TILE(6, 64)
TILE(4, 64)
TILE(8, 48)
TILE(12, 32)
TILE(14, 16)
TILE(1, 64)
TILE(1, 48)
TILE(1, 32)
TILE(1, 16)

#define ROW(mr, nr)                                                                                          \
  { "gemm_avx512bw_" #mr "x" #nr, Q8_NEEDS_AVX512, mr, nr, KR, 2, 2, 0, -128, gemm_##mr##x##nr, NULL }
const q8_gemm_kernel q8_avx512bw_gemm[] = {
    ROW(6, 64),  ROW(4, 64), ROW(1, 64),  ROW(8, 48), ROW(1, 48),
    ROW(12, 32), ROW(1, 32), ROW(14, 16), ROW(1, 16), {0},
};
#endif
