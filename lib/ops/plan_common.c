/* plan_common.c - what the plan functions of several operators share. */
#include <string.h>

#include "ops/common.h"

q8_op_io q8_plan_op_io(const q8_planner *planner, q8_id id, const q8_value **values) {
  const q8_node *node = q8_plan_node(planner, id);
  for (int32_t i = 0; i < node->input_count; i++)
    values[i] = node->inputs[i] == Q8_NONE ? NULL : q8_plan_value(planner, node->inputs[i]);
  return (q8_op_io){.node = node, .inputs = values, .error = q8_plan_error(planner)};
}

q8_status q8_plan_finish(q8_planner *planner, q8_id id, q8_step *step, uint32_t inputs, q8_form_type in,
                         q8_form_type out, q8_layout layout) {
  const q8_node *node = q8_plan_node(planner, id);
  for (int32_t i = 0; i < node->input_count; i++)
    if (inputs >> i & 1 && node->inputs[i] != Q8_NONE)
      Q8_TRY(q8_plan_input(planner, node->inputs[i], in, i ? Q8_LINEAR : layout, &step->in[step->in_count++]));
  for (int32_t i = 0; i < node->output_count; i++)
    Q8_TRY(q8_plan_output(planner, node->outputs[i], out, layout, &step->out[step->out_count++]));
  return q8_plan_add(planner, step);
}

q8_status q8_plan_step11(q8_planner *planner, q8_id node, const char *kind, q8_step_fn *run, const void *params,
                         q8_buffer in, q8_buffer out, const char *precision) {
  q8_step step;
  q8_plan_step(planner, node, kind, run, &step);
  step.precision = precision;
  step.params = params;
  step.in[0] = in;
  step.out[0] = out;
  step.in_count = step.out_count = 1;
  return q8_plan_add(planner, &step);
}

int q8_same_quant(const q8_planner *planner, q8_id a, q8_id b) {
  float sa, sb;
  int32_t za, zb;
  return q8_plan_quant(planner, a, &sa, &za) && q8_plan_quant(planner, b, &sb, &zb) && sa == sb && za == zb;
}
