/* matmul.c - MatMul with numpy broadcasting of the leading dimensions. */
#include <string.h>

#include "ops/weighted.h"

typedef struct matmul_shape {
  size_t m, n, k;
  q8_shape batch;              /* leading dimensions of the result */
  int64_t a[Q8_MAX_RANK], b[Q8_MAX_RANK]; /* strides of the operands over them, in elements */
  int drop_m, drop_n;          /* a or b was a vector */
} matmul_shape;

/* A vector becomes a matrix of one row (a) or one column (b), as numpy does. */
static q8_shape as_matrix(const q8_shape *shape, int is_a) {
  if (shape->rank != 1)
    return *shape;
  q8_shape matrix = {.rank = 2, .dim = {is_a ? 1 : shape->dim[0], is_a ? shape->dim[0] : 1}};
  return matrix;
}

static q8_status find_shape(const q8_op_io *io, matmul_shape *s) {
  const q8_shape *given_a = &io->inputs[0]->shape, *given_b = &io->inputs[1]->shape;
  q8_shape a = as_matrix(given_a, 1), b = as_matrix(given_b, 0);
  if (a.rank < 2 || b.rank < 2 || a.dim[a.rank - 1] != b.dim[b.rank - 2]) {
    char ta[128], tb[128];
    return q8_fail(io->error, QINT8_ERROR_SHAPE, io->node->name, "%s times %s", q8_shape_text(given_a, ta, sizeof ta),
                   q8_shape_text(given_b, tb, sizeof tb));
  }
  s->m = (size_t)a.dim[a.rank - 2];
  s->k = (size_t)a.dim[a.rank - 1];
  s->n = (size_t)b.dim[b.rank - 1];
  s->drop_m = given_a->rank == 1;
  s->drop_n = given_b->rank == 1;
  a.rank -= 2;
  b.rank -= 2;
  Q8_TRY(q8_infer_broadcast(io, &a, &b, &s->batch));
  q8_broadcast_strides(&a, &s->batch, s->a);
  q8_broadcast_strides(&b, &s->batch, s->b);
  for (int32_t i = 0; i < s->batch.rank; i++) {
    s->a[i] *= (int64_t)(s->m * s->k);
    s->b[i] *= (int64_t)(s->k * s->n);
  }
  return QINT8_OK;
}

static q8_status infer(const q8_op_io *io) {
  matmul_shape s;
  Q8_TRY(q8_need_dtype(io, 0, QINT8_DTYPE_F32));
  Q8_TRY(q8_need_dtype(io, 1, QINT8_DTYPE_F32));
  Q8_TRY(find_shape(io, &s));
  q8_shape out = s.batch;
  if (out.rank + 2 > Q8_MAX_RANK)
    return q8_fail(io->error, QINT8_ERROR_LIMIT, io->node->name, "a result of rank %d", out.rank + 2);
  if (!s.drop_m)
    out.dim[out.rank++] = (int64_t)s.m;
  if (!s.drop_n)
    out.dim[out.rank++] = (int64_t)s.n;
  return q8_infer_set(io, 0, QINT8_DTYPE_F32, &out);
}

/* Row by row of b, so that the inner loop is over contiguous memory. */
static void multiply(const matmul_shape *s, const float *a, const float *b, float *y) {
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
  matmul_shape s;
  Q8_TRY(find_shape(io, &s));
  size_t batches = q8_shape_count(&s.batch, NULL);
  for (size_t i = 0; i < batches; i++) {
    int64_t at_a = 0, at_b = 0;
    size_t rest = i;
    for (int32_t d = s.batch.rank; d-- > 0;) {
      int64_t index = (int64_t)(rest % (size_t)s.batch.dim[d]);
      rest /= (size_t)s.batch.dim[d];
      at_a += index * s.a[d];
      at_b += index * s.b[d];
    }
    multiply(&s, (const float *)io->inputs[0]->data + at_a, (const float *)io->inputs[1]->data + at_b,
             (float *)io->outputs[0].data + i * s.m * s.n);
  }
  return QINT8_OK;
}

static q8_status plan(q8_planner *planner, q8_id id, qint8_error *error) {
  const q8_node *node = q8_plan_node(planner, id);
  const q8_value *inputs[2] = {q8_plan_value(planner, node->inputs[0]), q8_plan_value(planner, node->inputs[1])};
  q8_op_io io = {.node = node, .inputs = inputs, .error = error};
  matmul_shape s;
  Q8_TRY(find_shape(&io, &s));
  size_t rows = s.k ? inputs[0]->count / s.k : 0;
  if (!inputs[1]->data || inputs[1]->shape.rank != 2 || !rows || !s.n || !s.k)
    return q8_plan_eval(planner, id, error);
  q8_weighted w = {.kind = "matmul",
                   .g = {.n = rows, .h = 1, .w = 1, .c = s.k, .k = s.n, .groups = 1, .r = 1, .s = 1, .stride_h = 1,
                         .stride_w = 1, .dilation_h = 1, .dilation_w = 1, .p = 1, .q = 1},
                   .layout = Q8_LINEAR,
                   .bias_tensor = Q8_NONE};
  const q8_host *host = &q8_plan_pool(planner)->host;
  float *weights = q8_alloc(host, s.n * s.k, sizeof *weights);
  if (!weights)
    return q8_fail_memory(error, node->name, s.n * s.k * sizeof *weights);
  for (size_t n = 0; n < s.n; n++)
    for (size_t k = 0; k < s.k; k++)
      weights[n * s.k + k] = ((const float *)inputs[1]->data)[k * s.n + n];
  w.weights = weights;
  q8_status status = q8_plan_weighted(planner, id, &w, error);
  q8_free(host, weights);
  return status;
}

static int32_t weight_axis(const q8_node *node) {
  (void)node;
  return -1;
}

const q8_op q8_op_matmul = {.name = "MatMul",
                            .domain = "",
                            .min_opset = 1,
                            .max_opset = 21,
                            .min_inputs = 2,
                            .max_inputs = 2,
                            .min_outputs = 1,
                            .max_outputs = 1,
                            .quant = Q8_QUANT_WEIGHTED,
                            .weight_axis = weight_axis,
                            .infer = infer,
                            .eval = eval,
                            .plan = plan};
