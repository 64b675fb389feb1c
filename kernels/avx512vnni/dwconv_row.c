/* dwconv_row.c - all passes of the depthwise kernel in one: 3 x 3 with horizontal stride 1 (one output row,
 * or two at once) or 2, and 5 x 5 with stride 1.
 *
 * Columns pass once, each to all outputs that it belongs to, so that quads and unfinished sums stay in
 * registers. From one column to the next the sums move on by one register, which renaming does. */
#define Q8_LARGE_BODIES
#if defined(__AVX512VNNI__) && defined(__AVX512BW__) && defined(__AVX512VL__) && defined(__AVX512DQ__)
#include "dwconv.h"

enum { STEP = 256 }; /* bytes of the weights of a step */

/* Between columns: what does not change (weights, scales) is loaded again. gcc would keep it in registers and
 * push sums out to memory instead. */
#define RELOAD __asm__ volatile("" ::: "memory")

/* acc starts from the bias. The asm keeps the load in the loop: gcc would hoist it. */
Q8_INLINE void start(const block *b, __m512i acc[4]) {
  Q8_UNROLL
  for (int v = 0; v < 4; v++)
    __asm__("vmovdqa64 %1, %0" : "=v"(acc[v]) : "m"(b->bias[v]));
}
Q8_INLINE void move(__m512i to[4], const __m512i from[4]) {
  Q8_UNROLL
  for (int v = 0; v < 4; v++)
    to[v] = from[v];
}

/* Weights stay in memory: kept in registers they would push the sums out. */
Q8_INLINE void add_column(const __m512i quad[4], const int8_t *w, __m512i acc[4]) {
  Q8_UNROLL
  for (int v = 0; v < 4; v++)
    add_products_at(&acc[v], quad[v], w + 64 * v);
}

/* `wide` says whether a register holds 64 channels of a pixel, or 32 of one of each strip. */
Q8_INLINE __m512i load_row(int wide, const uint8_t *const *p, size_t skip, size_t first) {
  return wide ? _mm512_loadu_si512(p[0] + first) : load_halves(p[0] + first, p[skip] + first);
}

/* The quads of four taps, `next` pointers apart. Without the last one the first stands in for it, whose
 * weight is 0. */
Q8_INLINE void load_quads(int wide, int all, size_t skip, size_t first, const uint8_t *const *p,
                          const size_t next[3], __m512i quad[4]) {
  __m512i row[4] = {load_row(wide, p, skip, first), load_row(wide, p + next[0], skip, first),
                    load_row(wide, p + next[1], skip, first)};
  row[3] = row[0];
  if (__builtin_expect(all, 1))
    row[3] = load_row(wide, p + next[2], skip, first);
  interleave4(row, quad);
}
static const size_t down_column[3] = {1, 2, 3};

Q8_INLINE void convert(const __m512i sum[4], __m512 out[4]) {
  Q8_UNROLL
  for (int v = 0; v < 4; v++)
    out[v] = _mm512_cvtepi32_ps(sum[v]);
}

Q8_INLINE void load_scales(const block *b, __m512 scale[4]) {
  Q8_UNROLL
  for (int v = 0; v < 4; v++)
    scale[v] = b->scale[v];
}
Q8_INLINE void store_output(int wide, const block *b, const __m512 sum[4], const __m512 scale[4],
                            uint8_t *y) {
  __m512i z = requant_floats(1, sum, scale, &b->bounds);
  if (__builtin_expect(b->clamps, 0))
    z = clamp_bytes(z, b);
  if (wide)
    _mm512_storeu_si512(y, z);
  else
    store_halves(z, y, y + b->across);
}

/* ---- 3 x 3 with stride 1 ---- */

/* For two output rows the quads of four input rows serve. The weights of the lower one, whose taps are one
 * byte further on in every quad, lie three steps behind. At a column outputs of sum[0] end, of sum[2] begin.
 */
Q8_INLINE void column3x3(int wide, const block *b, const uint8_t *const *p, size_t skip, size_t first,
                         int pair, __m512i sum[3][2][4]) {
  __m512i quad[4];
  RELOAD;
  const int8_t *const w = b->w;
  load_quads(wide, pair, skip, first, p, down_column, quad);
  start(b, sum[2][0]);
  move(sum[2][1], sum[2][0]);
  Q8_UNROLL
  for (int i = 0; i < 3; i++)
    add_column(quad, w + (2 - i) * STEP, sum[i][0]);
  if (__builtin_expect(pair, 1)) {
    Q8_UNROLL
    for (int i = 0; i < 3; i++)
      add_column(quad, w + (5 - i) * STEP, sum[i][1]);
  }
}
Q8_INLINE void next_column(__m512i sum[3][2][4]) {
  Q8_UNROLL
  for (int i = 0; i < 4; i++)
    move(sum[i / 2][i % 2], sum[i / 2 + 1][i % 2]);
}

/* The first two columns end no output. In rows of 64 channels, which are often short, they come before the
 * loop: the branch around the stores would cost a misprediction for each block. */
Q8_INLINE void row3x3(int wide, const block *b, const uint8_t *const *p, uint8_t *y) {
  const size_t first = b->first, skip = b->skip, stride = b->y_stride, pitch = b->pitch, down = b->row_stride;
  const int pair = down > 0;
  __m512i sum[3][2][4];
  size_t c = 0;
  Q8_UNROLL
  for (int i = 0; i < 4; i++)
    start(b, sum[i / 2][i % 2]);
  for (; wide && c < 2; c++, p += pitch) {
    column3x3(wide, b, p, skip, first, pair, sum);
    next_column(sum);
  }
  for (;; p += pitch) {
    column3x3(wide, b, p, skip, first, pair, sum);
    if (wide || c >= 2) {
      __m512 scale[4], done[4];
      load_scales(b, scale);
      convert(sum[0][0], done);
      store_output(wide, b, done, scale, y);
      if (__builtin_expect(pair, 1)) {
        convert(sum[0][1], done);
        store_output(wide, b, done, scale, y + down);
      }
      y += stride;
    }
    if (c++ == b->length + 1)
      return;
    next_column(sum);
  }
}

/* ---- 3 x 3 with stride 2 ---- */

/* Weights that stay in registers: loading them, sums and scales again would take as long as all else. */
Q8_INLINE void add_quads(const __m512i quad[4], const __m512i w[4], __m512i acc[4]) {
  Q8_UNROLL
  for (int v = 0; v < 4; v++)
    add_products(&acc[v], quad[v], w[v]);
}

/* The middle and the last column of an output, pointers p to p + 5. Rows 2 of the last and 0 of the middle
 * one make pairs that serve both, two shuffles less: so the taps of the middle one are those of the lower row
 * of a pair, one byte further on. */
Q8_INLINE void load_two_columns(int wide, size_t skip, size_t first, const uint8_t *const *p,
                                __m512i middle[4], __m512i last[4]) {
  const __m512i m0 = load_row(wide, p, skip, first), m1 = load_row(wide, p + 1, skip, first),
                m2 = load_row(wide, p + 2, skip, first), l0 = load_row(wide, p + 3, skip, first),
                l1 = load_row(wide, p + 4, skip, first), l2 = load_row(wide, p + 5, skip, first);
  interleave4((const __m512i[4]){l2, m0, m1, m2}, middle);
  interleave4((const __m512i[4]){l0, l1, l2, m0}, last);
}

/* The output that has its first column: converted to `done`. The last column begins the next one. */
Q8_INLINE void end_output(int wide, const block *b, size_t skip, size_t first, const uint8_t *const *p,
                          const __m512i w[3][4], __m512i sum[4], __m512 done[4]) {
  __m512i middle[4], last[4];
  load_two_columns(wide, skip, first, p, middle, last);
  add_quads(middle, w[1], sum);
  add_quads(last, w[2], sum);
  convert(sum, done);
  start(b, sum);
  add_quads(last, w[0], sum);
}

/* An output is rounded and stored while the next one is summed: one after the other, the chain of both is
 * longer than the CPU looks ahead. */
Q8_INLINE void row3x3_2(int wide, const block *b, const uint8_t *const *p, uint8_t *y) {
  static const int step[3] = {0, 4, 2};
  const size_t first = b->first, skip = b->skip, stride = b->y_stride;
  __m512i quad[4], sum[4], w[3][4];
  __m512 before[4];
  Q8_UNROLL
  for (int i = 0; i < 12; i++)
    __asm__("vmovdqa64 %1, %0"
            : "=v"(w[i / 4][i % 4])
            : "m"(*(const __m512i *)(const void *)(b->w + step[i / 4] * STEP + i % 4 * 64)));
  load_quads(wide, 0, skip, first, p, down_column, quad);
  start(b, sum);
  add_quads(quad, w[0], sum);
  convert(sum, before); /* the first column alone is stored too, where the first output comes next */
  p += 3;
  for (size_t left = b->length, next = 0; left > 0; left--, p += 6, y += next, next = stride) {
    __m512 done[4];
    RELOAD;
    end_output(wide, b, skip, first, p, w, sum, done);
    store_output(wide, b, before, b->scale, y);
    Q8_UNROLL
    for (int v = 0; v < 4; v++)
      before[v] = done[v];
  }
  store_output(wide, b, before, b->scale, y);
}

/* ---- 5 x 5 ---- */

/* Column c: its rows 0 to 3 go to the five outputs that it belongs to. Row 4 has quads of four columns, of
 * which the first is a multiple of 4: those of c go to the output that ends there and to the one that begins,
 * by weights for each c % 4. At the ends of the row two of the five do not exist. */
static void row5x5(const block *b, const uint8_t *const *p, uint8_t *y) {
  const int wide = b->channels == 64;
  const size_t first = b->first, skip = b->skip, stride = b->y_stride, last = b->length + 3;
  __m512i sum[5][4], across[4] = {{0}, {0}, {0}, {0}};
  Q8_UNROLL
  for (int i = 0; i < 5; i++)
    start(b, sum[i]);
  for (size_t c = 0;; c++, p += 5) {
    const size_t left = last - c;
    __m512i quad[4];
    RELOAD;
    const int8_t *const w = b->w, *const w4 = w + (5 + c % 4 * 2) * STEP;
    if (c % 4 == 0) {
      const size_t next[3] = {5 * (left < 1 ? left : 1), 5 * (left < 2 ? left : 2),
                              5 * (left < 3 ? left : 3)};
      load_quads(wide, 1, skip, first, p + 4, next, across);
    }
    load_quads(wide, 1, skip, first, p, down_column, quad);
    add_column(quad, w + 2 * STEP, sum[2]);
    if (__builtin_expect(left >= 3, 1)) {
      start(b, sum[4]);
      add_column(quad, w + STEP, sum[3]);
      add_column(quad, w, sum[4]);
      add_column(across, w4, sum[4]);
    }
    if (__builtin_expect(c >= 3, 1)) {
      add_column(across, w4 + STEP, sum[0]);
      add_column(quad, w + 4 * STEP, sum[0]);
      add_column(quad, w + 3 * STEP, sum[1]);
    }
    if (c >= 4) {
      __m512 done[4];
      convert(sum[0], done);
      store_output(wide, b, done, b->scale, y);
      y += stride;
    }
    if (left == 0)
      return;
    Q8_UNROLL
    for (int i = 0; i < 4; i++)
      move(sum[i], sum[i + 1]);
  }
}

/* ---- The choice ---- */

#define ROWS(name)                                                                                           \
  static void name##_wide(const block *b, const uint8_t *const *p, uint8_t *y) {                             \
    name(1, b, p, y);                                                                                        \
  }                                                                                                          \
  static void name##_halves(const block *b, const uint8_t *const *p, uint8_t *y) {                           \
    name(0, b, p, y);                                                                                        \
  }
ROWS(row3x3)
ROWS(row3x3_2)

row_fn *q8_avx512vnni_dwconv_row(const block *b) {
  const q8_dwconv_shape *p = b->shape;
  if (b->sums || !b->small || p->col_dilation != 1 || p->r != p->s || p->col_step > 2)
    return NULL;
  if (b->vectors == 1)
    return p->r == 3 && b->channels == 16 && b->length >= 4 ? q8_avx512vnni_dwconv_row16 : NULL;
  if (p->r == 3)
    return b->channels == 64  ? p->col_step == 1 ? row3x3_wide : row3x3_2_wide
           : p->col_step == 1 ? row3x3_halves
                              : row3x3_2_halves;
  return p->r == 5 && p->col_step == 1 ? row5x5 : NULL;
}
#endif
