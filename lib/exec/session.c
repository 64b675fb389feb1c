/* session.c - the only mutable thing at run time: an arena, and where each buffer lies in it. */
#define _POSIX_C_SOURCE 200809L
#include <time.h>

#include "base/fpenv.h"
#include "base/parallel.h"
#include "exec/session_internal.h"

static int32_t most_inputs(const q8_plan *plan) {
  int32_t most = 1;
  for (size_t i = 0; i < plan->step_count; i++)
    if (plan->steps[i].in_count > most)
      most = plan->steps[i].in_count;
  return most;
}

static int32_t most_outputs(const q8_plan *plan) {
  int32_t most = Q8_STEP_OUTPUTS;
  for (size_t i = 0; i < plan->step_count; i++)
    if (plan->steps[i].out_count > most)
      most = plan->steps[i].out_count;
  return most;
}

q8_status q8_session_open(const q8_plan *plan, void *arena, size_t arena_size, const q8_host *host, q8_session **out,
                          qint8_error *error) {
  *out = NULL;
  if (arena && (arena_size < plan->arena_size || (uintptr_t)arena % Q8_ALIGN))
    return q8_fail(error, QINT8_ERROR_ARGUMENT, "arena",
                   "the plan needs %zu bytes aligned to %d; got %zu bytes at %p", plan->arena_size, Q8_ALIGN, arena_size,
                   arena);
  q8_session *session = q8_new(host, sizeof *session, "session", error);
  if (!session)
    return QINT8_ERROR_MEMORY;
  q8_pool *pool = &session->pool;
  session->plan = plan;
  if (pool->host.threads > plan->threads)
    pool->host.threads = plan->threads;
  session->address = q8_pool_alloc(pool, plan->buffer_count, sizeof *session->address);
  session->user_buffers = q8_pool_alloc(pool, plan->buffer_count, sizeof *session->user_buffers);
  session->in = q8_pool_alloc(pool, (size_t)most_inputs(plan), sizeof *session->in);
  session->out = q8_pool_alloc(pool, (size_t)most_outputs(plan), sizeof *session->out);
  session->arena = arena ? arena : q8_pool_reserve(pool, plan->arena_size, 1);
  q8_status status = q8_pool_check(pool, "session", error);
  if (status != QINT8_OK) {
    q8_session_close(session);
    return status;
  }
  for (size_t i = 0; i < plan->buffer_count; i++) {
    const plan_buffer *b = &plan->buffers[plan->buffers[i].root];
    if (b->place == PLACE_ARENA)
      session->address[i] = session->arena + b->offset + plan->buffers[i].slice;
    else if (b->place == PLACE_CONSTANT)
      session->address[i] = (void *)(uintptr_t)b->constant;
    else if (b->place != PLACE_BAND)
      session->user_buffers[session->user_count++] = (q8_buffer)i;
  }
  *out = session;
  return QINT8_OK;
}

void q8_session_close(q8_session *session) {
  q8_pool_delete(session);
}

static double now_us(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (double)t.tv_sec * 1e6 + (double)t.tv_nsec * 1e-3;
}

void q8_session_bind(q8_session *session, const void *const *inputs, void *const *outputs) {
  const q8_plan *plan = session->plan;
  for (size_t u = 0; u < session->user_count; u++) {
    q8_buffer i = session->user_buffers[u];
    const plan_buffer *b = &plan->buffers[plan->buffers[i].root];
    if (b->place == PLACE_INPUT)
      session->address[i] = (void *)(uintptr_t)inputs[b->index];
    else if (b->place == PLACE_OUTPUT)
      session->address[i] = outputs[b->index];
  }
}

q8_status q8_session_run_step(q8_session *session, size_t index, const q8_step *step, qint8_error *error) {
  const q8_buffer scratch = session->plan->scratch[index];
  const q8_buffer *in = q8_step_inputs(step);
  for (int32_t j = 0; j < step->in_count; j++)
    session->in[j] = session->address[in[j]];
  for (int32_t j = 0; j < step->out_count; j++)
    session->out[j] = session->address[q8_step_outputs(step)[j]];
  for (int32_t j = step->out_count; j < Q8_STEP_OUTPUTS; j++)
    session->out[j] = NULL;
  q8_status status = QINT8_OK;
  q8_step_run run = {.params = step->params,
                     .in = session->in,
                     .out = session->out,
                     .scratch = scratch == Q8_NONE ? NULL : session->address[scratch],
                     .host = &session->pool.host,
                     .error = error,
                     .status = &status};
  double start = session->is_timed ? now_us() : 0;
  step->run(&run);
  if (session->is_timed)
    session->microseconds[index] += now_us() - start;
  return status;
}

/* In a watched session the parts of a step run one after the other, so that the results of all of them exist. */
static q8_status run_and_show(q8_session *session, size_t index, qint8_error *error) {
  const q8_step *step = &session->plan->steps[index];
  for (int32_t i = 0; i < step->part_count; i++) {
    Q8_TRY(q8_session_run_step(session, index, &step->parts[i], error));
    q8_session_show_results(session, &step->parts[i]);
  }
  if (step->part_count == 0) {
    Q8_TRY(q8_session_run_step(session, index, step, error));
    q8_session_show_results(session, step);
  }
  return QINT8_OK;
}

q8_status q8_session_execute(q8_session *session, const void *const *inputs, void *const *outputs,
                             qint8_error *error) {
  const q8_plan *plan = session->plan;
  q8_fpenv old = q8_fpenv_enter();
  q8_session_bind(session, inputs, outputs);
  if (session->watch)
    for (size_t i = 0; i < plan->buffer_count; i++)
      if (plan->buffers[i].root == (q8_buffer)i && plan->buffers[i].place == PLACE_INPUT)
        q8_session_show(session, (q8_buffer)i);
  q8_status status = QINT8_OK;
  for (size_t i = 0; i < plan->step_count && status == QINT8_OK; i++) {
    if (session->is_timed)
      session->microseconds[i] = 0;
    if (session->watch || session->replace)
      status = run_and_show(session, i, error);
    else
      status = q8_session_run_step(session, i, &plan->steps[i], error);
  }
  q8_fpenv_leave(old);
  return status;
}

q8_status q8_session_time_steps(q8_session *session, int enable, qint8_error *error) {
  session->is_timed = 0;
  if (!session->microseconds)
    session->microseconds = q8_pool_alloc(&session->pool, session->plan->step_count, sizeof *session->microseconds);
  Q8_TRY(q8_pool_check(&session->pool, "session", error));
  session->is_timed = enable;
  return QINT8_OK;
}

double q8_session_step_us(const q8_session *session, size_t index) {
  return session->is_timed ? session->microseconds[index] : 0.0;
}

const q8_plan *q8_session_plan(const q8_session *session) {
  return session->plan;
}
