/* Histograms and warnings of ranges through the public header, on the demo model. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "models.h"
#include "test.h"

#define SAMPLES 40
#define MAX_TENSORS 512
#define MAX_CHANNELS 2048

static qint8_error failure = QINT8_ERROR_INIT;
static qint8_tensor input;

static qint8_ranges *calibrate(const qint8_model *model, int32_t observer, int64_t batch) {
  qint8_calibrator_options options = QINT8_CALIBRATOR_OPTIONS_INIT;
  options.observer = observer;
  qint8_calibrator *calibrator = NULL;
  qint8_ranges *ranges = NULL;
  CHECK(qint8_calibrator_create(model, &options, NULL, &calibrator, &failure) == QINT8_OK);
  for (int64_t done = 0; done < SAMPLES; done += batch) {
    qint8_tensor view = input;
    const qint8_tensor *inputs[] = {&view};
    view.shape[0] = batch;
    view.data = (float *)input.data + done * 784;
    CHECK(qint8_calibrator_feed(calibrator, inputs, 1, &failure) == QINT8_OK);
  }
  CHECK(qint8_calibrator_ranges(calibrator, &ranges, &failure) == QINT8_OK);
  qint8_calibrator_destroy(calibrator);
  return ranges;
}

static void histograms_count_every_value(void) {
  qint8_model *model = test_load("demo", NULL);
  qint8_ranges *ranges = calibrate(model, QINT8_OBSERVER_HISTOGRAM_MSE, 8);
  static int64_t counts[2048];
  for (size_t i = 0; i < qint8_ranges_count(ranges); i++) {
    qint8_histogram h = QINT8_HISTOGRAM_INIT;
    qint8_range range = QINT8_RANGE_INIT;
    const char *name;
    CHECK(qint8_ranges_get(ranges, i, &name, &range) == QINT8_OK);
    CHECK(qint8_ranges_histogram(ranges, i, &h, counts, 2048, &failure) == QINT8_OK);
    int64_t total = h.zeros;
    for (size_t k = 0; k < h.bin_count; k++)
      total += counts[k];
    CHECK_EQ(total, range.count);
    CHECK(h.left <= (double)range.min && (double)range.min < h.left + h.width);
    double right = h.left + h.width * (double)h.bin_count;
    CHECK((double)range.max < right && right - h.width <= (double)range.max);
  }
  qint8_histogram h = QINT8_HISTOGRAM_INIT;
  counts[1] = -7;
  CHECK(qint8_ranges_histogram(ranges, 0, &h, counts, 1, &failure) == QINT8_OK && counts[1] == -7);
  CHECK(qint8_ranges_histogram(ranges, 0, &h, NULL, 0, &failure) == QINT8_OK && h.bin_count > 1);
  CHECK_EQ(qint8_ranges_histogram(ranges, qint8_ranges_count(ranges), &h, NULL, 0, &failure), QINT8_ERROR_ARGUMENT);
  qint8_ranges *plain = calibrate(model, QINT8_OBSERVER_MINMAX, 8);
  CHECK_EQ(qint8_ranges_histogram(plain, 0, &h, NULL, 0, &failure), QINT8_ERROR_STATE);
  qint8_ranges_destroy(plain);
  qint8_ranges_destroy(ranges);
  qint8_model_destroy(model);
}

/* What a watcher sees of the channels, in the ONNX layout. */
typedef struct seen_tensor {
  char name[256];
  int64_t channels;
  float min[MAX_CHANNELS], max[MAX_CHANNELS];
} seen_tensor;
static seen_tensor *seen;
static int seen_count;

static void look(void *user, const char *name, const qint8_tensor *t) {
  (void)user;
  if (t->rank < 2 || t->shape[1] > MAX_CHANNELS)
    return;
  seen_tensor *s = seen;
  while (s < seen + seen_count && strcmp(s->name, name))
    s++;
  if (s == seen + seen_count) {
    CHECK(seen_count++ < MAX_TENSORS);
    strncpy(s->name, name, sizeof s->name - 1);
    s->channels = t->shape[1];
    for (int64_t c = 0; c < s->channels; c++)
      s->max[c] = -(s->min[c] = INFINITY);
  }
  size_t inner = 1;
  for (int32_t d = 2; d < t->rank; d++)
    inner *= (size_t)t->shape[d];
  const float *x = t->data;
  for (size_t i = 0; i < (size_t)t->shape[0] * (size_t)s->channels * inner; i++) {
    size_t c = i / inner % (size_t)s->channels;
    s->min[c] = x[i] < s->min[c] ? x[i] : s->min[c];
    s->max[c] = x[i] > s->max[c] ? x[i] : s->max[c];
  }
}

static void look_at_all(const qint8_model *model) {
  qint8_plan *plan = test_plan(model, NULL, NULL, SAMPLES, NULL);
  qint8_session *session = NULL;
  qint8_tensor out = test_output(plan, 0);
  const qint8_tensor *in[] = {&input}, *outs[] = {&out};
  CHECK(qint8_session_create(plan, NULL, 0, NULL, &session, &failure) == QINT8_OK);
  CHECK(qint8_session_watch(session, look, NULL, &failure) == QINT8_OK);
  CHECK(qint8_session_run(session, in, 1, outs, 1, &failure) == QINT8_OK);
  qint8_session_destroy(session);
  qint8_plan_destroy(plan);
  free(out.data);
}

/* Those that are always 0, and those that are always something else. */
static int64_t constant_channels(const seen_tensor *s, int zero) {
  int64_t count = 0;
  for (int64_t c = 0; c < s->channels; c++)
    count += s->min[c] == s->max[c] && (s->min[c] == 0) == zero;
  return count;
}

/* Counts of dead and constant channels are those of a plain look, whatever layout the calibrator ran in. */
static void channels_are_counted(void) {
  qint8_model *model = test_load("demo", NULL);
  seen = calloc(MAX_TENSORS, sizeof *seen);
  look_at_all(model);
  qint8_ranges *ranges = calibrate(model, QINT8_OBSERVER_MINMAX, 8);
  size_t count = qint8_ranges_warning_count(ranges, NULL), told = 0;
  CHECK_EQ(qint8_ranges_samples(ranges), SAMPLES);
  for (size_t i = 0; i < count; i++) {
    qint8_warning w = QINT8_WARNING_INIT;
    CHECK(qint8_ranges_warning(ranges, NULL, i, &w, &failure) == QINT8_OK);
    if (w.code != QINT8_WARNING_DEAD_CHANNELS && w.code != QINT8_WARNING_CONSTANT_CHANNELS)
      continue;
    const seen_tensor *s = seen;
    while (s < seen + seen_count && strcmp(s->name, w.tensor))
      s++;
    CHECK_MSG(s < seen + seen_count && constant_channels(s, w.code == QINT8_WARNING_DEAD_CHANNELS) == w.count, "%s: %s",
              w.tensor, w.message);
    told++;
  }
  printf("     %zu tensors with dead or constant channels\n", told);
  CHECK(told > 0);
  qint8_warning w = QINT8_WARNING_INIT;
  CHECK_EQ(qint8_ranges_warning(ranges, NULL, count, &w, &failure), QINT8_ERROR_ARGUMENT);
  CHECK_EQ(qint8_ranges_warning_count(ranges, ranges), count);
  free(seen);
  qint8_ranges_destroy(ranges);
  qint8_model_destroy(model);
}

static void other_models_do_not_fit(void) {
  qint8_model *model = test_load("demo", NULL), *tiny = test_load("tiny", NULL);
  qint8_ranges *ranges = calibrate(model, QINT8_OBSERVER_MINMAX, 8), *other = NULL;
  float x[6] = {1, 2, 3, 4, 5, 6};
  qint8_tensor view = {sizeof view, QINT8_DTYPE_F32, 2, {1, 6}, x};
  const qint8_tensor *inputs[] = {&view};
  qint8_calibrator *calibrator = NULL;
  CHECK(qint8_calibrator_create(tiny, NULL, NULL, &calibrator, &failure) == QINT8_OK);
  CHECK(qint8_calibrator_feed(calibrator, inputs, 1, &failure) == QINT8_OK);
  CHECK(qint8_calibrator_ranges(calibrator, &other, &failure) == QINT8_OK);
  qint8_warning w = QINT8_WARNING_INIT;
  CHECK_EQ(qint8_ranges_warning_count(ranges, other), 0);
  CHECK_EQ(qint8_ranges_warning(ranges, other, 0, &w, &failure), QINT8_ERROR_ARGUMENT);
  qint8_calibrator_destroy(calibrator);
  qint8_ranges_destroy(other);
  qint8_ranges_destroy(ranges);
  qint8_model_destroy(tiny);
  qint8_model_destroy(model);
}

int main(int argc, char **argv) {
  TEST_BEGIN(argc, argv);
  qint8_model *model = test_load("demo", NULL);
  qint8_plan *plan = test_plan(model, NULL, NULL, SAMPLES, NULL);
  input = test_input(plan, 0);
  qint8_plan_destroy(plan);
  qint8_model_destroy(model);
  RUN(histograms_count_every_value);
  RUN(channels_are_counted);
  RUN(other_models_do_not_fit);
  free(input.data);
  return TEST_END();
}
