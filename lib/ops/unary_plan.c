/* unary_plan.c - elementwise functions: evaluation in every type, planning. */
#include <string.h>

#include "base/element.h"
#include "ops/hooks.h"
#include "ops/unary.h"

typedef struct unary_params {
  const q8_kernels *kernels;
  const uint8_t *table; /* of int8 */
  const void *params;
  const q8_unary_set *set;
  q8_sunary function; /* instead of what the set has, if it has a kernel */
  q8_row_output out;
} unary_params;

typedef struct unary_run {
  const unary_params *p;
  const void *x;
} unary_run;

q8_status q8_infer_unary(const q8_op_io *io) {
  Q8_TRY(q8_need_dtype(io, 0, QINT8_DTYPE_F32));
  return q8_infer_same(io);
}

/* ---- Evaluation ---- */

q8_status q8_unary_infer(const q8_op_io *io) {
  const q8_unary_set *set = io->node->op->variant;
  int32_t dtype = io->inputs[0]->dtype;
  if (dtype == QINT8_DTYPE_BOOL || (!q8_is_float(dtype) && !set->whole))
    return q8_op_fail(io, QINT8_ERROR_UNSUPPORTED, "%s of %s", io->node->op->name, q8_dtype_name(dtype));
  return q8_infer_same(io);
}

float q8_unary_apply(const q8_unary_set *set, const void *params, float x) {
  return set->exact ? set->exact(params, x) : (float)set->wide(params, (double)x);
}

float q8_node_function(const void *node, float x) {
  const q8_node *n = node;
  return q8_unary_apply(n->op->variant, n->params, x);
}

static void each_float(const unary_params *p, size_t n, const float *x, float *y) {
  if (p->set->kernel)
    p->kernels->sunary(n, &p->function, x, y);
  else if (p->set->rows)
    q8_unary_run_rows(p->set->rows, p->params, n, x, y);
  else
    for (size_t i = 0; i < n; i++)
      y[i] = q8_unary_apply(p->set, p->params, x[i]);
}

/* Gelu has two: its attribute says which. */
static q8_sunary kernel_of(const q8_op *op, const void *params) {
  const q8_unary_set *set = op->variant;
  const q8_unary_coefficients *a = params;
  const char *approximate = q8_op_field(op, params, "approximate");
  if (approximate || !op->params_size)
    return (q8_sunary){approximate && !strcmp(approximate, "tanh") ? Q8_SUNARY_GELU_TANH : set->kernel, 0, 0};
  return (q8_sunary){set->kernel, a->alpha, a->beta};
}

static void eval_wide(const q8_op_io *io, const q8_unary_set *set) {
  const q8_value *x = io->inputs[0];
  for (size_t i = 0; i < x->count; i++) {
    double value = set->wide(io->node->params, q8_element_double(x->dtype, x->data, i));
    q8_put_double(&io->outputs[0], i, value);
  }
}

/* Of the value and its sign, which an unsigned 64-bit value has too. */
static int64_t whole(int f, int64_t x, int sign) {
  switch (f) {
  case Q8_ROWS_RELU:
    return sign > 0 ? x : 0;
  case Q8_ROWS_SIGN:
    return sign;
  default: /* Q8_ROWS_ABS, Q8_ROWS_NEG */
    return f == Q8_ROWS_NEG || sign < 0 ? (int64_t)(0 - (uint64_t)x) : x;
  }
}

static void eval_whole(const q8_op_io *io, const q8_unary_set *set) {
  const q8_value *x = io->inputs[0];
  int is_unsigned = q8_wide_dtype(x->dtype) == QINT8_DTYPE_U64;
  for (size_t i = 0; i < x->count; i++) {
    int64_t value = q8_element_int(x->dtype, x->data, i);
    value = whole(set->whole, value, value == 0 ? 0 : value > 0 || is_unsigned ? 1 : -1);
    q8_put_int(&io->outputs[0], i, value);
  }
}

q8_status q8_unary_eval(const q8_op_io *io) {
  const q8_unary_set *set = io->node->op->variant;
  const q8_value *x = io->inputs[0];
  if (x->dtype == QINT8_DTYPE_F32) {
    q8_kernels kernels; /* of any ISA: the bytes are the same */
    q8_kernels_select(0, &kernels);
    unary_params p = {&kernels, NULL, io->node->params, set, kernel_of(io->node->op, io->node->params), {0}};
    each_float(&p, x->count, x->data, io->outputs[0].data);
  } else if (q8_is_float(x->dtype))
    eval_wide(io, set);
  else
    eval_whole(io, set);
  return QINT8_OK;
}

/* ---- Planning ---- */

static void run_part(const void *context, size_t first, size_t n, void *y) {
  const unary_run *run = context;
  const unary_params *p = run->p;
  if (p->table)
    p->kernels->table(n, (const uint8_t *)run->x + first, p->table, y);
  else
    each_float(p, n, (const float *)run->x + first, y);
}

static void run_unary(const q8_step_run *r) {
  const unary_params *p = r->params;
  unary_run run = {p, r->in[0]};
  q8_write_parts(&p->out, run_part, &run, r->out[0], r->host);
}

/* table[q] = quantize(f(dequantize(q))), stored form on both sides. */
static uint8_t *make_table(q8_planner *planner, q8_id x, q8_id y, const unary_params *p) {
  const q8_kernels *kernels = p->kernels;
  uint8_t *table = q8_plan_alloc(planner, 256, 1);
  float scale = 1, values[256];
  int32_t zero = 0;
  uint8_t all[256];
  if (!table)
    return NULL;
  for (int i = 0; i < 256; i++)
    all[i] = (uint8_t)i;
  q8_plan_quant(planner, x, &scale, &zero);
  kernels->dequantize(256, all, scale, zero, 0, values);
  for (int i = 0; i < 256; i++)
    values[i] = q8_unary_apply(p->set, p->params, values[i]);
  q8_plan_quant(planner, y, &scale, &zero);
  kernels->quantize(256, values, scale, zero, 0, table);
  return table;
}

/* In the layout and, where nobody else reads it, in the memory of the input. */
static q8_status add_step(q8_planner *planner, q8_step *step, q8_id x, unary_params *p) {
  q8_form_type form = p->table ? Q8_FORM_INT8 : Q8_FORM_NATIVE;
  q8_layout layout = q8_plan_layout(planner, x);
  Q8_TRY(q8_plan_input(planner, x, form, layout, &step->in[0]));
  if (p->table)
    step->table_slot = &p->table;
  p->out.count = q8_plan_value(planner, x)->count;
  p->out.element = p->table ? 1 : sizeof(float);
  step->stride_slot = &p->out.stride;
  step->row_slot = &p->out.row;
  step->in_count = step->in_place = 1;
  return q8_plan_finish(planner, step, 0, form, form, layout);
}

q8_status q8_plan_table(q8_planner *planner, q8_id node, q8_id x, const uint8_t *table) {
  const q8_node *n = q8_plan_node(planner, node);
  if (q8_plan_fuse_table(planner, x, n->outputs[0], table, n->op->name))
    return QINT8_OK;
  q8_step *step;
  unary_params *p = q8_plan_begin(planner, "table", run_unary, sizeof *p, &step);
  if (!p)
    return QINT8_ERROR_MEMORY;
  p->table = table;
  p->kernels = q8_plan_kernels(planner);
  return add_step(planner, step, x, p);
}

q8_status q8_plan_unary(q8_planner *planner, q8_id node, const void *params) {
  const q8_node *n = q8_plan_node(planner, node);
  const q8_unary_set *set = n->op->variant;
  q8_id x = n->inputs[0];
  if (q8_plan_value(planner, x)->dtype != QINT8_DTYPE_F32)
    return q8_plan_eval(planner, node);
  q8_step *step;
  unary_params *p = q8_plan_begin(planner, n->op->name, run_unary, sizeof *p, &step);
  size_t params_size = n->op->params_size;
  void *copy = q8_plan_alloc(planner, 1, params_size ? params_size : 1);
  if (!p || !copy)
    return QINT8_ERROR_MEMORY;
  if (params_size)
    memcpy(copy, params, params_size);
  p->params = copy;
  p->set = set;
  p->kernels = q8_plan_kernels(planner);
  p->function = kernel_of(n->op, copy);
  if (q8_plan_mode(planner, node) == Q8_MODE_STATIC) {
    const uint8_t *table = make_table(planner, x, n->outputs[0], p);
    return table ? q8_plan_table(planner, node, x, table) : QINT8_ERROR_MEMORY;
  }
  if (set->kernel && q8_plan_fuse_function(planner, x, n->outputs[0], &p->function, n->op->name))
    return QINT8_OK;
  return add_step(planner, step, x, p);
}

q8_status q8_unary_plan(q8_planner *planner, q8_id node) {
  return q8_plan_unary(planner, node, q8_plan_node(planner, node)->params);
}
