/* dwconv.c - depthwise convolution of one output row, any kernel size; weights stay [r][s][channels]. */
#include "scalar.h"
#include <string.h>

enum { BLOCK = 64 }; /* channels summed at a time: one accumulator row that stays in L1 */

static size_t packed_size(size_t channels, size_t r, size_t s) {
  return r * s * channels;
}

static void pack(size_t channels, size_t r, size_t s, const int8_t *w, void *packed) {
  memcpy(packed, w, packed_size(channels, r, s));
}

/* The sums of channels [c, c + n) of one output pixel. */
static void add_taps(const q8_dwconv_shape *shape, const int8_t *w, const uint8_t *const *cols, size_t c, size_t n,
                     int32_t acc[BLOCK]) {
  memset(acc, 0, n * sizeof *acc);
  for (size_t i = 0; i < shape->r; i++)
    for (size_t j = 0; j < shape->s; j++) {
      const uint8_t *x = cols[j * shape->col_dilation * shape->r + i] + shape->offset + c;
      const int8_t *tap = w + (i * shape->s + j) * shape->channels + c;
      for (size_t e = 0; e < n; e++)
        acc[e] += x[e] * tap[e];
    }
}

/* rq is NULL for sums, which go to `acc`. */
static void row(const q8_dwconv_shape *shape, const int8_t *w, const q8_requant *rq, const uint8_t *const *cols,
                uint8_t *y, int32_t *acc, size_t stride) {
  for (size_t x = 0; x < shape->q; x++, cols += shape->col_step * shape->r)
    for (size_t c = 0; c < shape->channels; c += BLOCK) {
      const size_t n = shape->channels - c < BLOCK ? shape->channels - c : BLOCK;
      int32_t sum[BLOCK];
      add_taps(shape, w, cols, c, n, sum);
      if (!rq)
        memcpy(acc + x * stride + c, sum, n * sizeof *sum);
      for (size_t e = 0; rq && e < n; e++)
        y[x * stride + c + e] = q8_scalar_requantize(sum[e], c + e, rq);
    }
}

static void dwconv(const q8_dwconv_shape *shape, const void *w, const q8_requant *rq,
                   const uint8_t *const *cols, uint8_t *y, size_t y_stride) {
  row(shape, w, rq, cols, y, NULL, y_stride);
}

static void sums(const q8_dwconv_shape *shape, const void *w, const uint8_t *const *cols, int32_t *acc,
                 size_t acc_stride) {
  row(shape, w, NULL, cols, NULL, acc, acc_stride);
}

const q8_dwconv_kernel q8_scalar_dwconv[] = {
    {"dwconv_scalar", 0, 0, 0, 0, -128, packed_size, pack, dwconv, sums, NULL},
    {0},
};
