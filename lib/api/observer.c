#include <math.h>

#include "api/api.h"
#include "quant/observer.h"

struct qint8_observer {
  q8_host host;
  q8_observer *observer;
};

/* More channels than any layer has; keeps a per-channel histogram observer below 16 GiB. */
#define MAX_CHANNELS ((int64_t)1 << 20)

static q8_status check_options(const qint8_observer_options *options, qint8_error *error) {
  Q8_REQUIRE_SIZE(error, options);
  if (options->kind < QINT8_OBSERVER_MINMAX || options->kind > QINT8_OBSERVER_ENTROPY)
    return q8_fail(error, QINT8_ERROR_ARGUMENT, "kind", "%d is not a qint8_observer_kind", (int)options->kind);
  if (options->channels < 0 || options->channels > MAX_CHANNELS)
    return q8_fail(error, QINT8_ERROR_ARGUMENT, "channels", "%lld is outside 0 to %lld", (long long)options->channels,
                   (long long)MAX_CHANNELS);
  if (!(options->moving_average > 0.0f && options->moving_average <= 1.0f))
    return q8_fail(error, QINT8_ERROR_ARGUMENT, "moving_average", "%g is outside (0, 1]",
                   (double)options->moving_average);
  return q8_check_percentile(options->percentile, error);
}

qint8_status qint8_observer_create(const qint8_observer_options *options, const qint8_host *host, qint8_observer **out,
                                   qint8_error *error) {
  Q8_REQUIRE(error, out);
  *out = NULL;
  qint8_observer_options preset = QINT8_OBSERVER_OPTIONS_INIT;
  if (!options)
    options = &preset;
  Q8_TRY(check_options(options, error));
  q8_kernels kernels;
  Q8_TRY(q8_default_kernels(&kernels, error));
  q8_status status;
  qint8_observer *observer = q8_api_new(host, sizeof *observer, "observer", &status, error);
  if (!observer)
    return status;
  q8_observer_config config = {.kind = options->kind,
                               .channels = (size_t)options->channels,
                               .moving_average = options->moving_average,
                               .percentile = options->percentile,
                               .minmax = kernels.minmax,
                               .slots = kernels.slots};
  status = q8_observer_new(&config, &observer->host, &observer->observer, error);
  if (status != QINT8_OK) {
    q8_free(&observer->host, observer);
    return status;
  }
  *out = observer;
  return QINT8_OK;
}

void qint8_observer_destroy(qint8_observer *observer) {
  if (!observer)
    return;
  q8_observer_free(observer->observer);
  q8_free(&observer->host, observer);
}

qint8_status qint8_observer_observe(qint8_observer *observer, const float *values, size_t outer, size_t channels,
                                    size_t inner, qint8_error *error) {
  Q8_REQUIRE(error, observer);
  size_t expected = q8_observer_config_of(observer->observer)->channels, count;
  if (channels != (expected ? expected : 1))
    return q8_fail(error, QINT8_ERROR_ARGUMENT, "channels", "%zu channels given, the observer has %zu", channels,
                   expected ? expected : 1);
  if (!q8_mul(outer, channels, &count) || !q8_mul(count, inner, &count))
    return q8_fail(error, QINT8_ERROR_ARGUMENT, "values", "%zu * %zu * %zu elements overflow", outer, channels, inner);
  if (count == 0)
    return QINT8_OK;
  Q8_REQUIRE(error, values);
  q8_observer_observe(observer->observer, values, outer, channels, inner);
  return QINT8_OK;
}

qint8_status qint8_observer_merge(qint8_observer *observer, const qint8_observer *other, qint8_error *error) {
  Q8_REQUIRE(error, observer);
  Q8_REQUIRE(error, other);
  const q8_observer_config *a = q8_observer_config_of(observer->observer);
  const q8_observer_config *b = q8_observer_config_of(other->observer);
  if (a->kind == QINT8_OBSERVER_MOVING_AVERAGE)
    return q8_fail(error, QINT8_ERROR_ARGUMENT, "observer", "moving averages depend on order and cannot be merged");
  if (a->kind != b->kind || a->channels != b->channels || a->percentile != b->percentile || observer == other)
    return q8_fail(error, QINT8_ERROR_ARGUMENT, "other", "other options, or the same observer");
  q8_observer_merge(observer->observer, other->observer);
  return QINT8_OK;
}

qint8_status qint8_observer_range(const qint8_observer *observer, int64_t channel, qint8_range *out,
                                  qint8_error *error) {
  Q8_REQUIRE(error, observer);
  Q8_REQUIRE(error, out);
  Q8_REQUIRE_SIZE(error, out);
  size_t channels = q8_observer_config_of(observer->observer)->channels;
  if (channel < 0 || (size_t)channel >= (channels ? channels : 1))
    return q8_fail(error, QINT8_ERROR_ARGUMENT, "channel", "channel %lld of %zu", (long long)channel,
                   channels ? channels : 1);
  return q8_observer_range(observer->observer, (size_t)channel, out, error);
}
