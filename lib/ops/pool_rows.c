/* pool_rows.c - the channels of an output position of MaxPool, AveragePool and the pools over all positions. */
#include <string.h>

#include "ops/fast.h"
#include "ops/pool_plan.h"

static void max_row(size_t n, const float *row, float *y) {
  Q8_FOR_BLOCKS(float, n, y, row[i] > y[i] ? row[i] : y[i]);
}
static void divide_row(size_t n, float divisor, float *y) {
  Q8_FOR_BLOCKS(float, n, y, y[i] / divisor);
}

static size_t count_of(const q8_pool_step *p, const q8_pool_taps *taps) {
  return taps ? taps->count : p->in_positions;
}
/* Where tap t lies. */
static size_t place_of(const q8_pool_step *p, const q8_pool_taps *taps, size_t t) {
  return (taps ? taps->at[t] : t) * p->channels;
}

void q8_pool_max_float(const q8_pool_step *p, size_t n, const void *in, const q8_pool_taps *taps, void *y) {
  const float *x = in;
  memcpy(y, x + place_of(p, taps, 0), n * sizeof *x);
  for (size_t t = 1; t < count_of(p, taps); t++)
    max_row(n, x + place_of(p, taps, t), y);
}

void q8_pool_average_float(const q8_pool_step *p, size_t n, const void *in, const q8_pool_taps *taps,
                           void *y) {
  const float *x = in;
  if (taps) {
    memcpy(y, x + place_of(p, taps, 0), n * sizeof *x);
    for (size_t t = 1; t < taps->count; t++)
      p->kernels->sadd(1, n, y, 0, x + place_of(p, taps, t), 0, y, 0);
  } else {
    p->kernels->ssum_rows(p->in_positions, n, x, p->channels, y);
  }
  divide_row(n, (float)(taps ? taps->divisor : p->in_positions), y);
}

void q8_pool_max_int8(const q8_pool_step *p, size_t n, const void *x, const q8_pool_taps *taps, void *y) {
  const uint8_t *rows[Q8_POOL_TAPS];
  uint8_t most[Q8_POOL_BLOCK];
  const size_t taps_count = count_of(p, taps);
  for (size_t t = 0; t < taps_count;) {
    size_t count = 0;
    if (t) /* only over all positions, which may be many */
      rows[count++] = memcpy(most, y, n);
    while (t < taps_count && count < Q8_POOL_TAPS)
      rows[count++] = (const uint8_t *)x + place_of(p, taps, t++);
    p->kernels->max_rows(count, n, rows, y);
  }
}

/* The quantized mean of sums of fewer values than `divisor` where padding counts. */
void q8_pool_average_int8(const q8_pool_step *p, size_t channels, const void *in, const q8_pool_taps *taps,
                          void *out) {
  const size_t count = count_of(p, taps);
  const int32_t zero = (int32_t)count * p->x_zero;
  const float scale = p->x_scale, values = (float)(taps ? taps->divisor : count);
  for (size_t c = 0; c < channels; c += Q8_POOL_BLOCK) {
    const uint8_t *x = (const uint8_t *)in + c;
    size_t n = channels - c < Q8_POOL_BLOCK ? channels - c : Q8_POOL_BLOCK;
    int32_t sum[Q8_POOL_BLOCK] = {0};
    float mean[Q8_POOL_BLOCK];
    for (size_t t = 0; taps && t < count; t++)
      for (size_t i = 0; i < n; i++)
        sum[i] += x[taps->at[t] * p->channels + i];
    if (!taps)
      p->kernels->sum_rows(count, n, x, p->channels, sum);
    Q8_FOR_BLOCKS(float, n, mean, (float)(sum[i] - zero) * scale / values);
    p->kernels->quantize(n, mean, p->y_scale, p->y_zero, 0, (uint8_t *)out + c);
  }
}
