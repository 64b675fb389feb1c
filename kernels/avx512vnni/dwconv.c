/* dwconv.c - depthwise convolution of one output row, four taps of a channel in every lane of vpdpbusd.
 *
 * Channels go in blocks of 64, then of 32 or 16: a register holds the bytes of 64 channels of one pixel or of 32 of
 * two. The last block may begin among the channels of the one before, whose bytes it computes again; only a row of less
 * than 16 channels needs masks. For each block, a stretch of the row takes two passes:
 *
 *   fill      interleaves the bytes of four taps into dwords (quads) and writes them to a scratch of four
 * rows, one per v of the quad order (vec.h). A unit of a scratch row is one pixel: 64 or 32 bytes. (Blocks of 16
 * channels have one row and units of 64 bytes: dwconv_narrow.c.)
 *   multiply  the vector at unit u + offset[k] of the scratch by the weights of step k, for all steps.
 *
 * Steps: every four kernel rows make one step per kernel column, from quads of four rows in one input column,
 * and so do two or three rows left over (the missing ones are zero). One row left over makes a step per four
 * kernel columns, from quads of one row in four columns. 3 x 3 takes 3 steps, 5 x 5 takes 5 + 2.
 *
 * Small kernels without dilation do both passes in one, with the quads in registers (dwconv_row.c). For a pair of output
 * rows, 3 x 3 has three more steps: the same taps, one byte further on, for the quads of four rows.
 *
 * Quads are shared between outputs: a plane of the scratch holds, for consecutive outputs x, the column
 * x * col_step + first; kernel column j is plane j % phase, j / phase units further on. */
#if defined(__AVX512VNNI__) && defined(__AVX512BW__) && defined(__AVX512VL__) && defined(__AVX512DQ__)
#include "dwconv.h"

/* ---- Rows ------------------------------------------------------------------------------------------- */

/* Divides by powers of two only, but for one: a division takes as long as an output. */
static void lay_out(const q8_dwconv_shape *p, uint32_t pixels, layout *l) {
  const uint32_t r = (uint32_t)p->r, s = (uint32_t)p->s, step = (uint32_t)p->col_step, down = (r + 2) / 4,
                 left = r % 4 == 1, groups = (s + 3) / 4;
  const int adjacent = p->col_dilation == 1, whole = adjacent && (step <= 2 || step == 4);
  l->pixels = pixels;
  l->phase = adjacent && p->col_step < s ? step : s;
  l->across_phase = whole ? 1 : groups;
  l->units = SCRATCH_ROW / 64 / (down * l->phase + left * l->across_phase) * pixels;
  uint32_t k = 0, plane = 0, further = 0;
  for (uint32_t g = 0; g < down + !down; g++) {
    plane = further = 0;
    for (uint32_t j = 0; j < s; j++) {
      if (plane == l->phase)
        plane = 0, further++;
      l->offset[k] = (g * l->phase + plane) * l->units + further;
      k += down > 0;
      plane++;
    }
  }
  l->reach = further;
  l->full_planes = plane;
  for (uint32_t g = 0; left && g < groups; g++)
    l->offset[k++] = down * l->phase * l->units + g * (!whole ? l->units : step == 4 ? 1 : 4u >> (step - 1));
  l->steps = k;
  l->outputs = l->units - l->reach;
  if (l->outputs > MAX_TILE * pixels)
    l->outputs &= ~(MAX_TILE * pixels - 1); /* pixels are 1, 2 or 4 */
}

/* Bias or scales of a block: see `block`. */
Q8_INLINE void load_channels(size_t pixels, const void *channels, __m512i out[4]) {
  const char *p = channels;
  const size_t last = pixels == 1 ? 3 : pixels == 2; /* register */
  Q8_UNROLL
  for (size_t v = 0; v < 4; v++)
    out[v] = _mm512_loadu_si512(p + 64 * (v & last));
  if (pixels < 4)
    transpose4_lanes(out);
}

/* Fills the scratch for `outputs` outputs: for every four rows a plane per column of the phase, for a row left over
 * planes of four columns. */
static void fill(block *b, const uint8_t *const *cols, size_t last, size_t outputs) {
  const q8_dwconv_shape *p = b->shape;
  const layout *l = &b->layout;
  fill_fn *const units = b->pixels < 4 ? q8_avx512vnni_dwconv_fill : q8_avx512vnni_dwconv_fill16;
  const size_t plane_bytes = l->units * b->unit, d = p->col_dilation;
  const size_t down = p->r - (p->r % 4 == 1), rows = b->row_stride ? p->r + 1 : down;
  uint8_t *scratch = b->scratch;
  for (size_t row = 0; row < rows; row += 4)
    for (size_t plane = 0; plane < l->phase; plane++, scratch += plane_bytes) {
      const quad_source q = {row, plane * d, rows - row < 4 ? rows - row : 4, 1, 0};
      units(b, cols, last, &q, outputs + l->reach - (plane >= l->full_planes), scratch);
    }
  for (size_t plane = 0; down < p->r && plane < l->across_phase; plane++, scratch += plane_bytes) {
    const quad_source q = {down, 4 * plane * d, 4, 0, d};
    units(b, cols, last, &q, outputs + (l->across_phase == 1 ? l->reach : 0), scratch);
  }
}

/* One block of channels of the row, or of both rows of a pair, in two passes. `y` is uint8 or, for sums, int32: its
 * strides count elements. */
static void run_block(block *b, const uint8_t *const *cols, uint8_t *y) {
  const q8_dwconv_shape *p = b->shape;
  if (b->layout.pixels != b->pixels)
    lay_out(p, (uint32_t)b->pixels, &b->layout);
  multiply_fn *const multiply = b->pixels < 4 ? q8_avx512vnni_dwconv_multiply : q8_avx512vnni_dwconv_multiply16;
  const size_t outputs = b->layout.outputs, step = p->col_step, element = b->sums ? sizeof(int32_t) : 1;
  size_t last = (p->q - 1) * step + (p->s - 1) * p->col_dilation;
  for (size_t x = 0; x < p->q; x += outputs, cols += outputs * step * b->pitch, last -= outputs * step) {
    const size_t n = p->q - x < outputs ? p->q - x : outputs;
    uint8_t *const to = y + x * b->y_stride * element;
    fill(b, cols, last, n);
    multiply(b, b->w, to, n);
    if (b->row_stride)
      multiply(b, b->w + b->layout.steps * (b->pixels < 4 ? 256 : 64), to + b->row_stride, n);
  }
}

/* One or, if b->row_stride is not 0, two output rows. */
static void run_part(block *b, const uint8_t *const *cols, uint8_t *y) {
  const int one_pass = b->channels >= 16 && b->small && !b->sums;
  row_fn *const row = !one_pass       ? NULL
                      : b->row_stride ? q8_avx512vnni_dwconv_pair(b->shape, b->pixels)
                                      : q8_avx512vnni_dwconv_row(b->shape, b->pixels);
  if (row)
    row(b, cols, y, b->shape->q);
  else
    run_block(b, cols, y);
}

/* rq is NULL for sums. */
static void all_blocks(const q8_dwconv_shape *shape, const int8_t *w, const q8_requant *rq,
                       const uint8_t *const *cols, void *y, size_t y_stride, size_t row_stride) {
  block b;
  b.shape = shape, b.layout.pixels = 0, b.w = w;
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
    b.pixels = p.width == 64 ? 1 : p.width == 32 ? 2 : 4;
    b.unit = p.width == 32 ? 32 : 64;
    b.first = p.first + shape->offset, b.channels = p.width < shape->channels ? p.width : shape->channels;
    if (rq) {
      __m512i scale[4];
      load_channels(b.pixels, rq->bias + p.first, b.bias);
      load_channels(b.pixels, rq->scale + p.first, scale);
      for (int v = 0; v < 4; v++)
        b.scale[v] = _mm512_castsi512_ps(scale[v]);
      b.small = small_scales(4, b.scale);
    }
    run_part(&b, cols, (uint8_t *)y + p.first * (rq ? 1 : sizeof(int32_t)));
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

static void look_up(const q8_dwconv_shape *shape, const q8_requant *rq, uint8_t *y, size_t y_stride) {
  for (size_t x = 0; rq->table && x < shape->q; x++, y += y_stride)
    q8_avx512bw_table(shape->channels, y, rq->table, y);
}

static void dwconv(const q8_dwconv_shape *shape, const void *w, const q8_requant *rq,
                   const uint8_t *const *cols, uint8_t *y, size_t y_stride) {
  if (!q8_avx512vnni_dwconv_fits(shape->r, shape->s)) {
    q8_avx512bw_dwconv->run(shape, w, rq, cols, y, y_stride);
    return;
  }
  all_blocks(shape, w, rq, cols, y, y_stride, 0);
  look_up(shape, rq, y, y_stride);
}

static void dwconv_pair(const q8_dwconv_shape *shape, const void *w, const q8_requant *rq,
                        const uint8_t *const *cols, uint8_t *y, size_t y_stride, size_t row_stride) {
  all_blocks(shape, w, rq, cols, y, y_stride, row_stride);
  look_up(shape, rq, y, y_stride);
  look_up(shape, rq, y + row_stride, y_stride);
}

const q8_dwconv_kernel q8_avx512vnni_dwconv[] = {
    {"dwconv_avx512vnni_3x3", Q8_NEEDS_AVX512VNNI, 3, 3, 0, -128, q8_avx512vnni_dwconv_size, q8_avx512vnni_dwconv_pack, dwconv, sums, dwconv_pair},
    {"dwconv_avx512vnni", Q8_NEEDS_AVX512VNNI, 0, 0, 0, -128, q8_avx512vnni_dwconv_size, q8_avx512vnni_dwconv_pack, dwconv, sums, NULL},
    {0},
};
#endif
