#include "ptq/channels.h"

#include <math.h>
#include <string.h>

#include "ops/hooks.h"
#include "ptq/typical.h"
#include "ptq/union_find.h"

#define CHANNEL_AXIS 1

typedef struct finder {
  q8_channels *channels;
  const q8_graph *graph;
  const q8_binding *binding;
  q8_id *parent;   /* [tensor_count] union-find */
  uint8_t *stuck;  /* [tensor_count] something about the tensor forbids rescaling */
  size_t *least;   /* [tensor_count] of a root: the fewest channels of its members */
  q8_id *number;   /* [tensor_count] of a root: its group, or Q8_NONE */
} finder;

static const q8_shape *shape_of(const finder *f, q8_id t) {
  return &f->binding->values[t].shape;
}

/* ---- Nodes that commute with a factor per channel ---- */

static int keeps_channels(const finder *f, q8_id x, q8_id y) {
  const q8_shape *a = shape_of(f, x), *b = shape_of(f, y);
  return a->rank > CHANNEL_AXIS && b->rank > CHANNEL_AXIS && a->dim[0] == b->dim[0] &&
         a->dim[CHANNEL_AXIS] == b->dim[CHANNEL_AXIS];
}

/* [N, C, ...] to [N, C * ...]. */
static int flattens(const finder *f, q8_id x, q8_id y) {
  const q8_shape *a = shape_of(f, x), *b = shape_of(f, y);
  return a->rank > 2 && b->rank == 2 && a->dim[0] == b->dim[0];
}

static int pads_with_zeros(const finder *f, const q8_node *node) {
  float value = 0;
  const char *mode = q8_op_field(node->op, node->params, "mode");
  int is_constant = mode && !strcmp(mode, "constant");
  if (is_constant && node->input_count > 2 && node->inputs[2] != Q8_NONE &&
      !q8_graph_scalar(f->graph, node->inputs[2], &value))
    return 0;
  return value == 0;
}

/* Input i is an activation with a channel axis. */
static int is_activation(const finder *f, q8_id t) {
  return t != Q8_NONE && !q8_graph_is_constant(f->graph, t) && f->binding->values[t].dtype == QINT8_DTYPE_F32 &&
         !f->binding->values[t].data;
}

/* y = f(x) with f(x / s) = f(x) / s for each channel; other inputs are constants. */
static int commutes(const finder *f, const q8_node *node) {
  q8_id x = node->inputs[0], y = node->outputs[0];
  if (node->output_count != 1 || !is_activation(f, x) || !is_activation(f, y))
    return 0;
  for (int32_t i = 1; i < node->input_count; i++)
    if (node->inputs[i] != Q8_NONE && !f->binding->values[node->inputs[i]].data)
      return 0;
  if (q8_is_op(node, "Relu LeakyRelu PRelu Identity Dropout MaxPool AveragePool GlobalAveragePool GlobalMaxPool"))
    return keeps_channels(f, x, y);
  if (q8_is_op(node, "Reshape Flatten Squeeze Unsqueeze"))
    return keeps_channels(f, x, y) || flattens(f, x, y);
  return q8_is_op(node, "Pad") && keeps_channels(f, x, y) && pads_with_zeros(f, node);
}

/* A sum of two activations of the same channels. */
static int adds(const finder *f, const q8_node *node) {
  return q8_is_op(node, "Add Sub") && is_activation(f, node->inputs[0]) && is_activation(f, node->inputs[1]) &&
         q8_shape_equal(shape_of(f, node->inputs[0]), shape_of(f, node->inputs[1])) &&
         shape_of(f, node->inputs[0])->rank > CHANNEL_AXIS;
}

/* ---- Weighted nodes ---- */

/* Own float constants, which nobody else reads. */
static int is_own(const q8_graph *graph, q8_id t) {
  return graph->tensors[t].data && graph->tensors[t].dtype == QINT8_DTYPE_F32 && graph->tensors[t].uses == 1;
}

static int is_batchnorm(const q8_node *node) {
  return q8_is_op(node, "BatchNormalization") && node->output_count == 1 &&
         !q8_op_int(node->op, node->params, "training_mode", 0) && q8_op_int(node->op, node->params, "spatial", 1);
}

/* How the weights lie: 0 if the node is not one that is understood. */
static int describe(const finder *f, const q8_node *node, q8_channel_node *out) {
  if (node->input_count < 2 || node->inputs[1] == Q8_NONE || !is_own(f->graph, node->inputs[1]))
    return 0;
  const q8_shape *w = &f->graph->tensors[node->inputs[1]].shape;
  *out = (q8_channel_node){.groups = 1, .taps = 1, .reads = Q8_NONE, .writes = Q8_NONE};
  if (is_batchnorm(node) && w->rank == 1) {
    out->groups = out->outputs = out->inputs = (size_t)w->dim[0];
    out->step_out = 1;
    return w->dim[0] > 0;
  }
  if (q8_is_op(node, "Conv") && w->rank > 2) {
    out->groups = (size_t)q8_op_int(node->op, node->params, "group", 1);
    out->outputs = (size_t)w->dim[0];
    out->inputs = (size_t)w->dim[1] * out->groups;
    out->taps = q8_shape_count(w, NULL) / (out->outputs * (size_t)w->dim[1]);
    out->step_in = out->taps;
    out->step_out = out->taps * (size_t)w->dim[1];
    return q8_shape_count(w, NULL) > 0;
  }
  if (!q8_is_op(node, "Gemm MatMul") || w->rank != 2 || shape_of(f, node->inputs[0])->rank != 2 ||
      q8_op_int(node->op, node->params, "transA", 0))
    return 0;
  int transposed = q8_op_int(node->op, node->params, "transB", 0) != 0;
  out->outputs = (size_t)w->dim[!transposed];
  out->inputs = (size_t)w->dim[transposed];
  out->step_out = transposed ? out->inputs : 1;
  out->step_in = transposed ? 1 : out->outputs;
  return q8_shape_count(w, NULL) > 0;
}

/* Its result may be divided: a bias per channel and no bound that the division would move. */
static int can_write(const finder *f, const q8_node *node, const q8_channel_node *n) {
  float lo, hi;
  if (q8_node_clamp(node, &lo, &hi) && ((lo != 0 && lo > -INFINITY) || hi < INFINITY))
    return 0;
  if (node->input_count < 3 || node->inputs[2] == Q8_NONE)
    return 1;
  return is_own(f->graph, node->inputs[2]) &&
         q8_shape_count(&f->graph->tensors[node->inputs[2]].shape, NULL) == n->outputs;
}

/* ---- Groups ---- */

static void stick(finder *f, q8_id t) {
  if (t != Q8_NONE)
    f->stuck[t] = 1;
}

static void visit(finder *f, const q8_node *node) {
  q8_channel_node n;
  if (describe(f, node, &n)) {
    if (!can_write(f, node, &n))
      stick(f, node->outputs[0]);
    if (is_batchnorm(node)) /* its mean and variance belong to what it reads */
      stick(f, node->inputs[0]);
    return;
  }
  if (commutes(f, node)) {
    q8_set_unite(f->parent, node->inputs[0], node->outputs[0]);
    return;
  }
  if (adds(f, node)) {
    q8_set_unite(f->parent, node->inputs[0], node->inputs[1]);
    q8_set_unite(f->parent, node->inputs[0], node->outputs[0]);
    return;
  }
  for (int32_t i = 0; i < node->input_count; i++)
    stick(f, node->inputs[i]);
  for (int32_t i = 0; i < node->output_count; i++)
    stick(f, node->outputs[i]);
}

/* Numbers the groups whose members all have a multiple of the same channels. */
static void number_groups(finder *f) {
  const q8_graph *graph = f->graph;
  for (size_t t = 0; t < graph->tensor_count; t++) {
    q8_id root = q8_set_root(f->parent, (q8_id)t);
    const q8_shape *s = shape_of(f, (q8_id)t);
    size_t count = is_activation(f, (q8_id)t) && s->rank > CHANNEL_AXIS ? (size_t)s->dim[CHANNEL_AXIS] : 0;
    f->stuck[root] |= f->stuck[t] || count < 2;
    if (f->least[root] == 0 || count < f->least[root])
      f->least[root] = count;
  }
  for (size_t t = 0; t < graph->tensor_count; t++) {
    q8_id root = q8_set_root(f->parent, (q8_id)t);
    if (!f->stuck[root] && (size_t)shape_of(f, (q8_id)t)->dim[CHANNEL_AXIS] % f->least[root])
      f->stuck[root] = 1;
  }
  for (size_t t = 0; t < graph->tensor_count; t++) {
    f->number[t] = Q8_NONE;
    if (q8_set_root(f->parent, (q8_id)t) != (q8_id)t || f->stuck[t])
      continue;
    f->number[t] = (q8_id)f->channels->group_count;
    f->channels->group_channels[f->channels->group_count++] = f->least[t];
  }
}

static void collect_nodes(finder *f) {
  q8_channels *c = f->channels;
  for (size_t i = 0; i < f->graph->node_count; i++) {
    const q8_node *node = &f->graph->nodes[i];
    q8_channel_node n;
    if (!describe(f, node, &n))
      continue;
    n.node = (q8_id)i;
    n.reads = f->number[q8_set_root(f->parent, node->inputs[0])];
    n.writes = f->number[q8_set_root(f->parent, node->outputs[0])];
    if (n.reads != Q8_NONE || n.writes != Q8_NONE)
      c->nodes[c->node_count++] = n;
  }
}

static q8_status find_groups(finder *f, qint8_error *error) {
  const q8_graph *graph = f->graph;
  q8_pool *pool = &f->channels->pool;
  size_t count = graph->tensor_count + 1;
  f->parent = q8_pool_alloc(pool, count, sizeof *f->parent);
  f->stuck = q8_pool_alloc(pool, count, 1);
  f->least = q8_pool_alloc(pool, count, sizeof *f->least);
  f->number = q8_pool_alloc(pool, count, sizeof *f->number);
  f->channels->group_channels = q8_pool_alloc(pool, count, sizeof(size_t));
  f->channels->nodes = q8_pool_alloc(pool, graph->node_count + 1, sizeof(q8_channel_node));
  Q8_TRY(q8_pool_check(pool, "channels", error));
  for (size_t t = 0; t < count; t++)
    f->parent[t] = (q8_id)t;
  for (size_t i = 0; i < graph->input_count; i++)
    stick(f, graph->inputs[i]);
  for (size_t i = 0; i < graph->output_count; i++)
    stick(f, graph->outputs[i]);
  for (size_t i = 0; i < graph->node_count; i++)
    visit(f, &graph->nodes[i]);
  number_groups(f);
  collect_nodes(f);
  return QINT8_OK;
}

/* Shapes for two samples, so that an axis of samples is not mistaken for another of size 1; for one where a graph cannot
 * have two. */
static q8_status bind(const q8_graph *graph, const q8_host *host, q8_binding **out, qint8_error *error) {
  q8_status status = q8_bind_typical(graph, 2, host, out, NULL);
  return status == QINT8_OK ? status : q8_bind_typical(graph, 1, host, out, error);
}

q8_status q8_channels_find(const q8_graph *graph, const q8_host *host, q8_channels **out, qint8_error *error) {
  q8_binding *binding;
  *out = NULL;
  if (bind(graph, host, &binding, error) == QINT8_ERROR_MEMORY)
    return QINT8_ERROR_MEMORY;
  q8_channels *channels = q8_new(host, sizeof *channels, "channels", error);
  q8_status status = channels ? QINT8_OK : QINT8_ERROR_MEMORY;
  if (channels)
    channels->graph = graph;
  if (channels && binding) {
    finder f = {.channels = channels, .graph = graph, .binding = binding};
    status = find_groups(&f, error);
  }
  q8_binding_destroy(binding);
  if (status != QINT8_OK) {
    q8_channels_free(channels);
    return status;
  }
  *out = channels;
  return QINT8_OK;
}

void q8_channels_free(q8_channels *channels) {
  q8_pool_delete(channels);
}
