/* dwconv.c - depthwise convolution of one output row, four taps of a channel in every lane of vpdpbusd.
 *
 * Channels go in blocks of 64, the last one of 64, 32 or 16: a register holds 64 channels of one pixel, 32 of
 * two or 16 of four, so that few channels still fill it. For each block, a stretch of the row takes two
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
 * Small kernels without dilation do both passes in one, with the quads in registers (dwconv_row.c).
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

/* Pixels a register holds when `n` channels are left. */
static size_t pixels_of(size_t n) {
  return n > 32 ? 1 : n > 16 ? 2 : 4;
}

static size_t packed_size(size_t channels, size_t r, size_t s) {
  size_t blocks = (channels + 63) / 64;
  return fits(r, s) ? blocks * steps_of(r, s) * 256 : r * s * blocks * 64;
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
  for (size_t first = 0; first < channels; first += 64)
    for (size_t step = 0, width = 64 / pixels_of(channels - first); step < steps_of(r, s);
         step++, out += 256) {
      taps_of(step, r, s, row, column);
      for (size_t at = 0; at < 256; at++) {
        size_t v = at / 64, lane = at / 16 % 4, e = at / 4 % 4, tap = at % 4;
        size_t c = first + (16 * lane) % width + 4 * v + e;
        out[at] = c < channels && row[tap] < r ? w[(row[tap] * s + column[tap]) * channels + c] : 0;
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

/* One block of channels of the row, `pixels` pixels a register. */
static void run_block(size_t pixels, block *b, const uint8_t *const *cols, uint8_t *y) {
  const q8_dwconv_shape *p = b->shape;
  const size_t outputs = b->layout->outputs, step = p->col_step;
  const int full = p->channels - b->c.first >= 64 / pixels;
  row_fn *const whole_row = q8_avx512vnni_dwconv_row(p, (int)pixels, full);
  if (whole_row) {
    whole_row(b, cols, y, p->q);
    return;
  }
  fill_fn *const fill_stretch = q8_avx512vnni_dwconv_fill[pixels / 2];
  multiply_fn *const multiply_stretch = q8_avx512vnni_dwconv_multiply[pixels / 2];
  size_t last = (p->q - 1) * step + (p->s - 1) * p->col_dilation;
  for (size_t x = 0; x < p->q; x += outputs, cols += outputs * step * p->r, last -= outputs * step) {
    const size_t n = p->q - x < outputs ? p->q - x : outputs;
    fill_stretch(b, cols, last, n);
    multiply_stretch(b, y + x * b->y_stride, n);
  }
}

static void all_blocks(const q8_dwconv_shape *shape, const int8_t *w, const q8_requant *rq,
                       const uint8_t *const *cols, uint8_t *y, size_t y_stride) {
  block b;
  layout l;
  size_t pixels = 0;
  b.shape = shape, b.layout = &l, b.w = w, b.y_stride = y_stride;
  b.bounds = bounds_of(rq->zero_point, rq->lo, rq->hi);
  b.hi = _mm512_set1_epi8((char)rq->hi);
  for (size_t c = 0; c < shape->channels; c += 64, b.w += l.steps * 256) {
    const size_t before = pixels;
    pixels = pixels_of(shape->channels - c);
    if (pixels != before)
      lay_out(shape, (uint32_t)pixels, &l);
    b.c.first = c, b.c.mask = first64(shape->channels - c);
    for (int v = 0; v < 4; v++) {
      b.bias[v] = load_quads(pixels, rq->bias + c, v);
      b.scale[v] = _mm512_castsi512_ps(load_quads(pixels, rq->scale + c, v));
    }
    b.small = small_scales(4, b.scale);
    run_block(pixels, &b, cols, y + c);
  }
}

/* Kernels of more steps than the layout has room for. Channels [c, c + n) of one output pixel, n <= 64. */
static __m512i any_size(const q8_dwconv_shape *shape, const int8_t *w, const q8_requant *rq,
                        const uint8_t *const *cols, size_t c, size_t n) {
  const requant_bounds b = bounds_of(rq->zero_point, rq->lo, rq->hi);
  const size_t width = (shape->channels + 63) / 64 * 64;
  __m512i acc[4];
  Q8_UNROLL
  for (int v = 0; v < 4; v++)
    acc[v] = _mm512_loadu_si512(rq->bias + c + 16 * v);
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
  Q8_UNROLL
  for (int v = 0; v < 4; v++)
    acc[v] =
        round_below(_mm512_mul_ps(_mm512_cvtepi32_ps(acc[v]), _mm512_loadu_ps(rq->scale + c + 16 * v)), &b);
  return narrow_plain(acc, &b);
}

static void dwconv(const q8_dwconv_shape *shape, const void *w, const q8_requant *rq,
                   const uint8_t *const *cols, uint8_t *y, size_t y_stride) {
  if (fits(shape->r, shape->s))
    all_blocks(shape, w, rq, cols, y, y_stride);
  else
    for (size_t x = 0; x < shape->q; x++)
      for (size_t c = 0; c < shape->channels; c += 64) {
        __m512i t = any_size(shape, w, rq, cols + x * shape->col_step * shape->r, c, shape->channels - c);
        _mm512_mask_storeu_epi8(y + x * y_stride + c, first64(shape->channels - c), t);
      }
  if (rq->table)
    for (size_t x = 0; x < shape->q; x++)
      for (size_t c = 0; c < shape->channels; c += 64) {
        __mmask64 m = first64(shape->channels - c);
        __m512i t = lookup(_mm512_maskz_loadu_epi8(m, y + x * y_stride + c), rq->table);
        _mm512_mask_storeu_epi8(y + x * y_stride + c, m, t);
      }
}

const q8_dwconv_kernel q8_avx512vnni_dwconv[] = {
    {"dwconv_avx512vnni", Q8_NEEDS_AVX512VNNI, 0, 0, 0, -128, packed_size, pack, dwconv},
    {0},
};
#endif
