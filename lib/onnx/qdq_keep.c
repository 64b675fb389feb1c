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
  q8_pool pool;            /* of all that follows */
  q8_tensor_quant *params; /* [node_count] of QUANTIZE and DEQUANTIZE; dtype NONE if they are not constants */
  int32_t *writer;         /* [tensor_count] the node of the three kinds that writes it, or -1 */
  int32_t *claim;          /* [tensor_count] the QUANTIZE whose parameters the float tensor gets, or -1 */
  uint8_t *seen;           /* [tensor_count] read by an operator, or an output of the graph */
} keeper;

static const q8_raw_node *node_at(const keeper *k, int32_t node) {
  return &k->importer->nodes[node];
}

static int is_constant(const keeper *k, q8_id id) {
  return q8_graph_is_constant(k->importer->graph, id);
}

static int is_whole(const q8_raw_node *node) {
  int32_t inputs = node->kind == Q8_RAW_DYNAMIC ? 1 : 2;
  for (int32_t i = 0; i < inputs; i++)
    if (i >= node->input_count || node->inputs[i] == Q8_NONE)
      return 0;
  return node->outputs[0] != Q8_NONE;
}

/* The vanishing node of that kind that writes the tensor, or NULL. */
static const q8_raw_node *written_by(const keeper *k, q8_id id, q8_raw_kind kind, int32_t *index) {
  *index = k->writer[id];
  return *index >= 0 && node_at(k, *index)->kind == kind ? node_at(k, *index) : NULL;
}

static int matches_dynamic(const q8_raw_node *source, const q8_raw_node *node) {
  return source->output_count >= 3 && node->inputs[0] == source->outputs[0] && node->inputs[1] == source->outputs[1] &&
         node->input_count > 2 && node->inputs[2] == source->outputs[2];
}

/* Through the pairs that vanish: the tensor whose readers read what a reader of `id` reads. */
static q8_id root(const keeper *k, q8_id id) {
  int32_t d, s;
  for (size_t hops = 0; hops < k->importer->node_count; hops++) {
    const q8_raw_node *node = written_by(k, id, Q8_RAW_DEQUANTIZE, &d);
    const q8_raw_node *source = node && !is_constant(k, node->inputs[0])
                                    ? written_by(k, node->inputs[0], Q8_RAW_QUANTIZE, &s)
                                    : NULL;
    if (!source)
      return id;
    id = source->inputs[0];
  }
  return id; /* a cycle: found later */
}

static int quantize_stays(keeper *k, int32_t index) {
  const q8_raw_node *node = node_at(k, index);
  const q8_tensor_quant *params = &k->params[index];
  if (k->seen[node->outputs[0]] || params->dtype == QINT8_DTYPE_NONE)
    return 1;
  if (is_constant(k, node->inputs[0]))
    return 0;
  int32_t *claim = &k->claim[root(k, node->inputs[0])];
  if (*claim < 0)
    *claim = index;
  return params->count != 1 || !q8_qdq_equal(params, &k->params[*claim]);
}

static int dequantize_stays(const keeper *k, int32_t index) {
  const q8_raw_node *node = node_at(k, index), *source;
  int32_t s;
  if ((source = written_by(k, node->inputs[0], Q8_RAW_DYNAMIC, &s)))
    return !matches_dynamic(source, node);
  if (k->params[index].dtype == QINT8_DTYPE_NONE)
    return 1;
  if (is_constant(k, node->inputs[0]))
    return 0;
  if (!(source = written_by(k, node->inputs[0], Q8_RAW_QUANTIZE, &s)))
    return 1;
  return !is_constant(k, source->inputs[0]) && !q8_qdq_equal(&k->params[index], &k->params[s]);
}

static int dynamic_stays(const keeper *k, const q8_raw_node *node) {
  for (int32_t i = 0; i < node->output_count; i++)
    if (node->outputs[i] != Q8_NONE && k->seen[node->outputs[i]])
      return 1;
  return 0;
}

static void look_around(keeper *k) {
  const q8_importer *importer = k->importer;
  for (size_t i = 0; i < importer->graph->tensor_count; i++) {
    k->claim[i] = -1;
    k->seen[i] = 0;
  }
  for (size_t i = 0; i < importer->output_count; i++)
    k->seen[importer->outputs[i]] = 1;
  for (size_t i = 0; i < importer->node_count; i++)
    for (int32_t j = 0; importer->nodes[i].kind == Q8_RAW_OP && j < importer->nodes[i].input_count; j++)
      if (importer->nodes[i].inputs[j] != Q8_NONE)
        k->seen[importer->nodes[i].inputs[j]] = 1;
}

static int stays(keeper *k, int32_t index) {
  const q8_raw_node *node = node_at(k, index);
  if (!is_whole(node))
    return 0; /* refused later */
  switch (node->kind) {
  case Q8_RAW_QUANTIZE:
    return quantize_stays(k, index);
  case Q8_RAW_DEQUANTIZE:
    return dequantize_stays(k, index);
  default:
    return node->kind == Q8_RAW_DYNAMIC && dynamic_stays(k, node);
  }
}

/* Parameters that are there; a value that no file may have is an error. */
static q8_status read_params(keeper *k, int32_t index) {
  const q8_raw_node *node = node_at(k, index);
  if (!is_whole(node) || (node->kind != Q8_RAW_QUANTIZE && node->kind != Q8_RAW_DEQUANTIZE))
    return QINT8_OK;
  q8_id x = node->inputs[0];
  int32_t s;
  const q8_raw_node *source = written_by(k, x, Q8_RAW_QUANTIZE, &s);
  if (source && is_whole(source) && is_constant(k, source->inputs[0]))
    x = source->inputs[0]; /* weights or a bias, quantized in the graph */
  const q8_tensor *data = is_constant(k, x) ? &k->importer->graph->tensors[x] : NULL;
  q8_status status = q8_qdq_params(k->importer, &k->pool, node, data, &k->params[index]);
  if (status != QINT8_ERROR_UNSUPPORTED)
    return status;
  k->params[index].dtype = QINT8_DTYPE_NONE;
  return QINT8_OK;
}

static q8_status keep(keeper *k) {
  q8_importer *importer = k->importer;
  size_t nodes = importer->node_count, tensors = importer->graph->tensor_count;
  k->params = q8_pool_alloc(&k->pool, nodes + 1, sizeof *k->params);
  k->writer = q8_pool_alloc(&k->pool, tensors + 1, sizeof *k->writer);
  k->claim = q8_pool_alloc(&k->pool, tensors + 1, sizeof *k->claim);
  k->seen = q8_pool_alloc(&k->pool, tensors + 1, 1);
  if (!k->params || !k->writer || !k->claim || !k->seen)
    return q8_fail_memory(k->importer->error, "graph", nodes * sizeof *k->params);
  for (size_t i = 0; i < tensors; i++)
    k->writer[i] = -1;
  for (size_t i = 0; i < nodes; i++) {
    const q8_raw_node *node = &importer->nodes[i];
    for (int32_t j = 0; node->kind >= Q8_RAW_QUANTIZE && j < node->output_count; j++)
      if (node->outputs[j] != Q8_NONE)
        k->writer[node->outputs[j]] = (int32_t)i;
  }
  for (size_t i = 0; i < nodes; i++)
    Q8_TRY(read_params(k, (int32_t)i));
  for (int changed = 1; changed;) {
    changed = 0;
    look_around(k);
    for (size_t i = 0; i < nodes; i++)
      if (stays(k, (int32_t)i)) {
        q8_raw_node *node = &importer->nodes[i];
        if (!(node->op = q8_op_find(node->op_type, "")))
          return q8_fail(k->importer->error, QINT8_ERROR_UNSUPPORTED, node->name, "%s on integers that others see",
                         node->op_type);
        node->kind = Q8_RAW_OP;
        changed = 1;
      }
  }
  return QINT8_OK;
}

q8_status q8_import_keep(q8_importer *importer) {
  keeper k = {.importer = importer};
  q8_pool_init(&k.pool, &importer->host);
  q8_status status = keep(&k);
  q8_pool_destroy(&k.pool);
  return status;
}
