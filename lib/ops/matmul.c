/* matmul.c - MatMul with numpy broadcasting of the leading dimensions. */
#include <string.h>

#include "ops/product.h"
#include "ops/weighted.h"

/* A vector is a matrix of one row (a) or one column (b), as in numpy. */
q8_status q8_matmul_shape_of(const q8_op_io *io, const q8_shape *given_a, const q8_shape *given_b, q8_matmul_shape *s) {
  q8_shape a = *given_a, b = *given_b; /* of these the leading dimensions */
  s->drop_m = a.rank == 1;
  s->drop_n = b.rank == 1;
  a.rank -= 2 - s->drop_m;
  b.rank -= 2 - s->drop_n;
  if (a.rank < 0 || b.rank < 0 || given_a->dim[given_a->rank - 1] != b.dim[b.rank])
    return q8_op_fail(io, QINT8_ERROR_SHAPE, "%p times %p", given_a, given_b);
  s->m = s->drop_m ? 1 : (size_t)a.dim[a.rank];
  s->k = (size_t)b.dim[b.rank];
  s->n = s->drop_n ? 1 : (size_t)b.dim[b.rank + 1];
  Q8_TRY(q8_infer_broadcast(io, &a, &b, &s->batch));
  q8_broadcast_strides(&a, &s->batch, s->a);
  q8_broadcast_strides(&b, &s->batch, s->b);
  for (int32_t i = 0; i < s->batch.rank; i++) {
    s->a[i] *= (int64_t)(s->m * s->k);
    s->b[i] *= (int64_t)(s->k * s->n);
  }
  return QINT8_OK;
}

q8_status q8_matmul_result(const q8_op_io *io, const q8_matmul_shape *s, q8_shape *out) {
  *out = s->batch;
  if (out->rank + 2 > Q8_MAX_RANK)
    return q8_fail(io->error, QINT8_ERROR_LIMIT, io->node->name, "a result of rank %d", out->rank + 2);
  if (!s->drop_m)
    out->dim[out->rank++] = (int64_t)s->m;
  if (!s->drop_n)
    out->dim[out->rank++] = (int64_t)s->n;
  return QINT8_OK;
}

void q8_matmul_operands(const q8_matmul_shape *s, size_t i, size_t *a, size_t *b) {
  *a = *b = 0;
  for (int32_t d = s->batch.rank; d-- > 0; i /= (size_t)s->batch.dim[d]) {
    size_t index = i % (size_t)s->batch.dim[d];
    *a += index * (size_t)s->a[d];
    *b += index * (size_t)s->b[d];
  }
}

static q8_status find_shape(const q8_op_io *io, q8_matmul_shape *s) {
  return q8_matmul_shape_of(io, &io->inputs[0]->shape, &io->inputs[1]->shape, s);
}

static q8_status infer(const q8_op_io *io) {
  q8_matmul_shape s;
  q8_shape out;
  Q8_TRY(find_shape(io, &s));
  Q8_TRY(q8_matmul_result(io, &s, &out));
  return q8_infer_set(io, 0, QINT8_DTYPE_F32, &out);
}

/* Row by row of b, so that the inner loop is over contiguous memory. */
static void multiply(const q8_matmul_shape *s, const float *a, const float *b, float *y) {
  memset(y, 0, s->m * s->n * sizeof *y);
  for (size_t m = 0; m < s->m; m++)
    for (size_t k = 0; k < s->k; k++) {
      float factor = a[m * s->k + k];
      const float *row = b + k * s->n;
      float *out = y + m * s->n;
      for (size_t n = 0; n < s->n; n++)
        out[n] += factor * row[n];
    }
}

static q8_status eval(const q8_op_io *io) {
  q8_matmul_shape s;
  Q8_TRY(find_shape(io, &s));
  size_t batches = q8_shape_count(&s.batch, NULL);
  for (size_t i = 0; i < batches; i++) {
    size_t a, b;
    q8_matmul_operands(&s, i, &a, &b);
    multiply(&s, (const float *)io->inputs[0]->data + a, (const float *)io->inputs[1]->data + b,
             (float *)io->outputs[0].data + i * s.m * s.n);
  }
  return QINT8_OK;
}

/* ---- Two activations ---- */

static void run_product(const q8_step_run *r) {
  q8_product_run(r->params, r->host, r->in[0], r->in[1], r->out[0], r->scratch);
}

static q8_status plan_product(q8_planner *planner, q8_id id, const q8_matmul_shape *s, int int8) {
  q8_form_type form = int8 ? Q8_FORM_INT8 : Q8_FORM_NATIVE;
  q8_step *step;
  q8_product *p = q8_plan_begin(planner, "matmul", run_product, sizeof *p, &step);
  if (!p)
    return QINT8_ERROR_MEMORY;
  p->s = *s;
  p->b_k = s->n;
  p->b_n = 1;
  Q8_TRY(int8 ? q8_product_prepare_int8(planner, q8_plan_node(planner, id), p, step)
              : q8_product_prepare(planner, p, NULL, step));
  return q8_plan_finish(planner, step, 3, form, p->y_element == 1 ? form : Q8_FORM_NATIVE, Q8_LINEAR);
}

static q8_status plan(q8_planner *planner, q8_id id) {
  const q8_node *node = q8_plan_node(planner, id);
  const q8_value *inputs[2];
  q8_op_io io = q8_plan_op_io(planner, id, inputs);
  q8_matmul_shape s;
  Q8_TRY(find_shape(&io, &s));
  size_t rows = s.k ? inputs[0]->count / s.k : 0;
  if (!rows || !s.n || !s.k || !s.m || !q8_plan_value(planner, node->outputs[0])->count)
    return q8_plan_eval(planner, id);
  int constant = q8_plan_is_constant(planner, node->inputs[1]);
  if (!constant || inputs[1]->shape.rank != 2)
    return plan_product(planner, id, &s,
                        !constant && q8_plan_mode(planner, id) == Q8_MODE_STATIC && s.k <= Q8_PRODUCT_INT8_K);
  q8_weighted w = {.kind = "matmul", .g = {.n = rows, .c = s.k, .k = s.n}, .bias_tensor = Q8_NONE};
  return q8_plan_weighted_matrix(planner, id, &w, 1);
}

static int32_t weight_axis(const q8_node *node) {
  (void)node;
  return -1;
}

const q8_op q8_op_matmul = {
    .name = "MatMul", Q8_OPSETS(1, 21), Q8_INPUTS(2, 2), Q8_OUTPUTS(1, 1),
    .quant = Q8_QUANT_WEIGHTED, .two_activations = 1, .float_inputs = 3,
    .family = &(const q8_op_family){.infer = infer, .eval = eval, .plan = plan,
                                    .extras = &(const q8_op_extras){.weight_axis = weight_axis}}};
