/* pool_plan.h - steps of MaxPool and AveragePool on channels-last tensors: each output position is a few rows
 * of channels. */
#ifndef Q8_OPS_POOL_PLAN_H
#define Q8_OPS_POOL_PLAN_H

#include "ops/pool.h"

/* Channels of a task over all positions, and of an average that are summed at a time. */
#define Q8_POOL_BLOCK 64

struct q8_pool_step;
/* y = n channels of the result from x, where those of the input's first position lie. `taps`: NULL for all
 * positions, of which at most Q8_POOL_BLOCK channels are asked for. */
typedef void q8_pool_fn(const struct q8_pool_step *p, size_t n, const void *x, const q8_pool_taps *taps,
                        void *y);
q8_pool_fn q8_pool_max_float, q8_pool_average_float, q8_pool_max_int8, q8_pool_average_int8;

typedef struct q8_pool_step {
  const q8_kernels *kernels;
  q8_pool_fn *run;
  size_t element; /* bytes */
  float x_scale, y_scale;
  int32_t x_zero, y_zero;
  size_t images, channels, in_positions;
  size_t rows; /* tasks of an image */
  /* of windows */
  size_t y_stride; /* elements between output positions */
  size_t row;      /* output positions of one task */
  q8_pool_window window;
} q8_pool_step;

#endif
