/* unary.h - elementwise functions of one input: one float step for rows, one table for int8. */
#ifndef Q8_OPS_UNARY_H
#define Q8_OPS_UNARY_H

#include "ops/common.h"

/* Params of the standard functions, or the first two of others'. */
typedef struct q8_unary_coefficients {
  float alpha, beta;
} q8_unary_coefficients;

/* Functions that take less time than a call for each element does. */
typedef enum q8_unary_rows {
  Q8_ROWS_NONE,
  Q8_ROWS_CLIP, /* to [alpha, beta] */
  Q8_ROWS_RELU,
  Q8_ROWS_LEAKY_RELU,
  Q8_ROWS_ABS,
  Q8_ROWS_NEG,
  Q8_ROWS_SIGN, /* of integers only */
  Q8_ROWS_SQRT,
  Q8_ROWS_RECIPROCAL,
  Q8_ROWS_FLOOR,
  Q8_ROWS_CEIL,
  Q8_ROWS_ROUND
} q8_unary_rows;
/* y[i] = f(x[i]); y may be x. */
void q8_unary_run_rows(q8_unary_rows f, const q8_unary_coefficients *a, size_t n, const float *x, float *y);

/* The variant of a record with `unary`, y = f(x): one of the first two, the others where they exist. */
typedef struct q8_unary_set {
  double (*wide)(const void *params, double x); /* f for all float types */
  float (*exact)(const void *params, float x);  /* f for float32 instead */
  uint8_t rows;                                 /* q8_unary_rows: f for rows of float32 */
  uint8_t whole;                                /* q8_unary_rows: f for integers */
  uint8_t
      kernel; /* q8_sunary_function: f for rows of float32, up to rounding; alpha and beta are the params */
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
