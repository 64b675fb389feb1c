/* dwconv.c - depthwise convolution of one output row, fused with requantization.
 *
 * Two kernel rows at a time: their bytes are interleaved per channel and widened, so that one vpmaddwd multiplies and adds
 * two taps of 8 channels exactly. A row left over is paired with itself and a weight of 0. In 3 x 3, 5 x 5 and 7 x 7 a widened
 * column serves every output pixel whose window covers it, up to four at once.
 *
 * Channels go in blocks of 16; the last one ends with the last channel and overlaps the one before it. Weights are packed
 * to match, zero beyond the last row and channel: int16 [blocks][row pairs][s][16][2]. */
#define Q8_LARGE_BODIES
#include "kernel.h"

#if defined(__AVX2__) && defined(__FMA__)
#include "vec.h"

enum { BLOCK = 16, OUTPUTS = 4 };

static size_t first_channel(size_t c, size_t channels) {
  return channels > BLOCK && c + BLOCK > channels ? channels - BLOCK : c;
}

/* Vectors of a block's weights. */
static size_t block_size(size_t r, size_t s) {
  return (r + 1) / 2 * s * 2;
}

static size_t packed_size(size_t channels, size_t r, size_t s) {
  return (channels + BLOCK - 1) / BLOCK * block_size(r, s) * sizeof(__m256i);
}

/* Less than 16 channels are rare: not inlined. */
static Q8_NOINLINE __m128i load_part(const uint8_t *bytes, size_t n) {
  return q8_avx2_load_bytes(bytes, n);
}

/* 16 weights, or all of fewer channels. `full` is a constant in every caller. */
Q8_INLINE __m128i load_weights(int full, const int8_t *w, size_t n) {
  return full ? _mm_loadu_si128((const __m128i *)(const void *)w) : load_part((const uint8_t *)w, n);
}

Q8_INLINE __m256i *pack_block(int full, size_t channels, size_t r, size_t s, const int8_t *w, __m256i *out) {
  for (size_t i = 0; i < r; i += 2)
    for (size_t j = 0; j < s; j++, out += 2) {
      const int8_t *row = w + (i * s + j) * channels;
      const __m128i x = load_weights(full, row, channels),
                    y = i + 1 < r ? load_weights(full, row + s * channels, channels) : _mm_setzero_si128();
      _mm256_storeu_si256(out, _mm256_cvtepi8_epi16(_mm_unpacklo_epi8(x, y)));
      _mm256_storeu_si256(out + 1, _mm256_cvtepi8_epi16(_mm_unpackhi_epi8(x, y)));
    }
  return out;
}

static void pack(size_t channels, size_t r, size_t s, const int8_t *w, void *packed) {
  __m256i *out = packed;
  for (size_t c = 0; channels >= BLOCK && c < channels; c += BLOCK)
    out = pack_block(1, channels, r, s, w + first_channel(c, channels), out);
  if (channels < BLOCK)
    pack_block(0, channels, r, s, w, out);
}

/* A block of channels of the row, n of which exist: 16, or all of fewer. */
typedef struct block {
  const __m256i *w;
  size_t first, n;
  size_t from; /* first, and what is added to every pointer */
} block;

typedef struct halves {
  __m256i low, high; /* channels 0-7, 8-15 */
} halves;

/* `full` is a constant in every caller. */
Q8_INLINE __m128i load_row(int full, const uint8_t *row, const block *b) {
  return full ? _mm_loadu_si128((const __m128i *)(row + b->from)) : load_part(row + b->from, b->n);
}

/* Two rows of a column, interleaved. */
Q8_INLINE halves load_pair(int full, const uint8_t *row, const uint8_t *next, const block *b) {
  const __m128i x = load_row(full, row, b), y = load_row(full, next, b);
  return (halves){_mm256_cvtepu8_epi16(_mm_unpacklo_epi8(x, y)), _mm256_cvtepu8_epi16(_mm_unpackhi_epi8(x, y))};
}

/* One row, and zeros. */
Q8_INLINE halves load_single(const uint8_t *row, const block *b) {
  const __m128i x = load_row(1, row, b);
  return (halves){_mm256_cvtepu8_epi32(x), _mm256_cvtepu8_epi32(_mm_unpackhi_epi64(x, x))};
}

Q8_INLINE void add_pair(halves *sum, halves x, const __m256i *w) {
  sum->low = _mm256_add_epi32(sum->low, _mm256_madd_epi16(x.low, w[0]));
  sum->high = _mm256_add_epi32(sum->high, _mm256_madd_epi16(x.high, w[1]));
}

/* Sums of one output, any kernel size. */
Q8_INLINE halves add_taps(int full, const q8_dwconv_shape *shape, const uint8_t *const *cols, const block *b) {
  const size_t r = shape->r, step = shape->col_dilation * r;
  const __m256i *w = b->w;
  halves sum = {_mm256_setzero_si256(), _mm256_setzero_si256()};
  for (size_t i = 0; i < r; i += 2) {
    const uint8_t *const *row = cols + i;
    for (size_t j = 0; j < shape->s; j++, row += step, w += 2)
      add_pair(&sum, load_pair(full, row[0], row[i + 1 < r], b), w);
  }
  return sum;
}

static Q8_NOINLINE halves convolve_full(const q8_dwconv_shape *shape, const uint8_t *const *cols, const block *b) {
  return add_taps(1, shape, cols, b);
}
static Q8_NOINLINE halves convolve_part(const q8_dwconv_shape *shape, const uint8_t *const *cols, const block *b) {
  return add_taps(0, shape, cols, b);
}
static halves convolve_one(const q8_dwconv_shape *shape, const uint8_t *const *cols, const block *b) {
  return b->n == BLOCK ? convolve_full(shape, cols, b) : convolve_part(shape, cols, b);
}

/* Hides that p is the same as before, so that what it points at is read again: clang would keep weights of 5 x 5 and 7 x 7
 * for the next columns, more than there are registers, and spill. */
#define RELOAD(p) __asm__("" : "+r"(p))

/* Adds rows `row` and `next` of all columns of four outputs; next = NULL: only one. */
Q8_INLINE void add_rows(size_t size, size_t step, const uint8_t *const *row, const uint8_t *const *next, const __m256i *w,
                        const block *b, halves sum[OUTPUTS]) {
  Q8_UNROLL
  for (size_t u = 0; u < (OUTPUTS - 1) * step + size; u++, row += size) {
    const halves x = next ? load_pair(1, *row, *next, b) : load_single(*row, b);
    if (size > 3)
      RELOAD(w);
    Q8_UNROLL
    for (size_t o = 0; o < OUTPUTS; o++) {
      const size_t j = u - o * step; /* wraps to a large number left of the window */
      if (j < size) {
        add_pair(&sum[o], x, w + 2 * j);
        q8_avx2_keep(&sum[o].low);
        q8_avx2_keep(&sum[o].high);
      }
    }
    next = next ? next + size : NULL;
  }
}

/* Sums of four neighbouring outputs of a full block, dilation 1. size, of a square kernel, and step are constants in every
 * caller: columns are not a loop, pairs of rows are. A last row by itself is worth code of its own in 3 x 3 alone. */
Q8_INLINE void convolve_four(size_t size, size_t step, const uint8_t *const *cols, const block *b,
                             halves sum[OUTPUTS]) {
  const __m256i *w = b->w;
  Q8_UNROLL
  for (size_t o = 0; o < OUTPUTS; o++)
    sum[o].low = sum[o].high = _mm256_setzero_si256();
  if (size == 3) {
    add_rows(size, step, cols, cols + 1, w, b, sum);
    add_rows(size, step, cols + 2, NULL, w + 6, b, sum);
    return;
  }
  for (size_t i = 0; i < size; i += 2, w += 2 * size)
    add_rows(size, step, cols + i, cols + i + (i + 1 < size), w, b, sum);
}

typedef struct epilogue {
  const q8_requant *rq;
  q8_avx2_rounding rounding;
} epilogue;

Q8_INLINE __m128i round_sums(const halves *sum, const block *b, const epilogue *e) {
  const int32_t *bias = e->rq->bias + b->first;
  const float *scale = e->rq->scale + b->first;
  const __m256i low = q8_avx2_requantize(sum->low, q8_avx2_load_i32(bias), _mm256_loadu_ps(scale), &e->rounding);
  const __m256i high =
      q8_avx2_requantize(sum->high, q8_avx2_load_i32(bias + 8), _mm256_loadu_ps(scale + 8), &e->rounding);
  return q8_avx2_pack16(low, high, &e->rounding);
}

/* One block of channels along the row, output by output. */
Q8_INLINE void by_one(const q8_dwconv_shape *shape, const block *b, const epilogue *e, const uint8_t *const *cols,
                      uint8_t *y, size_t y_stride) {
  for (size_t x = 0; x < shape->q; x++, cols += shape->col_step * shape->r, y += y_stride) {
    const halves sum = convolve_one(shape, cols, b);
    const __m128i t = round_sums(&sum, b, e);
    if (b->n == BLOCK)
      _mm_storeu_si128((__m128i *)(y + b->first), t);
    else
      q8_avx2_store_bytes(y, t, b->n);
  }
}

/* The same for a full block, four outputs at a time; the last four may overlap the ones before. Needs q >= 4 and
 * dilation 1. */
Q8_INLINE void by_four(size_t size, size_t step, size_t q, const block *b, const epilogue *e, const uint8_t *const *cols,
                       uint8_t *y, size_t y_stride) {
  for (size_t start = 0; start < q; start += OUTPUTS) {
    const size_t x = start + OUTPUTS <= q ? start : q - OUTPUTS;
    halves sum[OUTPUTS];
    convolve_four(size, step, cols + x * step * size, b, sum);
    Q8_UNROLL
    for (size_t o = 0; o < OUTPUTS; o++)
      _mm_storeu_si128((__m128i *)(y + (x + o) * y_stride + b->first), round_sums(&sum[o], b, e));
  }
}

/* The number size, step for what has code of its own, else 0. */
static size_t size_and_step(const q8_dwconv_shape *p) {
  const int fours = p->r == p->s && p->q >= OUTPUTS && p->channels >= BLOCK && p->col_dilation == 1 && p->col_step <= 2;
  return fours ? 10 * p->s + p->col_step : 0;
}

/* Works on copies, which the stores to y cannot change. */
static void row(const q8_dwconv_shape *shape, const block *whole, const epilogue *end, const uint8_t *const *cols,
                uint8_t *y, size_t y_stride) {
  const block b = *whole;
  const q8_requant rq = *end->rq;
  const epilogue e = {&rq, end->rounding};
  switch (size_and_step(shape)) {
  case 31:
    by_four(3, 1, shape->q, &b, &e, cols, y, y_stride);
    break;
  case 32:
    by_four(3, 2, shape->q, &b, &e, cols, y, y_stride);
    break;
  case 51:
    by_four(5, 1, shape->q, &b, &e, cols, y, y_stride);
    break;
  case 52:
    by_four(5, 2, shape->q, &b, &e, cols, y, y_stride);
    break;
  case 71:
    by_four(7, 1, shape->q, &b, &e, cols, y, y_stride);
    break;
  default:
    by_one(shape, &b, &e, cols, y, y_stride);
  }
}

static block block_at(const q8_dwconv_shape *shape, size_t c, const __m256i *w) {
  const size_t channels = shape->channels, first = first_channel(c, channels);
  return (block){w, first, channels < BLOCK ? channels : BLOCK, first + shape->offset};
}

static void dwconv(const q8_dwconv_shape *shape, const void *packed, const q8_requant *rq, const uint8_t *const *cols,
                   uint8_t *y, size_t y_stride) {
  const epilogue e = {rq, q8_avx2_rounding_of(rq->zero_point, rq->lo, rq->hi)};
  const __m256i *w = packed;
  for (size_t c = 0; c < shape->channels; c += BLOCK, w += block_size(shape->r, shape->s)) {
    const block b = block_at(shape, c, w);
    row(shape, &b, &e, cols, y, y_stride);
  }
  if (rq->table)
    q8_avx2_table_rows(shape->q, shape->channels, rq->table, y, y_stride);
}

static void sums(const q8_dwconv_shape *shape, const void *packed, const uint8_t *const *cols, int32_t *acc,
                 size_t acc_stride) {
  const __m256i *w = packed;
  for (size_t c = 0; c < shape->channels; c += BLOCK, w += block_size(shape->r, shape->s)) {
    const block b = block_at(shape, c, w);
    int32_t *y = acc + b.first;
    for (size_t x = 0; x < shape->q; x++, y += acc_stride) {
      const uint8_t *const *at = cols + x * shape->col_step * shape->r;
      const halves sum = convolve_one(shape, at, &b);
      _mm256_maskstore_epi32(y, q8_avx2_mask(b.n), sum.low);
      if (b.n > 8)
        _mm256_maskstore_epi32(y + 8, q8_avx2_mask(b.n - 8), sum.high);
    }
  }
}

const q8_dwconv_kernel q8_avx2_dwconv[] = {
    {"dwconv_avx2", Q8_CPU_AVX2, 0, 0, 0, -128, packed_size, pack, dwconv, sums, NULL},
    {0},
};
#endif
