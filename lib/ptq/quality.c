#include "ptq/quality.h"

#include <math.h>
#include <string.h>

#include "ops/hooks.h"
#include "ptq/loops.h"

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

static q8_status new_table(size_t tensor_count, q8_pool *pool, q8_quality **out, qint8_error *error) {
  q8_quality *quality = *out = q8_pool_alloc(pool, 1, sizeof(*quality));
  Q8_TRY(q8_pool_check(pool, "calibrator", error));
  quality->pool = pool;
  quality->tensor_count = tensor_count;
  quality->tensors = q8_pool_alloc(pool, tensor_count, sizeof(*quality->tensors));
  quality->channel_axis = q8_pool_alloc(pool, tensor_count, sizeof(*quality->channel_axis));
  quality->activation = q8_pool_alloc(pool, tensor_count, sizeof(*quality->activation));
  return q8_pool_check(pool, "calibrator", error);
}

q8_status q8_quality_new(const q8_graph *graph, q8_pool *pool, q8_quality **out, qint8_error *error) {
  Q8_TRY(new_table(graph->tensor_count, pool, out, error));
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

static int make_channels(q8_quality *quality, q8_tensor_quality *q, int64_t channels) {
  q->constants = q8_pool_reserve(quality->pool, (size_t)channels, sizeof(*q->constants));
  q->sums = q8_pool_reserve(quality->pool, (size_t)channels, sizeof(*q->sums));
  q->channels = q->constants && q->sums ? channels : 0;
  return q->channels > 0;
}

q8_status q8_quality_copy(const q8_quality *quality, q8_pool *pool, q8_quality **out, qint8_error *error) {
  size_t count = quality->tensor_count;
  Q8_TRY(new_table(count, pool, out, error));
  (*out)->sum_rows = quality->sum_rows;
  memcpy((*out)->channel_axis, quality->channel_axis, count);
  memcpy((*out)->activation, quality->activation, count);
  for (size_t t = 0; t < count; t++) {
    const q8_tensor_quality *from = &quality->tensors[t];
    q8_tensor_quality *to = &(*out)->tensors[t];
    *to = *from;
    to->constants = NULL;
    if (!from->channels)
      continue;
    if (!make_channels(*out, to, from->channels))
      return q8_fail_memory(error, "calibrator", (size_t)from->channels * sizeof(*to->constants));
    memcpy(to->constants, from->constants, from->constant_count * sizeof(*to->constants));
  }
  return QINT8_OK;
}

/* ---- Samples ---- */

/* A value farther than the last one. Keeps the farthest first; sign 1 for maxima, -1 for minima. */
static void insert(q8_extreme *list, float value, int64_t sample, float sign) {
  int at = Q8_EXTREMES - 1;
  while (at > 0 && sign * value > sign * list[at - 1].value)
    at--;
  memmove(list + at + 1, list + at, (size_t)(Q8_EXTREMES - at - 1) * sizeof(*list));
  list[at] = (q8_extreme){value, sample};
}

static void add_checkpoint(q8_tensor_quality *q) {
  if (q->checkpoints == Q8_CHECKPOINTS) {
    for (int i = 0; i < Q8_CHECKPOINTS / 2; i++) {
      q->past_min[i] = q->past_min[2 * i + 1];
      q->past_max[i] = q->past_max[2 * i + 1];
    }
    q->checkpoints = Q8_CHECKPOINTS / 2;
    q->stride *= 2;
    if (q->samples & (q->stride - 1))
      return;
  }
  q->past_min[q->checkpoints] = q->low[0].value;
  q->past_max[q->checkpoints++] = q->high[0].value;
}

/* Samples that are no extremes. */
static void pass_samples(q8_tensor_quality *q, size_t count) {
  for (int64_t end = q->samples + (int64_t)count, next; q->samples < end;) {
    next = (q->samples | (q->stride - 1)) + 1;
    q->samples = next < end ? next : end;
    if (q->samples == next)
      add_checkpoint(q);
  }
}

static void add_samples(q8_tensor_quality *q, size_t count, const q8_ends *ends) {
  for (const q8_ends *e = ends; e < ends + count; e++) {
    if (e->max > q->high[Q8_EXTREMES - 1].value && e->min <= e->max)
      insert(q->high, e->max, q->samples, 1);
    if (e->min < q->low[Q8_EXTREMES - 1].value && e->min <= e->max)
      insert(q->low, e->min, q->samples, -1);
    q->samples++;
    if (!(q->samples & (q->stride - 1)))
      add_checkpoint(q);
  }
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

/* Looks only at channels that never varied so far, and into each only until it does; or, where many never did, adds up all
 * channels: a sum of values none of which is negative is zero only if all are. */
static void look_at_channels(const q8_quality *quality, q8_tensor_quality *q, const channel_view *v, const float *x,
                             int none_negative) {
  size_t kept = 0;
  size_t stride = v->inner > 1 ? 1 : (size_t)v->channels;
  int summed = none_negative && v->inner == 1 && q->constant_count > (size_t)q->channels / 8;
  if (summed)
    quality->sum_rows(v->outer, (size_t)v->channels, x, (size_t)v->channels, q->sums);
  for (size_t i = 0; i < q->constant_count; i++) {
    const q8_constant *c = &q->constants[i];
    if (summed && c->value == 0 ? q->sums[c->channel] == 0 : q8_is_all(x + (size_t)c->channel * v->inner, v->outer * v->inner, stride, c->value))
      q->constants[kept++] = *c;
  }
  q->constant_count = kept;
}

static void take_first_values(q8_tensor_quality *q, const channel_view *v, const float *x) {
  for (int64_t c = 0; c < q->channels; c++)
    q->constants[c] = (q8_constant){c, x[(size_t)c * v->inner]};
  q->constant_count = (size_t)q->channels;
}

void q8_quality_give_up(q8_quality *quality, q8_id tensor) {
  quality->tensors[tensor].samples = -1;
}

int q8_quality_observe(q8_quality *quality, q8_id tensor, const q8_shape *shape, const float *values,
                       int channels_last, int64_t first, const q8_ends *ends, q8_ends all) {
  q8_tensor_quality *q = &quality->tensors[tensor];
  if (q->samples != first) { /* it gave up, or a batch was left out */
    q->samples = -1;
    return 1;
  }
  channel_view v = view_channels(shape, quality->channel_axis[tensor], channels_last);
  size_t samples = (size_t)shape->dim[0];
  size_t each = (size_t)v.channels * v.outer * v.inner, step = 1;
  if (each && !q->constants) {
    if (!make_channels(quality, q, v.channels))
      return 0;
    take_first_values(q, &v, values);
  }
  if (each == (size_t)v.channels)
    v.outer = step = samples; /* the values of a channel, one of each sample, lie as those of one sample would */
  for (size_t i = 0; i < samples && v.channels == q->channels && q->constant_count && each; i += step)
    look_at_channels(quality, q, &v, values + i * each, all.min >= 0);
  if (all.min >= q->low[Q8_EXTREMES - 1].value && all.max <= q->high[Q8_EXTREMES - 1].value)
    pass_samples(q, samples);
  else
    add_samples(q, samples, ends);
  return 1;
}
