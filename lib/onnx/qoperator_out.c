/* qoperator_out.c - nodes of QOperator form: where a node and its neighbours are int8, integers go between them.
 *
 * The recipe that import reads from such a file is the one it reads from the QDQ form. */
#include <math.h>
#include <string.h>

#include "onnx/exporter.h"
#include "onnx/qoperator.h"

static const q8_tensor_quant *quant_of(const q8_exporter *exporter, q8_id id) {
  const q8_tensor_quant *quant = id == Q8_NONE ? NULL : &exporter->recipe->tensors[id];
  return quant && q8_is_quantized(quant) ? quant : NULL;
}

static int is_activation(const q8_tensor_quant *quant, const q8_tensor_quant *like) {
  return quant && quant->count == 1 && quant->dtype == like->dtype;
}

/* A clamp that the result's type does anyway needs no node. */
static int clamp_is_free(const q8_node *node, const q8_tensor_quant *y) {
  float low, high;
  double lowest = y->dtype == QINT8_DTYPE_S8 ? -128 : 0, zero = y->zero_point[0];
  if (!q8_node_clamp(node, &low, &high))
    return 1;
  return nearbyint((double)(low / y->scale[0])) + zero <= lowest &&
         nearbyint((double)(high / y->scale[0])) + zero >= lowest + 255;
}

static int moves(const q8_exporter *exporter, const q8_node *node) {
  const q8_tensor_quant *x = quant_of(exporter, node->inputs[0]);
  if (!x || !q8_qoperator_moves(node->op->name) || q8_graph_is_constant(exporter->graph, node->inputs[0]))
    return 0;
  for (int32_t i = 0; i < node->output_count; i++) {
    const q8_tensor_quant *y = quant_of(exporter, node->outputs[i]);
    if (!y || !is_activation(y, x) || y->scale[0] != x->scale[0] || y->zero_point[0] != x->zero_point[0])
      return 0;
  }
  return clamp_is_free(node, x);
}

int q8_export_fits_integers(const q8_exporter *exporter, const q8_node *node) {
  const q8_qoperator *q = q8_qoperator_of(node->op->name);
  const q8_tensor_quant *y = quant_of(exporter, node->outputs[0]);
  if (node->op->pattern || q8_extras(node->op)->expand)
    return 0;
  if (!q)
    return moves(exporter, node);
  if (!y || node->output_count != 1 || !clamp_is_free(node, y))
    return 0;
  int32_t triples = q->triples ? q->triples : node->input_count, weights = q8_weight_inputs(node->op);
  if (node->input_count < triples || node->input_count > triples + (q->bias >= 0))
    return 0;
  for (int32_t i = 0; i < triples; i++) {
    const q8_tensor_quant *x = quant_of(exporter, node->inputs[i]);
    int is_weight = i >= 1 && i <= weights;
    if (!x || (is_weight ? !q8_graph_is_constant(exporter->graph, node->inputs[i]) : !is_activation(x, y)))
      return 0;
  }
  if (node->input_count > triples &&
      (!q8_export_bias_is_int32(exporter, node) || exporter->graph->tensors[node->inputs[2]].shape.rank != 1))
    return 0;
  return strcmp(node->op->name, "Gemm") || (q8_op_float(node->op, node->params, "alpha", 1) == 1 &&
                                            q8_op_float(node->op, node->params, "beta", 1) == 1);
}

static void add_triple(q8_exporter *exporter, q8_id id, const char **at) {
  q8_export_name_integers(exporter, id);
  const q8_out_tensor *out = &exporter->tensors[id];
  at[0] = out->integers;
  at[1] = out->scale;
  at[2] = out->zero;
}

/* Returns how many names there are. */
static int32_t name_qlinear(q8_exporter *exporter, const q8_node *node, const q8_qoperator *q, const char **names) {
  int32_t triples = q->triples ? q->triples : node->input_count;
  const char *y[3];
  for (int32_t i = 0; i < triples; i++)
    add_triple(exporter, node->inputs[i], names + q->first + 3 * i);
  add_triple(exporter, node->outputs[0], y);
  names[q->y] = y[1];
  names[q->y + 1] = y[2];
  int32_t count = q->y >= q->first ? q->y + 2 : q->first + 3 * triples;
  if (node->input_count > triples && node->inputs[triples] != Q8_NONE) {
    names[q->bias] = q8_export_bias(exporter, node, 0);
    count = q->bias >= count ? q->bias + 1 : count;
  }
  return count;
}

static int32_t name_move(q8_exporter *exporter, const q8_node *node, const char **names) {
  q8_export_name_integers(exporter, node->inputs[0]);
  names[0] = exporter->tensors[node->inputs[0]].integers;
  for (int32_t i = 1; i < node->input_count; i++) {
    if (node->inputs[i] == Q8_NONE)
      continue;
    if (q8_graph_is_constant(exporter->graph, node->inputs[i]))
      q8_export_raw_constant(exporter, node->inputs[i]);
    names[i] = exporter->tensors[node->inputs[i]].raw;
  }
  return node->input_count;
}

void q8_export_on_integers(q8_exporter *exporter, size_t index) {
  const q8_node *node = &exporter->graph->nodes[index];
  const q8_qoperator *q = q8_qoperator_of(node->op->name);
  const char **names = exporter->inputs;
  memset(names, 0, (3 * (size_t)node->input_count + 8) * sizeof *names);
  int32_t count = q ? name_qlinear(exporter, node, q, names) : name_move(exporter, node, names);
  for (int32_t i = 0; i < node->output_count; i++) {
    exporter->outputs[i] = NULL;
    if (node->outputs[i] == Q8_NONE)
      continue;
    q8_export_name_integers(exporter, node->outputs[i]);
    exporter->outputs[i] = exporter->tensors[node->outputs[i]].integers;
  }
  size_t mark = q8_export_begin(exporter, q ? q->name : node->op->name, node->name, names, count, exporter->outputs,
                                node->output_count);
  if (q && q->microsoft)
    q8_write_string(&exporter->writer, Q8_NODE_DOMAIN, Q8_MICROSOFT);
  q8_export_attributes(exporter, node);
  q8_write_end(&exporter->writer, mark);
}
