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

/* A block of channels of the row: what filling and multiplying need besides the position. */
typedef struct {
  const q8_dwconv_shape *shape;
  layout layout;
  const int8_t *w;
  size_t first, channels;    /* what is added to pointers: where the block begins, and the shape's offset; how many channels it
                                has: 64, 32, 16 or, of fewer, all */
  size_t pixels;             /* of a register of bytes: 1, 2 or 4 */
  size_t unit;               /* bytes of the scratch: 64, 32, and again 64 if there are 4 pixels */
  size_t pitch;              /* pointers per input column */
  size_t y_stride;           /* elements */
  size_t row_stride;         /* of y, for pairs of rows */
  _Alignas(64) __m512i bias[4]; /* quad order, one copy per pixel of a register; if that holds 4, four equal copies */
  __m512 scale[4];
  requant_bounds bounds;
  __m512i hi; /* bytes */
  int clamps; /* to less than all bytes */
  int small;  /* no scale reaches 1: see small_scales */
  int sums;   /* y is int32, the sums as they are */
  _Alignas(64) uint8_t scratch[SCRATCH_SIZE];
} block;

/* Where the quads of a plane come from: tap i of unit u is row `row + i * down` of column `column + u * col_step + i *
 * across`. */
typedef struct {
  size_t row, column, taps, down, across;
} quad_source;

/* The first pass for blocks of 64 or 32 channels and for those of 16: interleaves `units` units of a plane. `cols` begins
 * at the first output, `last` is the last column of the row. */
typedef void fill_fn(const block *b, const uint8_t *const *cols, size_t last, const quad_source *q, size_t units,
                     uint8_t *scratch);
fill_fn q8_avx512vnni_dwconv_fill, q8_avx512vnni_dwconv_fill16;
/* The second: the n outputs of the stretch from the scratch by the weights w; y is uint8 or int32. */
typedef void multiply_fn(const block *b, const int8_t *w, void *y, size_t n);
multiply_fn q8_avx512vnni_dwconv_multiply, q8_avx512vnni_dwconv_multiply16;

/* The n outputs of a row, or of a pair of rows, in one pass. */
typedef void row_fn(const block *b, const uint8_t *const *cols, uint8_t *y, size_t n);
/* In one pass (dwconv_row.c), or NULL. All channels of the block exist, no scale reaches 1. */
row_fn *q8_avx512vnni_dwconv_row(const q8_dwconv_shape *shape, size_t pixels);
row_fn *q8_avx512vnni_dwconv_pair(const q8_dwconv_shape *shape, size_t pixels);
/* 3 x 3 of 16 channels and at least 4 outputs (dwconv_narrow.c): a pair of rows, a row of stride 2. */
row_fn q8_avx512vnni_dwconv_pair16, q8_avx512vnni_dwconv_row16_2;

/* Weights (dwconv_pack.c). Whether a kernel size has few enough steps; those that have not are packed as by avx512bw. */
int q8_avx512vnni_dwconv_fits(size_t r, size_t s);
size_t q8_avx512vnni_dwconv_size(size_t channels, size_t r, size_t s);
void q8_avx512vnni_dwconv_pack(size_t channels, size_t r, size_t s, const int8_t *w, void *packed);

/* The block of channels that begins at c or, if it is the last, before it. `end` is where the next one begins. */
typedef struct {
  size_t first, width, end;
  size_t step_size; /* bytes of the weights of a step: 64 channels, 32 for both pixels of a register, or 16 */
} part;
part q8_avx512vnni_dwconv_part(size_t c, size_t channels);
/* The steps of its weights, for pairs of rows too. */
size_t q8_avx512vnni_dwconv_steps(size_t r, size_t s);

/* The pixels at x[0], x[1], which begin at channel `first`; `pixels` is a constant in every caller. Merging under a mask
 * while loading keeps the insertion from the one port that can shuffle. */
Q8_INLINE __m512i load_pixels(int pixels, const uint8_t *const x[2], size_t first) {
  if (pixels == 1)
    return _mm512_loadu_si512(x[0] + first);
  const __m512i low = _mm512_castsi256_si512(_mm256_loadu_si256((const __m256i *)(x[0] + first)));
  return _mm512_mask_broadcast_i64x4(low, 0xf0, _mm256_loadu_si256((const __m256i *)(x[1] + first)));
}

/* Four accumulators in quad order to bytes in value order; `small` and `clamps` are those of b. */
Q8_INLINE __m512i requant_quads(int small, int clamps, const __m512i acc[4], const block *b) {
  __m512i t[4];
  Q8_UNROLL
  for (int v = 0; v < 4; v++) {
    const __m512 x = _mm512_mul_ps(_mm512_cvtepi32_ps(acc[v]), b->scale[v]);
    t[v] = small ? _mm512_cvtps_epi32(x) : round_below(x, &b->bounds);
  }
  const __m512i z = pack_quad(t, &b->bounds);
  if (__builtin_expect(!clamps, 1))
    return z;
  return _mm512_min_epu8(_mm512_max_epu8(z, b->bounds.lo), b->hi);
}

#endif
