/* softmax_rows.c - Softmax and LogSoftmax of the values along an axis. */
#include "ops/softmax.h"

#include "base/math.h"
#include "ops/fast.h"

/* Of n contiguous values, in 16 lanes that are added by halves. */
static float total(size_t n, const float *x) {
  float a[4] = {0}, b[4] = {0}, c[4] = {0}, d[4] = {0}, sum = 0;
  size_t at = 0;
  for (; at + 16 <= n; at += 16)
    for (size_t j = 0; j < 4; j++) {
      a[j] += x[at + j];
      b[j] += x[at + j + 4];
      c[j] += x[at + j + 8];
      d[j] += x[at + j + 12];
    }
  for (; at < n; at++)
    sum += x[at];
  for (size_t j = 0; j < 4; j++)
    a[j] = (d[j] + b[j]) + (c[j] + a[j]);
  return sum + ((a[0] + a[1]) + (a[2] + a[3]));
}

static void softmax_dense(const float *x, float *y, size_t n, const q8_kernels *kernels) {
  float min, max;
  kernels->minmax(n, x, &min, &max);
  kernels->sunary(n, &(q8_sunary){Q8_SUNARY_EXP, max, 0}, x, y);
  const float scale = 1 / total(n, y);
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
