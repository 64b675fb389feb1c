/* binary_step.h - what a step of an elementwise operator of two inputs runs on. */
#ifndef Q8_OPS_BINARY_STEP_H
#define Q8_OPS_BINARY_STEP_H

#include "ops/binary.h"

typedef struct q8_binary_step {
  q8_binary_row *row;
  q8_binary_fn *int8; /* NULL: the float step */
  q8_sbinary_fn *f32; /* of the float step, if there is a kernel */
  q8_binary quant;
  q8_table_fn *look_up;
  const uint8_t *table; /* of the int8 step, or NULL: y = table[y] */
  const void *fixed[2]; /* in place of an input: a scalar constant written out as one row */
  size_t element, rows, rows_per_task;
  q8_row_output out;
  q8_loops loops;
} q8_binary_step;

q8_step_fn q8_binary_run;

#endif
