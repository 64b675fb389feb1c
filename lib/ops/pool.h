/* pool.h - windows of MaxPool and AveragePool over one to three spatial dimensions. */
#ifndef Q8_OPS_POOL_H
#define Q8_OPS_POOL_H

#include "ops/common.h"

typedef struct q8_pool_params {
  int64_t ceil_mode, count_include_pad, storage_order, p;
  char auto_pad[32];
  q8_ints kernel_shape, strides, pads, dilations;
} q8_pool_params;

#define Q8_POOL_DIMS 3
#define Q8_POOL_TAPS 256 /* taps of a window that the planned steps serve */

/* Missing leading dimensions have size 1. */
typedef struct q8_pool_window {
  int64_t in[Q8_POOL_DIMS], out[Q8_POOL_DIMS], kernel[Q8_POOL_DIMS], stride[Q8_POOL_DIMS], dilation[Q8_POOL_DIMS];
  int64_t pad_lo[Q8_POOL_DIMS], pad_hi[Q8_POOL_DIMS];
  int32_t dims; /* real spatial dimensions */
} q8_pool_window;

/* The input positions that one output position reads, as offsets in elements of one channel. */
typedef struct q8_pool_taps {
  size_t count;   /* taps inside the input */
  size_t divisor; /* of an average that counts padding */
  size_t at[Q8_POOL_TAPS];
} q8_pool_taps;

q8_status q8_pool_window_of(const q8_op_io *io, const q8_shape *x, q8_pool_window *out);
/* `position`: index of the output position in row-major order. Needs kernel positions <= Q8_POOL_TAPS. */
void q8_pool_find_taps(const q8_pool_window *window, size_t position, q8_pool_taps *taps);
/* From the taps of the position before to those of `column` of the same row, if the kernel is inside the row at both;
 * else returns 0. */
int q8_pool_move_taps(const q8_pool_window *window, size_t column, q8_pool_taps *taps);
static inline size_t q8_pool_positions(const int64_t *dims) {
  return (size_t)dims[0] * (size_t)dims[1] * (size_t)dims[2];
}

q8_status q8_plan_window_pool(q8_planner *planner, q8_id node, int average, qint8_error *error);
q8_status q8_plan_global_pool(q8_planner *planner, q8_id node, int average, qint8_error *error);

#endif
