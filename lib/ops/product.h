/* product.h - steps that multiply matrices of which the second may be computed: MatMul, Gemm and Einsum. */
#ifndef Q8_OPS_PRODUCT_H
#define Q8_OPS_PRODUCT_H

#include "nn/linear.h"
#include "ops/matmul.h"

/* y = a b for every matrix of a batch: a is [m][k], y is [m][n], both dense; b is packed once if it is
 * constant, else while running. Float, or int8 of two activations. */
typedef struct q8_product {
  q8_matmul_shape s;
  size_t b_k, b_n; /* strides of b over k and n */
  const q8_kernels *kernels;
  q8_linear linear; /* without weights if b is computed */
  q8_epilogue epilogue;
  size_t element, y_element; /* bytes of values of a and b, and of y */
  int32_t a_zero, b_zero;    /* of int8 */
  size_t batches, tasks;
  size_t packed, turned, columns, rows, task; /* bytes of the regions of a task's scratch, and of all of it */
} q8_product;

/* Fills in what follows from s, b_k and b_n, and the step's kernel, scratch and number of products. `b`: NULL
 * unless constant. */
q8_status q8_product_prepare(q8_planner *planner, q8_product *p, const float *b, q8_step *step);
/* The same for int8, from s alone; k is at most Q8_PRODUCT_INT8_K, and y is float if output 0 has no
 * parameters. */
#define Q8_PRODUCT_INT8_K 32768 /* 2^15 products of 255 * 255 fit int32 */
q8_status q8_product_prepare_int8(q8_planner *planner, const q8_node *node, q8_product *p, q8_step *step);
/* scratch: what `prepare` asked for. b is not read if it is constant. */
void q8_product_run(const q8_product *p, const q8_host *host, const void *a, const void *b, void *y,
                    void *scratch);

#endif
