/* dwconv.h - what the parts of the depthwise kernel share; dwconv.c explains the terms. */
#ifndef Q8_AVX512VNNI_DWCONV_H
#define Q8_AVX512VNNI_DWCONV_H

#include "vnni.h"

enum {
  MAX_STEPS = 32,
  MAX_OUTPUTS = 32, /* of a stretch, of units of four vectors */
  TILE = 8,         /* registers of sums */
  /* Bytes of a row of quads and of sums; no multiples of 4096, where stores and loads would seem to collide.
   * A tile may read and write past the last unit, for outputs that nobody stores. */
  QUAD_ROW = 49 * 64,
  SUM_ROW = MAX_OUTPUTS * 64 + 64,
};

/* Where the quads of a stretch of the row lie. */
typedef struct {
  uint32_t vectors; /* of a unit, as those of the block that it is for */
  uint32_t steps;
  uint32_t phase, across_phase; /* planes per four rows, and for the row left over */
  uint32_t units;               /* of a plane */
  uint32_t outputs;             /* of a stretch */
  uint32_t reach;               /* units read past an output in the first planes, one less in the others */
  uint32_t full_planes;         /* how many the first planes are */
  uint32_t offset[MAX_STEPS];   /* bytes */
} layout;

/* A block of channels of the row: what filling and multiplying need besides the position. Units of quads and
 * of sums are four registers, 64 channels of an output or 32 of one of each strip (the halves of the row,
 * side by side), or one register, 16 channels of an output. */
typedef struct {
  const q8_dwconv_shape *shape;
  layout layout;
  const int8_t *w;
  size_t first, channels; /* what is added to pointers: where the block begins, and the shape's offset; how
                             many channels it has: 64, 32, 16 or, of fewer, all */
  size_t vectors;         /* of a unit */
  size_t length;          /* outputs of a strip; two may overlap, and compute the same bytes twice */
  size_t skip, across;    /* to where the second strip begins: pointers, elements of y */
  size_t pitch;           /* pointers per input column */
  size_t y_stride;        /* elements */
  size_t row_stride;      /* of y, for pairs of rows */
  _Alignas(64) __m512i bias[4]; /* quad order, a copy for each strip; of 16 channels four in their order */
  __m512 scale[4];
  requant_bounds bounds;
  __m512i hi; /* bytes */
  int clamps; /* to less than all bytes */
  int small;  /* no scale reaches 1: see small_scales */
  int sums;   /* y is int32, the sums as they are */
  _Alignas(64) uint8_t quads[4 * QUAD_ROW + TILE * 64];
  _Alignas(64) uint8_t acc[4 * SUM_ROW + TILE * 64];
} block;

/* The first pass: interleaves `units` units of a plane. Tap i of the first comes from p[tap[i]], of the next
 * ones `step` pointers further. */
void q8_avx512vnni_dwconv_fill(const block *b, const uint8_t *const *p, const size_t tap[4], size_t step,
                               size_t units, uint8_t *quads);
/* The same for blocks of 16 channels and less. */
void q8_avx512vnni_dwconv_fill16(const block *b, const uint8_t *const *p, const size_t tap[4], size_t step,
                                 size_t units, uint8_t *quads);
/* The second: sums of the n outputs of the stretch by the weights w, to b->acc. */
void q8_avx512vnni_dwconv_multiply(block *b, const int8_t *w, size_t n);
/* The third: these to y, which is uint8 or int32. */
void q8_avx512vnni_dwconv_finish(const block *b, void *y, size_t n);

/* A row, or a pair of rows, in one pass: blocks without dilation and with small scales. */
typedef void row_fn(const block *b, const uint8_t *const *cols, uint8_t *y);
row_fn *q8_avx512vnni_dwconv_row3x3(const block *b); /* of 32 and 64 channels, stride 1 or 2 */
row_fn q8_avx512vnni_dwconv_row16;                   /* 3 x 3 of 16 channels, stride 1 or 2, at least 4 outputs */
row_fn q8_avx512vnni_dwconv_row5x5;                  /* of 32 and 64 channels, stride 1 */

/* Weights (dwconv_pack.c). Whether a kernel size has few enough steps; those that have not are packed as by
 * avx512bw. */
int q8_avx512vnni_dwconv_fits(size_t r, size_t s);
size_t q8_avx512vnni_dwconv_size(size_t channels, size_t r, size_t s);
void q8_avx512vnni_dwconv_pack(size_t channels, size_t r, size_t s, const int8_t *w, void *packed);

/* The block of channels that begins at c or, if it is the last, before it. `end` is where the next one
 * begins. */
typedef struct {
  size_t first, width, end;
  size_t step_size; /* bytes of the weights of a step: 64 channels, 32 twice, or 16 */
} part;
part q8_avx512vnni_dwconv_part(size_t c, size_t channels);
/* The steps of its weights, for pairs of rows too. */
size_t q8_avx512vnni_dwconv_steps(size_t r, size_t s);

/* Four accumulators in quad order to bytes in value order. */
Q8_INLINE __m512i requant_quads(int small, const __m512i acc[4], const __m512 scale[4],
                                const requant_bounds *bounds) {
  __m512i t[4];
  Q8_UNROLL
  for (int v = 0; v < 4; v++) {
    const __m512 x = _mm512_mul_ps(_mm512_cvtepi32_ps(acc[v]), scale[v]);
    t[v] = small ? _mm512_cvtps_epi32(x) : round_below(x, bounds);
  }
  return pack_quad(t, bounds);
}
Q8_INLINE __m512i clamp_bytes(__m512i z, const block *b) {
  return _mm512_min_epu8(_mm512_max_epu8(z, b->bounds.lo), b->hi);
}

#endif
