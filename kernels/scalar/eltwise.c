/* eltwise.c - table lookup, addition and multiplication of quantized values. */
#include "scalar.h"

void q8_scalar_table(size_t n, const uint8_t *x, const uint8_t *entries, uint8_t *y) {
  for (size_t i = 0; i < n; i++)
    y[i] = entries[x[i]];
}

/* Each operation rounds to f32 on its own: no contraction. */
static void binary(int multiply, size_t rows, size_t n, const uint8_t *a, size_t a_stride, const uint8_t *b,
                   size_t b_stride, const q8_binary *p, uint8_t *y, size_t y_stride) {
  for (size_t i = 0; i < rows; i++, a += a_stride, b += b_stride, y += y_stride)
    for (size_t c = 0; c < n; c++) {
      float va = (float)(a[c] - p->a_zero) * p->a_scale;
      float vb = (float)(b[c] - p->b_zero) * p->b_scale;
      float v = multiply ? va * vb : va + vb;
      y[c] = q8_scalar_round(v / p->y_scale, p->y_zero, p->lo, p->hi);
    }
}

void q8_scalar_add(size_t rows, size_t n, const uint8_t *a, size_t a_stride, const uint8_t *b, size_t b_stride,
                const q8_binary *p, uint8_t *y, size_t y_stride) {
  binary(0, rows, n, a, a_stride, b, b_stride, p, y, y_stride);
}

void q8_scalar_mul(size_t rows, size_t n, const uint8_t *a, size_t a_stride, const uint8_t *b, size_t b_stride,
                const q8_binary *p, uint8_t *y, size_t y_stride) {
  binary(1, rows, n, a, a_stride, b, b_stride, p, y, y_stride);
}

