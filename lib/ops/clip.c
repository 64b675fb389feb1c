/* clip.c - Clip: y = min(max(x, lo), hi), the bounds scalar inputs. */
#include <math.h>
#include <stddef.h>
#include <string.h>

#include "base/element.h"
#include "ops/hooks.h"
#include "ops/unary.h"

/* lo and hi repeat constant bounds, for `unary`, whose alpha and beta they are; min and max are the attributes of opset 6. */
typedef struct clip_params {
  float lo, hi, min, max;
} clip_params;

static const q8_attribute attributes[] = {
    {"min", Q8_ATTR_FLOAT, offsetof(clip_params, min), 0, 0, -INFINITY},
    {"max", Q8_ATTR_FLOAT, offsetof(clip_params, max), 0, 0, INFINITY},
    {"clip_lo", Q8_ATTR_FLOAT, offsetof(clip_params, lo), 0, 1, -INFINITY},
    {"clip_hi", Q8_ATTR_FLOAT, offsetof(clip_params, hi), 0, 1, INFINITY}};

static float clip(const void *params, float x) {
  const clip_params *p = params;
  x = x < p->lo ? p->lo : x;
  return x > p->hi ? p->hi : x;
}

static q8_status upgrade(q8_upgrade *node) {
  clip_params *p = node->params;
  if (node->graph->opset < 11 && p->min > -INFINITY)
    Q8_TRY(q8_upgrade_input(node, 1, QINT8_DTYPE_F32, -1, &p->min));
  if (node->graph->opset < 11 && p->max < INFINITY)
    Q8_TRY(q8_upgrade_input(node, 2, QINT8_DTYPE_F32, -1, &p->max));
  p->min = -INFINITY;
  p->max = INFINITY;
  if (node->input_count > 1)
    q8_graph_scalar(node->graph, node->inputs[1], &p->lo);
  if (node->input_count > 2)
    q8_graph_scalar(node->graph, node->inputs[2], &p->hi);
  return QINT8_OK;
}

static q8_status infer(const q8_op_io *io) {
  for (int32_t i = 1; i < 3; i++) {
    const q8_value *bound = q8_input(io, i);
    if (bound && bound->count != 1) {
      return q8_op_fail(io, QINT8_ERROR_SHAPE, "bound of shape %p, expected a scalar", &bound->shape);
    }
    Q8_TRY(q8_need_dtype(io, i, io->inputs[0]->dtype));
  }
  if (io->inputs[0]->dtype == QINT8_DTYPE_BOOL)
    return q8_op_fail(io, QINT8_ERROR_UNSUPPORTED, "Clip of bool");
  return q8_infer_same(io);
}

static clip_params bounds(const q8_value *lo, const q8_value *hi) {
  clip_params p = {.lo = -INFINITY, .hi = INFINITY};
  if (lo)
    p.lo = *(const float *)lo->data;
  if (hi)
    p.hi = *(const float *)hi->data;
  return p;
}

/* Whether element i of x is smaller than the only one of `bound`. */
static int is_less(const q8_value *x, size_t i, const q8_value *bound) {
  if (q8_is_float(x->dtype))
    return q8_element_double(x->dtype, x->data, i) < q8_element_double(x->dtype, bound->data, 0);
  int64_t a = q8_element_int(x->dtype, x->data, i), b = q8_element_int(x->dtype, bound->data, 0);
  return q8_wide_dtype(x->dtype) == QINT8_DTYPE_U64 ? (uint64_t)a < (uint64_t)b : a < b;
}

static q8_status eval_other_type(const q8_op_io *io) {
  const q8_value *x = io->inputs[0], *lo = q8_input(io, 1), *hi = q8_input(io, 2);
  q8_value *y = &io->outputs[0];
  size_t size = qint8_dtype_size((qint8_dtype)x->dtype);
  for (size_t i = 0; i < x->count; i++) {
    char *to = (char *)y->data + i * size;
    memcpy(to, lo && is_less(x, i, lo) ? (const char *)lo->data : (const char *)x->data + i * size, size);
    const q8_value clamped = {.dtype = x->dtype, .count = 1, .data = to};
    if (hi && is_less(hi, 0, &clamped))
      memcpy(to, hi->data, size);
  }
  return QINT8_OK;
}

static q8_status eval(const q8_op_io *io) {
  if (io->inputs[0]->dtype != QINT8_DTYPE_F32)
    return eval_other_type(io);
  clip_params p = bounds(q8_input(io, 1), q8_input(io, 2));
  q8_unary_run_rows(Q8_ROWS_CLIP, (const void *)&p, io->inputs[0]->count, io->inputs[0]->data, io->outputs[0].data);
  return QINT8_OK;
}

static q8_status plan(q8_planner *planner, q8_id node) {
  const q8_node *n = q8_plan_node(planner, node);
  const q8_value *bound[3] = {NULL, NULL, NULL};
  if (q8_plan_value(planner, n->inputs[0])->dtype != QINT8_DTYPE_F32)
    return q8_plan_eval(planner, node);
  for (int32_t i = 1; i < n->input_count; i++) {
    if (n->inputs[i] == Q8_NONE)
      continue;
    bound[i] = q8_plan_value(planner, n->inputs[i]);
    if (!bound[i]->data)
      return q8_plan_eval(planner, node);
  }
  clip_params p = bounds(bound[1], bound[2]);
  return q8_plan_unary(planner, node, &p);
}

static const q8_unary_set set = {.exact = clip, .rows = Q8_ROWS_CLIP};

const q8_op q8_op_clip = {
    .name = "Clip", Q8_OPSETS(6, 21), Q8_INPUTS(1, 3), Q8_OUTPUTS(1, 1),
    Q8_ATTRIBUTES(attributes), .params_size = sizeof(clip_params), .quant = Q8_QUANT_OWN, .variant = &set,
    .unary = 1,
    .family = &(const q8_op_family){.infer = infer, .eval = eval, .plan = plan, .upgrade = upgrade}};
