/* pool.c - reductions over rows: the cores of max and average pooling. */
#include "scalar.h"
#include <string.h>

static void max_rows(size_t taps, size_t n, const uint8_t *const *a, uint8_t *y) {
  memcpy(y, a[0], n);
  for (size_t t = 1; t < taps; t++) {
    const uint8_t *x = a[t];
    for (size_t c = 0; c < n; c++)
      y[c] = x[c] > y[c] ? x[c] : y[c];
  }
}

static void sum_rows(size_t taps, size_t n, const uint8_t *a, size_t stride, int32_t *acc) {
  memset(acc, 0, n * sizeof *acc);
  for (size_t t = 0; t < taps; t++, a += stride)
    for (size_t c = 0; c < n; c++)
      acc[c] += a[c];
}

const q8_max_rows_kernel q8_scalar_max_rows[] = {{"max_rows_scalar", 0, max_rows}, {0}};
const q8_sum_rows_kernel q8_scalar_sum_rows[] = {{"sum_rows_scalar", 0, sum_rows}, {0}};
