/* qoperator_in.c - QOperator nodes become QDQ form before qdq_in.c looks at the node list.
 *
 *   QLinearConv(x, w, b) -> y       DQ(x), DQ(w), DQ(b) -> Conv -> Q -> y
 *   MaxPool, Reshape, ... on integers   the same, with the parameters of their input
 *   x -> DynamicQuantizeLinear -> MatMulInteger(., w) -> Cast -> Mul(., Mul(x_scale, w_scale)) -> y
 *                                   DQ(x), DQ(w) -> MatMul -> y
 * A node that cannot be rewritten stays as it is if the library has an operator for it. */
#include <string.h>

#include "onnx/qoperator.h"

/* What is known of a tensor that holds integers: the ids of its scale and zero point. */
typedef struct integers {
  uint8_t known;
  q8_id scale, zero;
} integers;

typedef struct lowering {
  q8_importer *importer;
  integers *tensors; /* [count] */
  int32_t *producer; /* [count] raw node, or -1 */
  int32_t *uses;     /* [count] as input of a raw node or output of the graph */
  size_t count;      /* tensors before the rewriting: those added later are float */
} lowering;

static q8_raw_node *raw(const lowering *l, int32_t node) {
  return &l->importer->nodes[node];
}

static const q8_tensor *tensor(const lowering *l, q8_id id) {
  return &l->importer->graph->tensors[id];
}

static q8_id input_of(const q8_raw_node *node, int32_t i) {
  return i < node->input_count ? node->inputs[i] : Q8_NONE;
}

/* ---- New nodes ---- */

static q8_status add_node(lowering *l, q8_raw_kind kind, const char *op_type, const char *name, const q8_id *inputs,
                          int32_t input_count, const q8_id *outputs, int32_t output_count, q8_reader bytes,
                          qint8_error *error) {
  q8_importer *importer = l->importer;
  q8_raw_node node = {.kind = kind, .name = name, .op_type = op_type, .input_count = input_count,
                      .output_count = output_count, .bytes = bytes};
  node.inputs = q8_pool_alloc(&importer->pool, (size_t)input_count + Q8_UPGRADE_INPUTS, sizeof *node.inputs);
  node.outputs = q8_pool_alloc(&importer->pool, (size_t)output_count, sizeof *node.outputs);
  if (!node.inputs || !node.outputs ||
      !q8_grow(&importer->host, (void **)&importer->nodes, &importer->node_capacity, importer->node_count + 1,
               sizeof node, importer->node_count))
    return q8_fail_memory(error, name, sizeof node);
  if (kind == Q8_RAW_OP && !(node.op = q8_op_find(op_type, "")))
    return q8_fail(error, QINT8_ERROR_UNSUPPORTED, name, "operators that are not supported: %s", op_type);
  for (int32_t i = 0; i < input_count + Q8_UPGRADE_INPUTS; i++)
    node.inputs[i] = i < input_count ? inputs[i] : Q8_NONE;
  memcpy(node.outputs, outputs, (size_t)output_count * sizeof *outputs);
  while (node.input_count && node.inputs[node.input_count - 1] == Q8_NONE)
    node.input_count--;
  importer->nodes[importer->node_count++] = node;
  return QINT8_OK;
}

/* A name for the float value of an integer tensor: other tools append "_quantized". */
static q8_status fresh_float(lowering *l, q8_id id, q8_id *out, qint8_error *error) {
  static const char suffix[] = "_quantized";
  const char *name = tensor(l, id)->name;
  size_t length = strlen(name), cut = sizeof suffix - 1;
  if (length > cut && !strcmp(name + length - cut, suffix))
    length -= cut;
  name = q8_pool_string(&l->importer->pool, name, length);
  return name ? q8_import_fresh(l->importer, name, out, error) : q8_fail_memory(error, "graph", length);
}

/* The `axis` attribute of a NodeProto. */
static q8_status axis_bytes(lowering *l, int64_t axis, q8_reader *out, qint8_error *error) {
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
  return copy ? QINT8_OK : q8_fail_memory(error, "graph", 32);
}

static q8_status dequantize(lowering *l, const char *name, const q8_id *triple, int64_t axis, q8_id *out,
                            qint8_error *error) {
  q8_reader bytes;
  Q8_TRY(axis_bytes(l, axis, &bytes, error));
  if (q8_graph_is_constant(l->importer->graph, triple[0]))
    Q8_TRY(fresh_float(l, triple[0], out, error));
  else /* stands for the value that was quantized, which gets the good name */
    Q8_TRY(q8_import_fresh(l->importer, name, out, error));
  return add_node(l, Q8_RAW_DEQUANTIZE, "DequantizeLinear", name, triple, 3, out, 1, bytes, error);
}

/* A float tensor in front of the integer tensor y. */
static q8_status quantize(lowering *l, const char *name, q8_id y, q8_id scale, q8_id zero, q8_id *out,
                          qint8_error *error) {
  Q8_TRY(fresh_float(l, y, out, error));
  q8_id inputs[3] = {*out, scale, zero};
  return add_node(l, Q8_RAW_QUANTIZE, "QuantizeLinear", name, inputs, 3, &y, 1, (q8_reader){NULL, NULL}, error);
}

/* ---- Attributes ---- */

/* Those that only ONNX Runtime's operators have are checked and left out. */
static q8_status own_attribute(lowering *l, const q8_raw_node *node, q8_reader bytes, int *is_own,
                               qint8_error *error) {
  const char *name = "";
  int64_t value = 0;
  q8_field field;
  q8_wire_result result;
  while ((result = q8_wire_next(&bytes, &field)) == Q8_WIRE_FIELD) {
    if (field.number == Q8_ATTRIBUTE_NAME)
      Q8_TRY(q8_import_string(l->importer, &field, node->name, &name, error));
    else if (field.number == Q8_ATTRIBUTE_I)
      value = (int64_t)field.value;
  }
  if (result == Q8_WIRE_BAD)
    return q8_bad_wire(error, node->name, "attribute");
  *is_own = !strcmp(name, "channels_last") || !strcmp(name, "opset");
  int last = !strcmp(name, "channels_last") && value != 0;
  int other_axes = !strcmp(name, "opset") && (value < 13) != (l->importer->graph->opset < 13);
  if (last || other_axes)
    return q8_fail(error, QINT8_ERROR_UNSUPPORTED, node->name, "%s with %s = %d", node->op_type, name, (int)value);
  return QINT8_OK;
}

static q8_status standard_attributes(lowering *l, const q8_raw_node *node, q8_reader *out, qint8_error *error) {
  q8_reader bytes = node->bytes;
  q8_field field;
  q8_writer w;
  q8_status status = QINT8_OK;
  q8_writer_init(&w, &l->importer->host);
  while (status == QINT8_OK && q8_wire_next(&bytes, &field) == Q8_WIRE_FIELD) {
    int is_own = 0;
    if (field.number != Q8_NODE_ATTRIBUTE || field.type != Q8_WIRE_BYTES)
      continue;
    status = own_attribute(l, node, field.bytes, &is_own, error);
    if (status == QINT8_OK && !is_own)
      q8_write_bytes(&w, Q8_NODE_ATTRIBUTE, field.bytes.at, q8_reader_size(&field.bytes));
  }
  char *copy = status != QINT8_OK || w.failed ? NULL : q8_pool_string(&l->importer->pool, (const char *)w.bytes, w.size);
  *out = q8_reader_make(copy, copy ? w.size : 0);
  q8_writer_free(&w);
  return status != QINT8_OK || copy ? status : q8_fail_memory(error, node->name, 64);
}

/* The axis of a weight's output channels: the operator knows, by its attributes. */
static q8_status weight_axis(lowering *l, const q8_raw_node *node, const char *op_type, q8_reader bytes, int64_t *out,
                             qint8_error *error) {
  const q8_op *op = q8_op_find(op_type, "");
  *out = -1;
  if (!op || !op->weight_axis)
    return QINT8_OK;
  q8_raw_node like = *node;
  like.bytes = bytes;
  q8_node at = {.name = node->name, .op = op, .params = q8_pool_alloc(&l->importer->pool, 1, op->params_size)};
  if (!at.params)
    return q8_fail_memory(error, node->name, op->params_size);
  Q8_TRY(q8_import_attributes(l->importer, &like, op, (void *)(uintptr_t)at.params, error));
  *out = op->weight_axis(&at);
  return QINT8_OK;
}

/* ---- QLinear operators ---- */

static const float *scales_of(const lowering *l, q8_id id, size_t *count) {
  if (!q8_graph_is_constant(l->importer->graph, id) || tensor(l, id)->dtype != QINT8_DTYPE_F32)
    return NULL;
  *count = q8_shape_count(&tensor(l, id)->shape, NULL);
  return *count ? tensor(l, id)->data : NULL;
}

/* DequantizeLinear of a bias, whose scale is x_scale * w_scale. */
static q8_status add_bias(lowering *l, const q8_raw_node *node, q8_id bias, q8_id x_scale, q8_id w_scale, q8_id *out,
                          qint8_error *error) {
  size_t xs, ws;
  const float *x = scales_of(l, x_scale, &xs), *w = scales_of(l, w_scale, &ws);
  if (!x || !w || xs != 1)
    return q8_fail(error, QINT8_ERROR_UNSUPPORTED, node->name, "the scales of %s are not constants", node->op_type);
  float *product = q8_pool_alloc(&l->importer->pool, ws, sizeof *product);
  if (!product)
    return q8_fail_memory(error, node->name, ws * sizeof *product);
  for (size_t i = 0; i < ws; i++)
    product[i] = x[0] * w[i];
  q8_shape shape = {.rank = ws > 1, .dim = {(int64_t)ws}};
  q8_id triple[3] = {bias, Q8_NONE, Q8_NONE};
  Q8_TRY(q8_import_constant(l->importer, tensor(l, bias)->name, QINT8_DTYPE_F32, &shape, product, &triple[1], error));
  return dequantize(l, node->name, triple, -1, out, error);
}

static q8_status lower_qlinear(lowering *l, const q8_raw_node *node, const q8_qoperator *q, qint8_error *error) {
  int32_t triples = q->triples ? q->triples : (node->input_count - q->first + 2) / 3, count = triples;
  q8_id *floats = q8_pool_alloc(&l->importer->pool, (size_t)triples + 1, sizeof *floats), y;
  q8_reader bytes;
  int64_t axis;
  if (!floats)
    return q8_fail_memory(error, node->name, (size_t)triples * sizeof *floats);
  Q8_TRY(standard_attributes(l, node, &bytes, error));
  Q8_TRY(weight_axis(l, node, q->op, bytes, &axis, error));
  for (int32_t i = 0; i < triples; i++) {
    int32_t at = q->first + 3 * i;
    q8_id triple[3] = {input_of(node, at), input_of(node, at + 1), input_of(node, at + 2)};
    if (triple[0] == Q8_NONE || triple[1] == Q8_NONE)
      return q8_fail(error, QINT8_ERROR_FORMAT, node->name, "input %d of %s is left out", (int)at, node->op_type);
    Q8_TRY(dequantize(l, node->name, triple, i == 1 ? axis : -1, &floats[i], error));
  }
  if (q->bias >= 0 && input_of(node, q->bias) != Q8_NONE)
    Q8_TRY(add_bias(l, node, input_of(node, q->bias), node->inputs[q->first + 1], node->inputs[q->first + 4],
                    &floats[count++], error));
  if (input_of(node, q->y) == Q8_NONE) /* QGemm may give its accumulators as float */
    y = node->outputs[0];
  else
    Q8_TRY(quantize(l, node->name, node->outputs[0], node->inputs[q->y], input_of(node, q->y + 1), &y, error));
  Q8_TRY(add_node(l, Q8_RAW_OP, q->op, node->name, floats, count, &y, 1, bytes, error));
  if (y != node->outputs[0])
    l->tensors[node->outputs[0]] = (integers){1, node->inputs[q->y], input_of(node, q->y + 1)};
  return QINT8_OK;
}

/* ---- Operators that move integers ---- */

/* 1 if the node reads integers of known parameters in place 0 (Concat: everywhere). */
static int moves_integers(const lowering *l, const q8_raw_node *node) {
  if (node->kind != Q8_RAW_OP || !node->input_count || !q8_qoperator_moves(node->op_type))
    return 0;
  int32_t count = strcmp(node->op_type, "Concat") ? 1 : node->input_count;
  for (int32_t i = 0; i < count; i++)
    if (node->inputs[i] == Q8_NONE || (size_t)node->inputs[i] >= l->count || !l->tensors[node->inputs[i]].known)
      return 0;
  return 1;
}

static q8_status lower_move(lowering *l, int32_t index, qint8_error *error) {
  int32_t count = strcmp(raw(l, index)->op_type, "Concat") ? 1 : raw(l, index)->input_count;
  integers first = l->tensors[raw(l, index)->inputs[0]];
  for (int32_t i = 0; i < count; i++) {
    q8_id id = raw(l, index)->inputs[i], x;
    q8_id triple[3] = {id, l->tensors[id].scale, l->tensors[id].zero};
    Q8_TRY(dequantize(l, raw(l, index)->name, triple, -1, &x, error));
    raw(l, index)->inputs[i] = x;
  }
  for (int32_t i = 0; i < raw(l, index)->output_count; i++) {
    q8_id id = raw(l, index)->outputs[i], y;
    if (id == Q8_NONE)
      continue;
    Q8_TRY(quantize(l, raw(l, index)->name, id, first.scale, first.zero, &y, error));
    raw(l, index)->outputs[i] = y;
    l->tensors[id] = first;
  }
  return QINT8_OK;
}

static q8_status lower_moves(lowering *l, qint8_error *error) {
  for (int changed = 1; changed;) {
    changed = 0;
    for (size_t i = 0, n = l->importer->node_count; i < n; i++)
      if (moves_integers(l, raw(l, (int32_t)i))) {
        Q8_TRY(lower_move(l, (int32_t)i, error));
        changed = 1;
      }
  }
  return QINT8_OK;
}

/* ---- Dynamic quantization ---- */

static void drop(lowering *l, int32_t index) {
  q8_raw_node *node = raw(l, index);
  for (int32_t i = 0; i < node->input_count; i++)
    if (node->inputs[i] != Q8_NONE)
      l->uses[node->inputs[i]]--;
  node->kind = Q8_RAW_NOTHING;
  node->input_count = node->output_count = 0;
}

/* The only node that reads `id`, if it is of that type; else -1. */
static int32_t only_user(const lowering *l, q8_id id, const char *op_type) {
  if (l->uses[id] != 1)
    return -1;
  for (size_t i = 0; i < l->importer->node_count; i++) {
    const q8_raw_node *node = raw(l, (int32_t)i);
    for (int32_t j = 0; j < node->input_count; j++)
      if (node->inputs[j] == id)
        return strcmp(node->op_type, op_type) ? -1 : (int32_t)i;
  }
  return -1;
}

static int32_t producer_of(const lowering *l, q8_id id, const char *op_type) {
  int32_t node = id == Q8_NONE || (size_t)id >= l->count ? -1 : l->producer[id];
  return node >= 0 && !strcmp(raw(l, node)->op_type, op_type) ? node : -1;
}

/* The other input of a node with two, or NONE. */
static q8_id other_input(const q8_raw_node *node, q8_id one) {
  if (node->input_count != 2)
    return Q8_NONE;
  return node->inputs[0] == one ? node->inputs[1] : node->inputs[1] == one ? node->inputs[0] : Q8_NONE;
}

/* w_scale as DequantizeLinear takes it: a scalar or a list, whatever shape broadcast the product. */
static q8_status flat_scale(lowering *l, q8_id scale, q8_id *out, qint8_error *error) {
  size_t count;
  const float *values = scales_of(l, scale, &count);
  if (!values)
    return q8_fail(error, QINT8_ERROR_UNSUPPORTED, tensor(l, scale)->name, "the scale of a weight is not a constant");
  q8_shape shape = {.rank = count > 1, .dim = {(int64_t)count}};
  return q8_import_constant(l->importer, tensor(l, scale)->name, QINT8_DTYPE_F32, &shape, values, out, error);
}

static q8_status add_integer_product(lowering *l, const q8_raw_node *node, const char *op, const q8_id x[3],
                                     const q8_id w[3], q8_id y, qint8_error *error) {
  q8_id floats[2], weight[3] = {w[0], Q8_NONE, w[2]};
  q8_reader bytes;
  int64_t axis;
  Q8_TRY(standard_attributes(l, node, &bytes, error));
  Q8_TRY(weight_axis(l, node, op, bytes, &axis, error));
  Q8_TRY(flat_scale(l, w[1], &weight[1], error));
  Q8_TRY(dequantize(l, node->name, x, -1, &floats[0], error));
  Q8_TRY(dequantize(l, node->name, weight, axis, &floats[1], error));
  return add_node(l, Q8_RAW_OP, op, node->name, floats, 2, &y, 1, bytes, error);
}

static int is_conv(const q8_raw_node *node) {
  return !strcmp(node->op_type, "ConvInteger");
}

static q8_status no_pattern(const q8_raw_node *node, qint8_error *error) {
  return q8_fail(error, QINT8_ERROR_UNSUPPORTED, node->name,
                 "%s outside DynamicQuantizeLinear -> %s -> Cast -> Mul by both scales", node->op_type, node->op_type);
}

/* MatMulInteger, ConvInteger: the node, its Cast and the Mul behind it become one float operator. */
static q8_status lower_integer(lowering *l, int32_t index, qint8_error *error) {
  const q8_raw_node node = *raw(l, index);
  int32_t source = producer_of(l, node.inputs[0], "DynamicQuantizeLinear");
  int32_t cast = only_user(l, node.outputs[0], "Cast");
  int32_t scaled = cast < 0 ? -1 : only_user(l, raw(l, cast)->outputs[0], "Mul");
  if (source < 0 || scaled < 0 || raw(l, source)->output_count < 3 ||
      input_of(&node, 2) != raw(l, source)->outputs[2])
    return no_pattern(&node, error);
  const q8_id *dynamic = raw(l, source)->outputs; /* data, scale, zero point */
  q8_id both = other_input(raw(l, scaled), raw(l, cast)->outputs[0]), y = raw(l, scaled)->outputs[0];
  int32_t product = producer_of(l, both, "Mul");
  q8_id w_scale = product < 0 ? Q8_NONE : other_input(raw(l, product), dynamic[1]);
  if (w_scale == Q8_NONE)
    return no_pattern(&node, error);
  q8_id x[3] = {dynamic[0], dynamic[1], dynamic[2]}, w[3] = {node.inputs[1], w_scale, input_of(&node, 3)};
  Q8_TRY(add_integer_product(l, &node, is_conv(&node) ? "Conv" : "MatMul", x, w, y, error));
  drop(l, cast);
  drop(l, scaled);
  if (l->uses[both] == 0)
    drop(l, product);
  return QINT8_OK;
}

/* ONNX Runtime's own fusions of that pattern, with an optional bias behind it. */
static q8_status lower_fused(lowering *l, int32_t index, qint8_error *error) {
  const q8_raw_node node = *raw(l, index);
  int is_dynamic = !strcmp(node.op_type, "DynamicQuantizeMatMul");
  q8_id bias = input_of(&node, is_dynamic ? 4 : 6), y = node.outputs[0], x[3], w[3] = {node.inputs[1]};
  if (bias != Q8_NONE) {
    Q8_TRY(fresh_float(l, y, &y, error));
    q8_id sum[2] = {y, bias};
    Q8_TRY(add_node(l, Q8_RAW_OP, "Add", node.name, sum, 2, node.outputs, 1, (q8_reader){NULL, NULL}, error));
  }
  if (is_dynamic) {
    for (int i = 0; i < 3; i++)
      Q8_TRY(q8_import_fresh(l->importer, tensor(l, node.inputs[0])->name, &x[i], error));
    Q8_TRY(add_node(l, Q8_RAW_DYNAMIC, "DynamicQuantizeLinear", node.name, node.inputs, 1, x, 3,
                    (q8_reader){NULL, NULL}, error));
    w[1] = input_of(&node, 2);
    w[2] = input_of(&node, 3);
  } else {
    x[0] = node.inputs[0];
    x[1] = input_of(&node, 2);
    x[2] = input_of(&node, 4);
    w[1] = input_of(&node, 3);
    w[2] = input_of(&node, 5);
  }
  return add_integer_product(l, &node, "MatMul", x, w, y, error);
}

/* ---- The node list ---- */

static q8_status index_nodes(lowering *l, qint8_error *error) {
  const q8_importer *importer = l->importer;
  l->count = importer->graph->tensor_count;
  l->tensors = q8_pool_alloc(&l->importer->pool, l->count + 1, sizeof *l->tensors);
  l->producer = q8_pool_alloc(&l->importer->pool, l->count + 1, sizeof *l->producer);
  l->uses = q8_pool_alloc(&l->importer->pool, l->count + 1, sizeof *l->uses);
  if (!l->tensors || !l->producer || !l->uses)
    return q8_fail_memory(error, "graph", l->count * sizeof *l->tensors);
  for (size_t i = 0; i < l->count; i++)
    l->producer[i] = -1;
  for (size_t i = 0; i < importer->output_count; i++)
    l->uses[importer->outputs[i]] += 2; /* keeps it from being a link of a pattern */
  for (size_t i = 0; i < importer->node_count; i++) {
    const q8_raw_node *node = raw(l, (int32_t)i);
    for (int32_t j = 0; j < node->input_count; j++)
      if (node->inputs[j] != Q8_NONE)
        l->uses[node->inputs[j]]++;
    for (int32_t j = 0; j < node->output_count; j++)
      if (node->outputs[j] != Q8_NONE)
        l->producer[node->outputs[j]] = (int32_t)i;
    if (node->kind == Q8_RAW_QUANTIZE && node->input_count >= 2 && node->outputs[0] != Q8_NONE)
      l->tensors[node->outputs[0]] = (integers){1, node->inputs[1], input_of(node, 2)};
  }
  return QINT8_OK;
}

static q8_status lower(lowering *l, int32_t index, qint8_error *error) {
  const q8_raw_node node = *raw(l, index); /* the list may move */
  if (node.input_count < 2 || node.inputs[0] == Q8_NONE || node.inputs[1] == Q8_NONE || node.outputs[0] == Q8_NONE)
    return q8_fail(error, QINT8_ERROR_FORMAT, node.name, "%s lacks an input or output", node.op_type);
  const q8_qoperator *q = q8_qoperator_find(node.op_type, "");
  q = q ? q : q8_qoperator_find(node.op_type, Q8_MICROSOFT);
  size_t nodes = l->importer->node_count;
  q8_status status;
  if (q)
    status = lower_qlinear(l, &node, q, error);
  else if (is_conv(&node) || !strcmp(node.op_type, "MatMulInteger"))
    status = lower_integer(l, index, error);
  else
    status = lower_fused(l, index, error);
  if (status == QINT8_OK) {
    drop(l, index);
  } else if (status == QINT8_ERROR_UNSUPPORTED && node.op) {
    l->importer->node_count = nodes;
    raw(l, index)->kind = Q8_RAW_OP;
    return QINT8_OK;
  }
  return status;
}

q8_status q8_import_qoperators(q8_importer *importer, qint8_error *error) {
  lowering l = {.importer = importer};
  int any = 0;
  for (size_t i = 0; i < importer->node_count; i++)
    any |= importer->nodes[i].kind == Q8_RAW_QOPERATOR || importer->nodes[i].kind == Q8_RAW_QUANTIZE;
  if (!any)
    return QINT8_OK;
  Q8_TRY(index_nodes(&l, error));
  for (size_t i = 0, n = importer->node_count; i < n; i++)
    if (importer->nodes[i].kind == Q8_RAW_QOPERATOR)
      Q8_TRY(lower(&l, (int32_t)i, error));
  return lower_moves(&l, error);
}
