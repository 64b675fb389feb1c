/* dwconv.c - depthwise convolution of one output row, four taps of a channel in every lane of vpdpbusd.
 *
 * Channels go in blocks of 64, then of 32 or 16: a register holds the bytes of 64 channels of one pixel or of
 * 32 of two. The last block may begin among the channels of the one before, whose bytes it computes again;
 * only a row of less than 16 channels needs masks. For each block, a stretch of the row takes three passes:
 *
 *   fill      interleaves the bytes of four taps into dwords (quads) and writes them to four rows, one per v
 * of the quad order (vec.h). A unit is one pixel, or for 32 channels one of each half of the row. (Blocks of
 * 16 channels have one row: dwconv_narrow.c.) multiply  the vector at unit u + offset[k] by the weights of
 * step k, for all steps, one row after the other. finish    rounds the sums and stores bytes.
 *
 * Steps: every four kernel rows make one step per kernel column, from quads of four rows in one input column,
 * and so do two or three rows left over (the missing ones are zero). One row left over makes a step per four
 * kernel columns, from quads of one row in four columns. 3 x 3 takes 3 steps, 5 x 5 takes 5 + 2.
 *
 * Small kernels without dilation do all passes in one, with the quads in registers (dwconv_3x3.c, dwconv_5x5.c). For that,
 * 3 x 3 has three more steps for the lower row of a pair: the same taps, one byte further on, for the quads
 * of four rows; 5 x 5 has six more for the columns c + 1, c + 2 and c + 3 of quads of columns c to c + 3: its
 * last row, one to three bytes further on.
 *
 * Quads are shared between outputs: a plane of the scratch holds, for consecutive outputs x, the column
 * x * col_step + first; kernel column j is plane j % phase, j / phase units further on. */
#if defined(__AVX512VNNI__) && defined(__AVX512BW__) && defined(__AVX512VL__) && defined(__AVX512DQ__)
#include "dwconv.h"

/* ---- Rows ------------------------------------------------------------------------------------------- */

/* Divides by powers of two only, but for one: a division takes as long as an output. Units of one vector have all four rows. */
static void lay_out(const q8_dwconv_shape *p, uint32_t vectors, layout *l) {
  const uint32_t r = (uint32_t)p->r, s = (uint32_t)p->s, step = (uint32_t)p->col_step, down = (r + 2) / 4,
                 left = r % 4 == 1, groups = (s + 3) / 4;
  const int adjacent = p->col_dilation == 1, whole = adjacent && (step <= 2 || step == 4);
  l->phase = adjacent && p->col_step < s ? step : s;
  l->across_phase = whole ? 1 : groups;
  l->vectors = vectors;
  l->units = QUAD_ROW / 16 / vectors / (down * l->phase + left * l->across_phase);
  uint32_t k = 0, plane = 0, further = 0;
  for (uint32_t g = 0; g < down + !down; g++) {
    plane = further = 0;
    for (uint32_t j = 0; j < s; j++) {
      if (plane == l->phase)
        plane = 0, further++;
      l->offset[k] = 64 * ((g * l->phase + plane) * l->units + further);
      k += down > 0;
      plane++;
    }
  }
  l->reach = further;
  l->full_planes = plane;
  for (uint32_t g = 0; left && g < groups; g++)
    l->offset[k++] = 64 * (down * l->phase * l->units + g * (!whole      ? l->units
                                                             : step == 4 ? 1
                                                                         : 4u >> (step - 1)));
  l->steps = k;
  l->outputs = l->units - l->reach;
  if (l->outputs > TILE)
    l->outputs &= ~(TILE - 1u);
  if (l->outputs > 4 * MAX_OUTPUTS / vectors)
    l->outputs = 4 * MAX_OUTPUTS / vectors;
}

/* Bias or scales of a block: see `block`. */
Q8_INLINE void load_channels(size_t width, const void *channels, __m512i out[4]) {
  const char *p = channels;
  const size_t last = width / 16 - 1; /* register */
  Q8_UNROLL
  for (size_t v = 0; v < 4; v++)
    out[v] = _mm512_loadu_si512(p + 64 * (v & last));
  if (width > 16)
    transpose4_lanes(out);
}

/* Fills the quads for `outputs` outputs: for every four rows a plane per column of the phase, for a row left
 * over planes of four columns. The first tap stands in for those that do not exist, the last column for those
 * past the end of the row: their weight is 0, or nobody stores the sum. */
static void fill(block *b, const uint8_t *const *cols, size_t last, size_t outputs) {
  const q8_dwconv_shape *p = b->shape;
  const layout *l = &b->layout;
  const size_t plane_bytes = l->units * 64, d = p->col_dilation, pitch = b->pitch, step = p->col_step;
  const size_t down = p->r - (p->r % 4 == 1), rows = b->row_stride ? p->r + 1 : down;
  uint8_t *quads = b->quads;
  for (size_t row = 0; row < rows; row += 4) {
    const size_t left = rows - row, tap[4] = {0, 1, left > 2 ? 2 : 0, left > 3 ? 3 : 0};
    for (size_t plane = 0; plane < l->phase; plane++, quads += plane_bytes)
      q8_avx512vnni_dwconv_fill(b, cols + plane * d * pitch + row, tap, step * pitch,
                                outputs + l->reach - (plane >= l->full_planes), quads);
  }
  for (size_t plane = 0; down < p->r && plane < l->across_phase; plane++, quads += plane_bytes) {
    const size_t units = outputs + (l->across_phase == 1 ? l->reach : 0),
                 tap[4] = {0, d * pitch, 2 * d * pitch, 3 * d * pitch};
    size_t column = 4 * plane * d, whole = last < column + 3 * d ? 0 : (last - column - 3 * d) / step + 1;
    whole = whole < units ? whole : units;
    q8_avx512vnni_dwconv_fill(b, cols + column * pitch + down, tap, step * pitch, whole, quads);
    column += whole * step;
    for (size_t u = whole; u < units; u++, column += step) {
      size_t at[4];
      for (size_t i = 0; i < 4; i++)
        at[i] = (column + i * d < last ? column + i * d : last) * pitch;
      const size_t first = at[0];
      for (size_t i = 0; i < 4; i++)
        at[i] -= first;
      q8_avx512vnni_dwconv_fill(b, cols + first + down, at, 0, 1, quads + 64 * u);
    }
  }
}

/* What does a block in one pass, or NULL. */
static Q8_NOINLINE row_fn *row_of(const block *b) {
  const q8_dwconv_shape *p = b->shape;
  if (b->sums || !b->small || p->col_dilation != 1 || p->r != p->s || p->col_step > 2)
    return NULL;
  if (b->vectors == 1)
    return p->r == 3 && b->channels == 16 && b->length >= 4 ? q8_avx512vnni_dwconv_row16 : NULL;
  if (p->r == 3)
    return q8_avx512vnni_dwconv_row3x3(b);
  return p->r == 5 && p->col_step == 1 ? q8_avx512vnni_dwconv_row5x5 : NULL;
}

/* One block of channels of the row, or of both rows of a pair. `y` is uint8 or, for sums, int32: its strides
 * count elements. */
static void run_block(block *b, const uint8_t *const *cols, uint8_t *y) {
  const q8_dwconv_shape *p = b->shape;
  const size_t length = b->length;
  row_fn *const row = row_of(b);
  if (row) {
    row(b, cols, y);
    return;
  }
  if (b->layout.vectors != b->vectors)
    lay_out(p, (uint32_t)b->vectors, &b->layout);
  const size_t step = p->col_step, outputs = b->layout.outputs, element = b->sums ? sizeof(int32_t) : 1;
  size_t last = (length - 1) * step + (p->s - 1) * p->col_dilation;
  for (size_t x = 0; x < length; x += outputs, cols += outputs * step * b->pitch, last -= outputs * step) {
    const size_t n = length - x < outputs ? length - x : outputs;
    uint8_t *const to = y + x * b->y_stride * element;
    fill(b, cols, last, n);
    q8_avx512vnni_dwconv_multiply(b, b->w, n);
    q8_avx512vnni_dwconv_finish(b, to, n);
    if (b->row_stride) {
      q8_avx512vnni_dwconv_multiply(b, b->w + b->layout.steps * b->vectors * 64, n);
      q8_avx512vnni_dwconv_finish(b, to + b->row_stride, n);
    }
  }
}

/* rq is NULL for sums. */
static void all_blocks(const q8_dwconv_shape *shape, const int8_t *w, const q8_requant *rq,
                       const uint8_t *const *cols, void *y, size_t y_stride, size_t row_stride) {
  block b;
  b.shape = shape, b.layout.vectors = 0, b.w = w;
  b.pitch = shape->r + (row_stride > 0), b.y_stride = y_stride, b.row_stride = row_stride;
  b.sums = !rq;
  b.small = 0;
  if (rq) {
    b.bounds = bounds_of(rq->zero_point, rq->lo, rq->hi);
    b.hi = _mm512_set1_epi8((char)rq->hi);
    b.clamps = rq->lo > 0 || rq->hi < 255;
  } else {
    for (int v = 0; v < 4; v++)
      b.bias[v] = _mm512_setzero_si512();
  }
  const size_t steps = q8_avx512vnni_dwconv_steps(shape->r, shape->s);
  for (size_t c = 0; c < shape->channels;) {
    const part p = q8_avx512vnni_dwconv_part(c, shape->channels);
    b.vectors = p.width == 16 ? 1 : 4;
    b.length = p.width == 32 ? (shape->q + 1) / 2 : shape->q;
    b.skip = (shape->q - b.length) * shape->col_step * b.pitch;
    b.across = (shape->q - b.length) * y_stride;
    b.first = p.first + shape->offset, b.channels = p.width < shape->channels ? p.width : shape->channels;
    if (rq) {
      __m512i scale[4];
      load_channels(p.width, rq->bias + p.first, b.bias);
      load_channels(p.width, rq->scale + p.first, scale);
      for (int v = 0; v < 4; v++)
        b.scale[v] = _mm512_castsi512_ps(scale[v]);
      b.small = small_scales(4, b.scale);
    }
    run_block(&b, cols, (uint8_t *)y + p.first * (rq ? 1 : sizeof(int32_t)));
    b.w += steps * p.step_size;
    c = p.end;
  }
}

/* Kernels of more steps than the layout has room for are those of avx512bw. */
static void sums(const q8_dwconv_shape *shape, const void *w, const uint8_t *const *cols, int32_t *acc,
                 size_t acc_stride) {
  if (q8_avx512vnni_dwconv_fits(shape->r, shape->s))
    all_blocks(shape, w, NULL, cols, acc, acc_stride, 0);
  else
    q8_avx512bw_dwconv->run_sums(shape, w, cols, acc, acc_stride);
}

static void dwconv(const q8_dwconv_shape *shape, const void *w, const q8_requant *rq,
                   const uint8_t *const *cols, uint8_t *y, size_t y_stride) {
  if (q8_avx512vnni_dwconv_fits(shape->r, shape->s))
    all_blocks(shape, w, rq, cols, y, y_stride, 0);
  else
    q8_avx512bw_dwconv->run(shape, w, rq, cols, y, y_stride);
}

static void dwconv_pair(const q8_dwconv_shape *shape, const void *w, const q8_requant *rq,
                        const uint8_t *const *cols, uint8_t *y, size_t y_stride, size_t row_stride) {
  all_blocks(shape, w, rq, cols, y, y_stride, row_stride);
}

const q8_dwconv_kernel q8_avx512vnni_dwconv[] = {
    {"dwconv_avx512vnni_3x3", Q8_NEEDS_AVX512VNNI, 3, 3, 0, -128, q8_avx512vnni_dwconv_size,
     q8_avx512vnni_dwconv_pack, dwconv, sums, dwconv_pair},
    {"dwconv_avx512vnni", Q8_NEEDS_AVX512VNNI, 0, 0, 0, -128, q8_avx512vnni_dwconv_size,
     q8_avx512vnni_dwconv_pack, dwconv, sums, NULL},
    {0},
};
#endif
