/* dwconv.h - what the parts of the depthwise kernel share; dwconv.c explains the terms. */
#ifndef Q8_AVX512VNNI_DWCONV_H
#define Q8_AVX512VNNI_DWCONV_H

#include "vnni.h"

enum {
  MAX_STEPS = 32,
  SCRATCH_ROW = 49 * 64, /* bytes; not a multiple of 4096, where stores and loads would seem to collide */
  MAX_TILE = 4,          /* vectors */
  SCRATCH_SIZE =
      4 * SCRATCH_ROW + MAX_TILE * 64 /* a tile may read past the last unit, for pixels nobody stores */
};

/* Where the quads of a stretch of the row lie. */
typedef struct {
  uint32_t steps;
  uint32_t phase, across_phase; /* planes per four rows, and for the row left over */
  uint32_t units;               /* of a plane */
  uint32_t outputs;             /* of a stretch */
  uint32_t reach;               /* units read past an output in the first planes, one less in the others */
  uint32_t full_planes;         /* how many the first planes are */
  uint32_t offset[MAX_STEPS];   /* units */
} layout;

/* Channels of a block: where they begin, and which exist. */
typedef struct {
  size_t first;
  __mmask64 mask;
} span;

/* A block of channels of the row: what filling and multiplying need besides the position. */
typedef struct {
  const q8_dwconv_shape *shape;
  const layout *layout;
  const int8_t *w;
  span c;
  size_t y_stride;
  _Alignas(64) __m512i bias[4]; /* quad order, one copy per pixel of a register */
  __m512 scale[4];
  requant_bounds bounds;
  __m512i hi; /* bytes */
  int small;  /* no scale reaches 1: see small_scales */
  uint8_t scratch[SCRATCH_SIZE];
} block;

/* Interleaves what `outputs` outputs need; `cols` begins at the first one, `last` is the last column of the
 * row. */
typedef void fill_fn(block *b, const uint8_t *const *cols, size_t last, size_t outputs);
/* The n outputs of the stretch from the scratch. */
typedef void multiply_fn(const block *b, uint8_t *y, size_t n);
/* The n outputs of a row in one pass. */
typedef void row_fn(const block *b, const uint8_t *const *cols, uint8_t *y, size_t n);

/* By pixels / 2 of a register (1, 2 or 4). They stay out of line: inlined into one body, their loops run out of
 * registers. */
extern fill_fn *const q8_avx512vnni_dwconv_fill[3];
extern multiply_fn *const q8_avx512vnni_dwconv_multiply[3];
/* In one pass (dwconv_row.c), or NULL: by pixels of a register, and whether all channels of the block exist. */
row_fn *q8_avx512vnni_dwconv_row(const q8_dwconv_shape *shape, int pixels, int full);

/* The channels of the pixels at x[0], x[1], ...; `pixels` and `full` (all channels exist) are constants in every caller. */
Q8_INLINE __m512i load_pixels(int pixels, int full, const uint8_t *const x[4], span c) {
  if (pixels == 1)
    return full ? _mm512_loadu_si512(x[0] + c.first) : _mm512_maskz_loadu_epi8(c.mask, x[0] + c.first);
  if (pixels == 2) {
    const uint8_t *a = x[0] + c.first, *b = x[1] + c.first;
    const __mmask32 m = (__mmask32)c.mask;
    __m256i low = full ? _mm256_loadu_si256((const __m256i *)a) : _mm256_maskz_loadu_epi8(m, a);
    __m256i high = full ? _mm256_loadu_si256((const __m256i *)b) : _mm256_maskz_loadu_epi8(m, b);
    return _mm512_inserti64x4(_mm512_castsi256_si512(low), high, 1);
  }
  __m128i part[4];
  Q8_UNROLL
  for (int i = 0; i < 4; i++) {
    const uint8_t *a = x[i] + c.first;
    part[i] = full ? _mm_loadu_si128((const __m128i *)a) : _mm_maskz_loadu_epi8((__mmask16)c.mask, a);
  }
  return join4(part[0], part[1], part[2], part[3]);
}

/* Four accumulators in quad order to bytes in value order. */
Q8_INLINE __m512i requant_quads(const __m512i acc[4], const block *b) {
  __m512i t[4];
  if (b->small) {
    Q8_UNROLL
    for (int v = 0; v < 4; v++)
      t[v] = _mm512_cvtps_epi32(_mm512_mul_ps(_mm512_cvtepi32_ps(acc[v]), b->scale[v]));
    return _mm512_min_epu8(narrow_quad(t, &b->bounds), b->hi);
  }
  Q8_UNROLL
  for (int v = 0; v < 4; v++)
    t[v] = round_below(_mm512_mul_ps(_mm512_cvtepi32_ps(acc[v]), b->scale[v]), &b->bounds);
  return narrow_quad(t, &b->bounds);
}

#endif
