/* export_plan.c - before a byte is written: the mode of every node, the forms of every tensor. */
#include <math.h>

#include "onnx/exporter.h"
#include "onnx/modes.h"
#include "onnx/qoperator.h"

static int is_quantized(const q8_exporter *exporter, q8_id tensor) {
  return exporter->recipe && q8_is_quantized(&exporter->recipe->tensors[tensor]);
}

int q8_export_bias_is_int32(const q8_exporter *exporter, const q8_node *node) {
  if (node->input_count < 3 || !q8_graph_is_constant(exporter->graph, node->inputs[2]))
    return 0;
  const q8_tensor *bias = &exporter->graph->tensors[node->inputs[2]];
  const q8_tensor_quant *w = &exporter->recipe->tensors[node->inputs[1]];
  float x_scale = exporter->recipe->tensors[node->inputs[0]].scale[0];
  if (bias->dtype != QINT8_DTYPE_F32 || bias->shape.rank < 0)
    return 0;
  for (int32_t i = 0; i < w->count; i++)
    if (!isnormal(x_scale * w->scale[i]))
      return 0;
  return w->count == 1 || (bias->shape.rank >= 1 && bias->shape.dim[bias->shape.rank - 1] == w->count &&
                           q8_shape_count(&bias->shape, NULL) == (size_t)w->count);
}

/* A mode that the recipe asks for but does not give the parameters for is FLOAT, as in the planner. */
static void decide_modes(q8_exporter *exporter, const uint8_t *dynamic) {
  const q8_graph *graph = exporter->graph;
  for (size_t i = 0; i < graph->node_count; i++) {
    const q8_node *node = &graph->nodes[i];
    q8_mode wanted = (q8_mode)exporter->recipe->modes[i], mode = Q8_MODE_FLOAT;
    if (wanted == Q8_MODE_DYNAMIC && q8_onnx_weight_is_int8(graph, exporter->recipe, node))
      mode = Q8_MODE_DYNAMIC;
    if (wanted == Q8_MODE_STATIC && q8_onnx_infer_mode(graph, exporter->recipe, dynamic, node) == Q8_MODE_STATIC)
      mode = Q8_MODE_STATIC;
    exporter->modes[i] = (uint8_t)mode;
  }
}

static void want_constant(q8_exporter *exporter, const q8_node *node, q8_mode mode, int32_t i) {
  q8_out_tensor *out = &exporter->tensors[node->inputs[i]];
  int32_t weights = q8_weight_inputs(node->op);
  if (weights == 1 && i == 2) {
    if (mode != Q8_MODE_STATIC || !q8_export_bias_is_int32(exporter, node))
      out->wants_raw = 1;
  } else if (mode == Q8_MODE_FLOAT || !is_quantized(exporter, node->inputs[i]) || (weights && (i < 1 || i > weights))) {
    out->wants_raw = 1;
  } else {
    out->wants_pair = 1;
  }
}

/* Constants of such a node are written as they are met. */
static void want_integers(q8_exporter *exporter, const q8_node *node) {
  int32_t data = q8_qoperator_of(node->op->name) ? node->input_count : 1;
  for (int32_t i = 0; i < node->input_count; i++) {
    q8_id id = node->inputs[i];
    if (id == Q8_NONE)
      continue;
    q8_out_tensor *out = &exporter->tensors[id];
    if (!q8_graph_is_constant(exporter->graph, id) && i < data)
      out->wants_integers = 1;
    else if (i >= data)
      out->wants_raw = 1;
  }
  for (int32_t i = 0; i < node->output_count; i++)
    if (node->outputs[i] != Q8_NONE)
      exporter->tensors[node->outputs[i]].integers_made = 1;
}

static void want_inputs(q8_exporter *exporter, const q8_node *node, q8_mode mode) {
  for (int32_t i = 0; i < node->input_count; i++) {
    q8_id id = node->inputs[i];
    if (id == Q8_NONE)
      continue;
    q8_out_tensor *out = &exporter->tensors[id];
    if (q8_graph_is_constant(exporter->graph, id)) {
      want_constant(exporter, node, mode, i);
      continue;
    }
    if (mode == Q8_MODE_DYNAMIC && i == 0)
      out->wants_dynamic = 1;
    if (out->stored_int8 || (mode == Q8_MODE_STATIC && is_quantized(exporter, id)))
      out->wants_pair = 1;
  }
}

static void take_names(q8_exporter *exporter) {
  const q8_graph *graph = exporter->graph;
  for (size_t i = 0; i < graph->tensor_count; i++) {
    const char *name = graph->tensors[i].name;
    int used = graph->tensors[i].uses > 0 || graph->tensors[i].producer != Q8_NONE;
    for (size_t j = 0; j < graph->input_count && !used; j++)
      used = graph->inputs[j] == (q8_id)i;
    exporter->tensors[i].raw = name;
    if (used && !q8_names_put(&exporter->pool.host, exporter->names, name, (int32_t)i))
      exporter->writer.failed = 1;
  }
}

static void name_forms(q8_exporter *exporter, q8_id id) {
  q8_out_tensor *out = &exporter->tensors[id];
  const char *name = exporter->graph->tensors[id].name;
  int constant = q8_graph_is_constant(exporter->graph, id), is_output = q8_graph_is_output(exporter->graph, id);
  if (out->wants_pair && constant && !out->wants_raw && !is_output) {
    out->dequantized = name;
  } else if (out->wants_pair && !constant && out->stored_int8 && is_output) {
    out->dequantized = name;
    out->raw = q8_export_derive(exporter, name, "_float");
  } else if (out->wants_pair) {
    out->dequantized = q8_export_derive(exporter, name, "_dequantized");
  }
  if (out->wants_dynamic)
    out->dynamic = q8_export_derive(exporter, name, "_dynamic_dequantized");
}

void q8_export_decide(q8_exporter *exporter) {
  const q8_graph *graph = exporter->graph;
  take_names(exporter);
  const uint8_t *none = exporter->recipe ? q8_export_alloc(exporter, graph->tensor_count + 1, 1) : NULL;
  if (none)
    decide_modes(exporter, none);
  for (size_t i = 0; exporter->recipe && i < graph->tensor_count; i++)
    exporter->tensors[i].stored_int8 = exporter->recipe->rounds[i] && is_quantized(exporter, (q8_id)i);
  for (size_t i = 0; i < graph->node_count; i++)
    for (int32_t j = 0; j < graph->nodes[i].output_count; j++)
      if (exporter->modes[i] == Q8_MODE_STATIC && is_quantized(exporter, graph->nodes[i].outputs[j]))
        exporter->tensors[graph->nodes[i].outputs[j]].stored_int8 = 1;
  for (size_t i = 0; i < graph->node_count; i++) {
    exporter->on_integers[i] = exporter->format == QINT8_FORMAT_QOPERATOR && exporter->modes[i] == Q8_MODE_STATIC &&
                               q8_export_fits_integers(exporter, &graph->nodes[i]);
    if (exporter->on_integers[i])
      want_integers(exporter, &graph->nodes[i]);
    else
      want_inputs(exporter, &graph->nodes[i], (q8_mode)exporter->modes[i]);
  }
  for (size_t i = 0; i < graph->output_count; i++) {
    q8_out_tensor *out = &exporter->tensors[graph->outputs[i]];
    out->wants_pair |= out->stored_int8;
    out->wants_raw = 1;
  }
  for (size_t i = 0; i < graph->tensor_count; i++)
    name_forms(exporter, (q8_id)i);
}
