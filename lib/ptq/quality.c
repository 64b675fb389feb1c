#include "ptq/quality.h"

#include <math.h>
#include <string.h>

#include "ops/hooks.h"

/* ---- What is known from the graph ---- */

/* Weighted nodes make channels, functions of one input keep them. Weights of rank 2 multiply the last axis. */
static void find_channels(const q8_graph *graph, q8_quality *quality) {
  for (size_t i = 0; i < graph->input_count; i++)
    quality->channel_axis[graph->inputs[i]] = 1;
  for (size_t n = 0; n < graph->node_count; n++) {
    const q8_node *node = &graph->nodes[n];
    if (node->output_count < 1 || node->outputs[0] == Q8_NONE || node->input_count < 1 || node->inputs[0] == Q8_NONE)
      continue;
    q8_id y = node->outputs[0];
    float lo, hi;
    if (node->op->quant == Q8_QUANT_WEIGHTED && node->input_count > 1 && q8_graph_is_constant(graph, node->inputs[1])) {
      quality->channel_axis[y] = graph->tensors[node->inputs[1]].shape.rank > 2 ? 1 : Q8_LAST_AXIS;
      quality->activation[y] = (uint8_t)q8_node_clamp(node, &lo, &hi);
    } else if (node->op->unary) {
      quality->channel_axis[y] = quality->channel_axis[node->inputs[0]];
      quality->activation[y] = 1;
    }
  }
}

static q8_status new_table(size_t tensor_count, const q8_host *host, q8_quality **out, qint8_error *error) {
  *out = NULL;
  q8_quality *quality = q8_calloc(host, 1, sizeof(*quality));
  if (!quality)
    return q8_fail_memory(error, "calibrator", sizeof(*quality));
  quality->host = *host;
  quality->tensor_count = tensor_count;
  quality->tensors = q8_calloc(host, tensor_count + 1, sizeof(*quality->tensors));
  quality->channel_axis = q8_calloc(host, tensor_count + 1, sizeof(*quality->channel_axis));
  quality->activation = q8_calloc(host, tensor_count + 1, sizeof(*quality->activation));
  if (!quality->tensors || !quality->channel_axis || !quality->activation) {
    q8_quality_free(quality);
    return q8_fail_memory(error, "calibrator", tensor_count * sizeof(*quality->tensors));
  }
  *out = quality;
  return QINT8_OK;
}

q8_status q8_quality_new(const q8_graph *graph, const q8_host *host, q8_quality **out, qint8_error *error) {
  Q8_TRY(new_table(graph->tensor_count, host, out, error));
  find_channels(graph, *out);
  for (size_t t = 0; t < graph->tensor_count; t++) {
    q8_tensor_quality *q = &(*out)->tensors[t];
    q->stride = 1;
    for (int i = 0; i < Q8_EXTREMES; i++) {
      q->high[i] = (q8_extreme){-INFINITY, -1};
      q->low[i] = (q8_extreme){INFINITY, -1};
    }
  }
  return QINT8_OK;
}

void q8_quality_free(q8_quality *quality) {
  if (!quality)
    return;
  for (size_t t = 0; quality->tensors && t < quality->tensor_count; t++)
    q8_free(&quality->host, quality->tensors[t].constant);
  q8_host host = quality->host;
  q8_free(&host, quality->tensors);
  q8_free(&host, quality->channel_axis);
  q8_free(&host, quality->activation);
  q8_free(&host, quality);
}

static int make_channels(q8_quality *quality, q8_tensor_quality *q, int64_t channels) {
  q->constant = q8_alloc(&quality->host, (size_t)channels, sizeof(float));
  q->channels = q->constant ? channels : 0;
  return q->constant != NULL;
}

q8_status q8_quality_copy(const q8_quality *quality, q8_quality **out, qint8_error *error) {
  size_t count = quality->tensor_count;
  Q8_TRY(new_table(count, &quality->host, out, error));
  memcpy((*out)->channel_axis, quality->channel_axis, count);
  memcpy((*out)->activation, quality->activation, count);
  for (size_t t = 0; t < count; t++) {
    const q8_tensor_quality *from = &quality->tensors[t];
    q8_tensor_quality *to = &(*out)->tensors[t];
    *to = *from;
    to->constant = NULL;
    if (!from->channels)
      continue;
    if (!make_channels(*out, to, from->channels)) {
      q8_quality_free(*out);
      *out = NULL;
      return q8_fail_memory(error, "calibrator", (size_t)from->channels * sizeof(float));
    }
    memcpy(to->constant, from->constant, (size_t)from->channels * sizeof(float));
  }
  return QINT8_OK;
}

/* ---- Samples ---- */

/* Keeps the farthest first; sign 1 for maxima, -1 for minima. */
static void insert(q8_extreme *list, float value, int64_t sample, float sign) {
  int at = Q8_EXTREMES;
  while (at > 0 && sign * value > sign * list[at - 1].value)
    at--;
  if (at == Q8_EXTREMES)
    return;
  memmove(list + at + 1, list + at, (size_t)(Q8_EXTREMES - at - 1) * sizeof(*list));
  list[at] = (q8_extreme){value, sample};
}

static void add_sample(q8_tensor_quality *q, int64_t sample, float min, float max) {
  if (min <= max) {
    insert(q->high, max, sample, 1);
    insert(q->low, min, sample, -1);
  }
  q->samples++;
  if (q->samples % q->stride)
    return;
  if (q->checkpoints == Q8_CHECKPOINTS) {
    for (int i = 0; i < Q8_CHECKPOINTS / 2; i++) {
      q->past_min[i] = q->past_min[2 * i + 1];
      q->past_max[i] = q->past_max[2 * i + 1];
    }
    q->checkpoints = Q8_CHECKPOINTS / 2;
    q->stride *= 2;
    if (q->samples % q->stride)
      return;
  }
  q->past_min[q->checkpoints] = q->low[0].value;
  q->past_max[q->checkpoints++] = q->high[0].value;
}

/* ---- Channels ---- */

/* The channels' place in the values of one sample: [outer][channels][inner] with outer or inner 1. */
typedef struct channel_view {
  int64_t channels;
  size_t outer, inner;
} channel_view;

static channel_view view_channels(const q8_shape *shape, int axis, int channels_last) {
  channel_view v = {0, 1, 1};
  int32_t last = shape->rank - 1, at = axis == Q8_LAST_AXIS ? last : axis;
  if (axis == 0 || at < 1 || at > last || (channels_last && at != 1 && last > 2))
    return v;
  v.channels = shape->dim[at];
  size_t others = 1;
  for (int32_t d = 1; d <= last; d++)
    others *= d == at ? 1 : (size_t)shape->dim[d];
  int outermost = (at == 1) != channels_last; /* channels_last puts dimension 1 behind all others */
  v.outer = outermost ? 1 : others;
  v.inner = outermost ? others : 1;
  return v;
}

/* Whether all values of the channel are `value`. */
static int is_constant(const channel_view *v, size_t channel, const float *x, float value) {
  size_t stride = v->inner > 1 ? 1 : (size_t)v->channels, count = v->outer * v->inner;
  const float *at = x + channel * v->inner;
  for (size_t i = 0; i < count; i++)
    if (at[i * stride] != value)
      return 0;
  return 1;
}

/* Looks only at channels that never varied so far, and into each only until it does. */
static void look_at_channels(q8_tensor_quality *q, const channel_view *v, const float *x, int first) {
  for (size_t c = 0; c < (size_t)v->channels; c++) {
    if (first)
      q->constant[c] = x[c * v->inner];
    else if (isnan(q->constant[c]))
      continue;
    if (!is_constant(v, c, x, q->constant[c])) {
      q->constant[c] = NAN;
      q->varying++;
    }
  }
}

void q8_quality_give_up(q8_quality *quality, q8_id tensor) {
  quality->tensors[tensor].samples = -1;
}

int q8_quality_observe(q8_quality *quality, q8_id tensor, const q8_shape *shape, const float *values,
                       int channels_last, int64_t sample, float min, float max) {
  q8_tensor_quality *q = &quality->tensors[tensor];
  if (q->samples != sample) { /* it gave up, or a batch was left out */
    q->samples = -1;
    return 1;
  }
  channel_view v = view_channels(shape, quality->channel_axis[tensor], channels_last);
  int first = v.channels > 0 && !q->constant;
  if (first && !make_channels(quality, q, v.channels))
    return 0;
  if (v.channels == q->channels && q->varying < q->channels && v.outer * v.inner > 0)
    look_at_channels(q, &v, values, first);
  add_sample(q, sample, min, max);
  return 1;
}
