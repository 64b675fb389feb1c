/* sgemm.c - the fp32 families with FMA: GEMM tile, depthwise convolution, bias and clamp. */
#include "kernel.h"

#if defined(__AVX2__) && defined(__FMA__)
#include "vec.h"

/* mr and nv are constants in every caller: mr * nv accumulators, nv panel vectors and one broadcast in 16
 * registers. */
Q8_INLINE void tile(size_t mr, size_t nv, size_t taps, size_t k, const void *const *a, size_t a_stride,
                    const float *b, float *acc) {
  __m256 sum[12];
  Q8_UNROLL
  for (size_t i = 0; i < mr * nv; i++)
    sum[i] = _mm256_setzero_ps();
  for (size_t t = 0; t < taps; t++, a += a_stride) {
    const float *row[8];
    Q8_UNROLL
    for (size_t i = 0; i < mr; i++)
      row[i] = a[i];
    for (size_t p = 0; p < k; p++, b += 8 * nv) {
      q8_avx2_index(&p);
      __m256 w[2];
      Q8_UNROLL
      for (size_t j = 0; j < nv; j++)
        w[j] = _mm256_load_ps(b + 8 * j);
      Q8_UNROLL
      for (size_t i = 0; i < mr; i++) {
        __m256 v = _mm256_broadcast_ss(row[i] + p);
        Q8_UNROLL
        for (size_t j = 0; j < nv; j++)
          sum[i * nv + j] = _mm256_fmadd_ps(v, w[j], sum[i * nv + j]);
      }
    }
  }
  Q8_UNROLL
  for (size_t i = 0; i < mr * nv; i++)
    _mm256_store_ps(acc + 8 * i, sum[i]);
}

static void sgemm_6x16(size_t taps, size_t k, const void *const *a, size_t a_stride, const float *b,
                       float *acc) {
  tile(6, 2, taps, k, a, a_stride, b, acc);
}

static void sgemm_1x16(size_t taps, size_t k, const void *const *a, size_t a_stride, const float *b,
                       float *acc) {
  tile(1, 2, taps, k, a, a_stride, b, acc);
}

static void sgemm_8x8(size_t taps, size_t k, const void *const *a, size_t a_stride, const float *b,
                      float *acc) {
  tile(8, 1, taps, k, a, a_stride, b, acc);
}

typedef __m256 sdw_vec;
typedef __m256i sdw_part;
enum { SDW_LANES = 8, SDW_MASKED = 0 };
Q8_INLINE sdw_part sdw_part_of(size_t n) {
  return q8_avx2_mask(n);
}
Q8_INLINE sdw_vec sdw_load(const float *x) {
  return _mm256_loadu_ps(x);
}
Q8_INLINE sdw_vec sdw_load_part(const float *x, sdw_part part) {
  return _mm256_maskload_ps(x, part);
}
Q8_INLINE void sdw_store(float *y, sdw_vec v) {
  _mm256_storeu_ps(y, v);
}
Q8_INLINE void sdw_store_part(float *y, sdw_vec v, sdw_part part) {
  _mm256_maskstore_ps(y, part, v);
}
Q8_INLINE sdw_vec sdw_fma(sdw_vec a, sdw_vec b, sdw_vec c) {
  return _mm256_fmadd_ps(a, b, c);
}
Q8_INLINE sdw_vec sdw_clamp(sdw_vec v, float lo, float hi) {
  return q8_avx2_clamp(v, _mm256_set1_ps(lo), _mm256_set1_ps(hi));
}
#include "sdwconv.h"

static void sbias(size_t rows, size_t n, const float *acc, size_t acc_stride, const float *bias, float lo,
                  float hi, float *y, size_t y_stride) {
  __m256 low = _mm256_set1_ps(lo), high = _mm256_set1_ps(hi);
  for (size_t i = 0; i < rows; i++, acc += acc_stride, y += y_stride) {
    size_t c = 0;
    for (; c + 8 <= n; c += 8) {
      __m256 v = _mm256_add_ps(_mm256_loadu_ps(acc + c), _mm256_loadu_ps(bias + c));
      _mm256_storeu_ps(y + c, q8_avx2_clamp(v, low, high));
    }
    if (c < n) {
      __m256i mask = q8_avx2_mask(n - c);
      __m256 v = _mm256_add_ps(_mm256_maskload_ps(acc + c, mask), _mm256_maskload_ps(bias + c, mask));
      _mm256_maskstore_ps(y + c, mask, q8_avx2_clamp(v, low, high));
    }
  }
}

const q8_sgemm_kernel q8_avx2_sgemm[] = {
    {"sgemm_avx2_6x16", Q8_CPU_AVX2, 6, 16, sgemm_6x16, NULL},
    {"sgemm_avx2_1x16", Q8_CPU_AVX2, 1, 16, sgemm_1x16, NULL},
    {"sgemm_avx2_8x8", Q8_CPU_AVX2, 8, 8, sgemm_8x8, NULL},
    {0},
};
const q8_sdwconv_kernel q8_avx2_sdwconv[] = {{"sdwconv_avx2", Q8_CPU_AVX2, sdwconv}, {0}};
const q8_sbias_kernel q8_avx2_sbias[] = {{"sbias_avx2", Q8_CPU_AVX2, sbias}, {0}};
#endif
