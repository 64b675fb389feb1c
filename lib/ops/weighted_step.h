/* weighted_step.h - what a step of weighted.c runs on. */
#ifndef Q8_OPS_WEIGHTED_STEP_H
#define Q8_OPS_WEIGHTED_STEP_H

#include "nn/conv.h"
#include "nn/wide.h"
#include "ops/plan.h"

typedef struct q8_weighted_step {
  q8_conv conv; /* its geometry alone where `wide` has weights */
  q8_wide wide;
  const q8_kernels *kernels;
  q8_epilogue epilogue;
  int32_t zero_point; /* of the input, stored form */
  const q8_binary *sum; /* a residual added as a second stage, or NULL: its tensor is input 1 */
  q8_step_rows rows;    /* of steps that have them */
} q8_weighted_step;

/* Sets how a step of static int8 or float makes some rows of its result; NULL if it cannot. */
const q8_step_rows *q8_weighted_rows(q8_weighted_step *step);

#endif
