/* dwconv_fill.c - the first pass of the depthwise kernel: four taps of every channel side by side. */
#if defined(__AVX512VNNI__) && defined(__AVX512BW__) && defined(__AVX512VL__) && defined(__AVX512DQ__)
#include "dwconv.h"

/* Tap i of unit u is row `row + i * down` of column `column + u * col_step + i * across`. */
typedef struct {
  size_t row, column, taps, down, across;
} quad_source;

/* The pixels at p[0], p[next], ...; `whole` says that all channels of the block exist. */
Q8_INLINE __m512i load_masked(int pixels, int whole, const uint8_t *const *p, size_t next, span c) {
  const uint8_t *x[4];
  __m128i part[4];
  Q8_UNROLL
  for (int i = 0; i < pixels; i++)
    x[i] = p[(size_t)i * next];
  if (whole)
    return load_pixels(pixels, x, c.first);
  Q8_UNROLL
  for (int i = 0; i < 4; i++)
    part[i] = _mm_maskz_loadu_epi8((__mmask16)c.mask, x[i % pixels]);
  return join4(part[0], part[1], part[2], part[3]);
}

/* One register of units: the quads of `taps` rows of pointers, tap_stride pointers apart. */
Q8_INLINE void fill_vector(int pixels, int whole, size_t taps, const uint8_t *const *p, size_t tap_stride,
                           size_t pixel_stride, span c, uint8_t *scratch) {
  const __m512i zero = _mm512_setzero_si512();
  const __m512i row[4] = {
      load_masked(pixels, whole, p, pixel_stride, c), load_masked(pixels, whole, p + tap_stride, pixel_stride, c),
      taps > 2 ? load_masked(pixels, whole, p + 2 * tap_stride, pixel_stride, c) : zero,
      taps > 3 ? load_masked(pixels, whole, p + 3 * tap_stride, pixel_stride, c) : zero};
  __m512i quad[4];
  interleave4(row, quad);
  Q8_UNROLL
  for (int v = 0; v < 4; v++)
    _mm512_storeu_si512(scratch + v * SCRATCH_ROW, quad[v]);
}

/* The register of unit u where some of its columns lie past `last`, the end of the row. Those belong to no
 * tap or to no output: column `last` stands in. */
Q8_INLINE void fill_edge(int pixels, int whole, const block *b, const uint8_t *const *cols, size_t last,
                         const quad_source *q, size_t u, uint8_t *scratch) {
  const uint8_t *edge[16] = {0};
  for (size_t i = 0; i < q->taps; i++)
    for (size_t x = 0; x < (size_t)pixels; x++) {
      const size_t column = q->column + (u + x) * b->shape->col_step + i * q->across;
      edge[i * 4 + x] = cols[(column < last ? column : last) * b->pitch + q->row + i * q->down];
    }
  fill_vector(pixels, whole, q->taps, edge, 4, 1, b->c, scratch);
}

/* `units` units of one plane. */
Q8_INLINE void fill_units(int pixels, int whole, const block *b, const uint8_t *const *cols, size_t last,
                          const quad_source *q, size_t units, uint8_t *scratch) {
  const size_t step = b->shape->col_step, pixel_stride = step * b->pitch;
  const size_t tap_stride = q->down + q->across * b->pitch;
  const uint8_t *const *p = cols + q->column * b->pitch + q->row;
  size_t u = 0, furthest = q->column + (size_t)(pixels - 1) * step + (q->taps - 1) * q->across;
  for (; u < units && furthest <= last; u += (size_t)pixels, p += (size_t)pixels * pixel_stride, scratch += 64) {
    fill_vector(pixels, whole, q->taps, p, tap_stride, pixel_stride, b->c, scratch);
    furthest += (size_t)pixels * step;
  }
  for (; u < units; u += (size_t)pixels, scratch += 64)
    fill_edge(pixels, whole, b, cols, last, q, u, scratch);
}

static void fill_plane(const block *b, const uint8_t *const *cols, size_t last, const quad_source *q, size_t units,
                       uint8_t *scratch) {
  if (b->pixels == 1)
    fill_units(1, 1, b, cols, last, q, units, scratch);
  else if (b->pixels == 2)
    fill_units(2, 1, b, cols, last, q, units, scratch);
  else if (b->c.mask == first64(16))
    fill_units(4, 1, b, cols, last, q, units, scratch);
  else
    fill_units(4, 0, b, cols, last, q, units, scratch);
}

/* Every four rows: a plane per column of the phase. A row left over: planes of four columns. */
void q8_avx512vnni_dwconv_fill(block *b, const uint8_t *const *cols, size_t last, size_t outputs) {
  const q8_dwconv_shape *p = b->shape;
  const layout *l = &b->layout;
  const size_t plane_bytes = (size_t)l->units * (64 / b->pixels), d = p->col_dilation;
  const size_t down = p->r - (p->r % 4 == 1);
  uint8_t *scratch = b->scratch;
  for (size_t row = 0; row < down; row += 4)
    for (size_t plane = 0; plane < l->phase; plane++, scratch += plane_bytes) {
      const quad_source q = {row, plane * d, p->r - row < 4 ? p->r - row : 4, 1, 0};
      fill_plane(b, cols, last, &q, outputs + l->reach - (plane >= l->full_planes), scratch);
    }
  for (size_t plane = 0; down < p->r && plane < l->across_phase; plane++, scratch += plane_bytes) {
    const quad_source q = {down, 4 * plane * d, 4, 0, d};
    fill_plane(b, cols, last, &q, outputs + (l->across_phase == 1 ? l->reach : 0), scratch);
  }
}
#endif
