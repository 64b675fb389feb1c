/* session_peek.c - a run in parts, for those who look at few tensors: as far as they are, and on from there. */
#include <string.h>

#include "base/fpenv.h"
#include "exec/session_internal.h"

/* Whether steps before `step` wrote the root buffer and a step from it on reads it. */
static int is_live(const plan_buffer *b, size_t step) {
  return (b->place == PLACE_ARENA || b->place == PLACE_OUTPUT) && b->first >= 0 && (size_t)b->first < step &&
         (size_t)b->last >= step;
}

/* Not a copy in another layout: those come later. Nor is one that still lives if the first does not. */
static int is_first_form(const q8_plan *plan, size_t buffer, size_t step) {
  const plan_buffer *b = &plan->buffers[buffer];
  for (size_t i = 0; i < buffer; i++) {
    const plan_buffer *other = &plan->buffers[i], *root = &plan->buffers[other->root];
    int is_over = root->place != PLACE_INPUT && (root->last < 0 || (size_t)root->last < step);
    if (other->tensor == b->tensor && other->form == b->form && !is_over)
      return 0;
  }
  return 1;
}

/* Shows the wanted tensors that lie in the memory of `root`, views of it included; how many there were. Each is shown
 * once in a run from `step` on. */
static size_t show_wanted(q8_session *session, q8_buffer root, const q8_peek *peek, size_t step) {
  const q8_plan *plan = session->plan;
  size_t shown = 0;
  for (size_t i = 0; i < plan->buffer_count; i++) {
    const plan_buffer *b = &plan->buffers[i];
    if (b->root != root || b->tensor == Q8_NONE || !peek->wanted[b->tensor] || b->form != (uint8_t)peek->form ||
        !is_first_form(plan, i, step))
      continue;
    q8_session_show(session, (q8_buffer)i);
    shown++;
  }
  return shown;
}

static q8_status run_and_peek(q8_session *session, const q8_peek *peek, size_t *step, qint8_error *error) {
  const q8_plan *plan = session->plan;
  size_t shown = 0, first = *step;
  for (size_t i = 0; i < plan->buffer_count; i++) {
    const plan_buffer *b = &plan->buffers[i];
    if (b->root == (q8_buffer)i && (b->place == PLACE_INPUT || is_live(b, first)))
      shown += show_wanted(session, (q8_buffer)i, peek, first);
  }
  for (; *step < plan->step_count && shown < peek->count; ++*step) {
    const q8_step *now = &plan->steps[*step];
    Q8_TRY(q8_session_run_step(session, *step, now, error));
    for (int32_t j = 0; j < now->out_count; j++)
      shown += show_wanted(session, plan->buffers[q8_step_outputs(now)[j]].root, peek, first);
  }
  return QINT8_OK;
}

q8_status q8_session_peek_from(q8_session *session, const void *const *inputs, void *const *outputs,
                               const q8_peek *peek, size_t *step, qint8_error *error) {
  Q8_TRY(q8_session_watch(session, peek->show, peek->user, 0, error));
  q8_fpenv old = q8_fpenv_enter();
  q8_session_bind(session, inputs, outputs);
  q8_status status = run_and_peek(session, peek, step, error);
  q8_fpenv_leave(old);
  session->watch = NULL;
  return status;
}

q8_status q8_session_peek(q8_session *session, const void *const *inputs, void *const *outputs, const q8_peek *peek,
                          qint8_error *error) {
  size_t step = 0;
  return q8_session_peek_from(session, inputs, outputs, peek, &step, error);
}

size_t q8_session_live_size(const q8_session *session, size_t step) {
  const q8_plan *plan = session->plan;
  size_t size = 0;
  for (size_t i = 0; i < plan->buffer_count; i++)
    if (plan->buffers[i].root == (q8_buffer)i && is_live(&plan->buffers[i], step))
      size += plan->buffers[i].size;
  return size;
}

/* To memory from the session, or back. */
static void copy_live(const q8_session *session, size_t step, void *const *outputs, uint8_t *memory, int back) {
  const q8_plan *plan = session->plan;
  for (size_t i = 0; i < plan->buffer_count; i++) {
    const plan_buffer *b = &plan->buffers[i];
    if (b->root != (q8_buffer)i || !is_live(b, step))
      continue;
    uint8_t *values = b->place == PLACE_OUTPUT ? outputs[b->index] : session->arena + b->offset;
    memcpy(back ? values : memory, back ? memory : values, b->size);
    memory += b->size;
  }
}

void q8_session_save(q8_session *session, size_t step, void *const *outputs, void *to) {
  copy_live(session, step, outputs, to, 0);
}

void q8_session_restore(q8_session *session, size_t step, void *const *outputs, const void *from) {
  copy_live(session, step, outputs, (uint8_t *)(uintptr_t)from, 1);
}
