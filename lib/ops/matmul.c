/* matmul.c - MatMul with numpy broadcasting of the leading dimensions. */
#include <math.h>
#include <string.h>

#include "base/parallel.h"
#include "ops/matmul.h"
#include "ops/weighted.h"

/* A vector becomes a matrix of one row (a) or one column (b), as numpy does. */
static q8_shape as_matrix(const q8_shape *shape, int is_a) {
  if (shape->rank != 1)
    return *shape;
  q8_shape matrix = {.rank = 2, .dim = {is_a ? 1 : shape->dim[0], is_a ? shape->dim[0] : 1}};
  return matrix;
}

q8_status q8_matmul_shape_of(const q8_op_io *io, const q8_shape *given_a, const q8_shape *given_b, q8_matmul_shape *s) {
  q8_shape a = as_matrix(given_a, 1), b = as_matrix(given_b, 0);
  if (a.rank < 2 || b.rank < 2 || a.dim[a.rank - 1] != b.dim[b.rank - 2]) {
    return q8_op_fail(io, QINT8_ERROR_SHAPE, "%p times %p", given_a, given_b);
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
  Q8_TRY(q8_need_dtype(io, 0, QINT8_DTYPE_F32));
  Q8_TRY(q8_need_dtype(io, 1, QINT8_DTYPE_F32));
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

/* ---- Two activations: the second is packed while running, matrix by matrix ---- */

typedef struct product_step {
  q8_matmul_shape s;
  size_t batches, tasks;
  const q8_kernels *kernels;
  q8_linear linear; /* without weights */
  const float *zeros;
} product_step;

typedef struct product_run {
  const product_step *p;
  const q8_host *host;
  const float *a, *b;
  float *y;
  uint8_t *scratch;
} product_run;

static q8_linear_desc describe(const q8_matmul_shape *s, const float *b) {
  return (q8_linear_desc){.groups = 1, .taps = 1, .k = s->k, .n = s->n, .w = b, .w_out = 1, .w_in = s->n};
}

static size_t packed_size(const product_step *p) {
  return q8_round_up(p->linear.group_size, Q8_ALIGN);
}
static size_t product_scratch(const product_step *p) {
  return packed_size(p) + q8_round_up(q8_linear_scratch(&p->linear, p->s.m, 1), Q8_ALIGN);
}

static void product_task(void *argument, size_t task) {
  const product_run *r = argument;
  const product_step *p = r->p;
  const q8_matmul_shape *s = &p->s;
  uint8_t *scratch = r->scratch + task * product_scratch(p);
  q8_host alone = *r->host;
  alone.threads = 1;
  q8_linear linear = p->linear;
  linear.weights = scratch;
  q8_epilogue epilogue = {.kind = Q8_EPILOGUE_FLOAT, .bias = p->zeros, .lo = -INFINITY, .hi = INFINITY};
  size_t end = p->batches * (task + 1) / p->tasks, packed = SIZE_MAX;
  for (size_t i = p->batches * task / p->tasks; i < end; i++) {
    size_t a, b;
    q8_matmul_operands(s, i, &a, &b);
    q8_linear_desc d = describe(s, r->b + b);
    if (b != packed)
      q8_linear_fill_float(&linear, &d, linear.weights);
    packed = b;
    q8_matrix_rows rows = {(const uint8_t *)(r->a + a), s->k * sizeof(float), 0};
    q8_linear_run run = {.linear = &linear,
                         .kernels = p->kernels,
                         .rows = q8_matrix_source,
                         .source = &rows,
                         .m = s->m,
                         .y_stride = s->n,
                         .epilogue = &epilogue,
                         .y = r->y + i * s->m * s->n,
                         .scratch = scratch + packed_size(p)};
    q8_linear_execute(&run, &alone);
  }
}

static void run_product(const q8_step_run *r) {
  const product_step *p = r->params;
  product_run run = {p, r->host, r->in[0], r->in[1], r->out[0], r->scratch};
  q8_parallel(r->host, p->tasks, product_task, &run);
}

static q8_status plan_product(q8_planner *planner, q8_id id, const q8_matmul_shape *s, qint8_error *error) {
  const q8_node *node = q8_plan_node(planner, id);
  product_step *p = q8_plan_alloc(planner, 1, sizeof *p);
  float *zeros = q8_plan_alloc(planner, s->n + 64, sizeof *zeros);
  if (!p || !zeros)
    return q8_fail_memory(error, node->name, s->n * sizeof *zeros);
  *p = (product_step){.s = *s, .kernels = q8_plan_kernels(planner), .zeros = zeros};
  p->batches = q8_shape_count(&s->batch, NULL);
  size_t threads = (size_t)q8_plan_threads(planner);
  p->tasks = p->batches < threads ? p->batches : threads;
  q8_linear_desc d = describe(s, NULL);
  Q8_TRY(q8_linear_layout_float(p->kernels, &d, q8_plan_pool(planner), &p->linear, error));
  q8_step step;
  q8_plan_step(planner, id, "matmul", run_product, &step);
  for (int32_t i = 0; i < 2; i++)
    Q8_TRY(q8_plan_input(planner, node->inputs[i], Q8_FORM_NATIVE, Q8_LINEAR, &step.in[i], error));
  Q8_TRY(q8_plan_output(planner, node->outputs[0], Q8_FORM_NATIVE, Q8_LINEAR, &step.out[0], error));
  step.in_count = 2;
  step.out_count = 1;
  step.params = p;
  step.precision = "fp32";
  step.kernel = p->linear.kernel_name;
  step.scratch_size = p->tasks * product_scratch(p);
  step.macs = (int64_t)(p->batches * s->m * s->n * s->k);
  return q8_plan_add(planner, &step, error);
}

static q8_status plan(q8_planner *planner, q8_id id, qint8_error *error) {
  const q8_node *node = q8_plan_node(planner, id);
  const q8_value *inputs[2] = {q8_plan_value(planner, node->inputs[0]), q8_plan_value(planner, node->inputs[1])};
  q8_op_io io = {.node = node, .inputs = inputs, .error = error};
  q8_matmul_shape s;
  Q8_TRY(find_shape(&io, &s));
  size_t rows = s.k ? inputs[0]->count / s.k : 0;
  if (!rows || !s.n || !s.k || !s.m || !q8_plan_value(planner, node->outputs[0])->count)
    return q8_plan_eval(planner, id, error);
  int constant = q8_plan_is_constant(planner, node->inputs[1]);
  if (!constant && q8_plan_mode(planner, id) == Q8_MODE_STATIC && s.k <= Q8_MATMUL_INT8_K)
    return q8_plan_matmul_int8(planner, id, &s, error);
  if (!constant || inputs[1]->shape.rank != 2)
    return plan_product(planner, id, &s, error);
  q8_weighted w = {.kind = "matmul",
                   .g = {.n = rows, .h = 1, .w = 1, .c = s.k, .k = s.n, .groups = 1, .r = 1, .s = 1, .stride_h = 1,
                         .stride_w = 1, .dilation_h = 1, .dilation_w = 1, .p = 1, .q = 1},
                   .layout = Q8_LINEAR,
                   .bias_tensor = Q8_NONE};
  return q8_plan_weighted_matrix(planner, id, &w, 1, error);
}

static int32_t weight_axis(const q8_node *node) {
  (void)node;
  return -1;
}

const q8_op q8_op_matmul = {
    .name = "MatMul", Q8_OPSETS(1, 21), Q8_INPUTS(2, 2), Q8_OUTPUTS(1, 1),
    .quant = Q8_QUANT_WEIGHTED, .two_activations = 1,
    .family = &(const q8_op_family){.infer = infer, .eval = eval, .plan = plan,
                                    .extras = &(const q8_op_extras){.weight_axis = weight_axis}}};
