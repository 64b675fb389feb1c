/* qoperator_dynamic.c - dynamic quantization as tools write it becomes a float operator on rounded values.
 *
 *   x -> DynamicQuantizeLinear -> MatMulInteger(., w) -> Cast -> Mul(., Mul(x_scale, w_scale)) -> y
 *                                   DQ(x), DQ(w) -> MatMul -> y */
#include <string.h>

#include "onnx/lowering.h"

/* The only node that reads `id`, if it is of that type; else -1. */
static int32_t only_user(const q8_lowering *l, q8_id id, const char *op_type) {
  if (l->uses[id] != 1)
    return -1;
  for (size_t i = 0; i < l->importer->node_count; i++) {
    const q8_raw_node *node = q8_lower_raw(l, (int32_t)i);
    for (int32_t j = 0; j < node->input_count; j++)
      if (node->inputs[j] == id)
        return strcmp(node->op_type, op_type) ? -1 : (int32_t)i;
  }
  return -1;
}

static int32_t producer_of(const q8_lowering *l, q8_id id, const char *op_type) {
  int32_t node = id == Q8_NONE || (size_t)id >= l->count ? -1 : l->producer[id];
  return node >= 0 && !strcmp(q8_lower_raw(l, node)->op_type, op_type) ? node : -1;
}

/* The other input of a node with two, or NONE. */
static q8_id other_input(const q8_raw_node *node, q8_id one) {
  if (node->input_count != 2)
    return Q8_NONE;
  return node->inputs[0] == one ? node->inputs[1] : node->inputs[1] == one ? node->inputs[0] : Q8_NONE;
}

/* w_scale as DequantizeLinear takes it: a scalar or a list, whatever shape broadcast the product. */
static q8_status flat_scale(q8_lowering *l, q8_id scale, q8_id *out) {
  size_t count;
  const float *values = q8_lower_scales(l, scale, &count);
  if (!values)
    return q8_fail(l->importer->error, QINT8_ERROR_UNSUPPORTED, q8_lower_tensor(l, scale)->name,
                   "the scale of a weight is not a constant");
  return q8_import_constant(l->importer, q8_lower_tensor(l, scale)->name, QINT8_DTYPE_F32,
                            count > 1 ? (int64_t)count : -1, values, out);
}

static q8_status add_integer_product(q8_lowering *l, const q8_raw_node *node, const char *op, const q8_id x[3],
                                     const q8_id w[3], q8_id y) {
  q8_id floats[2], weight[3] = {w[0], Q8_NONE, w[2]};
  q8_reader bytes;
  int64_t axis;
  Q8_TRY(q8_lower_attributes(l, node, &bytes));
  Q8_TRY(q8_lower_weight_axis(l, node, op, bytes, &axis));
  Q8_TRY(flat_scale(l, w[1], &weight[1]));
  Q8_TRY(q8_lower_dequantize(l, node->name, x, -1, &floats[0]));
  Q8_TRY(q8_lower_dequantize(l, node->name, weight, axis, &floats[1]));
  return q8_import_add(l->importer, Q8_RAW_OP, op, node->name, floats, 2, &y, 1, &bytes);
}

static int is_conv(const q8_raw_node *node) {
  return !strcmp(node->op_type, "ConvInteger");
}

static q8_status no_pattern(const q8_lowering *l, const q8_raw_node *node) {
  return q8_fail(l->importer->error, QINT8_ERROR_UNSUPPORTED, node->name,
                 "%s outside DynamicQuantizeLinear -> %s -> Cast -> Mul by both scales", node->op_type, node->op_type);
}

/* MatMulInteger, ConvInteger: the node, its Cast and the Mul behind it become one float operator. */
q8_status q8_lower_integer(q8_lowering *l, int32_t index) {
  const q8_raw_node node = *q8_lower_raw(l, index);
  int32_t source = producer_of(l, node.inputs[0], "DynamicQuantizeLinear");
  int32_t cast = only_user(l, node.outputs[0], "Cast");
  int32_t scaled = cast < 0 ? -1 : only_user(l, q8_lower_raw(l, cast)->outputs[0], "Mul");
  if (source < 0 || scaled < 0 || q8_lower_raw(l, source)->output_count < 3 ||
      q8_lower_input(&node, 2) != q8_lower_raw(l, source)->outputs[2])
    return no_pattern(l, &node);
  const q8_id *dynamic = q8_lower_raw(l, source)->outputs; /* data, scale, zero point */
  q8_id both = other_input(q8_lower_raw(l, scaled), q8_lower_raw(l, cast)->outputs[0]);
  q8_id y = q8_lower_raw(l, scaled)->outputs[0];
  int32_t product = producer_of(l, both, "Mul");
  q8_id w_scale = product < 0 ? Q8_NONE : other_input(q8_lower_raw(l, product), dynamic[1]);
  if (w_scale == Q8_NONE)
    return no_pattern(l, &node);
  q8_id x[3] = {dynamic[0], dynamic[1], dynamic[2]}, w[3] = {node.inputs[1], w_scale, q8_lower_input(&node, 3)};
  Q8_TRY(add_integer_product(l, &node, is_conv(&node) ? "Conv" : "MatMul", x, w, y));
  q8_lower_drop(l, cast);
  q8_lower_drop(l, scaled);
  if (l->uses[both] == 0)
    q8_lower_drop(l, product);
  return QINT8_OK;
}

/* ONNX Runtime's own fusions of that pattern, with an optional bias behind it. */
q8_status q8_lower_fused(q8_lowering *l, int32_t index) {
  const q8_raw_node node = *q8_lower_raw(l, index);
  int is_dynamic = !strcmp(node.op_type, "DynamicQuantizeMatMul");
  q8_id bias = q8_lower_input(&node, is_dynamic ? 4 : 6), y = node.outputs[0], x[3], w[3] = {node.inputs[1]};
  if (bias != Q8_NONE) {
    Q8_TRY(q8_lower_name(l, y, &y));
    q8_id sum[2] = {y, bias};
    Q8_TRY(q8_import_add(l->importer, Q8_RAW_OP, "Add", node.name, sum, 2, node.outputs, 1, NULL));
  }
  if (is_dynamic) {
    for (int i = 0; i < 3; i++)
      Q8_TRY(q8_import_fresh(l->importer, q8_lower_tensor(l, node.inputs[0])->name, &x[i]));
    Q8_TRY(q8_import_add(l->importer, Q8_RAW_DYNAMIC, "DynamicQuantizeLinear", node.name, node.inputs, 1, x, 3,
                         NULL));
    w[1] = q8_lower_input(&node, 2);
    w[2] = q8_lower_input(&node, 3);
  } else {
    x[0] = node.inputs[0];
    x[1] = q8_lower_input(&node, 2);
    x[2] = q8_lower_input(&node, 4);
    w[1] = q8_lower_input(&node, 3);
    w[2] = q8_lower_input(&node, 5);
  }
  return add_integer_product(l, &node, "MatMul", x, w, y);
}
