/* activations.c - one set of parameters for every group of tensors that share their integers. */
#include <string.h>

#include "ptq/decide_internal.h"
#include "ptq/union_find.h"
#include "quant/qparams.h"

typedef struct groups {
  q8_id *parent;      /* [tensor_count] union-find */
  uint8_t *quantized; /* [tensor_count] gets parameters: see mark_quantized */
  uint8_t *covered;   /* [tensor_count] others of its group tell which values matter: see mark_covered */
} groups;

static void link_node(const q8_decision *d, const q8_node *node, q8_id *parent) {
  q8_id first = node->inputs[0];
  for (int32_t i = 1; node->op->quant == Q8_QUANT_SHARED && i < node->input_count; i++)
    if (q8_takes_activation(d->graph, node, i))
      q8_set_unite(parent, first, node->inputs[i]);
  for (int32_t i = 0; i < node->output_count; i++)
    if (node->outputs[i] != Q8_NONE)
      q8_set_unite(parent, first, node->outputs[i]);
}

/* What int8 nodes read, and what they write: a weighted node's result only if an int8 node reads it. */
static void mark_quantized(const q8_decision *d, uint8_t *quantized) {
  memcpy(quantized, d->wanted, d->graph->tensor_count);
  for (size_t n = 0; n < d->graph->node_count; n++) {
    const q8_node *node = &d->graph->nodes[n];
    if (q8_decided_mode(d, n) != Q8_MODE_STATIC || node->op->quant == Q8_QUANT_WEIGHTED)
      continue;
    for (int32_t i = 0; i < node->output_count; i++)
      if (node->outputs[i] != Q8_NONE)
        quantized[node->outputs[i]] = 1;
  }
}

/* A tensor is covered if all that reads it are int8 nodes that pass on values, and the results were seen: then those
 * tell which values matter. Before a MaxPool, for one, the small values do not. */
static void mark_covered(const q8_decision *d, int32_t *passed_on, uint8_t *covered) {
  const q8_graph *graph = d->graph;
  for (size_t n = 0; n < graph->node_count; n++) {
    const q8_node *node = &graph->nodes[n];
    if (q8_decided_mode(d, n) == Q8_MODE_STATIC && node->op->quant == Q8_QUANT_SAME && node->output_count == 1 &&
        q8_ranges_seen(d->ranges, node->outputs[0]))
      passed_on[node->inputs[0]]++;
  }
  for (size_t t = 0; t < graph->tensor_count; t++)
    covered[t] = passed_on[t] > 0 && passed_on[t] == graph->tensors[t].uses;
}

/* Adds the values of a tensor, seen or constant, to *sum (made if NULL). */
static q8_status add_values(const q8_decision *d, const q8_observer_config *config, q8_id t, q8_observer **sum,
                            qint8_error *error) {
  const q8_tensor *tensor = &d->graph->tensors[t];
  const q8_observer *seen = tensor->data ? NULL : q8_ranges_seen(d->ranges, t);
  if (!tensor->data && !seen)
    return QINT8_OK; /* it passes on the values of another one of the group */
  if (seen && q8_observer_finite(seen, 0) == 0)
    return q8_fail(error, QINT8_ERROR_DATA, tensor->name, "calibration saw no finite value (%lld NaN or infinite)",
                   (long long)q8_observer_nonfinite(seen, 0));
  if (!*sum)
    Q8_TRY(q8_observer_new(config, &d->scratch.host, sum, error));
  if (seen)
    q8_observer_merge(*sum, seen);
  else
    q8_observer_observe(*sum, tensor->data, 1, 1, q8_shape_count(&tensor->shape, NULL));
  return QINT8_OK;
}

/* The function that alone reads the tensor, or NULL. */
static const q8_node *following_unary(const q8_decision *d, q8_id t) {
  q8_id user = q8_graph_only_user(d->graph, t);
  if (user == Q8_NONE || !d->graph->nodes[user].op->unary || q8_decided_mode(d, (size_t)user) != Q8_MODE_STATIC)
    return NULL;
  return &d->graph->nodes[user];
}

/* Merges what was seen of the group; *through is the function that alone reads it, if there is one. */
static q8_status merge_group(const q8_decision *d, groups *g, const q8_observer_config *config, q8_id root,
                             q8_observer **sum, const q8_node **through, qint8_error *error) {
  int members = 0;
  *through = NULL;
  for (size_t t = 0; t < d->graph->tensor_count; t++) {
    if (!g->quantized[t] || g->covered[t] || q8_set_root(g->parent, (q8_id)t) != root)
      continue;
    *through = ++members == 1 ? following_unary(d, (q8_id)t) : NULL;
    Q8_TRY(add_values(d, config, (q8_id)t, sum, error));
  }
  return QINT8_OK;
}

/* Inputs of the graph are never clipped. Images come from 256 levels, which the range from their smallest to their
 * largest value represents without any error, and any other range with one that is the same all over the background. */
static int has_input(const q8_decision *d, groups *g, q8_id root) {
  for (size_t i = 0; i < d->graph->input_count; i++)
    if (q8_set_root(g->parent, d->graph->inputs[i]) == root)
      return 1;
  return 0;
}

/* Products by a matrix give each channel one value per sample: too few to have seen its largest. */
static int sees_few_values(const q8_decision *d, groups *g, q8_id root) {
  for (size_t t = 0; t < d->graph->tensor_count; t++) {
    q8_id producer = d->graph->tensors[t].producer;
    if (!g->quantized[t] || q8_set_root(g->parent, (q8_id)t) != root)
      continue;
    if (producer == Q8_NONE || d->graph->nodes[producer].op->quant != Q8_QUANT_WEIGHTED ||
        d->graph->tensors[d->graph->nodes[producer].inputs[1]].shape.rank != 2)
      return 0;
  }
  return 1;
}

typedef enum extent { WHOLE, SEARCHED, WITH_HEADROOM } extent;

/* What alone gives the group's values, or NULL; *factor is the largest headroom of its tensors. */
static const q8_node *only_producer(const q8_decision *d, groups *g, q8_id root, float *factor) {
  const q8_node *producer = NULL;
  int members = 0;
  *factor = 1;
  for (size_t t = 0; t < d->graph->tensor_count; t++) {
    if (!g->quantized[t] || q8_set_root(g->parent, (q8_id)t) != root)
      continue;
    q8_id node = d->graph->tensors[t].producer;
    producer = ++members == 1 && node != Q8_NONE ? &d->graph->nodes[node] : NULL;
    *factor = d->headroom[t] > *factor ? d->headroom[t] : *factor;
  }
  return producer;
}

static q8_status choose_params(const q8_decision *d, groups *g, q8_id root, const q8_observer *sum,
                               const q8_node *through, extent reach, qint8_qparams *out, qint8_error *error) {
  qint8_range range = QINT8_RANGE_INIT;
  if (sum && q8_observer_finite(sum, 0) > 0)
    Q8_TRY(q8_observer_range_through(sum, 0, through ? q8_node_function : NULL, through, &range, error));
  if (reach == WHOLE) {
    range.low = range.min;
    range.high = range.max;
  } else if (reach == WITH_HEADROOM && sum) {
    q8_observer_add_headroom(sum, 0, &range);
  }
  if (reach != WHOLE && sum && q8_observer_config_of(sum)->kind == QINT8_OBSERVER_HISTOGRAM_MSE) {
    float factor;
    const q8_node *producer = only_producer(d, g, root, &factor);
    q8_reach_out(&range, factor, producer, through);
  }
  *out = q8_qparams_affine(range.low, range.high, d->recipe->activation_dtype);
  return QINT8_OK;
}

static q8_status decide_group(q8_decision *d, groups *g, const q8_observer_config *config, q8_id root,
                              qint8_error *error) {
  q8_observer *sum = NULL;
  const q8_node *through;
  qint8_qparams params;
  q8_status status = merge_group(d, g, config, root, &sum, &through, error);
  if (status == QINT8_OK)
    status = choose_params(d, g, root, sum, through,
                           has_input(d, g, root)         ? WHOLE
                           : sees_few_values(d, g, root) ? WITH_HEADROOM
                                                         : SEARCHED,
                           &params, error);
  q8_observer_free(sum);
  for (size_t t = 0; status == QINT8_OK && t < d->graph->tensor_count; t++)
    if (g->quantized[t] && q8_set_root(g->parent, (q8_id)t) == root)
      status = q8_recipe_assign(d->recipe, (int32_t)t, params.dtype, -1, 1, &params.scale, &params.zero_point, error);
  return status;
}

static q8_status make_groups(q8_decision *d, groups *g, qint8_error *error) {
  size_t count = d->graph->tensor_count;
  int32_t *passed_on = q8_pool_alloc(&d->scratch, count, sizeof(*passed_on));
  g->parent = q8_pool_alloc(&d->scratch, count, sizeof(*g->parent));
  g->quantized = q8_pool_alloc(&d->scratch, count, 1);
  g->covered = q8_pool_alloc(&d->scratch, count, 1);
  Q8_TRY(q8_pool_check(&d->scratch, "recipe", error));
  for (size_t t = 0; t < count; t++)
    g->parent[t] = (q8_id)t;
  for (size_t n = 0; n < d->graph->node_count; n++) {
    const q8_node *node = &d->graph->nodes[n];
    if (q8_decided_mode(d, n) == Q8_MODE_STATIC &&
        (node->op->quant == Q8_QUANT_SAME || node->op->quant == Q8_QUANT_SHARED))
      link_node(d, node, g->parent);
  }
  mark_quantized(d, g->quantized);
  mark_covered(d, passed_on, g->covered);
  return QINT8_OK;
}

q8_status q8_decide_activations(q8_decision *d, qint8_error *error) {
  groups g;
  Q8_TRY(make_groups(d, &g, error));
  Q8_TRY(q8_decide_headroom(d, error));
  const q8_observer_config *config = NULL;
  for (size_t t = 0; t < d->graph->tensor_count && !config; t++)
    if (d->ranges->observers[t])
      config = q8_observer_config_of(d->ranges->observers[t]);
  for (size_t t = 0; t < d->graph->tensor_count; t++) {
    q8_id root = q8_set_root(g.parent, (q8_id)t);
    if (!g.quantized[t] || q8_is_quantized(&d->recipe->tensors[t]))
      continue;
    Q8_TRY(decide_group(d, &g, config, root, error));
  }
  return QINT8_OK;
}
