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
  uint8_t scratch[SCRATCH_SIZE];
} block;

/* Interleaves what `outputs` outputs need; `cols` begins at the first one, `last` is the last column of the
 * row. */
typedef void fill_fn(block *b, const uint8_t *const *cols, size_t last, size_t outputs);
/* The n outputs of the stretch from the scratch. */
typedef void multiply_fn(const block *b, uint8_t *y, size_t n);
/* The n outputs of a row in one pass. */
typedef void row_fn(const block *b, const uint8_t *const *cols, uint8_t *y, size_t n);

/* By pixels / 2 of a register (1, 2 or 4), and: whether all channels of the block exist; whether there are
 * three steps. They stay out of line: inlined into one body, their loops run out of registers. */
extern fill_fn *const q8_avx512vnni_dwconv_fill[3][2];
extern multiply_fn *const q8_avx512vnni_dwconv_multiply[3][2];
/* 3 x 3 without dilation, one pixel a register, horizontal stride 1 or 2: by stride - 1,
 * and whether all channels exist. */
extern row_fn *const q8_avx512vnni_dwconv_3x3[2][2];

/* Requantizes a register of pixels and stores the first n of them. */
Q8_INLINE void finish(int pixels, const __m512i acc[4], const __m512 scale[4], const requant_bounds *bounds,
                      __mmask64 m, uint8_t *y, size_t y_stride, size_t n) {
  __m512i t[4];
  Q8_UNROLL
  for (int v = 0; v < 4; v++)
    t[v] = round_below(_mm512_mul_ps(_mm512_cvtepi32_ps(acc[v]), scale[v]), bounds);
  store_parts(pixels, narrow_quad(t, bounds), m, y, y_stride, n);
}

#endif
