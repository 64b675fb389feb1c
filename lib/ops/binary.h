/* binary.h - elementwise operators of two inputs with numpy broadcasting. */
#ifndef Q8_OPS_BINARY_H
#define Q8_OPS_BINARY_H

#include "ops/common.h"

/* y[i] = a[i * a_stride] OP b[i * b_stride], n dense results; strides in elements. y may be a or b. */
typedef void q8_binary_row(size_t n, const void *a, int64_t a_stride, const void *b, int64_t b_stride, void *y);
/* Those of float32 that networks use. */
q8_binary_row q8_add_row, q8_sub_row, q8_mul_row, q8_div_row, q8_min_row, q8_max_row, q8_prelu_row;

/* A broadcast as nested loops with as few dimensions as possible, the last one for the row function. */
typedef struct q8_loops {
  q8_shape shape;
  int64_t a[Q8_MAX_RANK], b[Q8_MAX_RANK]; /* strides in elements */
} q8_loops;
void q8_loops_init(q8_loops *loops, const q8_shape *a, const q8_shape *b, const q8_shape *out);
/* A row function that reads `in` and writes `out` elements, for tensors of types a, b and y: cast where they differ. */
typedef struct q8_typed_row {
  q8_binary_row *row;
  int32_t in, out;
  int32_t a, b, y;
} q8_typed_row;
void q8_loops_run(const q8_loops *loops, const q8_typed_row *row, const void *a, const void *b, void *y);

/* Shape and type of the result of all inputs, which have one type. */
q8_status q8_infer_binary(const q8_op_io *io);
/* The int8 step if the mode and the shapes allow it and `int8` is not NULL, with the scale of b times `b_sign`; else the
 * float step. In the layout that the inputs have. */
q8_status q8_plan_binary(q8_planner *planner, q8_id node, q8_binary_row *row, q8_binary_fn *int8, float b_sign,
                         qint8_error *error);

#endif
