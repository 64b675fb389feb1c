/* weighted.c - steps for Conv, Gemm and MatMul. */
#include "ops/weighted.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "ops/hooks.h"
#include "ops/quantize_rows.h"
#include "ops/weighted_step.h"

/* ---- Running ---- */

static void run_static(const q8_step_run *r) {
  const q8_weighted_step *p = r->params;
  if (p->wide.weights) {
    q8_wide_run(&p->wide, p->kernels, r->in[0], &p->zero_point, 0, &p->epilogue, r->out[0], r->host);
    return;
  }
  q8_epilogue epilogue = p->epilogue;
  epilogue.residual = p->sum;
  epilogue.other = p->sum ? r->in[1] : NULL;
  q8_conv_run(&p->conv, p->kernels, r->in[0], &p->zero_point, 0, &epilogue, r->out[0], r->scratch, r->host);
}

/* One row of a small product. */
static void run_row(const q8_step_run *r) {
  const q8_weighted_step *p = r->params;
  q8_epilogue epilogue = p->epilogue;
  epilogue.residual = p->sum;
  epilogue.other = p->sum ? r->in[1] : NULL;
  q8_linear_row(&p->conv.linear, p->kernels, r->in[0], &epilogue, r->out[0]);
}

static size_t sample_size(const q8_conv_geometry *g) {
  return g->h * g->w * g->c;
}

/* Scratch: the quantized input, then what the convolution needs. */
static void run_dynamic(const q8_step_run *r) {
  const q8_weighted_step *p = r->params;
  const q8_conv_geometry *g = &p->conv.g;
  q8_quantized_rows x = q8_quantize_rows(p->kernels, r->host, g->n, sample_size(g), r->in[0], r->scratch);
  q8_epilogue epilogue = p->epilogue;
  epilogue.sample_scale = x.scale;
  epilogue.sample_zero = x.zero_point;
  if (p->wide.weights)
    q8_wide_run(&p->wide, p->kernels, x.data, x.zero_point, 1, &epilogue, r->out[0], r->host);
  else
    q8_conv_run(&p->conv, p->kernels, x.data, x.zero_point, 1, &epilogue, r->out[0],
                (uint8_t *)r->scratch + q8_quantized_rows_size(g->n, sample_size(g)), r->host);
}

static void run_float(const q8_step_run *r) {
  const q8_weighted_step *p = r->params;
  q8_conv_run(&p->conv, p->kernels, r->in[0], NULL, 0, &p->epilogue, r->out[0], r->scratch, r->host);
}

/* ---- Planning ---- */

static int32_t clamp_int(double value, double low, double high) {
  return (int32_t)(value < low ? low : value > high ? high : value);
}

static float weight_scale(const q8_tensor_quant *quant, size_t channel) {
  const size_t count = (size_t)quant->count; /* a division takes longer than the rest of what is done for a channel */
  return quant->scale[channel < count ? channel : channel % count];
}

/* Only imported weights: they may be u8 or have a zero point. */
static int is_wide(const q8_tensor_quant *quant) {
  for (int32_t i = 0; i < quant->count; i++)
    if (quant->zero_point[i] != 0)
      return 1;
  return quant->dtype == QINT8_DTYPE_U8;
}

/* Why the recipe's weights cannot run as integers, or NULL. */
static const char *weight_obstacle(const q8_weighted *w, const q8_tensor_quant *quant) {
  if ((quant->dtype != QINT8_DTYPE_S8 && quant->dtype != QINT8_DTYPE_U8) || w->g.k % (size_t)quant->count)
    return "float: weights are not 8-bit with one scale or one per output channel";
  if (w->g.r * w->g.s * (w->g.c / w->g.groups) > (is_wide(quant) ? Q8_MAX_WIDE_DOT : Q8_MAX_DOT))
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
  size_t filter = w->g.r * w->g.s * (w->g.c / w->g.groups);
  uint8_t *out = q8_alloc(&q8_plan_pool(planner)->host, w->g.k, filter);
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

static q8_status static_epilogue(q8_planner *planner, const q8_weighted *w, const q8_node *node,
                                 const q8_tensor_quant *quant, float lo, float hi, q8_weighted_step *p,
                                 qint8_error *error) {
  float x_scale = 1, y_scale = 1;
  int32_t y_zero = 0;
  q8_plan_quant(planner, node->inputs[0], &x_scale, &p->zero_point);
  int requant = q8_plan_quant(planner, node->outputs[0], &y_scale, &y_zero);
  int whole_bias = requant || q8_plan_recipe(planner, w->bias_tensor) != NULL;
  int32_t *offset = channel_array(planner, w->g.k);
  float *scale = channel_array(planner, w->g.k), *bias = requant ? NULL : channel_array(planner, w->g.k);
  if (!offset || !scale || (!bias && !requant))
    return q8_fail_memory(error, node->name, w->g.k * 12);
  if (whole_bias)
    quantize_bias(w, quant, q8_plan_recipe(planner, w->bias_tensor), x_scale, offset);
  if (!p->wide.weights)
    q8_conv_fold_bias(&p->conv, offset, p->zero_point, offset);
  for (size_t k = 0; k < w->g.k; k++) {
    scale[k] = x_scale * weight_scale(quant, k);
    if (requant)
      scale[k] = scale[k] / y_scale;
    if (!whole_bias && w->bias)
      bias[k] = w->bias[k];
    if (!isfinite(scale[k]))
      return q8_fail(error, QINT8_ERROR_DATA, node->name, "the scale of output channel %zu is not finite", k);
  }
  p->epilogue = (q8_epilogue){.kind = requant ? Q8_EPILOGUE_REQUANT : Q8_EPILOGUE_DEQUANT,
                              .offset = offset,
                              .scale = scale,
                              .bias = bias,
                              .lo = lo,
                              .hi = hi};
  p->epilogue.requant = (q8_requant){.bias = offset,
                                     .scale = scale,
                                     .zero_point = y_zero,
                                     .lo = clamp_int(nearbyint((double)(lo / y_scale)) + y_zero, 0, 255),
                                     .hi = clamp_int(nearbyint((double)(hi / y_scale)) + y_zero, 0, 255)};
  return QINT8_OK;
}

static q8_status float_epilogue(q8_planner *planner, const q8_weighted *w, const q8_node *node, float lo, float hi,
                                q8_epilogue *out, qint8_error *error) {
  float *bias = channel_array(planner, w->g.k);
  if (!bias)
    return q8_fail_memory(error, node->name, w->g.k * sizeof *bias);
  if (w->bias)
    memcpy(bias, w->bias, w->g.k * sizeof *bias);
  *out = (q8_epilogue){.kind = Q8_EPILOGUE_FLOAT, .bias = bias, .lo = lo, .hi = hi};
  return QINT8_OK;
}

static q8_status dynamic_epilogue(q8_planner *planner, const q8_weighted *w, const q8_node *node,
                                  const q8_tensor_quant *quant, float lo, float hi, q8_epilogue *out,
                                  qint8_error *error) {
  Q8_TRY(float_epilogue(planner, w, node, lo, hi, out, error));
  float *scale = channel_array(planner, w->g.k);
  if (!scale)
    return q8_fail_memory(error, node->name, w->g.k * sizeof *scale);
  for (size_t k = 0; k < w->g.k; k++)
    scale[k] = weight_scale(quant, k);
  out->kind = Q8_EPILOGUE_DEQUANT;
  out->scale = scale;
  out->offset = NULL;
  out->rows_per_sample = w->g.p * w->g.q;
  return QINT8_OK;
}

static q8_status pack(q8_planner *planner, const q8_weighted *w, const q8_node *node, q8_mode mode,
                      const q8_tensor_quant *quant, q8_conv *out, qint8_error *error) {
  const q8_kernels *kernels = q8_plan_kernels(planner);
  float scale;
  int32_t zero_point;
  if (mode == Q8_MODE_FLOAT)
    return q8_conv_pack_float(kernels, &w->g, w->weights, q8_plan_pool(planner), out, error);
  int8_t *rounded = w->integers ? NULL : quantize_weights(planner, w, quant);
  if (!w->integers && !rounded)
    return q8_fail_memory(error, node->name, w->g.k);
  int requant = mode == Q8_MODE_STATIC && q8_plan_quant(planner, node->outputs[0], &scale, &zero_point);
  q8_pool *pool = q8_plan_pool(planner);
  const q8_mapping *file = q8_plan_mapping(planner);
  q8_status status = w->integers
                         ? q8_conv_pack_mapped(kernels, &w->g, w->integers, file, requant, pool, out, error)
                         : q8_conv_pack(kernels, &w->g, rounded, requant, pool, out, error);
  q8_free(&pool->host, rounded);
  return status;
}

/* q - zero_point = rne(w / scale), in the order of q8_wide. */
static q8_status pack_wide(q8_planner *planner, const q8_weighted *w, const q8_node *node, const q8_tensor_quant *quant,
                           q8_weighted_step *p, qint8_error *error) {
  const q8_conv_geometry *g = &w->g;
  size_t channels = g->c / g->groups, outputs = g->k / g->groups, taps = g->r * g->s, filter = taps * channels;
  int16_t *out = q8_plan_alloc(planner, g->k * filter + 1, sizeof *out);
  if (!out)
    return q8_fail_memory(error, node->name, g->k * filter * sizeof *out);
  for (size_t k = 0; k < g->k; k++)
    for (size_t i = 0; i < filter; i++)
      out[(k / outputs * filter + i) * outputs + k % outputs] =
          (int16_t)clamp_int(nearbyint((double)(w->weights[k * filter + i] / weight_scale(quant, k))), -255, 255);
  p->wide = (q8_wide){.g = *g, .weights = out};
  p->conv = (q8_conv){.g = *g, .kernel_name = "wide"};
  return QINT8_OK;
}

q8_status q8_weighted_prepare(q8_planner *planner, q8_id id, const q8_weighted *w, q8_step *out, q8_form_type *in_form,
                              q8_form_type *out_form, qint8_error *error) {
  const q8_node *node = q8_plan_node(planner, id);
  const q8_tensor_quant *quant = q8_plan_recipe(planner, node->inputs[1]);
  q8_mode mode = q8_plan_mode(planner, id);
  const char *obstacle = mode == Q8_MODE_FLOAT ? NULL : weight_obstacle(w, quant);
  if (obstacle)
    mode = Q8_MODE_FLOAT;
  q8_weighted_step *p = q8_plan_alloc(planner, 1, sizeof *p);
  if (!p)
    return q8_fail_memory(error, node->name, sizeof *p);
  p->kernels = q8_plan_kernels(planner);
  float lo, hi;
  q8_node_clamp(node, &lo, &hi);
  if (mode != Q8_MODE_FLOAT && is_wide(quant))
    Q8_TRY(pack_wide(planner, w, node, quant, p, error));
  else
    Q8_TRY(pack(planner, w, node, mode, quant, &p->conv, error));

  static const char *const precisions[] = {"fp32", "int8", "dynamic"};
  static q8_step_fn *const runs[] = {run_float, run_static, run_dynamic};
  q8_step step;
  q8_plan_step(planner, id, p->conv.way == Q8_CONV_DEPTHWISE ? "dwconv" : w->kind, runs[mode], &step);
  if (mode == Q8_MODE_STATIC && !p->wide.weights && p->conv.way == Q8_CONV_MATRIX &&
      q8_linear_is_row(&p->conv.linear, w->g.n * w->g.h * w->g.w))
    step.run = run_row;
  step.precision = precisions[mode];
  step.kernel = p->conv.kernel_name;
  step.params = p;
  step.scratch_size = p->wide.weights ? 0 : q8_conv_scratch(&p->conv, q8_plan_threads(planner));
  if (mode == Q8_MODE_STATIC)
    Q8_TRY(static_epilogue(planner, w, node, quant, lo, hi, p, error));
  else if (mode == Q8_MODE_DYNAMIC)
    Q8_TRY(dynamic_epilogue(planner, w, node, quant, lo, hi, &p->epilogue, error));
  else
    Q8_TRY(float_epilogue(planner, w, node, lo, hi, &p->epilogue, error));
  if (mode == Q8_MODE_DYNAMIC)
    step.scratch_size += q8_quantized_rows_size(w->g.n, sample_size(&w->g));
  size_t filter = w->g.r * w->g.s * (w->g.c / w->g.groups);
  step.macs = (int64_t)(w->g.n * w->g.p * w->g.q * w->g.k * filter);
  step.bytes = (int64_t)(w->g.k * filter * (mode == Q8_MODE_FLOAT ? sizeof(float) : p->wide.weights ? 2 : 1));
  snprintf(step.note, sizeof step.note, "%s%s", obstacle ? obstacle : "",
           lo > -INFINITY || hi < INFINITY ? (hi < INFINITY ? "+Clip" : "+Relu") : "");

  int requant = mode == Q8_MODE_STATIC && p->epilogue.kind == Q8_EPILOGUE_REQUANT;
  *in_form = mode == Q8_MODE_STATIC ? Q8_FORM_INT8 : Q8_FORM_NATIVE;
  *out_form = requant ? Q8_FORM_INT8 : Q8_FORM_NATIVE;
  if (requant)
    step.table_slot = &p->epilogue.requant.table;
  *out = step;
  return QINT8_OK;
}

q8_status q8_plan_weighted(q8_planner *planner, q8_id id, const q8_weighted *w, qint8_error *error) {
  q8_step step;
  q8_form_type in, out;
  Q8_TRY(q8_weighted_prepare(planner, id, w, &step, &in, &out, error));
  q8_weighted_step *p = (q8_weighted_step *)(uintptr_t)step.params;
  if (out == Q8_FORM_INT8 && p->conv.way != Q8_CONV_DEPTHWISE && !p->wide.weights)
    step.add_slot = &p->sum;
  if (out == Q8_FORM_NATIVE && !p->wide.weights)
    step.function_slot = &p->epilogue.function;
  if (!p->wide.weights) {
    step.stride_slot = &p->conv.y_stride;
    step.row_size = w->g.k;
  }
  if (step.run != run_dynamic)
    step.rows = q8_weighted_rows(p);
  return q8_plan_finish(planner, id, &step, 1, in, out, w->layout, error);
}

q8_status q8_plan_weighted_matrix(q8_planner *planner, q8_id id, const q8_weighted *weighted, int in_columns,
                                  qint8_error *error) {
  const q8_node *node = q8_plan_node(planner, id);
  const q8_host *host = &q8_plan_pool(planner)->host;
  const q8_kernels *kernels = q8_plan_kernels(planner);
  q8_weighted w = *weighted;
  w.g = (q8_conv_geometry){.n = w.g.n, .h = 1, .w = 1, .c = w.g.c, .k = w.g.k, .groups = 1, .r = 1, .s = 1, .stride_h = 1,
                           .stride_w = 1, .dilation_h = 1, .dilation_w = 1, .p = 1, .q = 1};
  w.integers = q8_weighted_integers(planner, id, &w);
  if (!w.integers)
    Q8_TRY(q8_plan_floats(planner, node->inputs[1], &w.weights, error));
  if (!in_columns)
    return q8_plan_weighted(planner, id, &w, error);
  size_t count = w.g.k * w.g.c, element = w.integers ? 1 : sizeof(float);
  void *rows = q8_alloc(host, count, element);
  if (!rows)
    return q8_fail_memory(error, node->name, count * element);
  (w.integers ? kernels->transpose8 : kernels->transpose32)(w.g.c, w.g.k, w.integers ? w.integers : (const void *)w.weights,
                                                            w.g.k, rows, w.g.c);
  w.integers = w.integers ? rows : NULL;
  w.weights = w.integers ? NULL : rows;
  q8_status status = q8_plan_weighted(planner, id, &w, error);
  q8_free(host, rows);
  return status;
}
