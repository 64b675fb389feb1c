/* dwconv_fill.c - the first pass of the depthwise kernel: four taps of every channel side by side. */
#define Q8_LARGE_BODIES
#if defined(__AVX512VNNI__) && defined(__AVX512BW__) && defined(__AVX512VL__) && defined(__AVX512DQ__)
#include "dwconv.h"

/* One register of units: the quads of `taps` rows of pointers, `tap_stride` pointers apart. */
Q8_INLINE void fill_vector(int pixels, size_t taps, const uint8_t *const *p, size_t tap_stride,
                           size_t pixel_stride, span c, uint8_t *scratch) {
  __m512i row[4], quad[4];
  Q8_UNROLL
  for (size_t i = 0; i < 4; i++) {
    const uint8_t *x[4];
    Q8_UNROLL
    for (int j = 0; i < taps && j < pixels; j++)
      x[j] = p[i * tap_stride + (size_t)j * pixel_stride];
    row[i] = i < taps ? load_pixels(pixels, 0, x, c) : _mm512_setzero_si512();
  }
  interleave4(row, quad);
  Q8_UNROLL
  for (int v = 0; v < 4; v++)
    _mm512_storeu_si512(scratch + v * SCRATCH_ROW, quad[v]);
}

/* Tap i of unit u is row `row + i * down` of column `column + u * col_step + i * across`. */
typedef struct {
  size_t row, column, taps, down, across;
} quad_source;

/* The register of unit u where some of its columns lie past `last`, the end of the row. Those belong to no
 * tap or to no output: column `last` stands in. */
Q8_INLINE void fill_edge(int pixels, const q8_dwconv_shape *shape, const uint8_t *const *cols,
                         size_t last, const quad_source *q, size_t u, span c, uint8_t *scratch) {
  const uint8_t *edge[4][4];
  for (size_t i = 0; i < 4; i++)
    for (size_t x = 0; x < (size_t)pixels; x++) {
      size_t column = q->column + (u + x) * shape->col_step + i * q->across;
      size_t row = q->row + (i < q->taps ? i * q->down : 0);
      edge[i][x] = cols[(column < last ? column : last) * shape->r + row];
    }
  fill_vector(pixels, 4, edge[0], 4, 1, c, scratch);
}

/* `units` units of one plane; `taps`, q->taps, is a constant in every caller. */
Q8_INLINE void fill_plane(int pixels, size_t taps, const q8_dwconv_shape *shape,
                          const uint8_t *const *cols, size_t last, const quad_source *q, size_t units, span c,
                          uint8_t *scratch) {
  const size_t pixel_stride = shape->col_step * shape->r, tap_stride = q->down + q->across * shape->r;
  const uint8_t *const *p = cols + q->column * shape->r + q->row;
  size_t u = 0, furthest = q->column + (size_t)(pixels - 1) * shape->col_step + (taps - 1) * q->across;
  for (; u < units && furthest <= last; u += pixels, p += pixels * pixel_stride, scratch += 64) {
    fill_vector(pixels, taps, p, tap_stride, pixel_stride, c, scratch);
    furthest += pixels * shape->col_step;
  }
  for (; u < units; u += pixels, scratch += 64)
    fill_edge(pixels, shape, cols, last, q, u, c, scratch);
}

Q8_INLINE void fill(int pixels, block *b, const uint8_t *const *cols, size_t last, size_t outputs) {
  const q8_dwconv_shape *p = b->shape;
  const layout *l = b->layout;
  const size_t plane_bytes = (size_t)l->units * (64 / pixels), d = p->col_dilation;
  const size_t down = p->r - (p->r % 4 == 1);
  uint8_t *scratch = b->scratch;
  for (size_t row = 0; row < down; row += 4)
    for (size_t plane = 0; plane < l->phase; plane++, scratch += plane_bytes) {
      const quad_source q = {row, plane * d, p->r - row < 4 ? p->r - row : 4, 1, 0};
      const size_t units = outputs + l->reach - (plane >= l->full_planes);
      if (q.taps == 4)
        fill_plane(pixels, 4, p, cols, last, &q, units, b->c, scratch);
      else if (q.taps == 3)
        fill_plane(pixels, 3, p, cols, last, &q, units, b->c, scratch);
      else
        fill_plane(pixels, 2, p, cols, last, &q, units, b->c, scratch);
    }
  if (down < p->r)
    for (size_t plane = 0; plane < l->across_phase; plane++, scratch += plane_bytes) {
      const quad_source q = {down, 4 * plane * d, 4, 0, d};
      const size_t units = outputs + (l->across_phase == 1 ? l->reach : 0);
      fill_plane(pixels, 4, p, cols, last, &q, units, b->c, scratch);
    }
}

#define FILL(pixels)                                                                                         \
  static void fill_##pixels(block *b, const uint8_t *const *cols, size_t last, size_t outputs) {             \
    fill(pixels, b, cols, last, outputs);                                                                    \
  }
FILL(1)
FILL(2)
FILL(4)
fill_fn *const q8_avx512vnni_dwconv_fill[3] = {fill_1, fill_2, fill_4};
#endif
