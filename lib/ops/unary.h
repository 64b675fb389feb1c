/* unary.h - elementwise functions of one input: one float step for rows, one table for int8. */
#ifndef Q8_OPS_UNARY_H
#define Q8_OPS_UNARY_H

#include "ops/common.h"

/* y[i] = f(x[i]); y may be x. */
typedef void q8_unary_rows(const void *params, size_t n, const float *x, float *y);

q8_unary_rows q8_relu_rows, q8_leaky_relu_rows, q8_abs_rows, q8_neg_rows, q8_sqrt_rows, q8_reciprocal_rows, q8_floor_rows,
    q8_ceil_rows, q8_round_rows;

/* Params of the standard functions. */
typedef struct q8_unary_coefficients {
  float alpha, beta;
} q8_unary_coefficients;

/* The variant of a record with `unary`, y = f(x): one of the first two, the others where they exist. */
typedef struct q8_unary_set {
  double (*wide)(const void *params, double x);  /* f for all float types */
  float (*exact)(const void *params, float x);   /* f for float32 instead */
  q8_unary_rows *rows;                           /* faster than a call for each element */
  int64_t (*whole)(int64_t x, int sign);         /* for an integer of that sign */
  q8_sunary (*kernel)(const void *params);       /* for rows of float32, equal to f up to rounding */
} q8_unary_set;
float q8_unary_apply(const q8_unary_set *set, const void *params, float x);
q8_status q8_unary_infer(const q8_op_io *io);
q8_status q8_unary_eval(const q8_op_io *io);
q8_status q8_unary_plan(q8_planner *planner, q8_id node);

/* Output 0 like input 0, which must be float32. */
q8_status q8_infer_unary(const q8_op_io *io);
/* Int8: a table. Float: a kernel or a step in whatever layout x has. Table and kernel become part of the step that makes x
 * where that is possible. Other types: `eval`. `params` are those of the node, as they are when the plan is made. */
q8_status q8_plan_unary(q8_planner *planner, q8_id node, const void *params);

#endif
