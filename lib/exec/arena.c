/* arena.c - which bytes of the arena each buffer gets: first fit over lifetimes, in the best of a few orders. */
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

static q8_status find_lifetimes(q8_planner *planner) {
  q8_plan *plan = planner->plan;
  plan->scratch = q8_plan_alloc(planner, plan->step_count + 1, sizeof *plan->scratch);
  if (!plan->scratch)
    return QINT8_ERROR_MEMORY;
  for (size_t i = 0; i < plan->step_count; i++) {
    q8_step *step = &plan->steps[i];
    q8_buffer *in = step->more_in ? step->more_in : step->in, *out = step->more_out ? step->more_out : step->out;
    for (int32_t j = 0; j < step->in_count; j++)
      touch(plan, &in[j], (int32_t)i);
    for (int32_t j = 0; j < step->out_count; j++)
      touch(plan, &out[j], (int32_t)i);
    plan->scratch[i] = Q8_NONE;
    if (step->scratch_size) {
      Q8_TRY(q8_buffer_new(planner, step->scratch_size, Q8_NONE, Q8_FORM_NATIVE, Q8_LINEAR, &plan->scratch[i]));
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

/* A buffer of the arena. */
typedef struct slot {
  size_t size, offset;
  int32_t first, last;
  q8_buffer buffer;
} slot;

static int larger_first(const void *a, const void *b) {
  const slot *x = a, *y = b;
  if (x->size != y->size)
    return x->size < y->size ? 1 : -1;
  return x->buffer < y->buffer ? -1 : x->buffer > y->buffer;
}

/* By bytes times steps. */
static int more_first(const void *a, const void *b) {
  const slot *x = a, *y = b;
  double more_x = (double)x->size * (x->last - x->first + 1), more_y = (double)y->size * (y->last - y->first + 1);
  return more_x != more_y ? (more_x < more_y ? 1 : -1) : larger_first(a, b);
}

static size_t list_slots(const q8_plan *plan, slot *slots) {
  size_t count = 0;
  for (size_t i = 0; i < plan->buffer_count; i++) {
    const plan_buffer *b = &plan->buffers[i];
    if (b->root == (q8_buffer)i && b->place == PLACE_ARENA && b->first >= 0)
      slots[count++] = (slot){.size = q8_round_up(b->size + Q8_SLACK, Q8_ALIGN), .first = b->first, .last = b->last,
                              .buffer = (q8_buffer)i};
  }
  return count;
}

/* What lives at the same time at most: no arena is smaller. */
static q8_status find_least(const q8_planner *planner, const slot *slots, size_t count, size_t *least) {
  const size_t steps = planner->plan->step_count;
  size_t *change = q8_calloc(&planner->host, steps + 1, sizeof *change), alive = 0;
  if (!change)
    return q8_fail_memory(planner->error, "plan", steps * sizeof *change);
  for (size_t i = 0; i < count; i++) {
    change[slots[i].first] += slots[i].size;
    change[slots[i].last + 1] -= slots[i].size;
  }
  for (size_t i = 0; i < steps; i++) {
    alive += change[i];
    *least = alive > *least ? alive : *least;
  }
  q8_free(&planner->host, change);
  return QINT8_OK;
}

/* Gives `s` the lowest offset at which it fits beside those of the `placed`, lowest first, that live at the same time, and
 * adds it to them. */
static void first_fit(slot *s, slot *placed, size_t count) {
  size_t at = count;
  s->offset = 0;
  for (size_t i = 0; i < count; i++) {
    if (placed[i].first > s->last || s->first > placed[i].last)
      continue;
    if (placed[i].offset >= s->offset + s->size)
      break;
    if (placed[i].offset + placed[i].size > s->offset)
      s->offset = placed[i].offset + placed[i].size;
  }
  while (at > 0 && placed[at - 1].offset > s->offset)
    at--;
  memmove(placed + at + 1, placed + at, (count - at) * sizeof *placed);
  placed[at] = *s;
}

/* Places the slots in their order, as long as they need less than `limit`; what they need, and in *top which of them ends
 * there. */
static size_t place(slot *slots, slot *placed, size_t count, size_t limit, size_t *top) {
  size_t size = 0;
  for (size_t i = 0; i < count && size < limit; i++) {
    first_fit(&slots[i], placed, i);
    if (slots[i].offset + slots[i].size > size) {
      size = slots[i].offset + slots[i].size;
      *top = i;
    }
  }
  return size;
}

/* Buffers that come early may leave no gap for one that lives with several of them: the one that ends highest comes first
 * in the next attempt, until there is nothing to gain. */
#define ATTEMPTS 8

static size_t place_well(q8_plan *plan, slot *slots, slot *placed, size_t count, size_t least) {
  size_t best = SIZE_MAX, top = 0;
  for (int i = 0; i < 2 * ATTEMPTS && best > least; i++) {
    if (i % ATTEMPTS == 0)
      qsort(slots, count, sizeof *slots, i ? more_first : larger_first);
    size_t size = place(slots, placed, count, best, &top);
    for (size_t j = 0; j < count && size < best; j++)
      plan->buffers[slots[j].buffer].offset = slots[j].offset;
    best = size < best ? size : best;
    slot highest = slots[top];
    memmove(slots + 1, slots, top * sizeof *slots);
    slots[0] = highest;
  }
  return best;
}

q8_status q8_plan_arena(q8_planner *planner) {
  q8_plan *plan = planner->plan;
  Q8_TRY(find_lifetimes(planner));
  for (size_t i = 0; i < plan->step_count && !planner->plain; i++)
    if (plan->steps[i].in_place)
      share_memory(plan, (int32_t)i);
  slot *slots = q8_alloc(&planner->host, 2 * plan->buffer_count + 1, sizeof *slots);
  if (!slots)
    return q8_fail_memory(planner->error, "plan", 2 * plan->buffer_count * sizeof *slots);
  size_t count = list_slots(plan, slots), least = 0;
  q8_status status = find_least(planner, slots, count, &least);
  if (status == QINT8_OK && count)
    plan->arena_size = place_well(plan, slots, slots + count, count, least);
  q8_free(&planner->host, slots);
  return status;
}
