/* dwconv.c - depthwise convolution without VNNI: two kernel rows of a column are interleaved as int16, so that one
 * vpmaddwd multiplies and adds two taps of 16 channels exactly; a row left over is paired with itself and a weight of 0.
 * Blocks of 32 channels, the last one masked; in 3 x 3, 5 x 5 and 7 x 7, a column serves up to four
 * outputs.
 *
 * Unpacking works in 128-bit lanes: register h holds channels 8 l + 4 h .. 8 l + 4 h + 3 in lane l. The saturating pack
 * of both halves gives channels in order. Weights are packed to match: int16 [channels / 32][row pairs][s][2][16][2]. */
#define Q8_LARGE_BODIES
#if defined(__AVX512F__) && defined(__AVX512BW__) && defined(__AVX512VL__) && defined(__AVX512DQ__)
#include "vec.h"

enum { BLOCK = 32, OUTPUTS = 4 };

static size_t packed_size(size_t channels, size_t r, size_t s) {
  return (channels + BLOCK - 1) / BLOCK * s * ((r + 1) / 2) * 128;
}

static void pack(size_t channels, size_t r, size_t s, const int8_t *w, void *packed) {
  __m512i *out = packed;
  for (size_t first = 0; first < channels; first += BLOCK) {
    const __mmask32 m = (__mmask32)first64(channels - first < BLOCK ? channels - first : BLOCK);
    for (size_t i = 0; i < r; i += 2)
      for (size_t j = 0; j < s; j++, out += 2) {
        const int two = i + 1 < r;
        const int8_t *row = w + (i * s + j) * channels + first, *next = row + (two ? s * channels : 0);
        const __m512i x = _mm512_cvtepi8_epi16(_mm256_maskz_loadu_epi8(m, row));
        const __m512i y = _mm512_cvtepi8_epi16(_mm256_maskz_loadu_epi8(two ? m : 0, next));
        _mm512_storeu_si512(out, _mm512_unpacklo_epi16(x, y));
        _mm512_storeu_si512(out + 1, _mm512_unpackhi_epi16(x, y));
      }
  }
}

typedef struct halves {
  __m512i h[2];
} halves;

/* What a block of channels of the row needs besides the position. */
typedef struct block {
  const __m512i *w;
  size_t first, from; /* from: first, and what is added to every pointer */
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
  block b = {.w = w, .first = first, .from = first + shape->offset, .mask = (__mmask32)first64(left < BLOCK ? left : BLOCK)};
  for (int h = 0; h < 2; h++) {
    b.bias.h[h] = load_half(rq->bias + first, h);
    b.scale[h] = _mm512_castsi512_ps(load_half(rq->scale + first, h));
  }
  b.top = _mm512_set1_ps((float)(rq->hi - rq->zero_point));
  b.zero_point = _mm512_set1_epi16((int16_t)rq->zero_point);
  b.lo = _mm512_set1_epi16((int16_t)rq->lo);
  return b;
}

/* Two rows of a column, interleaved. */
Q8_INLINE halves load_pair(const uint8_t *row, const uint8_t *next, const block *b) {
  const __m512i x = _mm512_cvtepu8_epi16(_mm256_maskz_loadu_epi8(b->mask, row + b->from));
  const __m512i y = _mm512_cvtepu8_epi16(_mm256_maskz_loadu_epi8(b->mask, next + b->from));
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

/* Adds all taps of one output, any kernel size. */
Q8_INLINE void add_taps(const q8_dwconv_shape *shape, const block *b, const uint8_t *const *cols, halves *sum) {
  const size_t r = shape->r, step = shape->col_dilation * r;
  const __m512i *w = b->w;
  for (size_t i = 0; i < r; i += 2) {
    const uint8_t *const *row = cols + i;
    for (size_t j = 0; j < shape->s; j++, row += step, w += 2)
      add_pair(sum, load_pair(row[0], row[i + 1 < r], b), w);
  }
}

/* Sums of four neighbouring outputs without dilation; size, of a square kernel, and step are constants in every caller:
 * columns are not a loop, pairs of rows are. */
Q8_INLINE void add_four(size_t size, size_t step, const block *b, const uint8_t *const *cols, halves sum[OUTPUTS]) {
  const __m512i *w = b->w;
  for (size_t i = 0; i < size; i += 2, w += 2 * size) {
    const uint8_t *const *row = cols + i, *const *next = row + (i + 1 < size);
    Q8_UNROLL
    for (size_t u = 0; u < (OUTPUTS - 1) * step + size; u++, row += size, next += size) {
      const halves x = load_pair(*row, *next, b);
      Q8_UNROLL
      for (size_t o = 0; o < OUTPUTS; o++) {
        const size_t j = u - o * step; /* wraps to a large number left of the window */
        if (j < size)
          add_pair(&sum[o], x, w + 2 * j);
      }
    }
  }
}

/* One block of channels along the row, output by output. */
Q8_INLINE void by_one(const q8_dwconv_shape *shape, const block *b, const uint8_t *const *cols, uint8_t *y,
                      size_t y_stride) {
  for (size_t x = 0; x < shape->q; x++, cols += shape->col_step * shape->r, y += y_stride) {
    halves sum = b->bias;
    add_taps(shape, b, cols, &sum);
    finish(&sum, b, y);
  }
}

/* The number size, step for what has code of its own, else 0. */
static size_t size_and_step(const q8_dwconv_shape *p) {
  const int fits = p->r == p->s && p->q >= OUTPUTS && p->col_dilation == 1 && p->col_step <= 2;
  const size_t both = 10 * p->s + p->col_step;
  return fits && (p->s == 3 || p->s == 5 || both == 71) ? both : 0;
}

/* Four by four with one rounding for all sizes, the last four outputs may overlap those before; other sizes one by one. The block is a copy: one whose
 * address left the caller would be read anew after every store. */
static void row(const q8_dwconv_shape *shape, const block *all, const uint8_t *const *cols, uint8_t *y,
                size_t y_stride) {
  const block b = *all;
  const size_t q = shape->q, kind = size_and_step(shape), next = shape->col_step * shape->r;
  if (!kind)
    by_one(shape, &b, cols, y, y_stride);
  for (size_t at = 0; kind && at < q; at += OUTPUTS) {
    const size_t x = at + OUTPUTS > q ? q - OUTPUTS : at;
    const uint8_t *const *from = cols + x * next;
    halves sum[OUTPUTS];
    Q8_UNROLL
    for (size_t o = 0; o < OUTPUTS; o++)
      sum[o] = b.bias;
    if (kind == 31)
      add_four(3, 1, &b, from, sum);
    else if (kind == 32)
      add_four(3, 2, &b, from, sum);
    else if (kind == 51)
      add_four(5, 1, &b, from, sum);
    else if (kind == 52)
      add_four(5, 2, &b, from, sum);
    else
      add_four(7, 1, &b, from, sum);
    Q8_UNROLL
    for (size_t o = 0; o < OUTPUTS; o++)
      finish(&sum[o], &b, y + (x + o) * y_stride);
  }
}

static void dwconv(const q8_dwconv_shape *shape, const void *packed, const q8_requant *rq, const uint8_t *const *cols,
                   uint8_t *y, size_t y_stride) {
  const size_t block_size = packed_size(1, shape->r, shape->s);
  const uint8_t *w = packed;
  for (size_t c = 0; c < shape->channels; c += BLOCK, w += block_size) {
    const block b = make_block(shape, rq, w, c);
    row(shape, &b, cols, y, y_stride);
  }
}

static void sums(const q8_dwconv_shape *shape, const void *packed, const uint8_t *const *cols, int32_t *acc,
                 size_t acc_stride) {
  const size_t block_size = packed_size(1, shape->r, shape->s), channels = shape->channels;
  const uint8_t *w = packed;
  for (size_t c = 0; c < channels; c += BLOCK, w += block_size) {
    const block b = {.w = (const __m512i *)(const void *)w, .from = c + shape->offset, .mask = (__mmask32)first64(channels - c)};
    int32_t *y = acc + c;
    for (size_t x = 0; x < shape->q; x++, y += acc_stride) {
      halves sum = {{_mm512_setzero_si512(), _mm512_setzero_si512()}};
      add_taps(shape, &b, cols + x * shape->col_step * shape->r, &sum);
      for (size_t h = 0; h < 2; h++) { /* channels 0 to 15, then 16 to 31 */
        const __m512i order =
            _mm512_add_epi64(_mm512_setr_epi64(0, 1, 8, 9, 2, 3, 10, 11), _mm512_set1_epi64(4 * (int64_t)h));
        const __m512i t = _mm512_permutex2var_epi64(sum.h[0], order, sum.h[1]);
        _mm512_mask_storeu_epi32(y + 16 * h, lanes16(channels - c, 16 * h), t);
      }
    }
  }
}

const q8_dwconv_kernel q8_avx512bw_dwconv[] = {
    {"dwconv_avx512bw", Q8_NEEDS_AVX512, 0, 0, 0, -128, packed_size, pack, dwconv, sums, NULL},
    {0},
};
#endif
