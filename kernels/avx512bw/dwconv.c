/* dwconv.c - depthwise convolution without VNNI: two kernel rows of a column are interleaved as int16, so that one
 * vpmaddwd multiplies and adds two taps of 16 channels exactly. Blocks of 32 channels, the last one masked; a column of
 * a 3x3, 5x5 or 7x7 kernel with stride 1 or 2 serves up to four outputs.
 *
 * Unpacking works in 128-bit lanes: register h holds channels 8 l + 4 h .. 8 l + 4 h + 3 in lane l. The saturating pack
 * of both halves gives channels in order. Weights are packed to match: int16 [channels / 32][s][row pairs][2][16][2]. */
#define Q8_LARGE_BODIES
#if defined(__AVX512F__) && defined(__AVX512BW__) && defined(__AVX512VL__) && defined(__AVX512DQ__)
#include "vec.h"

enum { BLOCK = 32, OUTPUTS = 4 };

static size_t packed_size(size_t channels, size_t r, size_t s) {
  return (channels + BLOCK - 1) / BLOCK * s * ((r + 1) / 2) * 128;
}

static void pack(size_t channels, size_t r, size_t s, const int8_t *w, void *packed) {
  int16_t *out = packed;
  for (size_t first = 0; first < channels; first += BLOCK)
    for (size_t j = 0; j < s; j++)
      for (size_t row = 0; row < r; row += 2)
        for (size_t at = 0; at < 64; at++) {
          const size_t h = at / 32, lane = at / 8 % 4, e = at / 2 % 4, i = row + at % 2;
          const size_t c = first + 8 * lane + 4 * h + e;
          *out++ = c < channels && i < r ? w[(i * s + j) * channels + c] : 0;
        }
}

typedef struct halves {
  __m512i h[2];
} halves;

/* What a block of channels of the row needs besides the position. */
typedef struct block {
  const __m512i *w;
  size_t first;
  __mmask32 mask;
  halves bias;
  __m512 scale[2], top;
  __m512i zero_point, lo; /* 16 bit */
} block;

/* The order of register h of 32 values of 32 bits. */
Q8_INLINE __m512i load_half(const void *values, int h) {
  const __m128i *p = (const __m128i *)values + h;
  return join4(_mm_loadu_si128(p), _mm_loadu_si128(p + 2), _mm_loadu_si128(p + 4), _mm_loadu_si128(p + 6));
}

/* Bias and scale are readable to a multiple of 64 channels. */
static block make_block(const q8_dwconv_shape *shape, const q8_requant *rq, const void *w, size_t first) {
  const size_t left = shape->channels - first;
  block b = {.w = w, .first = first, .mask = (__mmask32)first64(left < BLOCK ? left : BLOCK)};
  for (int h = 0; h < 2; h++) {
    b.bias.h[h] = load_half(rq->bias + first, h);
    b.scale[h] = _mm512_castsi512_ps(load_half(rq->scale + first, h));
  }
  b.top = _mm512_set1_ps((float)(rq->hi - rq->zero_point));
  b.zero_point = _mm512_set1_epi16((int16_t)rq->zero_point);
  b.lo = _mm512_set1_epi16((int16_t)rq->lo);
  return b;
}

/* Rows i and i + 1 of a column; a row that does not exist, from r on, counts as zero. */
Q8_INLINE halves load_pair(const uint8_t *const *column, size_t i, size_t r, const block *b) {
  const __m512i x = _mm512_cvtepu8_epi16(_mm256_maskz_loadu_epi8(b->mask, column[i] + b->first));
  const __m512i y = i + 1 < r ? _mm512_cvtepu8_epi16(_mm256_maskz_loadu_epi8(b->mask, column[i + 1] + b->first))
                              : _mm512_setzero_si512();
  return (halves){{_mm512_unpacklo_epi16(x, y), _mm512_unpackhi_epi16(x, y)}};
}

/* The empty asm pins the sum: gcc would regroup long chains and spill. */
Q8_INLINE void add_pair(halves *sum, halves x, const __m512i *w) {
  Q8_UNROLL
  for (int h = 0; h < 2; h++) {
    sum->h[h] = _mm512_add_epi32(sum->h[h], _mm512_madd_epi16(x.h[h], _mm512_load_si512(w + h)));
    __asm__("" : "+v"(sum->h[h]));
  }
}

/* Only the upper bound is clamped before the conversion: see `round_below`. */
Q8_INLINE void finish(const halves *sum, const block *b, uint8_t *y) {
  __m512i t[2];
  Q8_UNROLL
  for (int h = 0; h < 2; h++)
    t[h] = _mm512_cvtps_epi32(
        _mm512_min_ps(b->top, _mm512_mul_ps(_mm512_cvtepi32_ps(sum->h[h]), b->scale[h])));
  const __m512i words = _mm512_adds_epi16(_mm512_packs_epi32(t[0], t[1]), b->zero_point);
  _mm256_mask_storeu_epi8(y + b->first, b->mask, _mm512_cvtusepi16_epi8(_mm512_max_epi16(words, b->lo)));
}

Q8_INLINE void one_output(const q8_dwconv_shape *shape, const block *b, const uint8_t *const *cols, uint8_t *y) {
  const __m512i *w = b->w;
  halves sum = b->bias;
  for (size_t j = 0; j < shape->s; j++, cols += shape->col_dilation * shape->r)
    for (size_t i = 0; i < shape->r; i += 2, w += 2)
      add_pair(&sum, load_pair(cols, i, shape->r, b), w);
  finish(&sum, b, y);
}

/* Rows i and, unless it is the last, i + 1 of all columns of four outputs. */
Q8_INLINE void add_rows(size_t r, size_t s, size_t step, size_t i, int last, const block *b,
                        const uint8_t *const *cols, halves *sum) {
  const __m512i *w = b->w + i;
  Q8_UNROLL
  for (size_t u = 0; u < (OUTPUTS - 1) * step + s; u++) {
    const halves x = load_pair(cols + u * r, i, last ? i + 1 : i + 2, b);
    Q8_UNROLL
    for (size_t o = 0; o < OUTPUTS; o++) {
      const size_t j = u - o * step; /* wraps to a large number left of the window */
      if (j < s)
        add_pair(&sum[o], x, w + j * ((r + 1) / 2) * 2);
    }
  }
}

/* Four neighbouring outputs without dilation; r, s and step are constants in every caller. Rows are a loop, columns are
 * not: all of it unrolled would be 12 KB for 7x7. */
Q8_INLINE void four_outputs(size_t r, size_t s, size_t step, const block *b, const uint8_t *const *cols, uint8_t *y,
                            size_t y_stride) {
  halves sum[OUTPUTS];
  Q8_UNROLL
  for (size_t o = 0; o < OUTPUTS; o++)
    sum[o] = b->bias;
  for (size_t i = 0; i + 1 < r; i += 2)
    add_rows(r, s, step, i, 0, b, cols, sum);
  if (r % 2)
    add_rows(r, s, step, r - 1, 1, b, cols, sum);
  Q8_UNROLL
  for (size_t o = 0; o < OUTPUTS; o++)
    finish(&sum[o], b, y + o * y_stride);
}

/* A row output by output, for any kernel: one copy for all of them. Makes its own block, because one whose address leaves
 * the caller would be read anew after every store. */
static void by_one(const q8_dwconv_shape *shape, const q8_requant *rq, const void *w, size_t first,
                   const uint8_t *const *cols, uint8_t *y, size_t y_stride) {
  const block b = make_block(shape, rq, w, first);
  for (size_t x = 0; x < shape->q; x++)
    one_output(shape, &b, cols + x * shape->col_step * shape->r, y + x * y_stride);
}

/* r and s are constants. The last four outputs may overlap those before. */
Q8_INLINE void by_four(size_t r, size_t s, const q8_dwconv_shape *shape, const block *b, const uint8_t *const *cols,
                       uint8_t *y, size_t y_stride) {
  const size_t q = shape->q, step = shape->col_step;
  for (size_t at = 0; at < q; at += OUTPUTS) {
    const size_t x = at + OUTPUTS > q ? q - OUTPUTS : at;
    if (step == 1)
      four_outputs(r, s, 1, b, cols + x * r, y + x * y_stride, y_stride);
    else
      four_outputs(r, s, 2, b, cols + x * 2 * r, y + x * y_stride, y_stride);
  }
}

/* `fixed`: r and s are constants. */
Q8_INLINE void dwconv(int fixed, size_t r, size_t s, const q8_dwconv_shape *shape, const void *packed,
                      const q8_requant *rq, const uint8_t *const *cols, uint8_t *y, size_t y_stride) {
  const size_t block_size = packed_size(1, shape->r, shape->s);
  const uint8_t *w = packed;
  for (size_t c = 0; c < shape->channels; c += BLOCK, w += block_size) {
    if (!fixed || shape->q < OUTPUTS || shape->col_step > 2 || shape->col_dilation != 1) {
      by_one(shape, rq, w, c, cols, y, y_stride);
      continue;
    }
    const block b = make_block(shape, rq, w, c);
    by_four(r, s, shape, &b, cols, y, y_stride);
  }
  for (size_t x = 0; rq->table && x < shape->q; x++)
    q8_avx512bw_table->run(shape->channels, y + x * y_stride, rq->table, y + x * y_stride);
}

#define DWCONV(name, fixed, r, s)                                                                            \
  static void name(const q8_dwconv_shape *shape, const void *w, const q8_requant *rq,                        \
                   const uint8_t *const *cols, uint8_t *y, size_t y_stride) {                                \
    dwconv(fixed, r, s, shape, w, rq, cols, y, y_stride);                                                    \
  }
DWCONV(dwconv_3x3, 1, 3, 3)
DWCONV(dwconv_5x5, 1, 5, 5)
DWCONV(dwconv_7x7, 1, 7, 7)
DWCONV(dwconv_any, 0, 0, 0)

const q8_dwconv_kernel q8_avx512bw_dwconv[] = {
    {"dwconv_avx512bw_3x3", Q8_NEEDS_AVX512, 3, 3, 0, -128, packed_size, pack, dwconv_3x3},
    {"dwconv_avx512bw_5x5", Q8_NEEDS_AVX512, 5, 5, 0, -128, packed_size, pack, dwconv_5x5},
    {"dwconv_avx512bw_7x7", Q8_NEEDS_AVX512, 7, 7, 0, -128, packed_size, pack, dwconv_7x7},
    {"dwconv_avx512bw", Q8_NEEDS_AVX512, 0, 0, 0, -128, packed_size, pack, dwconv_any},
    {0},
};
#endif
