/* gemm.c - the int8 GEMM tile in plain C: the definition that every other tile is compared with. */
#include "scalar.h"

/* mr and nr are constants in every caller, so that the j loop becomes vector code of whatever the target has.
 */
Q8_INLINE void tile(size_t mr, size_t nr, size_t taps, size_t k, const void *const *a, size_t a_stride,
                    const int8_t *b, int32_t *acc) {
  int32_t sum[4 * 16] = {0};
  for (size_t t = 0; t < taps; t++, a += a_stride)
    for (size_t p = 0; p < k; p++, b += nr)
      for (size_t i = 0; i < mr; i++) {
        int32_t v = ((const uint8_t *)a[i])[p];
        for (size_t j = 0; j < nr; j++)
          sum[i * nr + j] += v * b[j];
      }
  for (size_t i = 0; i < mr * nr; i++)
    acc[i] = sum[i];
}

static void gemm_4x16(size_t taps, size_t k, const void *const *a, size_t a_stride, const void *b,
                      int32_t *acc) {
  tile(4, 16, taps, k, a, a_stride, b, acc);
}

static void gemm_4x8(size_t taps, size_t k, const void *const *a, size_t a_stride, const void *b,
                     int32_t *acc) {
  tile(4, 8, taps, k, a, a_stride, b, acc);
}

const q8_gemm_kernel q8_scalar_gemm[] = {
    {"gemm_scalar_4x16", 0, 4, 16, 1, 1, 1, 0, -128, gemm_4x16, NULL},
    {"gemm_scalar_4x8", 0, 4, 8, 1, 1, 1, 0, -128, gemm_4x8, NULL},
    {0},
};
