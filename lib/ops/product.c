/* product.c - an int8 b, such as in the products of attention, is packed as s8 with its top bit flipped, and
 * both zero points are taken out of the accumulators: sum (a - za) (b - zb) = sum a b' - za sum b' - zb' sum
 * (a - za),  b' = b - 128, zb' = zb - 128 the second term per column in the bias, the third per row. */
#include "ops/product.h"

#include <math.h>

#include "base/parallel.h"

typedef struct product_run {
  const q8_product *p;
  q8_host host; /* of one task */
  const uint8_t *a, *b;
  uint8_t *y, *scratch;
} product_run;

/* Where a task's scratch begins to hold what. */
typedef struct regions {
  uint8_t *packed;
  uint8_t *turned; /* of int8: b as [n][k], s8 */
  int32_t *sums, *bias, *rows;
  uint8_t *rest;
} regions;

static regions regions_of(const q8_product *p, uint8_t *scratch) {
  regions r = {.packed = scratch, .turned = scratch + p->packed};
  r.sums = (int32_t *)(void *)(r.turned + p->turned);
  r.bias = (int32_t *)(void *)((uint8_t *)r.sums + p->columns);
  r.rows = (int32_t *)(void *)((uint8_t *)r.bias + p->columns);
  r.rest = (uint8_t *)r.rows + p->rows;
  return r;
}

static q8_linear_desc describe(const q8_product *p, const void *b) {
  return (q8_linear_desc){
      .groups = 1, .taps = 1, .k = p->s.k, .n = p->s.n, .w = b, .w_out = p->b_n, .w_in = p->b_k};
}

static int is_int8(const q8_product *p) {
  return p->element == 1;
}

static void flip(size_t n, uint8_t *x) {
  size_t i = 0;
  for (; i + 64 <= n; i += 64)
    for (size_t j = 0; j < 64; j++)
      x[i + j] ^= 0x80;
  for (; i < n; i++)
    x[i] ^= 0x80;
}

static void pack_b(const q8_product *p, const uint8_t *b, const regions *r, q8_linear *linear) {
  const q8_matmul_shape *s = &p->s;
  q8_linear_desc d = describe(p, is_int8(p) ? r->turned : b);
  linear->weights = r->packed;
  if (!is_int8(p)) {
    q8_linear_fill_float(linear, &d, r->packed);
    return;
  }
  p->kernels->transpose8(s->k, s->n, b, s->n, r->turned, s->k);
  flip(s->n * s->k, r->turned);
  q8_linear_fill(linear, &d, r->packed, r->sums);
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

static void run_task(void *argument, size_t task) {
  const product_run *run = argument;
  const q8_product *p = run->p;
  const q8_matmul_shape *s = &p->s;
  regions r = regions_of(p, run->scratch + task * p->task);
  q8_linear linear = p->linear;
  q8_epilogue epilogue = p->epilogue;
  int32_t b_zero = is_int8(p) ? p->b_zero - 128 : 0;
  size_t end = p->batches * (task + 1) / p->tasks, packed = SIZE_MAX;
  if (is_int8(p))
    epilogue.offset = epilogue.requant.bias = r.bias;
  for (size_t i = p->batches * task / p->tasks; i < end; i++) {
    size_t at, b;
    q8_matmul_operands(s, i, &at, &b);
    const uint8_t *a = run->a + at * p->element;
    if (p->packed && b != packed)
      pack_b(p, run->b + b * p->element, &r, &linear);
    packed = b;
    for (size_t m = 0; b_zero && m < s->m; m++)
      r.rows[m] = -b_zero * (sum_row(s->k, a + m * s->k) - (int32_t)s->k * p->a_zero);
    q8_matrix_rows rows = {a, s->k * p->element, 0};
    q8_linear_run product = {.linear = &linear,
                             .kernels = p->kernels,
                             .rows = q8_matrix_source,
                             .source = &rows,
                             .m = s->m,
                             .y_stride = s->n,
                             .epilogue = &epilogue,
                             .y = run->y + i * s->m * s->n * p->y_element,
                             .scratch = r.rest,
                             .row_offset = b_zero ? r.rows : NULL};
    q8_linear_execute(&product, &run->host);
  }
}

void q8_product_run(const q8_product *p, const q8_host *host, const void *a, const void *b, void *y,
                    void *scratch) {
  product_run run = {p, *host, a, b, y, scratch};
  if (p->tasks > 1)
    run.host.threads = 1;
  q8_parallel(host, p->tasks, run_task, &run);
}

/* ---- Planning ---- */

static float *channel_array(q8_planner *planner, const q8_product *p) {
  return q8_plan_alloc(planner, p->s.n + 64, sizeof(float));
}

/* Of both types: `weights` says whether those of the linear are still to be packed. */
static void lay_out(q8_planner *planner, q8_product *p, int weights, q8_step *step) {
  const q8_matmul_shape *s = &p->s;
  int32_t threads = q8_plan_threads(planner);
  p->epilogue.lo = -INFINITY;
  p->epilogue.hi = INFINITY;
  p->batches = q8_shape_count(&s->batch, NULL);
  p->tasks = p->batches < (size_t)threads ? p->batches : (size_t)threads;
  p->packed = weights ? q8_round_up(p->linear.group_size, Q8_ALIGN) : 0;
  p->task = p->packed + p->turned + 2 * p->columns + p->rows +
            q8_round_up(q8_linear_scratch(&p->linear, s->m, p->tasks > 1 ? 1 : threads), Q8_ALIGN);
  step->kernel = p->linear.kernel_name;
  step->scratch_size = p->tasks * p->task;
  step->macs = (int64_t)(p->batches * s->m * s->n * s->k);
}

q8_status q8_product_prepare(q8_planner *planner, q8_product *p, const float *b, q8_step *step) {
  q8_linear_desc d = describe(p, b);
  p->kernels = q8_plan_kernels(planner);
  p->element = p->y_element = sizeof(float);
  p->epilogue.kind = Q8_EPILOGUE_FLOAT;
  p->epilogue.bias = channel_array(planner, p);
  if (!p->epilogue.bias)
    return QINT8_ERROR_MEMORY;
  Q8_TRY((b ? q8_linear_pack_float : q8_linear_layout_float)(p->kernels, &d, q8_plan_pool(planner),
                                                             &p->linear, q8_plan_error(planner)));
  lay_out(planner, p, !b, step);
  return QINT8_OK;
}

static q8_status set_epilogue(q8_planner *planner, const q8_node *node, q8_product *p) {
  float a_scale = 1, b_scale = 1, y_scale = 1;
  q8_epilogue *e = &p->epilogue;
  q8_plan_quant(planner, node->inputs[0], &a_scale, &p->a_zero);
  q8_plan_quant(planner, node->inputs[1], &b_scale, &p->b_zero);
  int requant = q8_plan_quant(planner, node->outputs[0], &y_scale, &e->requant.zero_point);
  float *scale = channel_array(planner, p);
  e->bias = channel_array(planner, p);
  if (!scale || !e->bias)
    return QINT8_ERROR_MEMORY;
  float factor = a_scale * b_scale;
  if (requant)
    factor = factor / y_scale;
  if (!isfinite(factor))
    return q8_fail(q8_plan_error(planner), QINT8_ERROR_DATA, node->name, "the product of the scales is not finite");
  for (size_t i = 0; i < p->s.n; i++)
    scale[i] = factor;
  e->kind = requant ? Q8_EPILOGUE_REQUANT : Q8_EPILOGUE_DEQUANT;
  e->scale = e->requant.scale = scale;
  e->requant.hi = 255;
  p->element = 1;
  p->y_element = requant ? 1 : sizeof(float);
  return QINT8_OK;
}

q8_status q8_product_prepare_int8(q8_planner *planner, const q8_node *node, q8_product *p, q8_step *step) {
  const q8_matmul_shape *s = &p->s;
  p->kernels = q8_plan_kernels(planner);
  p->b_n = s->k;
  p->b_k = 1;
  Q8_TRY(set_epilogue(planner, node, p));
  q8_linear_desc d = describe(p, NULL);
  Q8_TRY(q8_linear_layout(p->kernels, &d, q8_plan_pool(planner), &p->linear, q8_plan_error(planner)));
  p->turned = q8_round_up(s->n * s->k, Q8_ALIGN);
  p->columns = q8_round_up((s->n + 64) * sizeof(int32_t), Q8_ALIGN);
  p->rows = q8_round_up(s->m * sizeof(int32_t), Q8_ALIGN);
  lay_out(planner, p, 1, step);
  if (p->y_element == 1)
    step->table_slot = &p->epilogue.table;
  return QINT8_OK;
}
