#include "ptq/peek.h"

/* ---- Where batches stand ---- */

typedef struct pause_point {
  size_t step, size;
  void *live; /* [size] what the steps before left; NULL: the batch starts over */
} pause_point;

struct q8_frontier {
  q8_host host;
  pause_point *points; /* [count] */
  size_t count, room;  /* bytes */
};

q8_status q8_frontier_new(size_t batches, size_t limit, const q8_host *host, q8_frontier **out, qint8_error *error) {
  q8_frontier *f = q8_calloc(host, 1, sizeof *f);
  pause_point *points = q8_calloc(host, batches + 1, sizeof *points);
  *out = f;
  if (!f || !points) {
    q8_free(host, f);
    q8_free(host, points);
    *out = NULL;
    return q8_fail_memory(error, "samples", batches * sizeof *points);
  }
  *f = (q8_frontier){*host, points, batches, limit};
  return QINT8_OK;
}

static void forget(q8_frontier *f, pause_point *point) {
  q8_free(&f->host, point->live);
  f->room += point->size;
  *point = (pause_point){.live = NULL};
}

void q8_frontier_free(q8_frontier *frontier) {
  if (!frontier)
    return;
  for (size_t b = 0; b < frontier->count; b++)
    forget(frontier, &frontier->points[b]);
  q8_free(&frontier->host, frontier->points);
  q8_free(&frontier->host, frontier);
}

/* A run to the end, which did not find all that was wanted or has no more to give, leaves the batch where it was. */
static q8_status run_on(q8_frontier *f, pause_point *point, q8_session *session, const void *const *inputs,
                        void *const *outputs, const q8_peek *peek, qint8_error *error) {
  size_t step = 0;
  if (point->live && q8_session_live_size(session, point->step) == point->size) {
    step = point->step;
    q8_session_restore(session, step, outputs, point->live);
  }
  Q8_TRY(q8_session_peek_from(session, inputs, outputs, peek, &step, error));
  if (step == q8_plan_step_count(q8_session_plan(session)))
    return QINT8_OK;
  forget(f, point);
  size_t size = q8_session_live_size(session, step);
  if (size > f->room)
    return QINT8_OK;
  void *live = q8_alloc(&f->host, size + 1, 1);
  if (!live)
    return q8_fail_memory(error, "samples", size);
  q8_session_save(session, step, outputs, live);
  *point = (pause_point){step, size, live};
  f->room -= size;
  return QINT8_OK;
}

/* ---- Runs ---- */

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
  const q8_runner *r = run->runner;
  size_t inputs = run->graph->input_count;
  q8_plan_config config = {
      .mask = r->mask, .isa = r->isa, .plain = 1, .inputs = r->batches->shapes + first * inputs};
  q8_plan *plan = NULL;
  q8_session *session = NULL;
  q8_pool pool;
  void **outputs = NULL;
  q8_pool_init(&pool, r->host);
  q8_status status = q8_plan_compile(run->graph, run->recipe, &config, r->host, &plan, error);
  if (status == QINT8_OK)
    status = make_outputs(plan, &pool, &outputs, error);
  if (status == QINT8_OK)
    status = q8_session_open(plan, NULL, 0, r->host, &session, error);
  for (size_t b = first; b < end && status == QINT8_OK; b++) {
    const void *const *data = r->batches->data + b * inputs;
    status = run->frontier
                 ? run_on(run->frontier, &run->frontier->points[b], session, data, outputs, peek, error)
                 : q8_session_peek(session, data, outputs, peek, error);
  }
  q8_session_close(session);
  q8_plan_free(plan);
  q8_pool_destroy(&pool);
  return status;
}

q8_status q8_peek_batches(const q8_peek_run *run, const uint8_t *wanted, size_t count, q8_watch_fn show, void *user,
                          qint8_error *error) {
  q8_peek peek = {.wanted = wanted, .count = count, .show = show, .user = user};
  peek.form = run->recipe ? Q8_FORM_INT8 : Q8_FORM_NATIVE;
  const q8_batches *batches = run->runner->batches;
  for (size_t first = 0, end; first < batches->count; first = end) {
    end = q8_batches_alike(run->graph, batches, first);
    Q8_TRY(run_alike(run, first, end, &peek, error));
  }
  return QINT8_OK;
}
