/* qoperator_in.c - QOperator nodes become QDQ form before qdq_in.c looks at the node list.
 *
 *   QLinearConv(x, w, b) -> y       DQ(x), DQ(w), DQ(b) -> Conv -> Q -> y
 *   MaxPool, Reshape, ... on integers   the same, with the parameters of their input
 *   MatMulInteger, ConvInteger      see qoperator_dynamic.c
 * A node that cannot be rewritten stays as it is if the library has an operator for it. */
#include <string.h>

#include "onnx/lowering.h"

/* ---- QLinear operators ---- */

/* A float tensor in front of the integer tensor y. */
static q8_status quantize(q8_lowering *l, const char *name, q8_id y, q8_id scale, q8_id zero, q8_id *out) {
  Q8_TRY(q8_lower_name(l, y, out));
  q8_id inputs[3] = {*out, scale, zero};
  return q8_import_add(l->importer, Q8_RAW_QUANTIZE, "QuantizeLinear", name, inputs, 3, &y, 1, NULL);
}

/* DequantizeLinear of a bias, whose scale is x_scale * w_scale. */
static q8_status add_bias(q8_lowering *l, const q8_raw_node *node, q8_id bias, q8_id x_scale, q8_id w_scale,
                          q8_id *out) {
  size_t xs, ws;
  const float *x = q8_lower_scales(l, x_scale, &xs), *w = q8_lower_scales(l, w_scale, &ws);
  if (!x || !w || xs != 1)
    return q8_fail(l->importer->error, QINT8_ERROR_UNSUPPORTED, node->name, "the scales of %s are not constants",
                   node->op_type);
  float *product = q8_pool_alloc(&l->importer->pool, ws, sizeof *product);
  if (!product)
    return q8_fail_memory(l->importer->error, node->name, ws * sizeof *product);
  for (size_t i = 0; i < ws; i++)
    product[i] = x[0] * w[i];
  q8_id triple[3] = {bias, Q8_NONE, Q8_NONE};
  Q8_TRY(q8_import_constant(l->importer, q8_lower_tensor(l, bias)->name, QINT8_DTYPE_F32, ws > 1 ? (int64_t)ws : -1,
                            product, &triple[1]));
  return q8_lower_dequantize(l, node->name, triple, -1, out);
}

static q8_status lower_qlinear(q8_lowering *l, const q8_raw_node *node, const q8_qoperator *q) {
  int32_t triples = q->triples ? q->triples : (node->input_count - q->first + 2) / 3, count = q->plain + triples;
  q8_id *floats = q8_pool_alloc(&l->importer->pool, (size_t)count + 1, sizeof *floats), y;
  q8_reader bytes;
  int64_t axis;
  if (!floats)
    return q8_fail_memory(l->importer->error, node->name, (size_t)count * sizeof *floats);
  for (int32_t i = 0; i < q->plain; i++)
    floats[i] = node->inputs[i];
  Q8_TRY(q8_lower_attributes(l, node, &bytes));
  Q8_TRY(q8_lower_weight_axis(l, node, q->op, bytes, &axis));
  for (int32_t i = 0; i < triples; i++) {
    int32_t at = q->first + 3 * i;
    q8_id triple[3] = {q8_lower_input(node, at), q8_lower_input(node, at + 1), q8_lower_input(node, at + 2)};
    if (triple[0] == Q8_NONE || triple[1] == Q8_NONE)
      return q8_fail(l->importer->error, QINT8_ERROR_FORMAT, node->name, "input %d of %s is left out", (int)at,
                     node->op_type);
    Q8_TRY(q8_lower_dequantize(l, node->name, triple, i == 1 ? axis : -1, &floats[q->plain + i]));
  }
  if (q->bias >= 0 && q8_lower_input(node, q->bias) != Q8_NONE)
    Q8_TRY(add_bias(l, node, q8_lower_input(node, q->bias), node->inputs[q->first + 1], node->inputs[q->first + 4],
                    &floats[count++]));
  if (q8_lower_input(node, q->y) == Q8_NONE) /* QGemm may give its accumulators as float */
    y = node->outputs[0];
  else
    Q8_TRY(quantize(l, node->name, node->outputs[0], node->inputs[q->y], q8_lower_input(node, q->y + 1), &y));
  Q8_TRY(q8_import_add(l->importer, Q8_RAW_OP, q->op, node->name, floats, count, &y, 1, &bytes));
  if (y != node->outputs[0])
    l->tensors[node->outputs[0]] = (q8_integers){1, node->inputs[q->y], q8_lower_input(node, q->y + 1)};
  return QINT8_OK;
}

/* ---- Operators that move integers ---- */

/* 1 if the node reads integers of known parameters in place 0 (Concat: everywhere). */
static int moves_integers(const q8_lowering *l, const q8_raw_node *node) {
  if (node->kind != Q8_RAW_OP || !node->input_count || !q8_qoperator_moves(node->op_type))
    return 0;
  int32_t count = strcmp(node->op_type, "Concat") ? 1 : node->input_count;
  for (int32_t i = 0; i < count; i++)
    if (node->inputs[i] == Q8_NONE || (size_t)node->inputs[i] >= l->count || !l->tensors[node->inputs[i]].known)
      return 0;
  return 1;
}

static q8_status lower_move(q8_lowering *l, int32_t index) {
  int32_t count = strcmp(q8_lower_raw(l, index)->op_type, "Concat") ? 1 : q8_lower_raw(l, index)->input_count;
  q8_integers first = l->tensors[q8_lower_raw(l, index)->inputs[0]];
  for (int32_t i = 0; i < count; i++) {
    q8_id id = q8_lower_raw(l, index)->inputs[i], x;
    q8_id triple[3] = {id, l->tensors[id].scale, l->tensors[id].zero};
    Q8_TRY(q8_lower_dequantize(l, q8_lower_raw(l, index)->name, triple, -1, &x));
    q8_lower_raw(l, index)->inputs[i] = x;
  }
  for (int32_t i = 0; i < q8_lower_raw(l, index)->output_count; i++) {
    q8_id id = q8_lower_raw(l, index)->outputs[i], y;
    if (id == Q8_NONE)
      continue;
    Q8_TRY(quantize(l, q8_lower_raw(l, index)->name, id, first.scale, first.zero, &y));
    q8_lower_raw(l, index)->outputs[i] = y;
    l->tensors[id] = first;
  }
  return QINT8_OK;
}

static q8_status lower_moves(q8_lowering *l) {
  for (int changed = 1; changed;) {
    changed = 0;
    for (size_t i = 0, n = l->importer->node_count; i < n; i++)
      if (moves_integers(l, q8_lower_raw(l, (int32_t)i))) {
        Q8_TRY(lower_move(l, (int32_t)i));
        changed = 1;
      }
  }
  return QINT8_OK;
}

/* ---- The node list ---- */

static q8_status index_nodes(q8_lowering *l) {
  const q8_importer *importer = l->importer;
  l->count = importer->graph->tensor_count;
  l->tensors = q8_pool_alloc(&l->importer->pool, l->count + 1, sizeof *l->tensors);
  l->producer = q8_pool_alloc(&l->importer->pool, l->count + 1, sizeof *l->producer);
  l->uses = q8_pool_alloc(&l->importer->pool, l->count + 1, sizeof *l->uses);
  if (!l->tensors || !l->producer || !l->uses)
    return q8_fail_memory(l->importer->error, "graph", l->count * sizeof *l->tensors);
  for (size_t i = 0; i < l->count; i++)
    l->producer[i] = -1;
  for (size_t i = 0; i < importer->output_count; i++)
    l->uses[importer->outputs[i]] += 2; /* keeps it from being a link of a pattern */
  for (size_t i = 0; i < importer->node_count; i++) {
    const q8_raw_node *node = q8_lower_raw(l, (int32_t)i);
    for (int32_t j = 0; j < node->input_count; j++)
      if (node->inputs[j] != Q8_NONE)
        l->uses[node->inputs[j]]++;
    for (int32_t j = 0; j < node->output_count; j++)
      if (node->outputs[j] != Q8_NONE)
        l->producer[node->outputs[j]] = (int32_t)i;
    if (node->kind == Q8_RAW_QUANTIZE && node->input_count >= 2 && node->outputs[0] != Q8_NONE)
      l->tensors[node->outputs[0]] = (q8_integers){1, node->inputs[1], q8_lower_input(node, 2)};
  }
  return QINT8_OK;
}

static q8_status lower(q8_lowering *l, int32_t index) {
  const q8_raw_node node = *q8_lower_raw(l, index); /* the list may move */
  if (node.input_count < 2 || node.inputs[0] == Q8_NONE || node.inputs[1] == Q8_NONE || node.outputs[0] == Q8_NONE)
    return q8_fail(l->importer->error, QINT8_ERROR_FORMAT, node.name, "%s lacks an input or output", node.op_type);
  const q8_qoperator *q = q8_qoperator_find(node.op_type, "");
  q = q ? q : q8_qoperator_find(node.op_type, Q8_MICROSOFT);
  size_t nodes = l->importer->node_count;
  q8_status status;
  if (q)
    status = lower_qlinear(l, &node, q);
  else if (!strcmp(node.op_type, "ConvInteger") || !strcmp(node.op_type, "MatMulInteger"))
    status = q8_lower_integer(l, index);
  else
    status = q8_lower_fused(l, index);
  if (status == QINT8_OK) {
    q8_lower_drop(l, index);
  } else if (status == QINT8_ERROR_UNSUPPORTED && node.op) {
    l->importer->node_count = nodes;
    q8_lower_raw(l, index)->kind = Q8_RAW_OP;
    return QINT8_OK;
  }
  return status;
}

q8_status q8_import_qoperators(q8_importer *importer) {
  q8_lowering l = {.importer = importer};
  int any = 0;
  for (size_t i = 0; i < importer->node_count; i++)
    any |= importer->nodes[i].kind == Q8_RAW_QOPERATOR || importer->nodes[i].kind == Q8_RAW_QUANTIZE;
  if (!any)
    return QINT8_OK;
  Q8_TRY(index_nodes(&l));
  for (size_t i = 0, n = importer->node_count; i < n; i++)
    if (importer->nodes[i].kind == Q8_RAW_QOPERATOR)
      Q8_TRY(lower(&l, (int32_t)i));
  return lower_moves(&l);
}
