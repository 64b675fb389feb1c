/* pool.c - reductions over rows: the cores of max and average pooling. */
#include "scalar.h"
#include <string.h>

void q8_scalar_max_rows(size_t taps, size_t n, const uint8_t *const *a, uint8_t *y) {
  memcpy(y, a[0], n);
  for (size_t t = 1; t < taps; t++) {
    const uint8_t *x = a[t];
    for (size_t c = 0; c < n; c++)
      y[c] = x[c] > y[c] ? x[c] : y[c];
  }
}

void q8_scalar_sum_rows(size_t taps, size_t n, const uint8_t *a, size_t stride, int32_t *acc) {
  memset(acc, 0, n * sizeof *acc);
  for (size_t t = 0; t < taps; t++, a += stride)
    for (size_t c = 0; c < n; c++)
      acc[c] += a[c];
}

