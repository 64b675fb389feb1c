#include "ops/norm.h"

#include "ops/fast.h"

/* Floats are added side by side, so that compilers vectorize the loop, and a block at a time, so that long sums stay as
 * exact as short ones. */
#define LANES 16
#define BLOCK 256

static float sum_lanes(float *lane) {
  for (size_t half = LANES / 2; half; half /= 2)
    for (size_t j = 0; j < half; j++)
      lane[j] += lane[j + half];
  return lane[0];
}

/* Of x, or of (x - mean)^2. */
static double sum_of(size_t n, const float *x, float mean, int squares) {
  double sum = 0;
  size_t i = 0;
  while (n - i >= LANES) {
    float lane[LANES] = {0};
    for (size_t end = n - i < BLOCK ? n : i + BLOCK; i + LANES <= end; i += LANES)
      if (squares)
        for (size_t j = 0; j < LANES; j++)
          lane[j] += (x[i + j] - mean) * (x[i + j] - mean);
      else
        for (size_t j = 0; j < LANES; j++)
          lane[j] += x[i + j];
    sum += (double)sum_lanes(lane);
  }
  for (; i < n; i++)
    sum += (double)(squares ? (x[i] - mean) * (x[i] - mean) : x[i]);
  return sum;
}

void q8_moments(size_t n, const float *x, double *mean, double *variance) {
  *mean = sum_of(n, x, 0, 0) / (double)n;
  *variance = sum_of(n, x, (float)*mean, 1) / (double)n;
}

void q8_scale_shift(size_t n, const float *x, float factor, float shift, float *y) {
  Q8_FOR_BLOCKS(float, n, y, x[i] * factor + shift);
}

void q8_normalize_row(size_t n, const float *x, float mean, float inverse, const float *scale, const float *bias,
                      float *y) {
  if (bias)
    Q8_FOR_BLOCKS(float, n, y, (x[i] - mean) * inverse * scale[i] + bias[i]);
  else
    Q8_FOR_BLOCKS(float, n, y, (x[i] - mean) * inverse * scale[i]);
}
