/* planner.c - the questions and services of ops/plan.h. */
#include <stdio.h>
#include <string.h>

#include "exec/plan_internal.h"

const q8_node *q8_plan_node(const q8_planner *planner, q8_id node) {
  return &planner->graph->nodes[node];
}
const q8_value *q8_plan_value(const q8_planner *planner, q8_id tensor) {
  return &planner->binding->values[tensor];
}
int q8_plan_is_constant(const q8_planner *planner, q8_id tensor) {
  return q8_plan_value(planner, tensor)->data || planner->graph->tensors[tensor].integers;
}
q8_status q8_plan_floats(q8_planner *planner, q8_id tensor, const float **out) {
  Q8_TRY(q8_bind_floats(planner->graph, planner->binding, tensor, planner->error));
  *out = q8_plan_value(planner, tensor)->data;
  return QINT8_OK;
}
const int8_t *q8_plan_integers(const q8_planner *planner, q8_id tensor) {
  const q8_int8_values *kept = planner->graph->tensors[tensor].integers;
  const q8_tensor_quant *quant = q8_plan_recipe(planner, tensor);
  if (!kept || q8_plan_value(planner, tensor)->data || !quant || quant->integers || quant->dtype != QINT8_DTYPE_S8 ||
      quant->count != kept->count ||
      (quant->count > 1 && quant->axis != kept->axis) ||
      memcmp(quant->scale, kept->scale, (size_t)kept->count * sizeof *kept->scale))
    return NULL;
  for (int32_t i = 0; i < quant->count; i++)
    if (quant->zero_point[i] != 0)
      return NULL;
  return kept->values;
}
const q8_mapping *q8_plan_mapping(const q8_planner *planner) {
  return &planner->graph->mapping;
}
int q8_plan_is_plain(const q8_planner *planner) {
  return planner->plain;
}
const q8_kernels *q8_plan_kernels(const q8_planner *planner) {
  return &planner->plan->kernels;
}
int32_t q8_plan_threads(const q8_planner *planner) {
  return planner->host.threads;
}
q8_pool *q8_plan_pool(q8_planner *planner) {
  return &planner->plan->pool;
}
qint8_error *q8_plan_error(const q8_planner *planner) {
  return planner->error;
}

/* Memory of `count` elements, or NULL and an error. */
static void *checked(const q8_planner *planner, void *memory, size_t count, size_t size) {
  if (!memory)
    q8_fail_memory(planner->error, planner->where, count * size);
  return memory;
}
void *q8_plan_alloc(q8_planner *planner, size_t count, size_t size) {
  return checked(planner, q8_pool_alloc(&planner->plan->pool, count, size), count, size);
}
void *q8_plan_borrow(q8_planner *planner, size_t count, size_t size) {
  return checked(planner, q8_alloc(&planner->host, count, size), count, size);
}
void q8_plan_return(q8_planner *planner, void *memory) {
  q8_free(&planner->host, memory);
}
char *q8_plan_string(q8_planner *planner, const char *text) {
  size_t length = strlen(text);
  return checked(planner, q8_pool_string(&planner->plan->pool, text, length), length, 1);
}

const q8_tensor_quant *q8_plan_recipe(const q8_planner *planner, q8_id tensor) {
  if (!planner->recipe || tensor == Q8_NONE)
    return NULL;
  const q8_tensor_quant *quant = &planner->recipe->tensors[tensor];
  return q8_is_quantized(quant) ? quant : NULL;
}

int q8_plan_quant(const q8_planner *planner, q8_id tensor, float *scale, int32_t *zero_point) {
  const q8_tensor_quant *quant = q8_plan_recipe(planner, tensor);
  if (!quant || quant->count != 1 || quant->dtype == QINT8_DTYPE_S32)
    return 0;
  *scale = quant->scale[0];
  *zero_point = quant->zero_point[0] + (quant->dtype == QINT8_DTYPE_S8 ? 128 : 0);
  return 1;
}

static int has_quant(const q8_planner *planner, q8_id tensor) {
  float scale;
  int32_t zero_point;
  return q8_plan_quant(planner, tensor, &scale, &zero_point);
}

/* Whether the recipe gives all that a static int8 form of the node needs. */
static int static_is_possible(const q8_planner *planner, const q8_node *node) {
  if (node->op->quant == Q8_QUANT_FLOAT || node->op->quant == Q8_QUANT_RECURRENT || node->input_count < 1)
    return 0;
  if (node->op->two_activations && !q8_plan_is_constant(planner, node->inputs[1]))
    return has_quant(planner, node->inputs[0]) && has_quant(planner, node->inputs[1]);
  if (node->op->quant == Q8_QUANT_WEIGHTED)
    return node->input_count >= 2 && has_quant(planner, node->inputs[0]) &&
           q8_plan_is_constant(planner, node->inputs[1]) && q8_plan_recipe(planner, node->inputs[1]);
  for (int32_t i = 0; i < node->input_count; i++)
    if (node->inputs[i] != Q8_NONE && q8_plan_value(planner, node->inputs[i])->dtype == QINT8_DTYPE_F32 &&
        !has_quant(planner, node->inputs[i]) && !q8_is_parameter(node->op, i))
      return 0;
  for (int32_t i = 0; i < node->output_count; i++)
    if (node->outputs[i] != Q8_NONE && !has_quant(planner, node->outputs[i]))
      return 0;
  return 1;
}

q8_mode q8_plan_mode(const q8_planner *planner, q8_id id) {
  if (!planner->recipe)
    return Q8_MODE_FLOAT;
  const q8_node *node = &planner->graph->nodes[id];
  switch ((q8_mode)planner->recipe->modes[id]) {
  case Q8_MODE_STATIC:
    return static_is_possible(planner, node) ? Q8_MODE_STATIC : Q8_MODE_FLOAT;
  case Q8_MODE_DYNAMIC:
    for (int32_t i = 1; i <= q8_weight_inputs(node->op); i++)
      if (!q8_plan_is_constant(planner, node->inputs[i]) || !q8_plan_recipe(planner, node->inputs[i]))
        return Q8_MODE_FLOAT;
    return q8_weight_inputs(node->op) ? Q8_MODE_DYNAMIC : Q8_MODE_FLOAT;
  default:
    return Q8_MODE_FLOAT;
  }
}

q8_layout q8_plan_layout(const q8_planner *planner, q8_id tensor) {
  const q8_buffer *forms = planner->forms[tensor];
  int last = forms[form_index(Q8_FORM_NATIVE, Q8_CHANNELS_LAST)] != Q8_NONE ||
             forms[form_index(Q8_FORM_INT8, Q8_CHANNELS_LAST)] != Q8_NONE;
  return last ? Q8_CHANNELS_LAST : Q8_LINEAR;
}

q8_status q8_plan_input(q8_planner *planner, q8_id tensor, q8_form_type form, q8_layout layout, q8_buffer *out) {
  return q8_convert(planner, tensor, form, layout, out);
}

static size_t form_size(const q8_planner *planner, q8_id tensor, q8_form_type form) {
  const q8_value *value = q8_plan_value(planner, tensor);
  size_t element = form == Q8_FORM_INT8 ? 1 : qint8_dtype_size((qint8_dtype)value->dtype);
  return value->count * element; /* checked against overflow by q8_infer_set */
}

q8_status q8_buffer_new(q8_planner *planner, size_t size, q8_id tensor, q8_form_type form, q8_layout layout,
                        q8_buffer *out) {
  q8_plan *plan = planner->plan;
  *out = Q8_NONE;
  if (!q8_grow(&planner->host, (void **)&plan->buffers, &plan->buffer_capacity, plan->buffer_count + 1,
               sizeof *plan->buffers, plan->buffer_count))
    return q8_fail_memory(planner->error, "plan", plan->buffer_count * sizeof *plan->buffers);
  q8_buffer id = (q8_buffer)plan->buffer_count++;
  plan->buffers[id] = (plan_buffer){.size = size,
                                    .root = id,
                                    .first = -1,
                                    .last = -1,
                                    .tensor = tensor,
                                    .form = (uint8_t)form,
                                    .layout = (uint8_t)layout};
  *out = id;
  return QINT8_OK;
}

q8_status q8_plan_output(q8_planner *planner, q8_id tensor, q8_form_type form, q8_layout layout, q8_buffer *out) {
  *out = Q8_NONE;
  if (tensor == Q8_NONE) /* an optional output nobody asked for still needs somewhere to go */
    return q8_fail(planner->error, QINT8_ERROR_INTERNAL, "plan", "an output without a tensor");
  if (form == Q8_FORM_INT8 && !has_quant(planner, tensor))
    return q8_fail(planner->error, QINT8_ERROR_INTERNAL, planner->graph->tensors[tensor].name,
                   "int8 form of a tensor without parameters");
  Q8_TRY(q8_buffer_new(planner, form_size(planner, tensor, form), tensor, form, layout, out));
  planner->forms[tensor][form_index(form, layout)] = *out;
  return QINT8_OK;
}

q8_status q8_plan_alias(q8_planner *planner, q8_id tensor, q8_form_type form, q8_layout layout, q8_buffer buffer) {
  q8_buffer alias;
  size_t size = form_size(planner, tensor, form);
  if (size > planner->plan->buffers[buffer].size)
    return q8_fail(planner->error, QINT8_ERROR_INTERNAL, planner->graph->tensors[tensor].name,
                   "alias of %zu bytes in a buffer of %zu", size, planner->plan->buffers[buffer].size);
  Q8_TRY(q8_buffer_new(planner, size, tensor, form, layout, &alias));
  planner->plan->buffers[alias].root = planner->plan->buffers[buffer].root;
  planner->forms[tensor][form_index(form, layout)] = alias;
  return QINT8_OK;
}

void q8_plan_step(q8_planner *planner, q8_id node, const char *kind, q8_step_fn *run, q8_step *out) {
  *out = (q8_step){.kind = kind, .kernel = "", .precision = "fp32", .run = run, .tensor = Q8_NONE};
  if (node == Q8_NONE) {
    out->name = "";
    return;
  }
  const q8_node *n = &planner->graph->nodes[node];
  out->name = n->name;
  out->tensor = n->outputs[0];
}

void *q8_plan_begin(q8_planner *planner, const char *kind, q8_step_fn *run, size_t params_size, q8_step **step) {
  void *params = q8_plan_alloc(planner, 1, params_size);
  *step = &planner->step;
  q8_plan_step(planner, planner->node, kind, run, *step);
  planner->step.params = params;
  return params;
}

q8_status q8_plan_finish(q8_planner *planner, q8_step *step, uint32_t inputs, q8_form_type in, q8_form_type out,
                         q8_layout layout) {
  const q8_node *node = &planner->graph->nodes[planner->node];
  if (in == Q8_FORM_INT8)
    step->precision = "int8";
  for (int32_t i = 0; i < node->input_count; i++)
    if (inputs >> i & 1 && node->inputs[i] != Q8_NONE)
      Q8_TRY(q8_plan_input(planner, node->inputs[i], in, i ? Q8_LINEAR : layout, &step->in[step->in_count++]));
  for (int32_t i = 0; i < node->output_count; i++)
    Q8_TRY(q8_plan_output(planner, node->outputs[i], out, layout, &step->out[step->out_count++]));
  return q8_plan_add(planner, step);
}

/* Why a step of a quantized plan is float. */
static void note_float(const q8_planner *planner, q8_step *step) {
  if (!planner->recipe || step->note[0] || strcmp(step->precision, "fp32") || step->tensor == Q8_NONE)
    return;
  q8_id id = planner->graph->tensors[step->tensor].producer;
  if (id == Q8_NONE || q8_plan_mode(planner, id) != Q8_MODE_FLOAT)
    return;
  const q8_op *op = planner->graph->nodes[id].op;
  const char *why = op->quant == Q8_QUANT_FLOAT && op->family->int8_obstacle ? op->family->int8_obstacle
                    : planner->recipe->modes[id] == Q8_MODE_FLOAT    ? "the recipe keeps it float"
                                                                     : "an input or output has no parameters";
  snprintf(step->note, sizeof step->note, "float: %s", why);
}

q8_status q8_plan_add(q8_planner *planner, const q8_step *step) {
  q8_plan *plan = planner->plan;
  if (!q8_grow(&planner->host, (void **)&plan->steps, &plan->step_capacity, plan->step_count + 1, sizeof *plan->steps,
               plan->step_count))
    return q8_fail_memory(planner->error, "plan", plan->step_count * sizeof *plan->steps);
  q8_step *added = &plan->steps[plan->step_count++];
  *added = *step;
  note_float(planner, added);
  added->name = q8_plan_string(planner, step->name);
  if (!added->name)
    return QINT8_ERROR_MEMORY;
  const q8_buffer *in = q8_step_inputs(step);
  for (int32_t i = 0; i < step->in_count; i++)
    added->bytes += (int64_t)plan->buffers[in[i]].size;
  for (int32_t i = 0; i < step->out_count; i++)
    added->bytes += (int64_t)plan->buffers[q8_step_outputs(step)[i]].size;
  return QINT8_OK;
}
