/* resize.h - Resize: attributes, and which input positions an output position reads along one dimension. */
#ifndef Q8_OPS_RESIZE_H
#define Q8_OPS_RESIZE_H

#include "ops/common.h"

typedef struct q8_resize_params {
  char mode[32], coordinates[32], nearest_mode[32], keep_aspect[32];
  float cubic_a, extrapolation;
  int64_t exclude_outside, antialias;
  q8_ints axes;
  q8_floats scales; /* of Upsample until opset 8 */
} q8_resize_params;

/* In the order of the words that read_modes knows. */
enum { Q8_RESIZE_NEAREST, Q8_RESIZE_LINEAR, Q8_RESIZE_CUBIC };
enum {
  Q8_HALF_PIXEL,
  Q8_HALF_PIXEL_SYMMETRIC,
  Q8_PYTORCH_HALF_PIXEL,
  Q8_ALIGN_CORNERS,
  Q8_ASYMMETRIC,
  Q8_TF_HALF_PIXEL_FOR_NN,
  Q8_TF_CROP_AND_RESIZE
};
enum { Q8_PREFER_FLOOR, Q8_PREFER_CEIL, Q8_FLOOR, Q8_CEIL };

/* A checked node with bound shapes. */
typedef struct q8_resize {
  int mode, coordinates, nearest;
  int antialias, exclude_outside;
  float cubic_a, extrapolation;
  int32_t rank;
  int64_t in[Q8_MAX_RANK], out[Q8_MAX_RANK];
  uint8_t sized[Q8_MAX_RANK]; /* the size was given, the scale follows from it */
  float scale[Q8_MAX_RANK], begin[Q8_MAX_RANK], end[Q8_MAX_RANK]; /* begin, end: the region of interest */
} q8_resize;

#define Q8_RESIZE_TAPS 128

/* Sum over count of weight * x[index] gives the output value; the weights add up to 1. */
typedef struct q8_resize_taps {
  int32_t count;
  int32_t outside; /* the position lies outside the region: the extrapolation value */
  int64_t index[Q8_RESIZE_TAPS];
  float weight[Q8_RESIZE_TAPS];
} q8_resize_taps;

q8_status q8_resize_of(const q8_op_io *io, q8_resize *out);
/* Taps that every output position of dimension d has; at most Q8_RESIZE_TAPS (checked by q8_resize_of). */
int64_t q8_resize_tap_count(const q8_resize *r, int32_t d);
void q8_resize_find_taps(const q8_resize *r, int32_t d, int64_t position, q8_resize_taps *taps);
/* Whether dimension d is copied as it is. */
static inline int q8_resize_keeps(const q8_resize *r, int32_t d) {
  return r->in[d] == r->out[d] && r->scale[d] == 1 && r->coordinates != Q8_TF_CROP_AND_RESIZE;
}

q8_status q8_resize_plan(q8_planner *planner, q8_id node);

/* ---- resize_rows.c ---- */

#define Q8_RESIZE_PIXELS 64
/* Which input pixels an output pixel reads, as offsets in pixels, with weights. */
typedef struct q8_resize_pixels {
  size_t count;
  size_t at[Q8_RESIZE_PIXELS];
  float weight[Q8_RESIZE_PIXELS];
} q8_resize_pixels;

/* The weighted sum of the pixels, in their order. */
void q8_resize_sum_float(size_t channels, const float *x, const q8_resize_pixels *t, float *y);
void q8_resize_sum_int8(const q8_kernels *kernels, size_t channels, const uint8_t *x, const q8_resize_pixels *t,
                        uint8_t *y);

#endif
