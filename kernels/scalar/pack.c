/* pack.c - int8 weights into panels of int16 pairs, rows to int16. */
#include "scalar.h"

void q8_scalar_pack_pairs(size_t rows, size_t pairs, const int8_t *x, size_t x_stride, int16_t *y, size_t y_stride) {
  for (size_t p = 0; p < pairs; p++)
    for (size_t r = 0; r < rows; r++)
      for (size_t e = 0; e < 2; e++)
        y[2 * (p * y_stride + r) + e] = x[r * x_stride + 2 * p + e];
}

void q8_scalar_widen(size_t n, const uint8_t *x, int16_t *y) {
  for (size_t i = 0; i < n; i++)
    y[i] = x[i];
}
