/* matmul_int8.c - MatMul of two int8 activations, such as the products of attention: b is packed while running, as s8
 * with its top bit flipped, and both zero points are taken out of the accumulators:
 *   sum (a - za) (b - zb) = sum a b' - za sum b' - zb' sum (a - za),  b' = b - 128, zb' = zb - 128
 * the second term per column in the bias, the third per row. */
#include <math.h>
#include <string.h>

#include "base/parallel.h"
#include "nn/linear.h"
#include "ops/matmul.h"

typedef struct matmul_step {
  size_t batches, tasks;
  const q8_kernels *kernels;
  q8_linear linear; /* without weights */
  int32_t a_zero, b_zero;
  int requant;
  size_t turned, packed, columns, rows, task; /* bytes of the regions of a task's scratch, and of all of it */
  q8_epilogue epilogue;
  q8_matmul_shape s;
} matmul_step;

typedef struct matmul_run {
  const matmul_step *p;
  const q8_host *host;
  const uint8_t *a, *b;
  void *y;
  uint8_t *scratch;
} matmul_run;

/* Where a task's scratch begins to hold what. */
typedef struct regions {
  uint8_t *turned;  /* b as [n][k], s8 */
  uint8_t *packed;
  int32_t *sums, *bias, *rows;
  uint8_t *rest;
} regions;

static regions regions_of(const matmul_step *p, uint8_t *scratch) {
  regions r = {.turned = scratch, .packed = scratch + p->turned};
  r.sums = (int32_t *)(void *)(r.packed + p->packed);
  r.bias = (int32_t *)(void *)((uint8_t *)r.sums + p->columns);
  r.rows = (int32_t *)(void *)((uint8_t *)r.bias + p->columns);
  r.rest = (uint8_t *)r.rows + p->rows;
  return r;
}

static void flip(size_t n, uint8_t *x) {
  size_t i = 0;
  for (; i + 64 <= n; i += 64)
    for (size_t j = 0; j < 64; j++)
      x[i + j] ^= 0x80;
  for (; i < n; i++)
    x[i] ^= 0x80;
}

static void pack_b(const matmul_step *p, const uint8_t *b, const regions *r, q8_linear *linear) {
  const q8_matmul_shape *s = &p->s;
  p->kernels->transpose8(s->k, s->n, b, s->n, r->turned, s->k);
  flip(s->n * s->k, r->turned);
  q8_linear_desc d = {.groups = 1, .taps = 1, .k = s->k, .n = s->n, .w = r->turned, .w_out = s->k, .w_in = 1};
  q8_linear_fill(linear, &d, r->packed, r->sums);
  linear->weights = r->packed;
  linear->column_sum = r->sums;
  q8_linear_fold_bias(linear, NULL, p->a_zero, r->bias);
}

static int32_t sum_row(size_t n, const uint8_t *x) {
  int32_t sum = 0;
  size_t i = 0;
  for (; i + 64 <= n; i += 64)
    for (size_t j = 0; j < 64; j++)
      sum += x[i + j];
  for (; i < n; i++)
    sum += x[i];
  return sum;
}

static void multiply(const matmul_run *run, const regions *r, const q8_linear *linear, const uint8_t *a, size_t at) {
  const matmul_step *p = run->p;
  const q8_matmul_shape *s = &p->s;
  int32_t b_zero = p->b_zero - 128;
  for (size_t m = 0; b_zero && m < s->m; m++)
    r->rows[m] = -b_zero * (sum_row(s->k, a + m * s->k) - (int32_t)s->k * p->a_zero);
  q8_epilogue epilogue = p->epilogue;
  epilogue.offset = epilogue.requant.bias = r->bias;
  q8_matrix_rows rows = {a, s->k, 0};
  q8_host alone = *run->host;
  alone.threads = 1;
  q8_linear_run product = {.linear = linear,
                           .kernels = p->kernels,
                           .rows = q8_matrix_source,
                           .source = &rows,
                           .m = s->m,
                           .y_stride = s->n,
                           .epilogue = &epilogue,
                           .y = (uint8_t *)run->y + at * (p->requant ? 1 : sizeof(float)),
                           .scratch = r->rest,
                           .row_offset = b_zero ? r->rows : NULL};
  q8_linear_execute(&product, &alone);
}

static void matmul_task(void *argument, size_t task) {
  const matmul_run *run = argument;
  const matmul_step *p = run->p;
  regions r = regions_of(p, run->scratch + task * p->task);
  q8_linear linear = p->linear;
  size_t end = p->batches * (task + 1) / p->tasks, packed = SIZE_MAX;
  for (size_t i = p->batches * task / p->tasks; i < end; i++) {
    size_t a, b;
    q8_matmul_operands(&p->s, i, &a, &b);
    if (b != packed)
      pack_b(p, run->b + b, &r, &linear);
    packed = b;
    multiply(run, &r, &linear, run->a + a, i * p->s.m * p->s.n);
  }
}

static void run_matmul(const q8_step_run *r) {
  const matmul_step *p = r->params;
  matmul_run run = {p, r->host, r->in[0], r->in[1], r->out[0], r->scratch};
  q8_parallel(r->host, p->tasks, matmul_task, &run);
}

/* ---- Planning ---- */

static q8_status set_epilogue(q8_planner *planner, const q8_node *node, matmul_step *p) {
  float a_scale = 1, b_scale = 1, y_scale = 1;
  int32_t y_zero = 0;
  q8_plan_quant(planner, node->inputs[0], &a_scale, &p->a_zero);
  q8_plan_quant(planner, node->inputs[1], &b_scale, &p->b_zero);
  p->requant = q8_plan_quant(planner, node->outputs[0], &y_scale, &y_zero);
  float *scale = q8_plan_alloc(planner, p->s.n + 64, sizeof *scale);
  float *zeros = q8_plan_alloc(planner, p->s.n + 64, sizeof *zeros);
  if (!scale || !zeros)
    return QINT8_ERROR_MEMORY;
  float factor = a_scale * b_scale;
  if (p->requant)
    factor = factor / y_scale;
  if (!isfinite(factor))
    return q8_fail(q8_plan_error(planner), QINT8_ERROR_DATA, node->name, "the product of the scales is not finite");
  for (size_t i = 0; i < p->s.n; i++)
    scale[i] = factor;
  p->epilogue = (q8_epilogue){.kind = p->requant ? Q8_EPILOGUE_REQUANT : Q8_EPILOGUE_DEQUANT,
                              .scale = scale,
                              .bias = zeros,
                              .lo = -INFINITY,
                              .hi = INFINITY};
  p->epilogue.requant = (q8_requant){.scale = scale, .zero_point = y_zero, .lo = 0, .hi = 255};
  return QINT8_OK;
}

static void lay_out_scratch(q8_planner *planner, matmul_step *p, q8_step *step) {
  const q8_matmul_shape *s = &p->s;
  size_t threads = (size_t)q8_plan_threads(planner);
  p->batches = q8_shape_count(&s->batch, NULL);
  p->tasks = p->batches < threads ? p->batches : threads;
  p->turned = q8_round_up(s->n * s->k, Q8_ALIGN);
  p->packed = q8_round_up(p->linear.group_size, Q8_ALIGN);
  p->columns = q8_round_up((s->n + 64) * sizeof(int32_t), Q8_ALIGN);
  p->rows = q8_round_up(s->m * sizeof(int32_t), Q8_ALIGN);
  p->task = p->turned + p->packed + 2 * p->columns + p->rows +
            q8_round_up(q8_linear_scratch(&p->linear, s->m, 1), Q8_ALIGN);
  step->scratch_size = p->tasks * p->task;
}

q8_status q8_plan_matmul_int8(q8_planner *planner, q8_id id, const q8_matmul_shape *s) {
  const q8_node *node = q8_plan_node(planner, id);
  q8_step *step;
  matmul_step *p = q8_plan_begin(planner, "matmul", run_matmul, sizeof *p, &step);
  if (!p)
    return QINT8_ERROR_MEMORY;
  *p = (matmul_step){.s = *s, .kernels = q8_plan_kernels(planner)};
  Q8_TRY(set_epilogue(planner, node, p));
  q8_linear_desc d = {.groups = 1, .taps = 1, .k = s->k, .n = s->n, .w_out = s->k, .w_in = 1};
  Q8_TRY(q8_linear_layout(p->kernels, &d, q8_plan_pool(planner), &p->linear, q8_plan_error(planner)));
  lay_out_scratch(planner, p, step);
  step->kernel = p->linear.kernel_name;
  step->macs = (int64_t)(p->batches * s->m * s->n * s->k);
  if (p->requant)
    step->table_slot = &p->epilogue.requant.table;
  return q8_plan_finish(planner, step, 3, Q8_FORM_INT8, p->requant ? Q8_FORM_INT8 : Q8_FORM_NATIVE, Q8_LINEAR);
}
