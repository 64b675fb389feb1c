/* affine.c - y = conv(x) * g + h with constants per channel becomes a convolution with other weights and bias:
 * BatchNormalization, Mul, Div, Add or Sub by constants after Conv or Gemm. Computed in double, rounded once. */
#include <math.h>
#include <string.h>

#include "rewrite/pass.h"

/* Where the result of Conv and Gemm has its channels. */
#define CHANNEL_AXIS 1

typedef struct affine {
  size_t channels;
  double *g, *h; /* [channels] */
} affine;

/* Conv or Gemm with constant weights and bias, whose result only `user` reads, or NULL. */
static const q8_node *weighted_before(const q8_graph *graph, q8_id tensor, q8_id user) {
  const q8_node *n = q8_producer(graph, tensor, "Conv Gemm ConvTranspose");
  float lo, hi;
  if (!n || q8_graph_only_user(graph, tensor) != user || q8_node_clamp(n, &lo, &hi))
    return NULL;
  if (q8_is_op(n, "ConvTranspose") && q8_op_int(n->op, n->params, "group", 1) != 1)
    return NULL; /* its weights do not have the output channels on one axis */
  for (int32_t i = 1; i < n->input_count; i++)
    if (n->inputs[i] != Q8_NONE && (!q8_graph_is_constant(graph, n->inputs[i]) ||
                                    graph->tensors[n->inputs[i]].dtype != QINT8_DTYPE_F32))
      return NULL;
  return n;
}

static size_t channels_of(const q8_graph *graph, const q8_node *weighted) {
  const q8_shape *w = &graph->tensors[weighted->inputs[1]].shape;
  int32_t axis = q8_weight_axis(weighted);
  return axis < w->rank && w->rank >= 2 ? (size_t)w->dim[axis] : 0;
}

/* 1 if the constant holds one value, or one for each channel of a result of this rank. */
static int per_channel(const q8_tensor *t, int32_t rank, size_t channels) {
  if (!t->data || t->dtype != QINT8_DTYPE_F32 || t->shape.rank > rank)
    return 0;
  for (int32_t i = 0; i < t->shape.rank; i++) {
    int32_t axis = i + rank - t->shape.rank;
    if (t->shape.dim[i] != 1 && !(axis == CHANNEL_AXIS && (size_t)t->shape.dim[i] == channels))
      return 0;
  }
  return 1;
}

static double value_of(const q8_tensor *t, size_t c) {
  return ((const float *)t->data)[q8_shape_count(&t->shape, NULL) == 1 ? 0 : c];
}

/* y = (x - mean) / sqrt(var + epsilon) * scale + b */
static int read_batchnorm(const q8_graph *graph, const q8_node *n, affine *a) {
  const q8_tensor *t[5];
  if (q8_op_int(n->op, n->params, "training_mode", 0))
    return 0;
  for (int i = 1; i < 5; i++) {
    t[i] = &graph->tensors[n->inputs[i]];
    if (!t[i]->data || t[i]->dtype != QINT8_DTYPE_F32 || q8_shape_count(&t[i]->shape, NULL) != a->channels)
      return 0;
  }
  double epsilon = q8_op_float(n->op, n->params, "epsilon", 1e-5f);
  for (size_t c = 0; c < a->channels; c++) {
    a->g[c] = value_of(t[1], c) / sqrt(value_of(t[4], c) + epsilon);
    a->h[c] = value_of(t[2], c) - value_of(t[3], c) * a->g[c];
  }
  return 1;
}

/* `side`: which input is the constant. */
static int read_arithmetic(const q8_graph *graph, const q8_node *n, int side, int32_t rank, affine *a) {
  const q8_tensor *t = &graph->tensors[n->inputs[side]];
  int mul = q8_is_op(n, "Mul"), div = q8_is_op(n, "Div"), sub = q8_is_op(n, "Sub");
  if (!per_channel(t, rank, a->channels) || ((div || sub) && side == 0))
    return 0;
  for (size_t c = 0; c < a->channels; c++) {
    double v = value_of(t, c);
    a->g[c] = mul ? v : div ? 1 / v : 1;
    a->h[c] = mul || div ? 0 : sub ? -v : v;
  }
  return 1;
}

/* W'[k] = W[k] * g[k] along `axis`. */
static q8_status scale_weights(q8_graph *graph, q8_id weights, int32_t axis, const affine *a, q8_id *out,
                               qint8_error *error) {
  Q8_TRY(q8_graph_expand(graph, weights, error));
  q8_tensor w = graph->tensors[weights]; /* a copy: adding a tensor moves the table */
  size_t inner = q8_shape_inner(&w.shape, axis + 1), count = q8_shape_count(&w.shape, NULL);
  float *data;
  Q8_TRY(q8_new_constant(graph, w.name, &w.shape, out, &data, error));
  for (size_t i = 0; i < count; i++)
    data[i] = (float)(((const float *)w.data)[i] * a->g[i / inner % a->channels]);
  return QINT8_OK;
}

/* B' = B * g + h, B times the factor that Gemm gives it. */
static q8_status new_bias(q8_graph *graph, const q8_node *weighted, q8_id old, const affine *a, q8_id *out,
                          qint8_error *error) {
  q8_shape shape = {.rank = 1, .dim = {(int64_t)a->channels}};
  double beta = q8_op_float(weighted->op, weighted->params, "beta", 1);
  q8_tensor bias = {.data = NULL};
  float *data;
  if (old != Q8_NONE)
    bias = graph->tensors[old];
  Q8_TRY(q8_new_constant(graph, bias.data ? bias.name : weighted->name, &shape, out, &data, error));
  for (size_t c = 0; c < a->channels; c++)
    data[c] = (float)((bias.data ? value_of(&bias, c) * beta * a->g[c] : 0) + a->h[c]);
  return QINT8_OK;
}

static int scales(const affine *a) {
  for (size_t c = 0; c < a->channels; c++)
    if (a->g[c] != 1)
      return 1;
  return 0;
}

/* `node` takes over the weighted operator with the new weights and bias. */
static q8_status fold(q8_graph *graph, q8_id node, const q8_node *weighted, const affine *a, qint8_error *error) {
  q8_node *n = &graph->nodes[node];
  q8_id *inputs = q8_pool_alloc(&graph->pool, 3, sizeof *inputs);
  void *params = q8_pool_alloc(&graph->pool, 1, weighted->op->params_size);
  if (!inputs || !params)
    return q8_fail_memory(error, n->name, weighted->op->params_size);
  memcpy(params, weighted->params, weighted->op->params_size);
  float *beta = q8_float_field(weighted->op, params, "beta");
  q8_id old = weighted->input_count > 2 ? weighted->inputs[2] : Q8_NONE;
  inputs[0] = weighted->inputs[0];
  inputs[1] = weighted->inputs[1];
  if (scales(a))
    Q8_TRY(scale_weights(graph, inputs[1], q8_weight_axis(weighted), a, &inputs[1], error));
  Q8_TRY(new_bias(graph, weighted, old, a, &inputs[2], error));
  if (beta)
    *beta = 1;
  n->name = weighted->name;
  n->op = weighted->op;
  n->params = params;
  n->inputs = inputs;
  n->input_count = 3;
  return QINT8_OK;
}

static q8_status try_side(q8_graph *graph, q8_id node, int side, int *changed, qint8_error *error) {
  const q8_node *n = &graph->nodes[node], *weighted = weighted_before(graph, n->inputs[side], node);
  affine a = {.channels = weighted ? channels_of(graph, weighted) : 0};
  if (!a.channels)
    return QINT8_OK;
  int32_t rank = graph->tensors[weighted->inputs[1]].shape.rank;
  q8_id bias = weighted->input_count > 2 ? weighted->inputs[2] : Q8_NONE;
  if (bias != Q8_NONE && q8_shape_count(&graph->tensors[bias].shape, NULL) != a.channels &&
      q8_shape_count(&graph->tensors[bias].shape, NULL) != 1)
    return QINT8_OK;
  if (bias != Q8_NONE && rank == 2 && !per_channel(&graph->tensors[bias], rank, a.channels))
    return QINT8_OK;
  const q8_host *host = &graph->pool.host;
  a.g = q8_alloc(host, a.channels * 2, sizeof *a.g);
  if (!a.g)
    return q8_fail_memory(error, n->name, a.channels * 2 * sizeof *a.g);
  a.h = a.g + a.channels;
  q8_status status = QINT8_OK;
  if (q8_is_op(n, "BatchNormalization") ? side == 0 && read_batchnorm(graph, n, &a)
                                        : read_arithmetic(graph, n, 1 - side, rank, &a)) {
    status = fold(graph, node, weighted, &a, error);
    *changed = 1;
  }
  q8_free(host, a.g);
  return status;
}

q8_status q8_pass_affine(q8_graph *graph, q8_id node, int *changed, qint8_error *error) {
  if (!q8_is_op(&graph->nodes[node], "BatchNormalization Mul Div Add Sub"))
    return QINT8_OK;
  for (int side = 0; side < 2 && !*changed; side++)
    Q8_TRY(try_side(graph, node, side, changed, error));
  return QINT8_OK;
}
