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
  uint32_t pixels;              /* of a register */
  uint32_t steps;
  uint32_t phase, across_phase; /* planes per four rows, and for the row left over */
  uint32_t units;               /* of a plane */
  uint32_t outputs;             /* of a stretch */
  uint32_t reach;               /* units read past an output in the first planes, one less in the others */
  uint32_t full_planes;         /* how many the first planes are */
  uint32_t offset[MAX_STEPS];   /* units */
} layout;

/* Channels of a block: where they begin, and which exist. All do but in a row of less than 16 channels. */
typedef struct {
  size_t first;
  __mmask64 mask;
} span;

/* A block of channels of the row: what filling and multiplying need besides the position. */
typedef struct {
  const q8_dwconv_shape *shape;
  layout layout;
  const int8_t *w;
  span c;
  size_t pixels;             /* of a register: 1, 2 or 4 */
  size_t pitch;              /* pointers per input column */
  size_t y_stride;           /* elements */
  size_t row_stride;         /* of y, for pairs of rows */
  _Alignas(64) __m512i bias[4]; /* quad order, one copy per pixel of a register */
  __m512 scale[4];
  requant_bounds bounds;
  __m512i hi; /* bytes */
  int small;  /* no scale reaches 1: see small_scales */
  int sums;   /* y is int32, the sums as they are */
  _Alignas(64) uint8_t scratch[SCRATCH_SIZE];
} block;

/* Interleaves what `outputs` outputs need; `cols` begins at the first one, `last` is the last column of the
 * row. */
void q8_avx512vnni_dwconv_fill(block *b, const uint8_t *const *cols, size_t last, size_t outputs);
/* The n outputs of the stretch from the scratch; y is uint8 or int32. */
void q8_avx512vnni_dwconv_multiply(const block *b, void *y, size_t n);

/* The n outputs of a row, or of a pair of rows, in one pass. */
typedef void row_fn(const block *b, const uint8_t *const *cols, uint8_t *y, size_t n);
/* In one pass (dwconv_row.c), or NULL. All channels of the block exist, no scale reaches 1. */
row_fn *q8_avx512vnni_dwconv_row(const q8_dwconv_shape *shape, size_t pixels);
row_fn *q8_avx512vnni_dwconv_pair(size_t pixels);

/* The pixels at x[0], x[1], ..., which begin at channel `first`; `pixels` is a constant in every caller. Merging under a
 * mask while loading keeps the insertions from the one port that can shuffle. */
Q8_INLINE __m512i load_pixels(int pixels, const uint8_t *const x[4], size_t first) {
  if (pixels == 1)
    return _mm512_loadu_si512(x[0] + first);
  if (pixels == 2) {
    const __m512i low = _mm512_castsi256_si512(_mm256_loadu_si256((const __m256i *)(x[0] + first)));
    return _mm512_mask_broadcast_i64x4(low, 0xf0, _mm256_loadu_si256((const __m256i *)(x[1] + first)));
  }
  __m512i z = _mm512_castsi128_si512(_mm_loadu_si128((const __m128i *)(x[0] + first)));
  z = _mm512_mask_broadcast_i32x4(z, 0x00f0, _mm_loadu_si128((const __m128i *)(x[1] + first)));
  z = _mm512_mask_broadcast_i32x4(z, 0x0f00, _mm_loadu_si128((const __m128i *)(x[2] + first)));
  return _mm512_mask_broadcast_i32x4(z, 0xf000, _mm_loadu_si128((const __m128i *)(x[3] + first)));
}

/* Four accumulators in quad order to bytes in value order; `small` is b->small. */
Q8_INLINE __m512i requant_quads(int small, const __m512i acc[4], const block *b) {
  __m512i t[4];
  Q8_UNROLL
  for (int v = 0; v < 4; v++) {
    const __m512 x = _mm512_mul_ps(_mm512_cvtepi32_ps(acc[v]), b->scale[v]);
    t[v] = small ? _mm512_cvtps_epi32(x) : round_below(x, &b->bounds);
  }
  const __m512i z = narrow_quad(t, &b->bounds);
  return small ? _mm512_min_epu8(z, b->hi) : z;
}

#endif
