/* explain.c - why a layer's int8 form is inexact, and what to do about it. */
#include <math.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "compare.h"

/* ---- Weights ---- */

static int ascending(const void *a, const void *b) {
  double x = *(const double *)a, y = *(const double *)b;
  return (x > y) - (x < y);
}

/* The largest range of a channel over the median of those that are not zero throughout. */
static double ratio_of(double *largest, int64_t channels, int64_t *zero_channels) {
  qsort(largest, (size_t)channels, sizeof *largest, ascending);
  int64_t zero = 0;
  while (zero < channels && largest[zero] == 0)
    zero++;
  *zero_channels = zero;
  return zero < channels ? largest[channels - 1] / largest[zero + (channels - zero) / 2] : NAN;
}

/* Weights seen as [outer][channels][inner], rounded with the recipe's scales. */
static void measure_weights(layer *row, const qint8_tensor *w, int32_t axis, const char *name,
                            const qint8_recipe *recipe) {
  size_t inner = 1, count = 1, scales = 0, channels = (size_t)w->shape[axis];
  for (int32_t d = 0; d < w->rank; d++) {
    count *= (size_t)w->shape[d];
    inner *= d > axis ? (size_t)w->shape[d] : 1;
  }
  if (count == 0)
    return;
  double *largest = allocate(channels, sizeof *largest), error = 0, norm = 0;
  qint8_qparams *q = allocate(channels, sizeof *q);
  if (!recipe || qint8_recipe_tensor(recipe, name, q, channels, &scales, NULL) != QINT8_OK)
    scales = 0;
  const float *x = w->data;
  for (size_t i = 0; i < count; i++) {
    size_t c = i / inner % channels;
    double v = fabs((double)x[i]);
    largest[c] = v > largest[c] ? v : largest[c];
    if (scales == 1 || scales == channels) {
      double scale = (double)q[scales == 1 ? 0 : c].scale, r = nearbyint(v / scale);
      double d = v - scale * (r > 127 ? 127 : r);
      error += d * d;
      norm += v * v;
    }
  }
  row->weights = allocate(strlen(name) + 1, 1);
  strcpy(row->weights, name);
  row->weight_channels = w->shape[axis];
  row->channel_ratio = ratio_of(largest, w->shape[axis], &row->zero_channels);
  row->one_scale = scales == 1 && channels > 1;
  row->weight_error = norm > 0 ? error / norm : NAN;
  free(largest);
  free(q);
}

/* ---- The nodes of a layer ---- */

typedef struct walk {
  layers *layers;
  layer *row;
  const qint8_model *model;
  const qint8_recipe *recipe;
  char op[96];
} walk;

/* The node whose first output it is, or -1. */
static long producer_of(const qint8_model *model, const char *tensor) {
  qint8_node_info info = QINT8_NODE_INFO_INIT;
  for (size_t n = 0; n < qint8_model_node_count(model); n++)
    if (qint8_model_node(model, n, &info) == QINT8_OK && !strcmp(info.output, tensor))
      return (long)n;
  return -1;
}

static void add_input(layer *row, const layer *input) {
  for (int i = 0; i < row->input_count; i++)
    if (row->inputs[i] == input)
      return;
  if (row->input_count < LAYER_INPUTS)
    row->inputs[row->input_count++] = input;
}

static void add_op(walk *w, const char *op) {
  size_t length = strlen(w->op);
  snprintf(w->op + length, sizeof w->op - length, "%s%s", length ? "+" : "", op);
}

#define MAX_DEPTH 12 /* nodes merged into one step */

/* Backwards from a tensor up to those that the int8 run shows; 0 if there is none behind it: a constant, or arithmetic on
 * shapes. */
static int visit(walk *w, const char *tensor, int depth) {
  const layer *known = layer_find(w->layers, tensor);
  long n = producer_of(w->model, tensor);
  if (depth > 0 && known && (known->seen || n < 0)) {
    add_input(w->row, known);
    return 1;
  }
  qint8_node_info info = QINT8_NODE_INFO_INIT;
  if (n < 0 || depth == MAX_DEPTH || qint8_model_node(w->model, (size_t)n, &info) != QINT8_OK ||
      !strcmp(info.op_type, "Shape"))
    return 0;
  int reached = 0;
  for (size_t i = 0; i < LAYER_INPUTS; i++) {
    const char *input = qint8_model_node_input(w->model, (size_t)n, i);
    if (input)
      reached |= visit(w, input, depth + 1);
  }
  qint8_tensor weights = QINT8_TENSOR_INIT;
  const char *name;
  int32_t axis;
  if (reached)
    add_op(w, info.op_type);
  if (!w->row->weights && qint8_model_weights(w->model, (size_t)n, &name, &weights, &axis, NULL) == QINT8_OK)
    measure_weights(w->row, &weights, axis, name, w->recipe);
  return reached;
}

/* ---- Causes ---- */

/* The squared shift of channels' means, as a share of the error that the layer adds. */
static double shift_share(const layer *row) {
  double sum = 0;
  double each = row->channels ? (double)row->born_seen / (double)row->channels : 0;
  for (int64_t c = 0; c < row->channels && row->shift; c++)
    sum += row->shift[c] * row->shift[c] / each;
  return row->born > 0 ? sum / row->born : 0;
}

static const layer *coarsest_input(const layer *row) {
  const layer *worst = NULL;
  for (int i = 0; i < row->input_count; i++)
    if (row->inputs[i]->is_int8 && (!worst || layer_rounding(row->inputs[i]) > layer_rounding(worst)))
      worst = row->inputs[i];
  return worst;
}

static void say(layer *row, const char *cause, const char *format, ...) __attribute__((format(printf, 3, 4)));
static void say(layer *row, const char *cause, const char *format, ...) {
  va_list ap;
  snprintf(row->cause, sizeof row->cause, "%s", cause);
  va_start(ap, format);
  vsnprintf(row->advice, sizeof row->advice, format, ap);
  va_end(ap);
}

#define WIDE_RATIO 4.0

static void blame_weights(layer *row) {
  if (row->one_scale && row->channel_ratio >= WIDE_RATIO)
    say(row, "weights",
        "one scale serves weights whose widest channel reaches %.0f times the median: quantize per channel "
        "(static_int8_per_channel), or equalise",
        row->channel_ratio);
  else if (row->one_scale)
    say(row, "weights", "one scale serves all channels of the weights: quantize per channel (static_int8_per_channel)");
  else
    say(row, "weights", "8 bits are few for these weights although each channel has its scale: round them adaptively, or "
                        "keep the layer in float");
}

static void blame_own_range(layer *row) {
  if (row->clipping > row->rounding)
    say(row, "clipping",
        "%.2g %% of the values lie beyond its range [%.4g, %.4g]: widen it (--observer minmax), or calibrate on more data",
        100 * layer_clip_rate(row),
        (double)row->qparams.scale * ((row->qparams.dtype == QINT8_DTYPE_S8 ? -128 : 0) - row->qparams.zero_point),
        (double)row->qparams.scale * ((row->qparams.dtype == QINT8_DTYPE_S8 ? 127 : 255) - row->qparams.zero_point));
  else
    say(row, "range",
        "its range is wide for its values, a step is %.2f of their root mean square: shorten it (--observer percentile), "
        "equalise, or keep its readers in float",
        (double)row->qparams.scale / sqrt(row->norm / (double)row->seen));
}

/* Most of what the layer adds comes from one of: a shift, its own 8 bits, those of its inputs, its weights. */
static void find_cause(layer *row) {
  const layer *input = coarsest_input(row);
  double born = layer_born(row), own = layer_rounding(row), in = input ? layer_rounding(input) : 0;
  double weights = isnan(row->weight_error) ? 0 : sqrt(row->weight_error);
  if (born == 0)
    say(row, "", "exact on exact inputs");
  else if (born * born * 4 < layer_rel_err(row) * layer_rel_err(row) && born < 0.05)
    say(row, "", "inherited: on exact inputs its error is only %.3g", born);
  else if (shift_share(row) > 0.5)
    say(row, "shift", "most of what it adds is a constant shift of its channels: correct biases, on more calibration data if they are");
  else if (own * own * 2 > born * born)
    blame_own_range(row);
  else if (weights > 0 && weights >= in)
    blame_weights(row);
  else if (input)
    say(row, "inputs",
        "it is sensitive to the rounding of its input %s (error %.3g there): keep it in float, or shorten that range",
        input->name, in);
  else
    say(row, "arithmetic", "what it computes loses by 8 bits: keep it in float if the result suffers");
}

void explain_layers(layers *t, const qint8_model *model, const qint8_recipe *recipe) {
  for (int i = 0; i < t->count; i++) {
    walk w = {.layers = t, .row = &t->rows[i], .model = model, .recipe = recipe};
    w.row->channel_ratio = w.row->weight_error = NAN;
    visit(&w, w.row->name, 0);
    if (w.op[0]) {
      char *op = allocate(strlen(w.op) + 1, 1);
      w.row->op = strcpy(op, w.op);
    }
  }
  for (int i = 0; i < t->count; i++)
    if (layer_counts(&t->rows[i]))
      find_cause(&t->rows[i]);
}
