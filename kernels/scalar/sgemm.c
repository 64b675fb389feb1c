/* sgemm.c - the fp32 families: GEMM tile, depthwise convolution, bias and clamp. */
#include "fma.h"
#include "scalar.h"

static void tile(size_t mr, size_t nr, size_t taps, size_t k, const void *const *a, size_t a_stride,
                 const float *b, float *sum) {
  for (size_t i = 0; i < mr * nr; i++)
    sum[i] = 0;
  for (size_t t = 0; t < taps; t++, a += a_stride)
    for (size_t p = 0; p < k; p++, b += nr)
      for (size_t i = 0; i < mr; i++) {
        float v = ((const float *)a[i])[p];
        for (size_t j = 0; j < nr; j++)
          sum[i * nr + j] = q8_scalar_fma(v, b[j], sum[i * nr + j]);
      }
}

static Q8_NOINLINE void run(size_t mr, size_t nr, size_t taps, size_t k, const void *const *a, size_t a_stride,
                            const float *b, const float *bias, float lo, float hi, size_t rows, size_t columns,
                            float *y, size_t y_stride) {
  float sum[4 * 16];
  for (size_t i = 0; i < rows; i++, y += y_stride) {
    if (i % mr == 0)
      tile(mr, nr, taps, k, a + i, a_stride, b, sum);
    for (size_t c = 0; c < columns; c++)
      y[c] = q8_scalar_clamp(sum[i % mr * nr + c] + bias[c], lo, hi);
  }
}

static void sgemm_4x16(size_t taps, size_t k, const void *const *a, size_t a_stride, const float *b,
                       const float *bias, float lo, float hi, size_t rows, size_t columns, float *y, size_t y_stride) {
  run(4, 16, taps, k, a, a_stride, b, bias, lo, hi, rows, columns, y, y_stride);
}

static void sgemm_4x8(size_t taps, size_t k, const void *const *a, size_t a_stride, const float *b, const float *bias,
                      float lo, float hi, size_t rows, size_t columns, float *y, size_t y_stride) {
  run(4, 8, taps, k, a, a_stride, b, bias, lo, hi, rows, columns, y, y_stride);
}

/* One output pixel: the row y is the accumulator. */
static void pixel(const q8_dwconv_shape *shape, const float *w, const float *bias, float lo, float hi,
                  const float *const *cols, float *y) {
  const size_t n = shape->channels, columns = q8_sdwconv_columns(shape);
  for (size_t c = 0; c < n; c++)
    y[c] = bias[c];
  for (size_t i = 0; i < shape->r; i++)
    for (size_t j = 0; j < shape->s; j++, w += n) {
      const float *x = cols[i * columns + j * shape->col_dilation] + shape->offset;
      for (size_t c = 0; c < n; c++)
        y[c] = q8_scalar_fma(x[c], w[c], y[c]);
    }
  for (size_t c = 0; c < n; c++)
    y[c] = q8_scalar_clamp(y[c], lo, hi);
}

static void sdwconv(const q8_dwconv_shape *shape, const float *w, const float *bias, float lo, float hi,
                    const float *const *cols, float *y, size_t y_stride) {
  for (size_t x = 0; x < shape->q; x++, y += y_stride, cols += shape->col_step)
    pixel(shape, w, bias, lo, hi, cols, y);
}

const q8_sgemm_kernel q8_scalar_sgemm[] = {
    {"sgemm_scalar_4x16", 0, 4, 16, sgemm_4x16},
    {"sgemm_scalar_4x8", 0, 4, 8, sgemm_4x8},
    {0},
};
