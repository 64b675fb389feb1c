/* arena.c - which bytes of the arena each buffer gets: first fit by size, largest first, over lifetimes. */
#include <stdlib.h>
#include <string.h>

#include "exec/plan_internal.h"

static void touch(q8_plan *plan, q8_buffer *buffer, int32_t step) {
  q8_buffer root = plan->buffers[*buffer].root;
  plan_buffer *b = &plan->buffers[root];
  if (!plan->buffers[*buffer].is_slice)
    *buffer = root;
  if (b->first < 0)
    b->first = step;
  b->last = step;
}

static q8_status find_lifetimes(q8_planner *planner, qint8_error *error) {
  q8_plan *plan = planner->plan;
  plan->scratch = q8_plan_alloc(planner, plan->step_count + 1, sizeof *plan->scratch);
  if (!plan->scratch)
    return q8_fail_memory(error, "plan", plan->step_count * sizeof *plan->scratch);
  for (size_t i = 0; i < plan->step_count; i++) {
    q8_step *step = &plan->steps[i];
    q8_buffer *in = step->more_in ? step->more_in : step->in, *out = step->more_out ? step->more_out : step->out;
    for (int32_t j = 0; j < step->in_count; j++)
      touch(plan, &in[j], (int32_t)i);
    for (int32_t j = 0; j < step->out_count; j++)
      touch(plan, &out[j], (int32_t)i);
    plan->scratch[i] = Q8_NONE;
    if (step->scratch_size) {
      Q8_TRY(q8_buffer_new(planner, step->scratch_size, Q8_NONE, Q8_FORM_NATIVE, Q8_LINEAR, &plan->scratch[i], error));
      touch(plan, &plan->scratch[i], (int32_t)i);
    }
  }
  return QINT8_OK;
}

/* Gives the output of an in-place step the memory of its input, where both lie in the arena, the step is the input's
 * last reader and reads it once, and the output begins there. */
static void share_memory(q8_plan *plan, int32_t index) {
  const q8_step *step = &plan->steps[index];
  const q8_buffer *in = q8_step_inputs(step);
  q8_buffer from = plan->buffers[in[step->in_place - 1]].root, to = step->out[0];
  plan_buffer *a = &plan->buffers[from], *b = &plan->buffers[to];
  int32_t readers = 0;
  for (int32_t j = 0; j < step->in_count; j++)
    readers += plan->buffers[in[j]].root == from;
  if (a->place != PLACE_ARENA || b->place != PLACE_ARENA || b->root != to || from == to || readers != 1 ||
      b->size > a->size || a->last != index || b->first != index)
    return;
  a->last = b->last;
  for (size_t i = 0; i < plan->buffer_count; i++)
    if (plan->buffers[i].root == to)
      plan->buffers[i].root = from;
}

typedef struct slot {
  size_t size;
  q8_buffer buffer;
} slot;

static int larger_first(const void *a, const void *b) {
  const slot *x = a, *y = b;
  if (x->size != y->size)
    return x->size < y->size ? 1 : -1;
  return x->buffer < y->buffer ? -1 : x->buffer > y->buffer;
}

/* The lowest offset at which `b` fits beside the `placed` buffers that live at the same time. Placed ones are few
 * hundred, so the repeated scan is cheap. */
static size_t first_fit(const q8_plan *plan, const slot *placed, size_t count, const plan_buffer *b, size_t size) {
  size_t offset = 0;
  for (size_t i = 0; i < count;) {
    const plan_buffer *other = &plan->buffers[placed[i].buffer];
    int together = other->first <= b->last && b->first <= other->last;
    if (together && offset < other->offset + placed[i].size && other->offset < offset + size) {
      offset = other->offset + placed[i].size;
      i = 0;
    } else {
      i++;
    }
  }
  return offset;
}

q8_status q8_plan_arena(q8_planner *planner, qint8_error *error) {
  q8_plan *plan = planner->plan;
  Q8_TRY(find_lifetimes(planner, error));
  for (size_t i = 0; i < plan->step_count && !planner->plain; i++)
    if (plan->steps[i].in_place)
      share_memory(plan, (int32_t)i);
  slot *slots = q8_alloc(&planner->host, plan->buffer_count + 1, sizeof *slots);
  if (!slots)
    return q8_fail_memory(error, "plan", plan->buffer_count * sizeof *slots);
  size_t count = 0;
  for (size_t i = 0; i < plan->buffer_count; i++) {
    const plan_buffer *b = &plan->buffers[i];
    if (b->root == (q8_buffer)i && b->place == PLACE_ARENA && b->first >= 0)
      slots[count++] = (slot){q8_round_up(b->size + Q8_SLACK, Q8_ALIGN), (q8_buffer)i};
  }
  qsort(slots, count, sizeof *slots, larger_first);
  for (size_t i = 0; i < count; i++) {
    plan_buffer *b = &plan->buffers[slots[i].buffer];
    b->offset = first_fit(plan, slots, i, b, slots[i].size);
    if (b->offset + slots[i].size > plan->arena_size)
      plan->arena_size = b->offset + slots[i].size;
  }
  q8_free(&planner->host, slots);
  return QINT8_OK;
}
