/* gemm.c - int8 GEMM tiles with 16-bit operands: vpmaddwd multiplies pairs exactly, so nothing saturates and
 * every weight from -128 to 127 is served.
 *
 * A rows are int16 (widened by the driver), the B panel is int16 [k / 2][nr][2]: one 32-bit lane of a vector
 * holds the pair (2p, 2p + 1) of one column, and one 32-bit broadcast from a row holds the pair it meets. */
#include "kernel.h"

#if defined(__AVX2__) && defined(__FMA__)
#include "vec.h"

Q8_INLINE void add_pair(size_t mr, size_t nv, const int16_t *const *row, size_t p, const __m256i *b, __m256i *sum) {
  __m256i w[2];
  Q8_UNROLL
  for (size_t j = 0; j < nv; j++)
    w[j] = b[j];
  Q8_UNROLL
  for (size_t i = 0; i < mr; i++) {
    __m256i v = q8_avx2_broadcast_pair(row[i] + p);
    Q8_UNROLL
    for (size_t j = 0; j < nv; j++) {
      sum[i * nv + j] = _mm256_add_epi32(sum[i * nv + j], _mm256_madd_epi16(v, w[j]));
      q8_avx2_keep(&sum[i * nv + j]);
    }
  }
}

/* Two pairs a pass: the loop is bound by the instructions it decodes. mr and nv (vectors of 8 columns) are constants in every caller: mr * nv accumulators, nv panel vectors, one
 * broadcast and one product must fit the 16 registers. */
Q8_INLINE void tile(size_t mr, size_t nv, size_t taps, size_t k, const void *const *a, size_t a_stride,
                    const __m256i *b, int32_t *acc) {
  __m256i sum[12];
  Q8_UNROLL
  for (size_t i = 0; i < mr * nv; i++)
    sum[i] = _mm256_setzero_si256();
  for (size_t t = 0; t < taps; t++, a += a_stride) {
    const int16_t *row[12];
    Q8_UNROLL
    for (size_t i = 0; i < mr; i++)
      row[i] = a[i];
    size_t p = 0;
    for (; p + 4 <= k; p += 4, b += 2 * nv) {
      add_pair(mr, nv, row, p, b, sum);
      add_pair(mr, nv, row, p + 2, b + nv, sum);
    }
    if (p < k) {
      add_pair(mr, nv, row, p, b, sum);
      b += nv;
    }
  }
  Q8_UNROLL
  for (size_t i = 0; i < mr * nv; i++)
    _mm256_store_si256((__m256i *)acc + i, sum[i]);
}

static void gemm_6x16(size_t taps, size_t k, const void *const *a, size_t a_stride, const void *b,
                      int32_t *acc) {
  tile(6, 2, taps, k, a, a_stride, b, acc);
}

static void gemm_1x16(size_t taps, size_t k, const void *const *a, size_t a_stride, const void *b,
                      int32_t *acc) {
  tile(1, 2, taps, k, a, a_stride, b, acc);
}

static void gemm_8x8(size_t taps, size_t k, const void *const *a, size_t a_stride, const void *b,
                     int32_t *acc) {
  tile(8, 1, taps, k, a, a_stride, b, acc);
}

const q8_gemm_kernel q8_avx2_gemm[] = {
    {"gemm_avx2_6x16", Q8_CPU_AVX2, 6, 16, 2, 2, 2, 0, -128, gemm_6x16, NULL},
    {"gemm_avx2_1x16", Q8_CPU_AVX2, 1, 16, 2, 2, 2, 0, -128, gemm_1x16, NULL},
    {"gemm_avx2_8x8", Q8_CPU_AVX2, 8, 8, 2, 2, 2, 0, -128, gemm_8x8, NULL},
    {0},
};
#endif
