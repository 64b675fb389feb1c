#include "ptq/calibrate.h"

#include <math.h>
#include <string.h>

/* Of a tensor and sample, a histogram counts one value in k: LEAST_COUNTED in all or a MOST_SKIPPED-th, whichever is more.
 * With all of them, calibration took up to 3.5 times as long as float inference. */
#define LEAST_COUNTED 256
#define MOST_SKIPPED 32

static size_t skipping(size_t n) {
  size_t k = (n + LEAST_COUNTED - 1) / LEAST_COUNTED;
  return k < MOST_SKIPPED ? k : MOST_SKIPPED;
}

struct q8_calibrator {
  q8_host host;
  const q8_graph *graph;
  q8_calibrator_config config;
  q8_ranges *ranges;
  q8_minmax_fn *minmax;
  size_t fed;
  int out_of_memory; /* while observing */
  /* For the shapes of the last batch: */
  q8_shape *shapes; /* [input_count] */
  q8_plan *plan;
  q8_session *session;
  void **outputs; /* [output_count] */
  q8_ends *ends;  /* [batch] of the samples of one tensor */
};

q8_status q8_calibrator_new(const q8_graph *graph, const q8_calibrator_config *config, const q8_host *host,
                            q8_calibrator **out, qint8_error *error) {
  *out = NULL;
  q8_calibrator *c = q8_calloc(host, 1, sizeof(*c));
  if (!c)
    return q8_fail_memory(error, "calibrator", sizeof(*c));
  c->host = *host;
  c->graph = graph;
  c->config = *config;
  c->shapes = q8_calloc(host, graph->input_count, sizeof(*c->shapes));
  c->outputs = q8_calloc(host, graph->output_count, sizeof(*c->outputs));
  q8_kernels kernels;
  q8_kernels_select(config->mask, &kernels);
  c->minmax = kernels.minmax;
  q8_observer_config observer = {
      .kind = config->observer, .moving_average = config->moving_average, .percentile = config->percentile,
      .minmax = kernels.minmax,
      .slots = kernels.slots};
  q8_status status = c->shapes && c->outputs ? q8_ranges_new(graph, &observer, host, &c->ranges, error)
                                             : q8_fail_memory(error, "calibrator", sizeof(*c->shapes));
  if (status != QINT8_OK) {
    q8_calibrator_free(c);
    return status;
  }
  *out = c;
  return QINT8_OK;
}

static void drop_plan(q8_calibrator *c) {
  q8_session_close(c->session);
  q8_plan_free(c->plan);
  q8_free(&c->host, c->ends);
  c->session = NULL;
  c->plan = NULL;
  c->ends = NULL;
  for (size_t i = 0; c->outputs && i < c->graph->output_count; i++) {
    q8_free(&c->host, c->outputs[i]);
    c->outputs[i] = NULL;
  }
}

void q8_calibrator_free(q8_calibrator *calibrator) {
  if (!calibrator)
    return;
  drop_plan(calibrator);
  q8_ranges_free(calibrator->ranges);
  const q8_host *host = &calibrator->host;
  q8_free(host, calibrator->shapes);
  q8_free(host, calibrator->outputs);
  q8_free(host, calibrator);
}

/* Samples in one batch: the first dimension of the first input. */
static int64_t batch_of(const q8_graph *graph, const q8_shape *shapes) {
  return graph->input_count && shapes[0].rank > 0 ? shapes[0].dim[0] : 1;
}

/* A moving average is one of batches. */
static void observe_samples(q8_calibrator *c, q8_id tensor, const q8_shape *shape, const float *values, size_t count) {
  q8_observer *observer = c->ranges->observers[tensor];
  q8_quality *quality = c->ranges->quality;
  int channels_last = q8_session_watch_layout(c->session) == Q8_CHANNELS_LAST, told_apart = 1;
  size_t samples = (size_t)shape->dim[0], each = count / samples;
  if (c->config.observer == QINT8_OBSERVER_MOVING_AVERAGE) {
    q8_observer_observe(observer, values, 1, 1, count);
    for (size_t i = 0; i < samples; i++)
      c->minmax(each, values + i * each, &c->ends[i].min, &c->ends[i].max);
  } else {
    told_apart = q8_observer_samples(observer, values, samples, each, skipping(each),
                                     q8_quality_known(quality, tensor), c->ends);
  }
  c->out_of_memory |= !q8_quality_observe(quality, tensor, shape, values, channels_last, c->ranges->samples,
                                          told_apart ? c->ends : NULL);
}

static void observe(void *user, q8_id tensor, const char *name, const q8_shape *shape, const float *values,
                    size_t count) {
  (void)name;
  q8_calibrator *c = user;
  if (!c->ranges->observers[tensor])
    return;
  if (shape->rank > 0 && shape->dim[0] == batch_of(c->graph, c->shapes) && shape->dim[0] > 0) {
    observe_samples(c, tensor, shape, values, count);
  } else {
    q8_quality_give_up(c->ranges->quality, tensor);
    q8_observer_observe(c->ranges->observers[tensor], values, 1, 1, count);
  }
}

static q8_status compile(q8_calibrator *c, const q8_shape *shapes, qint8_error *error) {
  /* plain: a tensor inside a merged step would never be seen */
  q8_plan_config config = {.mask = c->config.mask, .isa = c->config.isa, .plain = 1, .inputs = shapes};
  Q8_TRY(q8_plan_compile(c->graph, NULL, &config, &c->host, &c->plan, error));
  for (size_t i = 0; i < c->graph->output_count; i++) {
    const q8_plan_io *info = q8_plan_output_info(c->plan, i);
    size_t count = q8_shape_count(&info->shape, NULL), size = qint8_dtype_size((qint8_dtype)info->dtype);
    c->outputs[i] = q8_alloc(&c->host, count, size);
    if (!c->outputs[i])
      return q8_fail_memory(error, info->name, count * size);
  }
  size_t batch = (size_t)batch_of(c->graph, shapes);
  c->ends = q8_alloc(&c->host, batch + 1, sizeof(*c->ends));
  if (!c->ends)
    return q8_fail_memory(error, "calibrator", batch * sizeof(*c->ends));
  Q8_TRY(q8_session_open(c->plan, NULL, 0, &c->host, &c->session, error));
  return q8_session_watch(c->session, observe, c, 1, error);
}

static q8_status prepare(q8_calibrator *c, const q8_shape *shapes, qint8_error *error) {
  int same = c->session != NULL;
  for (size_t i = 0; same && i < c->graph->input_count; i++)
    same = q8_shape_equal(&shapes[i], &c->shapes[i]);
  if (same)
    return QINT8_OK;
  drop_plan(c);
  q8_status status = compile(c, shapes, error);
  if (status != QINT8_OK)
    drop_plan(c);
  else if (c->graph->input_count)
    memcpy(c->shapes, shapes, c->graph->input_count * sizeof(*shapes));
  return status;
}

static q8_status check_finite(const q8_calibrator *c, const char *name, const float *x, size_t count,
                              qint8_error *error) {
  float min, max;
  size_t at = 0;
  if (c->minmax(count, x, &min, &max) && !isinf(min) && !isinf(max))
    return QINT8_OK;
  while (at < count && isfinite(x[at]))
    at++;
  return at == count ? QINT8_OK
                     : q8_fail(error, QINT8_ERROR_DATA, name, "element %zu of the calibration input is %s", at,
                               isnan(x[at]) ? "NaN" : "infinite");
}

q8_status q8_calibrator_feed(q8_calibrator *calibrator, const q8_shape *shapes, const void *const *inputs,
                             qint8_error *error) {
  q8_calibrator *c = calibrator;
  Q8_TRY(prepare(c, shapes, error));
  for (size_t i = 0; i < c->graph->input_count; i++) {
    const q8_plan_io *info = q8_plan_input_info(c->plan, i);
    if (info->dtype == QINT8_DTYPE_F32)
      Q8_TRY(check_finite(c, info->name, inputs[i], q8_shape_count(&shapes[i], NULL), error));
  }
  Q8_TRY(q8_session_execute(c->session, inputs, c->outputs, error));
  if (c->out_of_memory)
    return q8_fail_memory(error, "calibrator", sizeof(q8_tensor_quality));
  c->ranges->samples += batch_of(c->graph, shapes);
  c->fed++;
  return QINT8_OK;
}

q8_status q8_calibrator_ranges(const q8_calibrator *calibrator, q8_ranges **out, qint8_error *error) {
  *out = NULL;
  if (calibrator->fed == 0)
    return q8_fail(error, QINT8_ERROR_STATE, "calibrator", "nothing was fed yet");
  return q8_ranges_copy(calibrator->ranges, out, error);
}
