#include <math.h>
#include <string.h>

#include "api/api.h"
#include "ptq/calibrate.h"
#include "ptq/warnings.h"

struct qint8_calibrator {
  q8_pool pool;
  const q8_graph *graph;
  q8_calibrator *calibrator;
  q8_shape *shapes; /* of one batch */
  const void **data;
};

struct qint8_ranges {
  q8_host host;
  q8_ranges *ranges;
};

const q8_ranges *q8_api_ranges(const qint8_ranges *ranges) {
  return ranges->ranges;
}

static q8_status open_calibrator(qint8_calibrator *c, const qint8_calibrator_options *options, qint8_error *error) {
  q8_calibrator_config config = {.observer = options->observer,
                                 .moving_average = options->moving_average,
                                 .percentile = options->percentile};
  Q8_TRY(q8_choose_isa(NULL, &config.mask, &config.isa, error));
  c->shapes = q8_pool_alloc(&c->pool, c->graph->input_count, sizeof *c->shapes);
  c->data = q8_pool_alloc(&c->pool, c->graph->input_count, sizeof *c->data);
  Q8_TRY(q8_pool_check(&c->pool, "calibrator", error));
  return q8_calibrator_new(c->graph, &config, &c->pool.host, &c->calibrator, error);
}

qint8_status qint8_calibrator_create(const qint8_model *model, const qint8_calibrator_options *options,
                                     const qint8_host *host, qint8_calibrator **out, qint8_error *error) {
  Q8_REQUIRE(error, out);
  *out = NULL;
  Q8_REQUIRE(error, model);
  qint8_calibrator_options preset = QINT8_CALIBRATOR_OPTIONS_INIT;
  if (!options)
    options = &preset;
  Q8_REQUIRE_SIZE(error, options);
  if (options->observer < QINT8_OBSERVER_MINMAX || options->observer > QINT8_OBSERVER_ENTROPY)
    return q8_fail(error, QINT8_ERROR_ARGUMENT, "observer", "%d is not a qint8_observer_kind", (int)options->observer);
  if (!(options->moving_average > 0.0f && options->moving_average <= 1.0f))
    return q8_fail(error, QINT8_ERROR_ARGUMENT, "moving_average", "%g is outside (0, 1]",
                   (double)options->moving_average);
  Q8_TRY(q8_check_percentile(options->percentile, error));
  q8_status status;
  qint8_calibrator *calibrator = q8_api_new(host, sizeof *calibrator, "calibrator", &status, error);
  if (!calibrator)
    return status;
  calibrator->graph = model->graph;
  status = open_calibrator(calibrator, options, error);
  if (status != QINT8_OK) {
    qint8_calibrator_destroy(calibrator);
    return status;
  }
  *out = calibrator;
  return QINT8_OK;
}

void qint8_calibrator_destroy(qint8_calibrator *calibrator) {
  if (!calibrator)
    return;
  q8_calibrator_free(calibrator->calibrator);
  q8_pool_delete(calibrator);
}

qint8_status qint8_calibrator_feed(qint8_calibrator *calibrator, const qint8_tensor *const *inputs, size_t input_count,
                                   qint8_error *error) {
  Q8_REQUIRE(error, calibrator);
  Q8_REQUIRE(error, inputs);
  const q8_graph *graph = calibrator->graph;
  if (input_count != graph->input_count)
    return q8_fail(error, QINT8_ERROR_ARGUMENT, "inputs", "%zu inputs given, the model has %zu", input_count,
                   graph->input_count);
  for (size_t i = 0; i < input_count; i++) {
    const q8_tensor *declared = &graph->tensors[graph->inputs[i]];
    const qint8_tensor *given = inputs[i];
    q8_shape *shape = &calibrator->shapes[i];
    Q8_TRY(q8_take_shape(given, declared->name, &declared->shape, shape, error));
    Q8_TRY(q8_check_tensor(given, declared->name, declared->dtype ? declared->dtype : QINT8_DTYPE_F32, shape, error));
    calibrator->data[i] = given->data;
  }
  return q8_calibrator_feed(calibrator->calibrator, calibrator->shapes, calibrator->data, error);
}

qint8_status qint8_calibrator_ranges(const qint8_calibrator *calibrator, qint8_ranges **out, qint8_error *error) {
  Q8_REQUIRE(error, out);
  *out = NULL;
  Q8_REQUIRE(error, calibrator);
  qint8_ranges *ranges = q8_new(&calibrator->pool.host, sizeof *ranges, "ranges", error);
  if (!ranges)
    return QINT8_ERROR_MEMORY;
  q8_status status = q8_calibrator_ranges(calibrator->calibrator, &ranges->ranges, error);
  if (status != QINT8_OK) {
    q8_free(&ranges->host, ranges);
    return status;
  }
  *out = ranges;
  return QINT8_OK;
}

void qint8_ranges_destroy(qint8_ranges *ranges) {
  if (!ranges)
    return;
  q8_ranges_free(ranges->ranges);
  q8_free(&ranges->host, ranges);
}

size_t qint8_ranges_count(const qint8_ranges *ranges) {
  return ranges ? q8_ranges_count(ranges->ranges) : 0;
}

qint8_status qint8_ranges_get(const qint8_ranges *ranges, size_t index, const char **name, qint8_range *out) {
  if (!ranges || !name || !out || out->struct_size < sizeof *out || index >= q8_ranges_count(ranges->ranges))
    return QINT8_ERROR_ARGUMENT;
  return q8_ranges_get(ranges->ranges, index, name, out, NULL);
}

const char *qint8_ranges_name(const qint8_ranges *ranges, size_t index) {
  const char *name = NULL;
  return ranges && q8_ranges_observer(ranges->ranges, index, &name) ? name : NULL;
}

qint8_status qint8_ranges_histogram(const qint8_ranges *ranges, size_t index, qint8_histogram *out, int64_t *counts,
                                    size_t capacity, qint8_error *error) {
  Q8_REQUIRE(error, ranges);
  Q8_REQUIRE(error, out);
  Q8_REQUIRE_SIZE(error, out);
  if (capacity)
    Q8_REQUIRE(error, counts);
  const q8_observer *observer = q8_ranges_observer(ranges->ranges, index, NULL);
  if (!observer)
    return q8_fail(error, QINT8_ERROR_ARGUMENT, "index", "there are %zu ranges", q8_ranges_count(ranges->ranges));
  q8_histogram room;
  const q8_histogram *h = q8_observer_histogram(observer, 0, &room);
  if (!h)
    return q8_fail(error, QINT8_ERROR_STATE, "observer", "this kind of observer keeps no histogram");
  int32_t first = q8_histogram_bin(h, h->min), last = q8_histogram_bin(h, h->max);
  out->bin_count = (size_t)(last - first + 1);
  out->width = ldexp(1.0, h->exponent);
  out->left = first * out->width;
  out->zeros = h->zeros;
  for (size_t i = 0; i < out->bin_count && i < capacity; i++)
    counts[i] = h->count[q8_histogram_slot(first + (int32_t)i)];
  return QINT8_OK;
}

int64_t qint8_ranges_samples(const qint8_ranges *ranges) {
  return ranges ? ranges->ranges->samples : 0;
}

typedef struct pick {
  size_t index, seen;
  qint8_warning *out;
} pick;

static int count_warning(void *user, const qint8_warning *warning) {
  (void)warning;
  ++*(size_t *)user;
  return 0;
}

static int pick_warning(void *user, const qint8_warning *warning) {
  pick *p = user;
  if (p->seen++ < p->index)
    return 0;
  *p->out = *warning;
  return 1;
}

static int fit(const qint8_ranges *ranges, const qint8_ranges *validation) {
  return !validation || q8_ranges_alike(ranges->ranges, validation->ranges);
}

size_t qint8_ranges_warning_count(const qint8_ranges *ranges, const qint8_ranges *validation) {
  size_t count = 0;
  if (ranges && fit(ranges, validation))
    q8_ranges_examine(ranges->ranges, validation ? validation->ranges : NULL, count_warning, &count);
  return count;
}

qint8_status qint8_ranges_warning(const qint8_ranges *ranges, const qint8_ranges *validation, size_t index,
                                  qint8_warning *out, qint8_error *error) {
  Q8_REQUIRE(error, ranges);
  Q8_REQUIRE(error, out);
  Q8_REQUIRE_SIZE(error, out);
  if (!fit(ranges, validation))
    return q8_fail(error, QINT8_ERROR_ARGUMENT, "validation", "the ranges belong to another model");
  pick p = {.index = index, .out = out};
  q8_ranges_examine(ranges->ranges, validation ? validation->ranges : NULL, pick_warning, &p);
  if (p.seen <= index)
    return q8_fail(error, QINT8_ERROR_ARGUMENT, "index", "there are %zu warnings", p.seen);
  return QINT8_OK;
}
