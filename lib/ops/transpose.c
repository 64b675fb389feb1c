/* transpose.c - Transpose: y[i_perm] = x[i]. */
#include <stddef.h>

#include "base/cold.h"
#include "ops/common.h"

typedef struct transpose_params {
  q8_ints perm; /* absent: reversed */
} transpose_params;

static const q8_attribute attributes[] = {
    {"perm", Q8_ATTR_INTS, offsetof(transpose_params, perm), 0, 0, 0}};

static int32_t axis_of(const transpose_params *p, int32_t rank, int32_t i) {
  return p->perm.count < 0 ? rank - 1 - i : (int32_t)p->perm.v[i];
}

Q8_COLD static q8_status infer(const q8_op_io *io) {
  const transpose_params *p = io->node->params;
  const q8_shape *x = &io->inputs[0]->shape;
  q8_shape y = {.rank = x->rank};
  uint32_t seen = 0;
  for (int32_t i = 0; i < x->rank; i++) {
    int fine = p->perm.count < 0 || (p->perm.count == x->rank && p->perm.v[i] >= 0 && p->perm.v[i] < x->rank);
    int32_t axis = fine ? axis_of(p, x->rank, i) : 0;
    if (!fine || (seen >> axis & 1))
      return q8_op_fail(io, QINT8_ERROR_SHAPE, "perm is not a permutation of the axes of shape %p", x);
    seen |= 1u << axis;
    y.dim[i] = x->dim[axis];
  }
  return q8_infer_shaped(io, &y);
}

static void input_strides(const transpose_params *p, const q8_shape *x, int64_t *stride) {
  int64_t own[Q8_MAX_RANK];
  q8_strides(x, own);
  for (int32_t i = 0; i < x->rank; i++)
    stride[i] = own[axis_of(p, x->rank, i)];
}

static q8_status eval(const q8_op_io *io) {
  int64_t stride[Q8_MAX_RANK];
  input_strides(io->node->params, &io->inputs[0]->shape, stride);
  return q8_eval_view(io, &io->outputs[0].shape, 0, stride);
}

typedef struct transpose_step {
  size_t element;
  q8_shape shape;
  int64_t stride[Q8_MAX_RANK];
} transpose_step;

static void run_transpose(const q8_step_run *r) {
  const transpose_step *p = r->params;
  q8_copy_strided(p->element, &p->shape, r->in[0], p->stride, r->out[0]);
}

/* Whether only dimensions of size 1 change their place: then the bytes stay as they are. */
static int is_view(const transpose_params *p, const q8_shape *x) {
  int32_t last = -1;
  for (int32_t i = 0; i < x->rank; i++) {
    int32_t axis = axis_of(p, x->rank, i);
    if (x->dim[axis] == 1)
      continue;
    if (axis < last)
      return 0;
    last = axis;
  }
  return 1;
}

Q8_COLD static q8_status plan(q8_planner *planner, q8_id node) {
  const q8_node *n = q8_plan_node(planner, node);
  q8_id x = n->inputs[0], y = n->outputs[0];
  const q8_value *value = q8_plan_value(planner, x);
  int int8 = q8_plan_mode(planner, node) == Q8_MODE_STATIC && q8_same_quant(planner, x, y);
  q8_form_type form = int8 ? Q8_FORM_INT8 : Q8_FORM_NATIVE;
  q8_buffer in;
  Q8_TRY(q8_plan_input(planner, x, form, Q8_LINEAR, &in));
  if (is_view(n->params, &value->shape))
    return q8_plan_alias(planner, y, form, Q8_LINEAR, in);
  q8_step *step;
  transpose_step *p = q8_plan_begin(planner, "transpose", run_transpose, sizeof *p, &step);
  if (!p)
    return QINT8_ERROR_MEMORY;
  p->element = int8 ? 1 : qint8_dtype_size((qint8_dtype)value->dtype);
  p->shape = q8_plan_value(planner, y)->shape;
  input_strides(n->params, &value->shape, p->stride);
  return q8_plan_finish(planner, step, 1, form, form, Q8_LINEAR);
}

const q8_op q8_op_transpose = {
    .name = "Transpose", Q8_OPSETS(1, 21), Q8_INPUTS(1, 1), Q8_OUTPUTS(1, 1),
    Q8_ATTRIBUTES(attributes), .params_size = sizeof(transpose_params), .quant = Q8_QUANT_SAME,
    .family = &(const q8_op_family){.infer = infer, .eval = eval, .plan = plan}};
