/* qoperator_dynamic.c - dynamic quantization as tools write it becomes a float operator on rounded values.
 *
 *   x -> DynamicQuantizeLinear -> MatMulInteger(., w) -> Cast -> Mul(., Mul(x_scale, w_scale)) -> y
 *                                   DQ(x), DQ(w) -> MatMul -> y */
#include <string.h>

#include "onnx/lowering.h"

/* The only node that reads `id`, if it is of that type; else NULL. */
static q8_raw_node *only_user(const q8_importer *importer, q8_id id, const char *op_type) {
  if (importer->links.uses[id] != 1)
    return NULL;
  for Q8_EACH_RAW(node, importer)
    for (int32_t j = 0; j < node->input_count; j++)
      if (node->inputs[j] == id)
        return strcmp(node->op_type, op_type) ? NULL : node;
  return NULL;
}

static q8_raw_node *writer_of(const q8_importer *importer, q8_id id, const char *op_type) {
  q8_raw_node *node = id == Q8_NONE || (size_t)id >= importer->links.count ? NULL : importer->links.writer[id];
  return node && !strcmp(node->op_type, op_type) ? node : NULL;
}

/* The other input of a node with two, or NONE. */
static q8_id other_input(const q8_raw_node *node, q8_id one) {
  if (!node || node->input_count != 2)
    return Q8_NONE;
  return node->inputs[0] == one ? node->inputs[1] : node->inputs[1] == one ? node->inputs[0] : Q8_NONE;
}

/* w_scale as DequantizeLinear takes it: a scalar or a list, whatever shape broadcast the product. */
static q8_status flat_scale(q8_importer *importer, const q8_raw_node *node, q8_id scale, q8_id *out) {
  size_t count;
  const float *values = q8_lower_scales(importer, scale, &count);
  if (!values)
    return q8_fail(importer->error, QINT8_ERROR_UNSUPPORTED, node->name, "the scale of a weight is not a constant");
  return q8_import_constant(importer, q8_lower_tensor(importer, scale)->name, QINT8_DTYPE_F32,
                            count > 1 ? (int64_t)count : -1, values, out);
}

static q8_status add_integer_product(q8_importer *importer, const q8_raw_node *node, const char *op, const q8_id x[3],
                                     const q8_id w[3], q8_id y) {
  q8_id floats[2], weight[3] = {w[0], Q8_NONE, w[2]};
  int64_t axis;
  Q8_TRY(q8_lower_weight_axis(importer, node, op, &axis));
  Q8_TRY(flat_scale(importer, node, w[1], &weight[1]));
  Q8_TRY(q8_lower_dequantize(importer, node->name, x, -1, &floats[0]));
  Q8_TRY(q8_lower_dequantize(importer, node->name, weight, axis, &floats[1]));
  return q8_import_add(importer, op, node->name, floats, 2, &y, 1, &node->bytes);
}

/* MatMulInteger, ConvInteger: the node, its Cast and the Mul behind it become one float operator. */
q8_status q8_lower_integer(q8_importer *importer, q8_raw_node *node) {
  q8_raw_node *source = writer_of(importer, node->inputs[0], "DynamicQuantizeLinear");
  q8_raw_node *cast = only_user(importer, node->outputs[0], "Cast");
  q8_raw_node *scaled = cast ? only_user(importer, cast->outputs[0], "Mul") : NULL;
  q8_id both = cast ? other_input(scaled, cast->outputs[0]) : Q8_NONE; /* both scales */
  q8_raw_node *product = writer_of(importer, both, "Mul");
  q8_id w_scale = source && source->output_count > 2 ? other_input(product, source->outputs[1]) : Q8_NONE;
  if (w_scale == Q8_NONE || node->inputs[2] != source->outputs[2])
    return q8_fail(importer->error, QINT8_ERROR_UNSUPPORTED, node->name,
                   "%s outside DynamicQuantizeLinear -> %s -> Cast -> Mul by both scales", node->op_type,
                   node->op_type);
  const q8_id w[3] = {node->inputs[1], w_scale, node->inputs[3]};
  const char *op = !strcmp(node->op_type, "ConvInteger") ? "Conv" : "MatMul";
  Q8_TRY(add_integer_product(importer, node, op, source->outputs, w, scaled->outputs[0]));
  q8_lower_drop(importer, cast);
  q8_lower_drop(importer, scaled);
  if (importer->links.uses[both] == 0)
    q8_lower_drop(importer, product);
  return QINT8_OK;
}

/* ONNX Runtime's own fusions of that pattern, with an optional bias behind it. */
q8_status q8_lower_fused(q8_importer *importer, const q8_raw_node *node) {
  int is_dynamic = !strcmp(node->op_type, "DynamicQuantizeMatMul");
  q8_id bias = node->inputs[is_dynamic ? 4 : 6], y = node->outputs[0], x[3], w[3] = {node->inputs[1]};
  if (bias != Q8_NONE) {
    Q8_TRY(q8_lower_name(importer, y, &y));
    q8_id sum[2] = {y, bias};
    Q8_TRY(q8_import_add(importer, "Add", node->name, sum, 2, node->outputs, 1, NULL));
  }
  if (is_dynamic) {
    for (int i = 0; i < 3; i++)
      Q8_TRY(q8_import_fresh(importer, q8_lower_tensor(importer, node->inputs[0])->name, &x[i]));
    Q8_TRY(q8_import_add(importer, "DynamicQuantizeLinear", node->name, node->inputs, 1, x, 3, NULL));
    w[1] = node->inputs[2];
    w[2] = node->inputs[3];
  } else {
    x[0] = node->inputs[0];
    x[1] = node->inputs[2];
    x[2] = node->inputs[4];
    w[1] = node->inputs[3];
    w[2] = node->inputs[5];
  }
  return add_integer_product(importer, node, "MatMul", x, w, y);
}
