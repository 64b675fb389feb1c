/* dwconv.c - depthwise convolution of one output row, any kernel size, four taps of a channel in every lane.
 *
 * Blocks of 32 channels; fewer are left to the kernel of avx2. A step interleaves the bytes of four taps:
 * four kernel rows of one column, or, for a single row left over, four columns of it. In 3 x 3 the columns
 * that the next output needs too stay in registers.
 *
 * Interleaving by unpacks gives register v, 128-bit lane l, element e channel 16 l + 4 v + e of the block;
 * the saturating packs at the end undo that order. */
#if (defined(__AVXVNNI__) && defined(__AVX2__)) || defined(Q8_AVXVNNI_EVEX)
#include "vnni.h"

#include "avx2/dwconv.h"

enum { BLOCK = 32 };

static const uint8_t zeros[BLOCK] = {0};

static size_t vectors(size_t r, size_t s) {
  return 4 * (r / 4 * s + (r % 4 == 1 ? (s + 3) / 4 : r % 4 ? s : 0));
}

/* 32 channels of four taps to quads; a tap points at the first of them. */
Q8_INLINE void interleave(const uint8_t *const tap[4], __m256i quad[4]) {
  __m256i row[4];
  Q8_UNROLL
  for (int i = 0; i < 4; i++)
    row[i] = _mm256_loadu_si256((const __m256i *)tap[i]);
  const __m256i lo01 = _mm256_unpacklo_epi8(row[0], row[1]), hi01 = _mm256_unpackhi_epi8(row[0], row[1]);
  const __m256i lo23 = _mm256_unpacklo_epi8(row[2], row[3]), hi23 = _mm256_unpackhi_epi8(row[2], row[3]);
  quad[0] = _mm256_unpacklo_epi16(lo01, lo23);
  quad[1] = _mm256_unpackhi_epi16(lo01, lo23);
  quad[2] = _mm256_unpacklo_epi16(hi01, hi23);
  quad[3] = _mm256_unpackhi_epi16(hi01, hi23);
}

/* acc += quads x weights. */
Q8_INLINE void add_quads(const __m256i quad[4], const __m256i *w, __m256i acc[4]) {
  Q8_UNROLL
  for (int v = 0; v < 4; v++)
    acc[v] = q8_dpbusd(acc[v], quad[v], w[v]);
}

Q8_INLINE void copy_quads(const __m256i from[4], __m256i to[4]) {
  Q8_UNROLL
  for (int v = 0; v < 4; v++)
    to[v] = from[v];
}

/* Bias or scale in the order of the sums. */
Q8_INLINE void load_quads(const void *channels, __m256i quad[4]) {
  const __m128i *p = channels;
  Q8_UNROLL
  for (int v = 0; v < 4; v++)
    quad[v] = _mm256_inserti128_si256(_mm256_castsi128_si256(_mm_loadu_si128(p + v)),
                                      _mm_loadu_si128(p + 4 + v), 1);
}

Q8_INLINE void add_taps(const uint8_t *a, const uint8_t *b, const uint8_t *c, const uint8_t *d,
                        const __m256i *w, __m256i acc[4]) {
  const uint8_t *const tap[4] = {a, b, c, d};
  __m256i quad[4];
  interleave(tap, quad);
  add_quads(quad, w, acc);
}

/* All steps of one output. Taps that are missing read another, as their weights are 0. */
Q8_INLINE void add_steps(const q8_dwconv_shape *p, const uint8_t *const *cols, size_t c, const __m256i *w,
                         __m256i acc[4]) {
  const size_t r = p->r, s = p->s, next = p->col_dilation * r, down = r - (r % 4 == 1);
  for (size_t row = 0; row < down; row += 4) {
    const uint8_t *const *x = cols + row;
    const size_t third = row + 2 < r ? 2 : 1, fourth = row + 3 < r ? 3 : 1;
    for (size_t j = 0; j < s; j++, x += next, w += 4)
      add_taps(x[0] + c, x[1] + c, x[third] + c, x[fourth] + c, w, acc);
  }
  for (size_t j = 0; down < r && j < s; j += 4, w += 4) {
    const uint8_t *const *x = cols + j * next + down;
    add_taps(x[0] + c, x[j + 1 < s ? next : 0] + c, x[j + 2 < s ? 2 * next : 0] + c,
             x[j + 3 < s ? 3 * next : 0] + c, w, acc);
  }
}

Q8_INLINE void sum_any(const q8_avx2_outputs *p, const __m256i start[4], __m256i *sums) {
  const uint8_t *const *cols = p->cols;
  for (const __m256i *end = sums + 4 * p->count; sums < end;
       sums += 4, cols += p->shape->col_step * p->shape->r) {
    __m256i acc[4];
    copy_quads(start, acc);
    add_steps(p->shape, cols, p->c, p->w, acc);
    copy_quads(acc, sums);
  }
}

Q8_INLINE void load_column(const uint8_t *const *col, size_t c, __m256i quad[4]) {
  const uint8_t *const tap[4] = {col[0] + c, col[1] + c, col[2] + c, col[2] + c};
  interleave(tap, quad);
}

/* 3 x 3 with dilation 1. `step` is a constant in every caller. */
Q8_INLINE void sum_3x3(size_t step, const q8_avx2_outputs *p, const __m256i start[4], __m256i *sums) {
  const uint8_t *const *cols = p->cols;
  __m256i quad[3][4];
  load_column(cols, p->c, quad[0]);
  if (step == 1)
    load_column(cols + 3, p->c, quad[1]);
  for (const __m256i *end = sums + 4 * p->count; sums < end; sums += 4, cols += 3 * step) {
    __m256i acc[4];
    copy_quads(start, acc);
    if (step == 2)
      load_column(cols + 3, p->c, quad[1]);
    load_column(cols + 6, p->c, quad[2]);
    Q8_UNROLL
    for (int j = 0; j < 3; j++)
      add_quads(quad[j], p->w + 4 * j, acc);
    copy_quads(acc, sums);
    copy_quads(quad[step], quad[0]);
    if (step == 1)
      copy_quads(quad[2], quad[1]);
  }
}

/* Works on copies, which the stores cannot change. */
static void sum(const q8_avx2_outputs *outputs, __m256i *sums) {
  const q8_dwconv_shape shape = *outputs->shape;
  const q8_avx2_outputs copy = {&shape,     outputs->cols, outputs->count,
                                outputs->c, outputs->w,    outputs->start},
                        *o = &copy;
  const int three = shape.r == 3 && shape.s == 3 && shape.col_dilation == 1;
  __m256i start[4];
  load_quads(o->start, start);
  if (three && shape.col_step == 1)
    sum_3x3(1, o, start, sums);
  else if (three && shape.col_step == 2)
    sum_3x3(2, o, start, sums);
  else
    sum_any(o, start, sums);
}

/* clamp(rne(sum * scale)) + zero point in channel order: as in avx2. */
static void requantize(size_t count, const __m256i *sums, const float *scales, const q8_requant *rq,
                       uint8_t *y, size_t y_stride) {
  const __m256 top = _mm256_set1_ps((float)(rq->hi - rq->zero_point));
  const __m256i zero_point = _mm256_set1_epi16((int16_t)rq->zero_point),
                least = _mm256_set1_epi8((char)rq->lo);
  __m256i scale[4], t[4];
  load_quads(scales, scale);
  for (; count > 0; count--, sums += 4, y += y_stride) {
    Q8_UNROLL
    for (int v = 0; v < 4; v++) {
      const __m256 product = _mm256_mul_ps(_mm256_cvtepi32_ps(sums[v]), _mm256_castsi256_ps(scale[v]));
      t[v] = _mm256_cvtps_epi32(_mm256_min_ps(top, product));
    }
    const __m256i a = _mm256_adds_epi16(_mm256_packs_epi32(t[0], t[1]), zero_point);
    const __m256i b = _mm256_adds_epi16(_mm256_packs_epi32(t[2], t[3]), zero_point);
    _mm256_storeu_si256((__m256i *)y, _mm256_max_epu8(_mm256_packus_epi16(a, b), least));
  }
}

/* In channel order. */
static void store(size_t count, const __m256i *sums, int32_t *y, size_t y_stride) {
  for (; count > 0; count--, sums += 4, y += y_stride) {
    Q8_UNROLL
    for (size_t v = 0; v < 4; v++) {
      _mm_storeu_si128((__m128i *)(y + 4 * v), _mm256_castsi256_si128(sums[v]));
      _mm_storeu_si128((__m128i *)(y + 16 + 4 * v), _mm256_extracti128_si256(sums[v], 1));
    }
  }
}

static const q8_avx2_blocks blocks = {BLOCK, q8_avx2_dwconv, vectors, sum, requantize, store};

static void dwconv(const q8_dwconv_shape *shape, const void *w, const q8_requant *rq,
                   const uint8_t *const *cols, uint8_t *y, size_t y_stride) {
  q8_avx2_convolve(&blocks, shape, w, rq, cols, y, y_stride);
}

static void sums(const q8_dwconv_shape *shape, const void *w, const uint8_t *const *cols, int32_t *acc,
                 size_t acc_stride) {
  q8_avx2_convolve(&blocks, shape, w, NULL, cols, acc, acc_stride);
}

static size_t packed_size(size_t channels, size_t r, size_t s) {
  return q8_avx2_packed_size(&blocks, channels, r, s);
}

/* A tap of the weights, or zeros beyond the kernel. Not inlined: gcc 12 makes vectors of four addresses. */
static Q8_NOINLINE const uint8_t *weights_at(const int8_t *w, size_t channels, size_t r, size_t s, size_t i,
                                             size_t j) {
  return i < r && j < s ? (const uint8_t *)w + (i * s + j) * channels : zeros;
}

static void pack(size_t channels, size_t r, size_t s, const int8_t *w, void *packed) {
  __m256i *out = packed;
  if (channels < BLOCK) {
    q8_avx2_dwconv->pack(channels, r, s, w, packed);
    return;
  }
  for (size_t c = 0; c < channels; c += BLOCK)
    for (size_t row = 0; row < r; row += 4) {
      const size_t down = row + 1 < r, across = !down;
      for (size_t j = 0; j < s; j += 1 + 3 * across, out += 4) {
        const uint8_t *tap[4];
        for (size_t i = 0; i < 4; i++)
          tap[i] = weights_at(w + q8_avx2_first_channel(c, BLOCK, channels), channels, r, s, row + i * down,
                              j + i * across);
        interleave(tap, out);
      }
    }
}

const q8_dwconv_kernel q8_avxvnni_dwconv[] = {
    {"dwconv_avxvnni", Q8_NEEDS_AVXVNNI, 0, 0, 0, -128, packed_size, pack, dwconv, sums, NULL},
    {0},
};
#endif
