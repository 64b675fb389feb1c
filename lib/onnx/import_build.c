/* import_build.c - nodes that the file does not have. */
#include <string.h>

#include "onnx/importer.h"

q8_status q8_import_new_node(q8_importer *importer, const char *op_type, const char *base, const q8_id *inputs,
                             int32_t input_count, q8_id *out) {
  const q8_op *op = q8_op_find(op_type, "");
  if (!op)
    return q8_fail(importer->error, QINT8_ERROR_INTERNAL, base, "no operator %s", op_type);
  void *params = q8_pool_alloc(&importer->pool, 1, op->params_size ? op->params_size : 1);
  if (!params)
    return q8_fail_memory(importer->error, base, op->params_size);
  q8_op_defaults(op, params);
  q8_id output;
  Q8_TRY(q8_import_fresh(importer, base, &output));
  Q8_TRY(q8_graph_add_node(importer->graph, importer->graph->tensors[output].name, op, params, op->params_size, inputs,
                           input_count, &output, 1, importer->error));
  *out = output;
  return QINT8_OK;
}

q8_status q8_import_add(q8_importer *importer, q8_raw_kind kind, const char *op_type, const char *name,
                        const q8_id *inputs, int32_t input_count, const q8_id *outputs, int32_t output_count,
                        const q8_reader *bytes) {
  q8_raw_node node = {.kind = kind, .name = name, .op_type = op_type, .input_count = input_count,
                      .output_count = output_count};
  size_t room = (size_t)input_count + Q8_UPGRADE_INPUTS;
  if (bytes)
    node.bytes = *bytes;
  node.inputs = q8_pool_alloc(&importer->pool, room, sizeof *node.inputs);
  node.outputs = q8_pool_alloc(&importer->pool, (size_t)output_count, sizeof *node.outputs);
  if (!node.inputs || !node.outputs ||
      !q8_grow(&importer->host, (void **)&importer->nodes, &importer->node_capacity, importer->node_count + 1,
               sizeof node, importer->node_count))
    return q8_fail_memory(importer->error, name, sizeof node);
  if (kind == Q8_RAW_OP && !(node.op = q8_op_find(op_type, "")) && !(node.op = q8_op_find(op_type, "qint8")))
    return q8_fail(importer->error, QINT8_ERROR_UNSUPPORTED, name, "operators that are not supported: %s", op_type);
  memset(node.inputs, 0xff, room * sizeof *node.inputs); /* Q8_NONE */
  memcpy(node.inputs, inputs, (size_t)input_count * sizeof *inputs);
  memcpy(node.outputs, outputs, (size_t)output_count * sizeof *outputs);
  while (node.input_count && node.inputs[node.input_count - 1] == Q8_NONE)
    node.input_count--;
  importer->nodes[importer->node_count++] = node;
  return QINT8_OK;
}
