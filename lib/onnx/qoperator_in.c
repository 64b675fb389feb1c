/* qoperator_in.c - QOperator nodes become QDQ form before qdq_in.c looks at the node list.
 *
 *   QLinearConv(x, w, b) -> y       DQ(x), DQ(w), DQ(b) -> Conv -> Q -> y
 *   MaxPool, Reshape, ... on integers   the same, with the parameters of their input
 *   MatMulInteger, ConvInteger      see qoperator_dynamic.c
 * A node that cannot be rewritten stays as it is if the library has an operator for it. */
#include <string.h>

#include "onnx/lowering.h"

/* What is known of a tensor that holds integers: the ids of its scale and zero point. */
typedef struct integers {
  uint8_t known;
  q8_id scale, zero;
} integers;

typedef struct lowering {
  q8_importer *importer;
  integers *tensors; /* [importer->links.count] */
} lowering;

/* ---- QLinear operators ---- */

/* A float tensor in front of the integer tensor y. */
static q8_status quantize(lowering *l, const char *name, q8_id y, integers how, q8_id *out) {
  Q8_TRY(q8_lower_name(l->importer, y, out));
  q8_id inputs[3] = {*out, how.scale, how.zero};
  l->tensors[y] = how;
  return q8_import_add(l->importer, "QuantizeLinear", name, inputs, 3, &y, 1, NULL);
}

/* DequantizeLinear of a bias, whose scale is x_scale * w_scale. */
static q8_status add_bias(q8_importer *importer, const q8_raw_node *node, q8_id bias, q8_id x_scale, q8_id w_scale,
                          q8_id *out) {
  size_t xs, ws;
  const float *x = q8_lower_scales(importer, x_scale, &xs), *w = q8_lower_scales(importer, w_scale, &ws);
  if (!x || !w || xs != 1)
    return q8_fail(importer->error, QINT8_ERROR_UNSUPPORTED, node->name, "the scales of %s are not constants",
                   node->op_type);
  float *product = q8_import_alloc(importer, ws, sizeof *product, node->name);
  if (!product)
    return QINT8_ERROR_MEMORY;
  for (size_t i = 0; i < ws; i++)
    product[i] = x[0] * w[i];
  q8_id triple[3] = {bias, Q8_NONE, Q8_NONE};
  Q8_TRY(q8_import_constant(importer, q8_lower_tensor(importer, bias)->name, QINT8_DTYPE_F32,
                            ws > 1 ? (int64_t)ws : -1, product, &triple[1]));
  return q8_lower_dequantize(importer, node->name, triple, -1, out);
}

static q8_status lower_qlinear(lowering *l, const q8_raw_node *node, const q8_qoperator *q) {
  q8_importer *importer = l->importer;
  int32_t triples = q->triples ? q->triples : (node->input_count - q->first + 2) / 3, count = q->plain + triples;
  q8_id *floats = q8_import_alloc(importer, (size_t)count + 1, sizeof *floats, node->name), y = node->outputs[0];
  int64_t axis;
  if (!floats)
    return QINT8_ERROR_MEMORY;
  for (int32_t i = 0; i < q->plain; i++)
    floats[i] = node->inputs[i];
  Q8_TRY(q8_lower_weight_axis(importer, node, q8_qoperator_standard(q), &axis));
  for (int32_t i = 0; i < triples; i++) {
    int32_t at = q->first + 3 * i;
    q8_id triple[3] = {node->inputs[at], node->inputs[at + 1], node->inputs[at + 2]};
    if (triple[0] == Q8_NONE || triple[1] == Q8_NONE)
      return q8_fail(importer->error, QINT8_ERROR_FORMAT, node->name, "input %d of %s is left out", (int)at,
                     node->op_type);
    Q8_TRY(q8_lower_dequantize(importer, node->name, triple, i == 1 ? axis : -1, &floats[q->plain + i]));
  }
  if (q->bias >= 0 && node->inputs[q->bias] != Q8_NONE)
    Q8_TRY(add_bias(importer, node, node->inputs[q->bias], node->inputs[q->first + 1],
                    node->inputs[q->first + 4], &floats[count++]));
  integers how = {1, node->inputs[q->y], node->inputs[q->y + 1]};
  if (how.scale != Q8_NONE) /* QGemm may give its accumulators as float */
    Q8_TRY(quantize(l, node->name, y, how, &y));
  return q8_import_add(importer, q8_qoperator_standard(q), node->name, floats, count, &y, 1, &node->bytes);
}

/* ---- Operators that move integers ---- */

/* How many inputs of the node hold what it moves. */
static int32_t moved_inputs(const q8_raw_node *node) {
  return strcmp(node->op_type, "Concat") ? 1 : node->input_count;
}

/* 1 if the node reads integers of known parameters there. */
static int moves_integers(const lowering *l, const q8_raw_node *node) {
  if (node->kind != Q8_RAW_OP || !node->input_count || !q8_qoperator_moves(node->op_type))
    return 0;
  for (int32_t i = 0, count = moved_inputs(node); i < count; i++)
    if (node->inputs[i] == Q8_NONE || (size_t)node->inputs[i] >= l->importer->links.count ||
        !l->tensors[node->inputs[i]].known)
      return 0;
  return 1;
}

static q8_status lower_move(lowering *l, q8_raw_node *node) {
  integers first = l->tensors[node->inputs[0]];
  for (int32_t i = 0, count = moved_inputs(node); i < count; i++) {
    q8_id id = node->inputs[i], triple[3] = {id, l->tensors[id].scale, l->tensors[id].zero};
    Q8_TRY(q8_lower_dequantize(l->importer, node->name, triple, -1, &node->inputs[i]));
  }
  for (int32_t i = 0; i < node->output_count; i++)
    if (node->outputs[i] != Q8_NONE)
      Q8_TRY(quantize(l, node->name, node->outputs[i], first, &node->outputs[i]));
  return QINT8_OK;
}

static q8_status lower_moves(lowering *l) {
  for (int changed = 1; changed;) {
    changed = 0;
    for Q8_EACH_RAW(node, l->importer)
      if (moves_integers(l, node)) {
        Q8_TRY(lower_move(l, node));
        changed = 1;
      }
  }
  return QINT8_OK;
}

/* ---- The node list ---- */

static q8_status lower(lowering *l, q8_raw_node *node) {
  q8_importer *importer = l->importer;
  Q8_TRY(q8_import_check_whole(importer, node));
  const q8_qoperator *q = q8_qoperator_find(node->op_type);
  q8_raw_node *last = importer->last;
  q8_status status;
  if (q)
    status = lower_qlinear(l, node, q);
  else if (q8_has_word("ConvInteger MatMulInteger", node->op_type))
    status = q8_lower_integer(importer, node);
  else
    status = q8_lower_fused(importer, node);
  if (status == QINT8_OK) {
    q8_lower_drop(importer, node);
  } else if (status == QINT8_ERROR_UNSUPPORTED && node->op) { /* without what was added */
    importer->last = last;
    last->next = NULL;
    node->kind = Q8_RAW_OP;
    return QINT8_OK;
  }
  return status;
}

q8_status q8_import_qoperators(q8_importer *importer) {
  lowering l = {.importer = importer};
  int any = 0;
  for Q8_EACH_RAW(node, importer)
    any |= node->kind == Q8_RAW_QOPERATOR || node->kind == Q8_RAW_QUANTIZE;
  if (!any)
    return QINT8_OK;
  Q8_TRY(q8_import_links(importer));
  l.tensors = q8_import_alloc(importer, importer->links.count + 1, sizeof *l.tensors, "graph");
  if (!l.tensors)
    return QINT8_ERROR_MEMORY;
  for Q8_EACH_RAW(node, importer)
    if (node->kind == Q8_RAW_QUANTIZE && node->input_count >= 2 && node->outputs[0] != Q8_NONE)
      l.tensors[node->outputs[0]] = (integers){1, node->inputs[1], node->inputs[2]};
  for Q8_EACH_RAW(node, importer)
    if (node->kind == Q8_RAW_QOPERATOR)
      Q8_TRY(lower(&l, node));
  return lower_moves(&l);
}
