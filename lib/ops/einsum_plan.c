/* einsum_plan.c - Einsum of two operands as a batch of matrix products: labels of both operands and the output count
 * matrices, labels of one operand and the output are its rows or columns, summed labels of both are the depth. Operands
 * are first copied into that order, the result out of it, where they do not have it already. */
#include "ops/einsum.h"
#include "ops/product.h"

typedef struct einsum_step {
  q8_product product;
  int copies_y;
  size_t a_size, b_size, y_size; /* bytes of scratch */
  q8_shape a_shape, b_shape, y_shape; /* loops of the copies */
  int64_t a[Q8_MAX_RANK], b[Q8_MAX_RANK], y[Q8_MAX_RANK]; /* strides: of the operands, and of the result as computed */
} einsum_step;

static void run_einsum(const q8_step_run *r) {
  const einsum_step *p = r->params;
  uint8_t *a = r->scratch, *b = a + p->a_size, *y = b + p->b_size;
  void *result = p->copies_y ? y : r->out[0];
  q8_copy_strided(sizeof(float), &p->a_shape, r->in[0], p->a, a);
  q8_copy_strided(sizeof(float), &p->b_shape, r->in[1], p->b, b);
  q8_product_run(&p->product, r->host, (const float *)(const void *)a, (const float *)(const void *)b, result,
                 y + p->y_size);
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
  size_t batch, again;
  q8_matmul_shape *s = &p->product.s;
  if (!sort_labels(e, kind))
    return 0;
  if (!add_loops(e, kind, BATCH, 0, &p->a_shape, p->a, &batch) ||
      !add_loops(e, kind, ROWS, 0, &p->a_shape, p->a, &s->m) ||
      !add_loops(e, kind, DEPTH, 0, &p->a_shape, p->a, &s->k) ||
      !add_loops(e, kind, BATCH, 1, &p->b_shape, p->b, &again) ||
      !add_loops(e, kind, DEPTH, 1, &p->b_shape, p->b, &again) ||
      !add_loops(e, kind, COLUMNS, 1, &p->b_shape, p->b, &s->n))
    return 0;
  s->batch = (q8_shape){.rank = 1, .dim = {(int64_t)batch}};
  s->a[0] = (int64_t)(s->m * s->k);
  s->b[0] = (int64_t)(s->k * s->n);
  p->product.b_k = s->n;
  p->product.b_n = 1;
  result_strides(e, kind, p);
  return batch && s->m && s->n && s->k;
}

static size_t scratch_size(const q8_matmul_shape *s, size_t rows, size_t columns) {
  return q8_round_up(q8_shape_count(&s->batch, NULL) * rows * columns * sizeof(float), Q8_ALIGN);
}

q8_status q8_einsum_plan(q8_planner *planner, q8_id id) {
  const q8_value *inputs[Q8_EINSUM_OPERANDS];
  q8_op_io io = q8_plan_op_io(planner, id, inputs);
  q8_einsum e;
  Q8_TRY(q8_einsum_of(&io, &e));
  q8_step *step;
  einsum_step *p = q8_plan_begin(planner, "einsum", run_einsum, sizeof *p, &step);
  if (!p)
    return QINT8_ERROR_MEMORY;
  if (inputs[0]->dtype != QINT8_DTYPE_F32 || !is_product(&e, p))
    return q8_plan_eval(planner, id);
  const q8_matmul_shape *s = &p->product.s;
  Q8_TRY(q8_product_prepare(planner, &p->product, NULL, step));
  p->a_size = scratch_size(s, s->m, s->k);
  p->b_size = scratch_size(s, s->k, s->n);
  p->y_size = p->copies_y ? scratch_size(s, s->m, s->n) : 0;
  step->scratch_size += p->a_size + p->b_size + p->y_size;
  return q8_plan_finish(planner, step, 3, Q8_FORM_NATIVE, Q8_FORM_NATIVE, Q8_LINEAR);
}
