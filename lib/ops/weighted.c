/* weighted.c - steps for Conv, Gemm and MatMul. */
#include "ops/weighted.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "nn/wide.h"
#include "ops/hooks.h"
#include "ops/quantize_rows.h"

/* What a step runs on. */
typedef struct weighted_step {
  const q8_kernels *kernels;
  int32_t zero_point;   /* of the input, stored form */
  int is_wide;          /* `wide` has the weights, and `conv` the geometry alone */
  q8_epilogue epilogue;
  q8_conv conv;
  q8_wide wide;
  q8_step_rows rows; /* of steps that have them */
} weighted_step;

/* ---- Running ---- */

/* A residual that has been merged into the step is its input 1. */
static const q8_epilogue *epilogue_of(const weighted_step *p, const q8_step_run *r, q8_epilogue *merged) {
  if (!p->epilogue.residual)
    return &p->epilogue;
  *merged = p->epilogue;
  merged->other = r->in[1];
  return merged;
}

/* x has one zero point, or one for each sample of a dynamic run. */
static void multiply(const weighted_step *p, const q8_step_run *r, const void *x, const int32_t *zero_points,
                     const q8_epilogue *epilogue, void *scratch) {
  const size_t zero_step = epilogue->sample_scale != NULL;
  if (p->is_wide)
    q8_wide_run(&p->wide, p->kernels, x, zero_points, zero_step, epilogue, r->out[0], r->host);
  else
    q8_conv_run(&p->conv, p->kernels, x, zero_points, zero_step, epilogue, r->out[0], scratch, r->host);
}

static void run_whole(const q8_step_run *r) {
  const weighted_step *p = r->params;
  q8_epilogue merged;
  multiply(p, r, r->in[0], &p->zero_point, epilogue_of(p, r, &merged), r->scratch);
}

/* One row of a small product. */
static void run_row(const q8_step_run *r) {
  const weighted_step *p = r->params;
  q8_epilogue merged;
  q8_linear_row(&p->conv.linear, p->kernels, r->in[0], epilogue_of(p, r, &merged), r->out[0]);
}

/* Some rows of the result. */
static void run_rows(const q8_step_run *r, const q8_row_range *range) {
  const weighted_step *p = r->params;
  q8_epilogue merged;
  q8_conv_run_rows(&p->conv, p->kernels, r->in[0], p->zero_point, epilogue_of(p, r, &merged), r->out[0], range, r->scratch,
                   r->host);
}

static size_t rows_scratch(const void *params, size_t rows) {
  const weighted_step *p = params;
  return q8_conv_rows_scratch(&p->conv, rows);
}

static size_t sample_size(const q8_conv_geometry *g) {
  return g->h * g->w * g->c;
}

/* Scratch: the quantized input, then what the convolution needs. */
static void run_dynamic(const q8_step_run *r) {
  const weighted_step *p = r->params;
  const q8_conv_geometry *g = &p->conv.g;
  q8_quantized_rows x = q8_quantize_rows(p->kernels, r->host, g->n, sample_size(g), r->in[0], r->scratch);
  q8_epilogue epilogue = p->epilogue;
  epilogue.sample_scale = x.scale;
  epilogue.sample_zero = x.zero_point;
  multiply(p, r, x.data, x.zero_point, &epilogue, (uint8_t *)r->scratch + q8_quantized_rows_size(g->n, sample_size(g)));
}

/* ---- Planning ---- */

static size_t filter_size(const q8_conv_geometry *g) {
  return g->r * g->s * (g->c / g->groups);
}

static int32_t clamp_int(double value, double low, double high) {
  return (int32_t)(value < low ? low : value > high ? high : value);
}

static float weight_scale(const q8_tensor_quant *quant, size_t channel) {
  const size_t count = (size_t)quant->count; /* a division takes longer than the rest of what is done for a channel */
  return quant->scale[channel < count ? channel : channel % count];
}

/* Only imported weights: they may be u8 or have a zero point. */
static int has_wide(const q8_tensor_quant *quant) {
  for (int32_t i = 0; i < quant->count; i++)
    if (quant->zero_point[i] != 0)
      return 1;
  return quant->dtype == QINT8_DTYPE_U8;
}

/* Why the recipe's weights cannot run as integers, or NULL. */
static const char *weight_obstacle(const q8_weighted *w, const q8_tensor_quant *quant) {
  if ((quant->dtype != QINT8_DTYPE_S8 && quant->dtype != QINT8_DTYPE_U8) || w->g.k % (size_t)quant->count)
    return "float: weights are not 8-bit with one scale or one per output channel";
  if (filter_size(&w->g) > (has_wide(quant) ? Q8_MAX_WIDE_DOT : Q8_MAX_DOT))
    return "float: more products per output than int32 holds";
  return NULL;
}

const int8_t *q8_weighted_integers(const q8_planner *planner, q8_id id, const q8_weighted *w) {
  q8_id weights = q8_plan_node(planner, id)->inputs[1];
  const int8_t *integers = q8_plan_integers(planner, weights);
  int runs_int8 = integers && q8_plan_mode(planner, id) != Q8_MODE_FLOAT;
  return runs_int8 && !weight_obstacle(w, q8_plan_recipe(planner, weights)) ? integers : NULL;
}

/* q = clamp(rne(w / scale)): full s8 range, since imported weights may hold -128. */
static int8_t *quantize_weights(q8_planner *planner, const q8_weighted *w, const q8_tensor_quant *quant) {
  const q8_kernels *kernels = q8_plan_kernels(planner);
  size_t filter = filter_size(&w->g);
  uint8_t *out = q8_plan_borrow(planner, w->g.k, filter);
  for (size_t k = 0; out && k < w->g.k; k++)
    kernels->quantize(filter, w->weights + k * filter, weight_scale(quant, k), 128, 0x80, out + k * filter);
  return (int8_t *)out;
}

/* Arrays of the epilogue, readable to 64 beyond the last channel. */
static void *channel_array(q8_planner *planner, size_t channels) {
  return q8_plan_alloc(planner, channels + 64, 4);
}

/* bias in units of x_scale * w_scale, as the accumulators: rne(b / (sx * sw)). */
static void quantize_bias(const q8_weighted *w, const q8_tensor_quant *quant, const q8_tensor_quant *imported,
                          float x_scale, int32_t *out) {
  int has_integers = imported && imported->integers && imported->integer_count == w->g.k;
  for (size_t k = 0; k < w->g.k; k++) {
    float unit = x_scale * weight_scale(quant, k);
    if (has_integers && weight_scale(imported, k) == unit) {
      out[k] = imported->integers[k];
      continue;
    }
    double q = w->bias ? nearbyint((double)(w->bias[k] / unit)) : 0.0;
    out[k] = q == q ? clamp_int(q, -2147483648.0, 2147483647.0) : 0;
  }
}

/* A bound of the result as the integer that stands for it. */
static int32_t stored(float bound, float scale, int32_t zero_point) {
  return clamp_int(nearbyint((double)(bound / scale)) + zero_point, 0, 255);
}

/* Static results are uint8 if the output has parameters; all others are float. */
static q8_status set_epilogue(q8_planner *planner, const q8_weighted *w, const q8_node *node, q8_mode mode,
                              const q8_tensor_quant *quant, weighted_step *p) {
  q8_epilogue *e = &p->epilogue;
  float x_scale = 1, y_scale = 1;
  int32_t y_zero = 0, *offset = NULL;
  float *scale = NULL, *bias = NULL;
  const q8_tensor_quant *imported = q8_plan_recipe(planner, w->bias_tensor);
  int fixed = mode == Q8_MODE_STATIC, requant = fixed && q8_plan_quant(planner, node->outputs[0], &y_scale, &y_zero);
  int in_accumulator = fixed && (requant || imported); /* where the bias goes */
  if (fixed)
    q8_plan_quant(planner, node->inputs[0], &x_scale, &p->zero_point);
  if ((fixed && !(offset = channel_array(planner, w->g.k))) ||
      (mode != Q8_MODE_FLOAT && !(scale = channel_array(planner, w->g.k))) ||
      (!requant && !(bias = channel_array(planner, w->g.k))))
    return QINT8_ERROR_MEMORY;
  if (in_accumulator)
    quantize_bias(w, quant, imported, x_scale, offset);
  else if (w->bias)
    memcpy(bias, w->bias, w->g.k * sizeof *bias);
  if (fixed && !p->is_wide)
    q8_conv_fold_bias(&p->conv, offset, p->zero_point, offset);
  for (size_t k = 0; scale && k < w->g.k; k++) {
    scale[k] = x_scale * weight_scale(quant, k) / y_scale;
    if (!isfinite(scale[k]))
      return q8_fail(q8_plan_error(planner), QINT8_ERROR_DATA, node->name,
                     "the scale of output channel %zu is not finite", k);
  }
  e->kind = !scale ? Q8_EPILOGUE_FLOAT : requant ? Q8_EPILOGUE_REQUANT : Q8_EPILOGUE_DEQUANT;
  e->offset = e->requant.bias = offset;
  e->scale = e->requant.scale = scale;
  e->bias = bias;
  e->rows_per_sample = mode == Q8_MODE_DYNAMIC ? w->g.p * w->g.q : 0;
  q8_node_clamp(node, &e->lo, &e->hi);
  e->requant.zero_point = y_zero;
  e->requant.lo = stored(e->lo, y_scale, y_zero);
  e->requant.hi = stored(e->hi, y_scale, y_zero);
  return QINT8_OK;
}

static q8_status pack(q8_planner *planner, const q8_weighted *w, const q8_node *node, q8_mode mode,
                      const q8_tensor_quant *quant, q8_conv *out) {
  const q8_kernels *kernels = q8_plan_kernels(planner);
  float scale;
  int32_t zero_point;
  if (mode == Q8_MODE_FLOAT)
    return q8_conv_pack_float(kernels, &w->g, w->weights, q8_plan_pool(planner), out, q8_plan_error(planner));
  int8_t *rounded = w->integers ? NULL : quantize_weights(planner, w, quant);
  if (!w->integers && !rounded)
    return QINT8_ERROR_MEMORY;
  int requant = mode == Q8_MODE_STATIC && q8_plan_quant(planner, node->outputs[0], &scale, &zero_point);
  q8_pool *pool = q8_plan_pool(planner);
  const q8_mapping *file = q8_plan_mapping(planner);
  q8_status status = w->integers
                         ? q8_conv_pack_mapped(kernels, &w->g, w->integers, file, requant, pool, out, q8_plan_error(planner))
                         : q8_conv_pack(kernels, &w->g, rounded, requant, pool, out, q8_plan_error(planner));
  q8_plan_return(planner, rounded);
  return status;
}

/* q - zero_point = rne(w / scale), in the order of q8_wide. */
static q8_status pack_wide(q8_planner *planner, const q8_weighted *w, const q8_tensor_quant *quant, weighted_step *p) {
  const q8_conv_geometry *g = &w->g;
  size_t outputs = g->k / g->groups, filter = filter_size(g);
  int16_t *out = q8_plan_alloc(planner, g->k * filter + 1, sizeof *out);
  if (!out)
    return QINT8_ERROR_MEMORY;
  for (size_t k = 0; k < g->k; k++)
    for (size_t i = 0; i < filter; i++)
      out[(k / outputs * filter + i) * outputs + k % outputs] =
          (int16_t)clamp_int(nearbyint((double)(w->weights[k * filter + i] / weight_scale(quant, k))), -255, 255);
  p->wide.g = p->conv.g = *g;
  p->wide.weights = out;
  p->is_wide = 1;
  p->conv.kernel_name = "wide";
  return QINT8_OK;
}

q8_status q8_weighted_prepare(q8_planner *planner, q8_id id, const q8_weighted *w, q8_step *out, q8_form_type *in_form,
                              q8_form_type *out_form) {
  const q8_node *node = q8_plan_node(planner, id);
  const q8_tensor_quant *quant = q8_plan_recipe(planner, node->inputs[1]);
  q8_mode mode = q8_plan_mode(planner, id);
  const char *obstacle = mode == Q8_MODE_FLOAT ? NULL : weight_obstacle(w, quant);
  if (obstacle)
    mode = Q8_MODE_FLOAT;
  weighted_step *p = q8_plan_alloc(planner, 1, sizeof *p);
  if (!p)
    return QINT8_ERROR_MEMORY;
  p->kernels = q8_plan_kernels(planner);
  if (mode != Q8_MODE_FLOAT && has_wide(quant))
    Q8_TRY(pack_wide(planner, w, quant, p));
  else
    Q8_TRY(pack(planner, w, node, mode, quant, &p->conv));

  static const char *const precisions[] = {"fp32", "int8", "dynamic"};
  q8_plan_step(planner, id, p->conv.way == Q8_CONV_DEPTHWISE ? "dwconv" : w->kind,
               mode == Q8_MODE_DYNAMIC ? run_dynamic : run_whole, out);
  if (mode != Q8_MODE_DYNAMIC && !p->is_wide && p->conv.way == Q8_CONV_MATRIX &&
      q8_linear_for_row(&p->conv.linear, w->g.n * w->g.h * w->g.w))
    out->run = run_row;
  out->precision = precisions[mode];
  out->kernel = p->conv.kernel_name;
  out->params = p;
  out->scratch_size = p->is_wide ? 0 : q8_conv_scratch(&p->conv, q8_plan_threads(planner));
  Q8_TRY(set_epilogue(planner, w, node, mode, quant, p));
  if (mode == Q8_MODE_DYNAMIC)
    out->scratch_size += q8_quantized_rows_size(w->g.n, sample_size(&w->g));
  size_t products = w->g.k * filter_size(&w->g);
  out->macs = (int64_t)(w->g.n * w->g.p * w->g.q * products);
  out->bytes = (int64_t)(products * (mode == Q8_MODE_FLOAT ? sizeof(float) : p->is_wide ? 2 : 1));
  snprintf(out->note, sizeof out->note, "%s%s", obstacle ? obstacle : "",
           p->epilogue.hi < INFINITY    ? "+Clip"
           : p->epilogue.lo > -INFINITY ? "+Relu"
                                        : "");
  *in_form = mode == Q8_MODE_STATIC ? Q8_FORM_INT8 : Q8_FORM_NATIVE;
  *out_form = Q8_FORM_NATIVE;
  if (p->epilogue.kind == Q8_EPILOGUE_REQUANT) {
    *out_form = Q8_FORM_INT8;
    out->table_slot = &p->epilogue.table;
  }
  return QINT8_OK;
}

/* How the step makes some rows of its result; NULL if it cannot. */
static const q8_step_rows *rows_of(weighted_step *step) {
  const q8_conv_geometry *g = &step->conv.g;
  const size_t in = step->conv.element, out = step->epilogue.kind == Q8_EPILOGUE_REQUANT ? 1 : sizeof(float);
  if (step->is_wide || !q8_conv_has_rows(&step->conv))
    return NULL;
  step->rows = (q8_step_rows){.run = run_rows,
                              .scratch = rows_scratch,
                              .images = g->n,
                              .rows = g->p,
                              .in_rows = g->h,
                              .columns = g->q,
                              .row_size = g->q * g->k * out,
                              .in_row_size = g->w * g->c * in,
                              .extent = (g->r - 1) * g->dilation_h + 1,
                              .stride = g->stride_h,
                              .pad = g->pad_top,
                              .weights = g->k * filter_size(g) * in};
  return &step->rows;
}

q8_status q8_plan_weighted(q8_planner *planner, q8_id id, const q8_weighted *w) {
  q8_step step;
  q8_form_type in, out;
  Q8_TRY(q8_weighted_prepare(planner, id, w, &step, &in, &out));
  weighted_step *p = (weighted_step *)(uintptr_t)step.params;
  if (out == Q8_FORM_INT8 && p->conv.way != Q8_CONV_DEPTHWISE && !p->is_wide)
    step.add_slot = &p->epilogue.residual;
  if (out == Q8_FORM_NATIVE && !p->is_wide)
    step.function_slot = &p->epilogue.function;
  if (!p->is_wide) {
    step.stride_slot = &p->conv.y_stride;
    step.row_size = w->g.k;
  }
  if (step.run != run_dynamic)
    step.rows = rows_of(p);
  return q8_plan_finish(planner, &step, 1, in, out, w->layout);
}

q8_status q8_plan_weighted_matrix(q8_planner *planner, q8_id id, const q8_weighted *weighted, int in_columns) {
  const q8_node *node = q8_plan_node(planner, id);
  const q8_kernels *kernels = q8_plan_kernels(planner);
  q8_weighted w = *weighted;
  w.g = (q8_conv_geometry){.n = w.g.n, .h = 1, .w = 1, .c = w.g.c, .k = w.g.k, .groups = 1, .r = 1, .s = 1, .stride_h = 1,
                           .stride_w = 1, .dilation_h = 1, .dilation_w = 1, .p = 1, .q = 1};
  w.integers = q8_weighted_integers(planner, id, &w);
  if (!w.integers)
    Q8_TRY(q8_plan_floats(planner, node->inputs[1], &w.weights));
  if (!in_columns)
    return q8_plan_weighted(planner, id, &w);
  size_t count = w.g.k * w.g.c, element = w.integers ? 1 : sizeof(float);
  void *rows = q8_plan_borrow(planner, count, element);
  if (!rows)
    return QINT8_ERROR_MEMORY;
  (w.integers ? kernels->transpose8 : kernels->transpose32)(w.g.c, w.g.k, w.integers ? w.integers : (const void *)w.weights,
                                                            w.g.k, rows, w.g.c);
  w.integers = w.integers ? rows : NULL;
  w.weights = w.integers ? NULL : rows;
  q8_status status = q8_plan_weighted(planner, id, &w);
  q8_plan_return(planner, rows);
  return status;
}
