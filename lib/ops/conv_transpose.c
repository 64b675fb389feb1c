/* conv_transpose.c - ConvTranspose, 1-D to 3-D.
 *
 * Output positions o with the same (o + pad) mod stride, a phase, see the same kernel positions: each phase is a plain
 * convolution of stride 1 with a part of the kernel, turned around, whose results are spread over y. So the products run
 * on the kernels of Conv in every precision. */
#include <math.h>
#include <string.h>

#include "ops/conv_nd.h"
#include "ops/weighted.h"

static const q8_attribute attributes[] = {Q8_CONV_ATTRIBUTES,
                                          {"output_padding", Q8_ATTR_INTS, Q8_SPATIAL_AT(output_padding), 0, 0, 0},
                                          {"output_shape", Q8_ATTR_INTS, Q8_SPATIAL_AT(output_shape), 0, 0, 0},
                                          Q8_CONV_ACTIVATION};

static q8_status infer(const q8_op_io *io) {
  q8_conv_nd c;
  Q8_TRY(q8_conv_of_floats(io, 1, &c));
  return q8_conv_infer(io, &c, QINT8_DTYPE_F32);
}

static q8_status eval(const q8_op_io *io) {
  return q8_conv_eval(io, 1);
}

/* ---- Phases ---- */

/* One phase of one dimension. Tap u of the plain convolution, counted from the first input position it reads, is tap
 * `last - u * step` of the kernel; taps outside the kernel have zero weights. */
typedef struct phase_extent {
  int64_t first; /* its results are positions first + i * stride of y */
  int64_t last, step;
  q8_extent e;   /* of the plain convolution */
} phase_extent;

static int64_t common_divisor(int64_t a, int64_t b) {
  while (b) {
    int64_t rest = a % b;
    a = b;
    b = rest;
  }
  return a;
}

static void find_phase(const q8_extent *e, int64_t first, phase_extent *p) {
  int64_t divisor = common_divisor(e->stride, e->dilation), count = 0;
  *p = (phase_extent){.first = first, .last = -1, .step = e->stride / divisor};
  p->e = (q8_extent){.in = e->in,
                     .kernel = 1,
                     .stride = 1,
                     .dilation = e->dilation / divisor,
                     .out = (e->out - first + e->stride - 1) / e->stride};
  for (int64_t t = 0; t < e->kernel; t++)
    if ((first + e->pad_begin - t * e->dilation) % e->stride == 0) {
      p->last = t;
      count++;
    }
  if (count == 0)
    return; /* nothing but the bias: one tap of zeros */
  p->e.kernel = count;
  p->e.pad_begin = -((first + e->pad_begin - p->last * e->dilation) / e->stride);
  while (p->e.pad_begin < 0) { /* begin before the input, with zero weights */
    p->last += p->step;
    p->e.kernel++;
    p->e.pad_begin += p->e.dilation;
  }
}

typedef struct phase {
  phase_extent h, w;
  q8_step step;
} phase;

typedef struct transpose_step {
  q8_conv_nd c;
  size_t pixel;         /* bytes of a pixel of y */
  size_t phase_count, phase_bytes; /* bytes of the largest phase's result */
  int joined;           /* the kernel is as large as the stride: one product gives all phases of a pixel */
  phase *phases;
} transpose_step;

/* No two inputs meet in y, and nothing is cut off. */
static int can_join(const q8_conv_nd *c) {
  for (int d = 1; d < Q8_CONV_DIMS; d++) {
    const q8_extent *e = &c->e[d];
    if (e->kernel != e->stride || e->dilation != 1 || e->pad_begin || e->out != e->in * e->stride)
      return 0;
  }
  return c->groups == 1 && q8_conv_taps(c) > 1;
}

static void scatter(const transpose_step *p, const phase *f, const uint8_t *from, uint8_t *y) {
  size_t width = (size_t)p->c.e[2].out, step = (size_t)p->c.e[2].stride;
  for (size_t n = 0; n < p->c.n; n++)
    for (int64_t i = 0; i < f->h.e.out; i++) {
      size_t row = n * (size_t)p->c.e[1].out + (size_t)(f->h.first + i * p->c.e[1].stride);
      uint8_t *to = y + (row * width + (size_t)f->w.first) * p->pixel;
      for (int64_t j = 0; j < f->w.e.out; j++, from += p->pixel, to += step * p->pixel)
        memcpy(to, from, p->pixel);
    }
}

/* Each pixel of the product holds a block of y, row by row. */
static void scatter_blocks(const transpose_step *p, const uint8_t *from, uint8_t *y) {
  const q8_extent *h = &p->c.e[1], *w = &p->c.e[2];
  size_t piece = (size_t)w->stride * p->pixel, line = (size_t)w->in * piece;
  for (size_t i = 0; i < p->c.n * (size_t)h->in; i++, y += (size_t)h->stride * line)
    for (size_t j = 0; j < (size_t)w->in; j++)
      for (size_t r = 0; r < (size_t)h->stride; r++, from += piece)
        memcpy(y + r * line + j * piece, from, piece);
}

static void run_transpose(const q8_step_run *r) {
  const transpose_step *p = r->params;
  uint8_t *scratch = r->scratch;
  for (size_t i = 0; i < p->phase_count; i++) {
    void *whole = p->phase_bytes ? scratch : r->out[0];
    q8_step_run part = *r;
    part.params = p->phases[i].step.params;
    part.out = &whole;
    part.scratch = scratch + p->phase_bytes;
    p->phases[i].step.run(&part);
    if (p->joined)
      scatter_blocks(p, whole, r->out[0]);
    else if (p->phase_bytes)
      scatter(p, &p->phases[i], whole, r->out[0]);
  }
}

/* The phase's part of w [c][k / groups][kernel], as [k][taps][c / groups]. */
static void take_weights(const q8_conv_nd *c, const phase *f, const float *w, float *out) {
  size_t channels = c->c / c->groups, outputs = c->k / c->groups, taps = q8_conv_taps(c);
  for (size_t k = 0; k < c->k; k++)
    for (int64_t i = 0; i < f->h.e.kernel; i++)
      for (int64_t j = 0; j < f->w.e.kernel; j++) {
        int64_t r = f->h.last - i * f->h.step, s = f->w.last - j * f->w.step;
        int inside = r >= 0 && r < c->e[1].kernel && s >= 0 && s < c->e[2].kernel;
        for (size_t m = 0; m < channels; m++)
          *out++ = !inside ? 0
                           : w[((k / outputs * channels + m) * outputs + k % outputs) * taps +
                               (size_t)(r * c->e[2].kernel + s)];
      }
}

/* w [c][k][kernel] as [kernel][k][c]: every tap is an output of its own. */
static void take_all_weights(const q8_conv_nd *c, const float *w, float *out) {
  size_t taps = q8_conv_taps(c);
  for (size_t t = 0; t < taps; t++)
    for (size_t k = 0; k < c->k; k++)
      for (size_t m = 0; m < c->c; m++)
        *out++ = w[(m * c->k + k) * taps + t];
}

/* `copies`: how many outputs of each channel the product has. */
static q8_status prepare_product(q8_planner *planner, q8_id id, const q8_conv_nd *c, size_t copies, float *weights,
                                 float *bias, phase *f, q8_form_type *in, q8_form_type *out) {
  const q8_node *node = q8_plan_node(planner, id);
  int has_bias = node->input_count > 2 && node->inputs[2] != Q8_NONE;
  q8_weighted w = {.kind = "convtranspose",
                   .layout = Q8_CHANNELS_LAST,
                   .weights = weights,
                   .bias = has_bias ? bias : NULL,
                   .bias_tensor = has_bias ? node->inputs[2] : Q8_NONE};
  for (size_t i = 0; has_bias && i < c->k * copies; i++)
    bias[i] = ((const float *)q8_plan_value(planner, node->inputs[2])->data)[i % c->k];
  if (copies > 1)
    take_all_weights(c, q8_plan_value(planner, node->inputs[1])->data, weights);
  else
    take_weights(c, f, q8_plan_value(planner, node->inputs[1])->data, weights);
  q8_conv_nd plain = *c;
  plain.k *= copies;
  plain.e[1] = f->h.e;
  plain.e[2] = f->w.e;
  w.g = q8_conv_geometry_of(&plain);
  return q8_weighted_prepare(planner, id, &w, &f->step, in, out);
}

static q8_status prepare_phase(q8_planner *planner, q8_id id, const q8_conv_nd *c, size_t copies, phase *f,
                               q8_form_type *in, q8_form_type *out) {
  size_t outputs = c->k * copies, filter = (size_t)(f->h.e.kernel * f->w.e.kernel) * (c->c / c->groups);
  float *weights = q8_plan_borrow(planner, outputs, (filter + 1) * sizeof *weights); /* and the bias behind them */
  if (!weights)
    return QINT8_ERROR_MEMORY;
  q8_status status = prepare_product(planner, id, c, copies, weights, weights + outputs * filter, f, in, out);
  q8_plan_return(planner, weights);
  return status;
}

static q8_status prepare_all(q8_planner *planner, q8_id id, transpose_step *p, q8_step *step, q8_form_type *in,
                             q8_form_type *out) {
  const q8_extent *h = &p->c.e[1], *w = &p->c.e[2];
  p->joined = can_join(&p->c);
  size_t copies = p->joined ? q8_conv_taps(&p->c) : 1, scratch = 0, largest = 0;
  int64_t rows = p->joined ? 1 : h->stride < h->out ? h->stride : h->out;
  int64_t columns = p->joined ? 1 : w->stride < w->out ? w->stride : w->out;
  p->phases = q8_plan_alloc(planner, (size_t)(rows * columns), sizeof *p->phases);
  if (!p->phases)
    return QINT8_ERROR_MEMORY;
  for (int64_t i = 0; i < rows; i++)
    for (int64_t j = 0; j < columns; j++) {
      phase *f = &p->phases[p->phase_count++];
      find_phase(h, i, &f->h);
      find_phase(w, j, &f->w);
      Q8_TRY(prepare_phase(planner, id, &p->c, copies, f, in, out));
      size_t pixels = p->c.n * (size_t)(f->h.e.out * f->w.e.out) * copies;
      largest = pixels > largest ? pixels : largest;
      scratch = f->step.scratch_size > scratch ? f->step.scratch_size : scratch;
      step->macs += f->step.macs;
      step->bytes += f->step.bytes;
    }
  p->pixel = p->c.k * (*out == Q8_FORM_INT8 ? 1 : sizeof(float));
  p->phase_bytes = p->joined || p->phase_count > 1 ? q8_round_up(largest * p->pixel, Q8_ALIGN) : 0;
  step->scratch_size = p->phase_bytes + scratch;
  return QINT8_OK;
}

#define MAX_PHASES 4096 /* of no use beyond: mostly bias */

static int is_served(const q8_conv_nd *c) {
  const q8_extent *h = &c->e[1], *w = &c->e[2];
  return c->dims <= 2 && (h->stride < h->out ? h->stride : h->out) * (w->stride < w->out ? w->stride : w->out) <= MAX_PHASES;
}

static q8_status plan(q8_planner *planner, q8_id id) {
  const q8_value *inputs[3];
  q8_op_io io = q8_plan_op_io(planner, id, inputs);
  const q8_node *node = io.node;
  q8_step *step;
  transpose_step *p = q8_plan_begin(planner, "convtranspose", run_transpose, sizeof *p, &step);
  if (!p)
    return QINT8_ERROR_MEMORY;
  Q8_TRY(q8_conv_of_floats(&io, 1, &p->c));
  const q8_value *bias = q8_input(&io, 2);
  const float *weights;
  Q8_TRY(q8_plan_floats(planner, node->inputs[1], &weights));
  if (!weights || (bias && !bias->data) || !is_served(&p->c) ||
      q8_plan_value(planner, node->outputs[0])->count == 0 || inputs[0]->count == 0)
    return q8_plan_eval(planner, id);
  q8_form_type in, out;
  Q8_TRY(prepare_all(planner, id, p, step, &in, &out));
  step->precision = p->phases[0].step.precision;
  step->kernel = p->phases[0].step.kernel;
  memcpy(step->note, p->phases[0].step.note, sizeof step->note);
  return q8_plan_finish(planner, step, 1, in, out, Q8_CHANNELS_LAST);
}

static int32_t weight_axis(const q8_node *node) {
  (void)node;
  return 1;
}

static const char *dynamic_obstacle(const q8_node *node) {
  return ((const q8_conv_params *)node->params)->group > 1 ? "grouped convolution" : NULL;
}

const q8_op q8_op_conv_transpose = {
    .name = "ConvTranspose", Q8_OPSETS(1, 21), Q8_INPUTS(2, 3), Q8_OUTPUTS(1, 1),
    Q8_ATTRIBUTES(attributes), .params_size = sizeof(q8_conv_params), .quant = Q8_QUANT_WEIGHTED,
    .float_inputs = 7,
    .family = &(const q8_op_family){.infer = infer, .eval = eval, .plan = plan,
                                    .extras = &(const q8_op_extras){.weight_axis = weight_axis,
                                                                    .dynamic_obstacle = dynamic_obstacle}}};
