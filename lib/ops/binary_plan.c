/* binary_plan.c - planning of elementwise operators of two inputs.
 *
 * Shapes are first written in the order of the chosen layout, [N, d..., C] for channels-last; then broadcasting is the
 * same nested loops in both. The int8 kernels take rows of contiguous elements and repeat rows, so the last dimension
 * must run through both inputs; a scalar constant is written out as one row. */
#include <string.h>

#include "nn/ratio.h"
#include "ops/binary_step.h"

#define MIN_REPEATS 49 /* rows, from which on it pays to look for ratios */

/* The shape in the order of a layout, with leading ones up to `rank`. */
static q8_shape ordered(const q8_shape *shape, int32_t rank, q8_layout layout) {
  q8_shape padded = {.rank = rank}, result;
  for (int32_t i = 0; i < rank; i++) {
    int32_t j = i - (rank - shape->rank);
    padded.dim[i] = j < 0 ? 1 : shape->dim[j];
  }
  if (layout == Q8_LINEAR || rank < 3)
    return padded;
  result = padded;
  for (int32_t i = 2; i < rank; i++)
    result.dim[i - 1] = padded.dim[i];
  result.dim[rank - 1] = padded.dim[1];
  return result;
}

/* Whether the tensor can be read in channels-last order beside a result of this rank: it has the rank itself, or its
 * bytes are the same in both orders. */
static int fits_channels_last(const q8_shape *shape, int32_t rank) {
  q8_shape padded = ordered(shape, rank, Q8_LINEAR);
  return shape->rank == rank || padded.dim[1] == 1 || q8_dims(&padded, 2, rank) == 1;
}

static int both_fit(const q8_planner *planner, const q8_node *n, q8_layout layout) {
  int32_t rank = q8_plan_value(planner, n->outputs[0])->shape.rank;
  if (layout == Q8_LINEAR)
    return 1;
  return rank >= 3 && fits_channels_last(&q8_plan_value(planner, n->inputs[0])->shape, rank) &&
         fits_channels_last(&q8_plan_value(planner, n->inputs[1])->shape, rank);
}

/* The order that an input of full rank has already. */
static q8_layout choose_layout(const q8_planner *planner, const q8_node *n) {
  int32_t rank = q8_plan_value(planner, n->outputs[0])->shape.rank;
  for (int i = 0; i < 2; i++)
    if (q8_plan_value(planner, n->inputs[i])->shape.rank == rank &&
        q8_plan_layout(planner, n->inputs[i]) == Q8_CHANNELS_LAST && both_fit(planner, n, Q8_CHANNELS_LAST))
      return Q8_CHANNELS_LAST;
  return Q8_LINEAR;
}

static int is_scalar_constant(const q8_value *value) {
  return value->data && value->count == 1;
}

/* Loops for the int8 kernels, if there are: then 1. A scalar constant counts as one row. */
static int int8_loops(const q8_planner *planner, const q8_node *n, q8_layout layout, q8_loops *loops) {
  const q8_value *y = q8_plan_value(planner, n->outputs[0]);
  q8_shape shape[2], out = ordered(&y->shape, y->shape.rank, layout);
  for (int i = 0; i < 2; i++) {
    const q8_value *x = q8_plan_value(planner, n->inputs[i]);
    shape[i] = ordered(&x->shape, out.rank, layout);
    if (is_scalar_constant(x) && out.rank > 0)
      shape[i].dim[out.rank - 1] = out.dim[out.rank - 1];
  }
  q8_loops_init(loops, &shape[0], &shape[1], &out);
  int32_t last = loops->shape.rank - 1;
  return loops->a[last] == 1 && loops->b[last] == 1;
}

/* Both operators of the kernels commute, to the bit: the repeated input comes second, which has the fast paths. */
static void repeated_second(q8_binary_step *p, q8_step *step) {
  int32_t last = p->loops.shape.rank - 1;
  int a_repeats = last > 0 && p->loops.a[last - 1] == 0, b_repeats = last > 0 && p->loops.b[last - 1] == 0;
  if (!a_repeats || b_repeats || p->fixed[0] || p->fixed[1])
    return;
  q8_buffer buffer = step->in[0];
  q8_loops loops = p->loops;
  q8_binary quant = p->quant;
  step->in[0] = step->in[1];
  step->in[1] = buffer;
  step->in_place = 1;
  memcpy(p->loops.a, loops.b, sizeof loops.a);
  memcpy(p->loops.b, loops.a, sizeof loops.b);
  p->quant.a_scale = quant.b_scale;
  p->quant.b_scale = quant.a_scale;
  p->quant.a_zero = quant.b_zero;
  p->quant.b_zero = quant.a_zero;
}

static q8_binary_step *new_params(q8_planner *planner, const q8_loops *loops, size_t element) {
  q8_binary_step *p = q8_plan_alloc(planner, 1, sizeof *p);
  if (!p)
    return NULL;
  int32_t last = loops->shape.rank - 1;
  size_t n = (size_t)loops->shape.dim[last];
  *p = (q8_binary_step){.loops = *loops, .element = element, .rows = q8_dims(&loops->shape, 0, last)};
  p->rows_per_task = n && n < Q8_CHUNK ? Q8_CHUNK / n : 1;
  p->out = (q8_row_output){.count = p->rows * n, .element = element, .row = n};
  return p;
}

/* Rows apart are those of the loops, or any of a single one. */
static void offer_rows(q8_binary_step *p, q8_step *step) {
  step->stride_slot = &p->out.stride;
  step->row_size = p->out.row;
  if (p->loops.shape.rank == 1)
    step->row_slot = &p->out.row;
}

static q8_status plan_float(q8_planner *planner, q8_id node, q8_binary_row *row, q8_sbinary_fn *f32, q8_layout layout,
                            qint8_error *error) {
  const q8_node *n = q8_plan_node(planner, node);
  const q8_value *y = q8_plan_value(planner, n->outputs[0]);
  q8_shape shape[2], out = ordered(&y->shape, y->shape.rank, layout);
  q8_step step;
  q8_plan_step(planner, node, n->op->name, q8_binary_run, &step);
  for (int i = 0; i < 2; i++) {
    const q8_shape *own = &q8_plan_value(planner, n->inputs[i])->shape;
    shape[i] = ordered(own, out.rank, layout);
    Q8_TRY(q8_plan_input(planner, n->inputs[i], Q8_FORM_NATIVE, own->rank == out.rank ? layout : Q8_LINEAR,
                         &step.in[i], error));
    if (q8_plan_value(planner, n->inputs[i])->count == y->count)
      step.in_place = i + 1;
  }
  q8_loops loops;
  q8_loops_init(&loops, &shape[0], &shape[1], &out);
  q8_binary_step *p = new_params(planner, &loops, sizeof(float));
  if (!p)
    return q8_fail_memory(error, n->name, sizeof *p);
  p->row = row;
  if (loops.a[loops.shape.rank - 1] == 1 && loops.b[loops.shape.rank - 1] == 1)
    p->f32 = f32;
  if (p->f32)
    repeated_second(p, &step);
  Q8_TRY(q8_plan_output(planner, n->outputs[0], Q8_FORM_NATIVE, layout, &step.out[0], error));
  step.params = p;
  step.in_count = 2;
  step.out_count = 1;
  offer_rows(p, &step);
  return q8_plan_add(planner, &step, error);
}

static const void *fixed_row(q8_planner *planner, q8_id tensor, float scale, int32_t zero, size_t n) {
  uint8_t *row = q8_plan_alloc(planner, n + 64, 1);
  if (!row)
    return NULL;
  q8_plan_kernels(planner)->quantize(1, q8_plan_value(planner, tensor)->data, scale, zero, 0, row);
  memset(row, row[0], n);
  return row;
}

static q8_status int8_inputs(q8_planner *planner, const q8_node *n, q8_layout layout, q8_binary_step *p, q8_step *step,
                             qint8_error *error) {
  float *scale[2] = {&p->quant.a_scale, &p->quant.b_scale};
  int32_t *zero[2] = {&p->quant.a_zero, &p->quant.b_zero};
  int32_t rank = q8_plan_value(planner, n->outputs[0])->shape.rank;
  for (int i = 0; i < 2; i++) {
    const q8_value *x = q8_plan_value(planner, n->inputs[i]);
    q8_plan_quant(planner, n->inputs[i], scale[i], zero[i]);
    if (is_scalar_constant(x)) {
      size_t row = (size_t)p->loops.shape.dim[p->loops.shape.rank - 1];
      p->fixed[i] = fixed_row(planner, n->inputs[i], *scale[i], *zero[i], row);
      if (!p->fixed[i])
        return q8_fail_memory(error, n->name, row);
      continue;
    }
    Q8_TRY(q8_plan_input(planner, n->inputs[i], Q8_FORM_INT8, x->shape.rank == rank ? layout : Q8_LINEAR,
                         &step->in[step->in_count++], error));
    if (x->count == q8_plan_value(planner, n->outputs[0])->count) /* then its order is the result's */
      step->in_place = step->in_count;
  }
  return QINT8_OK;
}

/* Two tensors of one shape, the later of which a step can add to its result at once: then 1. */
static int merge_sum(q8_planner *planner, const q8_node *n, q8_status *status, qint8_error *error) {
  const q8_id *x = n->inputs;
  size_t count = q8_plan_value(planner, n->outputs[0])->count;
  if (q8_plan_value(planner, x[0])->count != count || q8_plan_value(planner, x[1])->count != count)
    return 0;
  for (int i = 1; i >= 0; i--) {
    q8_binary *sum = q8_plan_alloc(planner, 1, sizeof *sum);
    if (!sum) {
      *status = q8_fail_memory(error, n->name, sizeof *sum);
      return 1;
    }
    sum->hi = 255;
    q8_plan_quant(planner, x[i], &sum->a_scale, &sum->a_zero);
    q8_plan_quant(planner, x[1 - i], &sum->b_scale, &sum->b_zero);
    q8_plan_quant(planner, n->outputs[0], &sum->y_scale, &sum->y_zero);
    if (q8_plan_fuse_add(planner, x[i], x[1 - i], n->outputs[0], sum))
      return 1;
  }
  return 0;
}

/* y = f(x) for one scalar constant: the kernel's own results for all 256 bytes. */
static uint8_t *make_table(q8_planner *planner, const q8_node *n, q8_binary_fn *int8, float b_sign) {
  uint8_t *table = q8_plan_alloc(planner, 256, 1), all[256], constant[256];
  const q8_value *a = q8_plan_value(planner, n->inputs[0]);
  q8_binary quant = {.hi = 255};
  if (!table)
    return NULL;
  q8_plan_quant(planner, n->inputs[0], &quant.a_scale, &quant.a_zero);
  q8_plan_quant(planner, n->inputs[1], &quant.b_scale, &quant.b_zero);
  q8_plan_quant(planner, n->outputs[0], &quant.y_scale, &quant.y_zero);
  int first = is_scalar_constant(a);
  for (int i = 0; i < 256; i++)
    all[i] = (uint8_t)i;
  q8_plan_kernels(planner)->quantize(1, q8_plan_value(planner, n->inputs[first ? 0 : 1])->data,
                                     first ? quant.a_scale : quant.b_scale, first ? quant.a_zero : quant.b_zero, 0,
                                     constant);
  memset(constant, constant[0], sizeof constant);
  quant.b_scale *= b_sign;
  int8(1, 256, first ? constant : all, 256, first ? all : constant, 256, &quant, table, 256);
  return table;
}

/* One input is a scalar constant, the other has the result's size and is not. */
static int is_unary(const q8_planner *planner, const q8_node *n, q8_id *x) {
  const q8_value *a = q8_plan_value(planner, n->inputs[0]), *b = q8_plan_value(planner, n->inputs[1]);
  size_t count = q8_plan_value(planner, n->outputs[0])->count;
  *x = n->inputs[is_scalar_constant(a) ? 1 : 0];
  return is_scalar_constant(a) != is_scalar_constant(b) && !(is_scalar_constant(a) ? b : a)->data &&
         q8_plan_value(planner, *x)->count == count &&
         q8_plan_value(planner, *x)->shape.rank == q8_plan_value(planner, n->outputs[0])->shape.rank;
}

static q8_status plan_unary(q8_planner *planner, q8_id node, q8_id x, q8_binary_fn *int8, float b_sign,
                            qint8_error *error) {
  const q8_node *n = q8_plan_node(planner, node);
  const uint8_t *table = make_table(planner, n, int8, b_sign);
  if (!table)
    return q8_fail_memory(error, n->name, 256);
  return q8_plan_table(planner, node, x, table, error);
}

/* A row of few values that is repeated often takes one factor for each value. */
static q8_status take_ratios(q8_planner *planner, const q8_node *n, q8_binary_step *p, qint8_error *error) {
  int32_t last = p->loops.shape.rank - 1;
  if (p->int8 != q8_plan_kernels(planner)->mul || last == 0 || p->loops.b[last - 1] != 0 || p->rows < MIN_REPEATS)
    return QINT8_OK;
  float *ratio = q8_plan_alloc(planner, 256, sizeof *ratio);
  if (!ratio)
    return q8_fail_memory(error, n->name, 256 * sizeof *ratio);
  if (q8_find_ratios(q8_plan_kernels(planner), &p->quant, ratio))
    p->quant.ratio = ratio;
  return QINT8_OK;
}

static q8_status plan_int8(q8_planner *planner, q8_id node, q8_binary_fn *int8, float b_sign, q8_layout layout,
                           const q8_loops *loops, qint8_error *error) {
  const q8_node *n = q8_plan_node(planner, node);
  q8_step step;
  q8_plan_step(planner, node, n->op->name, q8_binary_run, &step);
  q8_binary_step *p = new_params(planner, loops, 1);
  if (!p)
    return q8_fail_memory(error, n->name, sizeof *p);
  p->int8 = int8;
  p->quant.hi = 255;
  Q8_TRY(int8_inputs(planner, n, layout, p, &step, error));
  p->quant.b_scale *= b_sign;
  repeated_second(p, &step);
  q8_plan_quant(planner, n->outputs[0], &p->quant.y_scale, &p->quant.y_zero);
  Q8_TRY(take_ratios(planner, n, p, error));
  Q8_TRY(q8_plan_output(planner, n->outputs[0], Q8_FORM_INT8, layout, &step.out[0], error));
  step.precision = "int8";
  step.params = p;
  step.out_count = 1;
  step.table_slot = &p->quant.table;
  offer_rows(p, &step);
  return q8_plan_add(planner, &step, error);
}

q8_status q8_plan_binary(q8_planner *planner, q8_id node, q8_binary_row *row, q8_binary_fn *int8, float b_sign,
                         qint8_error *error) {
  const q8_node *n = q8_plan_node(planner, node);
  q8_layout layout = choose_layout(planner, n), other = layout == Q8_LINEAR ? Q8_CHANNELS_LAST : Q8_LINEAR;
  q8_loops loops;
  q8_status status = QINT8_OK;
  if (int8 && q8_plan_mode(planner, node) == Q8_MODE_STATIC) {
    q8_id x;
    if (!q8_plan_is_plain(planner) && is_unary(planner, n, &x))
      return plan_unary(planner, node, x, int8, b_sign, error);
    if (int8 == q8_plan_kernels(planner)->add && b_sign > 0 && merge_sum(planner, n, &status, error))
      return status;
    if (int8_loops(planner, n, layout, &loops))
      return plan_int8(planner, node, int8, b_sign, layout, &loops, error);
    if (both_fit(planner, n, other) && int8_loops(planner, n, other, &loops))
      return plan_int8(planner, node, int8, b_sign, other, &loops, error);
  }
  const q8_kernels *kernels = q8_plan_kernels(planner);
  q8_sbinary_fn *f32 = int8 && int8 == kernels->mul               ? kernels->smul
                       : int8 && int8 == kernels->add && b_sign > 0 ? kernels->sadd
                                                                    : NULL;
  return plan_float(planner, node, row, f32, layout, error);
}
