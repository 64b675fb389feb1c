/* session.c - the only mutable thing at run time: an arena, and where each buffer lies in it. */
#define _POSIX_C_SOURCE 200809L
#include <string.h>
#include <time.h>

#include "base/fpenv.h"
#include "base/parallel.h"
#include "exec/plan_internal.h"

struct q8_session {
  const q8_plan *plan;
  q8_host host;
  uint8_t *arena;
  int owns_arena;
  void **address;         /* [buffer_count]; of inputs and outputs set by each run */
  q8_buffer *user_buffers; /* those among them */
  size_t user_count;
  const void **in;        /* scratch for one step's pointers */
  void **out;
  q8_watch_fn watch;
  void *watch_user;
  int watch_any_order;
  q8_layout watch_layout; /* of the values being shown */
  q8_replace_fn replace;
  void *replace_user;
  float *watch_values, *watch_ordered; /* [max_watch_count] each */
  uint8_t *bands;                      /* while watched: the buffers that steps in bands do without */
  double *microseconds;                /* [step_count] when timing */
};

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
  q8_session *session = q8_calloc(host, 1, sizeof *session);
  if (!session)
    return q8_fail_memory(error, "session", sizeof *session);
  session->plan = plan;
  session->host = *host;
  if (session->host.threads > plan->threads)
    session->host.threads = plan->threads;
  session->owns_arena = arena == NULL;
  session->arena = arena ? arena : q8_alloc(host, plan->arena_size, 1);
  session->address = q8_calloc(host, plan->buffer_count + 1, sizeof *session->address);
  session->user_buffers = q8_calloc(host, plan->buffer_count + 1, sizeof *session->user_buffers);
  session->in = q8_calloc(host, (size_t)most_inputs(plan), sizeof *session->in);
  session->out = q8_calloc(host, (size_t)most_outputs(plan), sizeof *session->out);
  if (!session->arena || !session->address || !session->user_buffers || !session->in || !session->out) {
    q8_session_close(session);
    return q8_fail_memory(error, "session", plan->arena_size);
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
  if (!session)
    return;
  q8_host host = session->host;
  if (session->owns_arena)
    q8_free(&host, session->arena);
  q8_free(&host, session->address);
  q8_free(&host, session->user_buffers);
  q8_free(&host, session->in);
  q8_free(&host, session->out);
  q8_free(&host, session->watch_values);
  q8_free(&host, session->watch_ordered);
  q8_free(&host, session->bands);
  q8_free(&host, session->microseconds);
  q8_free(&host, session);
}

static double now_us(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (double)t.tv_sec * 1e6 + (double)t.tv_nsec * 1e-3;
}

/* Rows apart of a buffer, quantized or not, as floats one behind the other; or back. */
static void move_rows(const q8_session *session, const plan_buffer *b, void *rows, float *values, int back) {
  const q8_plan *plan = session->plan;
  const float scale = plan->tensor_scale[b->tensor];
  const int32_t zero = plan->tensor_zero[b->tensor];
  uint8_t *row = rows;
  const size_t count = b->form == Q8_FORM_INT8 ? b->row : b->row / sizeof(float);
  for (size_t done = 0; b->row && done < b->size; done += b->row, row += b->stride, values += count)
    if (b->form != Q8_FORM_INT8)
      memcpy(back ? (void *)row : values, back ? values : (void *)row, b->row);
    else if (back)
      plan->kernels.quantize(count, values, scale, zero, 0, row);
    else
      plan->kernels.dequantize(count, row, scale, zero, 0, values);
}

/* What `buffer` holds as f32: dequantized and, unless any order will do, in the ONNX layout. NULL for integers that are
 * no quantized values: shape arithmetic. */
static const float *read_values(q8_session *session, q8_buffer buffer, int any_order) {
  const q8_plan *plan = session->plan;
  const plan_buffer *b = &plan->buffers[buffer];
  const q8_shape *shape = &plan->tensor_shapes[b->tensor];
  size_t count = q8_shape_count(shape, NULL);
  const float *values = session->address[buffer];
  session->watch_layout = Q8_LINEAR;
  if (b->form != Q8_FORM_INT8 && b->size != count * sizeof(float))
    return NULL;
  if (b->is_slice) {
    move_rows(session, b, session->address[buffer], session->watch_values, 0);
    values = session->watch_values;
  } else if (b->form == Q8_FORM_INT8) {
    plan->kernels.dequantize(count, session->address[buffer], plan->tensor_scale[b->tensor],
                             plan->tensor_zero[b->tensor], 0, session->watch_values);
    values = session->watch_values;
  }
  if (b->layout != Q8_CHANNELS_LAST || q8_layouts_agree(shape))
    return values;
  if (any_order) {
    session->watch_layout = Q8_CHANNELS_LAST;
    return values;
  }
  size_t channels = (size_t)shape->dim[1], image = count / (size_t)shape->dim[0], positions = image / channels;
  for (int64_t n = 0; n < shape->dim[0]; n++)
    plan->kernels.transpose32(positions, channels, values + (size_t)n * image, channels,
                              session->watch_ordered + (size_t)n * image, positions);
  return session->watch_ordered;
}

static void show(q8_session *session, q8_buffer buffer) {
  const q8_plan *plan = session->plan;
  q8_id tensor = plan->buffers[buffer].tensor;
  const q8_shape *shape = &plan->tensor_shapes[tensor];
  const float *values = read_values(session, buffer, session->watch_any_order);
  if (values)
    session->watch(session->watch_user, tensor, plan->tensor_names[tensor], shape, values, q8_shape_count(shape, NULL));
}

/* Lets the caller put other values in the place of what `buffer` holds. */
static void offer(q8_session *session, q8_buffer buffer) {
  const q8_plan *plan = session->plan;
  const plan_buffer *b = &plan->buffers[buffer];
  const q8_shape *shape = &plan->tensor_shapes[b->tensor];
  size_t count = q8_shape_count(shape, NULL);
  float *values = (float *)(uintptr_t)read_values(session, buffer, 0), *to = values;
  if (!values || !session->replace(session->replace_user, b->tensor, plan->tensor_names[b->tensor], shape, values, count))
    return;
  if (values == session->watch_ordered) {
    size_t channels = (size_t)shape->dim[1], image = count / (size_t)shape->dim[0], positions = image / channels;
    to = b->form == Q8_FORM_INT8 || b->is_slice ? session->watch_values : session->address[buffer];
    for (int64_t n = 0; n < shape->dim[0]; n++)
      plan->kernels.transpose32(channels, positions, values + (size_t)n * image, positions, to + (size_t)n * image,
                                channels);
  }
  if (b->is_slice)
    move_rows(session, b, session->address[buffer], to, 1);
  else if (b->form == Q8_FORM_INT8)
    plan->kernels.quantize(count, to, plan->tensor_scale[b->tensor], plan->tensor_zero[b->tensor], 0,
                           session->address[buffer]);
}

static void bind_user_memory(q8_session *session, const void *const *inputs, void *const *outputs) {
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

/* A step, or a part of one. */
static q8_status run_step(q8_session *session, size_t index, const q8_step *step, qint8_error *error) {
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
                     .host = &session->host,
                     .error = error,
                     .status = &status};
  double start = session->microseconds ? now_us() : 0;
  step->run(&run);
  if (session->microseconds)
    session->microseconds[index] += now_us() - start;
  return status;
}

static void show_results(q8_session *session, const q8_step *step) {
  for (int32_t j = 0; step->tensor != Q8_NONE && j < step->out_count; j++) {
    if (session->watch)
      show(session, q8_step_outputs(step)[j]);
    if (session->replace)
      offer(session, q8_step_outputs(step)[j]);
  }
}

/* In a watched session the parts of a step run one after the other, so that the results of all of them exist. */
static q8_status run_and_show(q8_session *session, size_t index, qint8_error *error) {
  const q8_step *step = &session->plan->steps[index];
  for (int32_t i = 0; i < step->part_count; i++) {
    Q8_TRY(run_step(session, index, &step->parts[i], error));
    show_results(session, &step->parts[i]);
  }
  if (step->part_count == 0) {
    Q8_TRY(run_step(session, index, step, error));
    show_results(session, step);
  }
  return QINT8_OK;
}

q8_status q8_session_execute(q8_session *session, const void *const *inputs, void *const *outputs,
                             qint8_error *error) {
  const q8_plan *plan = session->plan;
  q8_fpenv old = q8_fpenv_enter();
  bind_user_memory(session, inputs, outputs);
  if (session->watch)
    for (size_t i = 0; i < plan->buffer_count; i++)
      if (plan->buffers[i].root == (q8_buffer)i && plan->buffers[i].place == PLACE_INPUT)
        show(session, (q8_buffer)i);
  q8_status status = QINT8_OK;
  for (size_t i = 0; i < plan->step_count && status == QINT8_OK; i++) {
    if (session->microseconds)
      session->microseconds[i] = 0;
    if (session->watch || session->replace)
      status = run_and_show(session, i, error);
    else
      status = run_step(session, i, &plan->steps[i], error);
  }
  q8_fpenv_leave(old);
  return status;
}

/* ---- Running in parts ---- */

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
    show(session, (q8_buffer)i);
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
    Q8_TRY(run_step(session, *step, now, error));
    for (int32_t j = 0; j < now->out_count; j++)
      shown += show_wanted(session, plan->buffers[q8_step_outputs(now)[j]].root, peek, first);
  }
  return QINT8_OK;
}

q8_status q8_session_peek_from(q8_session *session, const void *const *inputs, void *const *outputs,
                               const q8_peek *peek, size_t *step, qint8_error *error) {
  Q8_TRY(q8_session_watch(session, peek->show, peek->user, 0, error));
  q8_fpenv old = q8_fpenv_enter();
  bind_user_memory(session, inputs, outputs);
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

static q8_status need_watch_memory(q8_session *session, qint8_error *error) {
  size_t count = session->plan->max_watch_count;
  if (!session->watch_values) {
    session->watch_values = q8_alloc(&session->host, count + 1, sizeof(float));
    session->watch_ordered = q8_alloc(&session->host, count + 1, sizeof(float));
    session->bands = q8_alloc(&session->host, session->plan->band_size + 1, 1);
  }
  if (!session->watch_values || !session->watch_ordered || !session->bands)
    return q8_fail_memory(error, "session", count * sizeof(float));
  for (size_t i = 0; i < session->plan->buffer_count; i++)
    if (session->plan->buffers[i].place == PLACE_BAND)
      session->address[i] = session->bands + session->plan->buffers[i].offset;
  return QINT8_OK;
}

q8_status q8_session_watch(q8_session *session, q8_watch_fn watch, void *user, int any_order, qint8_error *error) {
  session->watch = NULL;
  if (!watch)
    return QINT8_OK;
  Q8_TRY(need_watch_memory(session, error));
  session->watch = watch;
  session->watch_user = user;
  session->watch_any_order = any_order;
  return QINT8_OK;
}

q8_layout q8_session_watch_layout(const q8_session *session) {
  return session->watch_layout;
}

q8_status q8_session_replace(q8_session *session, q8_replace_fn replace, void *user, qint8_error *error) {
  session->replace = NULL;
  if (!replace)
    return QINT8_OK;
  Q8_TRY(need_watch_memory(session, error));
  session->replace = replace;
  session->replace_user = user;
  return QINT8_OK;
}

q8_status q8_session_time_steps(q8_session *session, int enable, qint8_error *error) {
  q8_free(&session->host, session->microseconds);
  session->microseconds = NULL;
  if (!enable)
    return QINT8_OK;
  session->microseconds = q8_calloc(&session->host, session->plan->step_count + 1, sizeof *session->microseconds);
  if (!session->microseconds)
    return q8_fail_memory(error, "session", session->plan->step_count * sizeof *session->microseconds);
  return QINT8_OK;
}

double q8_session_step_us(const q8_session *session, size_t index) {
  return session->microseconds ? session->microseconds[index] : 0.0;
}

const q8_plan *q8_session_plan(const q8_session *session) {
  return session->plan;
}
