/* gemm.c - u8 x s8 tiles with vpdpbusd: four products a lane, 8 columns a register. */
#if (defined(__AVXVNNI__) && defined(__AVX2__)) || defined(Q8_AVXVNNI_EVEX)
#include "vnni.h"

enum { KR = 4 };

/* mr and nv are constants in every caller. */
Q8_INLINE void gemm_tile(int mr, int nv, size_t taps, size_t k, const void *const *a, size_t a_stride,
                         const int8_t *b, int32_t *c) {
  __m256i acc[12][2];
  Q8_UNROLL
  for (int i = 0; i < mr; i++)
    Q8_UNROLL
  for (int v = 0; v < nv; v++)
    acc[i][v] = _mm256_setzero_si256();
  for (size_t t = 0; t < taps; t++, a += a_stride) {
    const uint8_t *rows[12];
    Q8_UNROLL
    for (int i = 0; i < mr; i++)
      rows[i] = a[i];
    for (size_t at = 0; at < k; at += KR, b += nv * 32) {
      __m256i w[2];
      Q8_UNROLL
      for (int v = 0; v < nv; v++)
        w[v] = _mm256_load_si256((const __m256i *)(b + v * 32));
      Q8_UNROLL
      for (int i = 0; i < mr; i++) {
        int32_t four;
        memcpy(&four, rows[i] + at, sizeof four);
        const __m256i x = _mm256_set1_epi32(four);
        Q8_UNROLL
        for (int v = 0; v < nv; v++) {
          acc[i][v] = q8_dpbusd(acc[i][v], x, w[v]);
          __asm__("" : "+x"(acc[i][v])); /* see kernels/README.md */
        }
      }
    }
  }
  Q8_UNROLL
  for (int i = 0; i < mr; i++)
    Q8_UNROLL
  for (int v = 0; v < nv; v++)
    _mm256_store_si256((__m256i *)(c + (i * nv + v) * 8), acc[i][v]);
}

#define TILE(mr, nr)                                                                                         \
  static void gemm_##mr##x##nr(size_t taps, size_t k, const void *const *a, size_t a_stride, const void *b,  \
                               int32_t *acc) {                                                               \
    gemm_tile(mr, nr / 8, taps, k, a, a_stride, b, acc);                                                     \
  }
TILE(6, 16)
TILE(12, 8)

#define ROW(mr, nr)                                                                                          \
  { "gemm_avxvnni_" #mr "x" #nr, Q8_NEEDS_AVXVNNI, mr, nr, KR, 1, 1, 0, -128, gemm_##mr##x##nr, NULL }
const q8_gemm_kernel q8_avxvnni_gemm[] = {ROW(6, 16), ROW(12, 8), {0}};
#undef TILE
#undef ROW
#endif
