/* concat.c - Concat: inputs side by side along an axis. */
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include "ops/common.h"

typedef struct concat_params {
  int64_t axis;
} concat_params;

static const q8_attribute attributes[] = {
    {"axis", Q8_ATTR_INT, offsetof(concat_params, axis), 1, 0, 0}};

static q8_status infer(const q8_op_io *io) {
  q8_shape y = io->inputs[0]->shape;
  int32_t axis = q8_axis_of(io);
  for (int32_t i = 1; i < io->node->input_count; i++) {
    const q8_shape *x = &io->inputs[i]->shape;
    int fits = x->rank == y.rank && io->inputs[i]->dtype == io->inputs[0]->dtype;
    for (int32_t d = 0; fits && d < y.rank; d++)
      fits = d == axis || x->dim[d] == y.dim[d];
    if (!fits) {
      return q8_op_fail(io, QINT8_ERROR_SHAPE,
                        "inputs of shapes %p and %p (types %d and %d) cannot be joined along axis %d",
                        &io->inputs[0]->shape, x, (int)io->inputs[0]->dtype, (int)io->inputs[i]->dtype,
                        (int)axis);
    }
    y.dim[axis] += x->dim[axis];
  }
  return q8_infer_shaped(io, &y);
}

static q8_status eval(const q8_op_io *io) {
  const q8_shape *y = &io->outputs[0].shape;
  int32_t axis = q8_axis_of(io);
  size_t rows = q8_dims(y, 0, axis), element = qint8_dtype_size((qint8_dtype)io->outputs[0].dtype);
  size_t stride = q8_dims(y, axis, y->rank) * element, at = 0;
  for (int32_t i = 0; i < io->node->input_count; i++) {
    size_t size = q8_dims(&io->inputs[i]->shape, axis, y->rank) * element;
    q8_copy_rows(rows, size, io->inputs[i]->data, (char *)io->outputs[0].data + at, stride);
    at += size;
  }
  return QINT8_OK;
}

/* The inputs that are copied. */
typedef struct concat_step {
  int32_t count;
  size_t rows, stride; /* bytes of an output row */
  size_t *size, *at;   /* [count] bytes of an input's row, and where it begins in the output's */
} concat_step;

static void run_concat(const q8_step_run *r) {
  const concat_step *p = r->params;
  for (int32_t i = 0; i < p->count; i++)
    q8_copy_rows(p->rows, p->size[i], r->in[i], (char *)r->out[0] + p->at[i], p->stride);
}

/* The dimension before which rows begin, in the order of the layout: in [N, d..., C], C is last. */
static size_t rows_before(const q8_shape *shape, int32_t axis, q8_layout layout) {
  if (layout == Q8_LINEAR || axis == 0)
    return q8_dims(shape, 0, axis);
  size_t batch = (size_t)shape->dim[0];
  return axis == 1 ? batch * q8_dims(shape, 2, shape->rank) : batch * q8_dims(shape, 2, axis);
}

static int all_same_quant(const q8_planner *planner, const q8_node *n) {
  for (int32_t i = 0; i < n->input_count; i++)
    if (!q8_same_quant(planner, n->inputs[i], n->outputs[0]))
      return 0;
  return 1;
}

static q8_layout choose_layout(const q8_planner *planner, const q8_node *n) {
  for (int32_t i = 0; i < n->input_count; i++)
    if (q8_plan_layout(planner, n->inputs[i]) == Q8_CHANNELS_LAST)
      return Q8_CHANNELS_LAST;
  return Q8_LINEAR;
}

/* Those inputs whose producers cannot write into the output, which exists, become inputs of the step. */
static q8_status take_inputs(q8_planner *planner, const q8_node *n, q8_form_type form, q8_layout layout, size_t element,
                             concat_step *p, q8_step *step) {
  size_t at = 0;
  for (int32_t i = 0; i < n->input_count; i++) {
    size_t row = p->rows ? q8_plan_value(planner, n->inputs[i])->count / p->rows : 0, size = row * element;
    if (!q8_plan_place(planner, n->inputs[i], form, layout, row, step->out[0], at / element, p->stride / element)) {
      Q8_TRY(q8_plan_input(planner, n->inputs[i], form, layout, &step->more_in[p->count]));
      p->size[p->count] = size;
      p->at[p->count++] = at;
    }
    at += size;
  }
  step->in_count = p->count;
  return QINT8_OK;
}

static q8_status plan(q8_planner *planner, q8_id node) {
  const q8_node *n = q8_plan_node(planner, node);
  const q8_value *y = q8_plan_value(planner, n->outputs[0]);
  int int8 = q8_plan_mode(planner, node) == Q8_MODE_STATIC && all_same_quant(planner, n);
  q8_form_type form = int8 ? Q8_FORM_INT8 : Q8_FORM_NATIVE;
  q8_layout layout = choose_layout(planner, n);
  int32_t axis = q8_axis(((const concat_params *)n->params)->axis, y->shape.rank);
  size_t element = int8 ? 1 : qint8_dtype_size((qint8_dtype)y->dtype), inputs = (size_t)n->input_count;
  q8_step *step;
  concat_step *p = q8_plan_begin(planner, "concat", run_concat, sizeof *p, &step);
  size_t *sizes = q8_plan_alloc(planner, 2 * inputs, sizeof *sizes);
  step->more_in = q8_plan_alloc(planner, inputs, sizeof *step->more_in);
  if (!p || !sizes || !step->more_in)
    return QINT8_ERROR_MEMORY;
  p->size = sizes;
  p->at = sizes + inputs;
  p->rows = rows_before(&y->shape, axis, layout);
  p->stride = p->rows ? y->count / p->rows * element : 0;
  Q8_TRY(q8_plan_output(planner, n->outputs[0], form, layout, &step->out[0]));
  Q8_TRY(take_inputs(planner, n, form, layout, element, p, step));
  if (int8)
    step->precision = "int8";
  step->out_count = 1;
  if (!p->count)
    snprintf(step->note, sizeof step->note, "in place"); /* nothing to do but to show the result */
  return q8_plan_add(planner, step);
}

const q8_op q8_op_concat = {
    .name = "Concat", Q8_OPSETS(4, 21), Q8_INPUTS(1, -1), Q8_OUTPUTS(1, 1),
    Q8_ATTRIBUTES(attributes), .params_size = sizeof(concat_params), .quant = Q8_QUANT_SHARED, .has_axis = 1,
    .family = &(const q8_op_family){.infer = infer, .eval = eval, .plan = plan}};
