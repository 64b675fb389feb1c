#include "onnx/modes.h"

static int is_int8(const q8_graph *graph, const q8_recipe *recipe, const q8_node *node, int32_t input) {
  if (node->input_count <= input || !q8_graph_is_constant(graph, node->inputs[input]))
    return 0;
  const q8_tensor_quant *quant = &recipe->tensors[node->inputs[input]];
  int any_zero = node->op->quant == Q8_QUANT_WEIGHTED; /* imported weights of these may be u8 or have a zero point */
  if (quant->dtype != QINT8_DTYPE_S8 && !(any_zero && quant->dtype == QINT8_DTYPE_U8))
    return 0;
  if (graph->tensors[node->inputs[input]].dtype != QINT8_DTYPE_F32)
    return 0;
  for (int32_t i = 0; i < quant->count; i++)
    if (quant->zero_point[i] != 0 && !any_zero)
      return 0;
  int32_t axis = q8_extras(node->op)->weight_axis ? q8_weight_axis(node) : 0;
  if (axis < 0)
    axis += graph->tensors[node->inputs[input]].shape.rank;
  return quant->count == 1 || quant->axis == axis;
}

int q8_onnx_weight_is_int8(const q8_graph *graph, const q8_recipe *recipe, const q8_node *node) {
  int32_t count = q8_weight_inputs(node->op);
  for (int32_t i = 1; i <= count; i++)
    if (!is_int8(graph, recipe, node, i))
      return 0;
  return count > 0;
}

static int is_activation_quant(const q8_recipe *recipe, q8_id tensor) {
  const q8_tensor_quant *quant = &recipe->tensors[tensor];
  return q8_is_quantized(quant) && quant->count == 1 && quant->dtype != QINT8_DTYPE_S32;
}

/* Whether an input that has no parameters stands in the way of int8: a float value. Computed tensors with no declared
 * type count as float only in place 0; further ones are often shapes or indices. */
static int needs_quant(const q8_graph *graph, const q8_node *node, int32_t i) {
  const q8_tensor *tensor = &graph->tensors[node->inputs[i]];
  if (q8_is_parameter(node->op, i))
    return 0;
  return tensor->dtype == QINT8_DTYPE_F32 || (i == 0 && tensor->dtype == QINT8_DTYPE_NONE);
}

q8_mode q8_onnx_infer_mode(const q8_graph *graph, const q8_recipe *recipe, const uint8_t *dynamic,
                           const q8_node *node) {
  if (node->op->quant == Q8_QUANT_FLOAT || node->input_count < 1 || node->inputs[0] == Q8_NONE)
    return Q8_MODE_FLOAT;
  if (node->op->two_activations && !q8_graph_is_constant(graph, node->inputs[1]))
    return is_activation_quant(recipe, node->inputs[0]) && is_activation_quant(recipe, node->inputs[1])
               ? Q8_MODE_STATIC
               : Q8_MODE_FLOAT;
  if (q8_weight_inputs(node->op)) {
    if (!q8_onnx_weight_is_int8(graph, recipe, node))
      return Q8_MODE_FLOAT;
    if (node->op->quant == Q8_QUANT_WEIGHTED && is_activation_quant(recipe, node->inputs[0]))
      return Q8_MODE_STATIC;
    return dynamic[node->inputs[0]] ? Q8_MODE_DYNAMIC : Q8_MODE_FLOAT;
  }
  for (int32_t i = 0; i < node->input_count; i++)
    if (node->inputs[i] != Q8_NONE && !is_activation_quant(recipe, node->inputs[i]) && needs_quant(graph, node, i))
      return Q8_MODE_FLOAT;
  for (int32_t i = 0; i < node->output_count; i++)
    if (node->outputs[i] != Q8_NONE && !is_activation_quant(recipe, node->outputs[i]))
      return Q8_MODE_FLOAT;
  return Q8_MODE_STATIC;
}
