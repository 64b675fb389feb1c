/* view.c - operators that give the same values another shape: Reshape, Flatten, Squeeze, Unsqueeze, Identity, Dropout.
 * In a plan they are another name for the same bytes. */
#include <inttypes.h>
#include <stddef.h>
#include <string.h>

#include "base/element.h"
#include "ops/common.h"
#include "ops/hooks.h"

typedef struct view_params {
  int64_t axis, allow_zero, seed;
  float ratio;
  q8_ints axes;
} view_params;

static q8_status eval(const q8_op_io *io) {
  q8_copy_input(io, 0);
  return QINT8_OK;
}

static q8_status alias(q8_planner *planner, q8_id node, int keep_layout) {
  const q8_node *n = q8_plan_node(planner, node);
  q8_id x = n->inputs[0], y = n->outputs[0];
  int int8 = q8_plan_mode(planner, node) == Q8_MODE_STATIC && q8_same_quant(planner, x, y);
  q8_form_type form = int8 ? Q8_FORM_INT8 : Q8_FORM_NATIVE;
  q8_layout layout = keep_layout ? q8_plan_layout(planner, x) : Q8_LINEAR;
  q8_buffer buffer;
  Q8_TRY(q8_plan_input(planner, x, form, layout, &buffer));
  return q8_plan_alias(planner, y, form, layout, buffer);
}

static q8_status plan_view(q8_planner *planner, q8_id node) {
  return alias(planner, node, 0);
}
static q8_status plan_same(q8_planner *planner, q8_id node) {
  return alias(planner, node, 1);
}

static q8_status fail_shape(const q8_op_io *io, const char *what, const q8_shape *other) {
  return q8_op_fail(io, QINT8_ERROR_SHAPE, "input of shape %p cannot be %s %p", &io->inputs[0]->shape, what,
                    other);
}

static q8_status infer_reshape(const q8_op_io *io) {
  const view_params *p = io->node->params;
  const q8_value *x = io->inputs[0];
  int32_t open = -1;
  q8_shape wanted;
  Q8_TRY(q8_infer_shape(io, 1, &wanted));
  q8_shape shape = wanted;
  for (int32_t i = 0; i < shape.rank; i++) {
    if (shape.dim[i] == 0 && !p->allow_zero) {
      if (i >= x->shape.rank)
        return fail_shape(io, "reshaped to", &wanted);
      shape.dim[i] = x->shape.dim[i];
    } else if (shape.dim[i] < -1 || (shape.dim[i] == -1 && open >= 0))
      return fail_shape(io, "reshaped to", &wanted);
    else if (shape.dim[i] == -1)
      open = i;
  }
  if (open >= 0) {
    shape.dim[open] = 1;
    size_t rest = q8_shape_count(&shape, NULL);
    if (rest == 0 || x->count % rest)
      return fail_shape(io, "reshaped to", &wanted);
    shape.dim[open] = (int64_t)(x->count / rest);
  }
  int ok;
  if (q8_shape_count(&shape, &ok) != x->count || !ok)
    return fail_shape(io, "reshaped to", &wanted);
  return q8_infer_shaped(io, &shape);
}

static q8_status infer_flatten(const q8_op_io *io) {
  const q8_shape *x = &io->inputs[0]->shape;
  int64_t axis = ((const view_params *)io->node->params)->axis;
  axis = axis < 0 ? axis + x->rank : axis;
  if (axis < 0 || axis > x->rank)
    return q8_bad_axis(io, axis, x);
  q8_shape y = {.rank = 2};
  y.dim[0] = (int64_t)q8_dims(x, 0, (int32_t)axis);
  y.dim[1] = (int64_t)q8_dims(x, (int32_t)axis, x->rank);
  return q8_infer_shaped(io, &y);
}

static q8_status infer_squeeze(const q8_op_io *io) {
  const q8_shape *x = &io->inputs[0]->shape;
  q8_ints axes;
  uint32_t mask = 0;
  if (q8_input(io, 1)) {
    Q8_TRY(q8_infer_ints(io, 1, &axes));
    Q8_TRY(q8_axes_mask(io, &axes, x->rank, 1, &mask));
  } else {
    for (int32_t i = 0; i < x->rank; i++)
      mask |= (uint32_t)(x->dim[i] == 1) << i;
  }
  q8_shape y = {.rank = 0};
  for (int32_t i = 0; i < x->rank; i++) {
    if (!(mask >> i & 1))
      y.dim[y.rank++] = x->dim[i];
    else if (x->dim[i] != 1)
      return q8_op_fail(io, QINT8_ERROR_SHAPE, "axis %d of shape %p is not of size 1", (int)i, x);
  }
  return q8_infer_shaped(io, &y);
}

static q8_status infer_unsqueeze(const q8_op_io *io) {
  const q8_shape *x = &io->inputs[0]->shape;
  q8_ints axes;
  uint32_t mask;
  Q8_TRY(q8_infer_ints(io, 1, &axes));
  q8_shape y = {.rank = x->rank + axes.count};
  if (y.rank > Q8_MAX_RANK)
    return q8_op_fail(io, QINT8_ERROR_LIMIT, "rank %d, at most %d", (int)y.rank, Q8_MAX_RANK);
  Q8_TRY(q8_axes_mask(io, &axes, y.rank, 1, &mask));
  for (int32_t i = 0, from = 0; i < y.rank; i++)
    y.dim[i] = mask >> i & 1 ? 1 : x->dim[from++];
  return q8_infer_shaped(io, &y);
}

/* ---- Dropout: inference keeps every value, and the mask says so ---- */

/* Opset 11 and older gave the ratio as an attribute and did not train. */
static q8_status upgrade_dropout(q8_upgrade *node) {
  ((view_params *)node->params)->ratio = 0.5f;
  return QINT8_OK;
}

static int is_zero(const q8_value *value) {
  return value && value->data && value->count == 1 && q8_element_double(value->dtype, value->data, 0) == 0;
}

static q8_status infer_dropout(const q8_op_io *io) {
  const q8_value *ratio = q8_input(io, 1), *training = q8_input(io, 2);
  if (training && !is_zero(training) && !is_zero(ratio))
    return q8_op_fail(io, QINT8_ERROR_UNSUPPORTED,
                      "Dropout in training mode; export the model for inference (model.eval())");
  Q8_TRY(q8_infer_same(io));
  return io->node->output_count > 1 ? q8_infer_set(io, 1, QINT8_DTYPE_BOOL, &io->inputs[0]->shape) : QINT8_OK;
}

static q8_status eval_dropout(const q8_op_io *io) {
  if (io->node->output_count > 1)
    memset(io->outputs[1].data, 1, io->outputs[1].count);
  return eval(io);
}

static q8_status plan_dropout(q8_planner *planner, q8_id node) {
  return q8_plan_node(planner, node)->output_count > 1 ? q8_plan_eval(planner, node)
                                                       : alias(planner, node, 1);
}

static const q8_attribute reshape_attributes[] = {
    {"allowzero", Q8_ATTR_INT, offsetof(view_params, allow_zero), 0, 0, 0}};
static const q8_attribute flatten_attributes[] = {
    {"axis", Q8_ATTR_INT, offsetof(view_params, axis), 0, 0, 1}};
static const q8_attribute axes_attributes[] = {
    {"axes", Q8_ATTR_INTS, offsetof(view_params, axes), 0, Q8_TO_INPUT(1), 13}};
static const q8_attribute dropout_attributes[] = {
    {"ratio", Q8_ATTR_FLOAT, offsetof(view_params, ratio), 0, 0, 0.5},
    {"seed", Q8_ATTR_INT, offsetof(view_params, seed), 0, 0, 0}};

#define VIEW(id, onnx_name, first_opset, least_inputs, most_inputs, list, infer_fn, plan_fn)           \
  const q8_op q8_op_##id = {                                                                                       \
      .name = onnx_name, Q8_OPSETS(first_opset, 21), Q8_INPUTS(least_inputs, most_inputs), Q8_OUTPUTS(1, 1),       \
      Q8_ATTRIBUTES(list), .params_size = sizeof(view_params), .quant = Q8_QUANT_SAME,                             \
      .family = &(const q8_op_family){.infer = infer_fn, .eval = eval, .plan = plan_fn}};

VIEW(reshape, "Reshape", 5, 2, 2, reshape_attributes, infer_reshape, plan_view)
VIEW(flatten, "Flatten", 1, 1, 1, flatten_attributes, infer_flatten, plan_view)
VIEW(squeeze, "Squeeze", 1, 1, 2, axes_attributes, infer_squeeze, plan_view)
VIEW(unsqueeze, "Unsqueeze", 1, 2, 2, axes_attributes, infer_unsqueeze, plan_view)
VIEW(identity, "Identity", 1, 1, 1, NULL, q8_infer_same, plan_same)

const q8_op q8_op_dropout = {
    .name = "Dropout", Q8_OPSETS(1, 21), Q8_INPUTS(1, 3), Q8_OUTPUTS(1, 2),
    Q8_ATTRIBUTES(dropout_attributes), .params_size = sizeof(view_params), .quant = Q8_QUANT_SAME,
    .family = &(const q8_op_family){.infer = infer_dropout, .eval = eval_dropout, .plan = plan_dropout,
                                    .upgrade = upgrade_dropout}};
