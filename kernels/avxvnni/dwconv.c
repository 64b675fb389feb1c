/* dwconv.c - depthwise convolution of one output row, any kernel size, four taps of a channel in every lane.
 *
 * Channels go in blocks of 32, of which the last ends with the last channel and overlaps the one before it; fewer are
 * left to the kernel of avx2. A step interleaves the bytes of four taps: four
 * kernel rows of one column, or, for a single row left over, four columns of it. Missing taps read zeros.
 *
 * Interleaving by unpacks gives register v, 128-bit lane l, element e channel 16 l + 4 v + e of the block;
 * the saturating packs at the end undo that order. */
#if (defined(__AVXVNNI__) && defined(__AVX2__)) || defined(Q8_AVXVNNI_EVEX)
#include "vnni.h"

#include "avx2/vec.h"

enum { BLOCK = 32 };

static const uint8_t zeros[BLOCK] = {0};

static size_t steps_of(size_t r, size_t s) {
  return r / 4 * s + (r % 4 == 1 ? (s + 3) / 4 : r % 4 ? s : 0);
}

static size_t blocks_of(size_t channels) {
  return (channels + BLOCK - 1) / BLOCK;
}

static size_t first_channel(size_t block, size_t channels) {
  return (block + 1) * BLOCK > channels ? channels - BLOCK : block * BLOCK;
}

/* The four taps of one step, as (row, column) of the kernel; a row of r means none. */
static void taps_of(size_t step, size_t r, size_t s, size_t row[4], size_t column[4]) {
  const size_t g = step / s, across = g == r / 4 && r % 4 == 1;
  for (size_t i = 0; i < 4; i++) {
    row[i] = across ? r - 1 : 4 * g + i < r ? 4 * g + i : r;
    column[i] = across ? 4 * (step - g * s) + i : step - g * s;
    if (column[i] >= s)
      row[i] = r;
  }
}

static size_t packed_size(size_t channels, size_t r, size_t s) {
  if (channels < BLOCK)
    return q8_avx2_dwconv->packed_size(channels, r, s);
  return blocks_of(channels) * steps_of(r, s) * 4 * BLOCK;
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

static void pack(size_t channels, size_t r, size_t s, const int8_t *w, void *packed) {
  const size_t steps = steps_of(r, s);
  const uint8_t *from = (const uint8_t *)w;
  if (channels < BLOCK) {
    q8_avx2_dwconv->pack(channels, r, s, w, packed);
    return;
  }
  for (size_t step = 0; step < steps; step++) {
    size_t row[4], column[4];
    taps_of(step, r, s, row, column);
    for (size_t block = 0; block < blocks_of(channels); block++) {
      __m256i *out = (__m256i *)packed + 4 * (block * steps + step), quad[4];
      const uint8_t *tap[4];
      for (size_t i = 0; i < 4; i++)
        tap[i] = row[i] < r ? from + (row[i] * s + column[i]) * channels + first_channel(block, channels) : zeros;
      interleave(tap, quad);
      for (size_t v = 0; v < 4; v++)
        _mm256_storeu_si256(out + v, quad[v]);
    }
  }
}

/* acc += four taps x weights. */
Q8_INLINE void add_step(const uint8_t *const tap[4], const int8_t *w, __m256i acc[4]) {
  __m256i quad[4];
  interleave(tap, quad);
  Q8_UNROLL
  for (int v = 0; v < 4; v++)
    acc[v] = q8_dpbusd(acc[v], quad[v], _mm256_load_si256((const __m256i *)(w + 32 * v)));
}

/* All steps of one output pixel; `cols` are its columns, `c` the first channel, offset included. */
Q8_INLINE void add_steps(const q8_dwconv_shape *p, const uint8_t *const *cols, size_t c, const int8_t *w,
                         __m256i acc[4]) {
  const size_t r = p->r, s = p->s, next = p->col_dilation * r, down = r - (r % 4 == 1);
  for (size_t row = 0; row < down; row += 4)
    for (size_t j = 0; j < s; j++, w += 4 * BLOCK) {
      const uint8_t *const *x = cols + j * next + row;
      const uint8_t *const tap[4] = {x[0] + c, x[1] + c, row + 2 < r ? x[2] + c : zeros,
                                     row + 3 < r ? x[3] + c : zeros};
      add_step(tap, w, acc);
    }
  for (size_t j = 0; down < r && j < s; j += 4, w += 4 * BLOCK) {
    const uint8_t *const *x = cols + j * next + down;
    const uint8_t *const tap[4] = {x[0] + c, j + 1 < s ? x[next] + c : zeros,
                                   j + 2 < s ? x[2 * next] + c : zeros, j + 3 < s ? x[3 * next] + c : zeros};
    add_step(tap, w, acc);
  }
}

/* Bias or scale in the order of the accumulators. */
Q8_INLINE void load_quads(const void *channels, __m256i quad[4]) {
  const __m128i *p = channels;
  Q8_UNROLL
  for (int v = 0; v < 4; v++)
    quad[v] = _mm256_inserti128_si256(_mm256_castsi128_si256(_mm_loadu_si128(p + v)),
                                      _mm_loadu_si128(p + 4 + v), 1);
}

/* clamp(rne(acc * scale)) + zero point in channel order. A float below the range of int32 converts to
 * INT32_MIN, so the saturating packs and the last maximum are the lower clamp; clamping after rounding equals
 * clamping before. */
Q8_INLINE __m256i requantize(const __m256i acc[4], const __m256i scale[4], const q8_requant *rq) {
  const __m256 top = _mm256_set1_ps((float)(rq->hi - rq->zero_point));
  const __m256i zero_point = _mm256_set1_epi16((int16_t)rq->zero_point);
  __m256i t[4];
  Q8_UNROLL
  for (int v = 0; v < 4; v++) {
    __m256 product = _mm256_mul_ps(_mm256_cvtepi32_ps(acc[v]), _mm256_castsi256_ps(scale[v]));
    t[v] = _mm256_cvtps_epi32(_mm256_min_ps(top, product));
  }
  __m256i a = _mm256_adds_epi16(_mm256_packs_epi32(t[0], t[1]), zero_point);
  __m256i b = _mm256_adds_epi16(_mm256_packs_epi32(t[2], t[3]), zero_point);
  return _mm256_max_epu8(_mm256_packus_epi16(a, b), _mm256_set1_epi8((char)rq->lo));
}

/* The block of channels that begins at c, for the whole row. Works on copies, which the stores to y cannot change. */
static void block_row(const q8_dwconv_shape *shape, size_t c, const int8_t *w, const q8_requant *requant,
                      const uint8_t *const *cols, uint8_t *y, size_t y_stride) {
  const q8_dwconv_shape p = *shape;
  const q8_requant rq = *requant;
  __m256i bias[4], scale[4];
  load_quads(rq.bias + c, bias);
  load_quads(rq.scale + c, scale);
  for (size_t x = 0; x < p.q; x++, cols += p.col_step * p.r, y += y_stride) {
    __m256i acc[4];
    Q8_UNROLL
    for (int v = 0; v < 4; v++)
      acc[v] = bias[v];
    add_steps(&p, cols, c + p.offset, w, acc);
    _mm256_storeu_si256((__m256i *)(y + c), requantize(acc, scale, &rq));
  }
}

static void dwconv(const q8_dwconv_shape *shape, const void *w, const q8_requant *rq,
                   const uint8_t *const *cols, uint8_t *y, size_t y_stride) {
  const size_t channels = shape->channels, block_bytes = steps_of(shape->r, shape->s) * 4 * BLOCK;
  const int8_t *weights = w;
  if (channels < BLOCK) {
    q8_avx2_dwconv->run(shape, w, rq, cols, y, y_stride);
    return;
  }
  for (size_t block = 0; block < blocks_of(channels); block++, weights += block_bytes)
    block_row(shape, first_channel(block, channels), weights, rq, cols, y, y_stride);
  if (rq->table)
    q8_avx2_table_rows(shape->q, channels, rq->table, y, y_stride);
}

/* Sums in quad order to channel order. */
static void store_sums(const __m256i acc[4], int32_t *y) {
  Q8_UNROLL
  for (size_t v = 0; v < 4; v++) {
    _mm_storeu_si128((__m128i *)(y + 4 * v), _mm256_castsi256_si128(acc[v]));
    _mm_storeu_si128((__m128i *)(y + 16 + 4 * v), _mm256_extracti128_si256(acc[v], 1));
  }
}

static void sums(const q8_dwconv_shape *shape, const void *w, const uint8_t *const *cols, int32_t *acc,
                 size_t acc_stride) {
  const size_t channels = shape->channels, block_bytes = steps_of(shape->r, shape->s) * 4 * BLOCK;
  const int8_t *weights = w;
  if (channels < BLOCK) {
    q8_avx2_dwconv->run_sums(shape, w, cols, acc, acc_stride);
    return;
  }
  for (size_t block = 0; block < blocks_of(channels); block++, weights += block_bytes)
    for (size_t x = 0, c = first_channel(block, channels); x < shape->q; x++) {
      __m256i t[4] = {_mm256_setzero_si256(), _mm256_setzero_si256(), _mm256_setzero_si256(), _mm256_setzero_si256()};
      add_steps(shape, cols + x * shape->col_step * shape->r, c + shape->offset, weights, t);
      store_sums(t, acc + x * acc_stride + c);
    }
}

const q8_dwconv_kernel q8_avxvnni_dwconv[] = {
    {"dwconv_avxvnni", Q8_NEEDS_AVXVNNI, 0, 0, 0, -128, packed_size, pack, dwconv, sums, NULL},
    {0},
};
#endif
