/* dwconv_fill.c - the first pass of the depthwise kernel: four taps of every channel side by side. */
#if defined(__AVX512VNNI__) && defined(__AVX512BW__) && defined(__AVX512VL__) && defined(__AVX512DQ__)
#include "dwconv.h"

/* One register of units: the quads of `taps` pointers, tap_stride apart. */
Q8_INLINE void fill_vector(int pixels, size_t taps, const uint8_t *const *p, size_t tap_stride, size_t pixel_stride,
                           size_t first, uint8_t *scratch) {
  __m512i row[4], quad[4];
  Q8_UNROLL
  for (size_t i = 0; i < 4; i++) {
    const uint8_t *const *at = p + i * tap_stride;
    row[i] = i < taps ? load_pixels(pixels, (const uint8_t *const[2]){at[0], at[pixels > 1 ? pixel_stride : 0]}, first)
                      : _mm512_setzero_si512();
  }
  interleave4(row, quad);
  Q8_UNROLL
  for (int v = 0; v < 4; v++)
    _mm512_storeu_si512(scratch + v * SCRATCH_ROW, quad[v]);
}

/* The register of unit u where some of its columns lie past `last`, the end of the row. Those belong to no
 * tap or to no output: column `last` stands in. */
Q8_INLINE void fill_edge(int pixels, const block *b, const uint8_t *const *cols, size_t last, const quad_source *q,
                         size_t u, uint8_t *scratch) {
  const uint8_t *edge[8] = {0};
  for (size_t i = 0; i < q->taps; i++)
    for (size_t x = 0; x < (size_t)pixels; x++) {
      const size_t column = q->column + (u + x) * b->shape->col_step + i * q->across;
      edge[i * 2 + x] = cols[(column < last ? column : last) * b->pitch + q->row + i * q->down];
    }
  fill_vector(pixels, q->taps, edge, 2, 1, b->first, scratch);
}

Q8_INLINE void fill_units(int pixels, const block *b, const uint8_t *const *cols, size_t last, const quad_source *q,
                          size_t units, uint8_t *scratch) {
  const size_t step = b->shape->col_step, pixel_stride = step * b->pitch;
  const size_t tap_stride = q->down + q->across * b->pitch;
  const uint8_t *const *p = cols + q->column * b->pitch + q->row;
  size_t u = 0, furthest = q->column + (size_t)(pixels - 1) * step + (q->taps - 1) * q->across;
  for (; u < units && furthest <= last; u += (size_t)pixels, p += (size_t)pixels * pixel_stride, scratch += 64) {
    fill_vector(pixels, q->taps, p, tap_stride, pixel_stride, b->first, scratch);
    furthest += (size_t)pixels * step;
  }
  for (; u < units; u += (size_t)pixels, scratch += 64)
    fill_edge(pixels, b, cols, last, q, u, scratch);
}

void q8_avx512vnni_dwconv_fill(const block *b, const uint8_t *const *cols, size_t last, const quad_source *q,
                               size_t units, uint8_t *scratch) {
  if (b->pixels == 1)
    fill_units(1, b, cols, last, q, units, scratch);
  else
    fill_units(2, b, cols, last, q, units, scratch);
}
#endif
