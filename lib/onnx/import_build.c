/* import_build.c - nodes that `upgrade` adds to the graph. */
#include <string.h>

#include "onnx/importer.h"

q8_status q8_import_new_node(q8_importer *importer, const char *op_type, const char *base, const q8_id *inputs,
                             int32_t input_count, q8_id *out, qint8_error *error) {
  const q8_op *op = q8_op_find(op_type, "");
  if (!op)
    return q8_fail(error, QINT8_ERROR_INTERNAL, base, "no operator %s", op_type);
  void *params = q8_pool_alloc(&importer->pool, 1, op->params_size ? op->params_size : 1);
  if (!params)
    return q8_fail_memory(error, base, op->params_size);
  q8_op_defaults(op, params);
  q8_id output;
  Q8_TRY(q8_import_fresh(importer, base, &output, error));
  Q8_TRY(q8_graph_add_node(importer->graph, importer->graph->tensors[output].name, op, params, op->params_size, inputs,
                           input_count, &output, 1, error));
  *out = output;
  return QINT8_OK;
}
