/* pool_plan.c - MaxPool and AveragePool on channels-last tensors: each output position is a few rows of channels. */
#include <string.h>

#include "base/parallel.h"
#include "base/cold.h"
#include "ops/fast.h"
#include "ops/pool.h"

typedef struct pool_step {
  q8_pool_window window;
  const q8_kernels *kernels;
  size_t images, channels, in_positions, out_positions;
  size_t y_stride; /* elements between output positions */
  size_t row; /* output positions of one task */
  int average, include_pad;
  float x_scale, y_scale;
  int32_t x_zero, y_zero;
} pool_step;

typedef struct pool_run {
  const pool_step *p;
  const void *x;
  void *y;
} pool_run;

#define BLOCK 64 /* channels summed at a time */

/* y = the quantized (sum - zero) * x_scale / divisor. */
static void finish_average(const q8_kernels *kernels, size_t n, const int32_t *sum, int32_t zero, float x_scale,
                           float divisor, float y_scale, int32_t y_zero, uint8_t *y) {
  float mean[BLOCK];
  Q8_FOR_BLOCKS(float, n, mean, (float)(sum[i] - zero) * x_scale / divisor);
  kernels->quantize(n, mean, y_scale, y_zero, 0, y);
}

static void average_int8(const pool_step *p, const uint8_t *x, const q8_pool_taps *taps, size_t divisor, uint8_t *y) {
  for (size_t c = 0; c < p->channels; c += BLOCK) {
    size_t n = p->channels - c < BLOCK ? p->channels - c : BLOCK;
    int32_t sum[BLOCK] = {0};
    for (size_t t = 0; t < taps->count; t++)
      for (size_t i = 0; i < n; i++)
        sum[i] += x[taps->at[t] * p->channels + c + i];
    finish_average(p->kernels, n, sum, (int32_t)taps->count * p->x_zero, p->x_scale, (float)divisor, p->y_scale,
                   p->y_zero, y + c);
  }
}

static void max_int8(const pool_step *p, const uint8_t *x, const q8_pool_taps *taps, uint8_t *y) {
  const uint8_t *rows[Q8_POOL_TAPS];
  for (size_t t = 0; t < taps->count; t++)
    rows[t] = x + taps->at[t] * p->channels;
  p->kernels->max_rows(taps->count, p->channels, rows, y);
}

static void pool_float(const pool_step *p, const float *x, const q8_pool_taps *taps, size_t divisor, float *y) {
  size_t n = p->channels;
  memcpy(y, x + taps->at[0] * n, n * sizeof *y);
  for (size_t t = 1; t < taps->count; t++) {
    const float *row = x + taps->at[t] * n;
    if (p->average)
      Q8_FOR_BLOCKS(float, n, y, y[i] + row[i]);
    else
      Q8_FOR_BLOCKS(float, n, y, row[i] > y[i] ? row[i] : y[i]);
  }
  for (size_t i = 0; p->average && i < n; i++)
    y[i] /= (float)divisor;
}

/* Positions of task i: one row of one image. Windows always hold a tap: padding is smaller than the window. */
static void pool_rows(const pool_run *run, size_t i, int int8) {
  const pool_step *p = run->p;
  size_t tasks = p->out_positions / p->row, image = i / tasks, begin = i % tasks * p->row;
  size_t in = image * p->in_positions * p->channels, out = image * p->out_positions * p->y_stride;
  q8_pool_taps taps;
  for (size_t position = begin; position < begin + p->row; position++) {
    if (!q8_pool_move_taps(&p->window, position - begin, &taps))
      q8_pool_find_taps(&p->window, position, &taps);
    size_t at = out + position * p->y_stride, divisor = p->include_pad ? taps.divisor : taps.count;
    if (!int8)
      pool_float(p, (const float *)run->x + in, &taps, divisor, (float *)run->y + at);
    else if (p->average)
      average_int8(p, (const uint8_t *)run->x + in, &taps, divisor, (uint8_t *)run->y + at);
    else
      max_int8(p, (const uint8_t *)run->x + in, &taps, (uint8_t *)run->y + at);
  }
}

static void float_task(void *argument, size_t i) {
  pool_rows(argument, i, 0);
}
static void int8_task(void *argument, size_t i) {
  pool_rows(argument, i, 1);
}

static void run_pool(const q8_step_run *r, q8_task_fn task) {
  const pool_step *p = r->params;
  pool_run run = {p, r->in[0], r->out[0]};
  q8_parallel(r->host, p->images * (p->out_positions / p->row), task, &run);
}
static void run_float(const q8_step_run *r) {
  run_pool(r, float_task);
}
static void run_int8(const q8_step_run *r) {
  run_pool(r, int8_task);
}

static int is_served(const q8_pool_window *w) {
  return q8_pool_positions(w->kernel) <= Q8_POOL_TAPS && q8_pool_positions(w->dilation) == 1;
}

static void set_quant(q8_planner *planner, const q8_node *n, float *x_scale, int32_t *x_zero, float *y_scale,
                      int32_t *y_zero) {
  q8_plan_quant(planner, n->inputs[0], x_scale, x_zero);
  q8_plan_quant(planner, n->outputs[0], y_scale, y_zero);
}

/* The buffers of a step on channels-last tensors. */
Q8_COLD static q8_status add_step(q8_planner *planner, q8_id node, const char *kind, int int8,
                                  const void *params, q8_step_fn *float_fn, q8_step_fn *int8_fn,
                                  size_t *stride, qint8_error *error) {
  q8_form_type form = int8 ? Q8_FORM_INT8 : Q8_FORM_NATIVE;
  q8_step step;
  q8_plan_step(planner, node, kind, int8 ? int8_fn : float_fn, &step);
  step.params = params;
  step.precision = int8 ? "int8" : "fp32";
  step.stride_slot = stride;
  step.row_size = stride ? *stride : 0;
  return q8_plan_finish(planner, node, &step, 1, form, form, Q8_CHANNELS_LAST, error);
}

/* Int8 if the mode says so; a maximum also needs equal parameters on both sides. */
Q8_COLD static int is_int8(const q8_planner *planner, q8_id node, int average) {
  const q8_node *n = q8_plan_node(planner, node);
  return q8_plan_mode(planner, node) == Q8_MODE_STATIC &&
         (average || q8_same_quant(planner, n->inputs[0], n->outputs[0]));
}

Q8_COLD q8_status q8_plan_window_pool(q8_planner *planner, q8_id node, int average, qint8_error *error) {
  const q8_node *n = q8_plan_node(planner, node);
  const q8_pool_params *attributes = n->params;
  const q8_shape *x = &q8_plan_value(planner, n->inputs[0])->shape;
  pool_step *p = q8_plan_alloc(planner, 1, sizeof *p);
  if (!p)
    return q8_fail_memory(error, n->name, sizeof *p);
  q8_op_io io = {.node = n, .error = error};
  Q8_TRY(q8_pool_window_of(&io, x, &p->window));
  if (!is_served(&p->window))
    return q8_plan_eval(planner, node, error);
  p->kernels = q8_plan_kernels(planner);
  p->images = (size_t)x->dim[0];
  p->channels = (size_t)x->dim[1];
  p->in_positions = q8_pool_positions(p->window.in);
  p->out_positions = q8_pool_positions(p->window.out);
  p->y_stride = p->channels;
  p->row = (size_t)p->window.out[Q8_POOL_DIMS - 1];
  p->average = average;
  p->include_pad = attributes->count_include_pad != 0;
  set_quant(planner, n, &p->x_scale, &p->x_zero, &p->y_scale, &p->y_zero);
  return add_step(planner, node, average ? "avgpool" : "maxpool", is_int8(planner, node, average), p, run_float,
                  run_int8, &p->y_stride, error);
}

/* ---- Over all positions ---- */

typedef struct global_step {
  const q8_kernels *kernels;
  size_t images, positions, channels;
  int average;
  float x_scale, y_scale;
  int32_t x_zero, y_zero;
} global_step;

typedef struct global_run {
  const global_step *p;
  const void *x;
  void *y;
} global_run;

static void global_average_int8(const global_step *p, const uint8_t *x, size_t n, uint8_t *y) {
  int32_t sum[BLOCK];
  p->kernels->sum_rows(p->positions, n, x, p->channels, sum);
  finish_average(p->kernels, n, sum, (int32_t)p->positions * p->x_zero, p->x_scale, (float)p->positions, p->y_scale,
                 p->y_zero, y);
}

static void global_max_int8(const global_step *p, const uint8_t *x, size_t n, uint8_t *y) {
  memcpy(y, x, n);
  for (size_t t = 1; t < p->positions; t++)
    for (size_t i = 0; i < n; i++)
      y[i] = x[t * p->channels + i] > y[i] ? x[t * p->channels + i] : y[i];
}

static void global_float(const global_step *p, const float *x, size_t n, float *y) {
  if (p->average) {
    p->kernels->ssum_rows(p->positions, n, x, p->channels, y);
    Q8_FOR_BLOCKS(float, n, y, y[i] / (float)p->positions);
    return;
  }
  memcpy(y, x, n * sizeof *y);
  for (size_t t = 1; t < p->positions; t++) {
    const float *row = x + t * p->channels;
    Q8_FOR_BLOCKS(float, n, y, row[i] > y[i] ? row[i] : y[i]);
  }
}

/* Task i: one block of channels of one image. */
static void global_block(const global_run *run, size_t i, int int8) {
  const global_step *p = run->p;
  size_t blocks = (p->channels + BLOCK - 1) / BLOCK, image = i / blocks, c = i % blocks * BLOCK;
  size_t n = p->channels - c < BLOCK ? p->channels - c : BLOCK;
  size_t in = image * p->positions * p->channels + c, out = image * p->channels + c;
  if (!int8)
    global_float(p, (const float *)run->x + in, n, (float *)run->y + out);
  else if (p->average)
    global_average_int8(p, (const uint8_t *)run->x + in, n, (uint8_t *)run->y + out);
  else
    global_max_int8(p, (const uint8_t *)run->x + in, n, (uint8_t *)run->y + out);
}

static void global_float_task(void *argument, size_t i) {
  global_block(argument, i, 0);
}
static void global_int8_task(void *argument, size_t i) {
  global_block(argument, i, 1);
}

static void run_global(const q8_step_run *r, q8_task_fn task) {
  const global_step *p = r->params;
  global_run run = {p, r->in[0], r->out[0]};
  q8_parallel(r->host, p->images * ((p->channels + BLOCK - 1) / BLOCK), task, &run);
}
static void run_global_float(const q8_step_run *r) {
  run_global(r, global_float_task);
}
static void run_global_int8(const q8_step_run *r) {
  run_global(r, global_int8_task);
}

/* Sums of at most 2^23 bytes are exact in int32. */
Q8_COLD q8_status q8_plan_global_pool(q8_planner *planner, q8_id node, int average, qint8_error *error) {
  const q8_node *n = q8_plan_node(planner, node);
  const q8_shape *x = &q8_plan_value(planner, n->inputs[0])->shape;
  global_step *p = q8_plan_alloc(planner, 1, sizeof *p);
  if (!p)
    return q8_fail_memory(error, n->name, sizeof *p);
  *p = (global_step){.kernels = q8_plan_kernels(planner),
                     .images = (size_t)x->dim[0],
                     .positions = q8_dims(x, 2, x->rank),
                     .channels = (size_t)x->dim[1],
                     .average = average};
  set_quant(planner, n, &p->x_scale, &p->x_zero, &p->y_scale, &p->y_zero);
  int int8 = is_int8(planner, node, average) && p->positions <= (size_t)1 << 23;
  return add_step(planner, node, average ? "global_avgpool" : "global_maxpool", int8, p, run_global_float,
                  run_global_int8, NULL, error);
}
