/* rescale.c - the graph with other channels: weights and biases times powers of two. */
#include <float.h>
#include <math.h>

#include "ptq/channels.h"

/* value * 2^exponent; 0 if that is too large for a float. Below 1.2e-38 it may lose bits: nobody notices them. */
static int scale(float value, int32_t exponent, float *out) {
  *out = ldexpf(value, exponent);
  return fabsf(*out) <= FLT_MAX || !(fabsf(value) <= FLT_MAX);
}

/* A clone holds its constants in memory of its own. */
static float *own_values(const q8_graph *graph, q8_id tensor) {
  return (float *)(uintptr_t)graph->tensors[tensor].data;
}

/* The weights w of an output channel divided by 2^down and multiplied by 2^up[c] of their input channels; 0: too large. */
static int rescale_output(const q8_channel_node *n, const int32_t *up, int32_t down, float *w) {
  int fits = 1;
  for (size_t c = 0; c < n->inputs / n->groups; c++, w += n->step_in)
    for (size_t i = 0; i < n->taps && up[c] != down; i++)
      fits &= scale(w[i], up[c] - down, &w[i]);
  return fits;
}

/* Exponents of a group's channels for each of a node's `count` output or input channels, in the graph's memory; 0 for a
 * node that touches no group there. NULL without memory. *any: is one of them not 0? */
static const int32_t *by_channel(const q8_channels *channels, q8_id group, size_t count, const int32_t *const *exponents,
                                 q8_graph *graph, int *any) {
  int32_t *out = q8_pool_alloc(&graph->pool, count, sizeof *out);
  size_t each = group == Q8_NONE ? 1 : count / channels->group_channels[group];
  for (size_t i = 0; out && group != Q8_NONE && i < count; i++) {
    out[i] = exponents[group][i / each];
    *any |= out[i] != 0;
  }
  return out;
}

static q8_status rescale_node(const q8_channels *channels, const q8_channel_node *n, const int32_t *const *exponents,
                              q8_graph *graph, qint8_error *error) {
  const q8_node *node = &graph->nodes[n->node];
  int any = 0;
  const int32_t *down = by_channel(channels, n->writes, n->outputs, exponents, graph, &any);
  const int32_t *up = by_channel(channels, n->reads, n->inputs, exponents, graph, &any);
  if (!down || !up)
    return q8_fail_memory(error, node->name, (n->outputs + n->inputs) * sizeof *up);
  if (!any)
    return QINT8_OK;
  float *w = own_values(graph, node->inputs[1]);
  int has_bias = n->writes != Q8_NONE && node->input_count > 2 && node->inputs[2] != Q8_NONE;
  float *bias = has_bias ? own_values(graph, node->inputs[2]) : NULL;
  for (size_t k = 0; k < n->outputs; k++)
    if ((bias && !scale(bias[k], -down[k], &bias[k])) ||
        !rescale_output(n, up + k / (n->outputs / n->groups) * (n->inputs / n->groups), down[k], w + k * n->step_out))
      return q8_fail(error, QINT8_ERROR_LIMIT, node->name, "a rescaled weight or bias is too large for a float");
  return QINT8_OK;
}

q8_status q8_channels_rescale(const q8_channels *channels, const int32_t *const *exponents, q8_graph **out,
                              qint8_error *error) {
  q8_graph *graph;
  *out = NULL;
  Q8_TRY(q8_graph_clone(channels->graph, &graph, error));
  q8_status status = QINT8_OK;
  for (size_t i = 0; i < channels->node_count && status == QINT8_OK; i++)
    status = rescale_node(channels, &channels->nodes[i], exponents, graph, error);
  if (status == QINT8_OK)
    status = q8_graph_freeze(graph, error);
  if (status != QINT8_OK) {
    q8_graph_destroy(graph);
    return status;
  }
  *out = graph;
  return QINT8_OK;
}
