/* lowering.c - new nodes, their attributes, nodes that vanish. */
#include "onnx/lowering.h"

#include <string.h>

/* ---- New nodes ---- */

/* Other tools append "_quantized" to the name of the float value. */
q8_status q8_lower_name(q8_lowering *l, q8_id id, q8_id *out) {
  static const char suffix[] = "_quantized";
  const char *name = q8_lower_tensor(l, id)->name;
  size_t length = strlen(name), cut = sizeof suffix - 1;
  if (length > cut && !strcmp(name + length - cut, suffix))
    length -= cut;
  name = q8_pool_string(&l->importer->pool, name, length);
  return name ? q8_import_fresh(l->importer, name, out) : q8_fail_memory(l->importer->error, "graph", length);
}

/* The `axis` attribute of a NodeProto. */
static q8_status axis_bytes(q8_lowering *l, int64_t axis, q8_reader *out) {
  q8_writer w;
  q8_writer_init(&w, &l->importer->host);
  size_t mark = q8_write_begin(&w, Q8_NODE_ATTRIBUTE);
  q8_write_string(&w, Q8_ATTRIBUTE_NAME, "axis");
  q8_write_varint(&w, Q8_ATTRIBUTE_TYPE, Q8_TYPE_INT);
  q8_write_varint(&w, Q8_ATTRIBUTE_I, (uint64_t)axis);
  q8_write_end(&w, mark);
  char *copy = w.failed ? NULL : q8_pool_string(&l->importer->pool, (const char *)w.bytes, w.size);
  *out = q8_reader_make(copy, copy ? w.size : 0);
  q8_writer_free(&w);
  return copy ? QINT8_OK : q8_fail_memory(l->importer->error, "graph", 32);
}

q8_status q8_lower_dequantize(q8_lowering *l, const char *name, const q8_id *triple, int64_t axis, q8_id *out) {
  q8_reader bytes;
  Q8_TRY(axis_bytes(l, axis, &bytes));
  if (q8_graph_is_constant(l->importer->graph, triple[0]))
    Q8_TRY(q8_lower_name(l, triple[0], out));
  else /* stands for the value that was quantized, which gets the good name */
    Q8_TRY(q8_import_fresh(l->importer, name, out));
  return q8_import_add(l->importer, Q8_RAW_DEQUANTIZE, "DequantizeLinear", name, triple, 3, out, 1, &bytes);
}

/* ---- Attributes ---- */

/* Those that only ONNX Runtime's operators have are checked and left out. */
static q8_status own_attribute(q8_lowering *l, const q8_raw_node *node, q8_reader bytes, int *is_own) {
  const char *name;
  q8_message m;
  Q8_TRY(q8_import_message(l->importer, bytes, node->name, m));
  Q8_TRY(q8_import_string(l->importer, &m[Q8_ATTRIBUTE_NAME], node->name, &name));
  int64_t value = (int64_t)m[Q8_ATTRIBUTE_I].value;
  *is_own = !strcmp(name, "channels_last") || !strcmp(name, "opset");
  int last = !strcmp(name, "channels_last") && value != 0;
  int other_axes = !strcmp(name, "opset") && (value < 13) != (l->importer->graph->opset < 13);
  if (last || other_axes)
    return q8_fail(l->importer->error, QINT8_ERROR_UNSUPPORTED, node->name, "%s with %s = %d", node->op_type, name,
                   (int)value);
  return QINT8_OK;
}

q8_status q8_lower_attributes(q8_lowering *l, const q8_raw_node *node, q8_reader *out) {
  q8_reader bytes = node->bytes;
  q8_field field;
  q8_writer w;
  q8_status status = QINT8_OK;
  q8_writer_init(&w, &l->importer->host);
  while (status == QINT8_OK && q8_wire_find(&bytes, Q8_NODE_ATTRIBUTE, &field)) {
    int is_own = 0;
    status = own_attribute(l, node, field.bytes, &is_own);
    if (status == QINT8_OK && !is_own)
      q8_write_bytes(&w, Q8_NODE_ATTRIBUTE, field.bytes.at, q8_reader_size(&field.bytes));
  }
  char *copy = NULL;
  if (status == QINT8_OK && !w.failed)
    copy = q8_pool_string(&l->importer->pool, (const char *)w.bytes, w.size);
  *out = q8_reader_make(copy, copy ? w.size : 0);
  q8_writer_free(&w);
  return status != QINT8_OK || copy ? status : q8_fail_memory(l->importer->error, node->name, 64);
}

q8_status q8_lower_weight_axis(q8_lowering *l, const q8_raw_node *node, const char *op_type, q8_reader bytes,
                               int64_t *out) {
  const q8_op *op = q8_op_find(op_type, "");
  *out = -1;
  if (!op || !q8_extras(op)->weight_axis)
    return QINT8_OK;
  q8_raw_node like = *node;
  like.bytes = bytes;
  q8_node at = {.name = node->name, .op = op, .params = q8_pool_alloc(&l->importer->pool, 1, op->params_size)};
  if (!at.params)
    return q8_fail_memory(l->importer->error, node->name, op->params_size);
  Q8_TRY(q8_import_attributes(l->importer, &like, op, (void *)(uintptr_t)at.params));
  *out = q8_weight_axis(&at);
  return QINT8_OK;
}

const float *q8_lower_scales(const q8_lowering *l, q8_id id, size_t *count) {
  if (!q8_graph_is_constant(l->importer->graph, id) || q8_lower_tensor(l, id)->dtype != QINT8_DTYPE_F32)
    return NULL;
  *count = q8_shape_count(&q8_lower_tensor(l, id)->shape, NULL);
  return *count ? q8_lower_tensor(l, id)->data : NULL;
}

void q8_lower_drop(q8_lowering *l, int32_t index) {
  q8_raw_node *node = q8_lower_raw(l, index);
  for (int32_t i = 0; i < node->input_count; i++)
    if (node->inputs[i] != Q8_NONE)
      l->uses[node->inputs[i]]--;
  node->kind = Q8_RAW_NOTHING;
  node->input_count = node->output_count = 0;
}
