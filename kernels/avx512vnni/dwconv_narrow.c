/* dwconv_narrow.c - both passes of the depthwise kernel for blocks of up to 16 channels.
 *
 * A register holds the quads of one pixel in the order of channels, so that sums, bias and scale are in that order too.
 * Filling puts four taps of 16 bytes into the lanes of a register and transposes it: first the dwords across the lanes,
 * then the bytes in each. The scratch is one row here, a unit 64 bytes. */
#if defined(__AVX512VNNI__) && defined(__AVX512BW__) && defined(__AVX512VL__) && defined(__AVX512DQ__)
#include "dwconv.h"

enum { TILE = 4 };

/* Hides where z comes from: clang would merge insertions and both transpositions into a longer sequence of shuffles.
 * gcc does not, and would only copy registers. */
#if defined(__clang__)
#define KEEP(z) __asm__("" : "+v"(z))
#else
#define KEEP(z) (void)(z)
#endif

/* 16 dwords, four taps of a channel each: 16 channels of x[i] if `whole`, else those of the mask m. Without the fourth
 * tap the first stands in for it. Merging under a mask while loading keeps the insertions from the one port that can
 * shuffle. */
Q8_INLINE __m512i load_quads(int whole, size_t taps, const uint8_t *const x[4], size_t first, __mmask16 m) {
  const __m512i bytes = _mm512_broadcast_i32x4(
      _mm_setr_epi8(0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15));
  __m512i z;
  if (whole) {
    z = _mm512_broadcast_i32x4(_mm_loadu_si128((const __m128i *)(x[0] + first)));
    KEEP(z);
    z = _mm512_mask_broadcast_i32x4(z, 0x00f0, _mm_loadu_si128((const __m128i *)(x[1] + first)));
    z = _mm512_mask_broadcast_i32x4(z, 0x0f00, _mm_loadu_si128((const __m128i *)(x[2] + first)));
    if (taps == 4)
      z = _mm512_mask_broadcast_i32x4(z, 0xf000, _mm_loadu_si128((const __m128i *)(x[3] + first)));
  } else {
    z = join4(_mm_maskz_loadu_epi8(m, x[0] + first), _mm_maskz_loadu_epi8(m, x[1] + first),
              _mm_maskz_loadu_epi8(m, x[2] + first), _mm_maskz_loadu_epi8(m, x[3] + first));
  }
  KEEP(z);
  z = _mm512_permutexvar_epi32(quad_index(), z);
  KEEP(z);
  return _mm512_shuffle_epi8(z, bytes);
}

/* Tap 0 stands in for taps that do not exist, column `last` for columns past it: their weight is 0, or nobody stores
 * the sum. The loop for such columns is also that of fewer channels. */
void q8_avx512vnni_dwconv_fill16(const block *b, const uint8_t *const *cols, size_t last, const quad_source *q,
                                 size_t units, uint8_t *scratch) {
  const size_t pitch = b->pitch, step = b->shape->col_step, first = b->first, down = q->down, across = q->across;
  const size_t row = q->row, taps = q->taps, tap = down + across * pitch;
  const size_t second = taps > 1 ? tap : 0, third = taps > 2 ? 2 * tap : 0, fourth = taps > 3 ? 3 * tap : 0;
  const uint8_t *const *p = cols + q->column * pitch + row;
  const __mmask16 m = first16(b->channels);
  uint8_t *const end = scratch + 64 * units;
  size_t column = q->column;
  for (; m == 0xffff && scratch < end && column + (taps - 1) * across <= last; scratch += 64) {
    const uint8_t *const x[4] = {p[0], p[second], p[third], p[fourth]};
    _mm512_store_si512(scratch, load_quads(1, 4, x, first, 0));
    column += step, p += step * pitch;
  }
  for (; scratch < end; scratch += 64, column += step) {
    const uint8_t *x[4];
    for (size_t i = 0; i < 4; i++) {
      const size_t t = i < taps ? i : 0, far = column + t * across;
      x[i] = cols[(far < last ? far : last) * pitch + row + t * down];
    }
    _mm512_store_si512(scratch, load_quads(0, 4, x, first, m));
  }
}

/* The sums of four pixels, of which the first n exist, to y. */
Q8_INLINE void finish(const __m512i sum[TILE], const block *b, uint8_t *y, size_t n) {
  if (b->sums) {
    Q8_UNROLL
    for (size_t i = 0; i < TILE; i++)
      if (i < n)
        _mm512_mask_storeu_epi32((int32_t *)(void *)y + i * b->y_stride, first16(b->channels), sum[i]);
    return;
  }
  const __m512i z = _mm512_permutexvar_epi32(quad_index(), requant_quads(b->small, b->clamps, sum, b));
  store_parts(4, z, first16(b->channels), y, b->y_stride, n);
}

void q8_avx512vnni_dwconv_multiply16(const block *b, const int8_t *w, void *y, size_t n) {
  const size_t next = TILE * b->y_stride * (b->sums ? sizeof(int32_t) : 1), steps = b->layout.steps;
  const uint8_t *x = b->scratch;
  uint8_t *out = y;
  for (size_t at = 0; at < n; at += TILE, x += 64 * TILE, out += next) {
    __m512i sum[TILE];
    Q8_UNROLL
    for (int i = 0; i < TILE; i++)
      sum[i] = b->bias[0];
    for (size_t k = 0; k < steps; k++) {
      const __m512i weight = _mm512_load_si512(w + 64 * k);
      const uint8_t *from = x + (size_t)b->layout.offset[k] * 64;
      Q8_UNROLL
      for (int i = 0; i < TILE; i++)
        add_products(&sum[i], _mm512_load_si512(from + 64 * i), weight);
    }
    finish(sum, b, out, n - at);
  }
}

/* ---- 3 x 3 in one pass ---- */

/* The quads of the column of pointers at p: the first `rows` rows, 3 or 4. The weight of a missing one is 0. */
Q8_INLINE __m512i column16(size_t rows, const uint8_t *const *p, size_t first) {
  const uint8_t *const x[4] = {p[0], p[1], p[2], p[rows == 4 ? 3 : 0]};
  return load_quads(1, rows, x, first, 0);
}

/* The columns that output x shares with the one before; *p moves to the last of them. `step` and `rows` are constants in
 * every caller. */
Q8_INLINE void start16(size_t step, size_t rows, const block *b, const uint8_t *const *cols, size_t x,
                       const uint8_t *const **p, __m512i quad[2]) {
  *p = cols + x * step * rows;
  quad[0] = quad[1] = column16(rows, *p, b->first);
  if (step == 1)
    quad[1] = column16(rows, *p += rows, b->first);
}

/* The sums of the next four outputs, with rows = 4 also of those of the second row of a pair. */
Q8_INLINE void tile16(size_t step, size_t rows, const block *b, const uint8_t *const **p, __m512i quad[3],
                      __m512i (*sum)[TILE]) {
  const __m512i *const w = (const __m512i *)(const void *)b->w;
  Q8_UNROLL
  for (size_t i = 0; i < TILE; i++) {
    if (step == 2)
      quad[1] = column16(rows, *p += rows, b->first);
    quad[2] = column16(rows, *p += rows, b->first);
    Q8_UNROLL
    for (size_t row = 0; row < rows - 2; row++) {
      sum[row][i] = b->bias[0];
      Q8_UNROLL
      for (size_t j = 0; j < 3; j++)
        add_products(&sum[row][i], quad[j], w[3 * row + j]);
    }
    quad[0] = quad[step], quad[1] = quad[2];
  }
}

Q8_INLINE void store16(const __m512i sum[TILE], const block *b, uint8_t *y) {
  store_parts(4, _mm512_permutexvar_epi32(quad_index(), requant_quads(1, b->clamps, sum, b)), first16(16), y, b->y_stride, TILE);
}

/* Four neighbouring outputs at a time, the last four may overlap those before. */
void q8_avx512vnni_dwconv_pair16(const block *b, const uint8_t *const *cols, uint8_t *y, size_t n) {
  const uint8_t *const *p;
  __m512i quad[3], sum[2][TILE];
  start16(1, 4, b, cols, 0, &p, quad);
  for (size_t at = 0; at < n; at += TILE) {
    const size_t x = at + TILE <= n ? at : n - TILE;
    if (x < at)
      start16(1, 4, b, cols, x, &p, quad);
    tile16(1, 4, b, &p, quad, sum);
    store16(sum[0], b, y + x * b->y_stride);
    store16(sum[1], b, y + x * b->y_stride + b->row_stride);
  }
}

/* Outputs are rounded and stored while the next ones are summed: one after the other, the chain of both is longer than
 * the CPU looks ahead. */
void q8_avx512vnni_dwconv_row16_2(const block *b, const uint8_t *const *cols, uint8_t *y, size_t n) {
  const uint8_t *const *p;
  uint8_t *to = NULL;
  __m512i quad[3], sum[1][TILE], before[TILE];
  start16(2, 3, b, cols, 0, &p, quad);
  for (size_t at = 0;; at += TILE) {
    const size_t x = at + TILE <= n ? at : n - TILE;
    if (x < at)
      start16(2, 3, b, cols, x, &p, quad);
    tile16(2, 3, b, &p, quad, sum);
    if (to)
      store16(before, b, to);
    to = y + x * b->y_stride;
    Q8_UNROLL
    for (size_t i = 0; i < TILE; i++)
      before[i] = sum[0][i];
    if (at + TILE >= n)
      break;
  }
  store16(before, b, to);
}
#endif
