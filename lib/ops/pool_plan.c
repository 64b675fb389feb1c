#include "ops/pool_plan.h"

#include "base/parallel.h"

typedef struct pool_run {
  const q8_pool_step *p;
  const uint8_t *x;
  uint8_t *y;
} pool_run;

/* Positions of task i: one row of one image. Windows always hold a tap: padding is smaller than the window.
 */
static void window_task(void *argument, size_t i) {
  const pool_run *run = argument;
  const q8_pool_step *p = run->p;
  const uint8_t *x = run->x + i / p->rows * p->in_positions * p->channels * p->element;
  uint8_t *y = run->y + i * p->row * p->y_stride * p->element;
  q8_pool_taps taps;
  for (size_t j = 0; j < p->row; j++, y += p->y_stride * p->element) {
    if (!q8_pool_move_taps(&p->window, j, &taps))
      q8_pool_find_taps(&p->window, i % p->rows * p->row + j, &taps);
    p->run(p, p->channels, x, &taps, y);
  }
}

/* Over all positions: one block of channels of one image. */
static void global_task(void *argument, size_t i) {
  const pool_run *run = argument;
  const q8_pool_step *p = run->p;
  size_t image = i / p->rows * p->channels, c = i % p->rows * Q8_POOL_BLOCK, n = p->channels - c;
  p->run(p, n < Q8_POOL_BLOCK ? n : Q8_POOL_BLOCK, run->x + (image * p->in_positions + c) * p->element, NULL,
         run->y + (image + c) * p->element);
}

static void run_pool(const q8_step_run *r) {
  const q8_pool_step *p = r->params;
  pool_run run = {p, r->in[0], r->out[0]};
  q8_parallel(r->host, p->images * p->rows, p->row ? window_task : global_task, &run);
}

/* ---- Planning ---- */

/* `place`: "global_maxpool" or "global_avgpool" from there on says what the step is. */
static q8_pool_step *new_step(q8_planner *planner, q8_id id, size_t place, q8_step **step) {
  const q8_node *node = q8_plan_node(planner, id);
  const q8_shape *x = &q8_plan_value(planner, node->inputs[0])->shape;
  const char *kind = q8_pool_kind_of(node) == Q8_POOL_AVERAGE ? "global_avgpool" : "global_maxpool";
  q8_pool_step *p = q8_plan_begin(planner, kind + place, run_pool, sizeof *p, step);
  if (!p)
    return NULL;
  p->kernels = q8_plan_kernels(planner);
  q8_plan_quant(planner, node->inputs[0], &p->x_scale, &p->x_zero);
  q8_plan_quant(planner, node->outputs[0], &p->y_scale, &p->y_zero);
  p->images = (size_t)x->dim[0];
  p->channels = (size_t)x->dim[1];
  p->in_positions = q8_dims(x, 2, x->rank);
  return p;
}

/* Int8 if the mode says so; a maximum also needs equal parameters on both sides. Sums of at most 2^23 bytes are exact in
 * int32. */
static q8_status add_step(q8_planner *planner, q8_id id, q8_pool_step *p, q8_step *step) {
  const q8_node *node = q8_plan_node(planner, id);
  int average = q8_pool_kind_of(node) == Q8_POOL_AVERAGE;
  int int8 = q8_plan_mode(planner, id) == Q8_MODE_STATIC && (p->row || p->in_positions <= (size_t)1 << 23) &&
             (average || q8_same_quant(planner, node->inputs[0], node->outputs[0]));
  q8_form_type form = int8 ? Q8_FORM_INT8 : Q8_FORM_NATIVE;
  p->element = int8 ? 1 : sizeof(float);
  if (average)
    p->run = int8 ? q8_pool_average_int8 : q8_pool_average_float;
  else
    p->run = int8 ? q8_pool_max_int8 : q8_pool_max_float;
  step->row_size = p->y_stride;
  if (p->y_stride)
    step->stride_slot = &p->y_stride;
  return q8_plan_finish(planner, step, 1, form, form, Q8_CHANNELS_LAST);
}

static int is_served(const q8_extent *e) {
  int64_t taps = 1;
  for (int d = 0; d < Q8_SPATIAL_DIMS; d++) {
    if (e[d].dilation != 1 || e[d].kernel > Q8_POOL_TAPS)
      return 0;
    taps *= e[d].kernel;
  }
  return taps <= Q8_POOL_TAPS;
}

q8_status q8_plan_window_pool(q8_planner *planner, q8_id id) {
  const q8_value *inputs[1];
  q8_op_io io = q8_plan_op_io(planner, id, inputs);
  q8_step *step;
  q8_pool_step *p = new_step(planner, id, 7, &step);
  if (!p)
    return QINT8_ERROR_MEMORY;
  Q8_TRY(q8_pool_window_of(&io, &p->window));
  if (!is_served(p->window.e))
    return q8_plan_eval(planner, id);
  p->y_stride = p->channels;
  p->row = (size_t)p->window.e[2].out;
  p->rows = (size_t)(p->window.e[0].out * p->window.e[1].out);
  return add_step(planner, id, p, step);
}

q8_status q8_plan_global_pool(q8_planner *planner, q8_id id) {
  q8_step *step;
  q8_pool_step *p = new_step(planner, id, 0, &step);
  if (!p)
    return QINT8_ERROR_MEMORY;
  p->rows = (p->channels + Q8_POOL_BLOCK - 1) / Q8_POOL_BLOCK;
  return add_step(planner, id, p, step);
}
