/* depthwise_pack.c - weights of a convolution with one filter per channel. */
#include <string.h>

#include "nn/conv_internal.h"

enum { TAPS_BLOCK = 16 };

/* [c][taps] to [taps][c]. Blocks of 16 are transposed many times as fast as parts of one: where there are fewer taps, the next
 * channels' weights go to rows beyond them, for which `out` has room, as long as there are 16 to read. */
static void order_by_tap(const q8_kernels *kernels, size_t channels, size_t taps, const int8_t *w, int8_t *out) {
  const size_t read = taps < TAPS_BLOCK ? TAPS_BLOCK : taps, total = channels * taps;
  const size_t whole = total < read ? 0 : (total - read) / taps + 1;
  if (whole)
    kernels->transpose8(whole, read, w, taps, out, channels);
  for (size_t c = whole; c < channels; c++)
    for (size_t t = 0; t < taps; t++)
      out[t * channels + c] = w[c * taps + t];
}

/* sum[c] over taps, in blocks of a constant count, which are vectorized, and of as many taps as 16 bits hold. */
static void sum_taps(size_t channels, size_t taps, const int8_t *by_tap, int32_t *sum) {
  enum { MOST = 255 };
  for (size_t first = 0; first < taps; first += MOST, by_tap += MOST * channels) {
    const size_t n = taps - first < MOST ? taps - first : MOST;
    size_t c = 0;
    for (; c + TAPS_BLOCK <= channels; c += TAPS_BLOCK) {
      int16_t block[TAPS_BLOCK] = {0};
      for (size_t t = 0; t < n; t++)
        for (size_t i = 0; i < TAPS_BLOCK; i++)
          block[i] = (int16_t)(block[i] + by_tap[t * channels + c + i]);
      for (size_t i = 0; i < TAPS_BLOCK; i++)
        sum[c + i] += block[i];
    }
    for (; c < channels; c++)
      for (size_t t = 0; t < n; t++)
        sum[c] += by_tap[t * channels + c];
  }
}

/* The first record that is exact for these weights: they are searched for -128 only if the fastest is not exact for it. */
static const q8_dwconv_kernel *choose_kernel(const q8_kernels *kernels, const q8_conv_geometry *g, const int8_t *w) {
  const q8_dwconv_kernel *fastest = q8_kernels_dwconv(kernels->mask, g->r, g->s, -127);
  if (fastest->b_min == -128 || !q8_has_least(g->r * g->s * g->c, w, 1))
    return fastest;
  return q8_kernels_dwconv(kernels->mask, g->r, g->s, -128);
}

q8_status q8_depthwise_pack(const q8_kernels *kernels, const int8_t *w, q8_pool *pool, q8_conv *out,
                            qint8_error *error) {
  const q8_conv_geometry *g = &out->g;
  const size_t taps = g->r * g->s;
  out->dwconv = choose_kernel(kernels, g, w);
  const size_t size = out->dwconv->packed_size(g->c, g->r, g->s);
  int8_t *by_tap = q8_alloc(&pool->host, taps < TAPS_BLOCK ? TAPS_BLOCK : taps, g->c);
  void *packed = q8_pool_reserve(pool, size < Q8_ALIGN ? Q8_ALIGN : size, 1);
  out->dw_sum = q8_pool_alloc(pool, q8_round_up(g->c, 64), sizeof *out->dw_sum);
  if (!by_tap || !out->dw_sum || !packed) {
    q8_free(&pool->host, by_tap);
    return q8_fail_memory(error, "weights", size);
  }
  order_by_tap(kernels, g->c, taps, w, by_tap);
  sum_taps(g->c, taps, by_tap, out->dw_sum);
  out->dwconv->pack(g->c, g->r, g->s, by_tap, packed);
  out->dw_weights = packed;
  out->kernel_name = out->dwconv->name;
  q8_free(&pool->host, by_tap);
  return QINT8_OK;
}

q8_status q8_depthwise_pack_float(const float *w, q8_pool *pool, q8_conv *out, qint8_error *error) {
  const q8_conv_geometry *g = &out->g;
  size_t taps = g->r * g->s;
  float *by_tap = q8_pool_alloc(pool, taps * g->c, sizeof *by_tap);
  if (!by_tap)
    return q8_fail_memory(error, "weights", taps * g->c * sizeof *by_tap);
  for (size_t c = 0; c < g->c; c++)
    for (size_t t = 0; t < taps; t++)
      by_tap[t * g->c + c] = q8_flush(w[c * taps + t]);
  out->dw_weights = by_tap;
  out->kernel_name = "sdwconv";
  return QINT8_OK;
}
