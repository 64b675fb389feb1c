/* binary.h - elementwise operators of two inputs with numpy broadcasting. */
#ifndef Q8_OPS_BINARY_H
#define Q8_OPS_BINARY_H

#include "ops/common.h"

/* y[i] = a[i] OP b[i], n dense values; y may be a or b. */
typedef void q8_binary_row(size_t n, const float *a, const float *b, float *y);
/* Those that networks use. */
q8_binary_row q8_add_row, q8_sub_row, q8_mul_row, q8_div_row, q8_min_row, q8_max_row, q8_prelu_row;
/* y[i] = a[i * a_stride] OP b[i * b_stride]; strides in elements. y may be a dense a or b. */
void q8_strided_row(q8_binary_row *row, size_t n, const float *a, int64_t a_stride, const float *b, int64_t b_stride,
                    float *y);

/* A broadcast as nested loops with as few dimensions as possible, the last one for the row function. */
typedef struct q8_loops {
  q8_shape shape;
  int64_t a[Q8_MAX_RANK], b[Q8_MAX_RANK]; /* strides in elements */
} q8_loops;
void q8_loops_init(q8_loops *loops, const q8_shape *a, const q8_shape *b, const q8_shape *out);

/* What an operator makes of two elements; NULL where it is not defined for the type. */
typedef struct q8_pair_set {
  q8_binary_row *f32; /* rows of float32; NULL: as doubles */
  double (*f64)(double x, double z);
  uint64_t (*s64)(uint64_t x, uint64_t z); /* the bits of signed integers */
  uint64_t (*u64)(uint64_t x, uint64_t z);
  uint8_t takes_bool, gives_bool; /* nothing but bool */
  enum { Q8_INT8_NONE, Q8_INT8_ADD, Q8_INT8_SUB, Q8_INT8_MUL } int8; /* the kernel */
} q8_pair_set;
/* y = a OP b, computed in type `in`: cast where a tensor's type is another. y may be a. */
void q8_eval_pairs(const q8_pair_set *set, int32_t in, const q8_value *a, const q8_value *b, q8_value *y);

/* Shape and type of the result of all inputs, which have one type. */
q8_status q8_infer_binary(const q8_op_io *io);
/* The `plan` of records with a q8_pair_set: int8 by its kernel if the mode and the shapes allow it, else the float step.
 * In the layout that the inputs have. */
q8_status q8_plan_binary(q8_planner *planner, q8_id node);

#endif
