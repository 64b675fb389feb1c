/* mean.c - ReduceMean over all spatial axes, as PyTorch writes x.mean((2, 3)) and TensorFlow its global pooling, becomes
 * GlobalAveragePool, which has an int8 form; without keepdims a Flatten follows. */
#include <string.h>

#include "rewrite/pass.h"

#define DEPTH 8 /* producers looked through for a rank */

/* The rank of a tensor: declared, or that of the weights of a convolution, through elementwise operators and pooling.
 * -1 if unknown, or where inputs of different ranks meet. */
static int32_t rank_of(const q8_graph *graph, q8_id tensor, int depth) {
  const q8_tensor *t = &graph->tensors[tensor];
  if (t->shape.rank >= 0 || t->producer == Q8_NONE || depth == 0)
    return t->shape.rank;
  const q8_node *n = &graph->nodes[t->producer];
  if (q8_is_op(n, "Conv ConvTranspose"))
    return rank_of(graph, n->inputs[1], depth - 1);
  int keeps = n->op->unary || q8_is_op(n, "BatchNormalization MaxPool AveragePool Add Sub Mul Div Concat");
  int32_t rank = keeps ? rank_of(graph, n->inputs[0], depth - 1) : -1;
  int several = n->input_count > 1 && !n->op->unary && !q8_is_op(n, "BatchNormalization");
  for (int32_t i = 1; several && rank >= 0 && i < n->input_count; i++) {
    int32_t other = n->inputs[i] == Q8_NONE ? -1 : rank_of(graph, n->inputs[i], depth - 1);
    int constant = n->inputs[i] != Q8_NONE && q8_graph_is_constant(graph, n->inputs[i]);
    rank = other == rank || (constant && other < rank) ? rank : -1;
  }
  return rank;
}

/* Whether the axes are 2, 3, ... rank - 1, in any order, counted from either end. */
static int is_spatial(const q8_ints *axes, int32_t rank) {
  uint32_t mask = 0;
  for (int32_t i = 0; i < axes->count; i++) {
    int64_t axis = axes->v[i] < 0 ? axes->v[i] + rank : axes->v[i];
    if (axis < 2 || axis >= rank)
      return 0;
    mask |= 1u << axis;
  }
  return rank > 2 && mask == (1u << rank) - 4;
}

q8_status q8_pass_mean(q8_graph *graph, q8_id node, int *changed, qint8_error *error) {
  const q8_node *n = &graph->nodes[node];
  if (!q8_is_op(n, "ReduceMean") || n->input_count != 1)
    return QINT8_OK;
  q8_id x = n->inputs[0], pooled;
  int32_t dtype = graph->tensors[x].dtype;
  if (!is_spatial(q8_op_field(n->op, n->params, "axes"), rank_of(graph, x, DEPTH)) ||
      (dtype != QINT8_DTYPE_NONE && dtype != QINT8_DTYPE_F32))
    return QINT8_OK;
  *changed = 1;
  if (q8_op_int(n->op, n->params, "keepdims", 1))
    return q8_replace_unary(graph, node, "GlobalAveragePool", "", x, NULL, error);
  const char *name = q8_graph_fresh_name(graph, n->name);
  const q8_op *pool = q8_op_find("GlobalAveragePool", "");
  if (!name || !pool)
    return q8_fail_memory(error, n->name, strlen(n->name));
  Q8_TRY(q8_graph_add_tensor(graph, name, QINT8_DTYPE_F32, NULL, NULL, &pooled, error));
  Q8_TRY(q8_graph_add_node(graph, name, pool, NULL, pool->params_size, &x, 1, &pooled, 1, error));
  return q8_replace_unary(graph, node, "Flatten", "", pooled, NULL, error);
}
