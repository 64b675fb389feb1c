/* conv.c - Conv, 1-D to 3-D, with the activation clamp that rewrites may merge into it. */
#include <math.h>
#include <string.h>

#include "ops/conv_nd.h"
#include "ops/weighted.h"

static const q8_attribute attributes[] = {Q8_CONV_ATTRIBUTES, Q8_CONV_ACTIVATION};

static q8_status infer(const q8_op_io *io) {
  q8_conv_nd c;
  Q8_TRY(q8_conv_of_floats(io, 0, &c));
  return q8_conv_infer(io, &c, QINT8_DTYPE_F32);
}

static q8_status eval(const q8_op_io *io) {
  return q8_conv_eval(io, 0);
}

/* [k][c][r][s] to [k][r][s][c]. */
static void channels_last(const q8_conv_geometry *g, const float *w, float *out) {
  size_t channels = g->c / g->groups, taps = g->r * g->s;
  for (size_t k = 0; k < g->k; k++)
    for (size_t t = 0; t < taps; t++)
      for (size_t c = 0; c < channels; c++)
        *out++ = w[(k * channels + c) * taps + t];
}

static int is_unit(const q8_extent *e) {
  return e->kernel == 1 && e->stride == 1 && e->pad_begin == 0 && e->pad_end == 0;
}

q8_conv_geometry q8_conv_geometry_of(const q8_conv_nd *c) {
  const q8_extent *d = &c->e[0], *h = &c->e[1], *w = &c->e[2];
  const q8_extent plane = {h->in * w->in, 1, 1, 1, 0, 0, h->in * w->in};
  size_t images = (size_t)d->in;
  if (!is_unit(d))
    h = d, w = &plane, images = 1;
  return (q8_conv_geometry){.n = c->n * images,
                            .h = (size_t)h->in,
                            .w = (size_t)w->in,
                            .c = c->c,
                            .k = c->k,
                            .groups = c->groups,
                            .r = (size_t)h->kernel,
                            .s = (size_t)w->kernel,
                            .stride_h = (size_t)h->stride,
                            .stride_w = (size_t)w->stride,
                            .dilation_h = (size_t)h->dilation,
                            .dilation_w = (size_t)w->dilation,
                            .pad_top = (size_t)h->pad_begin,
                            .pad_left = (size_t)w->pad_begin,
                            .p = (size_t)h->out,
                            .q = (size_t)w->out};
}

/* Whether it is a 2-D convolution, if need be of another shape. With a scale per sample, planes are no samples. */
static int is_flat(const q8_conv_nd *c, q8_mode mode) {
  return (is_unit(&c->e[0]) && (c->e[0].in == 1 || mode != Q8_MODE_DYNAMIC)) || (is_unit(&c->e[1]) && is_unit(&c->e[2]));
}

static q8_status plan(q8_planner *planner, q8_id id) {
  const q8_value *inputs[3];
  q8_op_io io = q8_plan_op_io(planner, id, inputs);
  const q8_node *node = io.node;
  q8_conv_nd c;
  Q8_TRY(q8_conv_of_floats(&io, 0, &c));
  const q8_value *bias = q8_input(&io, 2);
  if (q8_plan_value(planner, node->outputs[0])->count == 0)
    return q8_plan_eval(planner, id);
  if (!q8_plan_is_constant(planner, node->inputs[1]) || (bias && !bias->data) ||
      !is_flat(&c, q8_plan_mode(planner, id)))
    return q8_plan_conv_nd(planner, id, &c);
  q8_weighted w = {.kind = "conv", .g = q8_conv_geometry_of(&c), .layout = Q8_CHANNELS_LAST, .bias_tensor = Q8_NONE};
  if (bias) {
    w.bias = bias->data;
    w.bias_tensor = node->inputs[2];
  }
  w.integers = q8_weighted_integers(planner, id, &w);
  if (!w.integers)
    Q8_TRY(q8_plan_floats(planner, node->inputs[1], &w.weights));
  if (w.integers || w.g.r * w.g.s == 1 || w.g.c == w.g.groups) /* one tap or one channel: the order is the same */
    return q8_plan_weighted(planner, id, &w);
  float *weights = q8_plan_borrow(planner, inputs[1]->count, sizeof *weights);
  if (!weights)
    return QINT8_ERROR_MEMORY;
  channels_last(&w.g, w.weights, weights);
  w.weights = weights;
  q8_status status = q8_plan_weighted(planner, id, &w);
  q8_plan_return(planner, weights);
  return status;
}

static int32_t weight_axis(const q8_node *node) {
  (void)node;
  return 0;
}

/* Depthwise kernels give uint8 at once, they have no accumulators that a run-time scale could be applied to; and their
 * weights are a small part of a model. */
static const char *dynamic_obstacle(const q8_node *node) {
  return ((const q8_conv_params *)node->params)->group > 1 ? "grouped convolution" : NULL;
}

/* sum[c][tap] of what the tap meets in channel c over all positions of y. */
static void sum_taps(const q8_conv_nd *c, const float *x, double *sum) {
  size_t in = q8_conv_positions(c, 0), out = q8_conv_positions(c, 1), taps = q8_conv_taps(c);
  for (size_t t = 0; t < taps; t++)
    for (size_t q = 0; q < out; q++) {
      int64_t source = q8_conv_read(c, q, t);
      for (size_t i = 0; source >= 0 && i < c->c; i++)
        sum[i * taps + t] += (double)x[i * in + (size_t)source];
    }
}

/* A mean is linear: one product of the weights by sums takes the place of one per position. */
static q8_status add_means(const q8_op_io *io, const q8_host *host, double factor, double *mean) {
  q8_conv_nd c;
  Q8_TRY(q8_conv_of_floats(io, 0, &c));
  size_t taps = q8_conv_taps(&c), row = c.c / c.groups * taps, out = q8_conv_positions(&c, 1);
  const float *w = io->inputs[1]->data;
  double *sum = q8_calloc(host, c.c * taps + 1, sizeof *sum);
  if (!sum)
    return q8_fail_memory(io->error, io->node->name, c.c * taps * sizeof *sum);
  sum_taps(&c, io->inputs[0]->data, sum);
  for (size_t k = 0; k < c.k && out > 0; k++) {
    const double *met = sum + k / (c.k / c.groups) * row;
    double total = 0;
    for (size_t i = 0; i < row; i++)
      total += (double)w[k * row + i] * met[i];
    mean[k] += factor * total / (double)out;
  }
  q8_free(host, sum);
  return QINT8_OK;
}

const q8_op q8_op_conv = {
    .name = "Conv", Q8_OPSETS(1, 21), Q8_INPUTS(2, 3), Q8_OUTPUTS(1, 1),
    Q8_ATTRIBUTES(attributes), .params_size = sizeof(q8_conv_params), .quant = Q8_QUANT_WEIGHTED,
    .float_inputs = 7,
    .family = &(const q8_op_family){.infer = infer, .eval = eval, .plan = plan,
                                    .extras = &(const q8_op_extras){.weight_axis = weight_axis,
                                                                    .dynamic_obstacle = dynamic_obstacle,
                                                                    .add_means = add_means}}};
