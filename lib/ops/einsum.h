/* einsum.h - an Einsum equation resolved against shapes. */
#ifndef Q8_OPS_EINSUM_H
#define Q8_OPS_EINSUM_H

#include "ops/common.h"

#define Q8_EINSUM_LABELS 32
#define Q8_EINSUM_OPERANDS 8

/* Labels: those of the output first, in its order, then those that are summed. A dimension behind an ellipsis has a
 * label of its own. Strides are in elements, 0 where an operand repeats along a label. */
typedef struct q8_einsum {
  int32_t operands, outputs, labels; /* labels [0, outputs) make the result, [outputs, labels) are summed */
  uint32_t used[Q8_EINSUM_OPERANDS]; /* bit per label that the operand has */
  int64_t dim[Q8_EINSUM_LABELS];
  int64_t stride[Q8_EINSUM_OPERANDS][Q8_EINSUM_LABELS];
} q8_einsum;

typedef struct q8_einsum_params {
  char equation[Q8_TEXT_SIZE];
} q8_einsum_params;

q8_status q8_einsum_of(const q8_op_io *io, q8_einsum *out);
q8_status q8_einsum_plan(q8_planner *planner, q8_id node);

#endif
