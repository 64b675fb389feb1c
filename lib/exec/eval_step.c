/* eval_step.c - any operator as a float step: its reference evaluation on the ONNX layout. */
#include <string.h>

#include "exec/plan_internal.h"
#include "ops/common.h"

typedef struct eval_params {
  q8_node node; /* a copy: the plan outlives the graph */
  int32_t input_count, output_count;
  q8_value *inputs, *outputs; /* shapes; data is filled in at run time, in scratch */
  uint8_t *present;           /* [input_count] */
} eval_params;

static void run_eval(const q8_step_run *r) {
  const eval_params *p = r->params;
  q8_value *inputs = r->scratch, *outputs = inputs + p->input_count;
  const q8_value **pointers = (const q8_value **)(outputs + p->output_count);
  memcpy(inputs, p->inputs, (size_t)p->input_count * sizeof *inputs);
  memcpy(outputs, p->outputs, (size_t)p->output_count * sizeof *outputs);
  int32_t next = 0;
  for (int32_t i = 0; i < p->input_count; i++) {
    pointers[i] = p->present[i] ? &inputs[i] : NULL;
    if (p->present[i])
      inputs[i].data = (void *)(uintptr_t)r->in[next++];
  }
  for (int32_t i = 0; i < p->output_count; i++)
    outputs[i].data = r->out[i];
  q8_op_io io = {.node = &p->node, .inputs = pointers, .outputs = outputs, .error = r->error};
  q8_status status = p->node.op->family->eval(&io);
  if (status != QINT8_OK)
    *r->status = status;
}

static eval_params *copy_node(q8_planner *planner, const q8_node *node) {
  eval_params *p = q8_plan_alloc(planner, 1, sizeof *p);
  size_t params_size = node->op->params_size;
  void *params = q8_plan_alloc(planner, 1, params_size ? params_size : 1);
  size_t in = (size_t)node->input_count, out = (size_t)node->output_count;
  if (!p || !params)
    return NULL;
  p->node = *node;
  p->node.name = q8_plan_string(planner, node->name);
  p->node.params = params;
  p->node.inputs = p->node.outputs = NULL;
  p->input_count = node->input_count;
  p->output_count = node->output_count;
  p->inputs = q8_plan_alloc(planner, in + 1, sizeof *p->inputs);
  p->outputs = q8_plan_alloc(planner, out + 1, sizeof *p->outputs);
  p->present = q8_plan_alloc(planner, in + 1, 1);
  if (!p->node.name || !p->inputs || !p->outputs || !p->present)
    return NULL;
  if (params_size)
    memcpy(params, node->params, params_size);
  return p;
}

/* The node's evaluation on linear tensors: in float, or, where it only moves values, on their int8 form. */
static q8_status plan_eval(q8_planner *planner, q8_id id, q8_form_type form) {
  const q8_node *node = &planner->graph->nodes[id];
  q8_step step;
  q8_plan_step(planner, id, node->op->name, run_eval, &step);
  eval_params *p = copy_node(planner, node);
  step.more_in = q8_plan_alloc(planner, (size_t)node->input_count + 1, sizeof *step.more_in);
  step.more_out = q8_plan_alloc(planner, (size_t)node->output_count + 1, sizeof *step.more_out);
  if (!p || !step.more_in || !step.more_out)
    return QINT8_ERROR_MEMORY;
  for (int32_t i = 0; i < node->input_count; i++) {
    if (node->inputs[i] == Q8_NONE)
      continue;
    q8_form_type own = i == 0 ? form : Q8_FORM_NATIVE;
    p->present[i] = 1;
    p->inputs[i] = *q8_plan_value(planner, node->inputs[i]);
    p->inputs[i].dtype = own == Q8_FORM_INT8 ? QINT8_DTYPE_U8 : p->inputs[i].dtype;
    Q8_TRY(q8_plan_input(planner, node->inputs[i], own, Q8_LINEAR, &step.more_in[step.in_count++]));
  }
  for (int32_t i = 0; i < node->output_count; i++) {
    if (node->outputs[i] == Q8_NONE)
      return q8_fail(planner->error, QINT8_ERROR_UNSUPPORTED, node->name, "output %d is left out before a later one", i);
    p->outputs[i] = *q8_plan_value(planner, node->outputs[i]);
    p->outputs[i].dtype = form == Q8_FORM_INT8 ? QINT8_DTYPE_U8 : p->outputs[i].dtype;
    Q8_TRY(q8_plan_output(planner, node->outputs[i], form, Q8_LINEAR, &step.more_out[step.out_count++]));
  }
  step.params = p;
  step.precision = form == Q8_FORM_INT8 ? "int8" : "fp32";
  step.scratch_size = (size_t)(p->input_count + p->output_count) * sizeof(q8_value) +
                      (size_t)p->input_count * sizeof(q8_value *);
  /* The op's record lives in static storage, its name too. */
  return q8_plan_add(planner, &step);
}

q8_status q8_plan_eval(q8_planner *planner, q8_id id) {
  return plan_eval(planner, id, Q8_FORM_NATIVE);
}

q8_status q8_plan_move(q8_planner *planner, q8_id id) {
  const q8_node *node = &planner->graph->nodes[id];
  int int8 = q8_plan_mode(planner, id) == Q8_MODE_STATIC &&
             q8_plan_value(planner, node->inputs[0])->dtype == QINT8_DTYPE_F32;
  for (int32_t i = 0; int8 && i < node->output_count; i++)
    int8 = node->outputs[i] != Q8_NONE && q8_same_quant(planner, node->inputs[0], node->outputs[i]);
  return plan_eval(planner, id, int8 ? Q8_FORM_INT8 : Q8_FORM_NATIVE);
}
