/* recipe_in.c - what a QDQ file said, as a recipe for the graph after rewrites. */
#include <string.h>

#include "onnx/importer.h"
#include "onnx/modes.h"
#include "onnx/qdq.h"
#include "ops/op.h"

static q8_status assign_entries(const q8_onnx_quant *quant, const q8_graph *graph, q8_recipe *recipe,
                                qint8_error *error) {
  for (size_t i = 0; i < quant->entry_count; i++) {
    const q8_tensor_quant *q = &quant->entries[i].quant;
    q8_id id = q8_graph_find(graph, quant->entries[i].name);
    if (id == Q8_NONE)
      continue;
    const q8_tensor *tensor = &graph->tensors[id];
    if (q->count > 1 && (q->axis >= tensor->shape.rank || tensor->shape.dim[q->axis] != q->count))
      continue; /* a rewrite changed the constant */
    Q8_TRY(q8_recipe_assign(recipe, id, q->dtype, q->axis, q->count, q->scale, q->zero_point, error));
    if (q->integers)
      Q8_TRY(q8_recipe_keep_integers(recipe, id, q->integers, q->integer_count, error));
    if (!q8_graph_is_constant(graph, id)) {
      recipe->activation_dtype = q->dtype;
      recipe->rounds[id] = !quant->entries[i].read_raw;
    }
  }
  return QINT8_OK;
}

static const q8_tensor_quant *rounding_of(const q8_onnx_quant *quant, const char *name) {
  for (size_t i = 0; i < quant->entry_count; i++)
    if (!quant->entries[i].read_raw && !strcmp(quant->entries[i].name, name))
      return &quant->entries[i].quant;
  return NULL;
}

/* Clamping commutes with rounding to the same integers. */
static int clamp_rounds_the_same(const q8_onnx_quant *quant, const q8_graph *graph, q8_id tensor,
                                 const q8_tensor_quant *rounding) {
  q8_id user = q8_graph_only_user(graph, tensor);
  const q8_node *n = user == Q8_NONE ? NULL : &graph->nodes[user];
  if (!n || n->inputs[0] != tensor || (strcmp(n->op->name, "Relu") && strcmp(n->op->name, "Clip")))
    return 0;
  const q8_tensor_quant *after = rounding_of(quant, graph->tensors[n->outputs[0]].name);
  return after && q8_qdq_equal(after, rounding);
}

void q8_onnx_pin(const q8_onnx_quant *quant, q8_graph *graph) {
  for (size_t i = 0; i < quant->entry_count; i++) {
    q8_id id = q8_graph_find(graph, quant->entries[i].name);
    if (id != Q8_NONE && !quant->entries[i].read_raw && graph->tensors[id].producer != Q8_NONE)
      graph->tensors[id].pinned = !clamp_rounds_the_same(quant, graph, id, &quant->entries[i].quant);
  }
}

/* For files of other tools, which do not name the configuration. */
static int32_t guess_config(const q8_onnx_quant *quant) {
  if (quant->config >= 0)
    return quant->config;
  if (quant->dynamic.count)
    return QINT8_CONFIG_DYNAMIC;
  for (size_t i = 0; i < quant->entry_count; i++)
    if (quant->entries[i].quant.count > 1)
      return QINT8_CONFIG_STATIC_PER_CHANNEL;
  return QINT8_CONFIG_STATIC_PER_TENSOR;
}

static q8_status fill(const q8_onnx_quant *quant, const q8_graph *graph, uint8_t *dynamic, q8_recipe *recipe,
                      qint8_error *error) {
  recipe->config = guess_config(quant);
  for (size_t i = 0; i < graph->tensor_count; i++)
    Q8_TRY(q8_recipe_set_name(recipe, (int32_t)i, graph->tensors[i].name, error));
  Q8_TRY(assign_entries(quant, graph, recipe, error));
  for (size_t i = 0; i < quant->dynamic.count; i++) {
    q8_id id = q8_graph_find(graph, quant->dynamic.names[i]);
    if (id != Q8_NONE)
      dynamic[id] = 1;
  }
  for (size_t i = 0; i < graph->node_count; i++) {
    recipe->node_output[i] = graph->nodes[i].outputs[0];
    recipe->modes[i] = (uint8_t)q8_onnx_infer_mode(graph, recipe, dynamic, &graph->nodes[i]);
  }
  for (size_t i = 0; i < quant->float_nodes.count; i++) {
    q8_id id = q8_graph_find(graph, quant->float_nodes.names[i]);
    if (id != Q8_NONE && graph->tensors[id].producer != Q8_NONE)
      recipe->modes[graph->tensors[id].producer] = Q8_MODE_FLOAT;
  }
  return QINT8_OK;
}

q8_status q8_onnx_recipe(const q8_onnx_quant *quant, const q8_graph *graph, const q8_host *host, q8_recipe **out,
                         qint8_error *error) {
  *out = NULL;
  uint8_t *dynamic = q8_calloc(host, graph->tensor_count + 1, 1);
  if (!dynamic)
    return q8_fail_memory(error, "recipe", graph->tensor_count);
  q8_status status = q8_recipe_new(host, graph->tensor_count, graph->node_count, out, error);
  if (status == QINT8_OK)
    status = fill(quant, graph, dynamic, *out, error);
  q8_free(host, dynamic);
  if (status != QINT8_OK) {
    q8_recipe_free(*out);
    *out = NULL;
  }
  return status;
}
