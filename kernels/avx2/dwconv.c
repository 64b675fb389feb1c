/* dwconv.c - depthwise convolution of one output row.
 *
 * Two kernel rows at a time: their bytes are interleaved per channel and widened, so that one vpmaddwd
 * multiplies and adds two taps of 8 channels exactly. A row left over is paired with itself and a weight of
 * 0. In 3 x 3 the widened columns that the next output needs too stay in registers; in 5 x 5 and 7 x 7 a
 * column serves every output pixel whose window covers it, up to four at once.
 *
 * Weights are packed in blocks of 16 channels, zero beyond the last row: int16 [blocks][row pairs][s][16][2].
 */
#define Q8_LARGE_BODIES
#include "kernel.h"

#if defined(__AVX2__) && defined(__FMA__)
#include "dwconv.h"
#include "scalar/scalar.h"

/* ---- Any kernel of 256 bits ---- */

enum {
  OUTPUTS = 32, /* whose sums stay in L1 */
  MOST_CHANNELS = 32
};

size_t q8_avx2_packed_size(const q8_avx2_blocks *blocks, size_t channels, size_t r, size_t s) {
  if (channels < blocks->channels)
    return blocks->narrow->packed_size(channels, r, s);
  return (channels + blocks->channels - 1) / blocks->channels * blocks->vectors(r, s) * sizeof(__m256i);
}

static Q8_NOINLINE void convolve_block(const q8_avx2_blocks *blocks, q8_avx2_outputs *o, const q8_requant *rq,
                                       size_t first, void *y, size_t y_stride) {
  __m256i sums[OUTPUTS * MOST_CHANNELS / 8];
  for (size_t left = o->shape->q, at = first; left > 0; left -= o->count, at += OUTPUTS * y_stride) {
    o->count = left < OUTPUTS ? left : OUTPUTS;
    blocks->sum(o, sums);
    if (rq)
      blocks->requantize(o->count, sums, rq->scale + first, rq, (uint8_t *)y + at, y_stride);
    else
      blocks->store(o->count, sums, (int32_t *)y + at, y_stride);
    o->cols += OUTPUTS * o->shape->col_step * o->shape->r;
  }
}

void q8_avx2_convolve(const q8_avx2_blocks *blocks, const q8_dwconv_shape *shape, const void *w,
                      const q8_requant *rq, const uint8_t *const *cols, void *y, size_t y_stride) {
  static const int32_t zeros[MOST_CHANNELS] = {0};
  const size_t channels = shape->channels, vectors = blocks->vectors(shape->r, shape->s);
  q8_avx2_outputs o = {.shape = shape, .w = w};
  if (channels < blocks->channels) {
    if (rq)
      blocks->narrow->run(shape, w, rq, cols, y, y_stride);
    else
      blocks->narrow->run_sums(shape, w, cols, y, y_stride);
    return;
  }
  for (size_t c = 0; c < channels; c += blocks->channels, o.w += vectors) {
    const size_t first = q8_avx2_first_channel(c, blocks->channels, channels);
    o.cols = cols;
    o.c = first + shape->offset;
    o.start = rq ? rq->bias + first : zeros;
    convolve_block(blocks, &o, rq, first, y, y_stride);
  }
}

/* ---- vpmaddwd ---- */

enum { BLOCK = 16, FOUR = 4 };

static size_t vectors(size_t r, size_t s) {
  return (r + 1) / 2 * s * 2;
}

typedef struct halves {
  __m256i low, high; /* channels 0-7, 8-15 */
} halves;

Q8_INLINE __m128i load_row(const void *row) {
  return _mm_loadu_si128((const __m128i *)row);
}

/* Two rows of a column, interleaved. */
Q8_INLINE halves load_pair(const uint8_t *row, const uint8_t *next, size_t c) {
  const __m128i x = load_row(row + c), y = load_row(next + c);
  return (halves){_mm256_cvtepu8_epi16(_mm_unpacklo_epi8(x, y)),
                  _mm256_cvtepu8_epi16(_mm_unpackhi_epi8(x, y))};
}

/* One row, and zeros. */
Q8_INLINE halves load_single(const uint8_t *row, size_t c) {
  return (halves){q8_avx2_load_u8(row + c), q8_avx2_load_u8(row + c + 8)};
}

Q8_INLINE void add_pair(halves *sum, halves x, const __m256i *w) {
  sum->low = _mm256_add_epi32(sum->low, _mm256_madd_epi16(x.low, w[0]));
  sum->high = _mm256_add_epi32(sum->high, _mm256_madd_epi16(x.high, w[1]));
  q8_avx2_keep(&sum->low);
  q8_avx2_keep(&sum->high);
}

Q8_INLINE halves start_of(const q8_avx2_outputs *p) {
  return (halves){q8_avx2_load_i32(p->start), q8_avx2_load_i32(p->start + 8)};
}

/* Any kernel size. */
static void sum_one(const q8_avx2_outputs *p, halves *sums) {
  const q8_dwconv_shape *shape = p->shape;
  const size_t r = shape->r, s = shape->s, step = shape->col_dilation * r, c = p->c;
  const uint8_t *const *cols = p->cols;
  for (size_t x = 0; x < p->count; x++, cols += shape->col_step * r) {
    const __m256i *w = p->w;
    halves sum = start_of(p);
    for (size_t i = 0; i < r; i += 2) {
      const uint8_t *const *row = cols + i;
      const size_t next = i + 1 < r;
      for (size_t j = 0; j < s; j++, row += step, w += 2)
        add_pair(&sum, load_pair(row[0], row[next], c), w);
    }
    sums[x] = sum;
  }
}

typedef struct column {
  halves pair, last;
} column;

Q8_INLINE column load_column(const uint8_t *const *rows, size_t c) {
  return (column){load_pair(rows[0], rows[1], c), load_single(rows[2], c)};
}

/* 3 x 3 with dilation 1. `step` is a constant in every caller. */
Q8_INLINE void sum_three(size_t step, const q8_avx2_outputs *p, halves *sums) {
  const uint8_t *const *cols = p->cols;
  const size_t c = p->c;
  const __m256i *w = p->w;
  column x[3];
  x[0] = load_column(cols, c);
  if (step == 1)
    x[1] = load_column(cols + 3, c);
  for (const halves *end = sums + p->count; sums < end; sums++, cols += 3 * step) {
    halves sum = start_of(p);
    if (step == 2)
      x[1] = load_column(cols + 3, c);
    x[2] = load_column(cols + 6, c);
    Q8_UNROLL
    for (size_t j = 0; j < 3; j++) {
      add_pair(&sum, x[j].pair, w + 2 * j);
      add_pair(&sum, x[j].last, w + 6 + 2 * j);
    }
    *sums = sum;
    x[0] = x[step];
    if (step == 1)
      x[1] = x[2];
  }
}

/* Hides that p is the same as before, so that what it points at is read again: weights of neighbouring
 * columns are more than there are registers, and compilers would keep them and spill. */
#define RELOAD(p) __asm__("" : "+r"(p))

/* Two rows of a column, or one, for some outputs from `first` on: `w` is its tap of output 0, before which
 * those of the others lie. */
Q8_INLINE void add_column(size_t first, size_t outputs, size_t step, halves x, const __m256i *w,
                          halves sum[FOUR]) {
  Q8_UNROLL
  for (size_t o = first; o < first + outputs; o++)
    add_pair(&sum[o], x, w - 2 * step * o);
}

/* Two rows of all columns of four outputs with stride 1, or a last one by itself: columns before and behind
 * those that all four need are those of the first and of the last three. `two` is a constant in every caller.
 */
Q8_INLINE void add_rows(int two, const q8_avx2_outputs *p, const uint8_t *const *row, const __m256i *w,
                        halves sum[FOUR]) {
  const size_t r = p->shape->r, c = p->c;
  const __m256i *end = w + 2 * p->shape->s;
  Q8_UNROLL
  for (size_t u = 1; u < FOUR; u++, row += r, w += 2) {
    RELOAD(w);
    add_column(0, u, 1, two ? load_pair(row[0], row[1], c) : load_single(row[0], c), w, sum);
  }
  for (; w < end; row += r, w += 2) {
    RELOAD(w);
    add_column(0, FOUR, 1, two ? load_pair(row[0], row[1], c) : load_single(row[0], c), w, sum);
  }
  Q8_UNROLL
  for (size_t u = 1; u < FOUR; u++, row += r, w += 2) {
    RELOAD(w);
    add_column(u, FOUR - u, 1, two ? load_pair(row[0], row[1], c) : load_single(row[0], c), w, sum);
  }
}

/* The same of 5 x 5 with stride 2. */
Q8_INLINE void add_rows_5x5(const q8_avx2_outputs *p, const uint8_t *const *row, size_t next,
                            const __m256i *w, halves sum[FOUR]) {
  Q8_UNROLL
  for (size_t u = 0; u < 2 * FOUR + 3; u++, row += 5) {
    const size_t first = u < 5 ? 0 : (u - 3) / 2, last = u / 2 < FOUR ? u / 2 : FOUR - 1;
    RELOAD(w);
    add_column(first, last - first + 1, 2, load_pair(row[0], row[next], p->c), w + 2 * u, sum);
  }
}

/* Four neighbouring outputs at a time, of which the last four may overlap the ones before; dilation 1 and at
 * least four. `step` is a constant in every caller. */
Q8_INLINE void sum_four(size_t step, const q8_avx2_outputs *p, halves *sums) {
  const size_t r = p->shape->r, s = p->shape->s;
  for (size_t first = 0; first < p->count; first += FOUR) {
    const size_t x = first + FOUR <= p->count ? first : p->count - FOUR;
    const uint8_t *const *cols = p->cols + x * step * r;
    const __m256i *w = p->w;
    halves sum[FOUR];
    size_t i = 0;
    Q8_UNROLL
    for (size_t o = 0; o < FOUR; o++)
      sum[o] = start_of(p);
    for (; step == 1 && i + 1 < r; i += 2, w += 2 * s)
      add_rows(1, p, cols + i, w, sum);
    if (step == 1 && i < r)
      add_rows(0, p, cols + i, w, sum);
    for (; step == 2 && i < r; i += 2, w += 2 * s)
      add_rows_5x5(p, cols + i, i + 1 < r, w, sum);
    Q8_UNROLL
    for (size_t o = 0; o < FOUR; o++)
      sums[x + o] = sum[o];
  }
}

/* Works on copies, which the stores cannot change. */
static void sum(const q8_avx2_outputs *outputs, __m256i *sums) {
  const q8_dwconv_shape shape = *outputs->shape;
  const q8_avx2_outputs copy = {&shape,     outputs->cols, outputs->count,
                                outputs->c, outputs->w,    outputs->start},
                        *o = &copy;
  const size_t r = shape.r, s = shape.s, step = shape.col_dilation == 1 ? shape.col_step : 0;
  halves *to = (halves *)(void *)sums;
  if (r == 3 && s == 3 && step == 1)
    sum_three(1, o, to);
  else if (r == 3 && s == 3 && step == 2)
    sum_three(2, o, to);
  else if (s >= 3 && step == 1 && o->count >= FOUR)
    sum_four(1, o, to);
  else if (r == 5 && s == 5 && step == 2 && o->count >= FOUR)
    sum_four(2, o, to);
  else
    sum_one(o, to);
}

/* A float below the range of int32 converts to INT32_MIN, so the saturating packs and the last maximum are
 * the lower clamp; clamping after rounding equals clamping before. */
static void requantize(size_t count, const __m256i *sums, const float *scale, const q8_requant *rq,
                       uint8_t *y, size_t y_stride) {
  const __m256 top = _mm256_set1_ps((float)(rq->hi - rq->zero_point));
  const __m256 low = _mm256_loadu_ps(scale), high = _mm256_loadu_ps(scale + 8);
  const __m256i zero_point = _mm256_set1_epi16((int16_t)rq->zero_point);
  const __m128i least = _mm_set1_epi8((char)rq->lo);
  for (; count > 0; count--, sums += 2, y += y_stride) {
    const __m256 v0 = _mm256_mul_ps(_mm256_cvtepi32_ps(sums[0]), low),
                 v1 = _mm256_mul_ps(_mm256_cvtepi32_ps(sums[1]), high);
    __m256i t = _mm256_packs_epi32(_mm256_cvtps_epi32(_mm256_min_ps(top, v0)),
                                   _mm256_cvtps_epi32(_mm256_min_ps(top, v1)));
    t = _mm256_adds_epi16(t, zero_point);
    t = _mm256_packus_epi16(t, t);
    const __m128i bytes = _mm_unpacklo_epi32(_mm256_castsi256_si128(t), _mm256_extracti128_si256(t, 1));
    _mm_storeu_si128((__m128i *)y, _mm_max_epu8(bytes, least));
  }
}

static void store(size_t count, const __m256i *sums, int32_t *y, size_t y_stride) {
  for (; count > 0; count--, sums += 2, y += y_stride) {
    _mm256_storeu_si256((__m256i *)y, sums[0]);
    _mm256_storeu_si256((__m256i *)y + 1, sums[1]);
  }
}

static const q8_avx2_blocks blocks = {BLOCK, q8_scalar_dwconv, vectors, sum, requantize, store};

static size_t packed_size(size_t channels, size_t r, size_t s) {
  return q8_avx2_packed_size(&blocks, channels, r, s);
}

static void pack(size_t channels, size_t r, size_t s, const int8_t *w, void *packed) {
  __m256i *out = packed;
  if (channels < BLOCK) {
    q8_scalar_dwconv->pack(channels, r, s, w, packed);
    return;
  }
  for (size_t c = 0; c < channels; c += BLOCK)
    for (size_t i = 0; i < r; i += 2)
      for (size_t j = 0; j < s; j++, out += 2) {
        const int8_t *row = w + (i * s + j) * channels + q8_avx2_first_channel(c, BLOCK, channels);
        const __m128i x = load_row(row), y = i + 1 < r ? load_row(row + s * channels) : _mm_setzero_si128();
        _mm256_storeu_si256(out, _mm256_cvtepi8_epi16(_mm_unpacklo_epi8(x, y)));
        _mm256_storeu_si256(out + 1, _mm256_cvtepi8_epi16(_mm_unpackhi_epi8(x, y)));
      }
}

static void run(const q8_dwconv_shape *shape, const void *w, const q8_requant *rq, const uint8_t *const *cols,
                uint8_t *y, size_t y_stride) {
  q8_avx2_convolve(&blocks, shape, w, rq, cols, y, y_stride);
}

static void run_sums(const q8_dwconv_shape *shape, const void *w, const uint8_t *const *cols, int32_t *acc,
                     size_t acc_stride) {
  q8_avx2_convolve(&blocks, shape, w, NULL, cols, acc, acc_stride);
}

const q8_dwconv_kernel q8_avx2_dwconv[] = {
    {"dwconv_avx2", Q8_CPU_AVX2, 0, 0, 0, -128, packed_size, pack, run, run_sums, NULL},
    {0},
};
#endif
