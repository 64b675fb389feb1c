/* gemm.c - u8 x s8 tiles with vpdpbusd: four products a lane, 16 columns a register. */
#if defined(__AVX512VNNI__) && defined(__AVX512BW__) && defined(__AVX512VL__) && defined(__AVX512DQ__)
#include "vnni.h"

enum { KR = 4 };

Q8_INLINE __m512i broadcast4(const uint8_t *p) {
  int32_t x;
  memcpy(&x, p, sizeof x);
  return _mm512_set1_epi32(x);
}

/* mr and nv are constants in every caller. */
Q8_INLINE void tile(int mr, int nv, size_t taps, size_t k, const void *const *a, size_t a_stride,
                    const int8_t *b, int32_t *c) {
  __m512i acc[14][4];
  Q8_UNROLL
  for (int i = 0; i < mr; i++)
    Q8_UNROLL
  for (int v = 0; v < nv; v++)
    acc[i][v] = _mm512_setzero_si512();
  for (size_t t = 0; t < taps; t++, a += a_stride) {
    const uint8_t *rows[14];
    Q8_UNROLL
    for (int i = 0; i < mr; i++)
      rows[i] = a[i];
    for (size_t at = 0; at < k; at += KR, b += nv * 64) {
      __m512i w[4];
      Q8_UNROLL
      for (int v = 0; v < nv; v++)
        w[v] = _mm512_load_si512(b + v * 64);
      Q8_UNROLL
      for (int i = 0; i < mr; i++) {
        const __m512i x = broadcast4(rows[i] + at);
        Q8_UNROLL
        for (int v = 0; v < nv; v++)
          acc[i][v] = _mm512_dpbusd_epi32(acc[i][v], x, w[v]);
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
TILE(8, 48)
TILE(12, 32)
TILE(14, 16)
TILE(1, 64)
TILE(1, 48)
TILE(1, 32)
TILE(1, 16)

#define ROW(mr, nr)                                                                                          \
  { "gemm_avx512vnni_" #mr "x" #nr, Q8_NEEDS_AVX512VNNI, mr, nr, KR, 1, 1, 0, -128, gemm_##mr##x##nr }
const q8_gemm_kernel q8_avx512vnni_gemm[] = {
    ROW(6, 64), ROW(1, 64), ROW(8, 48), ROW(1, 48), ROW(12, 32), ROW(1, 32), ROW(14, 16), ROW(1, 16), {0},
};
#endif
