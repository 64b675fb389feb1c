/* sgemm.c - the fp32 families: GEMM tile, depthwise convolution, bias and clamp. */
#if defined(__AVX512F__) && defined(__AVX512BW__) && defined(__AVX512VL__) && defined(__AVX512DQ__)
#include "vec.h"

enum { MAX_MR = 14, MAX_ACC = 24 };

/* Adds the products to acc[mr][nv]; mr and nv are constants in every caller. */
Q8_INLINE void multiply(int mr, int nv, size_t taps, size_t k, const void *const *a, size_t a_stride,
                        const float *b, __m512 *acc) {
  for (size_t t = 0; t < taps; t++, a += a_stride) {
    const float *rows[MAX_MR];
    Q8_UNROLL
    for (int i = 0; i < mr; i++)
      rows[i] = a[i];
    for (size_t at = 0; at < k; at++, b += nv * 16) {
      __m512 w[3];
      Q8_UNROLL
      for (int v = 0; v < nv; v++)
        w[v] = _mm512_loadu_ps(b + v * 16);
      Q8_UNROLL
      for (int i = 0; i < mr; i++) {
        const __m512 x = _mm512_set1_ps(rows[i][at]);
        Q8_UNROLL
        for (int v = 0; v < nv; v++) {
          acc[i * nv + v] = _mm512_fmadd_ps(x, w[v], acc[i * nv + v]);
          __asm__("" : "+v"(acc[i * nv + v])); /* see kernels/README.md */
        }
      }
    }
  }
}

Q8_INLINE void tile(int mr, int nv, size_t taps, size_t k, const void *const *a, size_t a_stride,
                    const float *b, float *c) {
  __m512 acc[MAX_ACC];
  Q8_UNROLL
  for (int i = 0; i < mr * nv; i++)
    acc[i] = _mm512_setzero_ps();
  multiply(mr, nv, taps, k, a, a_stride, b, acc);
  Q8_UNROLL
  for (int i = 0; i < mr * nv; i++)
    _mm512_storeu_ps(c + i * 16, acc[i]);
}

Q8_INLINE void tile_y(int mr, int nv, size_t taps, size_t k, const void *const *a, size_t a_stride, const float *b,
                      const float *bias, float lo, float hi, size_t rows, size_t columns, float *y, size_t y_stride) {
  const __m512 low = _mm512_set1_ps(lo), high = _mm512_set1_ps(hi);
  for (size_t done = 0; done < rows; done += (size_t)mr, a += mr) {
    __m512 acc[MAX_ACC];
    Q8_UNROLL
    for (int i = 0; i < mr * nv; i++)
      acc[i] = _mm512_setzero_ps();
    multiply(mr, nv, taps, k, a, a_stride, b, acc);
    Q8_UNROLL
    for (int i = 0; i < mr; i++, y += y_stride) {
      if (done + (size_t)i >= rows)
        return;
      Q8_UNROLL
      for (int v = 0; v < nv; v++) {
        const __m512 sum = _mm512_add_ps(acc[i * nv + v], _mm512_loadu_ps(bias + 16 * v));
        _mm512_mask_storeu_ps(y + 16 * v, lanes16(columns, (size_t)(16 * v)), clamp_ps(sum, low, high));
      }
    }
  }
}

/* The widest is 8x48: 6x64 reads a third more of B for each product, which large panels pay for in L2 traffic. */
#define TILE(mr, nr)                                                                                         \
  static void sgemm_##mr##x##nr(size_t taps, size_t k, const void *const *a, size_t a_stride,                \
                                const float *b, float *acc) {                                                \
    tile(mr, nr / 16, taps, k, a, a_stride, b, acc);                                                         \
  }                                                                                                          \
  static void sgemm_y_##mr##x##nr(size_t taps, size_t k, const void *const *a, size_t a_stride,              \
                                  const float *b, const float *bias, float lo, float hi, size_t rows,        \
                                  size_t columns, float *y, size_t y_stride) {                               \
    tile_y(mr, nr / 16, taps, k, a, a_stride, b, bias, lo, hi, rows, columns, y, y_stride);                  \
  }
TILE(8, 48)
TILE(4, 48)
TILE(1, 48)
TILE(12, 32)
TILE(4, 32)
TILE(1, 32)
TILE(14, 16)
TILE(1, 16)

typedef __m512 sdw_vec;
typedef __mmask16 sdw_part;
enum { SDW_LANES = 16, SDW_MASKED = 1 };
Q8_INLINE sdw_part sdw_part_of(size_t n) {
  return first16(n);
}
Q8_INLINE sdw_vec sdw_load(const float *x) {
  return _mm512_loadu_ps(x);
}
Q8_INLINE sdw_vec sdw_load_part(const float *x, sdw_part part) {
  return _mm512_maskz_loadu_ps(part, x);
}
Q8_INLINE void sdw_store(float *y, sdw_vec v) {
  _mm512_storeu_ps(y, v);
}
Q8_INLINE void sdw_store_part(float *y, sdw_vec v, sdw_part part) {
  _mm512_mask_storeu_ps(y, part, v);
}
Q8_INLINE sdw_vec sdw_fma(sdw_vec a, sdw_vec b, sdw_vec c) {
  return _mm512_fmadd_ps(a, b, c);
}
Q8_INLINE sdw_vec sdw_clamp(sdw_vec v, float lo, float hi) {
  return clamp_ps(v, _mm512_set1_ps(lo), _mm512_set1_ps(hi));
}
#include "sdwconv.h"

static void sbias(size_t rows, size_t n, const float *acc, size_t acc_stride, const float *bias, float lo,
                  float hi, float *y, size_t y_stride) {
  const __m512 low = _mm512_set1_ps(lo), high = _mm512_set1_ps(hi);
  for (size_t i = 0; i < rows; i++, acc += acc_stride, y += y_stride)
    for (size_t c = 0; c < n; c += 16) {
      __mmask16 m = first16(n - c);
      __m512 v = _mm512_add_ps(_mm512_maskz_loadu_ps(m, acc + c), _mm512_loadu_ps(bias + c));
      _mm512_mask_storeu_ps(y + c, m, clamp_ps(v, low, high));
    }
}

#define ROW(mr, nr)                                                                                          \
  { "sgemm_avx512bw_" #mr "x" #nr, Q8_NEEDS_AVX512, mr, nr, sgemm_##mr##x##nr, sgemm_y_##mr##x##nr }
const q8_sgemm_kernel q8_avx512bw_sgemm[] = {
    ROW(8, 48), ROW(4, 48), ROW(1, 48), ROW(12, 32), ROW(4, 32), ROW(1, 32), ROW(14, 16), ROW(1, 16), {0},
};
const q8_sdwconv_kernel q8_avx512bw_sdwconv[] = {{"sdwconv_avx512bw", Q8_NEEDS_AVX512, sdwconv}, {0}};
const q8_sbias_kernel q8_avx512bw_sbias[] = {{"sbias_avx512bw", Q8_NEEDS_AVX512, sbias}, {0}};
#endif
