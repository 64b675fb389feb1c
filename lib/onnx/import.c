/* import.c - ModelProto and GraphProto, in the order that lets names be known before they are used. */
#include "onnx/import.h"

#include <inttypes.h>
#include <string.h>

#include "onnx/importer.h"
#include "onnx/qoperator.h"

q8_status q8_bad_wire(const q8_importer *importer, const uint8_t *at, const char *where) {
  size_t offset = (size_t)((uintptr_t)at - (uintptr_t)importer->file.at);
  if (offset > q8_reader_size(&importer->file)) /* bytes of a rewritten node */
    offset = 0;
  return q8_fail(importer->error, QINT8_ERROR_FORMAT, where, "truncated or malformed: at byte %zu of %zu", offset,
                 q8_reader_size(&importer->file));
}

q8_status q8_import_message(const q8_importer *importer, q8_reader bytes, const char *where, q8_message out) {
  q8_field field;
  q8_wire_result result;
  memset(out, 0, sizeof(q8_message));
  while ((result = q8_wire_next(&bytes, &field)) == Q8_WIRE_FIELD)
    if (field.number < Q8_FIELDS)
      out[field.number] = field;
  return result == Q8_WIRE_BAD ? q8_bad_wire(importer, bytes.at, where) : QINT8_OK;
}

q8_status q8_import_string(q8_importer *importer, const q8_field *field, const char *where, const char **out) {
  size_t size = q8_reader_size(&field->bytes);
  *out = "";
  if (!field->number)
    return QINT8_OK;
  if (field->type != Q8_WIRE_BYTES || (size && memchr(field->bytes.at, 0, size)))
    return q8_fail(importer->error, QINT8_ERROR_FORMAT, where, "a name is not a string");
  *out = q8_pool_string(&importer->pool, (const char *)field->bytes.at, size);
  return *out ? QINT8_OK : q8_fail_memory(importer->error, where, size);
}

q8_status q8_import_reference(q8_importer *importer, const char *name, q8_id *out) {
  *out = q8_scope_find(importer->scope, name);
  if (*out == Q8_NONE)
    *out = q8_graph_find(importer->graph, name);
  if (*out != Q8_NONE)
    return QINT8_OK;
  return q8_graph_add_tensor(importer->graph, name, QINT8_DTYPE_NONE, NULL, NULL, out, importer->error);
}

q8_status q8_import_define(q8_importer *importer, q8_id id, const q8_raw_tensor *value) {
  q8_tensor *tensor = &importer->graph->tensors[id];
  if (q8_graph_is_constant(importer->graph, id))
    return q8_fail(importer->error, QINT8_ERROR_FORMAT, tensor->name, "two constants have this name");
  tensor->dtype = value->dtype;
  tensor->shape = value->shape;
  tensor->data = value->data;
  tensor->dim_names = NULL;
  return QINT8_OK;
}

q8_status q8_import_fresh(q8_importer *importer, const char *base, q8_id *out) {
  const char *name = q8_graph_fresh_name(importer->graph, base);
  if (!name)
    return q8_fail_memory(importer->error, base, strlen(base));
  return q8_graph_add_tensor(importer->graph, name, QINT8_DTYPE_NONE, NULL, NULL, out, importer->error);
}

/* ---- The model ---- */

static q8_status read_opset(q8_importer *importer, q8_reader bytes) {
  const char *domain;
  q8_message m;
  Q8_TRY(q8_import_message(importer, bytes, "opset_import", m));
  Q8_TRY(q8_import_string(importer, &m[Q8_OPSET_DOMAIN], "opset_import", &domain));
  uint64_t version = m[Q8_OPSET_VERSION].value;
  if (*domain && strcmp(domain, "ai.onnx")) /* matters only if a node uses the domain */
    return QINT8_OK;
  if (version < Q8_OPSET_MIN || version > Q8_OPSET_MAX)
    return q8_fail(importer->error, QINT8_ERROR_UNSUPPORTED, "opset_import",
                   "opset %" PRIu64 ", supported are %d to %d", version, Q8_OPSET_MIN, Q8_OPSET_MAX);
  importer->graph->opset = (int64_t)version;
  return QINT8_OK;
}

q8_status q8_import_note(q8_importer *importer, q8_name_list *list, const char *name, size_t length) {
  q8_pool *pool = &importer->quant->pool;
  const char *copy = q8_pool_string(pool, name, length);
  if (!copy || !q8_grow(&pool->host, (void **)&list->names, &list->capacity, list->count + 1, sizeof copy, list->count))
    return q8_fail_memory(importer->error, name, length);
  list->names[list->count++] = copy;
  return QINT8_OK;
}

q8_status q8_import_entry(q8_importer *importer, q8_reader bytes, const char *where, const char **key,
                          const char **value) {
  q8_message m;
  Q8_TRY(q8_import_message(importer, bytes, where, m));
  Q8_TRY(q8_import_string(importer, &m[Q8_ENTRY_KEY], where, key));
  return q8_import_string(importer, &m[Q8_ENTRY_VALUE], where, value);
}

static q8_status read_metadata(q8_importer *importer, q8_reader bytes) {
  const char *key, *value;
  Q8_TRY(q8_import_entry(importer, bytes, "metadata", &key, &value));
  q8_onnx_quant *quant = importer->quant;
  if (!strcmp(key, "qint8.config")) {
    for (int32_t c = QINT8_CONFIG_FP32; c <= QINT8_CONFIG_QAT; c++)
      if (!strcmp(value, qint8_config_name((qint8_config)c)))
        quant->config = c;
  } else if (!strcmp(key, "qint8.float_nodes")) {
    for (size_t length; *value; value += length + (value[length] != 0)) { /* a line each */
      length = strcspn(value, "\n");
      Q8_TRY(q8_import_note(importer, &quant->float_nodes, value, length));
    }
  }
  return QINT8_OK;
}

static q8_status read_model(q8_importer *importer) {
  q8_reader bytes = importer->file;
  q8_message m;
  q8_field field;
  int graphs = 0;
  Q8_TRY(q8_import_message(importer, bytes, "model", m));
  importer->graph_bytes = m[Q8_MODEL_GRAPH].bytes;
  while (q8_wire_next(&bytes, &field) == Q8_WIRE_FIELD) {
    graphs += field.number == Q8_MODEL_GRAPH && field.type == Q8_WIRE_BYTES;
    if (field.number == Q8_MODEL_OPSET)
      Q8_TRY(read_opset(importer, field.bytes));
    else if (field.number == Q8_MODEL_METADATA)
      Q8_TRY(read_metadata(importer, field.bytes));
  }
  if (graphs != 1)
    return q8_fail(importer->error, QINT8_ERROR_FORMAT, "model", graphs ? "the file has two graphs"
                                                              : "the file has no graph: is it an ONNX model?");
  if ((int64_t)m[Q8_MODEL_IR_VERSION].value < 3)
    return q8_fail(importer->error, QINT8_ERROR_UNSUPPORTED, "model", "IR version %" PRId64 ", expected 3 or later",
                   (int64_t)m[Q8_MODEL_IR_VERSION].value);
  if (!m[Q8_MODEL_OPSET].number)
    return q8_fail(importer->error, QINT8_ERROR_FORMAT, "opset_import", "the file does not say its opset");
  return QINT8_OK;
}

/* ---- The graph ---- */

static q8_status read_initializers(q8_importer *importer) {
  q8_reader bytes = importer->graph_bytes;
  q8_message m;
  q8_field field;
  Q8_TRY(q8_import_message(importer, bytes, "graph", m));
  if (m[Q8_GRAPH_SPARSE].number)
    return q8_fail(importer->error, QINT8_ERROR_UNSUPPORTED, "graph", "sparse initializers");
  while (q8_wire_find(&bytes, Q8_GRAPH_INITIALIZER, &field)) {
    q8_raw_tensor tensor;
    q8_id id;
    Q8_TRY(q8_import_tensor(importer, field.bytes, "initializer", &tensor));
    if (!*tensor.name)
      return q8_fail(importer->error, QINT8_ERROR_FORMAT, "graph", "an initializer has no name");
    Q8_TRY(q8_import_reference(importer, tensor.name, &id));
    Q8_TRY(q8_import_define(importer, id, &tensor));
  }
  return QINT8_OK;
}

static q8_status read_values(q8_importer *importer, uint32_t number) {
  q8_reader bytes = importer->graph_bytes;
  q8_field field;
  while (q8_wire_find(&bytes, number, &field))
    Q8_TRY(q8_import_value(importer, field.bytes, number));
  return QINT8_OK;
}

static q8_status read_graph(q8_importer *importer) {
  q8_graph *graph = importer->graph;
  Q8_TRY(read_initializers(importer));
  Q8_TRY(read_values(importer, Q8_GRAPH_INPUT));
  Q8_TRY(q8_import_nodes(importer));
  Q8_TRY(read_values(importer, Q8_GRAPH_OUTPUT));
  if (importer->output_count == 0)
    return q8_fail(importer->error, QINT8_ERROR_FORMAT, "graph", "the graph has no outputs");
  Q8_TRY(read_values(importer, Q8_GRAPH_VALUE_INFO));
  Q8_TRY(q8_import_qoperators(importer));
  Q8_TRY(q8_import_keep(importer));
  Q8_TRY(q8_import_qdq(importer));
  Q8_TRY(q8_import_ops(importer));
  Q8_TRY(q8_graph_set_inputs(graph, importer->inputs, importer->input_count, importer->error));
  Q8_TRY(q8_graph_set_outputs(graph, importer->outputs, importer->output_count, importer->error));
  return q8_graph_freeze(graph, importer->error);
}

static q8_status import(q8_importer *importer, const void *bytes, size_t size) {
  if (size == 0)
    return q8_fail(importer->error, QINT8_ERROR_FORMAT, "model", "the file is empty");
  if (size > INT32_MAX)
    return q8_fail(importer->error, QINT8_ERROR_LIMIT, "model", "the file has %zu bytes, the format allows 2^31 - 1",
                   size);
  importer->quant = q8_new(&importer->pool.host, sizeof *importer->quant, "model", importer->error);
  if (!importer->quant)
    return QINT8_ERROR_MEMORY;
  importer->quant->config = -1;
  importer->file = q8_reader_make(bytes, size);
  Q8_TRY(read_model(importer));
  return read_graph(importer);
}

/* Of `file`, or of bytes of the caller. What is tried in vain on the way leaves nothing in `error`. */
static q8_status import_graph(const void *bytes, const q8_onnx_file *file, const q8_host *host, q8_graph **graph,
                              q8_onnx_quant **quant, qint8_error *error) {
  qint8_error problem = QINT8_ERROR_INIT;
  q8_importer importer = {.error = &problem, .path = file->path};
  q8_mapping mapping = file->mapping;
  *graph = NULL;
  if (quant)
    *quant = NULL;
  q8_status status = q8_graph_create(host, &importer.graph, error);
  if (status != QINT8_OK) {
    q8_free(host, file->bytes);
    q8_unmap(&mapping);
    return status;
  }
  importer.graph->bytes = file->bytes;
  importer.graph->mapping = mapping;
  q8_pool_init(&importer.pool, host);
  status = import(&importer, bytes, file->size);
  q8_free(host, importer.inputs);
  q8_free(host, importer.outputs);
  q8_pool_destroy(&importer.pool);
  if (status != QINT8_OK) {
    q8_graph_destroy(importer.graph);
    q8_onnx_quant_destroy(importer.quant);
    return q8_fail(error, status, problem.where, "%s", problem.message);
  }
  if (!importer.needs_bytes) {
    q8_free(host, importer.graph->bytes);
    importer.graph->bytes = NULL;
    q8_unmap(&importer.graph->mapping);
  }
  for (const q8_mapping *m = &importer.graph->mapping; m; m = m->next)
    q8_unload(m, m->at, m->size); /* what lies between the weights was read */
  *graph = importer.graph;
  if (quant && (importer.quant->entry_count || importer.quant->dynamic.count))
    *quant = importer.quant;
  else
    q8_onnx_quant_destroy(importer.quant);
  return QINT8_OK;
}

q8_status q8_onnx_import(const void *bytes, size_t size, const q8_host *host, q8_graph **graph, q8_onnx_quant **quant,
                         qint8_error *error) {
  return import_graph(bytes, &(q8_onnx_file){.size = size}, host, graph, quant, error);
}

q8_status q8_onnx_import_file(const q8_onnx_file *file, const q8_host *host, q8_graph **graph, q8_onnx_quant **quant,
                              qint8_error *error) {
  return import_graph(file->bytes ? file->bytes : file->mapping.at, file, host, graph, quant, error);
}

void q8_onnx_quant_destroy(q8_onnx_quant *quant) {
  if (!quant)
    return;
  const q8_host *host = &quant->pool.host;
  q8_free(host, quant->entries);
  q8_free(host, quant->dynamic.names);
  q8_free(host, quant->float_nodes.names);
  q8_pool_delete(quant);
}
