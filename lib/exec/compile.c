/* compile.c - from graph and recipe to plan: bind shapes, let every node plan itself, lay out the arena. */
#include <string.h>

#include "exec/plan_internal.h"
#include "quant/loops.h"

void q8_plan_default_shapes(const q8_graph *graph, q8_shape *out) {
  for (size_t i = 0; i < graph->input_count; i++) {
    out[i] = graph->tensors[graph->inputs[i]].shape;
    if (out[i].rank < 0)
      out[i].rank = 0;
    for (int d = 0; d < out[i].rank; d++)
      if (out[i].dim[d] < 0)
        out[i].dim[d] = 1;
  }
}

static q8_status describe(q8_planner *planner, q8_id tensor, q8_plan_io *io, qint8_error *error) {
  const char *name = planner->graph->tensors[tensor].name;
  const q8_value *value = q8_plan_value(planner, tensor);
  io->name = planner->plan->tensor_names[tensor];
  io->dtype = value->dtype;
  io->shape = value->shape;
  if (qint8_dtype_size((qint8_dtype)value->dtype) == 0)
    return q8_fail(error, QINT8_ERROR_UNSUPPORTED, name, "element type %d", (int)value->dtype);
  return QINT8_OK;
}

/* Names, shapes and parameters of every tensor, for watchers and printing after the graph is gone. */
static q8_status copy_tensor_table(q8_planner *planner, qint8_error *error) {
  q8_plan *plan = planner->plan;
  const q8_graph *graph = planner->graph;
  size_t n = plan->tensor_count = graph->tensor_count;
  plan->tensor_names = q8_plan_alloc(planner, n + 1, sizeof *plan->tensor_names);
  plan->tensor_shapes = q8_plan_alloc(planner, n + 1, sizeof *plan->tensor_shapes);
  plan->tensor_scale = q8_plan_alloc(planner, n + 1, sizeof *plan->tensor_scale);
  plan->tensor_zero = q8_plan_alloc(planner, n + 1, sizeof *plan->tensor_zero);
  Q8_TRY(q8_pool_check(&plan->pool, "plan", error));
  for (size_t i = 0; i < n; i++) {
    plan->tensor_names[i] = q8_pool_string(&plan->pool, graph->tensors[i].name, strlen(graph->tensors[i].name));
    plan->tensor_shapes[i] = planner->binding->values[i].shape;
    q8_plan_quant(planner, (q8_id)i, &plan->tensor_scale[i], &plan->tensor_zero[i]);
  }
  return q8_pool_check(&plan->pool, "plan", error);
}

/* Keeps the data of an input that is a constant of the plan. */
static q8_status keep_bound(q8_planner *planner, q8_id tensor, q8_plan_io *io, qint8_error *error) {
  const q8_value *value = q8_plan_value(planner, tensor);
  size_t size = value->count * qint8_dtype_size((qint8_dtype)value->dtype);
  if (!value->data)
    return QINT8_OK;
  void *copy = q8_plan_alloc(planner, size ? size : 1, 1);
  Q8_TRY(q8_pool_check(&planner->plan->pool, io->name, error));
  memcpy(copy, value->data, size);
  io->bound = copy;
  return QINT8_OK;
}

/* Images are mostly read by convolutions. */
static int is_image(const q8_planner *planner, q8_id tensor) {
  return q8_plan_value(planner, tensor)->shape.rank == 4 && planner->graph->tensors[tensor].producer == Q8_NONE;
}

/* A value that only exists in float, but is quantized for every reader: rounded and clamped at once. */
static q8_status round_tensor(q8_planner *planner, q8_id tensor, int always, qint8_error *error) {
  q8_buffer *forms = planner->forms[tensor], rounded;
  q8_layout layout = forms[form_index(Q8_FORM_NATIVE, Q8_LINEAR)] != Q8_NONE ? Q8_LINEAR : Q8_CHANNELS_LAST;
  float scale;
  int32_t zero_point;
  if (!q8_plan_quant(planner, tensor, &scale, &zero_point) || !(always || planner->recipe->rounds[tensor]) ||
      q8_plan_value(planner, tensor)->dtype != QINT8_DTYPE_F32 ||
      forms[form_index(Q8_FORM_NATIVE, layout)] == Q8_NONE)
    return QINT8_OK;
  for (int other = 0; other < 2; other++)
    if (forms[form_index(Q8_FORM_INT8, (q8_layout)other)] != Q8_NONE)
      return QINT8_OK;
  Q8_TRY(q8_plan_input(planner, tensor, Q8_FORM_INT8, is_image(planner, tensor) ? Q8_CHANNELS_LAST : layout, &rounded,
                       error));
  for (int other = 0; other < 2; other++)
    forms[form_index(Q8_FORM_NATIVE, (q8_layout)other)] = Q8_NONE;
  return QINT8_OK;
}

static q8_status plan_inputs(q8_planner *planner, qint8_error *error) {
  q8_plan *plan = planner->plan;
  const q8_graph *graph = planner->graph;
  plan->input_count = graph->input_count;
  plan->inputs = q8_plan_alloc(planner, graph->input_count + 1, sizeof *plan->inputs);
  Q8_TRY(q8_pool_check(&plan->pool, "plan", error));
  for (size_t i = 0; i < graph->input_count; i++) {
    q8_buffer buffer;
    Q8_TRY(describe(planner, graph->inputs[i], &plan->inputs[i], error));
    Q8_TRY(keep_bound(planner, graph->inputs[i], &plan->inputs[i], error));
    Q8_TRY(q8_plan_output(planner, graph->inputs[i], Q8_FORM_NATIVE, Q8_LINEAR, &buffer, error));
    plan->buffers[buffer].place = PLACE_INPUT;
    plan->buffers[buffer].index = (int32_t)i;
    Q8_TRY(round_tensor(planner, graph->inputs[i], 0, error));
  }
  return QINT8_OK;
}

/* Weights whose integers the recipe holds become their values on the grid, for the int8 nodes that read them. */
static q8_status take_integers(q8_planner *planner, q8_id tensor, qint8_error *error) {
  const q8_tensor_quant *quant = q8_plan_recipe(planner, tensor);
  q8_value *value = &planner->binding->values[tensor];
  if (!quant || !quant->integers || !q8_plan_is_constant(planner, tensor) || quant->integer_count != value->count)
    return QINT8_OK;
  size_t inner = q8_shape_inner(&value->shape, quant->axis + 1);
  float *values = q8_pool_reserve(&planner->binding->pool, value->count + 1, sizeof *values);
  if (!values)
    return q8_fail_memory(error, planner->graph->tensors[tensor].name, value->count * sizeof *values);
  q8_grid_values(quant, NULL, inner, values, value->count);
  value->data = values;
  return QINT8_OK;
}

static q8_status take_weights(q8_planner *planner, qint8_error *error) {
  const q8_graph *graph = planner->graph;
  for (size_t n = 0; n < graph->node_count; n++)
    for (int32_t i = 1; i <= q8_weight_inputs(graph->nodes[n].op) && i < graph->nodes[n].input_count; i++)
      if (graph->nodes[n].inputs[i] != Q8_NONE && q8_plan_mode(planner, (q8_id)n) != Q8_MODE_FLOAT)
        Q8_TRY(take_integers(planner, graph->nodes[n].inputs[i], error));
  return QINT8_OK;
}

/* Weights that were packed need not stay in memory in the order of the file too. */
static void unload_weights(const q8_graph *graph, const q8_node *node) {
  for (int32_t i = 0; i < node->input_count; i++) {
    const q8_tensor *tensor = node->inputs[i] == Q8_NONE ? NULL : &graph->tensors[node->inputs[i]];
    if (tensor && tensor->integers)
      q8_unload(&graph->mapping, tensor->integers->values, q8_shape_count(&tensor->shape, NULL));
  }
}

static q8_status plan_nodes(q8_planner *planner, qint8_error *error) {
  const q8_graph *graph = planner->graph;
  for (size_t i = 0; i < graph->node_count; i++) {
    const q8_node *node = &graph->nodes[i];
    if (q8_plan_value(planner, node->outputs[0])->data)
      continue; /* folded while binding */
    if (planner->binding->needed && !planner->binding->needed[i])
      continue; /* of a branch that is not taken */
    if (node->op->family->plan)
      Q8_TRY(node->op->family->plan(planner, (q8_id)i, error));
    else
      Q8_TRY(q8_plan_eval(planner, (q8_id)i, error));
    unload_weights(graph, node);
    int is_static = q8_plan_mode(planner, (q8_id)i) == Q8_MODE_STATIC;
    for (int32_t j = 0; j < node->output_count; j++)
      if (node->outputs[j] != Q8_NONE)
        Q8_TRY(round_tensor(planner, node->outputs[j], is_static, error));
  }
  return QINT8_OK;
}

/* Whether the step that writes `buffer` may write to the user's memory instead: nobody else reads or aliases it. */
static int only_written(const q8_plan *plan, q8_buffer buffer) {
  const plan_buffer *b = &plan->buffers[buffer];
  if (b->root != buffer || b->place != PLACE_ARENA)
    return 0;
  for (size_t i = 0; i < plan->buffer_count; i++)
    if ((q8_buffer)i != buffer && plan->buffers[i].root == buffer)
      return 0;
  for (size_t i = 0; i < plan->step_count; i++) {
    const q8_buffer *in = q8_step_inputs(&plan->steps[i]);
    for (int32_t j = 0; j < plan->steps[i].in_count; j++)
      if (in[j] == buffer)
        return 0;
  }
  return 1;
}

static q8_status plan_outputs(q8_planner *planner, qint8_error *error) {
  q8_plan *plan = planner->plan;
  const q8_graph *graph = planner->graph;
  plan->output_count = graph->output_count;
  plan->outputs = q8_plan_alloc(planner, graph->output_count + 1, sizeof *plan->outputs);
  Q8_TRY(q8_pool_check(&plan->pool, "plan", error));
  for (size_t i = 0; i < graph->output_count; i++) {
    q8_id tensor = graph->outputs[i];
    q8_buffer buffer;
    Q8_TRY(describe(planner, tensor, &plan->outputs[i], error));
    Q8_TRY(q8_plan_input(planner, tensor, Q8_FORM_NATIVE, Q8_LINEAR, &buffer, error));
    q8_buffer root = plan->buffers[buffer].root;
    if (root == buffer && only_written(plan, buffer)) {
      plan->buffers[buffer].place = PLACE_OUTPUT;
      plan->buffers[buffer].index = (int32_t)i;
      continue;
    }
    q8_buffer user;
    Q8_TRY(q8_buffer_new(planner, plan->buffers[buffer].size, tensor, Q8_FORM_NATIVE, Q8_LINEAR, &user, error));
    plan->buffers[user].place = PLACE_OUTPUT;
    plan->buffers[user].index = (int32_t)i;
    Q8_TRY(q8_plan_copy(planner, tensor, buffer, user, error));
  }
  return QINT8_OK;
}

/* Packed weights are most of a large plan: one block of memory for them, where the host has it. */
#define LARGE_PLAN ((size_t)1 << 22)

static void expect_weights(q8_planner *planner) {
  size_t total = 0;
  for (size_t n = 0; n < planner->graph->node_count; n++) {
    const q8_node *node = &planner->graph->nodes[n];
    if (node->op->quant != Q8_QUANT_WEIGHTED || !q8_plan_is_constant(planner, node->inputs[1]))
      continue;
    size_t element = q8_plan_mode(planner, (q8_id)n) == Q8_MODE_FLOAT ? sizeof(float) : 1;
    total += q8_plan_value(planner, node->inputs[1])->count * element;
  }
  if (total >= LARGE_PLAN)
    q8_pool_expect(&planner->plan->pool, total + total / 32); /* panels are padded */
}

static size_t larger_result(const q8_plan *plan, const q8_step *step, size_t largest) {
  size_t count = step->tensor == Q8_NONE ? 0 : q8_shape_count(&plan->tensor_shapes[step->tensor], NULL);
  return count > largest ? count : largest;
}

/* What a watcher may see: inputs and the results of steps. */
static size_t largest_watched(const q8_plan *plan) {
  size_t largest = 0;
  for (size_t i = 0; i < plan->input_count; i++) {
    size_t count = q8_shape_count(&plan->inputs[i].shape, NULL);
    largest = count > largest ? count : largest;
  }
  for (size_t i = 0; i < plan->step_count; i++) {
    const q8_step *step = &plan->steps[i];
    largest = larger_result(plan, step, largest);
    for (int32_t j = 0; j < step->part_count; j++)
      largest = larger_result(plan, &step->parts[j], largest);
  }
  return largest;
}

static q8_status compile(q8_planner *planner, const q8_plan_config *config, qint8_error *error) {
  q8_plan *plan = planner->plan;
  const q8_graph *graph = planner->graph;
  if (planner->recipe &&
      (planner->recipe->tensor_count != graph->tensor_count || planner->recipe->node_count != graph->node_count))
    return q8_fail(error, QINT8_ERROR_ARGUMENT, "recipe", "the recipe was made for another model");
  Q8_TRY(q8_bind(graph, config->inputs, config->values, &planner->host, &planner->binding, error));
  planner->forms = q8_alloc(&planner->host, graph->tensor_count + 1, sizeof *planner->forms);
  if (!planner->forms)
    return q8_fail_memory(error, "plan", graph->tensor_count * sizeof *planner->forms);
  for (size_t i = 0; i < graph->tensor_count; i++)
    for (int f = 0; f < FORM_COUNT; f++)
      planner->forms[i][f] = Q8_NONE;
  expect_weights(planner);
  Q8_TRY(copy_tensor_table(planner, error));
  Q8_TRY(take_weights(planner, error));
  Q8_TRY(plan_inputs(planner, error));
  Q8_TRY(plan_nodes(planner, error));
  Q8_TRY(plan_outputs(planner, error));
  Q8_TRY(q8_plan_bands(planner, error));
  Q8_TRY(q8_plan_arena(planner, error));
  plan->max_watch_count = largest_watched(plan);
  return QINT8_OK;
}

q8_status q8_plan_compile(const q8_graph *graph, const q8_recipe *recipe, const q8_plan_config *config,
                          const q8_host *host, q8_plan **out, qint8_error *error) {
  *out = NULL;
  q8_plan *plan = q8_calloc(host, 1, sizeof *plan);
  if (!plan)
    return q8_fail_memory(error, "plan", sizeof *plan);
  q8_pool_init(&plan->pool, host);
  q8_kernels_select(config->mask, &plan->kernels);
  plan->isa = config->isa;
  plan->threads = host->threads;
  q8_planner planner = {.plan = plan, .host = *host, .plain = config->plain, .l2 = config->l2, .graph = graph, .recipe = recipe};
  q8_status status = compile(&planner, config, error);
  q8_binding_destroy(planner.binding);
  q8_free(host, planner.forms);
  if (status != QINT8_OK) {
    q8_plan_free(plan);
    return status;
  }
  *out = plan;
  return QINT8_OK;
}

void q8_plan_free(q8_plan *plan) {
  if (!plan)
    return;
  const q8_host *host = &plan->pool.host;
  q8_free(host, plan->buffers);
  q8_free(host, plan->steps);
  q8_pool_destroy(&plan->pool);
  q8_free(host, plan);
}

size_t q8_plan_input_count(const q8_plan *plan) {
  return plan->input_count;
}
size_t q8_plan_output_count(const q8_plan *plan) {
  return plan->output_count;
}
const q8_plan_io *q8_plan_input_info(const q8_plan *plan, size_t index) {
  return &plan->inputs[index];
}
const q8_plan_io *q8_plan_output_info(const q8_plan *plan, size_t index) {
  return &plan->outputs[index];
}
size_t q8_plan_step_count(const q8_plan *plan) {
  return plan->step_count;
}
const q8_step *q8_plan_step_at(const q8_plan *plan, size_t index, q8_shape *shape) {
  const q8_step *step = &plan->steps[index];
  q8_id tensor = step->tensor != Q8_NONE ? step->tensor : plan->buffers[step->out[0]].tensor;
  *shape = plan->tensor_shapes[tensor];
  return step;
}
const char *q8_plan_isa_name(const q8_plan *plan) {
  return plan->isa;
}
size_t q8_plan_arena_bytes(const q8_plan *plan) {
  return plan->arena_size;
}
size_t q8_plan_weight_bytes(const q8_plan *plan) {
  return plan->pool.size;
}
