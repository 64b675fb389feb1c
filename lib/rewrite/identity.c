/* identity.c - Identity and Dropout leave the graph. */
#include "rewrite/pass.h"

/* y = Identity(x): readers of y read x. An output of the graph keeps its node, and so its name. */
q8_status q8_pass_identity(q8_graph *graph, q8_id node, int *changed, qint8_error *error) {
  (void)error;
  const q8_node *n = &graph->nodes[node];
  if (!q8_is_op(n, "Identity Dropout"))
    return QINT8_OK;
  q8_id x = n->inputs[0], y = n->outputs[0];
  /* Dropout's third input: `infer` looks at it unless it is false. */
  int may_train = n->input_count > 2 && n->inputs[2] != Q8_NONE &&
                  (!q8_graph_is_constant(graph, n->inputs[2]) || *(const uint8_t *)graph->tensors[n->inputs[2]].data);
  if (n->output_count != 1 || may_train || graph->tensors[y].pinned || q8_graph_is_output(graph, y))
    return QINT8_OK;
  q8_redirect(graph, y, x);
  *changed = 1;
  return QINT8_OK;
}
