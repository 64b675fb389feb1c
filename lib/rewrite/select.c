/* select.c - an If whose condition became constant is the value of one branch. */
#include "rewrite/pass.h"

q8_status q8_pass_select(q8_graph *graph, q8_id node, int *changed, qint8_error *error) {
  const q8_node *n = &graph->nodes[node];
  const q8_op_extras *extras = q8_extras(n->op);
  if (!extras->chosen)
    return QINT8_OK;
  const q8_tensor *t = &graph->tensors[n->inputs[0]];
  const q8_value condition = {t->dtype, t->shape, t->data ? q8_shape_count(&t->shape, NULL) : 0, (void *)(uintptr_t)t->data};
  const q8_value *inputs[3] = {&condition, NULL, NULL};
  q8_op_io io = {.node = n, .inputs = inputs, .error = error};
  int32_t which = extras->chosen(&io);
  if (which < 0)
    return QINT8_OK;
  *changed = 1;
  if (q8_graph_is_output(graph, n->outputs[0]))
    return q8_replace_unary(graph, node, "Identity", "", n->inputs[which], NULL, error);
  q8_redirect(graph, n->outputs[0], n->inputs[which]);
  return QINT8_OK;
}
