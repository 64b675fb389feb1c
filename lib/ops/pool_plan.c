/* pool_plan.c - MaxPool and AveragePool on channels-last tensors: each output position is a few rows of channels. */
#include <string.h>

#include "base/parallel.h"
#include "base/cold.h"
#include "ops/fast.h"
#include "ops/pool.h"

#define BLOCK 64 /* channels of an average that are summed at a time */

typedef struct pool_step {
  const q8_kernels *kernels;
  int average;
  float x_scale, y_scale;
  int32_t x_zero, y_zero;
  size_t images, channels, in_positions;
  /* of windows */
  size_t y_stride; /* elements between output positions */
  size_t row, rows; /* output positions of one task, tasks of an image */
  q8_pool_window window;
} pool_step;

typedef struct pool_run {
  const pool_step *p;
  const void *x;
  void *y;
} pool_run;

static void max_row(size_t n, const float *row, float *y) {
  Q8_FOR_BLOCKS(float, n, y, row[i] > y[i] ? row[i] : y[i]);
}
static void add_row(size_t n, const float *row, float *y) {
  Q8_FOR_BLOCKS(float, n, y, y[i] + row[i]);
}
static void divide_row(size_t n, float divisor, float *y) {
  Q8_FOR_BLOCKS(float, n, y, y[i] / divisor);
}

/* y = the quantized mean of `count` values each, of sums of fewer values where padding counts. */
static void finish_average(const pool_step *p, size_t n, const int32_t *sum, size_t count, size_t divisor, uint8_t *y) {
  float mean[BLOCK];
  const int32_t zero = (int32_t)count * p->x_zero;
  const float scale = p->x_scale, values = (float)divisor;
  Q8_FOR_BLOCKS(float, n, mean, (float)(sum[i] - zero) * scale / values);
  p->kernels->quantize(n, mean, p->y_scale, p->y_zero, 0, y);
}

/* ---- Windows ---- */

static void average_int8(const pool_step *p, const uint8_t *x, const q8_pool_taps *taps, uint8_t *y) {
  for (size_t c = 0; c < p->channels; c += BLOCK) {
    size_t n = p->channels - c < BLOCK ? p->channels - c : BLOCK;
    int32_t sum[BLOCK] = {0};
    for (size_t t = 0; t < taps->count; t++)
      for (size_t i = 0; i < n; i++)
        sum[i] += x[taps->at[t] * p->channels + c + i];
    finish_average(p, n, sum, taps->count, taps->divisor, y + c);
  }
}

static void max_int8(const pool_step *p, const uint8_t *x, const q8_pool_taps *taps, uint8_t *y) {
  const uint8_t *rows[Q8_POOL_TAPS];
  for (size_t t = 0; t < taps->count; t++)
    rows[t] = x + taps->at[t] * p->channels;
  p->kernels->max_rows(taps->count, p->channels, rows, y);
}

static void pool_float(const pool_step *p, const float *x, const q8_pool_taps *taps, float *y) {
  size_t n = p->channels;
  memcpy(y, x + taps->at[0] * n, n * sizeof *y);
  for (size_t t = 1; t < taps->count; t++)
    (p->average ? add_row : max_row)(n, x + taps->at[t] * n, y);
  if (p->average)
    divide_row(n, (float)taps->divisor, y);
}

/* Positions of task i: one row of one image. Windows always hold a tap: padding is smaller than the window. */
static void pool_rows(const pool_run *run, size_t i, int int8) {
  const pool_step *p = run->p;
  size_t begin = i % p->rows * p->row, in = i / p->rows * p->in_positions * p->channels;
  q8_pool_taps taps;
  for (size_t j = 0; j < p->row; j++) {
    if (!q8_pool_move_taps(&p->window, j, &taps))
      q8_pool_find_taps(&p->window, begin + j, &taps);
    size_t at = (i * p->row + j) * p->y_stride;
    if (!int8)
      pool_float(p, (const float *)run->x + in, &taps, (float *)run->y + at);
    else if (p->average)
      average_int8(p, (const uint8_t *)run->x + in, &taps, (uint8_t *)run->y + at);
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
  q8_parallel(r->host, p->images * p->rows, task, &run);
}
static void run_float(const q8_step_run *r) {
  run_pool(r, float_task);
}
static void run_int8(const q8_step_run *r) {
  run_pool(r, int8_task);
}

/* ---- Over all positions ---- */

static void global_max_int8(const pool_step *p, const uint8_t *x, size_t n, uint8_t *y) {
  memcpy(y, x, n);
  for (size_t t = 1; t < p->in_positions; t++)
    for (size_t i = 0; i < n; i++)
      y[i] = x[t * p->channels + i] > y[i] ? x[t * p->channels + i] : y[i];
}

static void global_float(const pool_step *p, const float *x, size_t n, float *y) {
  if (p->average) {
    p->kernels->ssum_rows(p->in_positions, n, x, p->channels, y);
    divide_row(n, (float)p->in_positions, y);
    return;
  }
  memcpy(y, x, n * sizeof *y);
  for (size_t t = 1; t < p->in_positions; t++)
    max_row(n, x + t * p->channels, y);
}

/* Task i: one block of channels of one image. */
static void global_block(const pool_run *run, size_t i, int int8) {
  const pool_step *p = run->p;
  size_t image = i / p->rows, c = i % p->rows * BLOCK, n = p->channels - c < BLOCK ? p->channels - c : BLOCK;
  size_t in = image * p->in_positions * p->channels + c, out = image * p->channels + c;
  int32_t sum[BLOCK];
  if (!int8) {
    global_float(p, (const float *)run->x + in, n, (float *)run->y + out);
  } else if (p->average) {
    p->kernels->sum_rows(p->in_positions, n, (const uint8_t *)run->x + in, p->channels, sum);
    finish_average(p, n, sum, p->in_positions, p->in_positions, (uint8_t *)run->y + out);
  } else {
    global_max_int8(p, (const uint8_t *)run->x + in, n, (uint8_t *)run->y + out);
  }
}

static void global_float_task(void *argument, size_t i) {
  global_block(argument, i, 0);
}
static void global_int8_task(void *argument, size_t i) {
  global_block(argument, i, 1);
}
static void run_global_float(const q8_step_run *r) {
  run_pool(r, global_float_task);
}
static void run_global_int8(const q8_step_run *r) {
  run_pool(r, global_int8_task);
}

/* ---- Planning ---- */

Q8_COLD static pool_step *new_step(q8_planner *planner, q8_id id, const char *const kinds[2], q8_step **step) {
  const q8_node *node = q8_plan_node(planner, id);
  const q8_shape *x = &q8_plan_value(planner, node->inputs[0])->shape;
  int average = q8_pool_kind_of(node) == Q8_POOL_AVERAGE;
  pool_step *p = q8_plan_begin(planner, kinds[average], NULL, sizeof *p, step);
  if (!p)
    return NULL;
  p->kernels = q8_plan_kernels(planner);
  p->average = average;
  q8_plan_quant(planner, node->inputs[0], &p->x_scale, &p->x_zero);
  q8_plan_quant(planner, node->outputs[0], &p->y_scale, &p->y_zero);
  p->images = (size_t)x->dim[0];
  p->channels = (size_t)x->dim[1];
  p->in_positions = q8_dims(x, 2, x->rank);
  return p;
}

/* Int8 if the mode says so; a maximum also needs equal parameters on both sides. */
Q8_COLD static q8_status add_step(q8_planner *planner, q8_id id, pool_step *p, q8_step *step, q8_step_fn *float_fn,
                                  q8_step_fn *int8_fn) {
  const q8_node *node = q8_plan_node(planner, id);
  int int8 = int8_fn && q8_plan_mode(planner, id) == Q8_MODE_STATIC &&
             (p->average || q8_same_quant(planner, node->inputs[0], node->outputs[0]));
  q8_form_type form = int8 ? Q8_FORM_INT8 : Q8_FORM_NATIVE;
  step->run = int8 ? int8_fn : float_fn;
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

Q8_COLD q8_status q8_plan_window_pool(q8_planner *planner, q8_id id) {
  const q8_value *inputs[1];
  q8_op_io io = q8_plan_op_io(planner, id, inputs);
  static const char *const kinds[] = {"maxpool", "avgpool"};
  q8_step *step;
  pool_step *p = new_step(planner, id, kinds, &step);
  if (!p)
    return QINT8_ERROR_MEMORY;
  Q8_TRY(q8_pool_window_of(&io, &p->window));
  if (!is_served(p->window.e))
    return q8_plan_eval(planner, id);
  p->y_stride = p->channels;
  p->row = (size_t)p->window.e[2].out;
  p->rows = (size_t)(p->window.e[0].out * p->window.e[1].out);
  return add_step(planner, id, p, step, run_float, run_int8);
}

/* Sums of at most 2^23 bytes are exact in int32. */
Q8_COLD q8_status q8_plan_global_pool(q8_planner *planner, q8_id id) {
  static const char *const kinds[] = {"global_maxpool", "global_avgpool"};
  q8_step *step;
  pool_step *p = new_step(planner, id, kinds, &step);
  if (!p)
    return QINT8_ERROR_MEMORY;
  p->rows = (p->channels + BLOCK - 1) / BLOCK;
  return add_step(planner, id, p, step, run_global_float,
                  p->in_positions <= (size_t)1 << 23 ? run_global_int8 : NULL);
}
