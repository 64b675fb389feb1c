/* clamp.c - Relu or Clip after Conv or Gemm becomes the clamp of that node's result. */
#include <math.h>
#include <string.h>

#include "rewrite/pass.h"

/* 1 if the node is a clamp with constant bounds. */
static int clamp_of(const q8_graph *graph, const q8_node *n, float *lo, float *hi) {
  *lo = -INFINITY;
  *hi = INFINITY;
  if (q8_is_op(n, "Relu")) {
    *lo = 0;
    return 1;
  }
  if (!q8_is_op(n, "Clip"))
    return 0;
  float *bound[3] = {NULL, lo, hi};
  for (int32_t i = 1; i < n->input_count; i++)
    if (n->inputs[i] != Q8_NONE && !q8_graph_scalar(graph, n->inputs[i], bound[i]))
      return 0;
  return *lo <= *hi;
}

/* The node takes over the operator and inputs of its producer, which then feeds nobody. */
q8_status q8_pass_clamp(q8_graph *graph, q8_id node, int *changed, qint8_error *error) {
  q8_node *n = &graph->nodes[node];
  float lo, hi, old_lo, old_hi;
  if (!clamp_of(graph, n, &lo, &hi) || q8_graph_only_user(graph, n->inputs[0]) != node)
    return QINT8_OK;
  q8_id producer = graph->tensors[n->inputs[0]].producer;
  if (producer == Q8_NONE || !q8_op_attribute(graph->nodes[producer].op, "activation_lo") ||
      q8_node_clamp(&graph->nodes[producer], &old_lo, &old_hi))
    return QINT8_OK;
  const q8_node *from = &graph->nodes[producer];
  void *params = q8_pool_alloc(&graph->pool, 1, from->op->params_size);
  if (!params)
    return q8_fail_memory(error, n->name, from->op->params_size);
  memcpy(params, from->params, from->op->params_size);
  *q8_float_field(from->op, params, "activation_lo") = lo;
  *q8_float_field(from->op, params, "activation_hi") = hi;
  n->name = from->name;
  n->op = from->op;
  n->params = params;
  n->inputs = from->inputs;
  n->input_count = from->input_count;
  *changed = 1;
  return QINT8_OK;
}
