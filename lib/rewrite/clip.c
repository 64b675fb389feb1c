/* clip.c - constant bounds of a Clip, once folded, into its parameters, where a table can use them. */
#include <string.h>

#include "rewrite/pass.h"

q8_status q8_pass_clip_bounds(q8_graph *graph, q8_id node, int *changed, qint8_error *error) {
  q8_node *n = &graph->nodes[node];
  static const char *const fields[2] = {"clip_lo", "clip_hi"};
  if (!q8_is_op(n, "Clip"))
    return QINT8_OK;
  for (int32_t i = 1; i < n->input_count; i++) {
    float bound, old = q8_op_float(n->op, n->params, fields[i - 1], 0);
    if (!q8_graph_scalar(graph, n->inputs[i], &bound) || bound == old || bound != bound)
      continue;
    void *params = q8_pool_alloc(&graph->pool, 1, n->op->params_size);
    if (!params)
      return q8_fail_memory(error, n->name, n->op->params_size);
    memcpy(params, n->params, n->op->params_size);
    *q8_float_field(n->op, params, fields[i - 1]) = bound;
    n->params = params;
    *changed = 1;
  }
  return QINT8_OK;
}
