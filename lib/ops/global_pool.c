/* global_pool.c - GlobalAveragePool, GlobalMaxPool and GlobalLpPool: [N, C, d...] -> [N, C, 1...]. */
#include <math.h>

#include "ops/pool.h"

static q8_status infer(const q8_op_io *io) {
  q8_shape y = io->inputs[0]->shape;
  Q8_TRY(q8_need_dtype(io, 0, QINT8_DTYPE_F32));
  if (y.rank < 3 || q8_dims(&y, 2, y.rank) == 0)
    return q8_op_fail(io, QINT8_ERROR_SHAPE, "input of shape %p, expected [N, C] and spatial dimensions", &y);
  for (int32_t i = 2; i < y.rank; i++)
    y.dim[i] = 1;
  return q8_infer_set(io, 0, QINT8_DTYPE_F32, &y);
}

static q8_status average_eval(const q8_op_io *io) {
  const q8_shape *shape = &io->inputs[0]->shape;
  size_t planes = q8_dims(shape, 0, 2), n = q8_dims(shape, 2, shape->rank);
  const float *x = io->inputs[0]->data;
  float *y = io->outputs[0].data;
  for (size_t c = 0; c < planes; c++) {
    double sum = 0;
    for (size_t i = 0; i < n; i++)
      sum += x[c * n + i];
    y[c] = (float)(sum / (double)n);
  }
  return QINT8_OK;
}

static q8_status max_eval(const q8_op_io *io) {
  const q8_shape *shape = &io->inputs[0]->shape;
  size_t planes = q8_dims(shape, 0, 2), n = q8_dims(shape, 2, shape->rank);
  const float *x = io->inputs[0]->data;
  float *y = io->outputs[0].data;
  for (size_t c = 0; c < planes; c++) {
    y[c] = x[c * n];
    for (size_t i = 1; i < n; i++)
      y[c] = x[c * n + i] > y[c] ? x[c * n + i] : y[c];
  }
  return QINT8_OK;
}

typedef struct lp_params {
  int64_t p;
} lp_params;

static const q8_attribute lp_attributes[] = {{"p", Q8_ATTR_INT, offsetof(lp_params, p), 0, 0, 2}};

static q8_status lp_infer(const q8_op_io *io) {
  int64_t p = ((const lp_params *)io->node->params)->p;
  if (p < 1)
    return q8_op_fail(io, QINT8_ERROR_SHAPE, "p is %lld", (long long)p);
  return infer(io);
}

static q8_status lp_eval(const q8_op_io *io) {
  const q8_shape *shape = &io->inputs[0]->shape;
  double p = (double)((const lp_params *)io->node->params)->p;
  size_t planes = q8_dims(shape, 0, 2), n = q8_dims(shape, 2, shape->rank);
  const float *x = io->inputs[0]->data;
  float *y = io->outputs[0].data;
  for (size_t c = 0; c < planes; c++) {
    double sum = 0;
    for (size_t i = 0; i < n; i++)
      sum += pow(fabs((double)x[c * n + i]), p);
    y[c] = (float)pow(sum, 1 / p);
  }
  return QINT8_OK;
}

static q8_status average_plan(q8_planner *planner, q8_id node, qint8_error *error) {
  return q8_plan_global_pool(planner, node, 1, error);
}
static q8_status max_plan(q8_planner *planner, q8_id node, qint8_error *error) {
  return q8_plan_global_pool(planner, node, 0, error);
}

#define GLOBAL_POOL(id, onnx_name, rule, eval_fn, plan_fn)                                                          \
  const q8_op q8_op_##id = {                                                                                       \
      .name = onnx_name, Q8_OPSETS(1, 21), Q8_INPUTS(1, 1), Q8_OUTPUTS(1, 1),                                      \
      .quant = rule,                                                                                               \
      .family = &(const q8_op_family){.infer = infer, .eval = eval_fn, .plan = plan_fn}};

GLOBAL_POOL(global_average_pool, "GlobalAveragePool", Q8_QUANT_OWN, average_eval, average_plan)
GLOBAL_POOL(global_max_pool, "GlobalMaxPool", Q8_QUANT_SAME, max_eval, max_plan)

const q8_op q8_op_global_lp_pool = {
    .name = "GlobalLpPool", Q8_OPSETS(1, 21), Q8_INPUTS(1, 1), Q8_OUTPUTS(1, 1),
    Q8_ATTRIBUTES(lp_attributes), .params_size = sizeof(lp_params), .quant = Q8_QUANT_FLOAT,
    .family = &(const q8_op_family){.int8_obstacle = "no int8 form: powers need the range of float",
                                    .infer = lp_infer, .eval = lp_eval}};
