/* dwconv.c - depthwise convolution of one output row, four taps of a channel in every lane of vpdpbusd.
 *
 * Channels go in blocks of 64, the last one of 64, 32 or 16: a register holds 64 channels of one pixel, 32 of
 * two or 16 of four, so that few channels still fill it. For each block, a stretch of the row is done in two
 * passes:
 *
 *   fill   interleaves the bytes of four taps into dwords (quads) and writes them to a scratch of four rows,
 *          one per v of the quad order (vec.h). A unit of a scratch row is one pixel: 64, 32 or 16 bytes.
 *   tile   multiplies: the vector at unit u + offset[k] of the scratch, by the weights of step k, for all
 * steps.
 *
 * Steps: every four kernel rows make one step per kernel column, from quads of four rows in one input column,
 * and so do two or three rows left over (the missing ones are zero). One row left over makes a step per four
 * kernel columns, from quads of one row in four columns. 3 x 3 takes 3 steps, 5 x 5 takes 5 + 2.
 *
 * Quads are shared between outputs: a plane of the scratch holds, for consecutive outputs x, the column
 * x * col_step + first; kernel column j is plane j % phase, j / phase units further on. */
#if defined(__AVX512VNNI__) && defined(__AVX512BW__) && defined(__AVX512VL__) && defined(__AVX512DQ__)
#include "vec.h"

enum {
  MAX_STEPS = 32,
  SCRATCH_ROW = 49 * 64, /* bytes; not a multiple of 4096, where stores and loads would seem to collide */
  MAX_TILE = 4,          /* vectors */
  SCRATCH_SIZE =
      4 * SCRATCH_ROW + MAX_TILE * 64 /* a tile may read past the last unit, for pixels nobody stores */
};

/* ---- Steps and weights
 * ----------------------------------------------------------------------------------------- */

static size_t steps_of(size_t r, size_t s) {
  return r / 4 * s + (r % 4 == 1 ? (s + 3) / 4 : r % 4 ? s : 0);
}

/* Every output of a register has its own copy of the planes if nothing can be shared: that many must fit. */
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

/* ---- Where the quads of a stretch of the row lie
 * ---------------------------------------------------------------- */

typedef struct {
  uint32_t steps, phase, across_phase; /* planes per four rows, and for the row left over */
  uint32_t units;                      /* of a plane */
  uint32_t outputs;                    /* of a stretch */
  uint32_t reach,
      full_planes; /* the first planes are read `reach` units past an output, the others one less */
  uint32_t offset[MAX_STEPS]; /* units */
} layout;

static void lay_out(const q8_dwconv_shape *p, uint32_t pixels, layout *l) {
  const uint32_t r = (uint32_t)p->r, s = (uint32_t)p->s, down = (r + 2) / 4, left = r % 4 == 1;
  const uint32_t groups = (s + 3) / 4;
  const int adjacent = p->col_dilation == 1, whole = adjacent && p->col_step <= 4 && 4 % p->col_step == 0;
  l->phase = adjacent && p->col_step < s ? (uint32_t)p->col_step : s;
  l->across_phase = whole ? 1 : groups;
  uint32_t planes = down * l->phase + left * l->across_phase;
  l->units = SCRATCH_ROW / 64 * pixels / planes / pixels * pixels;
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

/* ---- Fill
 * ----------------------------------------------------------------------------------------------------------
 */

/* Channels of a block: where they begin, and which exist. */
typedef struct {
  size_t first;
  __mmask64 mask;
} span;

/* `pixels` and `full` (all channels exist) are constants in every caller. */
Q8_INLINE __m512i load_pixels(int pixels, int full, const uint8_t *const *p, size_t pixel_stride, span c) {
  if (pixels == 1)
    return full ? _mm512_loadu_si512(p[0] + c.first) : _mm512_maskz_loadu_epi8(c.mask, p[0] + c.first);
  if (pixels == 2) {
    const uint8_t *a = p[0] + c.first, *b = p[pixel_stride] + c.first;
    const __mmask32 m = (__mmask32)c.mask;
    __m256i x = full ? _mm256_loadu_si256((const __m256i *)a) : _mm256_maskz_loadu_epi8(m, a);
    __m256i y = full ? _mm256_loadu_si256((const __m256i *)b) : _mm256_maskz_loadu_epi8(m, b);
    return _mm512_inserti64x4(_mm512_castsi256_si512(x), y, 1);
  }
  __m128i x[4];
  Q8_UNROLL
  for (int i = 0; i < 4; i++) {
    const uint8_t *a = p[i * pixel_stride] + c.first;
    x[i] = full ? _mm_loadu_si128((const __m128i *)a) : _mm_maskz_loadu_epi8((__mmask16)c.mask, a);
  }
  return join4(x[0], x[1], x[2], x[3]);
}

/* One register of units: the quads of `taps` rows of pointers, `tap_stride` pointers apart. */
Q8_INLINE void fill_vector(int pixels, int full, size_t taps, const uint8_t *const *p, size_t tap_stride,
                           size_t pixel_stride, span c, uint8_t *scratch) {
  __m512i row[4], quad[4];
  Q8_UNROLL
  for (size_t i = 0; i < 4; i++)
    row[i] =
        i < taps ? load_pixels(pixels, full, p + i * tap_stride, pixel_stride, c) : _mm512_setzero_si512();
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
Q8_INLINE void fill_edge(int pixels, int full, const q8_dwconv_shape *shape, const uint8_t *const *cols,
                         size_t last, const quad_source *q, size_t u, span c, uint8_t *scratch) {
  const uint8_t *edge[4][4];
  for (size_t i = 0; i < 4; i++)
    for (size_t x = 0; x < (size_t)pixels; x++) {
      size_t column = q->column + (u + x) * shape->col_step + i * q->across;
      size_t row = q->row + (i < q->taps ? i * q->down : 0);
      edge[i][x] = cols[(column < last ? column : last) * shape->r + row];
    }
  fill_vector(pixels, full, 4, edge[0], 4, 1, c, scratch);
}

/* `units` units of one plane; `taps`, q->taps, is a constant in every caller. */
Q8_INLINE void fill_plane(int pixels, int full, size_t taps, const q8_dwconv_shape *shape,
                          const uint8_t *const *cols, size_t last, const quad_source *q, size_t units, span c,
                          uint8_t *scratch) {
  const size_t pixel_stride = shape->col_step * shape->r, tap_stride = q->down + q->across * shape->r;
  const uint8_t *const *p = cols + q->column * shape->r + q->row;
  size_t u = 0, furthest = q->column + (size_t)(pixels - 1) * shape->col_step + (taps - 1) * q->across;
  for (; u < units && furthest <= last; u += pixels, p += pixels * pixel_stride, scratch += 64) {
    fill_vector(pixels, full, taps, p, tap_stride, pixel_stride, c, scratch);
    furthest += pixels * shape->col_step;
  }
  for (; u < units; u += pixels, scratch += 64)
    fill_edge(pixels, full, shape, cols, last, q, u, c, scratch);
}

/* A block of channels of the row: what `fill` and `tile` need besides the position. */
typedef struct {
  const q8_dwconv_shape *shape;
  const layout *layout;
  const int8_t *w;
  span c;
  size_t y_stride;
  _Alignas(64) __m512i bias[4]; /* quad order, one copy per pixel of a register */
  __m512 scale[4];
  requant_bounds bounds;
  uint8_t scratch[SCRATCH_SIZE];
} block;

Q8_INLINE void fill(int pixels, int full, block *b, const uint8_t *const *cols, size_t last, size_t outputs) {
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
        fill_plane(pixels, full, 4, p, cols, last, &q, units, b->c, scratch);
      else if (q.taps == 3)
        fill_plane(pixels, full, 3, p, cols, last, &q, units, b->c, scratch);
      else
        fill_plane(pixels, full, 2, p, cols, last, &q, units, b->c, scratch);
    }
  if (down < p->r)
    for (size_t plane = 0; plane < l->across_phase; plane++, scratch += plane_bytes) {
      const quad_source q = {down, 4 * plane * d, 4, 0, d};
      const size_t units = outputs + (l->across_phase == 1 ? l->reach : 0);
      fill_plane(pixels, full, 4, p, cols, last, &q, units, b->c, scratch);
    }
}

/* ---- Tile
 * ----------------------------------------------------------------------------------------------------------
 */

static __m512i load_quads(size_t pixels, const void *channels, int v) {
  const __m128i *p = (const __m128i *)channels + v;
  __m128i a = _mm_loadu_si128(p), b = pixels > 2 ? a : _mm_loadu_si128(p + 4);
  return join4(a, b, pixels > 1 ? a : _mm_loadu_si128(p + 8), pixels > 1 ? b : _mm_loadu_si128(p + 12));
}

Q8_INLINE void store_pixels(int pixels, __m512i bytes, __mmask64 m, uint8_t *y, size_t y_stride, size_t n) {
  if (pixels == 1) {
    if (n > 0)
      _mm512_mask_storeu_epi8(y, m, bytes);
  } else if (pixels == 2) {
    if (n > 0)
      _mm256_mask_storeu_epi8(y, (__mmask32)m, _mm512_castsi512_si256(bytes));
    if (n > 1)
      _mm256_mask_storeu_epi8(y + y_stride, (__mmask32)m, _mm512_extracti64x4_epi64(bytes, 1));
  } else {
    if (n > 0)
      _mm_mask_storeu_epi8(y, (__mmask16)m, _mm512_castsi512_si128(bytes));
    if (n > 1)
      _mm_mask_storeu_epi8(y + y_stride, (__mmask16)m, _mm512_extracti32x4_epi32(bytes, 1));
    if (n > 2)
      _mm_mask_storeu_epi8(y + 2 * y_stride, (__mmask16)m, _mm512_extracti32x4_epi32(bytes, 2));
    if (n > 3)
      _mm_mask_storeu_epi8(y + 3 * y_stride, (__mmask16)m, _mm512_extracti32x4_epi32(bytes, 3));
  }
}

/* acc = from + one step; acc and from may be the same. */
Q8_INLINE void step(int vectors, const uint8_t *x, const int8_t *w, __m512i from[][4], __m512i acc[][4]) {
  Q8_UNROLL
  for (int v = 0; v < 4; v++) {
    const __m512i weight = _mm512_load_si512(w + 64 * v);
    Q8_UNROLL
    for (int t = 0; t < vectors; t++)
      acc[t][v] = _mm512_dpbusd_epi32(from[t][v], _mm512_loadu_si512(x + v * SCRATCH_ROW + 64 * t), weight);
  }
}

Q8_INLINE void finish(int pixels, const __m512i acc[4], const __m512 scale[4], const requant_bounds *bounds,
                      __mmask64 m, uint8_t *y, size_t y_stride, size_t n) {
  __m512i t[4];
  Q8_UNROLL
  for (int v = 0; v < 4; v++)
    t[v] = round_below(_mm512_mul_ps(_mm512_cvtepi32_ps(acc[v]), scale[v]), bounds);
  store_pixels(pixels, narrow_quad(t, bounds), m, y, y_stride, n);
}

/* `vectors` registers of pixels from unit `at`, of which the first n pixels are stored. The first step stands
 * before the loop: registers that start from a common bias are copied in every pass by gcc 12. */
Q8_INLINE void tile(int pixels, int vectors, const block *b, size_t at, uint8_t *y, size_t n) {
  __m512i bias[MAX_TILE][4], acc[MAX_TILE][4];
  const size_t unit = 64 / (size_t)pixels;
  const uint8_t *scratch = b->scratch + at * unit;
  const int8_t *w = b->w;
  const uint32_t *offset = b->layout->offset, *const end = offset + b->layout->steps;
  Q8_UNROLL
  for (int t = 0; t < vectors; t++)
    Q8_UNROLL
  for (int v = 0; v < 4; v++)
    bias[t][v] = b->bias[v];
  step(vectors, scratch + *offset * unit, w, bias, acc);
  while (++offset < end)
    step(vectors, scratch + *offset * unit, w += 256, acc, acc);
  Q8_UNROLL
  for (int t = 0; t < vectors; t++) {
    const size_t done = (size_t)(t * pixels);
    finish(pixels, acc[t], b->scale, &b->bounds, b->c.mask, y + done * b->y_stride, b->y_stride,
           n > done ? n - done : 0);
  }
}

/* n pixels of a stretch, four registers at a time. */
Q8_INLINE void multiply(int pixels, const block *b, uint8_t *y, size_t n) {
  size_t at = 0;
  const size_t p = (size_t)pixels, stride = b->y_stride;
  for (; at + 2 * p < n; at += 4 * p)
    tile(pixels, 4, b, at, y + at * stride, n - at);
  if (at + p < n)
    tile(pixels, 2, b, at, y + at * stride, n - at);
  else if (at < n)
    tile(pixels, 1, b, at, y + at * stride, n - at);
}

/* The same where there are three steps: their weights stay in registers. */
Q8_INLINE void multiply3(int pixels, const block *b, uint8_t *y, size_t n) {
  const size_t unit = 64 / (size_t)pixels, y_stride = b->y_stride;
  const uint8_t *x[3];
  __m512i w[3][4], bias[4];
  __m512 scale[4];
  const requant_bounds bounds = b->bounds;
  const __mmask64 m = b->c.mask;
  Q8_UNROLL
  for (int v = 0; v < 4; v++)
    bias[v] = b->bias[v], scale[v] = b->scale[v];
  Q8_UNROLL
  for (int k = 0; k < 3; k++) {
    x[k] = b->scratch + b->layout->offset[k] * unit;
    Q8_UNROLL
    for (int v = 0; v < 4; v++)
      w[k][v] = _mm512_load_si512(b->w + 256 * k + 64 * v);
  }
  for (size_t at = 0; at < n; at += (size_t)pixels, y += (size_t)pixels * y_stride) {
    __m512i acc[4];
    Q8_UNROLL
    for (int v = 0; v < 4; v++) {
      acc[v] = bias[v];
      Q8_UNROLL
      for (int k = 0; k < 3; k++)
        acc[v] = _mm512_dpbusd_epi32(acc[v], _mm512_loadu_si512(x[k] + v * SCRATCH_ROW), w[k][v]);
    }
    finish(pixels, acc, scale, &bounds, m, y, y_stride, n - at);
    Q8_UNROLL
    for (int k = 0; k < 3; k++)
      x[k] += 64;
  }
}

/* ---- Rows
 * ------------------------------------------------------------------------------------------------------------
 */

/* The functions for blocks of 64, 32 and 16 channels, whole or in part. They stay out of line: inlined into
 * one body, their loops run out of registers. */
typedef void fill_fn(block *b, const uint8_t *const *cols, size_t last, size_t outputs);
typedef void multiply_fn(const block *b, uint8_t *y, size_t n);
#define FILL(pixels, full)                                                                                   \
  static void fill_##pixels##_##full(block *b, const uint8_t *const *cols, size_t last, size_t outputs) {    \
    fill(pixels, full, b, cols, last, outputs);                                                              \
  }
#define MULTIPLY(pixels)                                                                                     \
  static void multiply_##pixels(const block *b, uint8_t *y, size_t n) {                                      \
    multiply(pixels, b, y, n);                                                                               \
  }                                                                                                          \
  static void multiply3_##pixels(const block *b, uint8_t *y, size_t n) {                                     \
    multiply3(pixels, b, y, n);                                                                              \
  }
FILL(1, 0)
FILL(1, 1)
FILL(2, 0)
FILL(2, 1)
FILL(4, 0)
FILL(4, 1)
MULTIPLY(1)
MULTIPLY(2)
MULTIPLY(4)
static fill_fn *const fills[3][2] = {{fill_1_0, fill_1_1}, {fill_2_0, fill_2_1}, {fill_4_0, fill_4_1}};
static multiply_fn *const multiplies[3][2] = {
    {multiply_1, multiply3_1},
    {multiply_2, multiply3_2},
    {multiply_4, multiply3_4},
};

/* One block of channels of the row, `pixels` pixels a register. */
static void run_block(size_t pixels, block *b, const uint8_t *const *cols, uint8_t *y) {
  const q8_dwconv_shape *p = b->shape;
  const size_t outputs = b->layout->outputs, step = p->col_step;
  fill_fn *const fill_stretch = fills[pixels / 2][p->channels - b->c.first >= 64 / pixels];
  multiply_fn *const multiply_stretch = multiplies[pixels / 2][b->layout->steps == 3];
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
