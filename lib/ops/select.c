/* select.c - a value of an If: inputs are the condition and the value of either branch. Both branches are part of the
 * graph; as soon as the condition is known, binding follows one of them and the other is not planned. */
#include "ops/common.h"
#include "ops/hooks.h"

/* The input that the condition chooses, or -1. */
static int32_t chosen(const q8_op_io *io) {
  const q8_value *condition = io->inputs[0];
  if (!condition || !condition->data || condition->dtype != QINT8_DTYPE_BOOL || condition->count != 1)
    return -1;
  return *(const uint8_t *)condition->data ? 1 : 2;
}

static q8_status infer(const q8_op_io *io) {
  const q8_value *a = io->inputs[1], *b = io->inputs[2];
  if (io->inputs[0]->dtype != QINT8_DTYPE_BOOL || io->inputs[0]->count != 1)
    return q8_op_fail(io, QINT8_ERROR_SHAPE, "the condition is not one bool");
  if (a->dtype != b->dtype || !q8_shape_equal(&a->shape, &b->shape))
    return q8_op_fail(io, QINT8_ERROR_UNSUPPORTED,
                      "the condition is not known and the branches give different shapes: %p and %p",
                      &a->shape, &b->shape);
  return q8_infer_set(io, 0, a->dtype, &a->shape);
}

static q8_status eval(const q8_op_io *io) {
  q8_copy_input(io, chosen(io));
  return QINT8_OK;
}

static q8_status plan(q8_planner *planner, q8_id id) {
  const q8_node *node = q8_plan_node(planner, id);
  const q8_value *inputs[1] = {q8_plan_value(planner, node->inputs[0])};
  q8_op_io io = {.node = node, .inputs = inputs, .error = q8_plan_error(planner)};
  int32_t which = chosen(&io);
  if (which < 0)
    return q8_plan_eval(planner, id);
  q8_layout layout = q8_plan_layout(planner, node->inputs[which]);
  q8_buffer buffer;
  Q8_TRY(q8_plan_input(planner, node->inputs[which], Q8_FORM_NATIVE, layout, &buffer));
  return q8_plan_alias(planner, node->outputs[0], Q8_FORM_NATIVE, layout, buffer);
}

/* Where(condition, a, b): the same, as the branches have equal shapes. */
static q8_status expand(q8_exporter *exporter, const q8_graph *graph, const q8_node *node, qint8_error *error) {
  (void)graph, (void)error;
  const char *inputs[3];
  for (int32_t i = 0; i < 3; i++)
    inputs[i] = q8_export_input(exporter, node, i);
  q8_export_node(exporter, "Where", inputs, 3, q8_export_output(exporter, node, 0), NULL);
  return QINT8_OK;
}

const q8_op q8_op_select = {
    .name = "Select", Q8_OPSETS(1, 21), Q8_INPUTS(3, 3), Q8_OUTPUTS(1, 1),
    .pattern = 1, .quant = Q8_QUANT_FLOAT,
    .family = &(const q8_op_family){.int8_obstacle = "chooses between float tensors", .infer = infer,
                                    .eval = eval, .plan = plan,
                                    .extras = &(const q8_op_extras){.chosen = chosen, .expand = expand}}};
