/* dwconv.c - depthwise convolution of one output row, fused with requantization.
 *
 * Two kernel rows at a time: their bytes are interleaved per channel and widened, so that one vpmaddwd
 * multiplies and adds two taps of 8 channels exactly. A widened column serves every output pixel whose window
 * covers it, up to four at once. Weights are packed to match, in blocks of 16 channels, zero beyond the last
 * row and channel: int16 [channels / 16][s][row pairs][16][2]. */
#define Q8_LARGE_BODIES
#include "kernel.h"

#if defined(__AVX2__) && defined(__FMA__)
#include "vec.h"

static size_t packed_size(size_t channels, size_t r, size_t s) {
  return (channels + 15) / 16 * s * ((r + 1) / 2) * 64;
}

static void pack(size_t channels, size_t r, size_t s, const int8_t *w, void *packed) {
  int16_t *out = packed;
  for (size_t c0 = 0; c0 < channels; c0 += 16)
    for (size_t j = 0; j < s; j++)
      for (size_t i0 = 0; i0 < r; i0 += 2)
        for (size_t c = c0; c < c0 + 16; c++)
          for (size_t i = i0; i < i0 + 2; i++)
            *out++ = c < channels && i < r ? w[(i * s + j) * channels + c] : 0;
}

/* Where the current block of 16 channels lies, and how to load one that is not full without leaving the
 * column. */
typedef struct window {
  size_t c, n;   /* first channel, channels left: more than 15 in a full block */
  __m128i shift; /* vpshufb control that moves the last n bytes of a vector to the front, the rest zero */
  int can_reach; /* there are 16 channels up to the last one */
} window;

static window window_at(size_t c, size_t channels) {
  window at = {c, channels - c, _mm_setzero_si128(), channels >= 16};
  __m128i lane = _mm_setr_epi8(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);
  if (at.n < 16) /* index 16 - n + lane; from 16 on the added 0x70 sets the top bit, which gives zero */
    at.shift = _mm_add_epi8(lane, _mm_set1_epi8((char)(16 - at.n + 0x70)));
  return at;
}

/* `full` is a constant in every caller. */
Q8_INLINE __m128i load_tap(int full, const uint8_t *column, const window *at) {
  if (full)
    return _mm_loadu_si128((const __m128i *)(column + at->c));
  if (at->can_reach)
    return _mm_shuffle_epi8(_mm_loadu_si128((const __m128i *)(column + at->c + at->n - 16)), at->shift);
  return q8_avx2_load_bytes(column + at->c, at->n);
}

typedef struct block {
  __m256i low, high; /* channels 0-7, 8-15 */
} block;

/* Rows i and i + 1 of a column, interleaved; a row that does not exist counts as zero. */
Q8_INLINE block load_pair(int full, const uint8_t *const *column, size_t i, size_t r, const window *at) {
  __m128i x = load_tap(full, column[i], at);
  if (i + 1 == r)
    return (block){_mm256_cvtepu8_epi32(x), _mm256_cvtepu8_epi32(_mm_unpackhi_epi64(x, x))};
  __m128i next = load_tap(full, column[i + 1], at);
  return (block){_mm256_cvtepu8_epi16(_mm_unpacklo_epi8(x, next)),
                 _mm256_cvtepu8_epi16(_mm_unpackhi_epi8(x, next))};
}

Q8_INLINE void add_pair(block *sum, block x, const __m256i *w) {
  sum->low = _mm256_add_epi32(sum->low, _mm256_madd_epi16(x.low, w[0]));
  sum->high = _mm256_add_epi32(sum->high, _mm256_madd_epi16(x.high, w[1]));
}

/* Sums of one output, any kernel size. */
Q8_INLINE block convolve_one(int full, size_t r, size_t s, size_t dilation, const __m256i *w,
                             const uint8_t *const *cols, const window *at) {
  block sum = {_mm256_setzero_si256(), _mm256_setzero_si256()};
  for (size_t j = 0; j < s; j++, cols += dilation * r)
    for (size_t i = 0; i < r; i += 2, w += 2)
      add_pair(&sum, load_pair(full, cols, i, r, at), w);
  return sum;
}

/* Rows i and, unless it is the last, i + 1 of all columns of four outputs. */
Q8_INLINE void add_rows(size_t r, size_t s, size_t step, size_t i, int last, const __m256i *w,
                        const uint8_t *const *cols, const window *at, block sum[4]) {
  Q8_UNROLL
  for (size_t u = 0; u < 3 * step + s; u++) {
    block x = load_pair(1, cols + u * r, i, last ? i + 1 : i + 2, at);
    Q8_UNROLL
    for (size_t o = 0; o < 4; o++) {
      size_t j = u - o * step; /* wraps to a large number left of the window */
      if (j < s) {
        add_pair(&sum[o], x, w + i + j * ((r + 1) / 2) * 2);
        q8_avx2_keep(&sum[o].low);
        q8_avx2_keep(&sum[o].high);
      }
    }
  }
}

/* Sums of four neighbouring outputs of a full block, dilation 1. r, s, step are constants in every caller. Rows are a
 * loop, columns are not: all of it unrolled would be 12 KB for 7x7. */
Q8_INLINE void convolve_four(size_t r, size_t s, size_t step, const __m256i *w, const uint8_t *const *cols,
                             const window *at, block sum[4]) {
  Q8_UNROLL
  for (size_t o = 0; o < 4; o++)
    sum[o].low = sum[o].high = _mm256_setzero_si256();
  for (size_t i = 0; i + 1 < r; i += 2)
    add_rows(r, s, step, i, 0, w, cols, at, sum);
  if (r % 2)
    add_rows(r, s, step, r - 1, 1, w, cols, at, sum);
}

typedef struct epilogue {
  const q8_requant *rq;
  q8_avx2_rounding rounding;
} epilogue;

Q8_INLINE void finish(int full, const block *sum, const window *at, const epilogue *e, uint8_t *y) {
  const int32_t *bias = e->rq->bias + at->c;
  const float *scale = e->rq->scale + at->c;
  __m256i t0 = q8_avx2_requantize(sum->low, q8_avx2_load_i32(bias), _mm256_loadu_ps(scale), &e->rounding);
  __m256i t1 =
      q8_avx2_requantize(sum->high, q8_avx2_load_i32(bias + 8), _mm256_loadu_ps(scale + 8), &e->rounding);
  __m128i t = q8_avx2_pack16(t0, t1, &e->rounding);
  if (full)
    _mm_storeu_si128((__m128i *)(y + at->c), t);
  else
    q8_avx2_store_bytes(y + at->c, t, at->n);
}

/* One block of channels along the row, output by output. */
Q8_INLINE void strip(int full, const q8_dwconv_shape *shape, const __m256i *w, const window *at, const epilogue *e,
                     const uint8_t *const *cols, uint8_t *y, size_t y_stride) {
  const size_t r = shape->r, s = shape->s, dilation = shape->col_dilation, step = shape->col_step * r;
  for (size_t x = 0; x < shape->q; x++) {
    block sum = convolve_one(full, r, s, dilation, w, cols + x * step, at);
    finish(full, &sum, at, e, y + x * y_stride);
  }
}
static void strip_full(const q8_dwconv_shape *shape, const __m256i *w, const window *at, const epilogue *e,
                       const uint8_t *const *cols, uint8_t *y, size_t y_stride) {
  strip(1, shape, w, at, e, cols, y, y_stride);
}
static void strip_rest(const q8_dwconv_shape *shape, const __m256i *w, const window *at, const epilogue *e,
                       const uint8_t *const *cols, uint8_t *y, size_t y_stride) {
  strip(0, shape, w, at, e, cols, y, y_stride);
}

/* The same for a full block, four outputs at a time; the last four may overlap the ones before. Needs q >= 4
 * and dilation 1. r, s, step are constants in every caller. */
Q8_INLINE void strip_by_four(size_t r, size_t s, size_t step, const q8_dwconv_shape *shape, const __m256i *w,
                             const window *at, const epilogue *e, const uint8_t *const *cols, uint8_t *y,
                             size_t y_stride) {
  for (size_t start = 0; start < shape->q; start += 4) {
    size_t x = start + 4 <= shape->q ? start : shape->q - 4;
    block sum[4];
    convolve_four(r, s, step, w, cols + x * step * r, at, sum);
    Q8_UNROLL
    for (size_t o = 0; o < 4; o++)
      finish(1, &sum[o], at, e, y + (x + o) * y_stride);
  }
}

/* `fixed`: r and s are constants, and outputs go four by four where the shape allows. */
Q8_INLINE void dwconv(int fixed, size_t r, size_t s, const q8_dwconv_shape *shape, const void *packed,
                      const q8_requant *rq, const uint8_t *const *cols, uint8_t *y, size_t y_stride) {
  const __m256i *w = packed;
  epilogue e = {rq, q8_avx2_rounding_of(rq->zero_point, rq->lo, rq->hi)};
  int fours = fixed && shape->q >= 4 && shape->col_dilation == 1;
  for (size_t c = 0; c < shape->channels; c += 16, w += s * ((r + 1) / 2) * 2) {
    window at = window_at(c, shape->channels);
    if (at.n < 16)
      strip_rest(shape, w, &at, &e, cols, y, y_stride);
    else if (fours && shape->col_step == 1)
      strip_by_four(r, s, 1, shape, w, &at, &e, cols, y, y_stride);
    else if (fours && shape->col_step == 2)
      strip_by_four(r, s, 2, shape, w, &at, &e, cols, y, y_stride);
    else
      strip_full(shape, w, &at, &e, cols, y, y_stride);
  }
  if (rq->table)
    q8_avx2_table_rows(shape->q, shape->channels, rq->table, y, y_stride);
}

static void dwconv_3x3(const q8_dwconv_shape *shape, const void *w, const q8_requant *rq,
                       const uint8_t *const *cols, uint8_t *y, size_t y_stride) {
  dwconv(1, 3, 3, shape, w, rq, cols, y, y_stride);
}

static void dwconv_5x5(const q8_dwconv_shape *shape, const void *w, const q8_requant *rq,
                       const uint8_t *const *cols, uint8_t *y, size_t y_stride) {
  dwconv(1, 5, 5, shape, w, rq, cols, y, y_stride);
}

static void dwconv_7x7(const q8_dwconv_shape *shape, const void *w, const q8_requant *rq,
                       const uint8_t *const *cols, uint8_t *y, size_t y_stride) {
  dwconv(1, 7, 7, shape, w, rq, cols, y, y_stride);
}

static void dwconv_any(const q8_dwconv_shape *shape, const void *w, const q8_requant *rq,
                       const uint8_t *const *cols, uint8_t *y, size_t y_stride) {
  dwconv(0, shape->r, shape->s, shape, w, rq, cols, y, y_stride);
}

const q8_dwconv_kernel q8_avx2_dwconv[] = {
    {"dwconv_avx2_3x3", Q8_CPU_AVX2, 3, 3, 0, -128, packed_size, pack, dwconv_3x3},
    {"dwconv_avx2_5x5", Q8_CPU_AVX2, 5, 5, 0, -128, packed_size, pack, dwconv_5x5},
    {"dwconv_avx2_7x7", Q8_CPU_AVX2, 7, 7, 0, -128, packed_size, pack, dwconv_7x7},
    {"dwconv_avx2", Q8_CPU_AVX2, 0, 0, 0, -128, packed_size, pack, dwconv_any},
    {0},
};
#endif
