/* resize_rows.c - the channels of an output pixel of Resize. */
#include "ops/fast.h"
#include "ops/resize.h"

#define BLOCK 64 /* channels at a time */

static void add_row(size_t n, float weight, const float *row, float *y) {
  Q8_FOR_BLOCKS(float, n, y, y[i] + weight * row[i]);
}

void q8_resize_sum_float(size_t channels, const float *x, const q8_resize_pixels *t, float *y) {
  for (size_t i = 0; i < channels; i++)
    y[i] = -0.0f; /* to which any float adds as it is */
  for (size_t m = 0; m < t->count; m++)
    add_row(channels, t->weight[m], x + t->at[m] * channels, y);
}

void q8_resize_sum_int8(const q8_kernels *kernels, size_t channels, const uint8_t *x, const q8_resize_pixels *t,
                        uint8_t *y) {
  for (size_t c = 0; c < channels; c += BLOCK) {
    size_t n = channels - c < BLOCK ? channels - c : BLOCK;
    float sum[BLOCK] = {0}, row[BLOCK];
    for (size_t m = 0; m < t->count; m++) {
      kernels->dequantize(n, x + t->at[m] * channels + c, 1.0f, 0, 0, row);
      add_row(n, t->weight[m], row, sum);
    }
    kernels->quantize(n, sum, 1.0f, 0, 0, y + c);
  }
}
