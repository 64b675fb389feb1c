/* constant.c - nodes whose inputs are all constant become constants. */
#include "rewrite/pass.h"

#define MAX_FOLD ((size_t)1 << 28) /* bytes of one result: larger ones stay nodes */
#define MAX_IO 16

static int is_foldable(const q8_graph *graph, const q8_node *n) {
  if (n->input_count > MAX_IO || n->output_count > MAX_IO || n->output_count < 1)
    return 0;
  for (int32_t i = 0; i < n->input_count; i++)
    if (n->inputs[i] != Q8_NONE && !q8_graph_is_constant(graph, n->inputs[i]))
      return 0;
  for (int32_t i = 0; i < n->output_count; i++)
    if (n->outputs[i] == Q8_NONE || q8_graph_is_output(graph, n->outputs[i]))
      return 0;
  return 1;
}

/* Memory for the results; 0 in *fits if they are too large. */
static q8_status allocate(q8_graph *graph, const q8_op_io *io, int *fits, qint8_error *error) {
  *fits = 1;
  for (int32_t i = 0; i < io->node->output_count; i++) {
    q8_value *y = &io->outputs[i];
    size_t size = y->count * qint8_dtype_size((qint8_dtype)y->dtype);
    *fits = size <= MAX_FOLD;
    if (!*fits)
      return QINT8_OK;
    y->data = q8_pool_alloc(&graph->pool, size ? size : 1, 1);
    if (!y->data)
      return q8_fail_memory(error, io->node->name, size);
  }
  return QINT8_OK;
}

q8_status q8_pass_constants(q8_graph *graph, q8_id node, int *changed, qint8_error *error) {
  q8_node *n = &graph->nodes[node];
  if (!is_foldable(graph, n))
    return QINT8_OK;
  q8_value values[MAX_IO], outputs[MAX_IO] = {0};
  const q8_value *inputs[MAX_IO];
  for (int32_t i = 0; i < n->input_count; i++) {
    inputs[i] = NULL;
    if (n->inputs[i] == Q8_NONE)
      continue;
    Q8_TRY(q8_graph_expand(graph, n->inputs[i], error));
    const q8_tensor *t = &graph->tensors[n->inputs[i]];
    values[i] = (q8_value){t->dtype, t->shape, q8_shape_count(&t->shape, NULL), (void *)(uintptr_t)t->data};
    inputs[i] = &values[i];
  }
  q8_op_io io = {.node = n, .inputs = inputs, .outputs = outputs, .error = error};
  int fits;
  if (q8_infer(&io) != QINT8_OK)
    return QINT8_OK; /* of a branch that is not taken, or binding will say why */
  Q8_TRY(allocate(graph, &io, &fits, error));
  if (!fits)
    return QINT8_OK;
  Q8_TRY(n->op->family->eval(&io));
  for (int32_t i = 0; i < n->output_count; i++) {
    q8_tensor *t = &graph->tensors[n->outputs[i]];
    t->dtype = outputs[i].dtype;
    t->shape = outputs[i].shape;
    t->data = outputs[i].data;
    t->producer = Q8_NONE;
    t->dim_names = NULL;
  }
  n->input_count = n->output_count = 0; /* produces nothing: freezing drops it */
  *changed = 1;
  return QINT8_OK;
}
