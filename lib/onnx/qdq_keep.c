/* qdq_keep.c - which QuantizeLinear, DequantizeLinear and DynamicQuantizeLinear nodes stay operators of the graph.
 *
 * Most vanish into the side table (qdq_in.c). One stays, and works on integer tensors as values, if
 *   another operator or the caller sees its integers,
 *   its scale or zero point is computed, or in blocks,
 *   it quantizes an activation per channel, or in another way than a QuantizeLinear before it,
 *   its integers come from elsewhere, or with other parameters than it has. */
#include <string.h>

#include "onnx/qdq.h"

typedef struct keeper {
  q8_importer *importer;
  const q8_raw_node **claim; /* [links.count] the QUANTIZE whose parameters the float tensor gets, or NULL */
  uint8_t *seen;             /* [links.count] read by an operator, or an output of the graph */
} keeper;

static int is_constant(const keeper *k, q8_id id) {
  return q8_graph_is_constant(k->importer->graph, id);
}

/* The vanishing node of that kind that writes the tensor, or NULL. */
static const q8_raw_node *written_by(const keeper *k, q8_id id, q8_raw_kind kind) {
  const q8_raw_node *node = k->importer->links.writer[id];
  return node && node->kind == kind ? node : NULL;
}

static int matches_dynamic(const q8_raw_node *source, const q8_raw_node *node) {
  return source->output_count >= 3 && node->inputs[0] == source->outputs[0] && node->inputs[1] == source->outputs[1] &&
         node->input_count > 2 && node->inputs[2] == source->outputs[2];
}

/* Through the pairs that vanish: the tensor whose readers read what a reader of `id` reads. */
static q8_id root(const keeper *k, q8_id id) {
  for (size_t hops = 0; hops < k->importer->node_count; hops++) {
    const q8_raw_node *node = written_by(k, id, Q8_RAW_DEQUANTIZE), *source = NULL;
    if (node && !is_constant(k, node->inputs[0]))
      source = written_by(k, node->inputs[0], Q8_RAW_QUANTIZE);
    if (!source)
      return id;
    id = source->inputs[0];
  }
  return id; /* a cycle: found later */
}

static int quantize_stays(keeper *k, const q8_raw_node *node) {
  if (k->seen[node->outputs[0]] || !node->quant)
    return 1;
  if (is_constant(k, node->inputs[0]))
    return 0;
  const q8_raw_node **claim = &k->claim[root(k, node->inputs[0])];
  if (!*claim)
    *claim = node;
  return node->quant->count != 1 || !q8_qdq_equal(node->quant, (*claim)->quant);
}

static int dequantize_stays(const keeper *k, const q8_raw_node *node) {
  const q8_raw_node *source = written_by(k, node->inputs[0], Q8_RAW_DYNAMIC);
  if (source)
    return !matches_dynamic(source, node);
  if (!node->quant)
    return 1;
  if (is_constant(k, node->inputs[0]))
    return 0;
  source = written_by(k, node->inputs[0], Q8_RAW_QUANTIZE);
  return !source || (!is_constant(k, source->inputs[0]) && !q8_qdq_equal(node->quant, source->quant));
}

static int dynamic_stays(const keeper *k, const q8_raw_node *node) {
  for (int32_t i = 0; i < node->output_count; i++)
    if (node->outputs[i] != Q8_NONE && k->seen[node->outputs[i]])
      return 1;
  return 0;
}

static void look_around(keeper *k) {
  const q8_importer *importer = k->importer;
  memset(k->claim, 0, importer->links.count * sizeof *k->claim);
  memset(k->seen, 0, importer->links.count);
  for (size_t i = 0; i < importer->output_count; i++)
    k->seen[importer->outputs[i]] = 1;
  for Q8_EACH_RAW(node, importer)
    for (int32_t j = 0; node->kind == Q8_RAW_OP && j < node->input_count; j++)
      if (node->inputs[j] != Q8_NONE)
        k->seen[node->inputs[j]] = 1;
}

static int stays(keeper *k, const q8_raw_node *node) {
  if (!q8_import_is_whole(node))
    return 0; /* refused later */
  switch (node->kind) {
  case Q8_RAW_QUANTIZE:
    return quantize_stays(k, node);
  case Q8_RAW_DEQUANTIZE:
    return dequantize_stays(k, node);
  default:
    return node->kind == Q8_RAW_DYNAMIC && dynamic_stays(k, node);
  }
}

/* Parameters that are there; a value that no file may have is an error. */
static q8_status read_params(keeper *k, q8_raw_node *node) {
  q8_importer *importer = k->importer;
  if ((node->kind != Q8_RAW_QUANTIZE && node->kind != Q8_RAW_DEQUANTIZE) || !q8_import_is_whole(node))
    return QINT8_OK;
  q8_id x = node->inputs[0];
  const q8_raw_node *source = written_by(k, x, Q8_RAW_QUANTIZE);
  if (source && q8_import_is_whole(source) && is_constant(k, source->inputs[0]))
    x = source->inputs[0]; /* weights or a bias, quantized in the graph */
  q8_tensor_quant *quant = q8_import_alloc(importer, 1, sizeof *quant, node->name);
  if (!quant)
    return QINT8_ERROR_MEMORY;
  q8_status status = q8_qdq_params(importer, node, is_constant(k, x) ? &importer->graph->tensors[x] : NULL, quant);
  if (status == QINT8_OK)
    node->quant = quant;
  return status == QINT8_ERROR_UNSUPPORTED ? QINT8_OK : status;
}

q8_status q8_import_keep(q8_importer *importer) {
  keeper k = {.importer = importer};
  Q8_TRY(q8_import_links(importer));
  k.claim = q8_import_alloc(importer, importer->links.count + 1, sizeof *k.claim, "graph");
  k.seen = q8_import_alloc(importer, importer->links.count + 1, 1, "graph");
  if (!k.claim || !k.seen)
    return QINT8_ERROR_MEMORY;
  for Q8_EACH_RAW(node, importer)
    Q8_TRY(read_params(&k, node));
  for (int changed = 1; changed;) {
    changed = 0;
    look_around(&k);
    for Q8_EACH_RAW(node, importer)
      if (stays(&k, node)) {
        if (!(node->op = q8_op_find(node->op_type, "")))
          return q8_fail(importer->error, QINT8_ERROR_UNSUPPORTED, node->name, "%s on integers that others see",
                         node->op_type);
        node->kind = Q8_RAW_OP;
        changed = 1;
      }
  }
  return QINT8_OK;
}
