#include "graph/graph.h"

#include <stdio.h>
#include <string.h>

#include "graph/names.h"

q8_status q8_graph_create(const q8_host *host, q8_graph **out, qint8_error *error) {
  *out = NULL;
  q8_graph *graph = q8_new(host, sizeof *graph, "graph", error);
  if (!graph)
    return QINT8_ERROR_MEMORY;
  graph->names = q8_names_create(host);
  if (!graph->names) {
    q8_graph_destroy(graph);
    return q8_fail_memory(error, "graph", sizeof *graph);
  }
  *out = graph;
  return QINT8_OK;
}

void q8_graph_destroy(q8_graph *graph) {
  if (!graph)
    return;
  const q8_host *host = &graph->pool.host;
  q8_names_destroy(host, graph->names);
  q8_free(host, graph->tensors);
  q8_free(host, graph->nodes);
  q8_free(host, graph->bytes);
  q8_unmap(&graph->mapping);
  q8_pool_delete(graph);
}

q8_status q8_graph_add_tensor(q8_graph *graph, const char *name, int32_t dtype, const q8_shape *shape,
                              const void *data, q8_id *out, qint8_error *error) {
  *out = Q8_NONE;
  const q8_host *host = &graph->pool.host;
  if (q8_graph_find(graph, name) != Q8_NONE)
    return q8_fail(error, QINT8_ERROR_FORMAT, name, "two tensors have this name");
  if (graph->tensor_count >= INT32_MAX / 2)
    return q8_fail(error, QINT8_ERROR_LIMIT, name, "more than 2^30 tensors");
  if (!q8_grow(host, (void **)&graph->tensors, &graph->tensor_capacity, graph->tensor_count + 1,
               sizeof *graph->tensors, graph->tensor_count))
    return q8_fail_memory(error, name, graph->tensor_count * sizeof *graph->tensors);
  char *copy = q8_pool_string(&graph->pool, name, strlen(name));
  q8_id id = (q8_id)graph->tensor_count;
  if (!copy || !q8_names_put(host, graph->names, copy, id))
    return q8_fail_memory(error, name, strlen(name));
  q8_tensor *tensor = &graph->tensors[graph->tensor_count++];
  *tensor = (q8_tensor){.name = copy, .dtype = dtype, .data = data, .producer = Q8_NONE};
  if (shape)
    tensor->shape = *shape;
  else
    tensor->shape.rank = -1;
  *out = id;
  return QINT8_OK;
}

q8_status q8_graph_name_dims(q8_graph *graph, q8_id id, const char *const *names, qint8_error *error) {
  q8_tensor *tensor = &graph->tensors[id];
  tensor->dim_names = NULL;
  for (int32_t i = 0; i < tensor->shape.rank; i++) {
    if (!names[i])
      continue;
    if (!tensor->dim_names)
      tensor->dim_names = q8_pool_alloc(&graph->pool, Q8_MAX_RANK, sizeof *tensor->dim_names);
    if (!tensor->dim_names || !(tensor->dim_names[i] = q8_pool_string(&graph->pool, names[i], strlen(names[i]))))
      return q8_fail_memory(error, tensor->name, strlen(names[i]));
  }
  return QINT8_OK;
}

q8_id q8_graph_find(const q8_graph *graph, const char *name) {
  return q8_names_get(graph->names, name);
}

const char *q8_graph_fresh_name(q8_graph *graph, const char *base) {
  if (q8_graph_find(graph, base) == Q8_NONE)
    return q8_pool_string(&graph->pool, base, strlen(base));
  char text[512];
  for (unsigned i = 1;; i++) {
    snprintf(text, sizeof text, "%.480s_%u", base, i);
    if (q8_graph_find(graph, text) == Q8_NONE)
      return q8_pool_string(&graph->pool, text, strlen(text));
  }
}

static q8_id *copy_ids(q8_graph *graph, const q8_id *ids, size_t count) {
  q8_id *copy = q8_pool_alloc(&graph->pool, count ? count : 1, sizeof *copy);
  if (copy && count)
    memcpy(copy, ids, count * sizeof *copy);
  return copy;
}

q8_status q8_graph_add_node(q8_graph *graph, const char *name, const struct q8_op *op, const void *params,
                            size_t params_size, const q8_id *inputs, int32_t input_count, const q8_id *outputs,
                            int32_t output_count, qint8_error *error) {
  if (!q8_grow(&graph->pool.host, (void **)&graph->nodes, &graph->node_capacity, graph->node_count + 1,
               sizeof *graph->nodes, graph->node_count))
    return q8_fail_memory(error, name, graph->node_count * sizeof *graph->nodes);
  void *params_copy = q8_pool_alloc(&graph->pool, 1, params_size ? params_size : 1);
  q8_node node = {.name = q8_pool_string(&graph->pool, name, strlen(name)),
                  .op = op,
                  .params = params_copy,
                  .input_count = input_count,
                  .output_count = output_count,
                  .inputs = copy_ids(graph, inputs, (size_t)input_count),
                  .outputs = copy_ids(graph, outputs, (size_t)output_count)};
  if (!params_copy || !node.name || !node.inputs || !node.outputs)
    return q8_fail_memory(error, name, params_size);
  if (params_size)
    memcpy(params_copy, params, params_size);
  graph->nodes[graph->node_count++] = node;
  return QINT8_OK;
}

static q8_status set_ids(q8_graph *graph, const q8_id *ids, size_t count, q8_id **list, size_t *list_count,
                         qint8_error *error) {
  q8_id *copy = copy_ids(graph, ids, count);
  if (!copy)
    return q8_fail_memory(error, "graph", count * sizeof *ids);
  *list = copy;
  *list_count = count;
  return QINT8_OK;
}

q8_status q8_graph_set_inputs(q8_graph *graph, const q8_id *ids, size_t count, qint8_error *error) {
  return set_ids(graph, ids, count, &graph->inputs, &graph->input_count, error);
}

q8_status q8_graph_set_outputs(q8_graph *graph, const q8_id *ids, size_t count, qint8_error *error) {
  return set_ids(graph, ids, count, &graph->outputs, &graph->output_count, error);
}

void q8_int8_to_float(const q8_tensor *tensor, float *out) {
  const q8_int8_values *from = tensor->integers;
  size_t count = q8_shape_count(&tensor->shape, NULL), inner = q8_shape_inner(&tensor->shape, from->axis + 1);
  for (size_t i = 0, c = 0; i < count; i += inner, c = c + 1 < (size_t)from->count ? c + 1 : 0) {
    const size_t end = count - i < inner ? count - i : inner;
    for (size_t j = 0; j < end; j++)
      out[i + j] = (float)from->values[i + j] * from->scale[c];
  }
}

q8_status q8_graph_expand(q8_graph *graph, q8_id id, qint8_error *error) {
  q8_tensor *tensor = &graph->tensors[id];
  if (!tensor->integers)
    return QINT8_OK;
  size_t count = q8_shape_count(&tensor->shape, NULL);
  float *values = q8_pool_reserve(&graph->pool, count ? count : 1, sizeof *values);
  if (!values)
    return q8_fail_memory(error, tensor->name, count * sizeof *values);
  q8_int8_to_float(tensor, values);
  tensor->data = values;
  tensor->integers = NULL;
  return QINT8_OK;
}

q8_status q8_graph_clone(const q8_graph *graph, q8_graph **out, qint8_error *error) {
  q8_graph *copy;
  Q8_TRY(q8_graph_create(&graph->pool.host, &copy, error));
  *out = NULL;
  q8_status status = QINT8_OK;
  copy->opset = graph->opset;
  for (size_t i = 0; i < graph->tensor_count && status == QINT8_OK; i++) {
    const q8_tensor *from = &graph->tensors[i];
    void *data = NULL;
    if (from->data || from->integers) {
      size_t size = q8_shape_count(&from->shape, NULL) * qint8_dtype_size((qint8_dtype)from->dtype);
      data = q8_pool_alloc(&copy->pool, size ? size : 1, 1);
      if (!data)
        status = q8_fail_memory(error, from->name, size);
      else if (from->integers)
        q8_int8_to_float(from, data);
      else
        memcpy(data, from->data, size);
    }
    q8_id id;
    if (status == QINT8_OK)
      status = q8_graph_add_tensor(copy, from->name, from->dtype, &from->shape, data, &id, error);
    if (status == QINT8_OK && from->dim_names)
      status = q8_graph_name_dims(copy, id, from->dim_names, error);
  }
  for (size_t i = 0; i < graph->node_count && status == QINT8_OK; i++) {
    const q8_node *n = &graph->nodes[i];
    status = q8_graph_add_node(copy, n->name, n->op, n->params, q8_op_params_size(n->op), n->inputs, n->input_count,
                               n->outputs, n->output_count, error);
  }
  if (status == QINT8_OK)
    status = q8_graph_set_inputs(copy, graph->inputs, graph->input_count, error);
  if (status == QINT8_OK)
    status = q8_graph_set_outputs(copy, graph->outputs, graph->output_count, error);
  if (status != QINT8_OK) {
    q8_graph_destroy(copy);
    return status;
  }
  *out = copy;
  return QINT8_OK;
}

q8_id q8_graph_only_user(const q8_graph *graph, q8_id tensor) {
  if (tensor < 0 || graph->tensors[tensor].uses != 1 || graph->tensors[tensor].pinned ||
      q8_graph_is_output(graph, tensor))
    return Q8_NONE;
  for (size_t i = 0; i < graph->node_count; i++)
    for (int32_t j = 0; j < graph->nodes[i].input_count; j++)
      if (graph->nodes[i].inputs[j] == tensor)
        return (q8_id)i;
  return Q8_NONE;
}

int q8_graph_is_constant(const q8_graph *graph, q8_id tensor) {
  return tensor >= 0 && (graph->tensors[tensor].data || graph->tensors[tensor].integers);
}

int q8_graph_is_output(const q8_graph *graph, q8_id tensor) {
  for (size_t i = 0; i < graph->output_count; i++)
    if (graph->outputs[i] == tensor)
      return 1;
  return 0;
}

int q8_graph_scalar(const q8_graph *graph, q8_id tensor, float *out) {
  if (!q8_graph_is_constant(graph, tensor))
    return 0;
  const q8_tensor *t = &graph->tensors[tensor];
  if (q8_shape_count(&t->shape, NULL) != 1)
    return 0;
  switch (t->dtype) {
  case QINT8_DTYPE_F32:
    *out = *(const float *)t->data;
    return 1;
  case QINT8_DTYPE_F64:
    *out = (float)*(const double *)t->data;
    return 1;
  case QINT8_DTYPE_S32:
    *out = (float)*(const int32_t *)t->data;
    return 1;
  case QINT8_DTYPE_S64:
    *out = (float)*(const int64_t *)t->data;
    return 1;
  default:
    return 0;
  }
}
