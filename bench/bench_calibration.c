/* Calibration beside float inference of the same samples, in one process and in turn, the least of many rounds. Each round
 * makes a plan and a session, runs all batches and closes both; then it makes a calibrator, feeds the same batches, takes
 * the ranges and closes both. So in the whole times, compiling, allocating and releasing count on both sides. `running`
 * and `feeding` are the batches after the first alone, in the same fresh objects: a calibrator compiles when the first
 * batch tells the shapes. `choosing` is what the search of a range in every histogram takes: part of quantizing,
 * not of calibrating, and independent of the number of samples.
 *
 * Without a model: those of examples/data, as far as that folder is there. */
#include <math.h>

#include "../examples/qint8/quantize.h"
#include "bench.h"

#define ROUNDS 3 /* at least */

typedef struct bench_case {
  const char *path;
  qint8_model *model;
  dataset data;
  const qint8_tensor **batches; /* [batch_count][data.parts] */
  size_t batch_count, output_count;
  qint8_tensor *outputs; /* [output_count] with room for a batch */
  const qint8_tensor **to;
  qint8_calibrator_options options;
} bench_case;

typedef struct times {
  double whole, rest; /* all; the batches after the first alone */
  double choosing;
} times;

static void check(qint8_status status, const char *doing, const qint8_error *error) {
  if (status != QINT8_OK)
    exit(fail_error(doing, status, error));
}

static void create_session(const bench_case *c, qint8_plan **plan, qint8_session **session) {
  qint8_error error = QINT8_ERROR_INIT;
  qint8_plan_options options = QINT8_PLAN_OPTIONS_INIT;
  options.input_shapes = c->batches;
  options.input_shape_count = c->data.parts;
  check(qint8_plan_create(c->model, NULL, &options, NULL, plan, &error), c->path, &error);
  check(qint8_session_create(*plan, NULL, 0, NULL, session, &error), c->path, &error);
}

static times time_float(const bench_case *c) {
  qint8_error error = QINT8_ERROR_INIT;
  qint8_plan *plan;
  qint8_session *session;
  times t = {0};
  double start = bench_now(), first = start;
  create_session(c, &plan, &session);
  for (size_t b = 0; b < c->batch_count; b++) {
    check(qint8_session_run(session, &c->batches[b * c->data.parts], c->data.parts, c->to, c->output_count, &error),
          c->path, &error);
    first = b == 0 ? bench_now() : first;
  }
  t.rest = bench_now() - first;
  qint8_session_destroy(session);
  qint8_plan_destroy(plan);
  t.whole = bench_now() - start;
  return t;
}

static double time_choosing(const qint8_ranges *ranges) {
  double start = bench_now();
  for (size_t i = 0; i < qint8_ranges_count(ranges); i++) {
    const char *name;
    qint8_range range = QINT8_RANGE_INIT;
    qint8_ranges_get(ranges, i, &name, &range);
  }
  return bench_now() - start;
}

static times time_calibration(const bench_case *c, int choose) {
  qint8_error error = QINT8_ERROR_INIT;
  qint8_calibrator *calibrator;
  qint8_ranges *ranges;
  times t = {.choosing = INFINITY};
  double start = bench_now(), first = start, chosen = 0;
  check(qint8_calibrator_create(c->model, &c->options, NULL, &calibrator, &error), c->path, &error);
  for (size_t b = 0; b < c->batch_count; b++) {
    check(qint8_calibrator_feed(calibrator, &c->batches[b * c->data.parts], c->data.parts, &error), c->path, &error);
    first = b == 0 ? bench_now() : first;
  }
  t.rest = bench_now() - first;
  check(qint8_calibrator_ranges(calibrator, &ranges, &error), c->path, &error);
  if (choose)
    chosen = t.choosing = time_choosing(ranges);
  qint8_ranges_destroy(ranges);
  qint8_calibrator_destroy(calibrator);
  t.whole = bench_now() - start - chosen;
  return t;
}

static void keep_least(times *least, times t) {
  least->whole = fmin(least->whole, t.whole);
  least->rest = fmin(least->rest, t.rest);
  least->choosing = fmin(least->choosing, t.choosing);
}

/* Room for the outputs of a batch. */
static void describe_outputs(bench_case *c) {
  qint8_plan *plan;
  qint8_session *session;
  create_session(c, &plan, &session);
  c->output_count = qint8_model_output_count(c->model);
  c->outputs = allocate(c->output_count, sizeof *c->outputs);
  c->to = allocate(c->output_count, sizeof *c->to);
  for (size_t i = 0; i < c->output_count; i++) {
    qint8_tensor_info info = QINT8_TENSOR_INFO_INIT;
    qint8_plan_output(plan, i, &info);
    size_t size = qint8_dtype_size((qint8_dtype)info.dtype);
    c->outputs[i] = (qint8_tensor){.struct_size = sizeof(qint8_tensor), .dtype = info.dtype, .rank = info.rank};
    memcpy(c->outputs[i].shape, info.shape, sizeof info.shape);
    for (int32_t d = 0; d < info.rank; d++)
      size *= (size_t)info.shape[d];
    c->outputs[i].data = allocate(size + 1, 1);
    c->to[i] = &c->outputs[i];
  }
  qint8_session_destroy(session);
  qint8_plan_destroy(plan);
}

static void close_job(bench_case *c) {
  for (size_t i = 0; i < c->output_count; i++)
    free(c->outputs[i].data);
  free(c->outputs);
  free(c->to);
  free(c->batches);
  dataset_free(&c->data);
  qint8_model_destroy(c->model);
}

typedef struct settings {
  double mean, std, seconds;
  long samples, batch;
  const char *observer;
  int csv;
} settings;

static int find_observer(const char *name, int32_t *kind) {
  for (*kind = 0; observer_names[*kind]; ++*kind)
    if (!strcmp(name, observer_names[*kind]))
      return 0;
  return fail("--observer %s is unknown", name);
}

static int compare_times(const char *path, const char *data, const settings *s) {
  bench_case c = {.path = path, .options = QINT8_CALIBRATOR_OPTIONS_INIT};
  qint8_recipe *recipe = NULL;
  times run = {INFINITY, INFINITY, INFINITY}, feed = run;
  if (find_observer(s->observer, &c.options.observer) || model_open(path, NULL, &c.model, &recipe))
    return EXIT_FAILED;
  qint8_recipe_destroy(recipe);
  if (dataset_load(data, c.model, s->mean, s->std, s->samples, &c.data)) {
    qint8_model_destroy(c.model);
    return EXIT_FAILED;
  }
  size_t batch = (size_t)batch_for(c.model, s->batch), samples = c.data.count / batch * batch; /* whole batches */
  if (samples == 0)
    return fail("%s: fewer samples than the batch of %zu", data, batch);
  c.batches = dataset_batches(&c.data, 0, samples, (int64_t)batch, &c.batch_count);
  describe_outputs(&c);
  double end = bench_now() + s->seconds;
  for (int round = 0; round < ROUNDS || bench_now() < end; round++) {
    keep_least(&run, time_float(&c));
    keep_least(&feed, time_calibration(&c, round < ROUNDS));
  }
  if (s->csv)
    printf("%s,%zu,%.7f,%.7f,%.7f,%.7f,%.7f\n", path, samples, run.whole, feed.whole, run.rest, feed.rest, feed.choosing);
  else
    printf("%-32s %4zu samples: float %.3f ms, calibration %.3f ms, %.2f times; running %.3f ms, feeding %.3f ms, %.2f "
           "times; choosing %.3f ms\n",
           path, samples, run.whole * 1e3, feed.whole * 1e3, feed.whole / run.whole, run.rest * 1e3, feed.rest * 1e3,
           feed.rest / run.rest, feed.choosing * 1e3);
  close_job(&c);
  return EXIT_DONE;
}

static int is_there(const char *path) {
  FILE *file = fopen(path, "rb");
  return file && !fclose(file);
}

static int report_examples(const settings *s) {
  if (!is_there("examples/data/fmnist_mnv3s.onnx")) {
    printf("no folder examples/data here: nothing is timed\n");
    return EXIT_DONE;
  }
  return compare_times("examples/data/fmnist_mnv3s.onnx", "examples/data/fmnist_demo.npz:calib", s);
}

int main(int argc, char **argv) {
  settings s = {.mean = NAN, .std = NAN, .seconds = 0.5, .samples = 256, .batch = 16, .observer = "histogram"};
  const option options[] = {
      {"--samples", "N", "how many (256)", OPTION_INT, &s.samples},
      {"--batch", "N", "samples per run (16)", OPTION_INT, &s.batch},
      {"--observer", "KIND", "minmax, moving_average, histogram, percentile or entropy (histogram)", OPTION_TEXT, &s.observer},
      {"--mean", "M", "of images", OPTION_FLOAT, &s.mean},
      {"--std", "S", "of images", OPTION_FLOAT, &s.std},
      {"--seconds", "S", "time in rounds, at least three of them (0.5)", OPTION_FLOAT, &s.seconds},
      {"--csv", NULL, "path, samples, seconds: float, calibration, running, feeding, choosing", OPTION_FLAG, &s.csv},
  };
  const command_line line = {"bench_calibration [MODEL DATA]", "DATA is FILE.npy or FILE.npz:KEY.", options,
                             COUNT(options), 0, 2};
  const char *words[2] = {NULL, NULL};
  int stop = parse_options(&line, argc - 1, argv + 1, words);
  if (stop)
    return stop - 1;
  if (words[0] && !words[1])
    return fail("%s: which DATA?", words[0]);
  return words[0] ? compare_times(words[0], words[1], &s) : report_examples(&s);
}
