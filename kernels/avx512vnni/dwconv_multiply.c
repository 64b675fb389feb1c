/* dwconv_multiply.c - the second pass of the depthwise kernel, and both passes in one for 3 x 3. */
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
    finish(pixels, acc[t], b->scale, &b->bounds, b->c.mask, y + done * b->y_stride, b->y_stride,
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

/* The same where there are three steps: their weights stay in registers. */
Q8_INLINE void multiply3(int pixels, const block *b, uint8_t *y, size_t n) {
  const size_t unit = 64 / (size_t)pixels, y_stride = b->y_stride;
  const uint8_t *x[3];
  __m512i w[3][4], bias[4];
  __m512 scale[4];
  const requant_bounds bounds = b->bounds;
  const __mmask64 m = b->c.mask;
  Q8_UNROLL
  for (int v = 0; v < 4; v++)
    bias[v] = b->bias[v], scale[v] = b->scale[v];
  Q8_UNROLL
  for (int k = 0; k < 3; k++) {
    x[k] = b->scratch + b->layout->offset[k] * unit;
    Q8_UNROLL
    for (int v = 0; v < 4; v++)
      w[k][v] = _mm512_load_si512(b->w + 256 * k + 64 * v);
  }
  for (size_t at = 0; at < n; at += (size_t)pixels, y += (size_t)pixels * y_stride) {
    __m512i acc[4];
    Q8_UNROLL
    for (int v = 0; v < 4; v++) {
      acc[v] = bias[v];
      Q8_UNROLL
      for (int k = 0; k < 3; k++)
        acc[v] = _mm512_dpbusd_epi32(acc[v], _mm512_loadu_si512(x[k] + v * SCRATCH_ROW), w[k][v]);
    }
    finish(pixels, acc, scale, &bounds, m, y, y_stride, n - at);
    Q8_UNROLL
    for (int k = 0; k < 3; k++)
      x[k] += 64;
  }
}

/* The quads of one column of a 3 x 3 kernel; `full` (all channels exist) is a constant in every caller. */
Q8_INLINE void column3(int full, const uint8_t *const *p, span c, __m512i quad[4]) {
  __m512i row[4];
  Q8_UNROLL
  for (int i = 0; i < 3; i++)
    row[i] = full ? _mm512_loadu_si512(p[i] + c.first) : _mm512_maskz_loadu_epi8(c.mask, p[i] + c.first);
  row[3] = _mm512_setzero_si512();
  interleave4(row, quad);
}

Q8_INLINE void add_column(const __m512i quad[4], const int8_t *w, const __m512i from[4], __m512i acc[4]) {
  Q8_UNROLL
  for (int v = 0; v < 4; v++)
    acc[v] = _mm512_dpbusd_epi32(from[v], quad[v], _mm512_load_si512(w + 64 * v));
}

/* Columns pass once, each to all outputs it belongs to: no scratch. `first` and `second` are the outputs that
 * have seen two columns and one. */
Q8_INLINE void row3x3_1(int full, const block *b, const uint8_t *const *cols, uint8_t *y, size_t n) {
  __m512i quad[4], first[4], second[4];
  const int8_t *const w = b->w;
  column3(full, cols, b->c, quad);
  add_column(quad, w, b->bias, second);
  column3(full, cols + 3, b->c, quad);
  add_column(quad, w + 256, second, first);
  add_column(quad, w, b->bias, second);
  for (cols += 6; n; n--, cols += 3, y += b->y_stride) {
    __m512i done[4];
    column3(full, cols, b->c, quad);
    add_column(quad, w + 512, first, done);
    add_column(quad, w + 256, second, first);
    add_column(quad, w, b->bias, second);
    finish(1, done, b->scale, &b->bounds, b->c.mask, y, b->y_stride, 1);
  }
}

Q8_INLINE void row3x3_2(int full, const block *b, const uint8_t *const *cols, uint8_t *y, size_t n) {
  __m512i quad[4], acc[4];
  const int8_t *const w = b->w;
  column3(full, cols, b->c, quad);
  add_column(quad, w, b->bias, acc);
  for (cols += 3; n; n--, cols += 6, y += b->y_stride) {
    __m512i done[4];
    column3(full, cols, b->c, quad);
    add_column(quad, w + 256, acc, done);
    column3(full, cols + 3, b->c, quad);
    add_column(quad, w + 512, done, done);
    add_column(quad, w, b->bias, acc);
    finish(1, done, b->scale, &b->bounds, b->c.mask, y, b->y_stride, 1);
  }
}

#define MULTIPLY(pixels)                                                                                     \
  static void multiply_##pixels(const block *b, uint8_t *y, size_t n) {                                      \
    multiply(pixels, b, y, n);                                                                               \
  }                                                                                                          \
  static void multiply3_##pixels(const block *b, uint8_t *y, size_t n) {                                     \
    multiply3(pixels, b, y, n);                                                                              \
  }
MULTIPLY(1)
MULTIPLY(2)
MULTIPLY(4)
multiply_fn *const q8_avx512vnni_dwconv_multiply[3][2] = {
    {multiply_1, multiply3_1},
    {multiply_2, multiply3_2},
    {multiply_4, multiply3_4},
};

#define ROW3X3(step, full)                                                                                   \
  static void row3x3_##step##_##full(const block *b, const uint8_t *const *cols, uint8_t *y, size_t n) {     \
    row3x3_##step(full, b, cols, y, n);                                                                      \
  }
ROW3X3(1, 0)
ROW3X3(1, 1)
ROW3X3(2, 0)
ROW3X3(2, 1)
row_fn *const q8_avx512vnni_dwconv_3x3[2][2] = {{row3x3_1_0, row3x3_1_1}, {row3x3_2_0, row3x3_2_1}};
#endif
