/* dwconv_fill.c - the first pass of the depthwise kernel: four taps of every channel side by side. */
#if defined(__AVX512VNNI__) && defined(__AVX512BW__) && defined(__AVX512VL__) && defined(__AVX512DQ__)
#include "dwconv.h"

/* One register of units: the quads of four taps of one or two pixels. */
Q8_INLINE void fill_vector(int pixels, const uint8_t *const x[4][2], size_t first, uint8_t *scratch) {
  __m512i row[4], quad[4];
  Q8_UNROLL
  for (int i = 0; i < 4; i++)
    row[i] = load_pixels(pixels, x[i], first);
  interleave4(row, quad);
  Q8_UNROLL
  for (int v = 0; v < 4; v++)
    _mm512_storeu_si512(scratch + v * SCRATCH_ROW, quad[v]);
}

/* Tap 0 stands in for taps that do not exist, any pixel for those past the end of the row: their weight is 0, or nobody
 * stores the sum. */
Q8_INLINE void fill_units(int pixels, const block *b, const uint8_t *const *cols, size_t last, const quad_source *q,
                          size_t units, uint8_t *scratch) {
  const size_t step = b->shape->col_step, first = b->first, registers = (units + (size_t)pixels - 1) / (size_t)pixels;
  const size_t next = pixels > 1 ? step * b->pitch : 0, after = (size_t)pixels * step;
  const size_t tap = q->down + q->across * b->pitch, taps = q->taps;
  const size_t at[4] = {0, taps > 1 ? tap : 0, taps > 2 ? 2 * tap : 0, taps > 3 ? 3 * tap : 0};
  const uint8_t *const *p = cols + q->column * b->pitch + q->row;
  uint8_t *const end = scratch + 64 * registers;
  size_t column = q->column;
  for (; scratch < end && column + after - step + (taps - 1) * q->across <= last; scratch += 64) {
    const uint8_t *const x[4][2] = {
        {p[0], p[next]}, {p[at[1]], p[at[1] + next]}, {p[at[2]], p[at[2] + next]}, {p[at[3]], p[at[3] + next]}};
    fill_vector(pixels, x, first, scratch);
    column += after, p += after * b->pitch;
  }
  for (; scratch < end; scratch += 64, column += after, p += after * b->pitch) {
    const uint8_t *x[4][2];
    Q8_UNROLL
    for (size_t i = 0; i < 4; i++) {
      const size_t c = column + (i < taps ? i * q->across : 0);
      x[i][0] = c <= last ? p[at[i]] : cols[0];
      x[i][1] = pixels > 1 && c + step <= last ? p[at[i] + next] : cols[0];
    }
    fill_vector(pixels, (const uint8_t *const(*)[2])x, first, scratch);
  }
}

void q8_avx512vnni_dwconv_fill(const block *b, const uint8_t *const *cols, size_t last, const quad_source *q,
                               size_t units, uint8_t *scratch) {
  if (b->pixels == 1)
    fill_units(1, b, cols, last, q, units, scratch);
  else
    fill_units(2, b, cols, last, q, units, scratch);
}
#endif
