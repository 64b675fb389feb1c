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

typedef struct limits {
  __m256 lo, hi;
} limits;

/* Channels c .. c + 8 nv - 1 of one output pixel. */
Q8_INLINE void channels(size_t nv, const q8_dwconv_shape *shape, const float *w, const float *bias,
                        const limits *clamp, const float *const *cols, size_t c, float *y) {
  __m256 sum[4];
  Q8_UNROLL
  for (size_t v = 0; v < nv; v++)
    sum[v] = _mm256_loadu_ps(bias + c + 8 * v);
  for (size_t i = 0; i < shape->r; i++)
    for (size_t j = 0; j < shape->s; j++, w += shape->channels) {
      const float *x = cols[j * shape->col_dilation * shape->r + i] + c;
      Q8_UNROLL
      for (size_t v = 0; v < nv; v++)
        sum[v] = _mm256_fmadd_ps(_mm256_loadu_ps(x + 8 * v), _mm256_loadu_ps(w + c + 8 * v), sum[v]);
    }
  Q8_UNROLL
  for (size_t v = 0; v < nv; v++)
    _mm256_storeu_ps(y + c + 8 * v, q8_avx2_clamp(sum[v], clamp->lo, clamp->hi));
}

/* The last channels, fewer than 8. */
static void channels_tail(const q8_dwconv_shape *shape, const float *w, const float *bias,
                          const limits *clamp, const float *const *cols, size_t c, float *y) {
  __m256i mask = q8_avx2_mask(shape->channels - c);
  __m256 sum = _mm256_maskload_ps(bias + c, mask);
  for (size_t i = 0; i < shape->r; i++)
    for (size_t j = 0; j < shape->s; j++, w += shape->channels)
      sum = _mm256_fmadd_ps(_mm256_maskload_ps(cols[j * shape->col_dilation * shape->r + i] + c, mask),
                            _mm256_maskload_ps(w + c, mask), sum);
  _mm256_maskstore_ps(y + c, mask, q8_avx2_clamp(sum, clamp->lo, clamp->hi));
}

static void sdwconv(const q8_dwconv_shape *shape, const float *w, const float *bias, float lo, float hi,
                    const float *const *cols, float *y, size_t y_stride) {
  limits clamp = {_mm256_set1_ps(lo), _mm256_set1_ps(hi)};
  for (size_t x = 0; x < shape->q; x++, y += y_stride, cols += shape->col_step * shape->r) {
    size_t c = 0;
    for (; c + 32 <= shape->channels; c += 32)
      channels(4, shape, w, bias, &clamp, cols, c, y);
    for (; c + 8 <= shape->channels; c += 8)
      channels(1, shape, w, bias, &clamp, cols, c, y);
    if (c < shape->channels)
      channels_tail(shape, w, bias, &clamp, cols, c, y);
  }
}

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
