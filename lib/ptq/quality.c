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
    q8_free(&quality->host, quality->tensors[t].channel_min);
  q8_host host = quality->host;
  q8_free(&host, quality->tensors);
  q8_free(&host, quality->channel_axis);
  q8_free(&host, quality->activation);
  q8_free(&host, quality);
}

/* One block for both ends. */
static int make_channels(q8_quality *quality, q8_tensor_quality *q, int64_t channels) {
  q->channel_min = q8_alloc(&quality->host, (size_t)channels, 2 * sizeof(float));
  if (!q->channel_min)
    return 0;
  q->channel_max = q->channel_min + channels;
  q->channels = channels;
  for (int64_t c = 0; c < channels; c++) {
    q->channel_min[c] = INFINITY;
    q->channel_max[c] = -INFINITY;
  }
  return 1;
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
    to->channel_min = to->channel_max = NULL;
    if (!from->channels)
      continue;
    if (!make_channels(*out, to, from->channels)) {
      q8_quality_free(*out);
      *out = NULL;
      return q8_fail_memory(error, "calibrator", (size_t)from->channels * 2 * sizeof(float));
    }
    memcpy(to->channel_min, from->channel_min, (size_t)from->channels * 2 * sizeof(float));
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

static void widen_channel(q8_tensor_quality *q, size_t c, float min, float max) {
  q->channel_min[c] = min < q->channel_min[c] ? min : q->channel_min[c];
  q->channel_max[c] = max > q->channel_max[c] ? max : q->channel_max[c];
}

#define COLUMNS 16

/* [rows][channels] into the channels' ranges, blocks of columns without branches and with a constant count, so that
 * compilers vectorize them. NaN is left out. */
static void add_rows(q8_tensor_quality *q, const float *x, size_t rows, size_t channels) {
  size_t c = 0;
  for (; c + COLUMNS <= channels; c += COLUMNS) {
    float min[COLUMNS], max[COLUMNS];
    memcpy(min, q->channel_min + c, sizeof(min));
    memcpy(max, q->channel_max + c, sizeof(max));
    for (size_t r = 0; r < rows; r++)
      for (int i = 0; i < COLUMNS; i++) {
        float v = x[r * channels + c + (size_t)i];
        min[i] = v < min[i] ? v : min[i];
        max[i] = v > max[i] ? v : max[i];
      }
    memcpy(q->channel_min + c, min, sizeof(min));
    memcpy(q->channel_max + c, max, sizeof(max));
  }
  for (; c < channels; c++)
    for (size_t r = 0; r < rows; r++) {
      float v = x[r * channels + c];
      if (v == v)
        widen_channel(q, c, v, v);
    }
}

static void add_planes(q8_tensor_quality *q, const float *x, size_t channels, size_t plane, q8_minmax_fn *minmax) {
  for (size_t c = 0; c < channels; c++) {
    float min, max;
    minmax(plane, x + c * plane, &min, &max);
    widen_channel(q, c, min, max);
  }
}

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

int q8_quality_observe(q8_quality *quality, q8_id tensor, const q8_shape *shape, const float *values,
                       int channels_last, int64_t first, int64_t batch, q8_minmax_fn *minmax) {
  q8_tensor_quality *q = &quality->tensors[tensor];
  int64_t samples = shape->rank > 0 ? shape->dim[0] : 0;
  if (q->samples < 0 || samples != batch || batch == 0 || q->samples != first) {
    q->samples = -1;
    return 1;
  }
  channel_view v = view_channels(shape, quality->channel_axis[tensor], channels_last);
  if (v.channels > 0 && !q->channel_min && !make_channels(quality, q, v.channels))
    return 0;
  int by_channel = v.channels > 0 && v.channels == q->channels;
  size_t count = q8_shape_count(shape, NULL) / (size_t)batch;
  for (int64_t i = 0; i < batch; i++) {
    const float *x = values + (size_t)i * count;
    float min, max;
    minmax(count, x, &min, &max);
    add_sample(q, first + i, min, max);
    if (by_channel && v.inner > 1)
      add_planes(q, x, (size_t)v.channels, v.inner, minmax);
    else if (by_channel)
      add_rows(q, x, v.outer, (size_t)v.channels);
  }
  return 1;
}
