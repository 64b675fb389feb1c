/* conv_nd.c - Conv in float over one to three dimensions, with weights that may be computed: pixels are rows of the
 * float GEMM, one tap per kernel position. */
#include "ops/conv_nd.h"

#include <math.h>
#include <string.h>

#include "nn/linear.h"
#include "ops/hooks.h"

typedef struct conv_step {
  q8_conv_nd c;
  const q8_kernels *kernels;
  q8_linear linear;
  int packed;             /* else the weights are an input, packed while running */
  int has_bias;           /* as an input; a constant one is in `bias` */
  size_t weights_size, bias_size;
  const float *zeros;     /* c values: padding */
  float *bias;            /* k values, readable to 64 beyond */
  float lo, hi;
} conv_step;

typedef struct pixels {
  const conv_step *p;
  const float *x;
} pixels;

static void find_rows(const void *source, size_t group, size_t tap, size_t row, size_t count, const void **out) {
  const pixels *s = source;
  const q8_conv_nd *c = &s->p->c;
  size_t outputs = q8_conv_positions(c, 1), inputs = q8_conv_positions(c, 0);
  int64_t t[Q8_CONV_DIMS], at[Q8_CONV_DIMS];
  q8_conv_split(c, 0, tap, t);
  for (size_t i = 0; i < count; i++) {
    size_t image = (row + i) / outputs;
    q8_conv_split(c, 1, (row + i) % outputs, at);
    int64_t from = q8_conv_source(c, at, t);
    out[i] = from < 0 ? s->p->zeros
                      : s->x + (image * inputs + (size_t)from) * c->c + group * (c->c / c->groups);
  }
}

static q8_linear_desc describe(const q8_conv_nd *c, const float *w) {
  size_t taps = q8_conv_taps(c), channels = c->c / c->groups, outputs = c->k / c->groups;
  return (q8_linear_desc){.groups = c->groups,
                          .taps = taps,
                          .k = channels,
                          .n = outputs,
                          .w = w,
                          .w_group = outputs * channels * taps,
                          .w_out = channels * taps,
                          .w_tap = 1,
                          .w_in = taps};
}

static void run_conv(const q8_step_run *r) {
  const conv_step *p = r->params;
  const q8_conv_nd *c = &p->c;
  uint8_t *scratch = r->scratch;
  float *bias = p->bias;
  q8_linear linear = p->linear;
  if (!p->packed) {
    q8_linear_desc d = describe(c, r->in[1]);
    linear.weights = scratch;
    q8_linear_fill_float(&linear, &d, linear.weights);
  }
  if (p->has_bias) {
    bias = (float *)(void *)(scratch + p->weights_size);
    memcpy(bias, r->in[p->packed ? 1 : 2], c->k * sizeof *bias);
    memset(bias + c->k, 0, 64 * sizeof *bias);
  }
  q8_epilogue epilogue = {.kind = Q8_EPILOGUE_FLOAT, .bias = bias, .lo = p->lo, .hi = p->hi};
  pixels source = {p, r->in[0]};
  q8_linear_run run = {.linear = &linear,
                       .kernels = p->kernels,
                       .rows = find_rows,
                       .source = &source,
                       .m = c->n * q8_conv_positions(c, 1),
                       .y_stride = c->k,
                       .epilogue = &epilogue,
                       .y = r->out[0],
                       .scratch = scratch + p->weights_size + p->bias_size};
  q8_linear_execute(&run, r->host);
}

q8_status q8_plan_conv_nd(q8_planner *planner, q8_id id, const q8_conv_nd *c) {
  const q8_node *node = q8_plan_node(planner, id);
  const float *w;
  Q8_TRY(q8_plan_floats(planner, node->inputs[1], &w));
  int bias_given = node->input_count > 2 && node->inputs[2] != Q8_NONE;
  const float *bias = bias_given ? q8_plan_value(planner, node->inputs[2])->data : NULL;
  q8_step *step;
  conv_step *p = q8_plan_begin(planner, "conv", run_conv, sizeof *p, &step);
  float *zeros = q8_plan_alloc(planner, c->c + 64, sizeof *zeros);
  float *values = q8_plan_alloc(planner, c->k + 64, sizeof *values);
  if (!p || !zeros || !values)
    return QINT8_ERROR_MEMORY;
  p->c = *c;
  p->kernels = q8_plan_kernels(planner);
  p->packed = w != NULL;
  p->has_bias = bias_given && !bias;
  p->zeros = zeros;
  p->bias = values;
  if (bias)
    memcpy(values, bias, c->k * sizeof *bias);
  q8_node_clamp(node, &p->lo, &p->hi);
  q8_linear_desc d = describe(c, w);
  Q8_TRY((w ? q8_linear_pack_float : q8_linear_layout_float)(p->kernels, &d, q8_plan_pool(planner), &p->linear,
                                                             q8_plan_error(planner)));
  p->weights_size = w ? 0 : q8_round_up(c->groups * p->linear.group_size, Q8_ALIGN);
  p->bias_size = p->has_bias ? q8_round_up((c->k + 64) * sizeof(float), Q8_ALIGN) : 0;
  size_t rows = c->n * q8_conv_positions(c, 1);
  step->kernel = p->linear.kernel_name;
  step->scratch_size = p->weights_size + p->bias_size + q8_linear_scratch(&p->linear, rows, q8_plan_threads(planner));
  step->macs = (int64_t)(rows * c->k * (c->c / c->groups) * q8_conv_taps(c));
  return q8_plan_finish(planner, step, 1u | (w ? 0 : 2) | (p->has_bias ? 4 : 0), Q8_FORM_NATIVE, Q8_FORM_NATIVE,
                        Q8_CHANNELS_LAST);
}
