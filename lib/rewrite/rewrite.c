/* rewrite.c - the passes, in order, until none changes anything. */
#include "rewrite/rewrite.h"

#include <math.h>

#include "rewrite/pass.h"

/* Activations are recognised before affine operators are folded: the Add of x + 3 belongs to HardSigmoid. */
static q8_pass_fn *const passes[] = {
    q8_pass_constants, q8_pass_select, q8_pass_identity, q8_pass_clip_bounds, q8_pass_hard_sigmoid, q8_pass_hard_swish,
    q8_pass_silu,      q8_pass_gelu,   q8_pass_layer_norm, q8_pass_mean,        q8_pass_affine,
    q8_pass_clamp,
};

#define MAX_ROUNDS 64 /* every change removes a node: rounds end by themselves, this is a fuse */

static q8_status run_pass(q8_graph *graph, q8_pass_fn *pass, int *changed, qint8_error *error) {
  int edited = 0;
  for (size_t i = 0; i < graph->node_count; i++) {
    int now = 0;
    Q8_TRY(pass(graph, (q8_id)i, &now, error));
    edited |= now;
  }
  *changed |= edited;
  return edited ? q8_graph_freeze(graph, error) : QINT8_OK;
}

q8_status q8_rewrite_in_place(q8_graph *graph, qint8_error *error) {
  int changed = 1;
  Q8_TRY(q8_graph_freeze(graph, error));
  for (int round = 0; changed && round < MAX_ROUNDS; round++) {
    changed = 0;
    for (size_t i = 0; i < sizeof passes / sizeof passes[0]; i++)
      Q8_TRY(run_pass(graph, passes[i], &changed, error));
  }
  return QINT8_OK;
}

const q8_node *q8_producer(const q8_graph *graph, q8_id tensor, const char *names) {
  if (tensor == Q8_NONE || graph->tensors[tensor].producer == Q8_NONE || graph->tensors[tensor].pinned)
    return NULL;
  const q8_node *node = &graph->nodes[graph->tensors[tensor].producer];
  return q8_is_op(node, names) ? node : NULL;
}

int q8_near(float a, float b) {
  return fabsf(a - b) <= 1e-5f * fabsf(b);
}

q8_id q8_other_than_constant(const q8_graph *graph, const q8_node *node, float value) {
  float found;
  for (int i = 0; i < 2; i++)
    if (q8_graph_scalar(graph, node->inputs[i], &found) && q8_near(found, value) &&
        graph->tensors[node->inputs[i]].shape.rank <= 1)
      return node->inputs[1 - i];
  return Q8_NONE;
}

float *q8_float_field(const q8_op *op, void *params, const char *attribute) {
  const q8_attribute *a = q8_op_attribute(op, attribute);
  return a && a->type == Q8_ATTR_FLOAT ? (float *)(void *)((char *)params + a->offset) : NULL;
}

q8_status q8_replace_unary(q8_graph *graph, q8_id node, const char *name, const char *domain, q8_id input,
                           void **params, qint8_error *error) {
  q8_node *n = &graph->nodes[node];
  const q8_op *op = q8_op_find(name, domain);
  if (!op)
    return q8_fail(error, QINT8_ERROR_INTERNAL, n->name, "no operator %s", name);
  void *fresh = q8_pool_alloc(&graph->pool, 1, op->params_size ? op->params_size : 1);
  q8_id *inputs = q8_pool_alloc(&graph->pool, 1, sizeof *inputs);
  if (!fresh || !inputs)
    return q8_fail_memory(error, n->name, op->params_size);
  q8_op_defaults(op, fresh);
  inputs[0] = input;
  n->op = op;
  n->params = fresh;
  n->inputs = inputs;
  n->input_count = 1;
  if (params)
    *params = fresh;
  return QINT8_OK;
}

q8_status q8_new_constant(q8_graph *graph, const char *base, const q8_shape *shape, q8_id *out, float **data,
                          qint8_error *error) {
  size_t count = q8_shape_count(shape, NULL);
  const char *name = q8_graph_fresh_name(graph, base);
  *data = q8_pool_alloc(&graph->pool, count ? count : 1, sizeof **data);
  if (!name || !*data)
    return q8_fail_memory(error, base, count * sizeof **data);
  return q8_graph_add_tensor(graph, name, QINT8_DTYPE_F32, shape, *data, out, error);
}

void q8_redirect(q8_graph *graph, q8_id from, q8_id to) {
  for (size_t i = 0; i < graph->node_count; i++)
    for (int32_t j = 0; j < graph->nodes[i].input_count; j++)
      if (graph->nodes[i].inputs[j] == from)
        graph->nodes[i].inputs[j] = to;
}
