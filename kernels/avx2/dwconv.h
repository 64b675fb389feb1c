/* dwconv.h - a row of a depthwise convolution in blocks of channels, for kernels with registers of 256 bits:
 * the sums of some outputs of a block go to memory, and from there to bytes or to the caller. */
#ifndef Q8_AVX2_DWCONV_H
#define Q8_AVX2_DWCONV_H

#include "vec.h"

/* Some outputs of a block. */
typedef struct q8_avx2_outputs {
  const q8_dwconv_shape *shape;
  const uint8_t *const *cols;
  size_t count;
  size_t c; /* the block's first channel, and what is added to every pointer */
  const __m256i *w;
  const int32_t *start; /* what the block's sums begin with */
} q8_avx2_outputs;

/* How a kernel does it; the order of a block's sums is its own. */
typedef struct q8_avx2_blocks {
  size_t channels; /* of a block; the last one ends with the last channel and overlaps the one before it */
  const q8_dwconv_kernel *narrow;        /* for fewer */
  size_t (*vectors)(size_t r, size_t s); /* of a block's weights */
  void (*sum)(const q8_avx2_outputs *outputs, __m256i *sums);
  void (*requantize)(size_t count, const __m256i *sums, const float *scale, const q8_requant *rq, uint8_t *y,
                     size_t y_stride);
  void (*store)(size_t count, const __m256i *sums, int32_t *y, size_t y_stride);
} q8_avx2_blocks;

static inline size_t q8_avx2_first_channel(size_t c, size_t block, size_t channels) {
  return c + block > channels ? channels - block : c;
}
size_t q8_avx2_packed_size(const q8_avx2_blocks *blocks, size_t channels, size_t r, size_t s);
/* One row: to y as bytes, or its sums as int32 where rq is NULL. */
void q8_avx2_convolve(const q8_avx2_blocks *blocks, const q8_dwconv_shape *shape, const void *w,
                      const q8_requant *rq, const uint8_t *const *cols, void *y, size_t y_stride);

#endif
