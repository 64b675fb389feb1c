/* global_pool.c - GlobalAveragePool, GlobalMaxPool and GlobalLpPool: [N, C, d...] -> [N, C, 1...]. */
#include "ops/pool.h"

typedef struct lp_params {
  int64_t p;
} lp_params;

static int64_t power_of(const q8_node *node) {
  return q8_pool_kind_of(node) == Q8_POOL_LP ? ((const lp_params *)node->params)->p : 1;
}

static q8_status infer(const q8_op_io *io) {
  q8_shape y = io->inputs[0]->shape;
  if (power_of(io->node) < 1)
    return q8_op_fail(io, QINT8_ERROR_SHAPE, "p is %lld", (long long)power_of(io->node));
  if (y.rank < 3 || q8_dims(&y, 2, y.rank) == 0)
    return q8_op_fail(io, QINT8_ERROR_SHAPE, "input of shape %p, expected [N, C] and spatial dimensions", &y);
  for (int32_t i = 2; i < y.rank; i++)
    y.dim[i] = 1;
  return q8_infer_set(io, 0, QINT8_DTYPE_F32, &y);
}

/* A window over all positions. */
static q8_status eval(const q8_op_io *io) {
  const q8_shape *x = &io->inputs[0]->shape;
  int64_t n = (int64_t)q8_dims(x, 2, x->rank);
  return q8_pool_eval(io, &(q8_pool_window){.kind = q8_pool_kind_of(io->node),
                                            .p = power_of(io->node),
                                            .e = {{1, 1, 1, 1, 0, 0, 1}, {1, 1, 1, 1, 0, 0, 1}, {n, n, 1, 1, 0, 0, 1}}});
}

static q8_status plan(q8_planner *planner, q8_id id) {
  return (q8_pool_kind_of(q8_plan_node(planner, id)) == Q8_POOL_LP ? q8_plan_eval : q8_plan_global_pool)(planner, id);
}

static const q8_op_family family = {
    .int8_obstacle = Q8_POOL_LP_OBSTACLE, .infer = infer, .eval = eval, .plan = plan};

#define GLOBAL_POOL(id, onnx_name, rule, kind)                                                                     \
  const q8_op q8_op_##id = {                                                                                       \
      .name = onnx_name, Q8_OPSETS(1, 21), Q8_INPUTS(1, 1), Q8_OUTPUTS(1, 1), .quant = rule, .float_inputs = 1,    \
      .family = &family, .variant = &(const q8_pool_kind){kind}};

static const q8_attribute lp_attributes[] = {{"p", Q8_ATTR_INT, offsetof(lp_params, p), 0, 0, 2}};

GLOBAL_POOL(global_average_pool, "GlobalAveragePool", Q8_QUANT_OWN, Q8_POOL_AVERAGE)
GLOBAL_POOL(global_max_pool, "GlobalMaxPool", Q8_QUANT_SAME, Q8_POOL_MAX)
const q8_op q8_op_global_lp_pool = {
    .name = "GlobalLpPool", Q8_OPSETS(1, 21), Q8_INPUTS(1, 1), Q8_OUTPUTS(1, 1),
    Q8_ATTRIBUTES(lp_attributes), .params_size = sizeof(lp_params), .quant = Q8_QUANT_FLOAT, .float_inputs = 1,
    .family = &family, .variant = &(const q8_pool_kind){Q8_POOL_LP}};
