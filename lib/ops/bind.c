/* bind.c - the shape inference driver: from input shapes to a value for every tensor. */
#include "ops/op.h"

#define MAX_IO 64 /* inputs whose values fit on the stack; more go to the pool */
#define MAX_CONSTANT ((size_t)1 << 30) /* bytes of one folded result */

/* Weights that are kept as integers count as constant too: `expand` gives them data. */
static int all_constant(const q8_graph *graph, const q8_node *node, const q8_value *const *inputs) {
  for (int32_t i = 0; i < node->input_count; i++)
    if (inputs[i] && !inputs[i]->data && !graph->tensors[node->inputs[i]].integers)
      return 0;
  return 1;
}

static q8_status expand(const q8_graph *graph, const q8_node *node, q8_binding *binding, qint8_error *error) {
  for (int32_t i = 0; i < node->input_count; i++)
    if (node->inputs[i] != Q8_NONE)
      Q8_TRY(q8_bind_floats(graph, binding, node->inputs[i], error));
  return QINT8_OK;
}

static q8_status fold(q8_binding *binding, const q8_op_io *io, qint8_error *error) {
  const q8_node *node = io->node;
  for (int32_t i = 0; i < node->output_count; i++) {
    q8_value *value = &io->outputs[i];
    size_t size;
    if (!q8_mul(value->count, qint8_dtype_size((qint8_dtype)value->dtype), &size) || size > MAX_CONSTANT)
      return q8_fail(error, QINT8_ERROR_LIMIT, node->name, "a constant result has %zu elements: more than 1 GiB",
                     value->count);
    value->data = q8_pool_alloc(&binding->pool, size ? size : 1, 1);
    if (!value->data)
      return q8_fail_memory(error, node->name, size);
  }
  return node->op->family->eval(io);
}

/* The input that an operator with a choice takes, or -1. */
static int32_t chosen(const q8_op_io *io) {
  const q8_op_extras *extras = q8_extras(io->node->op);
  return extras->chosen ? extras->chosen(io) : -1;
}

static q8_status bind_node(const q8_graph *graph, const q8_node *node, q8_binding *binding, qint8_error *error) {
  const q8_value *stack_inputs[MAX_IO], **inputs = stack_inputs;
  q8_value outputs[MAX_IO] = {0};
  if (node->input_count > MAX_IO) {
    inputs = q8_pool_alloc(&binding->pool, (size_t)node->input_count, sizeof *inputs);
    if (!inputs)
      return q8_fail_memory(error, node->name, (size_t)node->input_count * sizeof *inputs);
  }
  if (node->output_count > MAX_IO)
    return q8_fail(error, QINT8_ERROR_LIMIT, node->name, "%d outputs, at most %d", node->output_count, MAX_IO);
  for (int32_t i = 0; i < node->input_count; i++)
    inputs[i] = node->inputs[i] == Q8_NONE ? NULL : &binding->values[node->inputs[i]];
  q8_op_io io = {.node = node, .inputs = inputs, .outputs = outputs, .error = error};
  int32_t which = chosen(&io);
  if (which >= 0) {
    binding->values[node->outputs[0]] = *inputs[which];
    return QINT8_OK;
  }
  for (int32_t i = 0; i < node->input_count; i++)
    if (inputs[i] && inputs[i]->dtype == QINT8_DTYPE_NONE)
      return q8_fail(error, QINT8_ERROR_SHAPE, node->name, "the shape of %s is not known",
                     graph->tensors[node->inputs[i]].name);
  Q8_TRY(q8_infer(&io));
  int constant = all_constant(graph, node, inputs);
  if (constant)
    Q8_TRY(expand(graph, node, binding, error));
  if (constant || node->op->shape_only)
    Q8_TRY(fold(binding, &io, error));
  for (int32_t i = 0; i < node->output_count; i++)
    if (node->outputs[i] != Q8_NONE)
      binding->values[node->outputs[i]] = outputs[i];
  return QINT8_OK;
}

q8_status q8_bind_floats(const q8_graph *graph, q8_binding *binding, q8_id tensor, qint8_error *error) {
  q8_value *value = &binding->values[tensor];
  if (value->data || !graph->tensors[tensor].integers)
    return QINT8_OK;
  float *floats = q8_pool_reserve(&binding->pool, value->count ? value->count : 1, sizeof *floats);
  if (!floats)
    return q8_fail_memory(error, graph->tensors[tensor].name, value->count * sizeof *floats);
  q8_int8_to_float(&graph->tensors[tensor], floats);
  value->data = floats;
  return QINT8_OK;
}

/* ---- Branches that are not taken ---- */

static int has_choices(const q8_graph *graph) {
  for (size_t i = 0; i < graph->node_count; i++)
    if (q8_extras(graph->nodes[i].op)->chosen)
      return 1;
  return 0;
}

/* What the graph's outputs need, against execution order; of a choice only the input that it takes. */
static q8_status mark_needed(const q8_graph *graph, q8_binding *binding, qint8_error *error) {
  uint8_t *wanted = q8_pool_alloc(&binding->pool, graph->tensor_count + 1, 1);
  binding->needed = q8_pool_alloc(&binding->pool, graph->node_count + 1, 1);
  if (!wanted || !binding->needed)
    return q8_fail_memory(error, "binding", graph->tensor_count);
  for (size_t i = 0; i < graph->output_count; i++)
    wanted[graph->outputs[i]] = 1;
  for (size_t n = graph->node_count; n-- > 0;) {
    const q8_node *node = &graph->nodes[n];
    const q8_value *inputs[1] = {
        node->input_count && node->inputs[0] != Q8_NONE ? &binding->values[node->inputs[0]] : NULL};
    int32_t which = chosen(&(q8_op_io){.node = node, .inputs = inputs, .error = error});
    for (int32_t i = 0; i < node->output_count; i++)
      binding->needed[n] |= node->outputs[i] != Q8_NONE && wanted[node->outputs[i]];
    for (int32_t i = 0; binding->needed[n] && i < node->input_count; i++)
      if (node->inputs[i] != Q8_NONE && (which < 0 || i == which))
        wanted[node->inputs[i]] = 1;
  }
  return QINT8_OK;
}

/* With branches in the graph, a node may fail until it is known that its result is needed. */
static q8_status bind_nodes(const q8_graph *graph, q8_binding *binding, qint8_error *error) {
  int choices = has_choices(graph);
  for (size_t i = 0; i < graph->node_count; i++) {
    q8_status status = bind_node(graph, &graph->nodes[i], binding, choices ? NULL : error);
    if (status != QINT8_OK && (!choices || status == QINT8_ERROR_MEMORY))
      return status;
  }
  if (!choices)
    return QINT8_OK;
  Q8_TRY(mark_needed(graph, binding, error));
  for (size_t i = 0; i < graph->node_count; i++)
    for (int32_t j = 0; binding->needed[i] && j < graph->nodes[i].output_count; j++)
      if (graph->nodes[i].outputs[j] != Q8_NONE && !binding->values[graph->nodes[i].outputs[j]].dtype)
        Q8_TRY(bind_node(graph, &graph->nodes[i], binding, error)); /* again, for its message */
  return QINT8_OK;
}

static q8_status bind_all(const q8_graph *graph, const q8_shape *shapes, const void *const *values, q8_binding *binding,
                          qint8_error *error) {
  binding->values = q8_pool_alloc(&binding->pool, graph->tensor_count ? graph->tensor_count : 1, sizeof(q8_value));
  if (!binding->values)
    return q8_fail_memory(error, "binding", graph->tensor_count * sizeof(q8_value));
  for (size_t i = 0; i < graph->tensor_count; i++) {
    const q8_tensor *t = &graph->tensors[i];
    if (q8_graph_is_constant(graph, (q8_id)i))
      binding->values[i] = (q8_value){.dtype = t->dtype,
                                      .shape = t->shape,
                                      .count = q8_shape_count(&t->shape, NULL),
                                      .data = (void *)(uintptr_t)t->data};
  }
  for (size_t i = 0; i < graph->input_count; i++) {
    const q8_tensor *t = &graph->tensors[graph->inputs[i]];
    int ok;
    size_t count = q8_shape_count(&shapes[i], &ok);
    if (!ok || count > ((size_t)1 << 38))
      return q8_fail(error, QINT8_ERROR_LIMIT, t->name, "the input shape has unknown or too many elements");
    binding->values[graph->inputs[i]] =
        (q8_value){.dtype = t->dtype ? t->dtype : QINT8_DTYPE_F32,
                   .shape = shapes[i],
                   .count = count,
                   .data = values ? (void *)(uintptr_t)values[i] : NULL};
  }
  return bind_nodes(graph, binding, error);
}

q8_status q8_bind(const q8_graph *graph, const q8_shape *inputs, const void *const *values, const q8_host *host,
                  q8_binding **out, qint8_error *error) {
  *out = NULL;
  q8_binding *binding = q8_new(host, sizeof *binding, "binding", error);
  if (!binding)
    return QINT8_ERROR_MEMORY;
  q8_status status = bind_all(graph, inputs, values, binding, error);
  if (status != QINT8_OK) {
    q8_binding_destroy(binding);
    return status;
  }
  *out = binding;
  return QINT8_OK;
}

void q8_binding_destroy(q8_binding *binding) {
  q8_pool_delete(binding);
}
