/* import_node.c - NodeProto: first all names, constants and unknown operators, then the nodes of the graph. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "onnx/importer.h"
#include "onnx/qoperator.h"
#include "onnx/unknown.h"

q8_raw_kind q8_import_kind(const char *op_type, const char *domain) {
  if (!*domain && !strcmp(op_type, "Constant"))
    return Q8_RAW_CONSTANT;
  if (!*domain && !strcmp(op_type, "DynamicQuantizeLinear"))
    return Q8_RAW_DYNAMIC;
  if (q8_qoperator_is(op_type, domain))
    return Q8_RAW_QOPERATOR;
  if (*domain && strcmp(domain, Q8_MICROSOFT)) /* whose 8-bit pair means the same */
    return Q8_RAW_OP;
  if (!strcmp(op_type, "QuantizeLinear"))
    return Q8_RAW_QUANTIZE;
  return !strcmp(op_type, "DequantizeLinear") ? Q8_RAW_DEQUANTIZE : Q8_RAW_OP;
}

static int32_t count_fields(q8_reader bytes, uint32_t number) {
  int32_t count = 0;
  for (q8_field field; q8_wire_find(&bytes, number, &field);)
    count++;
  return count;
}

/* *count without those left out at the end. */
static q8_status read_ids(q8_importer *importer, const q8_raw_node *node, uint32_t number, q8_id *ids, int32_t *count) {
  q8_reader bytes = node->bytes;
  int32_t i = 0;
  *count = 0;
  for (q8_field field; q8_wire_find(&bytes, number, &field); i++) {
    const char *name;
    Q8_TRY(q8_import_string(importer, &field, node->name, &name));
    if (!*name)
      continue;
    Q8_TRY(q8_import_reference(importer, name, &ids[i]));
    *count = i + 1;
  }
  return QINT8_OK;
}

q8_status q8_import_node(q8_importer *importer, q8_reader bytes) {
  const char *name, *op_type, *domain;
  char where[64];
  q8_message m;
  snprintf(where, sizeof where, "node %zu", importer->node_count);
  Q8_TRY(q8_import_message(importer, bytes, where, m));
  Q8_TRY(q8_import_string(importer, &m[Q8_NODE_NAME], where, &name));
  Q8_TRY(q8_import_string(importer, &m[Q8_NODE_OP], where, &op_type));
  Q8_TRY(q8_import_string(importer, &m[Q8_NODE_DOMAIN], where, &domain));
  if (!*op_type)
    return q8_fail(importer->error, QINT8_ERROR_FORMAT, *name ? name : where, "node has no operator type");
  if (!*name) {
    snprintf(where, sizeof where, "%.40s_%zu", op_type, importer->node_count);
    name = q8_pool_string(&importer->pool, where, strlen(where));
    if (!name)
      return q8_fail_memory(importer->error, where, strlen(where));
  }
  if (!strcmp(domain, "ai.onnx"))
    domain = "";
  q8_raw_node *node = q8_import_make(importer, op_type, name, count_fields(bytes, Q8_NODE_INPUT),
                                     count_fields(bytes, Q8_NODE_OUTPUT));
  if (!node)
    return QINT8_ERROR_MEMORY;
  node->bytes = bytes;
  Q8_TRY(read_ids(importer, node, Q8_NODE_INPUT, node->inputs, &node->input_count));
  Q8_TRY(read_ids(importer, node, Q8_NODE_OUTPUT, node->outputs, &node->output_count));
  if (node->output_count == 0)
    return q8_fail(importer->error, QINT8_ERROR_FORMAT, name, "%s has no outputs", op_type);
  if (!*domain && !strcmp(op_type, "If"))
    return q8_import_if(importer, node);
  if (!*domain && !strcmp(op_type, "Loop"))
    return q8_import_loop(importer, node);
  node->kind = q8_import_kind(op_type, domain);
  node->op = *domain ? NULL : q8_op_find(op_type, "");
  if (!node->op && node->kind == Q8_RAW_OP)
    q8_unknown_add(importer->unknown, op_type, domain, name);
  q8_import_append(importer, node);
  return QINT8_OK;
}

/* No node may write a tensor that the caller gives. */
static q8_status check_inputs_unwritten(q8_importer *importer) {
  size_t count = importer->graph->tensor_count;
  uint8_t *is_input = q8_import_alloc(importer, count + 1, 1, "graph");
  if (!is_input)
    return QINT8_ERROR_MEMORY;
  for (size_t i = 0; i < importer->input_count; i++)
    is_input[importer->inputs[i]] = 1;
  for Q8_EACH_RAW(node, importer)
    for (int32_t j = 0; j < node->output_count; j++)
      if (node->outputs[j] != Q8_NONE && is_input[node->outputs[j]])
        return q8_fail(importer->error, QINT8_ERROR_FORMAT, importer->graph->tensors[node->outputs[j]].name,
                         "node %s produces a tensor that is an input of the graph", node->name);
  return QINT8_OK;
}

q8_status q8_import_nodes(q8_importer *importer) {
  q8_unknown unknown = {.first = NULL};
  importer->unknown = &unknown;
  q8_reader bytes = importer->graph_bytes;
  q8_field field;
  while (q8_wire_find(&bytes, Q8_GRAPH_NODE, &field))
    Q8_TRY(q8_import_node(importer, field.bytes));
  Q8_TRY(q8_unknown_report(&unknown, importer->error));
  Q8_TRY(check_inputs_unwritten(importer));
  for Q8_EACH_RAW(node, importer) {
    if (node->kind != Q8_RAW_CONSTANT || node->outputs[0] == Q8_NONE)
      continue;
    q8_raw_tensor tensor;
    Q8_TRY(q8_import_constant_node(importer, node, &tensor));
    Q8_TRY(q8_import_define(importer, node->outputs[0], &tensor));
  }
  return QINT8_OK;
}

/* ---- Nodes of the graph ---- */

static q8_status check_arity(const q8_importer *importer, const q8_raw_node *node) {
  const q8_op *op = node->op;
  int32_t count = node->input_count;
  if (count < op->min_inputs || (op->max_inputs >= 0 && count > op->max_inputs))
    return q8_fail(importer->error, QINT8_ERROR_FORMAT, node->name, "%s has %d inputs, expected %d to %d", op->name,
                   (int)count, (int)op->min_inputs, (int)op->max_inputs);
  int32_t needed = op->max_inputs < 0 ? count : op->min_inputs;
  for (int32_t i = 0; i < needed; i++)
    if (node->inputs[i] == Q8_NONE)
      return q8_fail(importer->error, QINT8_ERROR_FORMAT, node->name, "input %d of %s is left out", (int)i, op->name);
  if (node->output_count < op->min_outputs || (op->max_outputs >= 0 && node->output_count > op->max_outputs))
    return q8_fail(importer->error, QINT8_ERROR_UNSUPPORTED, node->name, "%s has %d outputs, supported are %d to %d",
                   op->name, (int)node->output_count, (int)op->min_outputs, (int)op->max_outputs);
  return QINT8_OK;
}

/* Outputs left out before one that is used, or that the operator always writes, get a tensor of their own. */
static q8_status name_outputs(q8_importer *importer, q8_raw_node *node) {
  for (int spare = 0; spare < Q8_SPARE_OUTPUTS && node->output_count < node->op->min_outputs; spare++)
    node->outputs[node->output_count++] = Q8_NONE;
  for (int32_t i = 0; i < node->output_count; i++)
    if (node->outputs[i] == Q8_NONE)
      Q8_TRY(q8_import_fresh(importer, node->name, &node->outputs[i]));
  return QINT8_OK;
}

/* Lists that the canonical form has as inputs. */
static q8_status move_lists(q8_upgrade *node, const q8_op *op) {
  for Q8_EACH_ATTRIBUTE(a, op) {
    q8_ints *list = (void *)((char *)node->params + a->offset);
    int32_t i = (int32_t)a->place - Q8_TO_INPUT(0);
    if (i < 1)
      continue;
    if (node->graph->opset < (int64_t)a->preset && list->count >= 0)
      Q8_TRY(q8_upgrade_input(node, i, QINT8_DTYPE_S64, list->count, list->v));
    list->count = -1;
  }
  return QINT8_OK;
}

static q8_status build_node(q8_importer *importer, q8_raw_node *node) {
  const q8_op *op = node->op;
  const q8_op_extras *extras = q8_extras(op);
  q8_graph *graph = importer->graph;
  if (graph->opset < op->min_opset || graph->opset > op->max_opset)
    return q8_fail(importer->error, QINT8_ERROR_UNSUPPORTED, node->name,
                   "%s of opset %" PRId64 ", supported are %d to %d", op->name, graph->opset, (int)op->min_opset,
                   (int)op->max_opset);
  void *params = q8_import_alloc(importer, 1, (size_t)op->params_size + 1, node->name);
  if (!params)
    return QINT8_ERROR_MEMORY;
  q8_upgrade upgrade = {importer, graph, importer->error, node->name, params, node->inputs, node->input_count};
  Q8_TRY(q8_import_attributes(importer, node, op, params));
  Q8_TRY(move_lists(&upgrade, op));
  if (op->family->upgrade)
    Q8_TRY(op->family->upgrade(&upgrade));
  node->input_count = upgrade.input_count;
  Q8_TRY(name_outputs(importer, node));
  if (extras->becomes)
    node->op = op = extras->becomes;
  Q8_TRY(check_arity(importer, node));
  return q8_graph_add_node(graph, node->name, op, params, op->params_size, node->inputs, node->input_count,
                           node->outputs, node->output_count, importer->error);
}

q8_status q8_import_ops(q8_importer *importer) {
  for Q8_EACH_RAW(node, importer)
    if (node->kind == Q8_RAW_OP)
      Q8_TRY(build_node(importer, node));
  return QINT8_OK;
}

/* ---- Hooks for `upgrade` ---- */

q8_status q8_import_constant(q8_importer *importer, const char *base, int32_t dtype, int64_t count, const void *data,
                             q8_id *out) {
  q8_raw_tensor tensor = {.dtype = dtype, .shape.rank = count >= 0, .shape.dim = {count}};
  size_t size = q8_shape_count(&tensor.shape, NULL) * qint8_dtype_size((qint8_dtype)dtype);
  tensor.data = q8_pool_alloc(&importer->graph->pool, size ? size : 1, 1);
  if (!tensor.data)
    return q8_fail_memory(importer->error, base, size);
  if (size)
    memcpy(tensor.data, data, size);
  Q8_TRY(q8_import_fresh(importer, base, out));
  return q8_import_define(importer, *out, &tensor);
}

q8_status q8_upgrade_input(q8_upgrade *node, int32_t i, int32_t dtype, int64_t count, const void *data) {
  node->input_count = node->input_count > i ? node->input_count : i + 1;
  return q8_import_constant(node->importer, node->name, dtype, count, data, &node->inputs[i]);
}
