/* softmax_rows.c - Softmax and LogSoftmax of the values along an axis. */
#include "ops/softmax.h"

#include "base/math.h"
#include "ops/fast.h"

/* Of all lanes, by halves. */
static float total(float *lane) {
  for (size_t half = Q8_LANES / 2; half >= 4; half /= 2)
    for (size_t j = 0; j < half; j++)
      lane[j] += lane[j + half];
  return (lane[0] + lane[1]) + (lane[2] + lane[3]);
}

/* Softmax of n contiguous values: the sum in lanes. */
static void softmax_dense(const float *x, float *y, size_t n, const q8_kernels *kernels) {
  float lane[Q8_LANES] = {0}, sum = 0, min, max;
  size_t at = 0;
  kernels->minmax(n, x, &min, &max);
  kernels->sunary(n, &(q8_sunary){Q8_SUNARY_EXP, max, 0}, x, y);
  for (; at + Q8_LANES <= n; at += Q8_LANES)
    for (size_t j = 0; j < Q8_LANES; j++)
      lane[j] += y[at + j];
  for (; at < n; at++)
    sum += y[at];
  sum += total(lane);
  const float scale = 1 / sum;
  Q8_FOR_BLOCKS(float, n, y, y[i] * scale);
}

/* n values, `stride` apart. */
static void softmax_row(const float *x, float *y, size_t n, size_t stride, int log) {
  float max = x[0];
  double sum = 0;
  for (size_t i = 1; i < n; i++)
    max = x[i * stride] > max ? x[i * stride] : max;
  for (size_t i = 0; i < n; i++) {
    float e = q8_fast_exp(x[i * stride] - max);
    sum += e;
    y[i * stride] = log ? x[i * stride] - max : e;
  }
  float scale = (float)(1 / sum), shift = (float)q8_log(sum);
  for (size_t i = 0; i < n; i++)
    y[i * stride] = log ? y[i * stride] - shift : y[i * stride] * scale;
}

void q8_softmax_outer(const q8_softmax_view *v, const float *x, float *y, size_t outer) {
  size_t at = outer * v->n * v->inner;
  if (v->n == 0)
    return;
  if (v->inner == 1 && !v->log) {
    softmax_dense(x + at, y + at, v->n, v->kernels);
    return;
  }
  for (size_t i = 0; i < v->inner; i++)
    softmax_row(x + at + i, y + at + i, v->n, v->inner, v->log);
}
