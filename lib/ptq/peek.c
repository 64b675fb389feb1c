#include "ptq/peek.h"

static q8_status make_outputs(const q8_plan *plan, q8_pool *pool, void ***out, qint8_error *error) {
  size_t outputs = q8_plan_output_count(plan);
  *out = q8_pool_alloc(pool, outputs + 1, sizeof **out);
  for (size_t i = 0; *out && i < outputs; i++) {
    const q8_plan_io *info = q8_plan_output_info(plan, i);
    size_t count = q8_shape_count(&info->shape, NULL), size = qint8_dtype_size((qint8_dtype)info->dtype);
    if (!((*out)[i] = q8_pool_reserve(pool, count + 1, size)))
      return q8_fail_memory(error, info->name, count * size);
  }
  return *out ? QINT8_OK : q8_fail_memory(error, "outputs", outputs * sizeof **out);
}

static q8_status run_alike(const q8_peek_run *run, size_t first, size_t end, const q8_peek *peek, qint8_error *error) {
  size_t inputs = run->graph->input_count;
  q8_plan_config config = {
      .mask = run->mask, .isa = run->isa, .plain = 1, .inputs = run->batches->shapes + first * inputs};
  q8_plan *plan = NULL;
  q8_session *session = NULL;
  q8_pool pool;
  void **outputs;
  q8_pool_init(&pool, run->host);
  q8_status status = q8_plan_compile(run->graph, run->recipe, &config, run->host, &plan, error);
  if (status == QINT8_OK)
    status = make_outputs(plan, &pool, &outputs, error);
  if (status == QINT8_OK)
    status = q8_session_open(plan, NULL, 0, run->host, &session, error);
  for (size_t b = first; b < end && status == QINT8_OK; b++)
    status = q8_session_peek(session, run->batches->data + b * inputs, outputs, peek, error);
  q8_session_close(session);
  q8_plan_free(plan);
  q8_pool_destroy(&pool);
  return status;
}

q8_status q8_peek_batches(const q8_peek_run *run, const uint8_t *wanted, size_t count, q8_watch_fn show, void *user,
                          qint8_error *error) {
  q8_peek peek = {.wanted = wanted, .count = count, .show = show, .user = user};
  peek.form = run->recipe ? Q8_FORM_INT8 : Q8_FORM_NATIVE;
  for (size_t first = 0, end; first < run->batches->count; first = end) {
    end = q8_batches_alike(run->graph, run->batches, first);
    Q8_TRY(run_alike(run, first, end, &peek, error));
  }
  return QINT8_OK;
}
