/* export.c - ModelProto and GraphProto. */
#include "onnx/export.h"

#include <string.h>

#include "onnx/exporter.h"
#include "onnx/modes.h"
#include "onnx/qoperator.h"

#define IR_VERSION 8
#define OPSET 17

static q8_status write_graph(q8_exporter *exporter, qint8_error *error) {
  const q8_graph *graph = exporter->graph;
  q8_writer *w = &exporter->writer;
  size_t mark = q8_write_begin(w, Q8_MODEL_GRAPH);
  q8_write_string(w, Q8_GRAPH_NAME, "graph");
  for (size_t i = 0; i < graph->input_count; i++)
    q8_export_value(exporter, Q8_GRAPH_INPUT, &graph->tensors[graph->inputs[i]]);
  for (size_t i = 0; i < graph->output_count; i++)
    q8_export_value(exporter, Q8_GRAPH_OUTPUT, &graph->tensors[graph->outputs[i]]);
  for (size_t i = 0; i < graph->input_count; i++)
    q8_export_pairs(exporter, graph->inputs[i]);
  for (size_t i = 0; i < graph->node_count; i++)
    Q8_TRY(q8_export_graph_node(exporter, i, error));
  for (size_t i = 0; i < graph->output_count; i++)
    if (q8_graph_is_constant(graph, graph->outputs[i]))
      q8_export_raw_constant(exporter, graph->outputs[i]);
  q8_write_end(w, mark);
  return QINT8_OK;
}

static void write_entry(q8_writer *w, const char *key, const char *value) {
  size_t mark = q8_write_begin(w, Q8_MODEL_METADATA);
  q8_write_string(w, Q8_ENTRY_KEY, key);
  q8_write_string(w, Q8_ENTRY_VALUE, value);
  q8_write_end(w, mark);
}

/* First outputs of the nodes that are float although their tensors would make them int8, a line each. */
static void write_float_nodes(q8_exporter *exporter) {
  const q8_graph *graph = exporter->graph;
  uint8_t *dynamic = q8_export_alloc(exporter, graph->tensor_count + 1, 1);
  if (!dynamic)
    return;
  for (size_t i = 0; i < graph->tensor_count; i++)
    dynamic[i] = exporter->tensors[i].wants_dynamic;
  q8_writer lines;
  q8_writer_init(&lines, &exporter->pool.host);
  for (size_t i = 0; i < graph->node_count; i++)
    if (exporter->modes[i] == Q8_MODE_FLOAT &&
        q8_onnx_infer_mode(graph, exporter->recipe, dynamic, &graph->nodes[i]) != Q8_MODE_FLOAT) {
      const char *name = graph->tensors[graph->nodes[i].outputs[0]].name;
      q8_write_raw(&lines, name, strlen(name));
      q8_write_raw(&lines, "\n", 1);
    }
  q8_write_raw(&lines, "", 1);
  if (lines.failed)
    exporter->writer.failed = 1;
  else if (lines.size > 1)
    write_entry(&exporter->writer, "qint8.float_nodes", (const char *)lines.bytes);
  q8_writer_free(&lines);
}

static void write_opset(q8_writer *w, const char *domain, uint64_t version) {
  size_t mark = q8_write_begin(w, Q8_MODEL_OPSET);
  q8_write_string(w, Q8_OPSET_DOMAIN, domain);
  q8_write_varint(w, Q8_OPSET_VERSION, version);
  q8_write_end(w, mark);
}

static q8_status write_model(q8_exporter *exporter, qint8_error *error) {
  q8_writer *w = &exporter->writer;
  q8_write_varint(w, Q8_MODEL_IR_VERSION, IR_VERSION);
  q8_write_string(w, Q8_MODEL_PRODUCER, "libqint8");
  q8_write_string(w, Q8_MODEL_PRODUCER_VERSION, QINT8_VERSION_STRING);
  write_opset(w, "", OPSET);
  if (exporter->format == QINT8_FORMAT_QOPERATOR)
    write_opset(w, Q8_MICROSOFT, 1);
  Q8_TRY(write_graph(exporter, error));
  const char *config = qint8_config_name((qint8_config)(exporter->recipe ? exporter->recipe->config : 0));
  if (config)
    write_entry(w, "qint8.config", config);
  if (exporter->recipe)
    write_float_nodes(exporter);
  return QINT8_OK;
}

void *q8_export_alloc(q8_exporter *exporter, size_t count, size_t size) {
  void *memory = q8_pool_alloc(&exporter->pool, count, size);
  exporter->writer.failed |= !memory;
  return memory;
}

static void start(q8_exporter *exporter) {
  const q8_graph *graph = exporter->graph;
  int32_t inputs = 0, outputs = 0;
  for (size_t i = 0; i < graph->node_count; i++) {
    inputs = graph->nodes[i].input_count > inputs ? graph->nodes[i].input_count : inputs;
    outputs = graph->nodes[i].output_count > outputs ? graph->nodes[i].output_count : outputs;
  }
  q8_writer_init(&exporter->writer, &exporter->pool.host);
  exporter->names = q8_names_create(&exporter->pool.host);
  exporter->node_names = q8_names_create(&exporter->pool.host);
  exporter->tensors = q8_export_alloc(exporter, graph->tensor_count + 1, sizeof *exporter->tensors);
  exporter->modes = q8_export_alloc(exporter, graph->node_count + 1, 1);
  exporter->on_integers = q8_export_alloc(exporter, graph->node_count + 1, 1);
  exporter->inputs = q8_export_alloc(exporter, 3 * (size_t)inputs + 8, sizeof *exporter->inputs); /* triples */
  exporter->outputs = q8_export_alloc(exporter, (size_t)outputs + 1, sizeof *exporter->outputs);
  if (!exporter->names || !exporter->node_names)
    exporter->writer.failed = 1;
  if (!exporter->writer.failed)
    q8_export_decide(exporter);
}

q8_status q8_onnx_export(const q8_graph *graph, const q8_recipe *recipe, int32_t format, const q8_host *host,
                         void **bytes, size_t *size, qint8_error *error) {
  *bytes = NULL;
  *size = 0;
  if (recipe && (recipe->tensor_count != graph->tensor_count || recipe->node_count != graph->node_count))
    return q8_fail(error, QINT8_ERROR_ARGUMENT, "recipe", "the recipe was made for another model");
  q8_exporter exporter = {.graph = graph, .recipe = recipe, .format = format};
  q8_status status = QINT8_OK;
  q8_pool_init(&exporter.pool, host);
  start(&exporter);
  if (!exporter.writer.failed)
    status = write_model(&exporter, error);
  if (exporter.writer.failed)
    status = exporter.writer.size > INT32_MAX / 2
                 ? q8_fail(error, QINT8_ERROR_LIMIT, "model", "the file would pass 2 GiB, or memory was refused")
                 : q8_fail_memory(error, "model", exporter.writer.size);
  q8_names_destroy(&exporter.pool.host, exporter.names);
  q8_names_destroy(&exporter.pool.host, exporter.node_names);
  q8_pool_destroy(&exporter.pool);
  if (status != QINT8_OK) {
    q8_writer_free(&exporter.writer);
    return status;
  }
  *bytes = exporter.writer.bytes;
  *size = exporter.writer.size;
  return QINT8_OK;
}
