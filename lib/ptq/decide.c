#include "ptq/decide.h"

#include "ptq/decide_internal.h"

static int is_float(const q8_graph *graph, q8_id tensor) {
  int32_t dtype = graph->tensors[tensor].dtype;
  return dtype == QINT8_DTYPE_F32 || dtype == QINT8_DTYPE_NONE;
}

/* In execution order: a tensor that merely moves the values of a known one need not have been seen itself. */
static void find_known(q8_decision *d) {
  const q8_graph *graph = d->graph;
  for (size_t t = 0; t < graph->tensor_count; t++) {
    const q8_tensor *tensor = &graph->tensors[t];
    d->known[t] = tensor->data ? tensor->dtype == QINT8_DTYPE_F32
                               : is_float(graph, (q8_id)t) && q8_ranges_seen(d->ranges, (q8_id)t) != NULL;
  }
  for (size_t n = 0; n < graph->node_count; n++) {
    const q8_node *node = &graph->nodes[n];
    if (node->op->quant != Q8_QUANT_SAME || node->input_count < 1 || node->inputs[0] == Q8_NONE)
      continue;
    for (int32_t i = 0; i < node->output_count; i++)
      if (node->outputs[i] != Q8_NONE && is_float(graph, node->outputs[i]))
        d->known[node->outputs[i]] |= d->known[node->inputs[0]];
  }
}

static int weighted_can_be_static(const q8_decision *d, const q8_node *node) {
  return q8_has_constant_weights(d->graph, node) && d->known[node->inputs[0]] &&
         !q8_graph_is_constant(d->graph, node->inputs[0]);
}

static int is_useful_in_int8(const q8_decision *d, const q8_node *node) {
  if (node->op->quant == Q8_QUANT_FLOAT || node->op->quant == Q8_QUANT_RECURRENT)
    return 0;
  if (node->op->quant == Q8_QUANT_WEIGHTED)
    return weighted_can_be_static(d, node);
  int variable = 0, wanted = 0;
  for (int32_t i = 0; i < node->input_count; i++) {
    if (!q8_takes_activation(d->graph, node, i))
      continue;
    if (!d->known[node->inputs[i]])
      return 0;
    variable |= !q8_graph_is_constant(d->graph, node->inputs[i]);
  }
  for (int32_t i = 0; i < node->output_count; i++) {
    if (node->outputs[i] == Q8_NONE)
      continue;
    if (!d->known[node->outputs[i]])
      return 0;
    wanted |= d->wanted[node->outputs[i]];
  }
  return variable && wanted;
}

/* Against execution order, so that what reads a tensor was decided before what writes it. */
static void choose_static_nodes(q8_decision *d) {
  for (size_t n = d->graph->node_count; n-- > 0;) {
    const q8_node *node = &d->graph->nodes[n];
    if (d->late[n] || !is_useful_in_int8(d, node))
      continue;
    d->recipe->modes[n] = Q8_MODE_STATIC;
    for (int32_t i = 0; i < node->input_count; i++)
      if (q8_takes_activation(d->graph, node, i))
        d->wanted[node->inputs[i]] = 1;
  }
}

static int can_be_dynamic(const q8_graph *graph, const q8_node *node) {
  const q8_op_extras *extras = q8_extras(node->op);
  return q8_weight_inputs(node->op) && q8_has_constant_weights(graph, node) &&
         !q8_graph_is_constant(graph, node->inputs[0]) &&
         !(extras->dynamic_obstacle && extras->dynamic_obstacle(node));
}

#define MIN_STATE_WEIGHTS 8192 /* of one direction: with fewer, rounding the state at every step takes longer */

/* The state of a recurrent node needs the range of float, so its products are dynamic in static configurations too. */
static void choose_recurrent_nodes(q8_decision *d) {
  for (size_t n = 0; n < d->graph->node_count; n++) {
    const q8_node *node = &d->graph->nodes[n];
    if (node->op->quant != Q8_QUANT_RECURRENT || !can_be_dynamic(d->graph, node))
      continue;
    const q8_shape *state = &d->graph->tensors[node->inputs[2]].shape;
    int pays = d->force || state->dim[1] * state->dim[2] >= MIN_STATE_WEIGHTS;
    d->recipe->modes[n] = pays ? Q8_MODE_DYNAMIC : Q8_MODE_FLOAT;
    d->recipe->kept_float += !pays;
  }
}

static void choose_dynamic_nodes(q8_decision *d) {
  for (size_t n = 0; n < d->graph->node_count; n++)
    if (can_be_dynamic(d->graph, &d->graph->nodes[n]))
      d->recipe->modes[n] = Q8_MODE_DYNAMIC;
  choose_recurrent_nodes(d);
}

static q8_status name_all(const q8_graph *graph, q8_recipe *recipe, qint8_error *error) {
  for (size_t t = 0; t < graph->tensor_count; t++)
    Q8_TRY(q8_recipe_set_name(recipe, (int32_t)t, graph->tensors[t].name, error));
  for (size_t n = 0; n < graph->node_count; n++)
    recipe->node_output[n] = graph->nodes[n].output_count > 0 ? graph->nodes[n].outputs[0] : Q8_NONE;
  return QINT8_OK;
}

static q8_status decide_static(q8_decision *d, qint8_error *error) {
  d->known = q8_pool_alloc(&d->scratch, d->graph->tensor_count, 1);
  d->wanted = q8_pool_alloc(&d->scratch, d->graph->tensor_count, 1);
  Q8_TRY(q8_pool_check(&d->scratch, "recipe", error));
  find_known(d);
  Q8_TRY(q8_decide_late(d, error));
  choose_static_nodes(d);
  choose_recurrent_nodes(d);
  if (!d->force)
    Q8_TRY(q8_decide_speed(d, error));
  Q8_TRY(q8_decide_activations(d, error));
  return q8_decide_weights(d, error);
}

static q8_status decide(q8_decision *d, qint8_error *error) {
  Q8_TRY(name_all(d->graph, d->recipe, error));
  switch (d->recipe->config) {
  case QINT8_CONFIG_FP32:
    return QINT8_OK;
  case QINT8_CONFIG_DYNAMIC:
    choose_dynamic_nodes(d);
    if (!d->force)
      Q8_TRY(q8_decide_speed(d, error));
    return q8_decide_weights(d, error);
  default:
    return decide_static(d, error);
  }
}

q8_status q8_decide(const q8_graph *graph, const q8_ranges *ranges, int32_t config, int32_t activation_dtype,
                    int32_t force, const q8_host *host, q8_recipe **out, qint8_error *error) {
  *out = NULL;
  if (config == QINT8_CONFIG_QAT)
    return q8_fail(error, QINT8_ERROR_UNSUPPORTED, "config", "qat_int8 is not supported");
  if (config == QINT8_CONFIG_STATIC_PER_TENSOR || config == QINT8_CONFIG_STATIC_PER_CHANNEL) {
    if (!ranges)
      return q8_fail(error, QINT8_ERROR_ARGUMENT, "ranges", "static quantization needs ranges");
    if (!q8_ranges_fit(ranges, graph))
      return q8_fail(error, QINT8_ERROR_ARGUMENT, "ranges", "the ranges belong to another model");
  }
  q8_decision d = {.graph = graph, .ranges = ranges, .force = force};
  Q8_TRY(q8_recipe_new(host, graph->tensor_count, graph->node_count, &d.recipe, error));
  d.recipe->config = config;
  d.recipe->activation_dtype = activation_dtype;
  q8_pool_init(&d.scratch, host);
  q8_status status = decide(&d, error);
  q8_pool_destroy(&d.scratch);
  if (status != QINT8_OK) {
    q8_recipe_free(d.recipe);
    return status;
  }
  *out = d.recipe;
  return QINT8_OK;
}
