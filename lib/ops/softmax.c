/* softmax.c - Softmax, LogSoftmax and Hardmax along an axis. */
#include <math.h>
#include <stddef.h>

#include "base/element.h"
#include "base/parallel.h"
#include "ops/hooks.h"
#include "ops/softmax.h"

#define NO_AXIS 1000000 /* the attribute was absent: its default changed with opset 13 */

/* `flat`: the form before opset 13, where the dimensions from the axis on are one. */
typedef struct softmax_params {
  int64_t axis, flat;
} softmax_params;

static const q8_attribute attributes[] = {
    {"axis", Q8_ATTR_INT, offsetof(softmax_params, axis), 0, 0, NO_AXIS},
    {"flat", Q8_ATTR_INT, offsetof(softmax_params, flat), 0, 1, 0}};

static q8_status upgrade(q8_upgrade *node) {
  softmax_params *p = node->params;
  int64_t opset = node->graph->opset;
  if (p->axis == NO_AXIS)
    p->axis = opset < 13 ? 1 : -1;
  p->flat = opset < 13 && p->axis != -1;
  return QINT8_OK;
}

static int32_t axis_of(const softmax_params *p, int32_t rank) {
  int64_t axis = p->axis == NO_AXIS ? -1 : p->axis;
  return rank == 0 && axis == -1 ? 0 : q8_axis(axis, rank);
}

/* The variant of LogSoftmax is not NULL. */
static q8_softmax_view view_of(const q8_node *node, const q8_shape *x, const q8_kernels *kernels) {
  const softmax_params *p = node->params;
  int32_t axis = axis_of(p, x->rank), end = p->flat || axis >= x->rank ? x->rank : axis + 1;
  return (q8_softmax_view){q8_dims(x, 0, axis), q8_dims(x, axis, end), q8_dims(x, end, x->rank),
                           node->op->variant != NULL, kernels};
}

static q8_status infer(const q8_op_io *io) {
  const softmax_params *p = io->node->params;
  if (axis_of(p, io->inputs[0]->shape.rank) < 0)
    return q8_bad_axis(io, p->axis, &io->inputs[0]->shape);
  return q8_infer_same(io);
}

static q8_status eval(const q8_op_io *io) {
  q8_kernels kernels;
  q8_kernels_select(0, &kernels);
  q8_softmax_view v = view_of(io->node, &io->inputs[0]->shape, &kernels);
  for (size_t o = 0; o < v.outer; o++)
    q8_softmax_outer(&v, io->inputs[0]->data, io->outputs[0].data, o);
  return QINT8_OK;
}

typedef struct softmax_run {
  const q8_softmax_view *v;
  const float *x;
  float *y;
} softmax_run;

static void outer_task(void *argument, size_t i) {
  const softmax_run *run = argument;
  q8_softmax_outer(run->v, run->x, run->y, i);
}

static void run_softmax(const q8_step_run *r) {
  softmax_run run = {r->params, r->in[0], r->out[0]};
  q8_parallel(r->host, run.v->outer, outer_task, &run);
}

static q8_status plan(q8_planner *planner, q8_id node) {
  const q8_node *n = q8_plan_node(planner, node);
  q8_step *step;
  q8_softmax_view *v = q8_plan_begin(planner, "softmax", run_softmax, sizeof *v, &step);
  if (!v)
    return QINT8_ERROR_MEMORY;
  *v = view_of(n, &q8_plan_value(planner, n->inputs[0])->shape, q8_plan_kernels(planner));
  return q8_plan_finish(planner, step, 1, Q8_FORM_NATIVE, Q8_FORM_NATIVE, Q8_LINEAR);
}

/* The flat form: Reshape(Softmax(Flatten(x)), Shape(x)). */
static q8_status expand(q8_exporter *exporter, const q8_graph *graph, const q8_node *node,
                        qint8_error *error) {
  (void)graph, (void)error;
  const softmax_params *p = node->params;
  const char *x = q8_export_input(exporter, node, 0), *y = q8_export_output(exporter, node, 0);
  const int64_t first = p->axis == NO_AXIS ? -1 : p->axis, last = -1;
  const q8_export_attribute axis = {"axis", Q8_ATTR_INT, &first}, last_axis = {"axis", Q8_ATTR_INT, &last};
  if (!p->flat) {
    q8_export_node(exporter, node->op->name, &x, 1, y, &axis);
    return QINT8_OK;
  }
  const char *flat = q8_export_fresh(exporter, node->name);
  const char *result[2] = {q8_export_fresh(exporter, node->name), q8_export_fresh(exporter, node->name)};
  q8_export_node(exporter, "Flatten", &x, 1, flat, &axis);
  q8_export_node(exporter, node->op->name, &flat, 1, result[0], &last_axis);
  q8_export_node(exporter, "Shape", &x, 1, result[1], NULL);
  q8_export_node(exporter, "Reshape", result, 2, y, NULL);
  return QINT8_OK;
}

/* 1 for the first of the largest values, 0 for the others. */
static q8_status eval_hard(const q8_op_io *io) {
  const q8_value *x = io->inputs[0];
  q8_softmax_view v = view_of(io->node, &x->shape, NULL);
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
      Q8_ATTRIBUTES(attributes), .params_size = sizeof(softmax_params), .quant = Q8_QUANT_FLOAT,                   \
      .float_inputs = 1, .family = &its_family, .variant = log};

static const q8_op_extras extras = {.expand = expand};
static const q8_op_family soft = {.int8_obstacle = OBSTACLE,
                                  .infer = infer,
                                  .eval = eval,
                                  .plan = plan,
                                  .upgrade = upgrade,
                                  .extras = &extras};
static const q8_op_family hard = {
    .int8_obstacle = OBSTACLE, .infer = infer, .eval = eval_hard, .upgrade = upgrade, .extras = &extras};
SOFTMAX(softmax, "Softmax", soft, NULL)
SOFTMAX(log_softmax, "LogSoftmax", soft, &soft)
SOFTMAX(hardmax, "Hardmax", hard, NULL)
