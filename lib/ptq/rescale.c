/* rescale.c - the graph with other channels: weights and biases times powers of two. */
#include <float.h>
#include <math.h>
#include <string.h>

#include "ptq/channels.h"

/* value * 2^exponent; 0 if that is too large for a float. Below 1.2e-38 it may lose bits: nobody notices them. */
static int scale(float value, int32_t exponent, float *out) {
  *out = ldexpf(value, exponent);
  return fabsf(*out) <= FLT_MAX || !(fabsf(value) <= FLT_MAX);
}

static q8_status new_values(q8_graph *graph, q8_id tensor, float **out, qint8_error *error) {
  q8_tensor *t = &graph->tensors[tensor];
  size_t count = q8_shape_count(&t->shape, NULL);
  *out = q8_pool_reserve(&graph->pool, count, sizeof **out);
  if (!*out)
    return q8_fail_memory(error, t->name, count * sizeof **out);
  memcpy(*out, t->data, count * sizeof **out);
  t->data = *out;
  return QINT8_OK;
}

/* The weights w of output channel k, and its bias, if there is one; 0: too large. */
static int rescale_output(const q8_channels *channels, const q8_channel_node *n, const int32_t *const *exponents, size_t k,
                          float *w, float *bias) {
  int32_t down = n->writes == Q8_NONE ? 0 : exponents[n->writes][q8_channel_written(channels, n, k)];
  int fits = !bias || scale(*bias, -down, bias);
  for (size_t c = 0; c < n->inputs / n->groups; c++, w += n->step_in) {
    int32_t up = n->reads == Q8_NONE ? 0 : exponents[n->reads][q8_channel_read(channels, n, k, c)];
    for (size_t i = 0; i < n->taps; i++)
      fits &= scale(w[i], up - down, &w[i]);
  }
  return fits;
}

static q8_status rescale_node(const q8_channels *channels, const q8_channel_node *n, const int32_t *const *exponents,
                              q8_graph *graph, qint8_error *error) {
  const q8_node *node = &graph->nodes[n->node];
  float *w, *bias = NULL;
  Q8_TRY(new_values(graph, node->inputs[1], &w, error));
  if (n->writes != Q8_NONE && node->input_count > 2 && node->inputs[2] != Q8_NONE)
    Q8_TRY(new_values(graph, node->inputs[2], &bias, error));
  for (size_t k = 0; k < n->outputs; k++)
    if (!rescale_output(channels, n, exponents, k, w + k * n->step_out, bias ? &bias[k] : NULL))
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
