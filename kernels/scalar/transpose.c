/* transpose.c - matrix transposition of 1-byte and 4-byte elements, in square blocks so that both sides stay
 * in L1. */
#include "scalar.h"

enum { BLOCK = 16 };

Q8_INLINE size_t block_end(size_t start, size_t count) {
  return count - start < BLOCK ? count : start + BLOCK;
}

void q8_scalar_transpose8(size_t rows, size_t cols, const void *x, size_t x_stride, void *y, size_t y_stride) {
  const uint8_t *from = x;
  uint8_t *to = y;
  for (size_t r0 = 0; r0 < rows; r0 += BLOCK)
    for (size_t c0 = 0; c0 < cols; c0 += BLOCK)
      for (size_t c = c0; c < block_end(c0, cols); c++)
        for (size_t r = r0; r < block_end(r0, rows); r++)
          to[c * y_stride + r] = from[r * x_stride + c];
}

void q8_scalar_transpose32(size_t rows, size_t cols, const void *x, size_t x_stride, void *y, size_t y_stride) {
  const uint32_t *from = x;
  uint32_t *to = y;
  for (size_t r0 = 0; r0 < rows; r0 += BLOCK)
    for (size_t c0 = 0; c0 < cols; c0 += BLOCK)
      for (size_t c = c0; c < block_end(c0, cols); c++)
        for (size_t r = r0; r < block_end(r0, rows); r++)
          to[c * y_stride + r] = from[r * x_stride + c];
}

