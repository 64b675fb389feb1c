/* export_node.c - nodes, their attributes through the operator's table, and the hooks of `expand`. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/element.h"
#include "onnx/exporter.h"

/* ---- Attributes ---- */

static size_t begin_attribute(q8_writer *w, const char *name, int64_t type) {
  size_t mark = q8_write_begin(w, Q8_NODE_ATTRIBUTE);
  q8_write_string(w, Q8_ATTRIBUTE_NAME, name);
  q8_write_varint(w, Q8_ATTRIBUTE_TYPE, (uint64_t)type);
  return mark;
}

static void write_int(q8_writer *w, const char *name, int64_t value) {
  size_t mark = begin_attribute(w, name, Q8_TYPE_INT);
  q8_write_varint(w, Q8_ATTRIBUTE_I, (uint64_t)value);
  q8_write_end(w, mark);
}

static void write_float(q8_writer *w, const char *name, float value) {
  size_t mark = begin_attribute(w, name, Q8_TYPE_FLOAT);
  q8_write_float(w, Q8_ATTRIBUTE_F, value);
  q8_write_end(w, mark);
}

static void write_ints(q8_writer *w, const char *name, const q8_ints *values) {
  size_t mark = begin_attribute(w, name, Q8_TYPE_INTS);
  for (int32_t i = 0; i < values->count; i++)
    q8_write_varint(w, Q8_ATTRIBUTE_INTS, (uint64_t)values->v[i]);
  q8_write_end(w, mark);
}

static void write_floats(q8_writer *w, const char *name, const q8_floats *values) {
  size_t mark = begin_attribute(w, name, Q8_TYPE_FLOATS);
  for (int32_t i = 0; i < values->count; i++)
    q8_write_float(w, Q8_ATTRIBUTE_FLOATS, values->v[i]);
  q8_write_end(w, mark);
}

/* Lists of strings are kept joined by commas. */
static void write_text(q8_writer *w, const q8_attribute *entry, const char *text) {
  int is_list = entry->type == Q8_ATTR_STRINGS;
  size_t mark = begin_attribute(w, entry->name, is_list ? Q8_TYPE_STRINGS : Q8_TYPE_STRING);
  while (is_list && strchr(text, ',')) {
    size_t length = (size_t)(strchr(text, ',') - text);
    q8_write_bytes(w, Q8_ATTRIBUTE_STRINGS, text, length);
    text += length + 1;
  }
  q8_write_string(w, is_list ? Q8_ATTRIBUTE_STRINGS : Q8_ATTRIBUTE_S, text);
  q8_write_end(w, mark);
}

static void write_scalar(q8_exporter *exporter, const char *name, const q8_scalar *value) {
  uint64_t data[1]; /* one element of the type */
  if (q8_is_float(value->dtype))
    q8_cast(QINT8_DTYPE_F64, &value->f, 1, value->dtype, data, 1);
  else
    q8_cast(QINT8_DTYPE_S64, &value->i, 1, value->dtype, data, 1);
  int64_t dims[1] = {1};
  size_t mark = begin_attribute(&exporter->writer, name, Q8_TYPE_TENSOR);
  q8_export_tensor_proto(exporter, Q8_ATTRIBUTE_T, NULL, &(q8_out_data){value->dtype, 1, dims, data});
  q8_write_end(&exporter->writer, mark);
}

static void write_attribute(q8_exporter *exporter, const q8_attribute *entry, const void *params) {
  q8_writer *w = &exporter->writer;
  const void *field = (const char *)params + entry->offset;
  switch (entry->type) {
  case Q8_ATTR_INT:
    if (entry->required || *(const int64_t *)field != (int64_t)entry->preset)
      write_int(w, entry->name, *(const int64_t *)field);
    break;
  case Q8_ATTR_FLOAT:
    if (entry->required || *(const float *)field != (float)entry->preset)
      write_float(w, entry->name, *(const float *)field);
    break;
  case Q8_ATTR_INTS:
    if (((const q8_ints *)field)->count >= 0)
      write_ints(w, entry->name, field);
    break;
  case Q8_ATTR_FLOATS:
    if (((const q8_floats *)field)->count >= 0)
      write_floats(w, entry->name, field);
    break;
  case Q8_ATTR_STRING:
  case Q8_ATTR_TEXT:
  case Q8_ATTR_STRINGS:
    if (entry->required || strcmp(field, q8_attribute_text(entry)) != 0)
      write_text(w, entry, field);
    break;
  case Q8_ATTR_SCALAR:
    if (((const q8_scalar *)field)->dtype != QINT8_DTYPE_NONE)
      write_scalar(exporter, entry->name, field);
    break;
  }
}

void q8_export_attributes(q8_exporter *exporter, const q8_node *node) {
  for Q8_EACH_ATTRIBUTE(a, node->op)
    if (a->internal != Q8_INTERNAL)
      write_attribute(exporter, a, node->params);
}

/* ---- The activation that a rewrite merged into a node ---- */
/* Other internal attributes only repeat what inputs say: an operator for which they mean more has an `expand`. */

static void write_clamp(q8_exporter *exporter, float low, float high, const char *from, const char *to) {
  const char *inputs[3] = {from, NULL, NULL};
  if (low == 0 && high == INFINITY) {
    q8_export_quant_node(exporter, "Relu", inputs, 1, &to, 1, -1);
    return;
  }
  if (low > -INFINITY)
    inputs[1] = q8_export_scalar(exporter, to, low);
  if (high < INFINITY)
    inputs[2] = q8_export_scalar(exporter, to, high);
  q8_export_quant_node(exporter, "Clip", inputs, inputs[2] ? 3 : 2, &to, 1, -1);
}

/* ---- Nodes ---- */

/* base + suffix, or with a number, which was not taken yet; NULL without memory. Nodes of a graph may share a name,
 * those of a file must not: ONNX Runtime refuses it. */
static const char *fresh(q8_exporter *exporter, struct q8_names *taken, const char *base, const char *suffix) {
  char text[512];
  int length = snprintf(text, sizeof text - 16, "%.450s%s", base, suffix);
  for (unsigned i = 1; q8_names_get(taken, text) >= 0; i++)
    snprintf(text + length, 16, "_%u", i);
  const char *name = q8_pool_string(&exporter->pool, text, strlen(text));
  if (name && q8_names_put(&exporter->host, taken, name, 0))
    return name;
  exporter->writer.failed = 1;
  return NULL;
}

const char *q8_export_derive(q8_exporter *exporter, const char *base, const char *suffix) {
  const char *name = fresh(exporter, exporter->names, base, suffix);
  return name ? name : "";
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
  name = fresh(exporter, exporter->node_names, name ? name : outputs[0], suffix);
  write_names(w, Q8_NODE_NAME, &name, 1);
  q8_write_string(w, Q8_NODE_OP, op_type);
  return mark;
}

void q8_export_replace_input(q8_exporter *exporter, int32_t i, const char *name) {
  exporter->inputs[i] = name;
}

q8_status q8_export_standard(q8_exporter *exporter, const q8_node *node, qint8_error *error) {
  float low, high;
  int clamped = q8_node_clamp(node, &low, &high);
  (void)error;
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
  return QINT8_OK;
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
    Q8_TRY(extras->expand ? extras->expand(exporter, exporter->graph, node, error)
                          : q8_export_standard(exporter, node, error));
  }
  for (int32_t i = 0; i < node->output_count; i++)
    if (node->outputs[i] != Q8_NONE)
      q8_export_pairs(exporter, node->outputs[i]);
  return QINT8_OK;
}

void q8_export_quant_node(q8_exporter *exporter, const char *op_type, const char *const *inputs, int32_t input_count,
                          const char *const *outputs, int32_t output_count, int32_t axis) {
  size_t mark = q8_export_begin(exporter, op_type, NULL, inputs, input_count, outputs, output_count);
  if (axis >= 0)
    write_int(&exporter->writer, "axis", axis);
  q8_write_end(&exporter->writer, mark);
}

/* ---- Hooks for `expand` ---- */

q8_pool *q8_export_pool(q8_exporter *exporter) {
  return &exporter->pool;
}

const char *q8_export_input(q8_exporter *exporter, const q8_node *node, int32_t i) {
  return i < node->input_count ? exporter->inputs[i] : NULL;
}

const char *q8_export_output(q8_exporter *exporter, const q8_node *node, int32_t i) {
  return i < node->output_count && node->outputs[i] != Q8_NONE ? exporter->tensors[node->outputs[i]].raw : NULL;
}

const char *q8_export_fresh(q8_exporter *exporter, const char *base) {
  return fresh(exporter, exporter->names, base, "");
}

const char *q8_export_constant(q8_exporter *exporter, const char *base, int32_t dtype, const q8_shape *shape,
                               const void *data) {
  const char *name = fresh(exporter, exporter->names, base, "_constant");
  if (name)
    q8_export_tensor_proto(exporter, Q8_GRAPH_INITIALIZER, name, &(q8_out_data){dtype, shape->rank, shape->dim, data});
  return name;
}

const char *q8_export_scalar(q8_exporter *exporter, const char *base, float value) {
  const q8_shape scalar = {.rank = 0};
  return q8_export_constant(exporter, base, QINT8_DTYPE_F32, &scalar, &value);
}

q8_status q8_export_node(q8_exporter *exporter, const char *op_type, const char *const *inputs, int32_t input_count,
                         const char *output, const q8_export_attribute *attributes, int32_t attribute_count,
                         qint8_error *error) {
  q8_writer *w = &exporter->writer;
  if (!output)
    return q8_fail_memory(error, op_type, 1);
  size_t mark = q8_export_begin(exporter, op_type, NULL, inputs, input_count, &output, 1);
  for (int32_t i = 0; i < attribute_count; i++) {
    if (attributes[i].type == Q8_ATTR_INT) {
      write_int(w, attributes[i].name, attributes[i].i);
    } else if (attributes[i].type == Q8_ATTR_STRING) {
      const q8_attribute entry = {.name = attributes[i].name, .type = Q8_ATTR_STRING};
      write_text(w, &entry, attributes[i].s);
    } else
      write_float(w, attributes[i].name, attributes[i].f);
  }
  q8_write_end(w, mark);
  return QINT8_OK;
}
