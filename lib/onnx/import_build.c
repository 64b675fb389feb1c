/* import_build.c - memory and the node list; nodes that the file does not have. */
#include <string.h>

#include "onnx/importer.h"

void *q8_import_alloc(q8_importer *importer, size_t count, size_t size, const char *where) {
  void *memory = q8_pool_alloc(&importer->pool, count, size);
  if (!memory)
    q8_fail_memory(importer->error, where, count * size);
  return memory;
}

/* ---- The node list ---- */

q8_raw_node *q8_import_make(q8_importer *importer, const char *op_type, const char *name, int32_t input_count,
                            int32_t output_count) {
  size_t inputs = (size_t)input_count + Q8_UPGRADE_INPUTS, all = inputs + (size_t)output_count + Q8_SPARE_OUTPUTS;
  q8_raw_node *node = q8_import_alloc(importer, 1, sizeof *node, name);
  q8_id *ids = q8_import_alloc(importer, all, sizeof *ids, name);
  if (!node || !ids)
    return NULL;
  memset(ids, 0xff, all * sizeof *ids); /* Q8_NONE */
  node->name = name;
  node->op_type = op_type;
  node->inputs = ids;
  node->outputs = ids + inputs;
  node->input_count = input_count;
  node->output_count = output_count;
  return node;
}

void q8_import_append(q8_importer *importer, q8_raw_node *node) {
  node->previous = importer->last;
  *(importer->last ? &importer->last->next : &importer->nodes) = node;
  importer->last = node;
  importer->node_count++;
}

int q8_import_is_whole(const q8_raw_node *node) {
  int32_t inputs = node->kind == Q8_RAW_DYNAMIC ? 1 : 2;
  for (int32_t i = 0; i < inputs; i++)
    if (node->inputs[i] == Q8_NONE)
      return 0;
  return node->outputs[0] != Q8_NONE;
}

q8_status q8_import_check_whole(const q8_importer *importer, const q8_raw_node *node) {
  return q8_import_is_whole(node) ? QINT8_OK
                                  : q8_fail(importer->error, QINT8_ERROR_FORMAT, node->name,
                                            "%s lacks an input or output", node->op_type);
}

q8_status q8_import_links(q8_importer *importer) {
  q8_links *links = &importer->links;
  links->count = importer->graph->tensor_count;
  links->writer = q8_import_alloc(importer, links->count + 1, sizeof *links->writer, "graph");
  links->uses = q8_import_alloc(importer, links->count + 1, sizeof *links->uses, "graph");
  if (!links->writer || !links->uses)
    return QINT8_ERROR_MEMORY;
  for (size_t i = 0; i < importer->output_count; i++)
    links->uses[importer->outputs[i]] += 2;
  for Q8_EACH_RAW(node, importer) {
    for (int32_t i = 0; i < node->input_count; i++)
      if (node->inputs[i] != Q8_NONE)
        links->uses[node->inputs[i]]++;
    for (int32_t i = 0; i < node->output_count; i++)
      if (node->outputs[i] != Q8_NONE)
        links->writer[node->outputs[i]] = node;
  }
  return QINT8_OK;
}

/* ---- New nodes ---- */

/* An operator that the library has. */
static q8_status find_own(const q8_importer *importer, const char *op_type, const char *name, const q8_op **out) {
  *out = q8_op_find(op_type, "");
  if (!*out)
    *out = q8_op_find(op_type, "qint8");
  return *out ? QINT8_OK : q8_fail(importer->error, QINT8_ERROR_INTERNAL, name, "no operator %s", op_type);
}

q8_status q8_import_new_node(q8_importer *importer, const char *op_type, const char *base, const q8_id *inputs,
                             int32_t input_count, q8_id *out) {
  const q8_op *op;
  Q8_TRY(find_own(importer, op_type, base, &op));
  void *params = q8_import_alloc(importer, 1, (size_t)op->params_size + 1, base);
  if (!params)
    return QINT8_ERROR_MEMORY;
  q8_op_defaults(op, params);
  q8_id output;
  Q8_TRY(q8_import_fresh(importer, base, &output));
  Q8_TRY(q8_graph_add_node(importer->graph, importer->graph->tensors[output].name, op, params, op->params_size, inputs,
                           input_count, &output, 1, importer->error));
  *out = output;
  return QINT8_OK;
}

q8_status q8_import_add(q8_importer *importer, const char *op_type, const char *name, const q8_id *inputs,
                        int32_t input_count, const q8_id *outputs, int32_t output_count, const q8_reader *bytes) {
  q8_raw_node *node = q8_import_make(importer, op_type, name, input_count, output_count);
  if (!node)
    return QINT8_ERROR_MEMORY;
  if (bytes)
    node->bytes = *bytes;
  node->kind = q8_import_kind(op_type, "");
  if (node->kind == Q8_RAW_OP)
    Q8_TRY(find_own(importer, op_type, name, &node->op));
  memcpy(node->inputs, inputs, (size_t)input_count * sizeof *inputs);
  memcpy(node->outputs, outputs, (size_t)output_count * sizeof *outputs);
  while (node->input_count && node->inputs[node->input_count - 1] == Q8_NONE)
    node->input_count--;
  q8_import_append(importer, node);
  return QINT8_OK;
}

q8_status q8_import_identity(q8_importer *importer, const char *name, q8_id from, q8_id to) {
  return q8_import_add(importer, "Identity", name, &from, 1, &to, 1, NULL);
}
