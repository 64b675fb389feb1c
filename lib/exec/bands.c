/* bands.c - steps that run together, a band of rows at a time, so that what lies between them stays in the cache and takes
 * no room in the arena: a depthwise convolution and the 1x1 convolutions around it. */
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include "base/cpu.h"
#include "exec/bands.h"

#define STEP_INPUTS ((int32_t)(sizeof((q8_step *)0)->in / sizeof *((q8_step *)0)->in))

/* ---- Which steps ---- */

/* Whether the result of step `index` is a tensor that the next step alone reads, as its first input. */
static int feeds_next(const q8_plan *plan, size_t index) {
  const q8_step *step = &plan->steps[index], *next = step + 1;
  if (index + 1 >= plan->step_count || !step->rows || !next->rows || step->out_count != 1 || step->more_in ||
      next->more_in || next->in_count < 1 || next->in[0] != step->out[0])
    return 0;
  const plan_buffer *b = &plan->buffers[step->out[0]];
  if (b->root != step->out[0] || b->place != PLACE_ARENA || b->layout != Q8_CHANNELS_LAST ||
      b->size != step->rows->images * step->rows->rows * step->rows->row_size ||
      step->rows->rows != next->rows->in_rows || step->rows->row_size != next->rows->in_row_size ||
      (step->rows->extent == 1 && next->rows->extent == 1))
    return 0;
  size_t readers = 0;
  for (size_t i = 0; i < plan->step_count; i++)
    for (int32_t j = 0; j < plan->steps[i].in_count; j++)
      readers += plan->buffers[q8_step_inputs(&plan->steps[i])[j]].root == step->out[0];
  return readers == 1;
}

/* Rows of the input that some rows of the result need at most. */
static size_t rows_read(const q8_step_rows *rows, size_t count) {
  size_t read = (count - 1) * rows->stride + rows->extent;
  return read < rows->in_rows ? read : rows->in_rows;
}

/* Sets where the bands of a task lie, for `rows` of the result; their bytes. */
static size_t set_rows(bands *b, size_t rows) {
  size_t at = 0, count = rows;
  b->rows = rows;
  for (int32_t i = b->count - 1; i >= 0; i--) {
    const q8_step_rows *r = b->stages[i].step->rows;
    b->stages[i].band = at;
    if (i < b->count - 1)
      at += q8_round_up(count * r->row_size + Q8_SLACK, Q8_ALIGN);
    b->stages[i].rows = count;
    count = rows_read(r, count);
  }
  b->scratch = at;
  return at;
}

/* A step that touches much of L2 leaves little of its result near for the next one. Bands take a part of L2, and no more
 * than the arena saves. Few rows (of int8; rows of floats take longer), a tile or two of pixels, weights that leave no room,
 * and rows that two tasks make, beyond a sixteenth of all, cost more than the cache saves. */
#define PART_OF_L2 4
#define MIN_ROWS 8
#define MIN_ROWS_OF_FLOATS 2
#define MIN_PIXELS 96
#define ROWS_PER_OVERLAP 16

static int overlaps_too_much(const bands *b, size_t tasks) {
  for (int32_t i = 1; i < b->count; i++) {
    const q8_step_rows *rows = b->stages[i].step->rows;
    size_t overlap = rows->extent > rows->stride ? rows->extent - rows->stride : 0;
    if ((tasks - 1) * overlap * ROWS_PER_OVERLAP > rows->images * rows->in_rows)
      return 1;
  }
  return 0;
}

/* As many rows as `size` bytes of bands hold, or as few as need no more bands; 0 if they are too few. */
static int fit_rows(bands *b, size_t size, size_t min_rows) {
  const q8_step_rows *last = b->stages[b->count - 1].step->rows;
  size_t rows = 0;
  while (rows < last->rows && set_rows(b, rows + 1) <= size)
    rows++;
  rows -= rows < last->rows ? rows % 2 : 0; /* depthwise kernels take pairs */
  if (rows > 0) {
    size_t count = (last->rows + rows - 1) / rows, even = q8_round_up((last->rows + count - 1) / count, 2);
    set_rows(b, even < rows ? even : rows);
  }
  return (rows >= min_rows || rows == last->rows) && rows * last->columns >= MIN_PIXELS;
}

/* Whether `count` steps from `first` on gain by running in bands; then *out says how. */
static int choose(const q8_planner *planner, size_t first, int32_t count, bands *out) {
  const q8_plan *plan = planner->plan;
  const size_t near = (planner->l2 ? planner->l2 : q8_cpu_l2_size()) / PART_OF_L2;
  size_t most = 0, weights = 0, ends = plan->buffers[plan->steps[first].in[0]].size;
  int32_t inputs = 1;
  *out = (bands){.count = count};
  for (int32_t i = 0; i < count; i++) {
    const q8_step *step = &plan->steps[first + (size_t)i];
    const size_t size = plan->buffers[step->out[0]].size, touched = plan->buffers[step->in[0]].size + size;
    out->stages[i] = (band_stage){.step = step, .extra = inputs};
    inputs += step->in_count - 1;
    weights += step->rows->weights;
    most = touched > most ? touched : most;
    ends += i + 1 == count ? size : 0;
  }
  const size_t tasks = q8_bands_tasks(out->stages[count - 1].step->rows, plan->threads);
  if (inputs > STEP_INPUTS || most < near + near / 2 || weights > near || most <= ends || overlaps_too_much(out, tasks))
    return 0;
  const size_t saved = (most - ends) / tasks;
  const int floats = plan->buffers[plan->steps[first].in[0]].form == Q8_FORM_NATIVE;
  return fit_rows(out, saved < near ? saved : near, floats ? MIN_ROWS_OF_FLOATS : MIN_ROWS);
}

/* ---- Merging them ---- */

#define JOINED_SIZE 512

/* The texts at `offset` of the parts, cut to JOINED_SIZE; NULL without memory. */
static const char *join(q8_planner *planner, const bands *b, size_t offset, const char *between) {
  char text[JOINED_SIZE];
  size_t used = 0;
  for (int32_t i = 0; i < b->count && used < sizeof text; i++) {
    const char *const *part = (const void *)((const char *)b->stages[i].step + offset);
    used += (size_t)snprintf(text + used, sizeof text - used, "%s%s", i ? between : "", *part);
  }
  return q8_plan_string(planner, text);
}

static void take_inputs(const bands *b, q8_step *out) {
  out->in_count = 0;
  for (int32_t i = 0; i < b->count; i++) {
    const q8_step *step = b->stages[i].step;
    for (int32_t j = i > 0; j < step->in_count; j++)
      out->in[out->in_count++] = step->in[j];
  }
}

/* What lies between has memory in a watched session alone: one behind the other. */
static void drop_between(q8_plan *plan, const bands *b) {
  size_t size = 0;
  for (int32_t i = 0; i + 1 < b->count; i++) {
    plan_buffer *buffer = &plan->buffers[b->stages[i].step->out[0]];
    buffer->place = PLACE_BAND;
    buffer->offset = size;
    size += q8_round_up(buffer->size + Q8_SLACK, Q8_ALIGN);
  }
  plan->band_size = size > plan->band_size ? size : plan->band_size;
}

/* What the merged step is called: the names of its parts. */
static q8_status describe(q8_planner *planner, const bands *b, q8_step *out) {
  size_t used = 0;
  for (int32_t i = 0; i < b->count && used < sizeof out->note; i++) {
    const char *note = b->stages[i].step->note;
    used += (size_t)snprintf(out->note + used, sizeof out->note - used, "%s%s", note, note[0] ? ", " : "");
  }
  if (used < sizeof out->note)
    snprintf(out->note + used, sizeof out->note - used, "%zu rows at a time", b->rows);
  out->name = join(planner, b, offsetof(q8_step, name), " + ");
  out->kind = join(planner, b, offsetof(q8_step, kind), "+");
  out->kernel = join(planner, b, offsetof(q8_step, kernel), "+");
  if (!out->name || !out->kind || !out->kernel)
    return QINT8_ERROR_MEMORY;
  return QINT8_OK;
}

static q8_status merge(q8_planner *planner, const bands *chosen, q8_step *out) {
  bands *b = q8_plan_alloc(planner, 1, sizeof *b);
  q8_step *parts = q8_plan_alloc(planner, (size_t)chosen->count, sizeof *parts);
  if (!b || !parts)
    return QINT8_ERROR_MEMORY;
  *b = *chosen;
  size_t scratch = 0, whole = 0;
  q8_step step = {.run = q8_bands_run, .params = b, .parts = parts, .part_count = b->count};
  step.precision = b->stages[0].step->precision;
  for (int32_t i = 0; i < b->count; i++) {
    band_stage *stage = &b->stages[i];
    parts[i] = *stage->step;
    stage->step = &parts[i];
    size_t size = parts[i].rows->scratch(parts[i].params, stage->rows);
    scratch = size > scratch ? size : scratch;
    whole = parts[i].scratch_size > whole ? parts[i].scratch_size : whole;
    step.macs += parts[i].macs;
    step.bytes += parts[i].bytes - (i ? 2 * (int64_t)planner->plan->buffers[parts[i].in[0]].size : 0);
  }
  const q8_step *last = &parts[b->count - 1];
  b->task_size = q8_round_up(b->scratch + scratch, Q8_ALIGN);
  scratch = b->task_size * q8_bands_tasks(last->rows, planner->plan->threads);
  step.scratch_size = scratch > whole ? scratch : whole; /* in a watched session they run as a whole */
  step.tensor = last->tensor;
  step.out[0] = last->out[0];
  step.out_count = 1;
  take_inputs(b, &step);
  drop_between(planner->plan, b);
  Q8_TRY(describe(planner, b, &step));
  *out = step;
  return QINT8_OK;
}

/* The longest chain from step `first` on that gains; 0: none. */
static int32_t find_chain(const q8_planner *planner, size_t first, bands *out) {
  int32_t count = 1;
  while (count < Q8_STAGES && feeds_next(planner->plan, first + (size_t)count - 1))
    count++;
  for (; count > 1; count--)
    if (choose(planner, first, count, out))
      return count;
  return 0;
}

q8_status q8_plan_bands(q8_planner *planner) {
  q8_plan *plan = planner->plan;
  size_t to = 0;
  if (planner->plain)
    return QINT8_OK;
  for (size_t i = 0; i < plan->step_count; to++) {
    bands chosen;
    int32_t count = find_chain(planner, i, &chosen);
    q8_step step = plan->steps[i];
    if (count)
      Q8_TRY(merge(planner, &chosen, &step));
    plan->steps[to] = step;
    i += count ? (size_t)count : 1;
  }
  plan->step_count = to;
  return QINT8_OK;
}
