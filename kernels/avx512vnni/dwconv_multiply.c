/* dwconv_multiply.c - the second pass of the depthwise kernel. */
#define Q8_LARGE_BODIES
#if defined(__AVX512VNNI__) && defined(__AVX512BW__) && defined(__AVX512VL__) && defined(__AVX512DQ__)
#include "dwconv.h"

Q8_INLINE void add_step(int vectors, const uint8_t *x, const int8_t *w, __m512i acc[][4]) {
  Q8_UNROLL
  for (int v = 0; v < 4; v++) {
    const __m512i weight = _mm512_load_si512(w + 64 * v);
    Q8_UNROLL
    for (int t = 0; t < vectors; t++)
      add_products(&acc[t][v], _mm512_loadu_si512(x + v * SCRATCH_ROW + 64 * t), weight);
  }
}

/* `vectors` registers of pixels from unit `at`, of which the first n pixels are stored. */
Q8_INLINE void tile(int pixels, int vectors, const block *b, size_t at, uint8_t *y, size_t n) {
  __m512i acc[MAX_TILE][4];
  const size_t unit = 64 / (size_t)pixels;
  const uint8_t *scratch = b->scratch + at * unit;
  const int8_t *w = b->w;
  const uint32_t *offset = b->layout->offset, *const end = offset + b->layout->steps;
  Q8_UNROLL
  for (int t = 0; t < vectors; t++)
    Q8_UNROLL
  for (int v = 0; v < 4; v++)
    acc[t][v] = b->bias[v];
  for (; offset < end; offset++, w += 256)
    add_step(vectors, scratch + *offset * unit, w, acc);
  Q8_UNROLL
  for (int t = 0; t < vectors; t++) {
    const size_t done = (size_t)(t * pixels);
    store_parts(pixels, requant_quads(acc[t], b), b->c.mask, y + done * b->y_stride, b->y_stride,
                n > done ? n - done : 0);
  }
}

/* n pixels of a stretch, four registers at a time. */
Q8_INLINE void multiply(int pixels, const block *b, uint8_t *y, size_t n) {
  size_t at = 0;
  const size_t p = (size_t)pixels, stride = b->y_stride;
  for (; at + 2 * p < n; at += 4 * p)
    tile(pixels, 4, b, at, y + at * stride, n - at);
  if (at + p < n)
    tile(pixels, 2, b, at, y + at * stride, n - at);
  else if (at < n)
    tile(pixels, 1, b, at, y + at * stride, n - at);
}

#define MULTIPLY(pixels)                                                                                     \
  static void multiply_##pixels(const block *b, uint8_t *y, size_t n) {                                      \
    multiply(pixels, b, y, n);                                                                               \
  }
MULTIPLY(1)
MULTIPLY(2)
MULTIPLY(4)
multiply_fn *const q8_avx512vnni_dwconv_multiply[3] = {multiply_1, multiply_2, multiply_4};
#endif
