/* quantize.c - float to uint8 and back, and the range of a float array. */
#include "scalar.h"

static void quantize(size_t n, const float *x, float scale, int32_t zero_point, uint8_t flip, uint8_t *y) {
  for (size_t i = 0; i < n; i++)
    y[i] = q8_scalar_round(x[i] / scale, zero_point, 0, 255) ^ flip;
}

static void dequantize(size_t n, const uint8_t *x, float scale, int32_t zero_point, uint8_t flip, float *y) {
  for (size_t i = 0; i < n; i++)
    y[i] = (float)((int32_t)(x[i] ^ flip) - zero_point) * scale;
}

static void minmax(size_t n, const float *x, float *min, float *max) {
  float low = INFINITY, high = -INFINITY;
  for (size_t i = 0; i < n; i++) { /* a comparison with NaN is false: it changes neither */
    low = x[i] < low ? x[i] : low;
    high = x[i] > high ? x[i] : high;
  }
  *min = low + 0.0f; /* -0 becomes +0: the order of the values must not show */
  *max = high + 0.0f;
}

const q8_quantize_kernel q8_scalar_quantize[] = {{"quantize_scalar", 0, quantize}, {0}};
const q8_dequantize_kernel q8_scalar_dequantize[] = {{"dequantize_scalar", 0, dequantize}, {0}};
const q8_minmax_kernel q8_scalar_minmax[] = {{"minmax_scalar", 0, minmax}, {0}};
