#include <string.h>

#include "api/api.h"

struct qint8_session {
  q8_pool pool;
  q8_session *session;
  const void **inputs; /* pointers of one run */
  void **outputs;
  qint8_watch_fn watch;
  void *watch_user;
  qint8_replace_fn replace;
  void *replace_user;
};

static q8_status open_session(qint8_session *session, const qint8_plan *plan, void *arena, size_t arena_size,
                              qint8_error *error) {
  const q8_plan *inner = q8_api_plan(plan);
  session->inputs = q8_pool_alloc(&session->pool, q8_plan_input_count(inner), sizeof *session->inputs);
  session->outputs = q8_pool_alloc(&session->pool, q8_plan_output_count(inner), sizeof *session->outputs);
  Q8_TRY(q8_pool_check(&session->pool, "session", error));
  return q8_session_open(inner, arena, arena_size, &session->pool.host, &session->session, error);
}

qint8_status qint8_session_create(const qint8_plan *plan, void *arena, size_t arena_size, const qint8_host *host,
                                  qint8_session **out, qint8_error *error) {
  Q8_REQUIRE(error, out);
  *out = NULL;
  Q8_REQUIRE(error, plan);
  q8_status status;
  qint8_session *session = q8_api_new(host, sizeof *session, "session", &status, error);
  if (!session)
    return status;
  status = open_session(session, plan, arena, arena_size, error);
  if (status != QINT8_OK) {
    qint8_session_destroy(session);
    return status;
  }
  *out = session;
  return QINT8_OK;
}

void qint8_session_destroy(qint8_session *session) {
  if (!session)
    return;
  q8_session_close(session->session);
  q8_pool_delete(session);
}

static q8_status check_io(qint8_session *session, const qint8_tensor *const *inputs, size_t input_count,
                          const qint8_tensor *const *outputs, size_t output_count, qint8_error *error) {
  const q8_plan *plan = q8_session_plan(session->session);
  if (input_count != q8_plan_input_count(plan) || output_count != q8_plan_output_count(plan))
    return q8_fail(error, QINT8_ERROR_ARGUMENT, "run", "%zu inputs and %zu outputs given, the plan has %zu and %zu",
                   input_count, output_count, q8_plan_input_count(plan), q8_plan_output_count(plan));
  for (size_t i = 0; i < input_count; i++) {
    const q8_plan_io *io = q8_plan_input_info(plan, i);
    Q8_TRY(q8_check_tensor(inputs[i], io->name, io->dtype, &io->shape, error));
    size_t size = q8_shape_count(&io->shape, NULL) * qint8_dtype_size((qint8_dtype)io->dtype);
    if (io->bound && size && memcmp(io->bound, inputs[i]->data, size))
      return q8_fail(error, QINT8_ERROR_ARGUMENT, io->name, "the plan was compiled for other values of this input");
    session->inputs[i] = inputs[i]->data;
  }
  for (size_t i = 0; i < output_count; i++) {
    const q8_plan_io *io = q8_plan_output_info(plan, i);
    Q8_TRY(q8_check_tensor(outputs[i], io->name, io->dtype, &io->shape, error));
    session->outputs[i] = outputs[i]->data;
  }
  return QINT8_OK;
}

qint8_status qint8_session_run(qint8_session *session, const qint8_tensor *const *inputs, size_t input_count,
                               const qint8_tensor *const *outputs, size_t output_count, qint8_error *error) {
  Q8_REQUIRE(error, session);
  if (input_count)
    Q8_REQUIRE(error, inputs);
  if (output_count)
    Q8_REQUIRE(error, outputs);
  Q8_TRY(check_io(session, inputs, input_count, outputs, output_count, error));
  return q8_session_execute(session->session, session->inputs, session->outputs, error);
}

static qint8_tensor view_of(const q8_shape *shape, const float *values) {
  qint8_tensor view = QINT8_TENSOR_INIT;
  view.dtype = QINT8_DTYPE_F32;
  view.rank = shape->rank;
  memcpy(view.shape, shape->dim, sizeof view.shape);
  view.data = (void *)(uintptr_t)values;
  return view;
}

static void pass_on(void *user, q8_id tensor, const char *name, const q8_shape *shape, const float *values,
                    size_t count) {
  const qint8_session *session = user;
  (void)tensor;
  (void)count;
  qint8_tensor view = view_of(shape, values);
  session->watch(session->watch_user, name, &view);
}

static int offer(void *user, q8_id tensor, const char *name, const q8_shape *shape, float *values, size_t count) {
  const qint8_session *session = user;
  (void)tensor;
  (void)count;
  qint8_tensor view = view_of(shape, values);
  return session->replace(session->replace_user, name, &view) != 0;
}

qint8_status qint8_session_watch(qint8_session *session, qint8_watch_fn watch, void *user, qint8_error *error) {
  Q8_REQUIRE(error, session);
  session->watch = watch;
  session->watch_user = user;
  return q8_session_watch(session->session, watch ? pass_on : NULL, session, 0, error);
}

qint8_status qint8_session_replace(qint8_session *session, qint8_replace_fn replace, void *user, qint8_error *error) {
  Q8_REQUIRE(error, session);
  session->replace = replace;
  session->replace_user = user;
  return q8_session_replace(session->session, replace ? offer : NULL, session, error);
}

qint8_status qint8_session_profile(qint8_session *session, int32_t enable, qint8_error *error) {
  Q8_REQUIRE(error, session);
  return q8_session_time_steps(session->session, enable, error);
}

double qint8_session_step_microseconds(const qint8_session *session, size_t index) {
  if (!session || index >= q8_plan_step_count(q8_session_plan(session->session)))
    return 0.0;
  return q8_session_step_us(session->session, index);
}
