/* gemm.c - Gemm: y = alpha * A' * B' + beta * C, with the activation clamp that rewrites may merge into it. */
#include <math.h>
#include <string.h>

#include "ops/gemm.h"
#include "ops/hooks.h"
#include "ops/weighted.h"

#define AT(field) offsetof(q8_gemm_params, field)
static const q8_attribute attributes[] = {
    {"alpha", Q8_ATTR_FLOAT, AT(alpha), 0, 0, 1},
    {"beta", Q8_ATTR_FLOAT, AT(beta), 0, 0, 1},
    {"transA", Q8_ATTR_INT, AT(trans_a), 0, 0, 0},
    {"transB", Q8_ATTR_INT, AT(trans_b), 0, 0, 0},
    {"broadcast", Q8_ATTR_INT, AT(broadcast), 0, 0, 0}, /* until opset 6 */
    {"activation_lo", Q8_ATTR_FLOAT, AT(activation_lo), 0, 1, -(double)INFINITY},
    {"activation_hi", Q8_ATTR_FLOAT, AT(activation_hi), 0, 1, (double)INFINITY}};

static q8_status find_shape(const q8_op_io *io, q8_gemm_shape *s) {
  const q8_gemm_params *p = io->node->params;
  const q8_shape *a = &io->inputs[0]->shape, *b = &io->inputs[1]->shape;
  const q8_value *c = q8_input(io, 2);
  if (a->rank != 2 || b->rank != 2 || a->dim[!p->trans_a] != b->dim[!!p->trans_b])
    return q8_op_fail(io, QINT8_ERROR_SHAPE, "A %p%s times B %p%s", a, p->trans_a ? " transposed" : "", b,
                      p->trans_b ? " transposed" : "");
  s->m = (size_t)a->dim[!!p->trans_a];
  s->k = (size_t)a->dim[!p->trans_a];
  s->n = (size_t)b->dim[!p->trans_b];
  s->a_m = p->trans_a ? 1 : s->k;
  s->a_k = p->trans_a ? s->m : 1;
  s->b_n = p->trans_b ? s->k : 1;
  s->b_k = p->trans_b ? 1 : s->n;
  s->c_m = s->c_n = 0;
  if (c) {
    q8_shape out = {.rank = 2, .dim = {(int64_t)s->m, (int64_t)s->n}}, joined;
    Q8_TRY(q8_infer_broadcast(io, &c->shape, &out, &joined));
    if (!q8_shape_equal(&out, &joined))
      return q8_op_fail(io, QINT8_ERROR_SHAPE, "C %p does not broadcast to %p", &c->shape, &out);
    int64_t stride[Q8_MAX_RANK];
    q8_broadcast_strides(&c->shape, &out, stride);
    s->c_m = stride[0];
    s->c_n = stride[1];
  }
  return QINT8_OK;
}

static q8_status infer(const q8_op_io *io) {
  q8_gemm_shape s;
  Q8_TRY(find_shape(io, &s));
  q8_shape shape = {.rank = 2, .dim = {(int64_t)s.m, (int64_t)s.n}};
  return q8_infer_set(io, 0, QINT8_DTYPE_F32, &shape);
}

static q8_status eval(const q8_op_io *io) {
  const q8_gemm_params *p = io->node->params;
  const q8_value *c = q8_input(io, 2);
  q8_gemm_shape s;
  Q8_TRY(find_shape(io, &s));
  const float *a = io->inputs[0]->data, *b = io->inputs[1]->data;
  float *y = io->outputs[0].data;
  for (size_t m = 0; m < s.m; m++)
    for (size_t n = 0; n < s.n; n++) {
      float sum = 0;
      for (size_t k = 0; k < s.k; k++)
        sum += a[m * s.a_m + k * s.a_k] * b[n * s.b_n + k * s.b_k];
      float v = p->alpha * sum;
      if (c)
        v += p->beta * ((const float *)c->data)[(int64_t)m * s.c_m + (int64_t)n * s.c_n];
      v = v < p->activation_lo ? p->activation_lo : v;
      *y++ = v > p->activation_hi ? p->activation_hi : v;
    }
  return QINT8_OK;
}

static q8_status plan(q8_planner *planner, q8_id id) {
  const q8_node *node = q8_plan_node(planner, id);
  const q8_gemm_params *p = node->params;
  const q8_value *inputs[3];
  q8_op_io io = q8_plan_op_io(planner, id, inputs);
  q8_gemm_shape s;
  Q8_TRY(find_shape(&io, &s));
  const q8_value *c = q8_input(&io, 2);
  int bias_is_a_row = !c || (c->data && s.c_m == 0 && s.c_n == 1) || (c->data && c->count == 1 && s.n == 1);
  if (!s.m || !s.n || !s.k)
    return q8_plan_eval(planner, id);
  if (!q8_plan_is_constant(planner, node->inputs[1]) || p->trans_a || p->alpha != 1 || (c && p->beta != 1) || !bias_is_a_row)
    return q8_plan_gemm_general(planner, id, &s);
  q8_weighted w = {.kind = "gemm",
                   .g = {.n = s.m, .c = s.k, .k = s.n},
                   .bias = c ? c->data : NULL,
                   .bias_tensor = c ? node->inputs[2] : Q8_NONE};
  return q8_plan_weighted_matrix(planner, id, &w, !p->trans_b);
}

/* C broadcasts to the result whether or not an old file says so. */
static q8_status upgrade(q8_upgrade *node) {
  ((q8_gemm_params *)node->params)->broadcast = 0;
  return QINT8_OK;
}

static int32_t weight_axis(const q8_node *node) {
  const q8_gemm_params *p = node->params;
  return p->trans_b ? 0 : 1;
}

const q8_op q8_op_gemm = {
    .name = "Gemm", Q8_OPSETS(6, 21), Q8_INPUTS(2, 3), Q8_OUTPUTS(1, 1),
    Q8_ATTRIBUTES(attributes), .params_size = sizeof(q8_gemm_params), .quant = Q8_QUANT_WEIGHTED,
    .float_inputs = 7,
    .family = &(const q8_op_family){.infer = infer, .eval = eval, .plan = plan, .upgrade = upgrade,
                                    .extras = &(const q8_op_extras){.weight_axis = weight_axis}}};
