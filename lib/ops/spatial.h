/* spatial.h - a kernel that slides over one to three spatial dimensions: what convolutions and pools share. */
#ifndef Q8_OPS_SPATIAL_H
#define Q8_OPS_SPATIAL_H

#include "ops/common.h"

typedef struct q8_spatial_params {
  char auto_pad[32];
  int64_t ceil_mode; /* pools */
  q8_ints kernel_shape, strides, dilations, pads;
  q8_ints output_padding, output_shape; /* ConvTranspose */
} q8_spatial_params;

/* Of params that begin with them. */
#define Q8_SPATIAL_AT(field) offsetof(q8_spatial_params, field)
#define Q8_SPATIAL_ATTRIBUTES(kernel_is_required)                                                                   \
  {"kernel_shape", Q8_ATTR_INTS, Q8_SPATIAL_AT(kernel_shape), kernel_is_required, 0, 0},                            \
      {"strides", Q8_ATTR_INTS, Q8_SPATIAL_AT(strides), 0, 0, 0},                                                   \
      {"pads", Q8_ATTR_INTS, Q8_SPATIAL_AT(pads), 0, 0, 0},                                                         \
      {"dilations", Q8_ATTR_INTS, Q8_SPATIAL_AT(dilations), 0, 0, 0},                                               \
      {Q8_NAME_AND_TEXT("auto_pad", "NOTSET"), Q8_ATTR_STRING, Q8_SPATIAL_AT(auto_pad), 0, 0, 0}

#define Q8_SPATIAL_DIMS 3

/* One spatial dimension. */
typedef struct q8_extent {
  int64_t in, kernel, stride, dilation, pad_begin, pad_end, out;
} q8_extent;

/* The extents of x [N, C, spatial...]; missing leading dimensions have size 1. `w`: has the kernel as its last dimensions,
 * or is NULL, then the attribute must say it. Transposed: in and out are those of x and y, pads are cut from y. */
q8_status q8_spatial_of(const q8_op_io *io, const q8_spatial_params *p, const q8_shape *x, const q8_shape *w,
                        int transposed, q8_extent *out);
/* y has the first two dimensions of the result, and takes the others. */
void q8_spatial_shape(const q8_extent *e, int32_t dims, q8_shape *y);

static inline size_t q8_spatial_positions(const q8_extent *e, int out) {
  size_t count = 1;
  for (int d = 0; d < Q8_SPATIAL_DIMS; d++)
    count *= (size_t)(out ? e[d].out : e[d].in);
  return count;
}

#endif
