/* dwconv_row.c - both passes of the depthwise kernel in one: 3 x 3 with horizontal stride 1 (two output rows at once) or
 * 2, and 5 x 5 with stride 1 where a register holds one pixel.
 *
 * Columns pass once, each to all outputs that it belongs to, so that quads and unfinished sums stay in registers. Where a
 * register holds several pixels, they come from as many strips of the row, side by side: then the next column of every
 * strip is again a register. Strips have one length; where the row is not a multiple, they overlap and compute the same
 * bytes twice. */
#define Q8_LARGE_BODIES
#if defined(__AVX512VNNI__) && defined(__AVX512BW__) && defined(__AVX512VL__) && defined(__AVX512DQ__)
#include "dwconv.h"

/* Between columns: what does not change (weights, scales) is loaded again. gcc would keep it in registers and push sums
 * out to memory instead. */
#define RELOAD __asm__ volatile("" ::: "memory")

/* acc starts from the bias. The asm keeps the load in the loop: gcc would hoist it and copy registers, which costs as
 * much as an addition. For the same reason loops below are unrolled until every sum is back in its place. */
Q8_INLINE void start(const block *b, __m512i acc[4]) {
  Q8_UNROLL
  for (int v = 0; v < 4; v++)
    __asm__("vmovdqa64 %1, %0" : "=v"(acc[v]) : "m"(b->bias[v]));
}

/* Weights stay in memory: kept in registers they would push the sums out. */
Q8_INLINE void add_column(const __m512i quad[4], const int8_t *w, __m512i acc[4]) {
  Q8_UNROLL
  for (int v = 0; v < 4; v++)
    __asm__("vpdpbusd %2, %1, %0" : "+v"(acc[v]) : "v"(quad[v]), "m"(*(const __m512i *)(w + 64 * v)));
}

/* ---- Strips ---- */

typedef struct {
  const uint8_t *const *cols[2];
  uint8_t *y[2];
  size_t first, y_stride; /* copies from the block, which are not loaded again */
  int clamps;
} strips;

/* Returns the outputs of a strip; from one to the next it is `next` pointers. */
Q8_INLINE size_t cut_row(int pixels, const block *b, size_t next, size_t n, const uint8_t *const *cols, uint8_t *y,
                         strips *s) {
  const size_t p = (size_t)pixels, length = (n + p - 1) / p;
  s->first = b->first, s->y_stride = b->y_stride, s->clamps = b->clamps;
  for (size_t i = 0; i < p; i++) {
    const size_t first = i * (n - length);
    s->cols[i] = cols + first * next;
    s->y[i] = y + first * b->y_stride;
  }
  return length;
}

/* The pixels of all strips at pointer `at`. */
Q8_INLINE __m512i load_strips(int pixels, const strips *s, size_t at) {
  return load_pixels(pixels, (const uint8_t *const[2]){s->cols[0][at], s->cols[pixels - 1][at]}, s->first);
}

Q8_INLINE void store_strips(int pixels, const __m512i acc[4], const block *b, const strips *s, size_t at) {
  const __m512i z = requant_quads(1, s->clamps, acc, b);
  if (pixels == 1)
    _mm512_storeu_si512(s->y[0] + at, z);
  else {
    _mm256_storeu_si256((__m256i *)(s->y[0] + at), _mm512_castsi512_si256(z));
    _mm256_storeu_si256((__m256i *)(s->y[1] + at), _mm512_extracti64x4_epi64(z, 1));
  }
}

/* The quads of the first `rows` rows, 3 or 4, of the column of pointers that begins at `at`. */
Q8_INLINE void load_quads(int pixels, size_t rows, const strips *s, size_t at, __m512i quad[4]) {
  __m512i row[4];
  Q8_UNROLL
  for (size_t i = 0; i < 4; i++)
    row[i] = i < rows ? load_strips(pixels, s, at + i) : _mm512_setzero_si512();
  interleave4(row, quad);
}

/* ---- 3 x 3 with stride 1: one output row, or two, for which the quads of four input rows serve ---- */

/* One column: the last of `done`, the second of `second`, the first of `first`. The weights of the lower row, whose taps
 * are one byte further on in every quad, lie three steps behind. */
Q8_INLINE void column3x3(int pixels, int rows, const block *b, const strips *s, size_t at, __m512i done[2][4],
                         __m512i second[2][4], __m512i first[2][4]) {
  __m512i quad[4];
  RELOAD;
  load_quads(pixels, (size_t)rows + 2, s, at, quad);
  Q8_UNROLL
  for (int i = 0; i < rows; i++) {
    start(b, first[i]);
    add_column(quad, b->w + i * 768 + 512, done[i]);
  }
  Q8_UNROLL
  for (int i = 0; i < rows; i++)
    add_column(quad, b->w + i * 768 + 256, second[i]);
  Q8_UNROLL
  for (int i = 0; i < rows; i++)
    add_column(quad, b->w + i * 768, first[i]);
}

/* The first two columns end no output. In pairs of rows of 64 channels, which are often short, they come before the loop:
 * the branch around the stores would cost a misprediction for each block. */
Q8_INLINE void rows3x3(int pixels, int rows, const block *b, const uint8_t *const *cols, uint8_t *y, size_t n) {
  const size_t next = (size_t)rows + 2;
  const int before = pixels == 1 && rows == 2;
  strips s;
  __m512i sum[3][2][4];
  size_t at = 0, out = 0;
  n = cut_row(pixels, b, next, n, cols, y, &s) + 2;
  Q8_UNROLL
  for (int i = 0; i < 3 * rows; i++)
    start(b, sum[i / rows][i % rows]);
  if (before) {
    column3x3(pixels, rows, b, &s, 0, sum[1], sum[2], sum[0]);
    column3x3(pixels, rows, b, &s, next, sum[2], sum[0], sum[1]);
    at = 2 * next, n -= 2;
  }
  for (;;) {
#define COLUMN(done, second, first)                                                                          \
  column3x3(pixels, rows, b, &s, at, sum[done], sum[second], sum[first]);                                    \
  if (before || at >= 2 * next) {                                                                            \
    store_strips(pixels, sum[done][0], b, &s, out);                                                          \
    if (rows == 2)                                                                                           \
      store_strips(pixels, sum[done][1], b, &s, out + b->row_stride);                                        \
    out += s.y_stride;                                                                                       \
  }                                                                                                          \
  at += next;                                                                                                \
  if (--n == 0)                                                                                              \
    return;
    COLUMN(0, 1, 2)
    COLUMN(1, 2, 0)
    COLUMN(2, 0, 1)
#undef COLUMN
  }
}

/* ---- 3 x 3 with stride 2 ---- */

/* Weights that stay in registers: loading them, sums and scales again would take as long as all else. */
Q8_INLINE void multiply_column(const __m512i quad[4], const __m512i w[4], __m512i acc[4]) {
  Q8_UNROLL
  for (int v = 0; v < 4; v++)
    add_products(&acc[v], quad[v], w[v]);
}

/* The middle and the last column of `done`, which is the first of `first`. */
Q8_INLINE void columns3x3_2(int pixels, const block *b, const __m512i w[3][4], const strips *s, size_t at, __m512i done[4],
                            __m512i first[4]) {
  __m512i quad[4];
  RELOAD;
  load_quads(pixels, 3, s, at, quad);
  multiply_column(quad, w[1], done);
  RELOAD;
  load_quads(pixels, 3, s, at + 3, quad);
  start(b, first);
  multiply_column(quad, w[2], done);
  multiply_column(quad, w[0], first);
}

/* An output is rounded and stored while the next one is summed: one after the other, the chain of both is longer than the
 * CPU looks ahead. */
Q8_INLINE void row3x3_2(int pixels, const block *b, const uint8_t *const *cols, uint8_t *y, size_t n) {
  strips s;
  __m512i quad[4], sum[3][4], w[3][4];
  n = cut_row(pixels, b, 6, n, cols, y, &s);
  Q8_UNROLL
  for (int i = 0; i < 12; i++)
    __asm__("vmovdqa64 %1, %0" : "=v"(w[i / 4][i % 4]) : "m"(*(const __m512i *)(const void *)(b->w + 64 * i)));
  start(b, sum[0]);
  load_quads(pixels, 3, &s, 0, quad);
  multiply_column(quad, w[0], sum[0]);
  columns3x3_2(pixels, b, w, &s, 3, sum[0], sum[1]);
  for (size_t at = 9, out = 0;;) {
#define OUTPUT(before, done, first)                                                                          \
  if (--n == 0) {                                                                                            \
    store_strips(pixels, sum[before], b, &s, out);                                                           \
    return;                                                                                                  \
  }                                                                                                          \
  columns3x3_2(pixels, b, w, &s, at, sum[done], sum[first]);                                                 \
  store_strips(pixels, sum[before], b, &s, out);                                                             \
  at += 6, out += s.y_stride;
    OUTPUT(0, 1, 2)
    OUTPUT(1, 2, 0)
    OUTPUT(2, 0, 1)
#undef OUTPUT
  }
}

/* ---- 5 x 5 ---- */

/* Column c: its rows 0 to 3 go to the five outputs that it belongs to, row 4 of c .. c + 3 to the output that begins at c
 * (step 5), and row 4 of c alone, the first of them, to the one that ends there (step 6). s0 is the output that ends at
 * c, s4 the one that begins. */
Q8_INLINE void column5(const block *b, const strips *s, size_t c, size_t last, __m512i s0[4], __m512i s1[4],
                       __m512i s2[4], __m512i s3[4], __m512i s4[4]) {
  const int8_t *const w = b->w;
  const size_t next = c + 3 <= last ? 5 : 0; /* of the last columns only the first counts */
  __m512i row[4], quad[4];
  RELOAD;
  start(b, s4);
  load_quads(1, 4, s, c * 5, quad);
  add_column(quad, w + 4 * 256, s0);
  add_column(quad, w + 3 * 256, s1);
  add_column(quad, w + 2 * 256, s2);
  add_column(quad, w + 256, s3);
  add_column(quad, w, s4);
  RELOAD;
  Q8_UNROLL
  for (size_t i = 0; i < 4; i++)
    row[i] = load_strips(1, s, c * 5 + 4 + i * next);
  interleave4(row, quad);
  add_column(quad, w + 6 * 256, s0);
  add_column(quad, w + 5 * 256, s4);
}

static void row5x5(const block *b, const uint8_t *const *cols, uint8_t *y, size_t n) {
  strips s;
  __m512i sum[5][4];
  const size_t last = cut_row(1, b, 5, n, cols, y, &s) + 3;
  Q8_UNROLL
  for (int i = 0; i < 5; i++)
    start(b, sum[i]);
  for (size_t c = 0, out = 0;;) {
#define COLUMN(i0, i1, i2, i3, i4)                                                                           \
  column5(b, &s, c, last, sum[i0], sum[i1], sum[i2], sum[i3], sum[i4]);                                      \
  if (c >= 4) {                                                                                              \
    store_strips(1, sum[i0], b, &s, out);                                                                    \
    out += s.y_stride;                                                                                      \
  }                                                                                                          \
  if (c++ == last)                                                                                           \
    return;
    COLUMN(0, 1, 2, 3, 4)
    COLUMN(1, 2, 3, 4, 0)
    COLUMN(2, 3, 4, 0, 1)
    COLUMN(3, 4, 0, 1, 2)
    COLUMN(4, 0, 1, 2, 3)
#undef COLUMN
  }
}

/* ---- The choice ---- */

#define ROW(name, pixels)                                                                                    \
  static void name##_##pixels(const block *b, const uint8_t *const *cols, uint8_t *y, size_t n) {            \
    name(pixels, b, cols, y, n);                                                                             \
  }
#define ROWS(name)                                                                                           \
  ROW(name, 1)                                                                                               \
  ROW(name, 2)                                                                                               \
  static row_fn *const all_##name[2] = {name##_1, name##_2};
Q8_INLINE void pair3x3(int pixels, const block *b, const uint8_t *const *cols, uint8_t *y, size_t n) {
  rows3x3(pixels, 2, b, cols, y, n);
}
ROWS(pair3x3)
ROWS(row3x3_2)
static void row3x3_1(const block *b, const uint8_t *const *cols, uint8_t *y, size_t n) {
  rows3x3(1, 1, b, cols, y, n);
}

row_fn *q8_avx512vnni_dwconv_pair(const q8_dwconv_shape *shape, size_t pixels) {
  if (pixels == 4)
    return shape->q >= 4 ? q8_avx512vnni_dwconv_pair16 : NULL;
  return all_pair3x3[pixels - 1];
}

row_fn *q8_avx512vnni_dwconv_row(const q8_dwconv_shape *shape, size_t pixels) {
  const size_t step = shape->col_step;
  if (shape->col_dilation != 1 || shape->r != shape->s || step > 2)
    return NULL;
  if (shape->r == 3 && pixels == 4)
    return shape->q >= 4 && step == 2 ? q8_avx512vnni_dwconv_row16_2 : NULL;
  if (shape->r == 3)
    return step == 2 ? all_row3x3_2[pixels - 1] : pixels == 1 ? row3x3_1 : NULL;
  return shape->r == 5 && step == 1 && pixels == 1 ? row5x5 : NULL;
}
#endif
