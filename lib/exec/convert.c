/* convert.c - the forms of a tensor: quantizing, dequantizing and changing layout at the borders.
 *
 * A missing form is made from an existing one by one step; by two where type and layout change and a tensor has very
 * many channels: then the layout is changed in the int8 form, a quarter of the bytes. */
#include <string.h>

#include "base/parallel.h"
#include "exec/plan_internal.h"

typedef struct convert_params {
  const q8_kernels *kernels;
  q8_task_fn task; /* with a convert_run: of `tasks` */
  size_t tasks;
  size_t count;                /* elements */
  size_t batch, rows, columns; /* layout change: `batch` transpositions of rows x columns */
  size_t channels, positions, block; /* of one image; positions that change type and layout at a time */
  float scale;
  int32_t zero_point;
} convert_params;

typedef struct convert_run {
  const convert_params *p;
  const char *x;
  char *y;
} convert_run;

static void run_convert(const q8_step_run *r) {
  const convert_params *p = r->params;
  convert_run run = {.p = p, .x = r->in[0], .y = r->out[0]};
  q8_parallel(r->host, p->tasks, p->task, &run);
}

/* Elements per task of an elementwise conversion: large enough to be worth a thread. */
#define CHUNK ((size_t)65536)

static void quantize_chunk(void *argument, size_t i) {
  const convert_run *run = argument;
  size_t begin = i * CHUNK, n = run->p->count - begin < CHUNK ? run->p->count - begin : CHUNK;
  run->p->kernels->quantize(n, (const float *)(const void *)run->x + begin, run->p->scale, run->p->zero_point, 0,
                            (uint8_t *)run->y + begin);
}

static void dequantize_chunk(void *argument, size_t i) {
  const convert_run *run = argument;
  size_t begin = i * CHUNK, n = run->p->count - begin < CHUNK ? run->p->count - begin : CHUNK;
  run->p->kernels->dequantize(n, (const uint8_t *)run->x + begin, run->p->scale, run->p->zero_point, 0,
                              (float *)(void *)run->y + begin);
}

static void transpose8_image(void *argument, size_t i) {
  const convert_run *run = argument;
  const convert_params *p = run->p;
  size_t image = p->rows * p->columns;
  p->kernels->transpose8(p->rows, p->columns, run->x + i * image, p->columns, run->y + i * image, p->rows);
}

static void transpose32_image(void *argument, size_t i) {
  const convert_run *run = argument;
  const convert_params *p = run->p;
  size_t image = p->rows * p->columns * 4;
  p->kernels->transpose32(p->rows, p->columns, run->x + i * image, p->columns, run->y + i * image, p->rows);
}

/* ---- Type and layout at once, through a block that stays in L1 ---- */

#define BLOCK ((size_t)8192) /* bytes */
#define MIN_POSITIONS ((size_t)16)

/* Positions of one block, all channels of which fit it; multiples of 64 where there is room. */
static size_t block_positions(size_t channels) {
  size_t positions = BLOCK / channels;
  return positions > 64 ? positions / 64 * 64 : positions;
}

static size_t block_count(const convert_params *p) {
  return (p->positions + p->block - 1) / p->block;
}

/* Task i: one block of positions of one image. */
typedef struct block_place {
  size_t first, positions, image; /* of the block; elements before the image */
} block_place;

static block_place find_block(const convert_params *p, size_t i) {
  size_t n = i / block_count(p), first = i % block_count(p) * p->block, left = p->positions - first;
  return (block_place){first, left < p->block ? left : p->block, n * p->channels * p->positions};
}

static void quantize_to_last(void *argument, size_t i) {
  const convert_run *run = argument;
  const convert_params *p = run->p;
  block_place at = find_block(p, i);
  const float *x = (const float *)(const void *)run->x + at.image + at.first;
  uint8_t block[BLOCK];
  for (size_t c = 0; c < p->channels; c++)
    p->kernels->quantize(at.positions, x + c * p->positions, p->scale, p->zero_point, 0, block + c * at.positions);
  p->kernels->transpose8(p->channels, at.positions, block, at.positions,
                         run->y + at.image + at.first * p->channels, p->channels);
}

static void quantize_to_linear(void *argument, size_t i) {
  const convert_run *run = argument;
  const convert_params *p = run->p;
  block_place at = find_block(p, i);
  const float *x = (const float *)(const void *)run->x + at.image + at.first * p->channels;
  uint8_t block[BLOCK];
  p->kernels->quantize(at.positions * p->channels, x, p->scale, p->zero_point, 0, block);
  p->kernels->transpose8(at.positions, p->channels, block, p->channels, run->y + at.image + at.first, p->positions);
}

static void dequantize_to_linear(void *argument, size_t i) {
  const convert_run *run = argument;
  const convert_params *p = run->p;
  block_place at = find_block(p, i);
  float *y = (float *)(void *)run->y + at.image + at.first;
  uint8_t block[BLOCK];
  p->kernels->transpose8(at.positions, p->channels, run->x + at.image + at.first * p->channels, p->channels, block,
                         at.positions);
  for (size_t c = 0; c < p->channels; c++)
    p->kernels->dequantize(at.positions, block + c * at.positions, p->scale, p->zero_point, 0, y + c * p->positions);
}

static void dequantize_to_last(void *argument, size_t i) {
  const convert_run *run = argument;
  const convert_params *p = run->p;
  block_place at = find_block(p, i);
  float *y = (float *)(void *)run->y + at.image + at.first * p->channels;
  uint8_t block[BLOCK];
  p->kernels->transpose8(p->channels, at.positions, run->x + at.image + at.first, p->positions, block, p->channels);
  p->kernels->dequantize(at.positions * p->channels, block, p->scale, p->zero_point, 0, y);
}

static void copy_all(void *argument, size_t i) {
  const convert_run *run = argument;
  (void)i;
  memcpy(run->y, run->x, run->p->count);
}

/* Channels and positions of a shape in ONNX order: [N, C, positions...]. */
static void split_shape(const q8_shape *shape, size_t *batch, size_t *channels, size_t *positions) {
  *batch = shape->rank > 0 ? (size_t)shape->dim[0] : 1;
  *channels = shape->rank > 1 ? (size_t)shape->dim[1] : 1;
  *positions = q8_shape_inner(shape, 2);
}

int q8_layouts_agree(const q8_shape *shape) {
  size_t batch, channels, positions;
  split_shape(shape, &batch, &channels, &positions);
  return channels <= 1 || positions <= 1;
}

/* The constant itself as a buffer: copied, since the plan outlives the graph. */
static q8_status constant_buffer(q8_planner *planner, q8_id tensor, q8_buffer *out) {
  const q8_value *value = q8_plan_value(planner, tensor);
  size_t size = value->count * qint8_dtype_size((qint8_dtype)value->dtype);
  void *copy = q8_plan_alloc(planner, size + Q8_SLACK, 1);
  if (!copy)
    return QINT8_ERROR_MEMORY;
  if (value->data)
    memcpy(copy, value->data, size);
  else
    q8_int8_to_float(&planner->graph->tensors[tensor], copy);
  Q8_TRY(q8_buffer_new(planner, size, tensor, Q8_FORM_NATIVE, Q8_LINEAR, out));
  plan_buffer *buffer = &planner->plan->buffers[*out];
  buffer->place = PLACE_CONSTANT;
  buffer->constant = copy;
  planner->forms[tensor][form_index(Q8_FORM_NATIVE, Q8_LINEAR)] = *out;
  return QINT8_OK;
}

static convert_params *new_params(q8_planner *planner, q8_task_fn task) {
  convert_params *p = q8_plan_alloc(planner, 1, sizeof *p);
  if (!p)
    return NULL;
  p->kernels = &planner->plan->kernels;
  p->task = task;
  return p;
}

static q8_status add_step(q8_planner *planner, q8_id tensor, const char *kind, const char *precision,
                          const convert_params *p, q8_buffer from, q8_buffer to) {
  q8_step step;
  q8_plan_step(planner, Q8_NONE, kind, run_convert, &step);
  step.name = planner->graph->tensors[tensor].name;
  step.precision = precision;
  step.params = p;
  step.in[0] = from;
  step.out[0] = to;
  step.in_count = step.out_count = 1;
  return q8_plan_add(planner, &step);
}

/* What a task converts: elements, or an image of which only the layout changes, or positions of both. */
typedef enum conversion { BY_CHUNK, BY_IMAGE, BY_BLOCK } conversion;

/* Adds a conversion step, or carries it out at once if its input is a constant. */
static q8_status convert_by(q8_planner *planner, q8_id tensor, q8_buffer from, q8_form_type form, q8_layout layout,
                            conversion by, q8_task_fn task, q8_buffer *out) {
  q8_plan *plan = planner->plan;
  const q8_value *value = q8_plan_value(planner, tensor);
  convert_params *p = new_params(planner, task);
  if (!p)
    return QINT8_ERROR_MEMORY;
  p->count = value->count;
  q8_plan_quant(planner, tensor, &p->scale, &p->zero_point);
  split_shape(&value->shape, &p->batch, &p->channels, &p->positions);
  p->rows = layout == Q8_CHANNELS_LAST ? p->channels : p->positions;
  p->columns = layout == Q8_CHANNELS_LAST ? p->positions : p->channels;
  p->block = p->channels ? block_positions(p->channels) : 1;
  p->tasks = by == BY_CHUNK ? (p->count + CHUNK - 1) / CHUNK : by == BY_IMAGE ? p->batch : p->batch * block_count(p);
  Q8_TRY(q8_plan_output(planner, tensor, form, layout, out));
  if (plan->buffers[plan->buffers[from].root].place == PLACE_CONSTANT) {
    size_t size = plan->buffers[*out].size;
    void *memory = q8_plan_alloc(planner, size + Q8_SLACK, 1);
    if (!memory)
      return QINT8_ERROR_MEMORY;
    const void *in[1] = {plan->buffers[plan->buffers[from].root].constant};
    void *outs[1] = {memory};
    q8_step_run now = {.params = p, .in = in, .out = outs, .host = &planner->host};
    run_convert(&now);
    plan->buffers[*out].place = PLACE_CONSTANT;
    plan->buffers[*out].constant = memory;
    return QINT8_OK;
  }
  const char *precision = form == Q8_FORM_INT8 ? "int8" : "fp32";
  const char *kind = by == BY_IMAGE ? "transpose" : form == Q8_FORM_INT8 ? "quantize" : "dequantize";
  return add_step(planner, tensor, kind, precision, p, from, *out);
}

static q8_status check_type(const q8_planner *planner, q8_id tensor) {
  float scale;
  int32_t zero_point;
  if (q8_plan_value(planner, tensor)->dtype != QINT8_DTYPE_F32 || !q8_plan_quant(planner, tensor, &scale, &zero_point))
    return q8_fail(planner->error, QINT8_ERROR_INTERNAL, planner->graph->tensors[tensor].name,
                   "int8 form of a tensor without parameters");
  return QINT8_OK;
}

static q8_status change_type(q8_planner *planner, q8_id tensor, q8_buffer from, q8_form_type form, q8_layout layout,
                             q8_buffer *out) {
  Q8_TRY(check_type(planner, tensor));
  return convert_by(planner, tensor, from, form, layout, BY_CHUNK,
                    form == Q8_FORM_INT8 ? quantize_chunk : dequantize_chunk, out);
}

/* Both at once, where a block holds enough positions: then 1. */
static int changes_at_once(const q8_shape *shape) {
  size_t batch, channels, positions;
  split_shape(shape, &batch, &channels, &positions);
  return !q8_layouts_agree(shape) && block_positions(channels) >= MIN_POSITIONS;
}

static q8_status change_both(q8_planner *planner, q8_id tensor, q8_buffer from, q8_form_type form, q8_layout layout,
                             q8_buffer *out) {
  static const q8_task_fn task[2][2] = {{dequantize_to_linear, dequantize_to_last},
                                        {quantize_to_linear, quantize_to_last}};
  Q8_TRY(check_type(planner, tensor));
  return convert_by(planner, tensor, from, form, layout, BY_BLOCK,
                    task[form == Q8_FORM_INT8][layout == Q8_CHANNELS_LAST], out);
}

static q8_status change_layout(q8_planner *planner, q8_id tensor, q8_buffer from, q8_form_type form, q8_layout layout,
                               q8_buffer *out) {
  const q8_value *value = q8_plan_value(planner, tensor);
  if (q8_layouts_agree(&value->shape)) {
    Q8_TRY(q8_plan_alias(planner, tensor, form, layout, from));
    *out = planner->forms[tensor][form_index(form, layout)];
    return QINT8_OK;
  }
  size_t element = form == Q8_FORM_INT8 ? 1 : qint8_dtype_size((qint8_dtype)value->dtype);
  if (element != 1 && element != 4)
    return q8_fail(planner->error, QINT8_ERROR_UNSUPPORTED, planner->graph->tensors[tensor].name,
                   "a layout change of %zu-byte elements", element);
  return convert_by(planner, tensor, from, form, layout, BY_IMAGE,
                    element == 1 ? transpose8_image : transpose32_image, out);
}

q8_status q8_convert(q8_planner *planner, q8_id tensor, q8_form_type form, q8_layout layout, q8_buffer *out) {
  const q8_buffer *forms = planner->forms[tensor];
  q8_layout other = layout == Q8_LINEAR ? Q8_CHANNELS_LAST : Q8_LINEAR;
  q8_form_type other_form = form == Q8_FORM_INT8 ? Q8_FORM_NATIVE : Q8_FORM_INT8;
  *out = forms[form_index(form, layout)];
  if (*out != Q8_NONE)
    return QINT8_OK;
  q8_buffer from = forms[form_index(form, other)];
  if (from != Q8_NONE)
    return change_layout(planner, tensor, from, form, layout, out);
  from = forms[form_index(other_form, layout)];
  if (from != Q8_NONE)
    return change_type(planner, tensor, from, form, layout, out);
  from = forms[form_index(other_form, other)];
  if (from != Q8_NONE && !planner->plain && changes_at_once(&q8_plan_value(planner, tensor)->shape))
    return change_both(planner, tensor, from, form, layout, out);
  if (from != Q8_NONE) /* the layout is changed in the int8 form */
    Q8_TRY(q8_convert(planner, tensor, Q8_FORM_INT8, form == Q8_FORM_INT8 ? other : layout, &from));
  else if (q8_plan_is_constant(planner, tensor))
    Q8_TRY(constant_buffer(planner, tensor, &from));
  else
    return q8_fail(planner->error, QINT8_ERROR_INTERNAL, planner->graph->tensors[tensor].name,
                   "used before it is computed");
  return q8_convert(planner, tensor, form, layout, out);
}

/* A graph output that is a constant, an input, or also read by other steps: copied into the user's memory. */
q8_status q8_plan_copy(q8_planner *planner, q8_id tensor, q8_buffer from, q8_buffer to) {
  convert_params *p = new_params(planner, copy_all);
  if (!p)
    return QINT8_ERROR_MEMORY;
  p->count = planner->plan->buffers[to].size;
  p->tasks = 1;
  return add_step(planner, tensor, "copy", "fp32", p, from, to);
}
