/* weights.c - scales of weights and biases. */
#include <math.h>
#include <string.h>

#include "ptq/decide_internal.h"
#include "quant/qparams.h"

/* Weights seen as [outer][channels][inner]. */
typedef struct weight_view {
  const float *data;
  size_t outer, channels, inner;
  int32_t axis;
} weight_view;

int q8_has_constant_weights(const q8_graph *graph, const q8_node *node) {
  if (node->input_count < 2 || node->inputs[0] == Q8_NONE || !q8_graph_is_constant(graph, node->inputs[1]) ||
      graph->tensors[node->inputs[1]].dtype != QINT8_DTYPE_F32)
    return 0;
  if (node->input_count < 3 || node->inputs[2] == Q8_NONE)
    return 1;
  return q8_graph_is_constant(graph, node->inputs[2]) && graph->tensors[node->inputs[2]].dtype == QINT8_DTYPE_F32;
}

static weight_view view_weights(const q8_graph *graph, const q8_node *node, int32_t input) {
  const q8_tensor *w = &graph->tensors[node->inputs[input]];
  weight_view v = {.data = w->data, .outer = 1, .channels = 1, .inner = 1};
  v.axis = q8_weight_axis(node);
  if (v.axis < 0)
    v.axis += w->shape.rank;
  for (int32_t i = 0; i < w->shape.rank; i++) {
    size_t *part = i < v.axis ? &v.outer : i == v.axis ? &v.channels : &v.inner;
    *part *= (size_t)w->shape.dim[i];
  }
  return v;
}

static q8_status check_finite(const q8_tensor *w, qint8_error *error) {
  const float *x = w->data;
  size_t count = q8_shape_count(&w->shape, NULL);
  for (size_t i = 0; i < count; i++)
    if (!isfinite(x[i]))
      return q8_fail(error, QINT8_ERROR_DATA, w->name, "weight %zu is %s", i, isnan(x[i]) ? "NaN" : "infinite");
  return QINT8_OK;
}

/* The weights of a channel, side by side; channels are asked for one after another. Where they are not side by side in the
 * tensor, `gathered` has room for GATHERED channels: those that lie next to one another in a matrix share cache lines. */
#define GATHERED 16
static const float *channel_weights(const weight_view *v, size_t channel, float *gathered) {
  size_t run = v->outer * v->inner, first = channel - channel % GATHERED;
  if (v->outer == 1)
    return v->data + channel * run;
  if (channel == first)
    for (size_t o = 0; o < v->outer; o++)
      for (size_t c = first; c < v->channels && c < first + GATHERED; c++)
        memcpy(gathered + (c - first) * run + o * v->inner, v->data + (o * v->channels + c) * v->inner,
               v->inner * sizeof(float));
  return gathered + (channel - first) * run;
}

/* The bias as one value per channel: NULL if there is none or it has another form. */
static const float *channel_bias(const q8_graph *graph, const q8_node *node, size_t channels) {
  if (node->input_count < 3 || node->inputs[2] == Q8_NONE)
    return NULL;
  const q8_tensor *bias = &graph->tensors[node->inputs[2]];
  return q8_shape_count(&bias->shape, NULL) == channels ? bias->data : NULL;
}

static int is_zero(const float *x, size_t count) {
  for (size_t i = 0; i < count; i++)
    if (x[i] != 0)
      return 0;
  return 1;
}

/* The scale of least error for each channel, or one for all. A channel of zeros takes the scale of the whole tensor. */
static void search_scales(const weight_view *v, int per_channel, float *gathered, float *scale) {
  size_t run = v->outer * v->inner;
  float all = 0; /* not searched yet: scales are above 0 */
  for (size_t c = 0; c < v->channels; c++) {
    const float *w = per_channel ? channel_weights(v, c, gathered) : NULL;
    if (w && !is_zero(w, run)) {
      scale[c] = q8_qparams_symmetric_search(w, run).scale;
      continue;
    }
    all = all > 0 ? all : q8_qparams_symmetric_search(v->data, v->channels * run).scale;
    scale[c] = all;
  }
}

/* No scale is so small that the bias would need more than Q8_MAX_BIAS_STEPS steps of x_scale * scale. */
static void make_room_for_bias(const float *bias, size_t channels, float x_scale, float *scale) {
  for (size_t c = 0; c < channels; c++) {
    double least = (double)Q8_MIN_SCALE / x_scale; /* x_scale * scale stays a normal float */
    if (bias && fabs((double)bias[c]) / (x_scale * Q8_MAX_BIAS_STEPS) > least)
      least = fabs((double)bias[c]) / (x_scale * Q8_MAX_BIAS_STEPS);
    if (scale[c] < least)
      scale[c] = (float)(least * (1 + 1e-6));
  }
}

static void widen_to_tensor(float *scale, size_t channels) {
  for (size_t c = 1; c < channels; c++)
    scale[0] = scale[c] > scale[0] ? scale[c] : scale[0];
}

/* A weight read by several nodes takes the largest of their scales; 0 if they disagree on its channels. */
static int join_scales(const q8_tensor_quant *old, int32_t axis, int32_t count, float *scale) {
  if (!q8_is_quantized(old))
    return 1;
  if (old->axis != axis || old->count != count)
    return 0;
  for (int32_t c = 0; c < count; c++)
    scale[c] = old->scale[c] > scale[c] ? old->scale[c] : scale[c];
  return 1;
}

/* Rounds the weights of one output channel, keeping their sum to half a step: those next to a rounding boundary go to its
 * other side. What the inputs have in common, a mean that activation functions leave above zero, then passes exactly
 * instead of with an error that is the same at every position and adds up from layer to layer. For dynamic nodes: static
 * ones get corrected biases, which know the means of each input; for those, rounding to the nearest is better. */
static int keep_sum(const float *x, size_t count, float scale, int32_t *q) {
  double rest = 0; /* in steps */
  for (size_t i = 0; i < count; i++) {
    float v = rintf(x[i] / scale);
    q[i] = (int32_t)(v > 127 ? 127 : v < -127 ? -127 : v);
    rest += (double)x[i] / (double)scale - q[i];
  }
  int moved = 0;
  for (int32_t way = rest > 0 ? 1 : -1; way * rest > 0.5; rest -= way, moved++) {
    size_t nearest = count;
    double most = 0;
    for (size_t i = 0; i < count; i++) {
      double left = way * ((double)x[i] / (double)scale - q[i]);
      if (left > most && way * q[i] < 127) {
        most = left;
        nearest = i;
      }
    }
    if (nearest == count)
      break;
    q[nearest] += way;
  }
  return moved;
}

/* Integers of a weight, read by this node alone, where rounding each by itself would change the sums. */
static q8_status keep_sums(q8_decision *d, q8_id weight, const weight_view *v, float *gathered, qint8_error *error) {
  const q8_tensor_quant *quant = &d->recipe->tensors[weight];
  size_t run = v->outer * v->inner, count = v->channels * run;
  int32_t *all = q8_alloc(&d->scratch.host, count + run + 1, sizeof *all);
  int moved = 0;
  if (!all)
    return q8_fail_memory(error, d->graph->tensors[weight].name, count * sizeof *all);
  int32_t *one = all + count;
  for (size_t c = 0; c < v->channels; c++) {
    moved |= keep_sum(channel_weights(v, c, gathered), run, quant->scale[quant->count > 1 ? c : 0], one);
    for (size_t o = 0; o < v->outer; o++)
      memcpy(all + (o * v->channels + c) * v->inner, one + o * v->inner, v->inner * sizeof *all);
  }
  q8_status status = moved ? q8_recipe_keep_integers(d->recipe, weight, all, count, error) : QINT8_OK;
  q8_free(&d->scratch.host, all);
  return status;
}

static q8_status decide_node_weights(q8_decision *d, size_t n, int32_t input, qint8_error *error) {
  const q8_node *node = &d->graph->nodes[n];
  Q8_TRY(check_finite(&d->graph->tensors[node->inputs[input]], error));
  weight_view v = view_weights(d->graph, node, input);
  int per_channel = d->recipe->config != QINT8_CONFIG_STATIC_PER_TENSOR && v.channels > 1;
  float *scale = q8_pool_alloc(&d->scratch, v.channels, sizeof(float));
  int32_t *zero = q8_pool_alloc(&d->scratch, v.channels, sizeof(int32_t));
  float *gathered = v.outer > 1 ? q8_pool_reserve(&d->scratch, v.outer * v.inner, GATHERED * sizeof(float)) : NULL;
  Q8_TRY(q8_pool_check(&d->scratch, node->name, error));
  search_scales(&v, per_channel, gathered, scale);
  if (q8_decided_mode(d, n) == Q8_MODE_STATIC)
    make_room_for_bias(channel_bias(d->graph, node, v.channels), v.channels,
                       d->recipe->tensors[node->inputs[0]].scale[0], scale);
  if (!per_channel && v.channels > 0)
    widen_to_tensor(scale, v.channels);
  int32_t axis = per_channel ? v.axis : -1, count = per_channel ? (int32_t)v.channels : 1;
  if (!join_scales(&d->recipe->tensors[node->inputs[input]], axis, count, scale)) {
    d->recipe->modes[n] = Q8_MODE_FLOAT;
    return QINT8_OK;
  }
  Q8_TRY(q8_recipe_assign(d->recipe, node->inputs[input], QINT8_DTYPE_S8, axis, count, scale, zero, error));
  int may_keep = q8_decided_mode(d, n) == Q8_MODE_DYNAMIC && node->op->quant == Q8_QUANT_WEIGHTED &&
                 d->graph->tensors[node->inputs[input]].uses == 1;
  return may_keep ? keep_sums(d, node->inputs[input], &v, gathered, error) : QINT8_OK;
}

/* x_scale * w_scale. A bias that several nodes read keeps the parameters of the first: they only describe it. */
static q8_status decide_node_bias(q8_decision *d, const q8_node *node, qint8_error *error) {
  if (node->input_count < 3 || node->inputs[2] == Q8_NONE || q8_is_quantized(&d->recipe->tensors[node->inputs[2]]))
    return QINT8_OK;
  const q8_tensor *bias = &d->graph->tensors[node->inputs[2]];
  const q8_tensor_quant *w = &d->recipe->tensors[node->inputs[1]];
  float x_scale = d->recipe->tensors[node->inputs[0]].scale[0];
  size_t channels = (size_t)w->count;
  if (channels > 1 && q8_shape_count(&bias->shape, NULL) != channels)
    return QINT8_OK; /* one value for all channels: it has no single scale */
  float *scale = q8_pool_alloc(&d->scratch, channels, sizeof(float));
  Q8_TRY(q8_pool_check(&d->scratch, node->name, error));
  for (size_t c = 0; c < channels; c++)
    scale[c] = x_scale * w->scale[c];
  int32_t axis = channels > 1 ? bias->shape.rank - 1 : -1;
  return q8_recipe_assign(d->recipe, node->inputs[2], QINT8_DTYPE_S32, axis, w->count, scale, w->zero_point, error);
}

q8_status q8_decide_weights(q8_decision *d, qint8_error *error) {
  for (size_t n = 0; n < d->graph->node_count; n++)
    for (int32_t i = 1; i <= q8_weight_inputs(d->graph->nodes[n].op) && q8_decided_mode(d, n) != Q8_MODE_FLOAT; i++)
      Q8_TRY(decide_node_weights(d, n, i, error));
  for (size_t n = 0; n < d->graph->node_count; n++)
    if (d->graph->nodes[n].op->quant == Q8_QUANT_WEIGHTED && q8_decided_mode(d, n) == Q8_MODE_STATIC)
      Q8_TRY(decide_node_bias(d, &d->graph->nodes[n], error));
  return QINT8_OK;
}
