/* unary.h - elementwise functions of one input: one float step for rows, one table for int8. */
#ifndef Q8_OPS_UNARY_H
#define Q8_OPS_UNARY_H

#include "ops/common.h"

/* y[i] = f(x[i]); y may be x. */
typedef void q8_unary_rows(const void *params, size_t n, const float *x, float *y);

/* A function for rows of float32, for one double (the other float types) and, or NULL, for one integer of that sign. Where
 * kernels have the function, `kernel` gives it in place of `rows`. */
typedef struct q8_unary_set {
  q8_unary_rows *rows;
  double (*wide)(const void *params, double x);
  int64_t (*whole)(int64_t x, int sign);
  q8_sunary (*kernel)(const void *params);
} q8_unary_set;
q8_status q8_infer_unary_set(const q8_op_io *io, const q8_unary_set *set);
q8_status q8_eval_unary(const q8_op_io *io, const q8_unary_set *set);

/* Output 0 like input 0, which must be float32. */
q8_status q8_infer_unary(const q8_op_io *io);
/* Int8: a table. Float: a kernel or a step in whatever layout x has. Table and kernel become part of the step that makes x
 * where that is possible. Other types: `eval`. */
q8_status q8_plan_unary(q8_planner *planner, q8_id node, const void *params, const q8_unary_set *set,
                        qint8_error *error);

#endif
