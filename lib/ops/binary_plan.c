/* binary_plan.c - planning of elementwise operators of two inputs.
 *
 * Shapes are first written in the order of the chosen layout, [N, d..., C] for channels-last; then broadcasting is the
 * same nested loops in both. The kernels take rows of contiguous elements and repeat rows, so the last dimension must run
 * through both inputs; for them a scalar constant is written out as one row. */
#include <string.h>

#include "nn/ratio.h"
#include "ops/binary_step.h"

#define MIN_REPEATS 49 /* rows, from which on it pays to look for ratios */

typedef struct pair_plan {
  q8_planner *planner;
  const q8_kernels *kernels;
  q8_id node;
  const q8_node *n;
  const q8_value *x[2], *y;
  const q8_pair_set *set;
  q8_binary_fn *int8; /* NULL: the float step */
  q8_sbinary_fn *f32; /* of the float step, if there is a kernel */
  q8_binary quant;
  q8_layout layout; /* of the loops */
  q8_loops loops;
} pair_plan;

/* The shape in the order of a layout, with leading ones up to `rank`. */
static q8_shape ordered(const q8_shape *shape, int32_t rank, q8_layout layout) {
  q8_shape result = {.rank = rank};
  int moves = layout == Q8_CHANNELS_LAST && rank > 2;
  for (int32_t i = 0; i < rank; i++) {
    int32_t j = i - (rank - shape->rank), to = !moves || i == 0 ? i : i == 1 ? rank - 1 : i - 1;
    result.dim[to] = j < 0 ? 1 : shape->dim[j];
  }
  return result;
}

/* Whether both can be read in that order beside the result: for channels-last they have its rank, or their bytes are the
 * same in both orders. */
static int both_fit(const pair_plan *p, q8_layout layout) {
  int32_t rank = p->y->shape.rank;
  if (layout == Q8_LINEAR)
    return 1;
  for (int i = 0; i < 2; i++) {
    q8_shape padded = ordered(&p->x[i]->shape, rank, Q8_LINEAR);
    if (rank < 3 || (p->x[i]->shape.rank != rank && padded.dim[1] != 1 && q8_dims(&padded, 2, rank) != 1))
      return 0;
  }
  return 1;
}

/* The order that an input of full rank has already. */
static q8_layout choose_layout(const pair_plan *p) {
  for (int i = 0; i < 2; i++)
    if (p->x[i]->shape.rank == p->y->shape.rank &&
        q8_plan_layout(p->planner, p->n->inputs[i]) == Q8_CHANNELS_LAST && both_fit(p, Q8_CHANNELS_LAST))
      return Q8_CHANNELS_LAST;
  return Q8_LINEAR;
}

static int is_scalar_constant(const q8_value *value) {
  return value->data && value->count == 1;
}

static int is_spread(const pair_plan *p, int i) {
  return (p->int8 || p->f32) && is_scalar_constant(p->x[i]);
}

/* Sets the loops, in which a scalar constant for a kernel counts as one row. Whether kernels can run them. */
static int set_loops(pair_plan *p, q8_layout layout) {
  q8_shape shape[2], out = ordered(&p->y->shape, p->y->shape.rank, layout);
  for (int i = 0; i < 2; i++) {
    shape[i] = ordered(&p->x[i]->shape, out.rank, layout);
    if (is_spread(p, i) && out.rank > 0)
      shape[i].dim[out.rank - 1] = out.dim[out.rank - 1];
  }
  p->layout = layout;
  q8_loops_init(&p->loops, &shape[0], &shape[1], &out);
  int32_t last = p->loops.shape.rank - 1;
  return p->loops.a[last] == 1 && p->loops.b[last] == 1;
}

static q8_binary swapped(q8_binary quant) {
  q8_binary result = quant;
  result.a_scale = quant.b_scale;
  result.b_scale = quant.a_scale;
  result.a_zero = quant.b_zero;
  result.b_zero = quant.a_zero;
  return result;
}

/* Both operators of the kernels commute, to the bit: the repeated input comes second, which has the fast paths. */
static void repeated_second(q8_binary_step *s, q8_step *step) {
  int32_t last = s->loops.shape.rank - 1;
  int a_repeats = last > 0 && s->loops.a[last - 1] == 0, b_repeats = last > 0 && s->loops.b[last - 1] == 0;
  if (!a_repeats || b_repeats || s->fixed[0] || s->fixed[1])
    return;
  q8_buffer buffer = step->in[0];
  q8_loops loops = s->loops;
  step->in[0] = step->in[1];
  step->in[1] = buffer;
  step->in_place = 1;
  memcpy(s->loops.a, loops.b, sizeof loops.a);
  memcpy(s->loops.b, loops.a, sizeof loops.b);
  s->quant = swapped(s->quant);
}

/* The scalar constant that input i is, n times. */
static void fill(const pair_plan *p, int i, void *row, size_t n) {
  const float *value = p->x[i]->data;
  if (p->int8) {
    p->kernels->quantize(1, value, i ? p->quant.b_scale : p->quant.a_scale, i ? p->quant.b_zero : p->quant.a_zero, 0, row);
    memset(row, *(uint8_t *)row, n);
  } else {
    for (size_t j = 0; j < n; j++)
      ((float *)row)[j] = *value;
  }
}

static q8_status add_inputs(const pair_plan *p, q8_binary_step *s, q8_form_type form, q8_step *step) {
  for (int i = 0; i < 2; i++) {
    const q8_value *x = p->x[i];
    if (is_spread(p, i)) {
      size_t n = (size_t)p->loops.shape.dim[p->loops.shape.rank - 1];
      void *row = q8_plan_alloc(p->planner, n + 64, s->element);
      if (!row)
        return QINT8_ERROR_MEMORY;
      fill(p, i, row, n);
      s->fixed[i] = row;
      continue;
    }
    Q8_TRY(q8_plan_input(p->planner, p->n->inputs[i], form, x->shape.rank == p->y->shape.rank ? p->layout : Q8_LINEAR,
                         &step->in[step->in_count++]));
    if (x->count == p->y->count) /* then its order is the result's */
      step->in_place = step->in_count;
  }
  return QINT8_OK;
}

/* A row of few values that is repeated often takes one factor for each value. */
static q8_status take_ratios(const pair_plan *p, q8_binary_step *s) {
  int32_t last = s->loops.shape.rank - 1;
  if (s->int8 != p->kernels->mul || last == 0 || s->loops.b[last - 1] != 0 || s->rows < MIN_REPEATS)
    return QINT8_OK;
  float *ratio = q8_plan_alloc(p->planner, 256, sizeof *ratio);
  if (!ratio)
    return QINT8_ERROR_MEMORY;
  if (q8_find_ratios(p->kernels, &s->quant, ratio))
    s->quant.ratio = ratio;
  return QINT8_OK;
}

/* The step of the loops, in int8 if there is a kernel; `has_rows`: float kernels can run them. */
static q8_status plan_step(const pair_plan *p, int has_rows) {
  q8_step *step;
  q8_binary_step *s = q8_plan_begin(p->planner, p->n->op->name, q8_binary_run, sizeof *s, &step);
  if (!s)
    return QINT8_ERROR_MEMORY;
  int32_t last = p->loops.shape.rank - 1;
  size_t n = (size_t)p->loops.shape.dim[last];
  s->row = p->set->f32;
  s->int8 = p->int8;
  s->look_up = p->kernels->table;
  s->quant = p->quant;
  s->loops = p->loops;
  s->element = p->int8 ? 1 : sizeof(float);
  s->rows = q8_dims(&p->loops.shape, 0, last);
  if (p->set->int8 == Q8_INT8_SUB) /* a - b is a + b with the scale of b negated: exact */
    s->quant.b_scale = -s->quant.b_scale;
  if (has_rows)
    s->f32 = p->f32;
  s->rows_per_task = n && n < Q8_CHUNK ? Q8_CHUNK / n : 1;
  s->out = (q8_row_output){.count = s->rows * n, .element = s->element, .row = n};
  q8_form_type form = p->int8 ? Q8_FORM_INT8 : Q8_FORM_NATIVE;
  Q8_TRY(add_inputs(p, s, form, step));
  if (s->int8 || s->f32)
    repeated_second(s, step);
  if (s->int8) {
    Q8_TRY(take_ratios(p, s));
    step->table_slot = &s->table;
  }
  step->stride_slot = &s->out.stride; /* rows apart are those of the loops, or any of a single one */
  step->row_size = s->out.row;
  if (last == 0)
    step->row_slot = &s->out.row;
  return q8_plan_finish(p->planner, step, 0, form, form, p->layout);
}

/* Two tensors of one shape, the later of which a step can add to its result at once: then 1. */
static int merge_sum(const pair_plan *p, q8_status *status) {
  if (p->x[0]->count != p->y->count || p->x[1]->count != p->y->count)
    return 0;
  for (int i = 1; i >= 0; i--) {
    q8_binary *sum = q8_plan_alloc(p->planner, 1, sizeof *sum);
    if (!sum) {
      *status = QINT8_ERROR_MEMORY;
      return 1;
    }
    *sum = i ? swapped(p->quant) : p->quant;
    if (q8_plan_fuse_add(p->planner, p->n->inputs[i], p->n->inputs[1 - i], p->n->outputs[0], sum))
      return 1;
  }
  return 0;
}

/* One input is a scalar constant, the other has the result's shape and is not. */
static int is_unary(const pair_plan *p) {
  int first = is_scalar_constant(p->x[0]);
  const q8_value *x = p->x[first];
  return first != is_scalar_constant(p->x[1]) && !x->data && x->count == p->y->count &&
         x->shape.rank == p->y->shape.rank;
}

/* y = f(x) for one scalar constant: the kernel's own results for all 256 bytes. */
static q8_status plan_unary(const pair_plan *p) {
  uint8_t *table = q8_plan_alloc(p->planner, 256, 1), bytes[2][256];
  q8_binary quant = p->quant;
  if (!table)
    return QINT8_ERROR_MEMORY;
  int all = is_scalar_constant(p->x[0]);
  for (int i = 0; i < 256; i++)
    bytes[all][i] = (uint8_t)i;
  fill(p, 1 - all, bytes[1 - all], 256);
  if (p->set->int8 == Q8_INT8_SUB)
    quant.b_scale = -quant.b_scale;
  p->int8(1, 256, bytes[0], 256, bytes[1], 256, &quant, table, 256);
  return q8_plan_table(p->planner, p->node, p->n->inputs[all], table);
}

q8_status q8_plan_binary(q8_planner *planner, q8_id node) {
  const q8_node *n = q8_plan_node(planner, node);
  if (n->input_count != 2)
    return q8_plan_eval(planner, node);
  pair_plan p = {.planner = planner,
                 .kernels = q8_plan_kernels(planner),
                 .node = node,
                 .n = n,
                 .x = {q8_plan_value(planner, n->inputs[0]), q8_plan_value(planner, n->inputs[1])},
                 .y = q8_plan_value(planner, n->outputs[0]),
                 .set = n->op->variant,
                 .quant = {.hi = 255}};
  if (p.x[0]->dtype != QINT8_DTYPE_F32 || p.x[1]->dtype != QINT8_DTYPE_F32)
    return q8_plan_eval(planner, node);
  q8_layout layout = choose_layout(&p), other = layout == Q8_LINEAR ? Q8_CHANNELS_LAST : Q8_LINEAR;
  q8_status status = QINT8_OK;
  if (p.set->int8 && q8_plan_mode(planner, node) == Q8_MODE_STATIC) {
    p.int8 = p.set->int8 == Q8_INT8_MUL ? p.kernels->mul : p.kernels->add;
    q8_plan_quant(planner, n->inputs[0], &p.quant.a_scale, &p.quant.a_zero);
    q8_plan_quant(planner, n->inputs[1], &p.quant.b_scale, &p.quant.b_zero);
    q8_plan_quant(planner, n->outputs[0], &p.quant.y_scale, &p.quant.y_zero);
    if (!q8_plan_is_plain(planner) && is_unary(&p))
      return plan_unary(&p);
    if (p.set->int8 == Q8_INT8_ADD && merge_sum(&p, &status))
      return status;
    if (set_loops(&p, layout) || (both_fit(&p, other) && set_loops(&p, other)))
      return plan_step(&p, 1);
    p.int8 = NULL;
  }
  p.f32 = p.set->int8 == Q8_INT8_MUL ? p.kernels->smul : p.set->int8 == Q8_INT8_ADD ? p.kernels->sadd : NULL;
  return plan_step(&p, set_loops(&p, layout));
}
