/* einsum_plan.c - Einsum of two operands as a batch of matrix products: labels of both operands and the output count
 * matrices, labels of one operand and the output are its rows or columns, summed labels of both are the depth. Operands
 * are first copied into that order, the result out of it, where they do not have it already. */
#include <math.h>
#include <string.h>

#include "nn/linear.h"
#include "ops/einsum.h"

typedef struct einsum_step {
  const q8_kernels *kernels;
  q8_linear linear;
  const float *zeros;
  size_t batch, m, n, k;
  int copies_y;
  size_t a_size, b_size, y_size, weights_size; /* bytes of scratch */
  q8_shape a_shape, b_shape, y_shape; /* loops of the copies */
  int64_t a[Q8_MAX_RANK], b[Q8_MAX_RANK], y[Q8_MAX_RANK]; /* strides: of the operands, and of the result as computed */
} einsum_step;

static void run_einsum(const q8_step_run *r) {
  const einsum_step *p = r->params;
  uint8_t *a = r->scratch, *b = a + p->a_size, *y = b + p->b_size, *weights = y + p->y_size;
  float *result = p->copies_y ? (float *)(void *)y : r->out[0];
  q8_copy_strided(sizeof(float), &p->a_shape, r->in[0], p->a, a);
  q8_copy_strided(sizeof(float), &p->b_shape, r->in[1], p->b, b);
  q8_epilogue epilogue = {.kind = Q8_EPILOGUE_FLOAT, .bias = p->zeros, .lo = -INFINITY, .hi = INFINITY};
  for (size_t i = 0; i < p->batch; i++) {
    q8_linear linear = p->linear;
    q8_linear_desc d = {.groups = 1, .taps = 1, .k = p->k, .n = p->n, .w_out = 1, .w_in = p->n,
                        .w = (const float *)(const void *)b + i * p->k * p->n};
    q8_matrix_rows rows = {a + i * p->m * p->k * sizeof(float), p->k * sizeof(float), 0};
    linear.weights = weights;
    q8_linear_fill_float(&linear, &d, weights);
    q8_linear_run run = {.linear = &linear, .kernels = p->kernels, .rows = q8_matrix_source, .source = &rows,
                         .m = p->m, .y_stride = p->n, .epilogue = &epilogue, .y = result + i * p->m * p->n,
                         .scratch = weights + p->weights_size};
    q8_linear_execute(&run, r->host);
  }
  if (p->copies_y)
    q8_copy_strided(sizeof(float), &p->y_shape, result, p->y, r->out[0]);
}

enum { BATCH, ROWS, COLUMNS, DEPTH, KINDS };

/* The kind of each label; 0 if the operands are not two matrices. */
static int sort_labels(const q8_einsum *e, int *kind) {
  if (e->operands != 2)
    return 0;
  for (int32_t l = 0; l < e->labels; l++) {
    int a = e->used[0] >> l & 1, b = e->used[1] >> l & 1;
    if (l < e->outputs)
      kind[l] = a && b ? BATCH : a ? ROWS : COLUMNS;
    else if (a && b)
      kind[l] = DEPTH;
    else
      return 0; /* summed in one operand alone */
  }
  return 1;
}

/* Adds the labels of one kind to the loops of a copy; their product in *count. 0 if there are too many. */
static int add_loops(const q8_einsum *e, const int *kind, int wanted, int32_t operand, q8_shape *shape, int64_t *stride,
                     size_t *count) {
  *count = 1;
  for (int32_t l = 0; l < e->labels; l++) {
    if (kind[l] != wanted)
      continue;
    if (shape->rank == Q8_MAX_RANK)
      return 0;
    *count *= (size_t)e->dim[l];
    stride[shape->rank] = e->stride[operand][l];
    shape->dim[shape->rank++] = e->dim[l];
  }
  return 1;
}

/* Strides of the result [batch][m][n] in the order of the output's labels. */
static void result_strides(const q8_einsum *e, const int *kind, einsum_step *p) {
  static const int order[3] = {COLUMNS, ROWS, BATCH};
  int64_t step = 1, dense = 1;
  for (int i = 0; i < 3; i++)
    for (int32_t l = e->outputs; l-- > 0;)
      if (kind[l] == order[i]) {
        p->y[l] = step;
        step *= e->dim[l];
      }
  p->y_shape.rank = e->outputs;
  for (int32_t l = e->outputs; l-- > 0; dense *= e->dim[l]) {
    p->y_shape.dim[l] = e->dim[l];
    p->copies_y |= p->y[l] != dense && e->dim[l] > 1;
  }
}

static int is_product(const q8_einsum *e, einsum_step *p) {
  int kind[Q8_EINSUM_LABELS];
  size_t again;
  if (!sort_labels(e, kind))
    return 0;
  if (!add_loops(e, kind, BATCH, 0, &p->a_shape, p->a, &p->batch) ||
      !add_loops(e, kind, ROWS, 0, &p->a_shape, p->a, &p->m) ||
      !add_loops(e, kind, DEPTH, 0, &p->a_shape, p->a, &p->k) ||
      !add_loops(e, kind, BATCH, 1, &p->b_shape, p->b, &again) ||
      !add_loops(e, kind, DEPTH, 1, &p->b_shape, p->b, &again) ||
      !add_loops(e, kind, COLUMNS, 1, &p->b_shape, p->b, &p->n))
    return 0;
  result_strides(e, kind, p);
  return p->batch && p->m && p->n && p->k;
}

q8_status q8_einsum_plan(q8_planner *planner, q8_id id, qint8_error *error) {
  const q8_node *node = q8_plan_node(planner, id);
  const q8_value *inputs[Q8_EINSUM_OPERANDS] = {NULL};
  for (int32_t i = 0; i < node->input_count && i < Q8_EINSUM_OPERANDS; i++)
    inputs[i] = q8_plan_value(planner, node->inputs[i]);
  q8_op_io io = {.node = node, .inputs = inputs, .error = error};
  q8_einsum e;
  Q8_TRY(q8_einsum_of(&io, &e));
  einsum_step *p = q8_plan_alloc(planner, 1, sizeof *p);
  if (!p)
    return q8_fail_memory(error, node->name, sizeof *p);
  if (inputs[0]->dtype != QINT8_DTYPE_F32 || !is_product(&e, p))
    return q8_plan_eval(planner, id, error);
  float *zeros = q8_plan_alloc(planner, p->n + 64, sizeof *zeros);
  if (!zeros)
    return q8_fail_memory(error, node->name, p->n * sizeof *zeros);
  p->zeros = zeros;
  p->kernels = q8_plan_kernels(planner);
  q8_linear_desc d = {.groups = 1, .taps = 1, .k = p->k, .n = p->n, .w_out = 1, .w_in = p->n};
  Q8_TRY(q8_linear_layout_float(p->kernels, &d, q8_plan_pool(planner), &p->linear, error));
  p->a_size = q8_round_up(p->batch * p->m * p->k * sizeof(float), Q8_ALIGN);
  p->b_size = q8_round_up(p->batch * p->k * p->n * sizeof(float), Q8_ALIGN);
  p->y_size = p->copies_y ? q8_round_up(p->batch * p->m * p->n * sizeof(float), Q8_ALIGN) : 0;
  p->weights_size = q8_round_up(p->linear.group_size, Q8_ALIGN);
  q8_step step;
  q8_plan_step(planner, id, "einsum", run_einsum, &step);
  for (int32_t i = 0; i < 2; i++)
    Q8_TRY(q8_plan_input(planner, node->inputs[i], Q8_FORM_NATIVE, Q8_LINEAR, &step.in[i], error));
  Q8_TRY(q8_plan_output(planner, node->outputs[0], Q8_FORM_NATIVE, Q8_LINEAR, &step.out[0], error));
  step.in_count = 2;
  step.out_count = 1;
  step.params = p;
  step.kernel = p->linear.kernel_name;
  step.scratch_size = p->a_size + p->b_size + p->y_size + p->weights_size +
                      q8_linear_scratch(&p->linear, p->m, q8_plan_threads(planner));
  step.macs = (int64_t)(p->batch * p->m * p->n * p->k);
  return q8_plan_add(planner, &step, error);
}
