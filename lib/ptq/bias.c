#include "ptq/bias.h"

#include <math.h>
#include <string.h>

#include "ops/hooks.h"
#include "ptq/loops.h"
#include "ptq/peek.h"
#include "quant/loops.h"
#include "quant/qparams.h"

/* Bytes that runs which stop at a node may keep, to go on from there. */
#define FRONTIER_BYTES ((size_t)1 << 27)

/* The mean of a tensor over the samples. */
typedef struct mean_image {
  q8_shape shape; /* of one sample: dimension 0 is 1 */
  double *sum;    /* [count]; NULL: not wanted, or not seen yet */
  size_t count;
  int64_t samples;
  int mixed;      /* samples of several shapes, which have no mean */
} mean_image;

typedef struct corrector {
  q8_pool pool;
  const q8_graph *graph;
  q8_recipe *recipe;
  q8_peek_run run;
  q8_frontier *frontier; /* of int8 runs */
  mean_image *means[2]; /* [tensor_count] of inputs of weighted nodes: in float, in int8 */
  uint8_t *wanted;      /* [tensor_count] whose means the next run takes */
  mean_image *taking;   /* means[0] or means[1] */
  int out_of_memory;
} corrector;

/* ---- Means ---- */

static void add_to_mean(void *user, q8_id tensor, const char *name, const q8_shape *shape, const float *values,
                        size_t count) {
  corrector *c = user;
  mean_image *mean = &c->taking[tensor];
  int64_t samples = shape->rank > 1 ? shape->dim[0] : 1;
  (void)name;
  if (mean->mixed || samples == 0)
    return;
  if (!mean->sum) {
    mean->count = count / (size_t)samples;
    mean->shape = *shape;
    if (shape->rank > 1)
      mean->shape.dim[0] = 1;
    mean->sum = q8_calloc(&c->pool.host, mean->count, sizeof *mean->sum);
    c->out_of_memory |= !mean->sum;
  }
  mean->mixed = !mean->sum || count != mean->count * (size_t)samples;
  for (size_t begin = 0; !mean->mixed && begin < count; begin += mean->count)
    q8_add_to_sums(mean->sum, values + begin, mean->count);
  mean->samples += samples;
}

static void drop_mean(corrector *c, mean_image *mean) {
  q8_free(&c->pool.host, mean->sum);
  *mean = (mean_image){.sum = NULL};
}

/* Takes the means of `count` wanted tensors, in float (recipe NULL) or in int8. */
static q8_status take_means(corrector *c, const q8_recipe *recipe, size_t count, qint8_error *error) {
  c->run.recipe = recipe;
  c->run.frontier = recipe ? c->frontier : NULL;
  c->taking = c->means[recipe != NULL];
  Q8_TRY(q8_peek_batches(&c->run, c->wanted, count, add_to_mean, c, error));
  return c->out_of_memory ? q8_fail_memory(error, "bias correction", sizeof(double)) : QINT8_OK;
}

/* ---- One node ---- */

/* The bias as integers of the recipe, one per output channel, read by this node alone. */
static int is_correctable(const corrector *c, size_t n) {
  const q8_node *node = &c->graph->nodes[n];
  if (node->op->quant != Q8_QUANT_WEIGHTED || c->recipe->modes[n] != Q8_MODE_STATIC || node->input_count < 3 ||
      node->inputs[2] == Q8_NONE)
    return 0;
  const q8_tensor *w = &c->graph->tensors[node->inputs[1]], *bias = &c->graph->tensors[node->inputs[2]];
  const q8_tensor_quant *wq = &c->recipe->tensors[node->inputs[1]], *bq = &c->recipe->tensors[node->inputs[2]];
  size_t channels = q8_shape_count(&bias->shape, NULL);
  return w->data && bias->data && bias->uses == 1 && q8_is_quantized(wq) && bq->dtype == QINT8_DTYPE_S32 &&
         (bq->count == 1 || (size_t)bq->count == channels) &&
         q8_is_quantized(&c->recipe->tensors[node->inputs[0]]);
}

/* What the int8 node multiplies by. */
static float *round_weights(corrector *c, const q8_node *node) {
  const q8_tensor *w = &c->graph->tensors[node->inputs[1]];
  const q8_tensor_quant *quant = &c->recipe->tensors[node->inputs[1]];
  size_t count = q8_shape_count(&w->shape, NULL);
  float *out = q8_alloc(&c->pool.host, count, sizeof *out);
  if (out)
    q8_grid_values(quant, w->data, q8_shape_inner(&w->shape, quant->axis + 1), out, count);
  return out;
}

/* The node without the clamp that was merged into it: only then is it linear. */
static q8_status unclamped(corrector *c, const q8_node *node, q8_node *out, qint8_error *error) {
  static const char *const bounds[] = {"activation_lo", "activation_hi"};
  size_t size = node->op->params_size;
  char *params = q8_pool_alloc(&c->pool, size ? size : 1, 1);
  Q8_TRY(q8_pool_check(&c->pool, node->name, error));
  if (size)
    memcpy(params, node->params, size);
  for (int i = 0; i < 2; i++) {
    float *bound = q8_op_field(node->op, params, bounds[i]);
    if (bound)
      *bound = i ? INFINITY : -INFINITY;
  }
  *out = *node;
  out->params = params;
  return QINT8_OK;
}

/* mean[k] is raised by `sign` times the mean of output channel k over its positions. */
static void add_channel_means(const q8_value *y, const q8_shape *weight, double sign, size_t channels, double *mean) {
  int32_t rank = y->shape.rank, axis = rank > 2 && weight->rank == rank ? 1 : rank - 1;
  const float *values = y->data;
  size_t inner = q8_shape_inner(&y->shape, axis + 1);
  for (size_t i = 0; i < y->count; i++)
    mean[i / inner % channels] += sign * (double)values[i] * (double)channels / (double)y->count;
}

/* The same for an operator that is not asked for means: every position is computed. */
static q8_status add_means_of_all(corrector *c, q8_op_io *io, double sign, size_t channels, double *mean) {
  q8_value *y = io->outputs;
  Q8_TRY(q8_infer(io));
  y->data = q8_alloc(&c->pool.host, y->count ? y->count : 1, sizeof(float));
  if (!y->data)
    return q8_fail_memory(io->error, io->node->name, y->count * sizeof(float));
  q8_status status = io->node->op->family->eval(io);
  if (status == QINT8_OK)
    add_channel_means(y, &io->inputs[1]->shape, sign, channels, mean);
  q8_free(&c->pool.host, y->data);
  return status;
}

static q8_status run_on_mean(corrector *c, const q8_node *node, const mean_image *x, const float *weights, double sign,
                             size_t channels, double *mean, qint8_error *error) {
  const q8_tensor *w = &c->graph->tensors[node->inputs[1]], *b = &c->graph->tensors[node->inputs[2]];
  float *image = q8_alloc(&c->pool.host, x->count, sizeof *image);
  q8_value inputs[3] = {{QINT8_DTYPE_F32, x->shape, x->count, image},
                        {QINT8_DTYPE_F32, w->shape, q8_shape_count(&w->shape, NULL), (void *)(uintptr_t)weights},
                        {QINT8_DTYPE_F32, b->shape, q8_shape_count(&b->shape, NULL), (void *)(uintptr_t)b->data}};
  const q8_value *pointers[3] = {&inputs[0], &inputs[1], &inputs[2]};
  q8_value y = {.data = NULL};
  q8_op_io io = {.node = node, .inputs = pointers, .outputs = &y, .error = error};
  if (!image)
    return q8_fail_memory(error, node->name, x->count * sizeof *image);
  for (size_t i = 0; i < x->count; i++)
    image[i] = (float)(x->sum[i] / (double)x->samples);
  q8_status status = q8_extras(node->op)->add_means ? q8_extras(node->op)->add_means(&io, &c->pool.host, sign, mean)
                                                    : add_means_of_all(c, &io, sign, channels, mean);
  q8_free(&c->pool.host, image);
  return status;
}

/* bias + difference, in steps of the accumulator. */
static q8_status keep_bias(corrector *c, const q8_node *node, const double *difference, size_t channels,
                           qint8_error *error) {
  const float *bias = c->graph->tensors[node->inputs[2]].data;
  const q8_tensor_quant *quant = &c->recipe->tensors[node->inputs[2]];
  int32_t *integers = q8_alloc(&c->pool.host, channels, sizeof *integers);
  if (!integers)
    return q8_fail_memory(error, node->name, channels * sizeof *integers);
  for (size_t k = 0; k < channels; k++) {
    double steps = rint(((double)bias[k] + difference[k]) / (double)quant->scale[quant->count > 1 ? k : 0]);
    steps = steps > Q8_MAX_BIAS_STEPS ? Q8_MAX_BIAS_STEPS : steps < -Q8_MAX_BIAS_STEPS ? -Q8_MAX_BIAS_STEPS : steps;
    integers[k] = (int32_t)steps;
  }
  q8_status status = q8_recipe_keep_integers(c->recipe, node->inputs[2], integers, channels, error);
  q8_free(&c->pool.host, integers);
  return status;
}

static q8_status difference_of(corrector *c, const q8_node *node, size_t channels, double *difference,
                               qint8_error *error) {
  const mean_image *exact = &c->means[0][node->inputs[0]], *rounded = &c->means[1][node->inputs[0]];
  q8_node linear;
  Q8_TRY(unclamped(c, node, &linear, error));
  float *weights = round_weights(c, node);
  if (!weights)
    return q8_fail_memory(error, node->name, sizeof *weights);
  q8_status status = run_on_mean(c, &linear, exact, c->graph->tensors[node->inputs[1]].data, 1, channels, difference,
                                 error);
  if (status == QINT8_OK)
    status = run_on_mean(c, &linear, rounded, weights, -1, channels, difference, error);
  q8_free(&c->pool.host, weights);
  return status;
}

static int are_finite(const double *x, size_t count) {
  for (size_t i = 0; i < count; i++)
    if (!isfinite(x[i]))
      return 0;
  return 1;
}

/* Both means exist; not so if the input has none, or is not stored as int8. */
static int are_comparable(const mean_image *a, const mean_image *b) {
  return a->sum && b->sum && !a->mixed && !b->mixed && a->samples == b->samples && a->count == b->count &&
         q8_shape_equal(&a->shape, &b->shape);
}

static q8_status take_int8_mean(corrector *c, q8_id x, qint8_error *error) {
  if (c->means[1][x].sum)
    return QINT8_OK; /* another node reads it too */
  c->wanted[x] = 1;
  q8_status status = take_means(c, c->recipe, 1, error);
  c->wanted[x] = 0;
  return status;
}

static q8_status correct_node(corrector *c, const q8_node *node, qint8_error *error) {
  q8_id x = node->inputs[0];
  size_t channels = q8_shape_count(&c->graph->tensors[node->inputs[2]].shape, NULL);
  Q8_TRY(take_int8_mean(c, x, error));
  if (!are_comparable(&c->means[0][x], &c->means[1][x]))
    return QINT8_OK;
  double *difference = q8_calloc(&c->pool.host, channels, sizeof *difference);
  if (!difference)
    return q8_fail_memory(error, node->name, channels * sizeof *difference);
  q8_status status = difference_of(c, node, channels, difference, error);
  if (status == QINT8_OK && are_finite(difference, channels))
    status = keep_bias(c, node, difference, channels, error);
  q8_free(&c->pool.host, difference);
  return status;
}

/* The means of what node n reads, if no later node needs them. */
static void drop_means(corrector *c, size_t n) {
  q8_id x = c->graph->nodes[n].inputs[0];
  for (size_t later = n + 1; later < c->graph->node_count; later++)
    if (is_correctable(c, later) && c->graph->nodes[later].inputs[0] == x)
      return;
  drop_mean(c, &c->means[0][x]);
  drop_mean(c, &c->means[1][x]);
}

static q8_status take_float_means(corrector *c, size_t *nodes, qint8_error *error) {
  size_t tensors = 0;
  *nodes = 0;
  for (size_t n = 0; n < c->graph->node_count; n++) {
    if (!is_correctable(c, n))
      continue;
    uint8_t *wanted = &c->wanted[c->graph->nodes[n].inputs[0]];
    tensors += !*wanted;
    *wanted = 1;
    ++*nodes;
  }
  if (tensors > 0)
    Q8_TRY(take_means(c, NULL, tensors, error));
  memset(c->wanted, 0, c->graph->tensor_count);
  return QINT8_OK;
}

static q8_status correct_all(corrector *c, qint8_error *error) {
  size_t total, done = 0;
  Q8_TRY(take_float_means(c, &total, error));
  for (size_t n = 0; n < c->graph->node_count; n++) {
    if (!is_correctable(c, n))
      continue;
    Q8_TRY(correct_node(c, &c->graph->nodes[n], error));
    drop_means(c, n);
    Q8_TRY(q8_progress(&c->pool.host, "correct biases", ++done, total, error));
  }
  return QINT8_OK;
}

q8_status q8_correct_biases(const q8_graph *graph, q8_recipe *recipe, const q8_runner *runner, qint8_error *error) {
  corrector c = {.graph = graph, .recipe = recipe, .run = {.graph = graph, .runner = runner}};
  size_t tensors = graph->tensor_count + 1;
  q8_pool_init(&c.pool, runner->host);
  c.wanted = q8_pool_alloc(&c.pool, tensors, 1);
  for (int i = 0; i < 2; i++)
    c.means[i] = q8_pool_alloc(&c.pool, tensors, sizeof *c.means[i]);
  q8_status status = q8_pool_check(&c.pool, "bias correction", error);
  if (status == QINT8_OK)
    status = q8_frontier_new(runner->batches->count, FRONTIER_BYTES, runner->host, &c.frontier, error);
  if (status == QINT8_OK)
    status = correct_all(&c, error);
  for (size_t t = 0; t < graph->tensor_count; t++)
    for (int i = 0; i < 2 && c.means[i]; i++)
      drop_mean(&c, &c.means[i][t]);
  q8_frontier_free(c.frontier);
  q8_pool_destroy(&c.pool);
  return status;
}
