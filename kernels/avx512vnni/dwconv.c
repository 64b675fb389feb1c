/* dwconv.c - depthwise convolution of one output row, four taps of a channel in every lane of vpdpbusd.
 *
 * Channels go in blocks of 64, then of 32 or 16: a register holds 64 channels of one pixel, 32 of two or 16 of four,
 * so that few channels still fill it. The last block may begin among the channels of the one before, whose bytes it
 * computes again; only a row of less than 16 channels needs masks. For each block, a stretch of the row takes two
 * passes:
 *
 *   fill      interleaves the bytes of four taps into dwords (quads) and writes them to a scratch of four
 * rows, one per v of the quad order (vec.h). A unit of a scratch row is one pixel: 64, 32 or 16 bytes.
 *   multiply  the vector at unit u + offset[k] of the scratch by the weights of step k, for all steps.
 *
 * Steps: every four kernel rows make one step per kernel column, from quads of four rows in one input column,
 * and so do two or three rows left over (the missing ones are zero). One row left over makes a step per four
 * kernel columns, from quads of one row in four columns. 3 x 3 takes 3 steps, 5 x 5 takes 5 + 2.
 *
 * Small kernels without dilation do both passes in one, with the quads in registers (dwconv_row.c). For a pair of output
 * rows, 3 x 3 has three more steps: the same taps, one byte further on.
 *
 * Quads are shared between outputs: a plane of the scratch holds, for consecutive outputs x, the column
 * x * col_step + first; kernel column j is plane j % phase, j / phase units further on. */
#if defined(__AVX512VNNI__) && defined(__AVX512BW__) && defined(__AVX512VL__) && defined(__AVX512DQ__)
#include "dwconv.h"

/* ---- Steps and weights ---------------------------------------------------------------------------- */

static size_t steps_of(size_t r, size_t s) {
  return r / 4 * s + (r % 4 == 1 ? (s + 3) / 4 : r % 4 ? s : 0);
}

/* At worst nothing is shared and every step has a plane of its own: a unit of each must fit the scratch. */
static int fits(size_t r, size_t s) {
  return r < 256 && s < 256 && steps_of(r, s) <= MAX_STEPS;
}

static int has_pair(size_t r, size_t s) {
  return r == 3 && s == 3;
}

/* Bytes of a block's weights. */
static size_t block_size(size_t r, size_t s) {
  return (has_pair(r, s) ? 2 : 1) * steps_of(r, s) * 256;
}

/* The block of channels that begins at c or, if it is the last, before it. `end` is where the next one begins. */
typedef struct {
  size_t first, width, end;
} part;

static part part_at(size_t c, size_t channels) {
  const size_t left = channels - c;
  const size_t width = left > 32 ? 64 : left > 16 ? 32 : 16;
  if (left >= width)
    return (part){c, width, c + width};
  if (channels >= width)
    return (part){channels - width, width, channels};
  return width == 16 ? (part){0, 16, channels} : (part){0, width / 2, width / 2};
}

static size_t packed_size(size_t channels, size_t r, size_t s) {
  size_t size = 0;
  if (!fits(r, s))
    return r * s * ((channels + 63) / 64 * 64);
  for (size_t c = 0; c < channels; c = part_at(c, channels).end)
    size += block_size(r, s);
  return size;
}

/* The four taps of one step, as (row, column) of the kernel; a row of r means none. */
static void taps_of(size_t step, size_t r, size_t s, size_t row[4], size_t column[4]) {
  size_t g = step / s, across = g == r / 4 && r % 4 == 1;
  for (size_t i = 0; i < 4; i++) {
    row[i] = across ? r - 1 : 4 * g + i < r ? 4 * g + i : r;
    column[i] = across ? 4 * (step - g * s) + i : step - g * s;
    if (column[i] >= s)
      row[i] = r;
  }
}

static void pack_quads(size_t channels, size_t r, size_t s, const int8_t *w, int8_t *out) {
  size_t row[4], column[4];
  part p;
  for (size_t begin = 0; begin < channels; begin = p.end) {
    p = part_at(begin, channels);
    for (size_t i = 0; i < block_size(r, s) / 256; i++, out += 256) {
      const size_t step = i % steps_of(r, s), shift = i / steps_of(r, s);
      taps_of(step, r, s, row, column);
      for (size_t at = 0; at < 256; at++) {
        size_t v = at / 64, lane = at / 16 % 4, e = at / 4 % 4, tap = at % 4 - shift; /* wraps if there is none */
        size_t c = p.first + (16 * lane) % p.width + 4 * v + e;
        out[at] = c < channels && tap < 4 && row[tap] < r ? w[(row[tap] * s + column[tap]) * channels + c] : 0;
      }
    }
  }
}

static void pack(size_t channels, size_t r, size_t s, const int8_t *w, void *packed) {
  const size_t width = (channels + 63) / 64 * 64;
  if (fits(r, s)) {
    pack_quads(channels, r, s, w, packed);
    return;
  }
  memset(packed, 0, packed_size(channels, r, s));
  for (size_t t = 0; t < r * s; t++)
    memcpy((int8_t *)packed + t * width, w + t * channels, channels);
}

/* ---- Rows ------------------------------------------------------------------------------------------- */

static void lay_out(const q8_dwconv_shape *p, uint32_t pixels, layout *l) {
  const uint32_t r = (uint32_t)p->r, s = (uint32_t)p->s, down = (r + 2) / 4, left = r % 4 == 1;
  const uint32_t groups = (s + 3) / 4;
  const int adjacent = p->col_dilation == 1, whole = adjacent && (p->col_step <= 2 || p->col_step == 4);
  l->pixels = pixels;
  l->phase = adjacent && p->col_step < s ? (uint32_t)p->col_step : s;
  l->across_phase = whole ? 1 : groups;
  uint32_t planes = down * l->phase + left * l->across_phase;
  l->units = SCRATCH_ROW / 64 / planes * pixels;
  uint32_t k = 0;
  l->reach = (s - 1) / l->phase;
  l->full_planes = s - l->reach * l->phase;
  for (uint32_t g = 0; g < down; g++)
    for (uint32_t j = 0, plane = 0, further = 0; j < s; j++) {
      l->offset[k++] = (g * l->phase + plane) * l->units + further;
      if (++plane == l->phase)
        plane = 0, further++;
    }
  for (uint32_t g = 0; left && g < groups; g++)
    l->offset[k++] = down * l->phase * l->units + g * (whole ? 4 / (uint32_t)p->col_step : l->units);
  l->steps = k;
  l->outputs = l->units - l->reach;
  if (l->outputs > 4 * pixels)
    l->outputs -= l->outputs % (MAX_TILE * pixels);
}

static __m512i load_quads(size_t pixels, const void *channels, int v) {
  const __m128i *p = (const __m128i *)channels + v;
  __m128i a = _mm_loadu_si128(p), b = pixels > 2 ? a : _mm_loadu_si128(p + 4);
  return join4(a, b, pixels > 1 ? a : _mm_loadu_si128(p + 8), pixels > 1 ? b : _mm_loadu_si128(p + 12));
}

/* One block of channels of the row in two passes. `y` is uint8 or, for sums, int32: its strides count elements. */
static void run_block(block *b, const uint8_t *const *cols, uint8_t *y) {
  const q8_dwconv_shape *p = b->shape;
  if (b->layout.pixels != b->pixels)
    lay_out(p, (uint32_t)b->pixels, &b->layout);
  const size_t outputs = b->layout.outputs, step = p->col_step, element = b->sums ? sizeof(int32_t) : 1;
  size_t last = (p->q - 1) * step + (p->s - 1) * p->col_dilation;
  for (size_t x = 0; x < p->q; x += outputs, cols += outputs * step * b->pitch, last -= outputs * step) {
    const size_t n = p->q - x < outputs ? p->q - x : outputs;
    q8_avx512vnni_dwconv_fill(b, cols, last, n);
    q8_avx512vnni_dwconv_multiply(b, y + x * b->y_stride * element, n);
  }
}

/* One or, if b->row_stride is not 0, two output rows. */
static void run_part(block *b, const uint8_t *const *cols, uint8_t *y) {
  const int whole = b->small && !b->sums && b->c.mask == first64(64 / b->pixels);
  row_fn *const row = !whole           ? NULL
                      : b->row_stride ? q8_avx512vnni_dwconv_pair(b->pixels)
                                      : q8_avx512vnni_dwconv_row(b->shape, b->pixels);
  if (row) {
    row(b, cols, y, b->shape->q);
    return;
  }
  run_block(b, cols, y);
  if (b->row_stride)
    run_block(b, cols + 1, y + b->row_stride);
}

/* rq is NULL for sums. */
static void all_blocks(const q8_dwconv_shape *shape, const int8_t *w, const q8_requant *rq,
                       const uint8_t *const *cols, void *y, size_t y_stride, size_t row_stride) {
  block b;
  part p;
  b.shape = shape, b.layout.pixels = 0, b.w = w;
  b.pitch = shape->r + (row_stride > 0), b.y_stride = y_stride, b.row_stride = row_stride;
  b.sums = !rq;
  for (int v = 0; v < 4; v++)
    b.bias[v] = _mm512_setzero_si512();
  if (rq) {
    b.bounds = bounds_of(rq->zero_point, rq->lo, rq->hi);
    b.hi = _mm512_set1_epi8((char)rq->hi);
  }
  for (size_t c = 0; c < shape->channels; c = p.end, b.w += block_size(shape->r, shape->s)) {
    p = part_at(c, shape->channels);
    b.pixels = p.width == 64 ? 1 : p.width == 32 ? 2 : 4;
    b.c.first = p.first, b.c.mask = first64(p.end - p.first);
    for (int v = 0; rq && v < 4; v++) {
      b.bias[v] = load_quads(b.pixels, rq->bias + p.first, v);
      b.scale[v] = _mm512_castsi512_ps(load_quads(b.pixels, rq->scale + p.first, v));
    }
    b.small = rq && small_scales(4, b.scale);
    run_part(&b, cols, (uint8_t *)y + p.first * (rq ? 1 : sizeof(int32_t)));
  }
}

/* Kernels of more steps than the layout has room for: the sums of channels [c, c + n) of one output pixel, n <= 64, in
 * plain order. */
static void any_size(const q8_dwconv_shape *shape, const int8_t *w, const uint8_t *const *cols, size_t c, size_t n,
                     __m512i acc[4]) {
  const size_t width = (shape->channels + 63) / 64 * 64;
  Q8_UNROLL
  for (int v = 0; v < 4; v++)
    acc[v] = _mm512_setzero_si512();
  for (size_t i = 0; i < shape->r; i++)
    for (size_t j = 0; j < shape->s; j++) {
      const uint8_t *x = cols[j * shape->col_dilation * shape->r + i] + c;
      const int8_t *tap = w + (i * shape->s + j) * width + c;
      Q8_UNROLL
      for (int v = 0; v < 4; v++) {
        __m512i value = _mm512_cvtepu8_epi32(_mm_maskz_loadu_epi8(lanes16(n, 16 * v), x + 16 * v));
        __m512i weight = _mm512_cvtepi8_epi32(_mm_loadu_si128((const __m128i *)(tap + 16 * v)));
        acc[v] = _mm512_dpbusd_epi32(acc[v], value, weight); /* the upper three bytes of value are zero */
      }
    }
}

static void sums(const q8_dwconv_shape *shape, const void *w, const uint8_t *const *cols, int32_t *acc,
                 size_t acc_stride) {
  if (fits(shape->r, shape->s)) {
    all_blocks(shape, w, NULL, cols, acc, acc_stride, 0);
    return;
  }
  for (size_t x = 0; x < shape->q; x++)
    for (size_t c = 0; c < shape->channels; c += 64) {
      __m512i t[4];
      any_size(shape, w, cols + x * shape->col_step * shape->r, c, shape->channels - c, t);
      for (size_t v = 0; v < 4 && c + 16 * v < shape->channels; v++)
        _mm512_mask_storeu_epi32(acc + x * acc_stride + c + 16 * v, lanes16(shape->channels - c, 16 * v), t[v]);
    }
}

/* Sums of one pixel at a time, then their bytes. */
static void dwconv_any(const q8_dwconv_shape *shape, const void *w, const q8_requant *rq, const uint8_t *const *cols,
                       uint8_t *y, size_t y_stride) {
  for (size_t x = 0; x < shape->q; x++)
    for (size_t c = 0; c < shape->channels; c += 64) {
      const size_t left = shape->channels - c;
      const q8_requant part_rq = {rq->bias + c, rq->scale + c, rq->zero_point, rq->lo, rq->hi, NULL};
      __m512i t[4];
      any_size(shape, w, cols + x * shape->col_step * shape->r, c, left, t);
      q8_avx512bw_requant->run(1, left < 64 ? left : 64, (const int32_t *)(const void *)t, 64, &part_rq,
                               y + x * y_stride + c, y_stride);
    }
}

static void look_up(const q8_dwconv_shape *shape, const q8_requant *rq, uint8_t *y, size_t y_stride) {
  for (size_t x = 0; rq->table && x < shape->q; x++, y += y_stride)
    q8_avx512bw_table->run(shape->channels, y, rq->table, y);
}

static void dwconv(const q8_dwconv_shape *shape, const void *w, const q8_requant *rq,
                   const uint8_t *const *cols, uint8_t *y, size_t y_stride) {
  if (fits(shape->r, shape->s))
    all_blocks(shape, w, rq, cols, y, y_stride, 0);
  else
    dwconv_any(shape, w, rq, cols, y, y_stride);
  look_up(shape, rq, y, y_stride);
}

static void dwconv_pair(const q8_dwconv_shape *shape, const void *w, const q8_requant *rq,
                        const uint8_t *const *cols, uint8_t *y, size_t y_stride, size_t row_stride) {
  all_blocks(shape, w, rq, cols, y, y_stride, row_stride);
  look_up(shape, rq, y, y_stride);
  look_up(shape, rq, y + row_stride, y_stride);
}

const q8_dwconv_kernel q8_avx512vnni_dwconv[] = {
    {"dwconv_avx512vnni_3x3", Q8_NEEDS_AVX512VNNI, 3, 3, 0, -128, packed_size, pack, dwconv, sums, dwconv_pair},
    {"dwconv_avx512vnni", Q8_NEEDS_AVX512VNNI, 0, 0, 0, -128, packed_size, pack, dwconv, sums, NULL},
    {0},
};
#endif
