#include "ops/product.h"

#include <math.h>

#include "base/parallel.h"

typedef struct product_run {
  const q8_product *p;
  q8_host host; /* of one task */
  const float *a, *b;
  float *y;
  uint8_t *scratch;
} product_run;

static q8_linear_desc describe(const q8_product *p, const float *b) {
  return (q8_linear_desc){.groups = 1, .taps = 1, .k = p->s.k, .n = p->s.n, .w = b, .w_out = p->b_n, .w_in = p->b_k};
}

static void run_task(void *argument, size_t task) {
  const product_run *r = argument;
  const q8_product *p = r->p;
  const q8_matmul_shape *s = &p->s;
  uint8_t *scratch = r->scratch + task * p->task;
  q8_linear linear = p->linear;
  q8_epilogue epilogue = {.kind = Q8_EPILOGUE_FLOAT, .bias = p->zeros, .lo = -INFINITY, .hi = INFINITY};
  size_t end = p->batches * (task + 1) / p->tasks, packed = SIZE_MAX;
  for (size_t i = p->batches * task / p->tasks; i < end; i++) {
    size_t a, b;
    q8_matmul_operands(s, i, &a, &b);
    if (p->packed && b != packed) {
      q8_linear_desc d = describe(p, r->b + b);
      linear.weights = scratch;
      q8_linear_fill_float(&linear, &d, scratch);
      packed = b;
    }
    q8_matrix_rows rows = {(const uint8_t *)(r->a + a), s->k * sizeof(float), 0};
    q8_linear_run run = {.linear = &linear,
                         .kernels = p->kernels,
                         .rows = q8_matrix_source,
                         .source = &rows,
                         .m = s->m,
                         .y_stride = s->n,
                         .epilogue = &epilogue,
                         .y = r->y + i * s->m * s->n,
                         .scratch = scratch + p->packed};
    q8_linear_execute(&run, &r->host);
  }
}

void q8_product_run(const q8_product *p, const q8_host *host, const float *a, const float *b, float *y, void *scratch) {
  product_run run = {p, *host, a, b, y, scratch};
  if (p->tasks > 1)
    run.host.threads = 1;
  q8_parallel(host, p->tasks, run_task, &run);
}

q8_status q8_product_prepare(q8_planner *planner, q8_product *p, const float *b, q8_step *step) {
  const q8_matmul_shape *s = &p->s;
  int32_t threads = q8_plan_threads(planner);
  q8_linear_desc d = describe(p, b);
  p->kernels = q8_plan_kernels(planner);
  p->zeros = q8_plan_alloc(planner, s->n + 64, sizeof *p->zeros);
  if (!p->zeros)
    return QINT8_ERROR_MEMORY;
  Q8_TRY((b ? q8_linear_pack_float : q8_linear_layout_float)(p->kernels, &d, q8_plan_pool(planner), &p->linear,
                                                             q8_plan_error(planner)));
  p->batches = q8_shape_count(&s->batch, NULL);
  p->tasks = p->batches < (size_t)threads ? p->batches : (size_t)threads;
  p->packed = b ? 0 : q8_round_up(p->linear.group_size, Q8_ALIGN);
  p->task = p->packed + q8_round_up(q8_linear_scratch(&p->linear, s->m, p->tasks > 1 ? 1 : threads), Q8_ALIGN);
  step->kernel = p->linear.kernel_name;
  step->scratch_size = p->tasks * p->task;
  step->macs = (int64_t)(p->batches * s->m * s->n * s->k);
  return QINT8_OK;
}
