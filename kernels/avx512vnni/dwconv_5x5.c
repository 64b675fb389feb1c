/* dwconv_5x5.c - 5 x 5 with horizontal stride 1 in one pass. Columns pass once, each to all outputs that it belongs to, so that
 * quads and unfinished sums stay in registers. From one column to the next the sums move on by one register, which renaming
 * does. */
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

/* The quads of four taps, `next` pointers apart. */
Q8_INLINE void load_quads(int wide, size_t skip, size_t first, const uint8_t *const *p, const size_t next[3],
                          __m512i quad[4]) {
  const __m512i row[4] = {load_row(wide, p, skip, first), load_row(wide, p + next[0], skip, first),
                          load_row(wide, p + next[1], skip, first), load_row(wide, p + next[2], skip, first)};
  interleave4(row, quad);
}

Q8_INLINE void store_output(int wide, const block *b, const __m512i sum[4], uint8_t *y) {
  __m512i z = requant_quads(1, sum, b->scale, &b->bounds);
  if (__builtin_expect(b->clamps, 0))
    z = clamp_bytes(z, b);
  if (wide)
    _mm512_storeu_si512(y, z);
  else
    store_halves(z, y, y + b->across);
}

/* Column c: its rows 0 to 3 go to the five outputs that it belongs to. Row 4 has quads of four columns, of
 * which the first is a multiple of 4: those of c go to the output that ends there and to the one that begins,
 * by weights for each c % 4. At the ends of the row two of the five do not exist. */
void q8_avx512vnni_dwconv_row5x5(const block *b, const uint8_t *const *p, uint8_t *y) {
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
      load_quads(wide, skip, first, p + 4, next, across);
    }
    load_quads(wide, skip, first, p, (const size_t[3]){1, 2, 3}, quad);
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
      store_output(wide, b, sum[0], y);
      y += stride;
    }
    if (left == 0)
      return;
    Q8_UNROLL
    for (int i = 0; i < 4; i++)
      move(sum[i], sum[i + 1]);
  }
}

#endif
