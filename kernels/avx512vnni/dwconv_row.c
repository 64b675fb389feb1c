/* dwconv_row.c - both passes of the depthwise kernel in one: 3 x 3 with horizontal stride 1 or 2, 5 x 5 with stride 1.
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
  const uint8_t *const *cols[4];
  uint8_t *y[4];
} strips;

/* Returns the outputs of a strip. r and step are those of the shape. */
Q8_INLINE size_t cut_row(int pixels, size_t r, size_t step, size_t n, const uint8_t *const *cols, uint8_t *y,
                         size_t y_stride, strips *s) {
  const size_t p = (size_t)pixels, length = (n + p - 1) / p;
  for (size_t i = 0; i < p; i++) {
    const size_t first = p > 1 ? (n - length) * i / (p - 1) : 0;
    s->cols[i] = cols + first * step * r;
    s->y[i] = y + first * y_stride;
  }
  return length;
}

/* The pixels of all strips at pointer `at`. */
Q8_INLINE __m512i load_strips(int pixels, int full, const strips *s, size_t at, span c) {
  const uint8_t *x[4];
  Q8_UNROLL
  for (int i = 0; i < pixels; i++)
    x[i] = s->cols[i][at];
  return load_pixels(pixels, full, x, c);
}

Q8_INLINE void store_strips(int pixels, int full, const __m512i acc[4], const block *b, const strips *s, size_t at) {
  const __m512i z = requant_quads(acc, b);
  if (pixels == 1 && full)
    _mm512_storeu_si512(s->y[0] + at, z);
  else if (pixels == 1)
    _mm512_mask_storeu_epi8(s->y[0] + at, b->c.mask, z);
  else if (pixels == 2) {
    const __mmask32 m = full ? 0xffffffffu : (__mmask32)b->c.mask;
    _mm256_mask_storeu_epi8(s->y[0] + at, m, _mm512_castsi512_si256(z));
    _mm256_mask_storeu_epi8(s->y[1] + at, m, _mm512_extracti64x4_epi64(z, 1));
  } else {
    const __mmask16 m = full ? 0xffff : (__mmask16)b->c.mask;
    _mm_mask_storeu_epi8(s->y[0] + at, m, _mm512_castsi512_si128(z));
    _mm_mask_storeu_epi8(s->y[1] + at, m, _mm512_extracti32x4_epi32(z, 1));
    _mm_mask_storeu_epi8(s->y[2] + at, m, _mm512_extracti32x4_epi32(z, 2));
    _mm_mask_storeu_epi8(s->y[3] + at, m, _mm512_extracti32x4_epi32(z, 3));
  }
}

/* ---- 3 x 3 ---- */

/* The quads of the column of pointers that begins at `at`. */
Q8_INLINE void quads3(int pixels, int full, const strips *s, size_t at, span c, __m512i quad[4]) {
  __m512i row[4];
  Q8_UNROLL
  for (size_t i = 0; i < 3; i++)
    row[i] = load_strips(pixels, full, s, at + i, c);
  row[3] = _mm512_setzero_si512();
  interleave4(row, quad);
}

/* One column: the last of `done`, the second of `second`, the first of `first`. */
Q8_INLINE void column3(int pixels, int full, const block *b, const strips *s, size_t at, __m512i done[4],
                       __m512i second[4], __m512i first[4]) {
  __m512i quad[4];
  RELOAD;
  quads3(pixels, full, s, at, b->c, quad);
  start(b, first);
  add_column(quad, b->w + 512, done);
  add_column(quad, b->w + 256, second);
  add_column(quad, b->w, first);
}

Q8_INLINE void row3x3_1(int pixels, int full, const block *b, const uint8_t *const *cols, uint8_t *y, size_t n) {
  strips s;
  __m512i sum[3][4];
  n = cut_row(pixels, 3, 1, n, cols, y, b->y_stride, &s);
  Q8_UNROLL
  for (int i = 0; i < 3; i++)
    start(b, sum[i]);
  column3(pixels, full, b, &s, 0, sum[1], sum[2], sum[0]);
  column3(pixels, full, b, &s, 3, sum[2], sum[0], sum[1]);
  for (size_t at = 6, out = 0;;) {
#define COLUMN(done, second, first)                                                                          \
  column3(pixels, full, b, &s, at, sum[done], sum[second], sum[first]);                                      \
  store_strips(pixels, full, sum[done], b, &s, out);                                                         \
  at += 3, out += b->y_stride;                                                                               \
  if (--n == 0)                                                                                              \
    return;
    COLUMN(0, 1, 2)
    COLUMN(1, 2, 0)
    COLUMN(2, 0, 1)
#undef COLUMN
  }
}

/* Every other column is the last of one output and the first of the next. */
Q8_INLINE void row3x3_2(int pixels, int full, const block *b, const uint8_t *const *cols, uint8_t *y, size_t n) {
  strips s;
  __m512i quad[4], sum[2][4];
  n = cut_row(pixels, 3, 2, n, cols, y, b->y_stride, &s);
  start(b, sum[0]);
  quads3(pixels, full, &s, 0, b->c, quad);
  add_column(quad, b->w, sum[0]);
  for (size_t at = 3, out = 0;;) {
#define OUTPUT(done, first)                                                                                  \
  RELOAD;                                                                                                    \
  quads3(pixels, full, &s, at, b->c, quad);                                                                  \
  add_column(quad, b->w + 256, sum[done]);                                                                   \
  quads3(pixels, full, &s, at + 3, b->c, quad);                                                              \
  start(b, sum[first]);                                                                                      \
  add_column(quad, b->w + 512, sum[done]);                                                                   \
  add_column(quad, b->w, sum[first]);                                                                        \
  store_strips(pixels, full, sum[done], b, &s, out);                                                         \
  at += 6, out += b->y_stride;                                                                               \
  if (--n == 0)                                                                                              \
    return;
    OUTPUT(0, 1)
    OUTPUT(1, 0)
#undef OUTPUT
  }
}

/* ---- 5 x 5 ---- */

/* Column c: its rows 0 to 3 go to the five outputs that it belongs to, row 4 of c .. c + 3 to the output that begins at c
 * (step 5), and row 4 of c alone, the first of them, to the one that ends there (step 6). s0 is the output that ends at
 * c, s4 the one that begins. */
Q8_INLINE void column5(int pixels, int full, const block *b, const strips *s, size_t c, size_t last, __m512i s0[4],
                       __m512i s1[4], __m512i s2[4], __m512i s3[4], __m512i s4[4]) {
  const int8_t *const w = b->w;
  __m512i row[4], quad[4];
  RELOAD;
  start(b, s4);
  Q8_UNROLL
  for (size_t i = 0; i < 4; i++)
    row[i] = load_strips(pixels, full, s, c * 5 + i, b->c);
  interleave4(row, quad);
  add_column(quad, w + 4 * 256, s0);
  add_column(quad, w + 3 * 256, s1);
  add_column(quad, w + 2 * 256, s2);
  add_column(quad, w + 256, s3);
  add_column(quad, w, s4);
  RELOAD;
  Q8_UNROLL
  for (size_t i = 0; i < 4; i++)
    row[i] = load_strips(pixels, full, s, (c + i < last ? c + i : last) * 5 + 4, b->c);
  interleave4(row, quad);
  add_column(quad, w + 6 * 256, s0);
  add_column(quad, w + 5 * 256, s4);
}

Q8_INLINE void row5x5(int pixels, int full, const block *b, const uint8_t *const *cols, uint8_t *y, size_t n) {
  strips s;
  __m512i sum[5][4];
  const size_t last = cut_row(pixels, 5, 1, n, cols, y, b->y_stride, &s) + 3;
  Q8_UNROLL
  for (int i = 0; i < 5; i++)
    start(b, sum[i]);
  for (size_t c = 0, out = 0;;) {
#define COLUMN(i0, i1, i2, i3, i4)                                                                           \
  column5(pixels, full, b, &s, c, last, sum[i0], sum[i1], sum[i2], sum[i3], sum[i4]);                        \
  if (c >= 4) {                                                                                              \
    store_strips(pixels, full, sum[i0], b, &s, out);                                                         \
    out += b->y_stride;                                                                                      \
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

#define ROW(name, pixels, full)                                                                              \
  static void name##_##pixels##_##full(const block *b, const uint8_t *const *cols, uint8_t *y, size_t n) {   \
    name(pixels, full, b, cols, y, n);                                                                       \
  }
#define ROWS(name)                                                                                           \
  ROW(name, 1, 0)                                                                                            \
  ROW(name, 1, 1)                                                                                            \
  ROW(name, 2, 0)                                                                                            \
  ROW(name, 2, 1)                                                                                            \
  ROW(name, 4, 0)                                                                                            \
  ROW(name, 4, 1)                                                                                            \
  static row_fn *const all_##name[3][2] = {                                                                  \
      {name##_1_0, name##_1_1}, {name##_2_0, name##_2_1}, {name##_4_0, name##_4_1}};
ROWS(row3x3_1)
ROWS(row3x3_2)
/* Few channels are rare here: always masked. */
ROW(row5x5, 1, 0)
ROW(row5x5, 1, 1)
ROW(row5x5, 2, 0)
ROW(row5x5, 4, 0)
static row_fn *const all_row5x5[3][2] = {{row5x5_1_0, row5x5_1_1}, {row5x5_2_0, row5x5_2_0}, {row5x5_4_0, row5x5_4_0}};

row_fn *q8_avx512vnni_dwconv_row(const q8_dwconv_shape *shape, int pixels, int full) {
  if (shape->col_dilation != 1 || shape->r != shape->s)
    return NULL;
  if (shape->r == 3 && shape->col_step <= 2)
    return (shape->col_step == 1 ? all_row3x3_1 : all_row3x3_2)[pixels / 2][full];
  return shape->r == 5 && shape->col_step == 1 ? all_row5x5[pixels / 2][full] : NULL;
}
#endif
