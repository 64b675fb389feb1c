/* gemm.h - attributes and shapes of Gemm. */
#ifndef Q8_OPS_GEMM_H
#define Q8_OPS_GEMM_H

#include "ops/common.h"

typedef struct q8_gemm_params {
  float alpha, beta, activation_lo, activation_hi;
  int64_t trans_a, trans_b, broadcast;
} q8_gemm_params;

/* Strides in elements over m, n and k. */
typedef struct q8_gemm_shape {
  size_t m, n, k;
  size_t a_m, a_k, b_n, b_k;
  int64_t c_m, c_n; /* of the broadcast C, 0 where it repeats */
} q8_gemm_shape;

q8_status q8_plan_gemm_general(q8_planner *planner, q8_id node, const q8_gemm_shape *shape);

#endif
