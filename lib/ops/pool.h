/* pool.h - windows of MaxPool, AveragePool and LpPool over one to three spatial dimensions, and over all of them. */
#ifndef Q8_OPS_POOL_H
#define Q8_OPS_POOL_H

#include "ops/spatial.h"

/* The variant of a record. */
typedef enum q8_pool_kind { Q8_POOL_MAX, Q8_POOL_AVERAGE, Q8_POOL_LP } q8_pool_kind;
static inline q8_pool_kind q8_pool_kind_of(const q8_node *node) {
  return *(const q8_pool_kind *)node->op->variant;
}
#define Q8_POOL_LP_OBSTACLE "no int8 form: powers need the range of float"

typedef struct q8_pool_params {
  q8_spatial_params spatial;
  int64_t count_include_pad, storage_order, p;
} q8_pool_params;

#define Q8_POOL_TAPS 256 /* taps of a window that the planned steps serve */

/* A checked node with bound shapes. */
typedef struct q8_pool_window {
  q8_pool_kind kind;
  int include_pad;       /* an average counts padding */
  int64_t storage_order; /* of indices: 1 if the first dimension runs fastest */
  int64_t p;
  q8_extent e[Q8_SPATIAL_DIMS];
} q8_pool_window;

/* The input positions that one output position reads, as offsets in elements of one channel. */
typedef struct q8_pool_taps {
  size_t count;   /* taps inside the input */
  size_t divisor; /* of an average */
  size_t at[Q8_POOL_TAPS];
} q8_pool_taps;

q8_status q8_pool_window_of(const q8_op_io *io, q8_pool_window *out);
/* `position`: index of the output position in row-major order. At most Q8_POOL_TAPS kernel positions. */
void q8_pool_find_taps(const q8_pool_window *window, size_t position, q8_pool_taps *taps);
/* From the taps of the position before to those of `column` of the same row, if the kernel is inside the row at both;
 * else returns 0. */
int q8_pool_move_taps(const q8_pool_window *window, size_t column, q8_pool_taps *taps);

/* The reference. */
q8_status q8_pool_eval(const q8_op_io *io, const q8_pool_window *window);

/* Steps of maxima and averages. */
q8_status q8_plan_window_pool(q8_planner *planner, q8_id node);
q8_status q8_plan_global_pool(q8_planner *planner, q8_id node);

#endif
