/* scale_input.c - channels of an input of the graph brought to like sizes. */
#include <math.h>
#include <stdlib.h>

#include "ops/hooks.h"
#include "ptq/equalise.h"

#define LEAST_SPREAD 2.0 /* exponents from the median */

static q8_status add_constant(q8_graph *graph, const char *base, float value, size_t count, q8_id *out,
                              qint8_error *error) {
  q8_shape shape = {.rank = 1, .dim = {(int64_t)count}};
  float *values = q8_pool_alloc(&graph->pool, count, sizeof *values);
  const char *name = q8_graph_fresh_name(graph, base);
  if (!values || !name)
    return q8_fail_memory(error, base, count * sizeof *values);
  for (size_t i = 0; i < count; i++)
    values[i] = value;
  return q8_graph_add_tensor(graph, name, QINT8_DTYPE_F32, &shape, values, out, error);
}

static q8_status make_params(q8_graph *graph, const q8_op *op, void **out, qint8_error *error) {
  *out = q8_pool_alloc(&graph->pool, 1, op->params_size);
  Q8_TRY(q8_pool_check(&graph->pool, op->name, error));
  q8_op_defaults(op, *out);
  *(float *)q8_op_field(op, *out, "epsilon") = 0;
  return QINT8_OK;
}

/* All that read the input read a BatchNormalization of it that changes nothing yet; *node is its number. */
static q8_status insert(q8_graph *graph, q8_id x, size_t channels, q8_id *result, qint8_error *error) {
  static const struct { const char *base; float value; } constants[4] = {
      {"input_scale", 1}, {"input_offset", 0}, {"input_mean", 0}, {"input_variance", 1}};
  const q8_op *op = q8_op_find("BatchNormalization", "");
  const char *name = q8_graph_fresh_name(graph, "input_scaled");
  q8_id inputs[5] = {x};
  q8_shape shape = graph->tensors[x].shape;
  void *params;
  if (!name)
    return q8_fail_memory(error, "input_scaled", 1);
  Q8_TRY(make_params(graph, op, &params, error));
  for (int i = 0; i < 4; i++)
    Q8_TRY(add_constant(graph, constants[i].base, constants[i].value, channels, &inputs[i + 1], error));
  Q8_TRY(q8_graph_add_tensor(graph, name, QINT8_DTYPE_F32, &shape, NULL, result, error));
  for (size_t n = 0; n < graph->node_count; n++)
    for (int32_t i = 0; i < graph->nodes[n].input_count; i++)
      if (graph->nodes[n].inputs[i] == x)
        graph->nodes[n].inputs[i] = *result;
  Q8_TRY(q8_graph_add_node(graph, name, op, params, op->params_size, inputs, 5, result, 1, error));
  return q8_graph_freeze(graph, error);
}

static int ascending(const void *a, const void *b) {
  double x = *(const double *)a, y = *(const double *)b;
  return (x > y) - (x < y);
}

/* Exponents from the median; 0 if they are all alike, and for channels that are always 0. */
static int choose(const float *largest, size_t channels, double *sorted, int32_t *exponents) {
  size_t count = 0;
  double spread = 0;
  for (size_t c = 0; c < channels; c++)
    if (largest[c] > 0)
      sorted[count++] = log2((double)largest[c]);
  qsort(sorted, count, sizeof *sorted, ascending);
  for (size_t c = 0; c < channels; c++) {
    double exponent = largest[c] > 0 ? log2((double)largest[c]) - sorted[count / 2] : 0;
    spread = fabs(exponent) > spread ? fabs(exponent) : spread;
    exponents[c] = (int32_t)rint(exponent);
  }
  return spread >= LEAST_SPREAD;
}

/* The group that the BatchNormalization writes takes the exponents. */
static q8_status rescale(const q8_graph *graph, q8_id result, const int32_t *exponents, size_t count,
                         const q8_host *host, q8_graph **out, qint8_error *error) {
  q8_channels *channels;
  const int32_t **table;
  Q8_TRY(q8_channels_find(graph, host, &channels, error));
  q8_status status = QINT8_OK;
  q8_id group = Q8_NONE;
  for (size_t i = 0; i < channels->node_count; i++)
    if (graph->nodes[channels->nodes[i].node].outputs[0] == result)
      group = channels->nodes[i].writes;
  size_t most = count;
  for (size_t g = 0; g < channels->group_count; g++)
    most = channels->group_channels[g] > most ? channels->group_channels[g] : most;
  table = q8_pool_alloc(&channels->pool, channels->group_count + 1, sizeof *table);
  int32_t *zeros = q8_pool_alloc(&channels->pool, most + 1, sizeof *zeros);
  if (!table || !zeros)
    status = q8_fail_memory(error, "channels", most * sizeof *zeros);
  for (size_t g = 0; status == QINT8_OK && g < channels->group_count; g++)
    table[g] = (q8_id)g == group ? exponents : zeros;
  if (status == QINT8_OK && group != Q8_NONE && channels->group_channels[group] == count)
    status = q8_channels_rescale(channels, table, out, error);
  q8_channels_free(channels);
  return status == QINT8_ERROR_LIMIT ? QINT8_OK : status;
}

static q8_status scale(const q8_graph *graph, size_t input, const float *largest, size_t count, const q8_host *host,
                       double *sorted, int32_t *exponents, q8_graph **out, qint8_error *error) {
  q8_graph *with = NULL;
  q8_id result;
  if (!choose(largest, count, sorted, exponents))
    return QINT8_OK;
  Q8_TRY(q8_graph_clone(graph, &with, error));
  q8_status status = insert(with, with->inputs[input], count, &result, error);
  if (status == QINT8_OK)
    status = rescale(with, result, exponents, count, host, out, error);
  q8_graph_destroy(with);
  return status;
}

q8_status q8_scale_input(const q8_graph *graph, size_t input, const float *largest, size_t channels, const q8_host *host,
                         q8_graph **out, int *scaled, qint8_error *error) {
  double *sorted = q8_alloc(host, channels + 1, sizeof *sorted);
  int32_t *exponents = q8_alloc(host, channels + 1, sizeof *exponents);
  *out = NULL;
  q8_status status = sorted && exponents ? scale(graph, input, largest, channels, host, sorted, exponents, out, error)
                                         : q8_fail_memory(error, "input", channels * sizeof *sorted);
  *scaled = *out != NULL;
  if (status == QINT8_OK && !*out) {
    status = q8_graph_clone(graph, out, error);
    if (status == QINT8_OK && (status = q8_graph_freeze(*out, error)) != QINT8_OK) {
      q8_graph_destroy(*out);
      *out = NULL;
    }
  }
  q8_free(host, sorted);
  q8_free(host, exponents);
  return status;
}

/* Raises largest[c] to the magnitudes of channel c, axis 1; 0 if the batches do not have `channels` channels there. */
static int measure(const q8_batches *batches, size_t inputs, size_t input, size_t channels, float *largest) {
  for (size_t b = 0; b < batches->count; b++) {
    const q8_shape *shape = &batches->shapes[b * inputs + input];
    const float *x = batches->data[b * inputs + input];
    if (shape->rank < 2 || (size_t)shape->dim[1] != channels)
      return 0;
    size_t inner = q8_shape_inner(shape, 2);
    for (size_t row = 0, rows = (size_t)shape->dim[0] * channels; row < rows; row++)
      for (size_t i = 0; i < inner; i++)
        largest[row % channels] = fmaxf(largest[row % channels], fabsf(*x++));
  }
  return 1;
}

static q8_status scale_measured(const q8_graph *graph, size_t input, const q8_batches *batches, const q8_host *host,
                                q8_graph **out, int *scaled, qint8_error *error) {
  int32_t dtype = graph->tensors[graph->inputs[input]].dtype;
  const q8_shape *shape = &batches->shapes[input];
  *out = NULL;
  *scaled = 0;
  if (batches->count == 0 || shape->rank < 2 || shape->dim[1] < 2 ||
      (dtype != QINT8_DTYPE_F32 && dtype != QINT8_DTYPE_NONE))
    return QINT8_OK;
  size_t channels = (size_t)shape->dim[1];
  float *largest = q8_calloc(host, channels, sizeof *largest);
  if (!largest)
    return q8_fail_memory(error, "input", channels * sizeof *largest);
  q8_status status = QINT8_OK;
  if (measure(batches, graph->input_count, input, channels, largest))
    status = q8_scale_input(graph, input, largest, channels, host, out, scaled, error);
  q8_free(host, largest);
  return status;
}

q8_status q8_scale_inputs(const q8_graph *graph, const q8_batches *batches, const q8_host *host, q8_graph **out,
                          size_t *scaled, qint8_error *error) {
  *out = NULL;
  *scaled = 0;
  for (size_t i = 0; i < graph->input_count; i++) {
    q8_graph *next;
    int now;
    q8_status status = scale_measured(*out ? *out : graph, i, batches, host, &next, &now, error);
    if (status != QINT8_OK) {
      q8_graph_destroy(*out);
      *out = NULL;
      return status;
    }
    if (now) {
      q8_graph_destroy(*out);
      *out = next;
      ++*scaled;
    } else {
      q8_graph_destroy(next);
    }
  }
  return QINT8_OK;
}
