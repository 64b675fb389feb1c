/* plan_common.c - what the plan functions of several operators share. */
#include <string.h>

#include "ops/common.h"

q8_status q8_plan_step11(q8_planner *planner, q8_id node, const char *kind, q8_step_fn *run, const void *params,
                         q8_buffer in, q8_buffer out, const char *precision, qint8_error *error) {
  q8_step step;
  q8_plan_step(planner, node, kind, run, &step);
  step.precision = precision;
  step.params = params;
  step.in[0] = in;
  step.out[0] = out;
  step.in_count = step.out_count = 1;
  return q8_plan_add(planner, &step, error);
}

int q8_same_quant(const q8_planner *planner, q8_id a, q8_id b) {
  float sa, sb;
  int32_t za, zb;
  return q8_plan_quant(planner, a, &sa, &za) && q8_plan_quant(planner, b, &sb, &zb) && sa == sb && za == zb;
}
