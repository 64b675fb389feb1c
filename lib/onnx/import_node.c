/* import_node.c - NodeProto: first all names, constants and unknown operators, then the nodes of the graph. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "onnx/importer.h"
#include "onnx/qoperator.h"
#include "onnx/unknown.h"

#define SPARE_OUTPUTS 4

static int is_standard(const char *domain) {
  return !*domain || !strcmp(domain, "ai.onnx");
}

static q8_raw_kind kind_of(const char *op_type, const char *domain) {
  int standard = is_standard(domain);
  if (standard && !strcmp(op_type, "Constant"))
    return Q8_RAW_CONSTANT;
  if (standard && !strcmp(op_type, "DynamicQuantizeLinear"))
    return Q8_RAW_DYNAMIC;
  if (q8_qoperator_is(op_type, domain))
    return Q8_RAW_QOPERATOR;
  if (!standard && strcmp(domain, "com.microsoft")) /* whose 8-bit pair means the same */
    return Q8_RAW_OP;
  if (!strcmp(op_type, "QuantizeLinear"))
    return Q8_RAW_QUANTIZE;
  return !strcmp(op_type, "DequantizeLinear") ? Q8_RAW_DEQUANTIZE : Q8_RAW_OP;
}

static q8_status read_ids(q8_importer *importer, q8_raw_node *node) {
  q8_reader bytes = node->bytes;
  q8_field field;
  while (q8_wire_next(&bytes, &field) == Q8_WIRE_FIELD) {
    node->input_count += field.number == Q8_NODE_INPUT;
    node->output_count += field.number == Q8_NODE_OUTPUT;
  }
  size_t room = (size_t)node->input_count + Q8_UPGRADE_INPUTS; /* for `upgrade` */
  node->inputs = q8_pool_alloc(&importer->pool, room, sizeof *node->inputs);
  size_t output_room = (size_t)node->output_count + SPARE_OUTPUTS; /* for name_outputs */
  node->outputs = q8_pool_alloc(&importer->pool, output_room, sizeof *node->outputs);
  if (!node->inputs || !node->outputs)
    return q8_fail_memory(importer->error, node->name, room * sizeof *node->inputs);
  for (size_t i = 0; i < room; i++)
    node->inputs[i] = Q8_NONE;
  bytes = node->bytes;
  int32_t inputs = 0, outputs = 0;
  while (q8_wire_next(&bytes, &field) == Q8_WIRE_FIELD) {
    if (field.number != Q8_NODE_INPUT && field.number != Q8_NODE_OUTPUT)
      continue;
    const char *name;
    q8_id id = Q8_NONE;
    Q8_TRY(q8_import_string(importer, &field, node->name, &name));
    if (*name)
      Q8_TRY(q8_import_reference(importer, name, &id));
    if (field.number == Q8_NODE_INPUT)
      node->inputs[inputs++] = id;
    else
      node->outputs[outputs++] = id;
  }
  while (node->input_count && node->inputs[node->input_count - 1] == Q8_NONE)
    node->input_count--;
  while (node->output_count && node->outputs[node->output_count - 1] == Q8_NONE)
    node->output_count--;
  if (node->output_count == 0)
    return q8_fail(importer->error, QINT8_ERROR_FORMAT, node->name, "%s has no outputs", node->op_type);
  return QINT8_OK;
}

q8_status q8_import_node(q8_importer *importer, q8_reader bytes) {
  q8_raw_node node = {.bytes = bytes};
  const char *domain;
  char where[64];
  q8_message m;
  snprintf(where, sizeof where, "node %zu", importer->node_count);
  Q8_TRY(q8_import_message(importer, bytes, where, m));
  Q8_TRY(q8_import_string(importer, &m[Q8_NODE_NAME], where, &node.name));
  Q8_TRY(q8_import_string(importer, &m[Q8_NODE_OP], where, &node.op_type));
  Q8_TRY(q8_import_string(importer, &m[Q8_NODE_DOMAIN], where, &domain));
  if (!*node.op_type)
    return q8_fail(importer->error, QINT8_ERROR_FORMAT, *node.name ? node.name : where, "node has no operator type");
  if (!*node.name) {
    snprintf(where, sizeof where, "%.40s_%zu", node.op_type, importer->node_count);
    node.name = q8_pool_string(&importer->pool, where, strlen(where));
    if (!node.name)
      return q8_fail_memory(importer->error, where, strlen(where));
  }
  node.kind = kind_of(node.op_type, domain);
  Q8_TRY(read_ids(importer, &node));
  if (is_standard(domain) && !strcmp(node.op_type, "If"))
    return q8_import_if(importer, &node);
  if (is_standard(domain) && !strcmp(node.op_type, "Loop"))
    return q8_import_loop(importer, &node);
  if (node.kind == Q8_RAW_OP || node.kind == Q8_RAW_QOPERATOR) {
    node.op = is_standard(domain) ? q8_op_find(node.op_type, domain) : NULL;
    if (!node.op && node.kind == Q8_RAW_OP)
      q8_unknown_add(importer->unknown, node.op_type, domain, node.name);
  }
  if (!q8_grow(&importer->host, (void **)&importer->nodes, &importer->node_capacity, importer->node_count + 1,
               sizeof *importer->nodes, importer->node_count))
    return q8_fail_memory(importer->error, node.name, importer->node_count * sizeof node);
  importer->nodes[importer->node_count++] = node;
  return QINT8_OK;
}

/* No node may write a tensor that the caller gives. */
static q8_status check_inputs_unwritten(q8_importer *importer) {
  size_t count = importer->graph->tensor_count;
  uint8_t *is_input = q8_pool_alloc(&importer->pool, count + 1, 1);
  if (!is_input)
    return q8_fail_memory(importer->error, "graph", count);
  for (size_t i = 0; i < importer->input_count; i++)
    is_input[importer->inputs[i]] = 1;
  for (size_t i = 0; i < importer->node_count; i++) {
    const q8_raw_node *node = &importer->nodes[i];
    for (int32_t j = 0; j < node->output_count; j++)
      if (node->outputs[j] != Q8_NONE && is_input[node->outputs[j]])
        return q8_fail(importer->error, QINT8_ERROR_FORMAT, importer->graph->tensors[node->outputs[j]].name,
                         "node %s produces a tensor that is an input of the graph", node->name);
  }
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
  for (size_t i = 0; i < importer->node_count; i++) {
    const q8_raw_node *node = &importer->nodes[i];
    if (node->kind != Q8_RAW_CONSTANT)
      continue;
    q8_raw_tensor tensor;
    Q8_TRY(q8_import_constant_node(importer, node, &tensor));
    Q8_TRY(q8_import_define(importer, importer->graph->tensors[node->outputs[0]].name, &tensor));
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
  for (int spare = 0; spare < SPARE_OUTPUTS && node->output_count < node->op->min_outputs; spare++)
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
    int32_t i = (int32_t)a->internal - Q8_TO_INPUT(0);
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
  void *params = q8_pool_alloc(&importer->pool, 1, op->params_size ? op->params_size : 1);
  if (!params)
    return q8_fail_memory(importer->error, node->name, op->params_size);
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
  for (size_t i = 0; i < importer->node_count; i++)
    if (importer->nodes[i].kind == Q8_RAW_OP)
      Q8_TRY(build_node(importer, &importer->nodes[i]));
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
  return q8_import_define(importer, importer->graph->tensors[*out].name, &tensor);
}

q8_status q8_upgrade_input(q8_upgrade *node, int32_t i, int32_t dtype, int64_t count, const void *data) {
  node->input_count = node->input_count > i ? node->input_count : i + 1;
  return q8_import_constant(node->importer, node->name, dtype, count, data, &node->inputs[i]);
}
