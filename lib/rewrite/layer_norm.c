/* layer_norm.c - LayerNormalization over the last dimension, as exporters before opset 17 write it:
 *   d = x - ReduceMean(x);  y = d / Sqrt(ReduceMean(d^2) + epsilon) * scale + bias */
#include "rewrite/pass.h"

/* The input of ReduceMean over the last dimension, which it keeps, or Q8_NONE. `axis`: one that is known to be the last
 * (-1 always is), replaced by the node's. */
static q8_id mean_over_last(const q8_graph *graph, q8_id tensor, int64_t *axis) {
  const q8_node *n = q8_producer(graph, tensor, "ReduceMean");
  if (!n || n->input_count != 1)
    return Q8_NONE;
  const q8_ints *list = q8_op_field(n->op, n->params, "axes");
  int32_t rank = graph->tensors[n->inputs[0]].shape.rank;
  if (list->count != 1 || !q8_op_int(n->op, n->params, "keepdims", 1) ||
      (list->v[0] != -1 && list->v[0] != *axis && (rank < 1 || list->v[0] != rank - 1)))
    return Q8_NONE;
  *axis = list->v[0];
  return n->inputs[0];
}

/* x of x - ReduceMean(x), or Q8_NONE. */
static q8_id centered(const q8_graph *graph, q8_id tensor, int64_t *axis) {
  const q8_node *n = q8_producer(graph, tensor, "Sub");
  return n && mean_over_last(graph, n->inputs[1], axis) == n->inputs[0] ? n->inputs[0] : Q8_NONE;
}

/* x of the variance: ReduceMean((x - ReduceMean(x))^2), or Q8_NONE. */
static q8_id variance_of(const q8_graph *graph, q8_id tensor, int64_t axis) {
  q8_id square = mean_over_last(graph, tensor, &axis);
  const q8_node *pow = q8_producer(graph, square, "Pow"), *mul = q8_producer(graph, square, "Mul");
  float exponent;
  if (pow && q8_graph_scalar(graph, pow->inputs[1], &exponent) && exponent == 2)
    return centered(graph, pow->inputs[0], &axis);
  return mul && mul->inputs[0] == mul->inputs[1] ? centered(graph, mul->inputs[0], &axis) : Q8_NONE;
}

/* x of d / Sqrt(variance + epsilon), or Q8_NONE. */
static q8_id normalized(const q8_graph *graph, q8_id tensor, float *epsilon) {
  const q8_node *div = q8_producer(graph, tensor, "Div");
  const q8_node *root = div ? q8_producer(graph, div->inputs[1], "Sqrt") : NULL;
  const q8_node *add = root ? q8_producer(graph, root->inputs[0], "Add") : NULL;
  int64_t axis = -1;
  q8_id x = div ? centered(graph, div->inputs[0], &axis) : Q8_NONE;
  for (int i = 0; add && x != Q8_NONE && i < 2; i++)
    if (q8_graph_scalar(graph, add->inputs[1 - i], epsilon) && variance_of(graph, add->inputs[i], axis) == x)
      return x;
  return Q8_NONE;
}

static int is_list(const q8_graph *graph, q8_id tensor) {
  return q8_graph_is_constant(graph, tensor) && graph->tensors[tensor].dtype == QINT8_DTYPE_F32 &&
         graph->tensors[tensor].shape.rank == 1;
}

/* The pattern ends in Add(Mul(normalized, scale), bias). */
q8_status q8_pass_layer_norm(q8_graph *graph, q8_id node, int *changed, qint8_error *error) {
  const q8_node *add = &graph->nodes[node];
  if (!q8_is_op(add, "Add"))
    return QINT8_OK;
  for (int i = 0; i < 4; i++) {
    q8_id bias = add->inputs[i & 1];
    const q8_node *mul = is_list(graph, bias) ? q8_producer(graph, add->inputs[!(i & 1)], "Mul") : NULL;
    q8_id scale = mul ? mul->inputs[i >> 1] : Q8_NONE;
    float epsilon;
    q8_id x = mul && is_list(graph, scale) ? normalized(graph, mul->inputs[!(i >> 1)], &epsilon) : Q8_NONE;
    if (x == Q8_NONE)
      continue;
    void *params;
    q8_id *inputs = q8_pool_alloc(&graph->pool, 3, sizeof *inputs);
    if (!inputs)
      return q8_fail_memory(error, add->name, 3 * sizeof *inputs);
    Q8_TRY(q8_replace_unary(graph, node, "LayerNormalization", "", x, &params, error));
    *q8_float_field(graph->nodes[node].op, params, "epsilon") = epsilon;
    inputs[0] = x;
    inputs[1] = scale;
    inputs[2] = bias;
    graph->nodes[node].inputs = inputs;
    graph->nodes[node].input_count = 3;
    *changed = 1;
    return QINT8_OK;
  }
  return QINT8_OK;
}
