/* pad.c - Pad with zeros before Conv becomes the convolution's own padding. */
#include <string.h>

#include "rewrite/pass.h"

static q8_ints *ints_field(const q8_op *op, void *params, const char *name) {
  const q8_attribute *a = q8_op_attribute(op, name);
  return a && a->type == Q8_ATTR_INTS ? (q8_ints *)(void *)((char *)params + a->offset) : NULL;
}

static const char *text_field(const q8_op *op, const void *params, const char *name) {
  const q8_attribute *a = q8_op_attribute(op, name);
  return a && a->type == Q8_ATTR_STRING ? (const char *)params + a->offset : "";
}

/* The pads of a Pad node that only adds zeros around the positions: begin and end of `spatial` dimensions. */
static int zero_pads(const q8_graph *graph, const q8_node *pad, int32_t spatial, int64_t *pads) {
  const q8_tensor *given = pad->input_count > 1 ? &graph->tensors[pad->inputs[1]] : NULL;
  float value = 0;
  if (strcmp(text_field(pad->op, pad->params, "mode"), "constant") || !given || !given->data ||
      given->dtype != QINT8_DTYPE_S64 || q8_shape_count(&given->shape, NULL) != 2 * ((size_t)spatial + 2) ||
      (pad->input_count > 2 && pad->inputs[2] != Q8_NONE && !q8_graph_scalar(graph, pad->inputs[2], &value)) ||
      value != 0 || (pad->input_count > 3 && pad->inputs[3] != Q8_NONE))
    return 0;
  const int64_t *from = given->data; /* begin of every dimension, then end of every one */
  for (int32_t side = 0; side < 2; side++, from += spatial + 2) {
    if (from[0] != 0 || from[1] != 0)
      return 0;
    for (int32_t i = 0; i < spatial; i++)
      if ((pads[side * spatial + i] = from[2 + i]) < 0 || from[2 + i] > 1 << 20)
        return 0;
  }
  return 1;
}

static q8_status pass_pad(q8_graph *graph, q8_id node, int *changed, qint8_error *error) {
  q8_node *n = &graph->nodes[node];
  const q8_node *pad = q8_is_op(n, "Conv") ? q8_producer(graph, n->inputs[0], "Pad") : NULL;
  if (!pad || q8_graph_only_user(graph, n->inputs[0]) != node || n->inputs[1] == Q8_NONE)
    return QINT8_OK;
  int32_t spatial = graph->tensors[n->inputs[1]].shape.rank - 2; /* of the weights */
  const char *automatic = text_field(n->op, n->params, "auto_pad");
  int64_t pads[Q8_MAX_INTS];
  if (spatial < 1 || 2 * spatial > Q8_MAX_INTS || (strcmp(automatic, "NOTSET") && strcmp(automatic, "VALID")) ||
      !zero_pads(graph, pad, spatial, pads))
    return QINT8_OK;
  void *params = q8_pool_alloc(&graph->pool, 1, n->op->params_size);
  q8_id *inputs = q8_pool_alloc(&graph->pool, (size_t)n->input_count, sizeof *inputs);
  if (!params || !inputs)
    return q8_fail_memory(error, n->name, n->op->params_size);
  memcpy(params, n->params, n->op->params_size);
  memcpy(inputs, n->inputs, (size_t)n->input_count * sizeof *inputs);
  q8_ints *own = ints_field(n->op, params, "pads");
  if (!own || (own->count > 0 && own->count != 2 * spatial))
    return QINT8_OK;
  for (int32_t i = 0; i < 2 * spatial; i++)
    own->v[i] = pads[i] + (own->count > 0 && !strcmp(automatic, "NOTSET") ? own->v[i] : 0);
  own->count = 2 * spatial;
  memcpy((char *)(uintptr_t)text_field(n->op, params, "auto_pad"), "NOTSET", sizeof "NOTSET");
  inputs[0] = pad->inputs[0];
  n->params = params;
  n->inputs = inputs;
  *changed = 1;
  return QINT8_OK;
}

q8_status q8_rewrite_pads(q8_graph *graph, qint8_error *error) {
  int edited = 0;
  for (size_t i = 0; i < graph->node_count; i++)
    Q8_TRY(pass_pad(graph, (q8_id)i, &edited, error));
  return edited ? q8_graph_freeze(graph, error) : QINT8_OK;
}
