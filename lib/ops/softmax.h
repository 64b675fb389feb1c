/* softmax.h - a tensor as [outer][n][inner], of which Softmax takes the middle. */
#ifndef Q8_OPS_SOFTMAX_H
#define Q8_OPS_SOFTMAX_H

#include "ops/common.h"

typedef struct q8_softmax_view {
  size_t outer, n, inner;
  int log;
  const q8_kernels *kernels; /* of Softmax */
} q8_softmax_view;

/* All results of one index of the outer dimension. */
void q8_softmax_outer(const q8_softmax_view *view, const float *x, float *y, size_t outer);

#endif
