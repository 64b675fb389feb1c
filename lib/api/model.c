#include <stdio.h>
#include <string.h>

#include "api/api.h"
#include "onnx/export.h"
#include "rewrite/rewrite.h"

/* Raw graph -> rewritten graph, and the recipe that a QDQ file carried. Rewritten in place: weights exist once. */
static q8_status finish(qint8_model *model, q8_status status, q8_onnx_quant *quant, qint8_error *error) {
  if (status == QINT8_OK && quant)
    q8_onnx_pin(quant, model->graph);
  if (status == QINT8_OK)
    status = q8_rewrite_in_place(model->graph, error);
  if (status == QINT8_OK && !quant)
    status = q8_rewrite_pads(model->graph, error);
  if (status == QINT8_OK && quant)
    status = q8_onnx_recipe(quant, model->graph, &model->host, &model->recipe, error);
  q8_onnx_quant_destroy(quant);
  return status;
}

/* Of `file`, which is taken over, or else of the caller's bytes. */
static q8_status load(const q8_onnx_file *file, const void *bytes, size_t size, const q8_host *host, qint8_model **out,
                      qint8_error *error) {
  qint8_model *model = q8_calloc(host, 1, sizeof *model);
  if (!model) {
    q8_mapping mapping = file ? file->mapping : (q8_mapping){.at = NULL};
    q8_free(host, file ? file->bytes : NULL);
    q8_unmap(&mapping);
    return q8_fail_memory(error, "model", sizeof *model);
  }
  model->host = *host;
  q8_onnx_quant *quant = NULL;
  q8_status status = file ? q8_onnx_import_file(file, host, &model->graph, &quant, error)
                          : q8_onnx_import(bytes, size, host, &model->graph, &quant, error);
  status = finish(model, status, quant, error);
  if (status != QINT8_OK) {
    qint8_model_destroy(model);
    return status;
  }
  *out = model;
  return QINT8_OK;
}

qint8_status qint8_model_load_memory(const void *bytes, size_t size, const qint8_host *host, qint8_model **out,
                                     qint8_error *error) {
  Q8_REQUIRE(error, out);
  *out = NULL;
  Q8_REQUIRE(error, bytes);
  q8_host inner;
  Q8_TRY(q8_host_init(&inner, host, error));
  return load(NULL, bytes, size, &inner, out, error);
}

/* The whole file in memory from the host. */
static q8_status read_file(q8_onnx_file *out, const q8_host *host, qint8_error *error) {
  FILE *file;
  const char *problem = q8_open_file(out->path, &file, &out->size);
  if (problem)
    return q8_fail(error, QINT8_ERROR_FILE, out->path, "%s", problem);
  out->bytes = q8_alloc(host, out->size + 1, 1);
  size_t got = out->bytes ? fread(out->bytes, 1, out->size, file) : 0;
  fclose(file);
  if (!out->bytes)
    return q8_fail_memory(error, out->path, out->size);
  if (got == out->size)
    return QINT8_OK;
  q8_free(host, out->bytes);
  return q8_fail(error, QINT8_ERROR_FILE, out->path, "only part of its %zu bytes could be read", out->size);
}

static q8_status open_file(const char *path, int mapped, const qint8_host *host, qint8_model **out,
                           qint8_error *error) {
  Q8_REQUIRE(error, out);
  *out = NULL;
  Q8_REQUIRE(error, path);
  q8_host inner;
  q8_onnx_file file = {.path = path};
  Q8_TRY(q8_host_init(&inner, host, error));
  if (mapped && q8_map_file(path, &file.mapping))
    file.size = file.mapping.size;
  else
    Q8_TRY(read_file(&file, &inner, error));
  return load(&file, NULL, 0, &inner, out, error);
}

qint8_status qint8_model_load_file(const char *path, const qint8_host *host, qint8_model **out, qint8_error *error) {
  return open_file(path, 0, host, out, error);
}

qint8_status qint8_model_map_file(const char *path, const qint8_host *host, qint8_model **out, qint8_error *error) {
  return open_file(path, 1, host, out, error);
}

void qint8_model_destroy(qint8_model *model) {
  if (!model)
    return;
  q8_graph_destroy(model->graph);
  q8_recipe_free(model->recipe);
  q8_free(&model->host, model);
}

q8_status q8_api_float_graph(const qint8_model *model, const q8_graph **graph, q8_graph **copy, qint8_error *error) {
  *graph = model->graph;
  *copy = NULL;
  int any = 0;
  for (size_t i = 0; i < model->graph->tensor_count; i++)
    any |= model->graph->tensors[i].integers != NULL;
  if (!any)
    return QINT8_OK;
  Q8_TRY(q8_graph_clone(model->graph, copy, error));
  *graph = *copy;
  q8_status status = q8_graph_freeze(*copy, error);
  if (status != QINT8_OK) {
    q8_graph_destroy(*copy);
    *copy = NULL;
  }
  return status;
}

int64_t qint8_model_opset(const qint8_model *model) {
  return model ? model->graph->opset : 0;
}
size_t qint8_model_input_count(const qint8_model *model) {
  return model ? model->graph->input_count : 0;
}
size_t qint8_model_output_count(const qint8_model *model) {
  return model ? model->graph->output_count : 0;
}
size_t qint8_model_node_count(const qint8_model *model) {
  return model ? model->graph->node_count : 0;
}

static qint8_status describe(const q8_tensor *tensor, qint8_tensor_info *out) {
  *out = (qint8_tensor_info){.struct_size = sizeof *out,
                             .name = tensor->name,
                             .dtype = tensor->dtype,
                             .rank = tensor->shape.rank,
                             .is_constant = tensor->data || tensor->integers};
  memcpy(out->shape, tensor->shape.dim, sizeof out->shape);
  if (tensor->dim_names)
    memcpy(out->dim_name, tensor->dim_names, sizeof out->dim_name);
  return QINT8_OK;
}

qint8_status qint8_model_input(const qint8_model *model, size_t index, qint8_tensor_info *out) {
  if (!model || !out || out->struct_size < sizeof *out || index >= model->graph->input_count)
    return QINT8_ERROR_ARGUMENT;
  return describe(&model->graph->tensors[model->graph->inputs[index]], out);
}

qint8_status qint8_model_output(const qint8_model *model, size_t index, qint8_tensor_info *out) {
  if (!model || !out || out->struct_size < sizeof *out || index >= model->graph->output_count)
    return QINT8_ERROR_ARGUMENT;
  return describe(&model->graph->tensors[model->graph->outputs[index]], out);
}

/* Why the node cannot be int8 whatever the recipe, or NULL. */
static const char *int8_obstacle(const q8_graph *graph, const q8_node *node) {
  if (node->op->quant == Q8_QUANT_FLOAT || node->op->quant == Q8_QUANT_RECURRENT)
    return node->op->family->int8_obstacle ? node->op->family->int8_obstacle : "the operator has no int8 form";
  if (node->op->two_activations && !q8_graph_is_constant(graph, node->inputs[1]))
    return "a product of two activations: int8 where the file quantizes both, float where this library decides";
  if (node->op->quant == Q8_QUANT_WEIGHTED && !q8_graph_is_constant(graph, node->inputs[1]))
    return "the weight is not a constant";
  return NULL;
}

qint8_status qint8_model_node(const qint8_model *model, size_t index, qint8_node_info *out) {
  if (!model || !out || out->struct_size < sizeof *out || index >= model->graph->node_count)
    return QINT8_ERROR_ARGUMENT;
  const q8_graph *graph = model->graph;
  const q8_node *node = &graph->nodes[index];
  *out = (qint8_node_info){.struct_size = sizeof *out,
                           .name = node->name,
                           .op_type = node->op->name,
                           .output = graph->tensors[node->outputs[0]].name,
                           .int8_obstacle = int8_obstacle(graph, node)};
  for (int32_t i = 0; i < node->input_count; i++)
    if (q8_graph_is_constant(graph, node->inputs[i]) && graph->tensors[node->inputs[i]].dtype == QINT8_DTYPE_F32)
      out->parameter_count += (int64_t)q8_shape_count(&graph->tensors[node->inputs[i]].shape, NULL);
  return QINT8_OK;
}

const char *qint8_model_node_input(const qint8_model *model, size_t index, size_t input) {
  if (!model || index >= model->graph->node_count || input >= (size_t)model->graph->nodes[index].input_count)
    return NULL;
  q8_id id = model->graph->nodes[index].inputs[input];
  return id == Q8_NONE ? NULL : model->graph->tensors[id].name;
}

qint8_status qint8_model_weights(const qint8_model *model, size_t index, const char **name, qint8_tensor *out,
                                 int32_t *channel_axis, qint8_error *error) {
  Q8_REQUIRE(error, model);
  Q8_REQUIRE(error, out);
  Q8_REQUIRE_SIZE(error, out);
  const q8_graph *graph = model->graph;
  if (index >= graph->node_count)
    return q8_fail(error, QINT8_ERROR_ARGUMENT, "index", "there are %zu nodes", graph->node_count);
  const q8_node *node = &graph->nodes[index];
  if (node->op->quant != Q8_QUANT_WEIGHTED || node->input_count < 2 || !q8_graph_is_constant(graph, node->inputs[1]))
    return q8_fail(error, QINT8_ERROR_ARGUMENT, node->name, "%s has no constant weights", node->op->name);
  const q8_tensor *w = &graph->tensors[node->inputs[1]];
  if (!w->data || w->dtype != QINT8_DTYPE_F32)
    return q8_fail(error, QINT8_ERROR_STATE, w->name, "the model keeps these weights as integers");
  out->dtype = w->dtype;
  out->rank = w->shape.rank;
  memcpy(out->shape, w->shape.dim, sizeof out->shape);
  out->data = (void *)(uintptr_t)w->data;
  if (name)
    *name = w->name;
  if (channel_axis) {
    *channel_axis = q8_weight_axis(node);
    *channel_axis += *channel_axis < 0 ? w->shape.rank : 0;
  }
  return QINT8_OK;
}

/* QDQ without options. */
static q8_status read_format(const qint8_save_options *options, int32_t *format, qint8_error *error) {
  *format = QINT8_FORMAT_QDQ;
  if (!options)
    return QINT8_OK;
  if (options->struct_size < sizeof(qint8_save_options))
    return q8_fail(error, QINT8_ERROR_ARGUMENT, "options", "struct_size %zu is too small", options->struct_size);
  if (options->format != QINT8_FORMAT_QDQ && options->format != QINT8_FORMAT_QOPERATOR)
    return q8_fail(error, QINT8_ERROR_ARGUMENT, "options", "format %d is unknown", (int)options->format);
  *format = options->format;
  return QINT8_OK;
}

qint8_status qint8_model_export_memory(const qint8_model *model, const qint8_recipe *recipe,
                                       const qint8_save_options *options, const qint8_host *host, void **bytes,
                                       size_t *size, qint8_error *error) {
  Q8_REQUIRE(error, bytes);
  Q8_REQUIRE(error, size);
  *bytes = NULL;
  *size = 0;
  Q8_REQUIRE(error, model);
  q8_host inner;
  int32_t format;
  Q8_TRY(q8_host_init(&inner, host, error));
  Q8_TRY(read_format(options, &format, error));
  return q8_onnx_export(model->graph, recipe ? recipe->recipe : NULL, format, &inner, bytes, size, error);
}

qint8_status qint8_model_save_memory(const qint8_model *model, const qint8_recipe *recipe, const qint8_host *host,
                                     void **bytes, size_t *size, qint8_error *error) {
  return qint8_model_export_memory(model, recipe, NULL, host, bytes, size, error);
}

qint8_status qint8_model_export_file(const qint8_model *model, const qint8_recipe *recipe,
                                     const qint8_save_options *options, const char *path, qint8_error *error) {
  Q8_REQUIRE(error, model);
  Q8_REQUIRE(error, path);
  void *bytes;
  size_t size;
  int32_t format;
  Q8_TRY(read_format(options, &format, error));
  Q8_TRY(q8_onnx_export(model->graph, recipe ? recipe->recipe : NULL, format, &model->host, &bytes, &size, error));
  q8_status status = QINT8_OK;
  FILE *file = fopen(path, "wb");
  if (!file)
    status = q8_fail(error, QINT8_ERROR_FILE, path, "cannot be opened for writing");
  if (file) {
    int written = fwrite(bytes, 1, size, file) == size;
    if (fclose(file) != 0 || !written)
      status = q8_fail(error, QINT8_ERROR_FILE, path, "only part of %zu bytes could be written", size);
  }
  q8_free(&model->host, bytes);
  return status;
}

qint8_status qint8_model_save_file(const qint8_model *model, const qint8_recipe *recipe, const char *path,
                                   qint8_error *error) {
  return qint8_model_export_file(model, recipe, NULL, path, error);
}
