/* resize_taps.c - coordinates and interpolation weights of one dimension, in the order of operations of the standard's
 * formulas, since a rounding error may choose another neighbour. */
#include <math.h>

#include "ops/resize.h"

static float source_of(const q8_resize *r, int32_t d, int64_t position) {
  float x = (float)position, scale = r->scale[d], in = (float)r->in[d];
  float out = r->sized[d] ? (float)r->out[d] : scale * in; /* as the standard's formulas: not rounded to a size */
  switch (r->coordinates) {
  case Q8_HALF_PIXEL:
    return (x + 0.5f) / scale - 0.5f;
  case Q8_HALF_PIXEL_SYMMETRIC: {
    float center = in / 2, adjustment = (float)r->out[d] / (scale * in);
    return center * (1 - adjustment) + (x + 0.5f) / scale - 0.5f;
  }
  case Q8_PYTORCH_HALF_PIXEL:
    return r->out[d] > 1 ? (x + 0.5f) / scale - 0.5f : 0;
  case Q8_ALIGN_CORNERS:
    return r->out[d] > 1 ? x * (in - 1) / (out - 1) : 0;
  case Q8_ASYMMETRIC:
    return x / scale;
  case Q8_TF_HALF_PIXEL_FOR_NN:
    return (x + 0.5f) / scale;
  default:
    if (r->out[d] > 1)
      return r->begin[d] * (in - 1) + x * (r->end[d] - r->begin[d]) * (in - 1) / (out - 1);
    return 0.5f * (r->begin[d] + r->end[d]) * (in - 1);
  }
}

static int64_t clamp_index(int64_t i, int64_t size) {
  return i < 0 ? 0 : i >= size ? size - 1 : i;
}

static int64_t nearest_of(int nearest, float x) {
  float below = floorf(x);
  switch (nearest) {
  case Q8_PREFER_FLOOR:
    return (int64_t)(x - below > 0.5f ? below + 1 : below);
  case Q8_PREFER_CEIL:
    return (int64_t)(x - below >= 0.5f ? below + 1 : below);
  case Q8_FLOOR:
    return (int64_t)below;
  default:
    return (int64_t)ceilf(x);
  }
}

/* How wide the filter reaches to each side, in input positions; wider where it must not skip values. */
static float reach_of(const q8_resize *r, int32_t d) {
  float reach = r->mode == Q8_RESIZE_CUBIC ? 2 : 1;
  return r->antialias && r->scale[d] < 1 ? reach / r->scale[d] : reach;
}

int64_t q8_resize_tap_count(const q8_resize *r, int32_t d) {
  if (r->mode == Q8_RESIZE_NEAREST || q8_resize_keeps(r, d))
    return 1;
  float reach = reach_of(r, d);
  return reach < 1e6f ? 2 * (int64_t)ceilf(reach) : INT32_MAX;
}

static float filter(const q8_resize *r, float x) {
  float a = r->cubic_a;
  x = fabsf(x);
  if (r->mode == Q8_RESIZE_LINEAR)
    return x < 1 ? 1 - x : 0;
  if (x <= 1)
    return ((a + 2) * x - (a + 3)) * x * x + 1;
  return x < 2 ? ((a * x - 5 * a) * x + 8 * a) * x - 4 * a : 0;
}

void q8_resize_find_taps(const q8_resize *r, int32_t d, int64_t position, q8_resize_taps *taps) {
  float x = source_of(r, d, position), sum = 0;
  taps->outside = r->coordinates == Q8_TF_CROP_AND_RESIZE && (x < 0 || x > (float)(r->in[d] - 1));
  taps->count = (int32_t)q8_resize_tap_count(r, d);
  if (taps->count == 1) {
    taps->index[0] = q8_resize_keeps(r, d) ? position : clamp_index(nearest_of(r->nearest, x), r->in[d]);
    taps->weight[0] = 1;
    return;
  }
  int64_t first = (int64_t)floorf(x) - taps->count / 2 + 1;
  float squeeze = r->antialias && r->scale[d] < 1 ? r->scale[d] : 1;
  for (int32_t i = 0; i < taps->count; i++) {
    int64_t at = first + i;
    taps->index[i] = clamp_index(at, r->in[d]);
    taps->weight[i] = filter(r, ((float)at - x) * squeeze);
    if (r->exclude_outside && at != taps->index[i])
      taps->weight[i] = 0;
    sum += taps->weight[i];
  }
  for (int32_t i = 0; i < taps->count && (r->exclude_outside || r->antialias) && sum != 0; i++)
    taps->weight[i] /= sum;
}
