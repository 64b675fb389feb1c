/* softmax.c - Softmax, LogSoftmax and Hardmax along an axis. */
#include <math.h>
#include <stddef.h>

#include "base/element.h"
#include "base/math.h"
#include "base/parallel.h"
#include "base/cold.h"
#include "ops/common.h"
#include "ops/fast.h"
#include "ops/hooks.h"

#define NO_AXIS 1000000 /* the attribute was absent: its default changed with opset 13 */

/* `flat`: the form before opset 13, where the dimensions from the axis on are one. */
typedef struct softmax_params {
  int64_t axis, flat;
} softmax_params;

static const q8_attribute attributes[] = {{"axis", Q8_ATTR_INT, offsetof(softmax_params, axis), 0, 0, NO_AXIS},
                                          {"flat", Q8_ATTR_INT, offsetof(softmax_params, flat), 0, 1, 0}};

Q8_COLD static q8_status upgrade(q8_importer *importer, int64_t opset, void *params, q8_id *inputs,
                                 int32_t *input_count, const char *node_name, qint8_error *error) {
  (void)importer, (void)inputs, (void)input_count, (void)node_name, (void)error;
  softmax_params *p = params;
  if (p->axis == NO_AXIS)
    p->axis = opset < 13 ? 1 : -1;
  p->flat = opset < 13 && p->axis != -1;
  return QINT8_OK;
}

typedef struct softmax_view {
  size_t outer, n, inner;
  int log;
  q8_sunary_fn *exp;
} softmax_view;

static int32_t axis_of(const softmax_params *p, int32_t rank) {
  int64_t axis = p->axis == NO_AXIS ? -1 : p->axis;
  return rank == 0 && axis == -1 ? 0 : q8_axis(axis, rank);
}

/* The variant of LogSoftmax is not NULL. */
Q8_COLD static softmax_view view_of(const q8_node *node, const q8_shape *x, q8_sunary_fn *exp_rows) {
  const softmax_params *p = node->params;
  int32_t axis = axis_of(p, x->rank), end = p->flat || axis >= x->rank ? x->rank : axis + 1;
  return (softmax_view){q8_dims(x, 0, axis), q8_dims(x, axis, end), q8_dims(x, end, x->rank), node->op->variant != NULL,
                        exp_rows};
}

Q8_COLD static q8_status infer(const q8_op_io *io) {
  const softmax_params *p = io->node->params;
  if (axis_of(p, io->inputs[0]->shape.rank) < 0)
    return q8_bad_axis(io, p->axis, &io->inputs[0]->shape);
  return q8_infer_same(io);
}

static inline float larger(float a, float b) {
  return a > b ? a : b;
}

/* Of all lanes, by halves. */
static float largest(const float *lane) {
  float a[8], b[4];
  for (size_t j = 0; j < 8; j++)
    a[j] = larger(lane[j + 8], lane[j]);
  for (size_t j = 0; j < 4; j++)
    b[j] = larger(a[j + 4], a[j]);
  return larger(larger(b[0], b[1]), larger(b[2], b[3]));
}
static float total(const float *lane) {
  float a[8], b[4];
  for (size_t j = 0; j < 8; j++)
    a[j] = lane[j + 8] + lane[j];
  for (size_t j = 0; j < 4; j++)
    b[j] = a[j + 4] + a[j];
  return (b[0] + b[1]) + (b[2] + b[3]);
}

/* Softmax of n contiguous values: maximum and sum in lanes. */
static void softmax_dense(const float *x, float *y, size_t n, q8_sunary_fn *exp_rows) {
  float lane[Q8_LANES] = {0}, sum = 0, max = x[0];
  size_t at = 0;
  if (n >= Q8_LANES) {
    float most[Q8_LANES];
    memcpy(most, x, sizeof most);
    for (at = Q8_LANES; at + Q8_LANES <= n; at += Q8_LANES)
      for (size_t j = 0; j < Q8_LANES; j++)
        most[j] = larger(x[at + j], most[j]);
    max = largest(most);
  }
  for (; at < n; at++)
    max = larger(x[at], max);
  at = 0;
  exp_rows(n, &(q8_sunary){Q8_SUNARY_EXP, max, 0}, x, y);
  for (; at + Q8_LANES <= n; at += Q8_LANES)
    for (size_t j = 0; j < Q8_LANES; j++)
      lane[j] += y[at + j];
  for (; at < n; at++)
    sum += y[at];
  sum += total(lane);
  const float scale = 1 / sum;
  Q8_FOR_BLOCKS(float, n, y, y[i] * scale);
}

/* n values, `stride` apart. */
static void softmax_row(const float *x, float *y, size_t n, size_t stride, int log) {
  float max = x[0];
  double sum = 0;
  for (size_t i = 1; i < n; i++)
    max = larger(x[i * stride], max);
  for (size_t i = 0; i < n; i++) {
    float e = q8_fast_exp(x[i * stride] - max);
    sum += e;
    y[i * stride] = log ? x[i * stride] - max : e;
  }
  float scale = (float)(1 / sum), shift = (float)q8_log(sum);
  for (size_t i = 0; i < n; i++)
    y[i * stride] = log ? y[i * stride] - shift : y[i * stride] * scale;
}

static void softmax_outer(const softmax_view *v, const float *x, float *y, size_t outer) {
  size_t at = outer * v->n * v->inner;
  if (v->n == 0)
    return;
  if (v->inner == 1 && !v->log) {
    softmax_dense(x + at, y + at, v->n, v->exp);
    return;
  }
  for (size_t i = 0; i < v->inner; i++)
    softmax_row(x + at + i, y + at + i, v->n, v->inner, v->log);
}

static q8_status eval(const q8_op_io *io) {
  q8_kernels kernels;
  q8_kernels_select(0, &kernels);
  softmax_view v = view_of(io->node, &io->inputs[0]->shape, kernels.sunary);
  for (size_t o = 0; o < v.outer; o++)
    softmax_outer(&v, io->inputs[0]->data, io->outputs[0].data, o);
  return QINT8_OK;
}

typedef struct softmax_run {
  const softmax_view *v;
  const float *x;
  float *y;
} softmax_run;

static void outer_task(void *argument, size_t i) {
  const softmax_run *run = argument;
  softmax_outer(run->v, run->x, run->y, i);
}

static void run_softmax(const q8_step_run *r) {
  softmax_run run = {r->params, r->in[0], r->out[0]};
  q8_parallel(r->host, run.v->outer, outer_task, &run);
}

Q8_COLD static q8_status plan(q8_planner *planner, q8_id node) {
  const q8_node *n = q8_plan_node(planner, node);
  q8_step *step;
  softmax_view *v = q8_plan_begin(planner, "softmax", run_softmax, sizeof *v, &step);
  if (!v)
    return QINT8_ERROR_MEMORY;
  *v = view_of(n, &q8_plan_value(planner, n->inputs[0])->shape, q8_plan_kernels(planner)->sunary);
  return q8_plan_finish(planner, step, 1, Q8_FORM_NATIVE, Q8_FORM_NATIVE, Q8_LINEAR);
}

/* The flat form: Reshape(Softmax(Flatten(x)), Shape(x)). */
Q8_COLD static q8_status expand(q8_exporter *exporter, const q8_graph *graph, const q8_node *node,
                                qint8_error *error) {
  (void)graph;
  const softmax_params *p = node->params;
  const char *x = q8_export_input(exporter, node, 0), *y = q8_export_output(exporter, node, 0);
  q8_export_attribute axis = {.name = "axis", .type = Q8_ATTR_INT, .i = p->axis == NO_AXIS ? -1 : p->axis};
  q8_export_attribute last = {.name = "axis", .type = Q8_ATTR_INT, .i = -1};
  if (!p->flat)
    return q8_export_node(exporter, node->op->name, &x, 1, y, &axis, 1, error);
  const char *flat = q8_export_fresh(exporter, node->name);
  const char *result[2] = {q8_export_fresh(exporter, node->name), q8_export_fresh(exporter, node->name)};
  if (!flat || !result[0] || !result[1])
    return q8_fail_memory(error, node->name, 64);
  Q8_TRY(q8_export_node(exporter, "Flatten", &x, 1, flat, &axis, 1, error));
  Q8_TRY(q8_export_node(exporter, node->op->name, &flat, 1, result[0], &last, 1, error));
  Q8_TRY(q8_export_node(exporter, "Shape", &x, 1, result[1], NULL, 0, error));
  return q8_export_node(exporter, "Reshape", result, 2, y, NULL, 0, error);
}

/* 1 for the first of the largest values, 0 for the others. */
Q8_COLD static q8_status eval_hard(const q8_op_io *io) {
  const q8_value *x = io->inputs[0];
  softmax_view v = view_of(io->node, &x->shape, NULL);
  float *y = io->outputs[0].data;
  for (size_t i = 0; i < x->count; i++)
    y[i] = 0;
  for (size_t r = 0; r < v.outer * v.inner && v.n; r++) {
    size_t first = r / v.inner * v.n * v.inner + r % v.inner, best = 0;
    for (size_t i = 1; i < v.n; i++)
      if (q8_element_compare(x->dtype, x->data, first + i * v.inner, first + best * v.inner) > 0)
        best = i;
    y[first + best * v.inner] = 1;
  }
  return QINT8_OK;
}

#define OBSTACLE "no int8 form: exponentials need the range of float"
#define SOFTMAX(id, onnx_name, its_family, log)                                                                    \
  const q8_op q8_op_##id = {                                                                                       \
      .name = onnx_name, Q8_OPSETS(1, 21), Q8_INPUTS(1, 1), Q8_OUTPUTS(1, 1),                                      \
      Q8_ATTRIBUTES(attributes), .params_size = sizeof(softmax_params), .quant = Q8_QUANT_FLOAT, .float_inputs = 1,  \
      .family = &its_family, .variant = log};

static const q8_op_extras extras = {.expand = expand};
static const q8_op_family soft = {
    .int8_obstacle = OBSTACLE, .infer = infer, .eval = eval, .plan = plan, .upgrade = upgrade, .extras = &extras};
static const q8_op_family hard = {
    .int8_obstacle = OBSTACLE, .infer = infer, .eval = eval_hard, .upgrade = upgrade, .extras = &extras};
SOFTMAX(softmax, "Softmax", soft, NULL)
SOFTMAX(log_softmax, "LogSoftmax", soft, &soft)
SOFTMAX(hardmax, "Hardmax", hard, NULL)
