/* global_pool.c - GlobalAveragePool, GlobalMaxPool and GlobalLpPool: [N, C, d...] -> [N, C, 1...]. */
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

/* A window over all positions. */
static q8_status eval(const q8_op_io *io, q8_pool_kind kind, int64_t p) {
  const q8_shape *x = &io->inputs[0]->shape;
  int64_t n = (int64_t)q8_dims(x, 2, x->rank);
  return q8_pool_eval(io, &(q8_pool_window){.kind = kind,
                                            .p = p,
                                            .e = {{1, 1, 1, 1, 0, 0, 1}, {1, 1, 1, 1, 0, 0, 1}, {n, n, 1, 1, 0, 0, 1}}});
}

static q8_status average_eval(const q8_op_io *io) {
  return eval(io, Q8_POOL_AVERAGE, 0);
}

static q8_status max_eval(const q8_op_io *io) {
  return eval(io, Q8_POOL_MAX, 0);
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
  return eval(io, Q8_POOL_LP, ((const lp_params *)io->node->params)->p);
}

static q8_status average_plan(q8_planner *planner, q8_id node, qint8_error *error) {
  return q8_plan_global_pool(planner, node, Q8_POOL_AVERAGE, error);
}
static q8_status max_plan(q8_planner *planner, q8_id node, qint8_error *error) {
  return q8_plan_global_pool(planner, node, Q8_POOL_MAX, error);
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
