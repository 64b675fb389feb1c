/* resize_plan.c - Resize of the spatial dimensions on channels-last tensors: each output pixel is a weighted sum of a
 * few input pixels, tables of which are made while planning. Int8 values are interpolated as they are: the weights add
 * up to 1, so scale and zero point stay the same. */
#include <string.h>

#include "base/parallel.h"
#include "ops/resize.h"

#define DIMS 3   /* spatial dimensions; missing leading ones have size 1 */

typedef struct axis_table {
  size_t in, out, taps;
  const uint32_t *index; /* [out][taps] */
  const float *weight;
} axis_table;

typedef struct resize_step {
  const q8_kernels *kernels;
  int int8;
  size_t images, channels, y_stride; /* elements between output pixels */
  axis_table axis[DIMS];
} resize_step;

typedef struct resize_run {
  const resize_step *p;
  const void *x;
  void *y;
} resize_run;

static void find_pixels(const resize_step *p, size_t i, size_t j, size_t k, q8_resize_pixels *t) {
  const axis_table *a = &p->axis[0], *b = &p->axis[1], *c = &p->axis[2];
  t->count = 0;
  for (size_t u = 0; u < a->taps; u++)
    for (size_t v = 0; v < b->taps; v++)
      for (size_t w = 0; w < c->taps; w++) {
        size_t line = a->index[i * a->taps + u] * b->in + b->index[j * b->taps + v];
        t->at[t->count] = line * c->in + c->index[k * c->taps + w];
        t->weight[t->count++] = a->weight[i * a->taps + u] * b->weight[j * b->taps + v] * c->weight[k * c->taps + w];
      }
}

/* Task: one output row of one image. */
static void resize_row(void *argument, size_t task) {
  const resize_run *run = argument;
  const resize_step *p = run->p;
  const axis_table *a = p->axis;
  size_t j = task % a[1].out, i = task / a[1].out % a[0].out, image = task / a[1].out / a[0].out;
  size_t element = p->int8 ? 1 : sizeof(float), pixel = p->channels * element;
  const uint8_t *x = (const uint8_t *)run->x + image * a[0].in * a[1].in * a[2].in * pixel;
  uint8_t *y = (uint8_t *)run->y + task * a[2].out * p->y_stride * element;
  q8_resize_pixels t;
  for (size_t k = 0; k < a[2].out; k++, y += p->y_stride * element) {
    find_pixels(p, i, j, k, &t);
    if (t.count == 1)
      memcpy(y, x + t.at[0] * pixel, pixel);
    else if (p->int8)
      q8_resize_sum_int8(p->kernels, p->channels, x, &t, y);
    else
      q8_resize_sum_float(p->channels, (const float *)(const void *)x, &t, (float *)(void *)y);
  }
}

static void run_resize(const q8_step_run *r) {
  const resize_step *p = r->params;
  resize_run run = {p, r->in[0], r->out[0]};
  q8_parallel(r->host, p->images * p->axis[0].out * p->axis[1].out, resize_row, &run);
}

/* Spatial dimensions only, and few enough taps. */
static int is_served(const q8_resize *r, int32_t dtype) {
  if (r->rank < 3 || r->rank > 2 + DIMS || dtype != QINT8_DTYPE_F32 || r->coordinates == Q8_TF_CROP_AND_RESIZE ||
      !q8_resize_keeps(r, 0) || !q8_resize_keeps(r, 1))
    return 0;
  int64_t taps = 1;
  for (int32_t d = 2; d < r->rank; d++)
    taps *= q8_resize_tap_count(r, d);
  return taps <= Q8_RESIZE_PIXELS;
}

static q8_status make_table(q8_planner *planner, const q8_resize *r, int32_t d, axis_table *table) {
  table->in = d < 2 ? 1 : (size_t)r->in[d];
  table->out = d < 2 ? 1 : (size_t)r->out[d];
  table->taps = d < 2 ? 1 : (size_t)q8_resize_tap_count(r, d);
  uint32_t *index = q8_plan_alloc(planner, table->out * table->taps, sizeof *index);
  float *weight = q8_plan_alloc(planner, table->out * table->taps, sizeof *weight);
  if (!index || !weight)
    return QINT8_ERROR_MEMORY;
  table->index = index;
  table->weight = weight;
  for (size_t i = 0; i < table->out; i++) {
    q8_resize_taps taps = {.count = 1, .weight = {1}};
    if (d >= 2)
      q8_resize_find_taps(r, d, (int64_t)i, &taps);
    for (size_t t = 0; t < table->taps; t++) {
      *index++ = (uint32_t)taps.index[t];
      *weight++ = taps.weight[t];
    }
  }
  return QINT8_OK;
}

q8_status q8_resize_plan(q8_planner *planner, q8_id id) {
  const q8_value *inputs[4];
  q8_op_io io = q8_plan_op_io(planner, id, inputs);
  const q8_node *node = io.node;
  q8_resize r;
  Q8_TRY(q8_resize_of(&io, &r));
  if (!is_served(&r, inputs[0]->dtype) || inputs[0]->count == 0 || q8_plan_value(planner, node->outputs[0])->count == 0)
    return q8_plan_eval(planner, id);
  q8_step *step;
  resize_step *p = q8_plan_begin(planner, "resize", run_resize, sizeof *p, &step);
  if (!p)
    return QINT8_ERROR_MEMORY;
  p->kernels = q8_plan_kernels(planner);
  p->images = (size_t)r.in[0];
  p->channels = p->y_stride = (size_t)r.in[1];
  for (int32_t d = 0; d < DIMS; d++)
    Q8_TRY(make_table(planner, &r, r.rank - DIMS + d, &p->axis[d]));
  p->int8 = q8_plan_mode(planner, id) == Q8_MODE_STATIC && q8_same_quant(planner, node->inputs[0], node->outputs[0]);
  q8_form_type form = p->int8 ? Q8_FORM_INT8 : Q8_FORM_NATIVE;
  step->stride_slot = &p->y_stride;
  step->row_size = p->channels;
  return q8_plan_finish(planner, step, 1, form, form, Q8_CHANNELS_LAST);
}
