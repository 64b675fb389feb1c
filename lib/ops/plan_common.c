/* plan_common.c - what the plan functions of several operators share. */
#include <string.h>

#include "ops/common.h"

q8_op_io q8_plan_op_io(const q8_planner *planner, q8_id id, const q8_value **values) {
  const q8_node *node = q8_plan_node(planner, id);
  for (int32_t i = 0; i < node->input_count; i++)
    values[i] = node->inputs[i] == Q8_NONE ? NULL : q8_plan_value(planner, node->inputs[i]);
  return (q8_op_io){.node = node, .inputs = values, .error = q8_plan_error(planner)};
}

int q8_same_quant(const q8_planner *planner, q8_id a, q8_id b) {
  float sa, sb;
  int32_t za, zb;
  return q8_plan_quant(planner, a, &sa, &za) && q8_plan_quant(planner, b, &sb, &zb) && sa == sb && za == zb;
}
