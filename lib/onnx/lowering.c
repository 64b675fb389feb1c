/* lowering.c - new nodes, weights, nodes that vanish. */
#include "onnx/lowering.h"

#include <string.h>

/* Other tools append "_quantized" to the name of the float value. */
q8_status q8_lower_name(q8_importer *importer, q8_id id, q8_id *out) {
  static const char suffix[] = "_quantized";
  const char *name = q8_lower_tensor(importer, id)->name;
  size_t length = strlen(name), cut = sizeof suffix - 1;
  if (length > cut && !strcmp(name + length - cut, suffix))
    length -= cut;
  name = q8_pool_string(&importer->pool, name, length);
  return name ? q8_import_fresh(importer, name, out) : q8_fail_memory(importer->error, "graph", length);
}

/* The `axis` attribute of a NodeProto. */
static q8_status axis_bytes(q8_importer *importer, int64_t axis, q8_reader *out) {
  q8_writer w;
  q8_writer_init(&w, &importer->pool.host);
  size_t mark = q8_write_begin(&w, Q8_NODE_ATTRIBUTE);
  q8_write_string(&w, Q8_ATTRIBUTE_NAME, "axis");
  q8_write_varint(&w, Q8_ATTRIBUTE_I, (uint64_t)axis);
  q8_write_end(&w, mark);
  char *copy = w.failed ? NULL : q8_pool_string(&importer->pool, (const char *)w.bytes, w.size);
  *out = q8_reader_make(copy, copy ? w.size : 0);
  q8_writer_free(&w);
  return copy ? QINT8_OK : q8_fail_memory(importer->error, "graph", 32);
}

q8_status q8_lower_dequantize(q8_importer *importer, const char *name, const q8_id *triple, int64_t axis, q8_id *out) {
  q8_reader bytes;
  Q8_TRY(axis_bytes(importer, axis, &bytes));
  if (q8_graph_is_constant(importer->graph, triple[0]))
    Q8_TRY(q8_lower_name(importer, triple[0], out));
  else /* stands for the value that was quantized, which gets the good name */
    Q8_TRY(q8_import_fresh(importer, name, out));
  return q8_import_add(importer, "DequantizeLinear", name, triple, 3, out, 1, &bytes);
}

q8_status q8_lower_weight_axis(q8_importer *importer, const q8_raw_node *node, const char *op_type, int64_t *out) {
  const q8_op *op = q8_op_find(op_type, "");
  *out = -1;
  if (!op || !q8_extras(op)->weight_axis)
    return QINT8_OK;
  void *params = q8_import_alloc(importer, 1, op->params_size, node->name);
  if (!params)
    return QINT8_ERROR_MEMORY;
  Q8_TRY(q8_import_attributes(importer, node, op, params));
  *out = q8_weight_axis(&(q8_node){.name = node->name, .op = op, .params = params});
  return QINT8_OK;
}

const float *q8_lower_scales(const q8_importer *importer, q8_id id, size_t *count) {
  if (!q8_graph_is_constant(importer->graph, id) || q8_lower_tensor(importer, id)->dtype != QINT8_DTYPE_F32)
    return NULL;
  *count = q8_shape_count(&q8_lower_tensor(importer, id)->shape, NULL);
  return *count ? q8_lower_tensor(importer, id)->data : NULL;
}

void q8_lower_drop(q8_importer *importer, q8_raw_node *node) {
  for (int32_t i = 0; i < node->input_count; i++)
    if (node->inputs[i] != Q8_NONE)
      importer->links.uses[node->inputs[i]]--;
  node->kind = Q8_RAW_NOTHING;
  node->input_count = node->output_count = 0;
}
