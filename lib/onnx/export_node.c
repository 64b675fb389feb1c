/* export_node.c - nodes, their attributes through the operator's table, and the hooks of `expand`. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/element.h"
#include "onnx/exporter.h"

/* ---- Attributes ---- */

/* Lists of strings are kept joined by commas. */
static void write_words(q8_writer *w, const char *text) {
  for (size_t length; strchr(text, ','); text += length + 1) {
    length = strcspn(text, ",");
    q8_write_bytes(w, Q8_ATTRIBUTE_STRINGS, text, length);
  }
  q8_write_string(w, Q8_ATTRIBUTE_STRINGS, text);
}

static void write_scalar(q8_exporter *exporter, const q8_scalar *value) {
  uint64_t data[1]; /* one element of the type */
  if (q8_is_float(value->dtype))
    q8_cast(QINT8_DTYPE_F64, &value->f, 1, value->dtype, data, 1);
  else
    q8_cast(QINT8_DTYPE_S64, &value->i, 1, value->dtype, data, 1);
  int64_t dims[1] = {1};
  q8_export_tensor_proto(exporter, Q8_ATTRIBUTE_T, NULL, &(q8_out_data){value->dtype, 1, dims, data});
}

/* `value` as the params of an operator hold it. */
static void write_attribute(q8_exporter *exporter, const char *name, uint32_t type, const void *value) {
  q8_writer *w = &exporter->writer;
  const q8_ints *ints = value;
  const q8_floats *floats = value;
  size_t mark = q8_write_begin(w, Q8_NODE_ATTRIBUTE);
  q8_write_string(w, Q8_ATTRIBUTE_NAME, name);
  q8_write_varint(w, Q8_ATTRIBUTE_TYPE, q8_onnx_types[type]);
  switch (type) {
  case Q8_ATTR_INT:
    q8_write_varint(w, Q8_ATTRIBUTE_I, *(const uint64_t *)value);
    break;
  case Q8_ATTR_FLOAT:
    q8_write_float(w, Q8_ATTRIBUTE_F, *(const float *)value);
    break;
  case Q8_ATTR_INTS:
    for (int32_t i = 0; i < ints->count; i++)
      q8_write_varint(w, Q8_ATTRIBUTE_INTS, (uint64_t)ints->v[i]);
    break;
  case Q8_ATTR_FLOATS:
    for (int32_t i = 0; i < floats->count; i++)
      q8_write_float(w, Q8_ATTRIBUTE_FLOATS, floats->v[i]);
    break;
  case Q8_ATTR_STRINGS:
    write_words(w, value);
    break;
  case Q8_ATTR_SCALAR:
    write_scalar(exporter, value);
    break;
  default:
    q8_write_string(w, Q8_ATTRIBUTE_S, value);
  }
  q8_write_end(w, mark);
}

/* Whether a reader takes the same for an attribute that is not there. */
static int is_default(const q8_attribute *entry, const void *value) {
  switch (entry->type) {
  case Q8_ATTR_INT:
    return *(const int64_t *)value == (int64_t)entry->preset;
  case Q8_ATTR_FLOAT:
    return *(const float *)value == entry->preset;
  case Q8_ATTR_INTS:
    return ((const q8_ints *)value)->count < 0;
  case Q8_ATTR_FLOATS:
    return ((const q8_floats *)value)->count < 0;
  case Q8_ATTR_SCALAR:
    return ((const q8_scalar *)value)->dtype == QINT8_DTYPE_NONE;
  default:
    return !strcmp(value, q8_attribute_text(entry));
  }
}

void q8_export_attributes(q8_exporter *exporter, const q8_node *node) {
  for Q8_EACH_ATTRIBUTE(a, node->op) {
    const void *value = (const char *)node->params + a->offset;
    if (a->place != Q8_INTERNAL && (a->required || !is_default(a, value)))
      write_attribute(exporter, a->name, a->type, value);
  }
}

/* ---- The activation that a rewrite merged into a node ---- */
/* Other internal attributes only repeat what inputs say: an operator for which they mean more has an `expand`. */

static void write_clamp(q8_exporter *exporter, float low, float high, const char *from, const char *to) {
  const char *inputs[3] = {from, NULL, NULL};
  if (low == 0 && high == INFINITY) {
    q8_export_node(exporter, "Relu", inputs, 1, to, NULL);
    return;
  }
  if (low > -INFINITY)
    inputs[1] = q8_export_scalar(exporter, to, low);
  if (high < INFINITY)
    inputs[2] = q8_export_scalar(exporter, to, high);
  q8_export_node(exporter, "Clip", inputs, inputs[2] ? 3 : 2, to, NULL);
}

/* ---- Nodes ---- */

/* base + suffix, or with a number, which was not taken yet; "" without memory. Nodes of a graph may share a name,
 * those of a file must not: ONNX Runtime refuses it. */
static const char *fresh(q8_exporter *exporter, struct q8_names *taken, const char *base, const char *suffix) {
  char text[512];
  int length = snprintf(text, sizeof text - 16, "%.450s%s", base, suffix);
  for (unsigned i = 1; q8_names_get(taken, text) >= 0; i++)
    snprintf(text + length, 16, "_%u", i);
  const char *name = q8_pool_string(&exporter->pool, text, strlen(text));
  if (name && q8_names_put(&exporter->pool.host, taken, name, 0))
    return name;
  exporter->writer.failed = 1;
  return "";
}

const char *q8_export_derive(q8_exporter *exporter, const char *base, const char *suffix) {
  return fresh(exporter, exporter->names, base, suffix);
}

static void write_names(q8_writer *w, uint32_t number, const char *const *names, int32_t count) {
  for (int32_t i = 0; i < count; i++)
    q8_write_string(w, number, names[i] ? names[i] : "");
}

size_t q8_export_begin(q8_exporter *exporter, const char *op_type, const char *name, const char *const *inputs,
                       int32_t input_count, const char *const *outputs, int32_t output_count) {
  q8_writer *w = &exporter->writer;
  char suffix[32] = "";
  if (!name)
    snprintf(suffix, sizeof suffix, "_%.30s", op_type);
  size_t mark = q8_write_begin(w, Q8_GRAPH_NODE);
  write_names(w, Q8_NODE_INPUT, inputs, input_count);
  write_names(w, Q8_NODE_OUTPUT, outputs, output_count);
  q8_write_string(w, Q8_NODE_NAME, fresh(exporter, exporter->node_names, name ? name : outputs[0], suffix));
  q8_write_string(w, Q8_NODE_OP, op_type);
  return mark;
}

void q8_export_replace_input(q8_exporter *exporter, int32_t i, const char *name) {
  exporter->inputs[i] = name;
}

void q8_export_standard(q8_exporter *exporter, const q8_node *node) {
  float low, high;
  int clamped = q8_node_clamp(node, &low, &high);
  for (int32_t i = 0; i < node->output_count; i++)
    exporter->outputs[i] = q8_export_output(exporter, node, i);
  const char *result = exporter->outputs[0];
  if (clamped)
    exporter->outputs[0] = q8_export_derive(exporter, result, "");
  size_t mark = q8_export_begin(exporter, node->op->name, node->name, exporter->inputs, node->input_count,
                                exporter->outputs, node->output_count);
  q8_export_attributes(exporter, node);
  q8_write_end(&exporter->writer, mark);
  if (clamped)
    write_clamp(exporter, low, high, exporter->outputs[0], result);
}

q8_status q8_export_graph_node(q8_exporter *exporter, size_t index, qint8_error *error) {
  const q8_node *node = &exporter->graph->nodes[index];
  const q8_op_extras *extras = q8_extras(node->op);
  if (exporter->on_integers[index]) {
    q8_export_on_integers(exporter, index);
  } else {
    q8_export_inputs(exporter, index);
    if (!extras->expand && node->op->pattern)
      return q8_fail(error, QINT8_ERROR_UNSUPPORTED, node->name, "%s has no standard form", node->op->name);
    if (extras->expand)
      Q8_TRY(extras->expand(exporter, exporter->graph, node, error));
    else
      q8_export_standard(exporter, node);
  }
  for (int32_t i = 0; i < node->output_count; i++)
    if (node->outputs[i] != Q8_NONE)
      q8_export_pairs(exporter, node->outputs[i]);
  return QINT8_OK;
}

/* ---- Hooks for `expand` ---- */

const char *q8_export_input(q8_exporter *exporter, const q8_node *node, int32_t i) {
  return i < node->input_count ? exporter->inputs[i] : NULL;
}

const char *q8_export_output(q8_exporter *exporter, const q8_node *node, int32_t i) {
  return i < node->output_count && node->outputs[i] != Q8_NONE ? exporter->tensors[node->outputs[i]].raw : NULL;
}

const char *q8_export_fresh(q8_exporter *exporter, const char *base) {
  return q8_export_derive(exporter, base, "");
}

const char *q8_export_constant(q8_exporter *exporter, const char *base, int32_t dtype, const q8_shape *shape,
                               const void *data) {
  const char *name = q8_export_derive(exporter, base, "_constant");
  q8_export_tensor_proto(exporter, Q8_GRAPH_INITIALIZER, name, &(q8_out_data){dtype, shape->rank, shape->dim, data});
  return name;
}

const char *q8_export_scalar(q8_exporter *exporter, const char *base, float value) {
  const q8_shape scalar = {.rank = 0};
  return q8_export_constant(exporter, base, QINT8_DTYPE_F32, &scalar, &value);
}

void q8_export_node(q8_exporter *exporter, const char *op_type, const char *const *inputs, int32_t input_count,
                    const char *output, const q8_export_attribute *attribute) {
  size_t mark = q8_export_begin(exporter, op_type, NULL, inputs, input_count, &output, 1);
  if (attribute)
    write_attribute(exporter, attribute->name, attribute->type, attribute->value);
  q8_write_end(&exporter->writer, mark);
}
