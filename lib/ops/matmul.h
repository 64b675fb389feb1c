/* matmul.h - shapes of matrix products with numpy broadcasting. */
#ifndef Q8_OPS_MATMUL_H
#define Q8_OPS_MATMUL_H

#include "ops/common.h"

typedef struct q8_matmul_shape {
  size_t m, n, k;
  q8_shape batch;                         /* leading dimensions of the result */
  int64_t a[Q8_MAX_RANK], b[Q8_MAX_RANK]; /* strides of the operands over them, in elements */
  int drop_m, drop_n;                     /* a or b was a vector */
} q8_matmul_shape;

q8_status q8_matmul_shape_of(const q8_op_io *io, const q8_shape *a, const q8_shape *b, q8_matmul_shape *out);
/* Shape of the result; LIMIT if its rank is too large. */
q8_status q8_matmul_result(const q8_op_io *io, const q8_matmul_shape *s, q8_shape *out);
/* Where the operands of result matrix i begin. */
void q8_matmul_operands(const q8_matmul_shape *s, size_t i, size_t *a, size_t *b);

#endif
