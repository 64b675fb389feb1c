#include "ptq/mixed.h"

#include "ops/op.h"
#include "ptq/ranges.h"

int q8_is_mixable(const q8_graph *graph, const q8_recipe *recipe, size_t node) {
  q8_quant_rule rule = graph->nodes[node].op->quant;
  return recipe->modes[node] != Q8_MODE_FLOAT && rule != Q8_QUANT_SAME && rule != Q8_QUANT_SHARED;
}

size_t q8_float_nodes(const q8_graph *graph, const q8_recipe *recipe) {
  size_t count = 0;
  for (size_t n = 0; n < graph->node_count; n++) {
    const q8_node *node = &graph->nodes[n];
    count += recipe->modes[n] == Q8_MODE_FLOAT && q8_weight_inputs(node->op) > 0 &&
             q8_graph_is_constant(graph, node->inputs[1]);
  }
  return count;
}

static int is_static_follower(const q8_graph *graph, const q8_recipe *recipe, size_t n) {
  return recipe->modes[n] == Q8_MODE_STATIC && graph->nodes[n].op->quant != Q8_QUANT_WEIGHTED;
}

/* Whether an activation of the node comes from one that has just become float. What was float before stays a reason to
 * quantize here. */
static int lost_producer(const q8_graph *graph, const q8_recipe *recipe, const uint8_t *was_float,
                         const q8_node *node) {
  for (int32_t i = 0; i < node->input_count; i++) {
    q8_id producer = q8_takes_activation(graph, node, i) ? graph->tensors[node->inputs[i]].producer : Q8_NONE;
    if (producer != Q8_NONE && recipe->modes[producer] == Q8_MODE_FLOAT && !was_float[producer])
      return 1;
  }
  return 0;
}

/* In execution order, so that it goes through a whole chain. */
static void follow_producers(const q8_graph *graph, q8_recipe *recipe, const uint8_t *was_float) {
  for (size_t n = 0; n < graph->node_count; n++)
    if (is_static_follower(graph, recipe, n) && lost_producer(graph, recipe, was_float, &graph->nodes[n]))
      recipe->modes[n] = Q8_MODE_FLOAT;
}

/* Against execution order: `read` marks tensors that an int8 node reads. */
static void follow_readers(const q8_graph *graph, q8_recipe *recipe, uint8_t *read) {
  for (size_t n = graph->node_count; n-- > 0;) {
    const q8_node *node = &graph->nodes[n];
    int wanted = 0;
    for (int32_t i = 0; i < node->output_count; i++)
      wanted |= node->outputs[i] != Q8_NONE && read[node->outputs[i]];
    if (is_static_follower(graph, recipe, n) && !wanted)
      recipe->modes[n] = Q8_MODE_FLOAT;
    for (int32_t i = 0; i < node->input_count && recipe->modes[n] != Q8_MODE_FLOAT; i++)
      if (node->inputs[i] != Q8_NONE)
        read[node->inputs[i]] = 1;
  }
}

/* What int8 nodes read, and what those write that are not weighted; and what a file rounds for all readers. */
static void drop_unused(const q8_graph *graph, q8_recipe *recipe, uint8_t *used) {
  for (size_t n = 0; n < graph->node_count; n++)
    for (int32_t i = 0; is_static_follower(graph, recipe, n) && i < graph->nodes[n].output_count; i++)
      if (graph->nodes[n].outputs[i] != Q8_NONE)
        used[graph->nodes[n].outputs[i]] = 1;
  for (size_t t = 0; t < graph->tensor_count; t++)
    if (!used[t] && !recipe->rounds[t])
      recipe->tensors[t].dtype = QINT8_DTYPE_NONE;
}

static q8_status settle(const q8_graph *graph, q8_recipe *recipe, const uint8_t *keep_float, qint8_error *error) {
  const q8_host *host = &recipe->pool.host;
  uint8_t *read = q8_calloc(host, graph->tensor_count + 1, 1), *was_float = q8_calloc(host, graph->node_count + 1, 1);
  q8_status status = read && was_float ? QINT8_OK : q8_fail_memory(error, "recipe", graph->tensor_count);
  for (size_t n = 0; status == QINT8_OK && n < graph->node_count; n++) {
    was_float[n] = recipe->modes[n] == Q8_MODE_FLOAT;
    if (keep_float[n])
      recipe->modes[n] = Q8_MODE_FLOAT;
  }
  if (status == QINT8_OK) {
    follow_producers(graph, recipe, was_float);
    follow_readers(graph, recipe, read);
    drop_unused(graph, recipe, read);
  }
  q8_free(host, was_float);
  q8_free(host, read);
  return status;
}

q8_status q8_mix_recipe(const q8_graph *graph, const q8_recipe *recipe, const uint8_t *keep_float, q8_recipe **out,
                        qint8_error *error) {
  Q8_TRY(q8_recipe_copy(recipe, out, error));
  q8_status status = settle(graph, *out, keep_float, error);
  if (status != QINT8_OK) {
    q8_recipe_free(*out);
    *out = NULL;
  }
  return status;
}
