/* conv.c - Conv, 1-D and 2-D, with the activation clamp that rewrites may merge into it. */
#include <math.h>
#include <string.h>

#include "ops/weighted.h"

typedef struct conv_params {
  q8_ints kernel_shape, pads, strides, dilations;
  int64_t group;
  char auto_pad[32];
  float activation_lo, activation_hi;
} conv_params;

#define AT(field) offsetof(conv_params, field)
static const q8_attribute attributes[] = {
    {"kernel_shape", Q8_ATTR_INTS, AT(kernel_shape), 0, NULL, 0, 0},
    {"pads", Q8_ATTR_INTS, AT(pads), 0, NULL, 0, 0},
    {"strides", Q8_ATTR_INTS, AT(strides), 0, NULL, 0, 0},
    {"dilations", Q8_ATTR_INTS, AT(dilations), 0, NULL, 0, 0},
    {"group", Q8_ATTR_INT, AT(group), 1, NULL, 0, 0},
    {"auto_pad", Q8_ATTR_STRING, AT(auto_pad), 0, "NOTSET", 0, 0},
    {"activation_lo", Q8_ATTR_FLOAT, AT(activation_lo), -(double)INFINITY, NULL, 0, 1},
    {"activation_hi", Q8_ATTR_FLOAT, AT(activation_hi), (double)INFINITY, NULL, 0, 1},
    {.name = NULL},
};

/* One spatial dimension. */
typedef struct extent {
  int64_t in, kernel, stride, dilation, pad_begin, pad_end, out;
} extent;

static int64_t int_at(const q8_ints *ints, int32_t i, int64_t otherwise) {
  return i < ints->count ? ints->v[i] : otherwise;
}

static q8_status find_extent(const q8_op_io *io, const conv_params *p, int32_t i, int32_t spatial, extent *e) {
  const q8_shape *x = &io->inputs[0]->shape, *w = &io->inputs[1]->shape;
  const char *name = io->node->name;
  e->in = x->dim[2 + i];
  e->kernel = w->dim[2 + i];
  e->stride = int_at(&p->strides, i, 1);
  e->dilation = int_at(&p->dilations, i, 1);
  e->pad_begin = int_at(&p->pads, i, 0);
  e->pad_end = int_at(&p->pads, i + spatial, 0);
  if (int_at(&p->kernel_shape, i, e->kernel) != e->kernel)
    return q8_fail(io->error, QINT8_ERROR_SHAPE, name, "kernel_shape %lld, but the weight has %lld",
                   (long long)p->kernel_shape.v[i], (long long)e->kernel);
  const int64_t limit = 1 << 24;
  if (e->kernel < 1 || e->stride < 1 || e->dilation < 1 || e->pad_begin < 0 || e->pad_end < 0 || e->kernel > limit ||
      e->stride > limit || e->dilation > limit || e->pad_begin > limit || e->pad_end > limit || e->in > limit)
    return q8_fail(io->error, QINT8_ERROR_SHAPE, name,
                   "dimension %d: size %lld, kernel %lld, stride %lld, dilation %lld, pads %lld and %lld", i,
                   (long long)e->in, (long long)e->kernel, (long long)e->stride, (long long)e->dilation,
                   (long long)e->pad_begin, (long long)e->pad_end);
  int64_t reach = (e->kernel - 1) * e->dilation + 1;
  if (!strcmp(p->auto_pad, "VALID")) {
    e->pad_begin = e->pad_end = 0;
  } else if (!strncmp(p->auto_pad, "SAME", 4)) {
    int64_t out = (e->in + e->stride - 1) / e->stride, total = (out - 1) * e->stride + reach - e->in;
    total = total > 0 ? total : 0;
    e->pad_begin = !strcmp(p->auto_pad, "SAME_LOWER") ? total - total / 2 : total / 2;
    e->pad_end = total - e->pad_begin;
  }
  if (e->in + e->pad_begin + e->pad_end < reach)
    return q8_fail(io->error, QINT8_ERROR_SHAPE, name, "dimension %d: a kernel that reaches over %lld of %lld values",
                   i, (long long)reach, (long long)(e->in + e->pad_begin + e->pad_end));
  e->out = (e->in + e->pad_begin + e->pad_end - reach) / e->stride + 1;
  return QINT8_OK;
}

/* Geometry of a checked node; 1-D has height 1. */
static q8_status find_geometry(const q8_op_io *io, q8_conv_geometry *g) {
  const conv_params *p = io->node->params;
  const q8_shape *x = &io->inputs[0]->shape, *w = &io->inputs[1]->shape;
  const q8_value *bias = q8_input(io, 2);
  char a[128], b[128];
  int32_t spatial = x->rank - 2;
  if (x->rank != w->rank || spatial < 1 || spatial > 2)
    return q8_fail(io->error, spatial > 2 ? QINT8_ERROR_UNSUPPORTED : QINT8_ERROR_SHAPE, io->node->name,
                   "input %s and weight %s: 1-D and 2-D convolution have rank 3 and 4",
                   q8_shape_text(x, a, sizeof a), q8_shape_text(w, b, sizeof b));
  if (p->group < 1 || x->dim[1] != w->dim[1] * p->group || w->dim[0] % p->group || w->dim[0] < 1 || x->dim[1] < 1)
    return q8_fail(io->error, QINT8_ERROR_SHAPE, io->node->name, "input %s, weight %s and %lld groups do not fit",
                   q8_shape_text(x, a, sizeof a), q8_shape_text(w, b, sizeof b), (long long)p->group);
  if (bias && (bias->count != (size_t)w->dim[0] || bias->dtype != QINT8_DTYPE_F32))
    return q8_fail(io->error, QINT8_ERROR_SHAPE, io->node->name, "bias %s for %lld output channels",
                   q8_shape_text(&bias->shape, a, sizeof a), (long long)w->dim[0]);
  extent e[2] = {{1, 1, 1, 1, 0, 0, 1}, {1, 1, 1, 1, 0, 0, 1}};
  for (int32_t i = 0; i < spatial; i++)
    Q8_TRY(find_extent(io, p, i, spatial, &e[i + 2 - spatial]));
  *g = (q8_conv_geometry){.n = (size_t)x->dim[0],
                          .h = (size_t)e[0].in,
                          .w = (size_t)e[1].in,
                          .c = (size_t)x->dim[1],
                          .k = (size_t)w->dim[0],
                          .groups = (size_t)p->group,
                          .r = (size_t)e[0].kernel,
                          .s = (size_t)e[1].kernel,
                          .stride_h = (size_t)e[0].stride,
                          .stride_w = (size_t)e[1].stride,
                          .dilation_h = (size_t)e[0].dilation,
                          .dilation_w = (size_t)e[1].dilation,
                          .pad_top = (size_t)e[0].pad_begin,
                          .pad_left = (size_t)e[1].pad_begin,
                          .p = (size_t)e[0].out,
                          .q = (size_t)e[1].out};
  return QINT8_OK;
}

static q8_status infer(const q8_op_io *io) {
  q8_conv_geometry g;
  Q8_TRY(q8_need_dtype(io, 0, QINT8_DTYPE_F32));
  Q8_TRY(q8_need_dtype(io, 1, QINT8_DTYPE_F32));
  Q8_TRY(find_geometry(io, &g));
  q8_shape shape = {.rank = io->inputs[0]->shape.rank, .dim = {(int64_t)g.n, (int64_t)g.k}};
  if (shape.rank == 4)
    shape.dim[2] = (int64_t)g.p;
  shape.dim[shape.rank - 1] = (int64_t)g.q;
  return q8_infer_set(io, 0, QINT8_DTYPE_F32, &shape);
}

static float dot(const q8_conv_geometry *g, const float *x, const float *w, size_t p, size_t q) {
  float sum = 0;
  for (size_t c = 0; c < g->c / g->groups; c++)
    for (size_t i = 0; i < g->r; i++)
      for (size_t j = 0; j < g->s; j++) {
        size_t y = p * g->stride_h + i * g->dilation_h - g->pad_top, z = q * g->stride_w + j * g->dilation_w - g->pad_left;
        if (y < g->h && z < g->w) /* positions before the image wrap to huge values */
          sum += x[(c * g->h + y) * g->w + z] * w[(c * g->r + i) * g->s + j];
      }
  return sum;
}

static q8_status eval(const q8_op_io *io) {
  const conv_params *params = io->node->params;
  const q8_value *bias = q8_input(io, 2);
  q8_conv_geometry g;
  Q8_TRY(find_geometry(io, &g));
  const float *x = io->inputs[0]->data, *w = io->inputs[1]->data;
  float *y = io->outputs[0].data;
  size_t channels = g.c / g.groups, per_group = g.k / g.groups;
  for (size_t n = 0; n < g.n; n++)
    for (size_t k = 0; k < g.k; k++)
      for (size_t p = 0; p < g.p; p++)
        for (size_t q = 0; q < g.q; q++) {
          const float *image = x + (n * g.c + k / per_group * channels) * g.h * g.w;
          float v = dot(&g, image, w + k * channels * g.r * g.s, p, q) + (bias ? ((const float *)bias->data)[k] : 0.0f);
          v = v < params->activation_lo ? params->activation_lo : v;
          *y++ = v > params->activation_hi ? params->activation_hi : v;
        }
  return QINT8_OK;
}

/* [k][c][r][s] to [k][r][s][c]. */
static void channels_last(const q8_conv_geometry *g, const float *w, float *out) {
  size_t channels = g->c / g->groups, taps = g->r * g->s;
  for (size_t k = 0; k < g->k; k++)
    for (size_t c = 0; c < channels; c++)
      for (size_t t = 0; t < taps; t++)
        out[(k * taps + t) * channels + c] = w[(k * channels + c) * taps + t];
}

static q8_status plan(q8_planner *planner, q8_id id, qint8_error *error) {
  const q8_node *node = q8_plan_node(planner, id);
  const q8_value *inputs[3] = {NULL};
  for (int32_t i = 0; i < node->input_count && i < 3; i++)
    inputs[i] = node->inputs[i] == Q8_NONE ? NULL : q8_plan_value(planner, node->inputs[i]);
  q8_op_io io = {.node = node, .inputs = inputs, .error = error};
  q8_weighted w = {.kind = "conv", .layout = Q8_CHANNELS_LAST, .bias_tensor = Q8_NONE};
  Q8_TRY(find_geometry(&io, &w.g));
  const q8_value *bias = q8_input(&io, 2);
  if (!inputs[1]->data || (bias && !bias->data) || q8_plan_value(planner, node->outputs[0])->count == 0)
    return q8_plan_eval(planner, id, error); /* weights that are computed: no packing ahead */
  if (bias) {
    w.bias = bias->data;
    w.bias_tensor = node->inputs[2];
  }
  const q8_host *host = &q8_plan_pool(planner)->host;
  float *weights = q8_alloc(host, inputs[1]->count, sizeof *weights);
  if (!weights)
    return q8_fail_memory(error, node->name, inputs[1]->count * sizeof *weights);
  channels_last(&w.g, inputs[1]->data, weights);
  w.weights = weights;
  q8_status status = q8_plan_weighted(planner, id, &w, error);
  q8_free(host, weights);
  return status;
}

static int32_t weight_axis(const q8_node *node) {
  (void)node;
  return 0;
}

/* Depthwise kernels give uint8 at once, they have no accumulators that a run-time scale could be applied to; and their
 * weights are a small part of a model. */
static const char *dynamic_obstacle(const q8_node *node) {
  return ((const conv_params *)node->params)->group > 1 ? "grouped convolution" : NULL;
}

const q8_op q8_op_conv = {.name = "Conv",
                          .domain = "",
                          .min_opset = 1,
                          .max_opset = 21,
                          .min_inputs = 2,
                          .max_inputs = 3,
                          .min_outputs = 1,
                          .max_outputs = 1,
                          .attributes = attributes,
                          .params_size = sizeof(conv_params),
                          .quant = Q8_QUANT_WEIGHTED,
                          .weight_axis = weight_axis,
                          .dynamic_obstacle = dynamic_obstacle,
                          .infer = infer,
                          .eval = eval,
                          .plan = plan};
