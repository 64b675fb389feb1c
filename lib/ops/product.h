/* product.h - steps that multiply float matrices of which the second may be computed: MatMul, Gemm and Einsum. */
#ifndef Q8_OPS_PRODUCT_H
#define Q8_OPS_PRODUCT_H

#include "nn/linear.h"
#include "ops/matmul.h"

/* y = a b for every matrix of a batch: a is [m][k], y is [m][n], both dense; b is packed once if it is constant, else
 * while running. */
typedef struct q8_product {
  q8_matmul_shape s;
  size_t b_k, b_n; /* strides of b over k and n */
  const q8_kernels *kernels;
  q8_linear linear; /* without weights if b is computed */
  const float *zeros;
  size_t batches, tasks;
  size_t packed, task; /* bytes of a task's scratch: for the weights, and in all */
} q8_product;

/* Fills in what follows from s, b_k and b_n, and the step's kernel, scratch and number of products. `b`: NULL unless
 * constant. */
q8_status q8_product_prepare(q8_planner *planner, q8_product *p, const float *b, q8_step *step);
/* scratch: what `prepare` asked for. b is not read if it is constant. */
void q8_product_run(const q8_product *p, const q8_host *host, const float *a, const float *b, float *y, void *scratch);

#endif
