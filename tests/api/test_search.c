/* The search within a budget, on the demo model and drawn images: what it promises about order, bounds, repetition. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "models.h"
#include "test.h"

#define BATCHES 2
#define SAMPLES 4 /* per batch */
#define PIXELS 784
#define CLASSES 10

static float images[2][BATCHES][SAMPLES * PIXELS]; /* calibration, validation */
static qint8_tensor views[2][BATCHES];
static const qint8_tensor *inputs[2][BATCHES];
static qint8_error failure = QINT8_ERROR_INIT;

static qint8_search_options draw_all(void) {
  for (int set = 0; set < 2; set++)
    for (int b = 0; b < BATCHES; b++) {
      for (int i = 0; i < SAMPLES; i++)
        test_draw_image(images[set][b] + i * PIXELS);
      views[set][b] =
          (qint8_tensor){sizeof(qint8_tensor), QINT8_DTYPE_F32, 4, {SAMPLES, 1, 28, 28}, images[set][b]};
      inputs[set][b] = &views[set][b];
    }
  qint8_search_options options = QINT8_SEARCH_OPTIONS_INIT;
  options.calibration = inputs[0];
  options.validation = inputs[1];
  options.calibration_batches = options.validation_batches = BATCHES;
  return options;
}

static qint8_search *search(const qint8_model *model, const qint8_search_options *options, const qint8_host *host) {
  qint8_search *found = NULL;
  qint8_status status = qint8_search_create(model, options, host, &found, &failure);
  CHECK_MSG(status == QINT8_OK, "%s: %s", failure.where, failure.message);
  return found;
}

static qint8_candidate candidate(const qint8_search *found, size_t index) {
  qint8_candidate c = QINT8_CANDIDATE_INIT;
  CHECK(qint8_search_candidate(found, index, &c) == QINT8_OK);
  return c;
}

static qint8_candidate best(const qint8_search *found) {
  qint8_candidate c = QINT8_CANDIDATE_INIT;
  int marked = 0;
  for (size_t i = 0; i < qint8_search_count(found); i++)
    if (candidate(found, i).best) {
      c = candidate(found, i);
      marked++;
    }
  CHECK_EQ(marked, 1);
  return c;
}

static void *save(const qint8_model *model, const qint8_recipe *recipe, int32_t format, size_t *size) {
  void *bytes = NULL;
  qint8_save_options options = QINT8_SAVE_OPTIONS_INIT;
  options.format = format;
  CHECK(qint8_model_export_memory(model, recipe, &options, NULL, &bytes, size, &failure) == QINT8_OK);
  return bytes;
}

/* All validation outputs. */
static void run_model(const qint8_model *model, const qint8_recipe *recipe, float *out) {
  qint8_plan *plan = test_plan(model, recipe, NULL, SAMPLES, NULL);
  qint8_session *session = NULL;
  CHECK(plan && qint8_session_create(plan, NULL, 0, NULL, &session, &failure) == QINT8_OK);
  for (int b = 0; session && b < BATCHES; b++) {
    qint8_tensor y = {sizeof y, QINT8_DTYPE_F32, 2, {SAMPLES, CLASSES}, out + b * SAMPLES * CLASSES};
    const qint8_tensor *outputs[] = {&y};
    CHECK(qint8_session_run(session, &inputs[1][b], 1, outputs, 1, &failure) == QINT8_OK);
  }
  qint8_session_destroy(session);
  qint8_plan_destroy(plan);
}

static double rel_err(const float *got, const float *want, size_t count) {
  double error = 0, norm = 0;
  for (size_t i = 0; i < count; i++) {
    error += ((double)got[i] - (double)want[i]) * ((double)got[i] - (double)want[i]);
    norm += (double)want[i] * (double)want[i];
  }
  return sqrt(error / norm);
}

/* What was found, from the file that it makes, is what was measured. */
static void check_file(const qint8_search *found, double metric, int32_t format) {
  static float exact[BATCHES * SAMPLES * CLASSES], direct[BATCHES * SAMPLES * CLASSES],
      again[BATCHES * SAMPLES * CLASSES];
  const qint8_model *model = qint8_search_model(found);
  qint8_model *loaded = NULL;
  qint8_recipe *recipe = NULL;
  size_t size;
  void *file = save(model, qint8_search_recipe(found), format, &size);
  CHECK(qint8_model_load_memory(file, size, NULL, &loaded, &failure) == QINT8_OK);
  CHECK(qint8_model_recipe(loaded, &recipe, &failure) == QINT8_OK);
  run_model(model, NULL, exact);
  run_model(model, qint8_search_recipe(found), direct);
  run_model(loaded, recipe, again);
  double measured = rel_err(direct, exact, BATCHES * SAMPLES * CLASSES);
  CHECK_MSG(fabs(measured - metric) < 1e-9, "rel_err %.9g, the search says %.9g", measured, metric);
  CHECK(!memcmp(direct, again, sizeof direct));
  free(file);
  qint8_recipe_destroy(recipe);
  qint8_model_destroy(loaded);
}

/* Each budget is met, a looser one more cheaply; the loosest by the first candidate. */
static void looser_is_cheaper(void) {
  static const double budgets[] = {0.5, 0.003};
  qint8_search_options options = draw_all();
  qint8_model *model = test_load("demo", NULL);
  double last_us = 0;
  options.max_evaluations = 12;
  for (int i = 0; i < 2; i++) {
    options.max_drop = budgets[i];
    qint8_search *found = search(model, &options, NULL);
    qint8_candidate c = best(found);
    printf("     budget %.3f: rel_err %.4f, %d nodes in float, %.0f of %.0f us, %zu tried\n", budgets[i], c.metric,
           (int)c.float_nodes, c.microseconds, qint8_search_float_microseconds(found), qint8_search_count(found));
    CHECK(c.met && c.metric <= budgets[i] && c.drop == c.metric);
    CHECK(c.microseconds >= last_us && c.microseconds < qint8_search_float_microseconds(found));
    CHECK_EQ(c.mixed, i > 0);
    CHECK(i > 0 || (qint8_search_count(found) == 1 && c.config == QINT8_CONFIG_STATIC_PER_TENSOR));
    last_us = c.microseconds;
    size_t size;
    free(save(qint8_search_model(found), qint8_search_recipe(found), QINT8_FORMAT_QDQ, &size));
    CHECK_EQ(c.bytes, size);
    check_file(found, c.metric, QINT8_FORMAT_QDQ);
    check_file(found, c.metric, QINT8_FORMAT_QOPERATOR);
    qint8_search_destroy(found);
  }
  qint8_model_destroy(model);
}

static void impossible_gives_the_closest(void) {
  qint8_search_options options = draw_all();
  qint8_model *model = test_load("demo", NULL);
  options.max_drop = 1e-7;
  options.max_evaluations = 7;
  qint8_search *found = search(model, &options, NULL);
  qint8_candidate closest = best(found);
  CHECK(!closest.met);
  for (size_t i = 0; i < qint8_search_count(found); i++)
    CHECK(!candidate(found, i).met && candidate(found, i).drop >= closest.drop);
  check_file(found, closest.metric, QINT8_FORMAT_QDQ);
  qint8_search_destroy(found);
  qint8_model_destroy(model);
}

/* In any order, and not in the caller's thread alone: results must not notice. */
static void backwards(void *user, size_t count, void (*task)(void *argument, size_t i), void *argument) {
  (void)user;
  while (count-- > 0)
    task(argument, count);
}

static void same_again_and_with_threads(void) {
  qint8_search_options options = draw_all();
  qint8_model *model = test_load("demo", NULL);
  qint8_host host = QINT8_HOST_INIT;
  host.threads = 3;
  host.parallel_for = backwards;
  options.max_drop = 0.008;
  options.max_evaluations = 7;
  qint8_search *one = search(model, &options, NULL), *two = search(model, &options, &host);
  CHECK_EQ(qint8_search_count(one), qint8_search_count(two));
  for (size_t i = 0; i < qint8_search_count(one); i++) {
    qint8_candidate a = candidate(one, i), b = candidate(two, i);
    CHECK(a.metric == b.metric && a.float_nodes == b.float_nodes && a.bytes == b.bytes && a.best == b.best);
  }
  size_t size[2];
  void *file[2] = {save(model, qint8_search_recipe(one), QINT8_FORMAT_QDQ, &size[0]),
                   save(model, qint8_search_recipe(two), QINT8_FORMAT_QDQ, &size[1])};
  CHECK(size[0] == size[1] && !memcmp(file[0], file[1], size[0]));
  free(file[0]);
  free(file[1]);
  qint8_search_destroy(one);
  qint8_search_destroy(two);
  qint8_model_destroy(model);
}

/* A metric that no candidate can meet, and that checks what it is given. */
typedef struct watcher {
  int calls, first_was_reference;
} watcher;

static double agreement(void *user, const qint8_tensor *const *outputs, const qint8_tensor *const *reference,
                        size_t output_count) {
  watcher *w = user;
  CHECK_EQ(output_count, 1);
  CHECK(outputs[0]->dtype == QINT8_DTYPE_F32 && outputs[0]->rank == 2);
  CHECK_EQ(outputs[0]->shape[0], BATCHES * SAMPLES);
  CHECK_EQ(outputs[0]->shape[1], CLASSES);
  CHECK_EQ(reference[0]->shape[0], BATCHES * SAMPLES);
  if (w->calls++ == 0)
    w->first_was_reference = outputs[0]->data == reference[0]->data;
  return 100 - w->calls;
}

static void host_metric_and_bounds(void) {
  qint8_search_options options = draw_all();
  qint8_model *model = test_load("demo", NULL);
  watcher w = {0};
  options.metric = agreement;
  options.metric_user = &w;
  options.higher_is_better = 1;
  options.max_drop = 0.5;
  options.max_evaluations = 3;
  qint8_search *found = search(model, &options, NULL);
  CHECK(w.first_was_reference && qint8_search_reference(found) == 99);
  CHECK_EQ(qint8_search_count(found), 3);
  CHECK_EQ(w.calls, 4);
  CHECK(candidate(found, 0).best && candidate(found, 0).drop == 1);
  CHECK(candidate(found, 2).metric == 96 && candidate(found, 2).drop == 3);
  qint8_search_destroy(found);

  options.max_evaluations = 0;
  options.max_seconds = 1e-9;
  CHECK(qint8_search_create(model, &options, NULL, &found, &failure) == QINT8_ERROR_LIMIT && !found);
  qint8_model_destroy(model);
}

/* Without calibration only dynamic remains. */
static void without_calibration(void) {
  qint8_search_options options = draw_all();
  qint8_model *model = test_load("demo", NULL);
  options.calibration_batches = 0;
  options.max_drop = 0.5;
  qint8_search *found = search(model, &options, NULL);
  CHECK_EQ(qint8_search_count(found), 1);
  CHECK_EQ(best(found).config, QINT8_CONFIG_DYNAMIC);
  qint8_search_destroy(found);
  qint8_model_destroy(model);
}

static int32_t stop(void *user, const char *what, size_t done, size_t total) {
  (void)what;
  (void)total;
  return done == *(size_t *)user;
}

static void bad_calls(void) {
  qint8_search_options options = draw_all(), bad;
  qint8_model *model = test_load("demo", NULL), *other = test_load("tiny", NULL);
  qint8_search *found;
  CHECK(qint8_search_create(NULL, &options, NULL, &found, &failure) == QINT8_ERROR_ARGUMENT);
  CHECK(qint8_search_create(model, NULL, NULL, &found, &failure) == QINT8_ERROR_ARGUMENT);
  CHECK(qint8_search_create(model, &options, NULL, NULL, &failure) == QINT8_ERROR_ARGUMENT);
  bad = options;
  bad.validation_batches = 0;
  CHECK(qint8_search_create(model, &bad, NULL, &found, &failure) == QINT8_ERROR_ARGUMENT && !found);
  bad = options;
  bad.calibration = NULL;
  CHECK(qint8_search_create(model, &bad, NULL, &found, &failure) == QINT8_ERROR_ARGUMENT);
  bad = options;
  bad.max_drop = NAN;
  CHECK(qint8_search_create(model, &bad, NULL, &found, &failure) == QINT8_ERROR_ARGUMENT);
  bad = options;
  bad.struct_size--;
  CHECK(qint8_search_create(model, &bad, NULL, &found, &failure) == QINT8_ERROR_ARGUMENT);
  CHECK(qint8_search_create(other, &options, NULL, &found, &failure) == QINT8_ERROR_SHAPE);
  images[1][1][9] = INFINITY;
  CHECK(qint8_search_create(model, &options, NULL, &found, &failure) == QINT8_ERROR_DATA);
  CHECK_MSG(strstr(failure.message, "element 9 is infinite"), "%s", failure.message);
  images[1][1][9] = 0;
  qint8_host host = QINT8_HOST_INIT;
  size_t at = 1;
  host.progress = stop;
  host.user = &at;
  CHECK(qint8_search_create(model, &options, &host, &found, &failure) == QINT8_ERROR_CANCELLED && !found);
  qint8_search_destroy(NULL);
  qint8_model_destroy(other);
  qint8_model_destroy(model);
}

/* A recipe without its most damaging node is better by that node's damage; the sum of damages is about the whole. */
static void sensitivity_of_nodes(void) {
  qint8_search_options options = draw_all();
  qint8_model *model = test_load("demo", NULL);
  options.max_drop = 0.5;
  qint8_search *found = search(model, &options, NULL);
  qint8_sensitivity *s = NULL;
  CHECK(qint8_sensitivity_create(qint8_search_model(found), qint8_search_recipe(found), inputs[0], 1, NULL, &s,
                                 &failure) == QINT8_OK);
  double squares = 0, least = 1;
  int weighted = 0;
  for (size_t i = 0; i < qint8_sensitivity_count(s); i++) {
    qint8_node_damage d = QINT8_NODE_DAMAGE_INIT;
    CHECK(qint8_sensitivity_node(s, i, &d) == QINT8_OK && d.name && d.op_type && d.output);
    CHECK(d.error_alone >= 0 && d.error_without >= 0 && isfinite(d.microseconds));
    squares += d.error_alone * d.error_alone;
    least = d.error_without < least ? d.error_without : least;
    weighted += !strcmp(d.op_type, "Conv") || !strcmp(d.op_type, "Gemm");
  }
  double error = qint8_sensitivity_error(s), sum = sqrt(squares);
  printf("     rel_err %.4f, of single nodes together %.4f, without the worst %.4f\n", error, sum, least);
  qint8_sensitivity_destroy(s);
  CHECK(weighted > 40 && error > 0 && least < error && sum > 0.3 * error && sum < 3 * error);
  CHECK(qint8_sensitivity_create(model, NULL, inputs[0], 1, NULL, &s, &failure) == QINT8_ERROR_ARGUMENT && !s);
  CHECK(qint8_sensitivity_create(model, qint8_search_recipe(found), inputs[0], 0, NULL, &s, &failure) ==
        QINT8_ERROR_ARGUMENT);
  qint8_search_destroy(found);
  qint8_model_destroy(model);
}

/* `force`, since all is faster in float in networks as small as those searched with one batch. */
static qint8_search_options of_one_batch(const qint8_tensor *const *calibration,
                                         const qint8_tensor *const *validation) {
  qint8_search_options options = QINT8_SEARCH_OPTIONS_INIT;
  options.calibration = calibration;
  options.validation = validation;
  options.calibration_batches = options.validation_batches = 1;
  options.force = 1;
  return options;
}

/* Of several quantities in one input, the small ones would share steps as wide as those of the large ones. */
static void unlike_inputs_are_scaled(void) {
  static float rows[2][64 * 6];
  qint8_tensor a = {sizeof a, QINT8_DTYPE_F32, 2, {64, 6}, rows[0]}, b = {sizeof b, QINT8_DTYPE_F32, 2, {64, 6}, rows[1]};
  const qint8_tensor *calibration = &a, *validation = &b;
  qint8_search_options options = of_one_batch(&calibration, &validation);
  options.max_drop = 1;
  options.max_evaluations = 1;
  qint8_model *model = test_load("tiny", NULL);
  for (int unlike = 0; unlike < 2; unlike++) {
    for (int i = 0; i < 2 * 64 * 6; i++)
      rows[i / 384][i % 384] = test_random_float(-1, 1) * (unlike && i % 6 == 2 ? 300 : 1);
    qint8_search *found = search(model, &options, NULL);
    qint8_candidate c = best(found);
    printf("     %s channels: rel_err %.5f\n", unlike ? "unlike" : "alike", c.metric);
    CHECK_EQ((c.repairs & QINT8_REPAIR_EQUALISE) != 0, unlike);
    CHECK_EQ(qint8_model_node_count(qint8_search_model(found)), qint8_model_node_count(model) + (size_t)unlike);
    CHECK(c.metric < 0.05);
    qint8_search_destroy(found);
  }
  qint8_model_destroy(model);
}

/* Each failing allocation of a small search gives MEMORY and leaks nothing. */
static void failing_allocations(void) {
  counting_host counter;
  counting_host_init(&counter);
  static float rows[2][4 * 6];
  for (int i = 0; i < 4 * 6; i++) {
    rows[0][i] = test_random_float(-1, 1) * (i % 6 == 2 ? 300 : 1); /* one that is scaled */
    rows[1][i] = test_random_float(-1, 1);
  }
  qint8_tensor a = {sizeof a, QINT8_DTYPE_F32, 2, {4, 6}, rows[0]}, b = {sizeof b, QINT8_DTYPE_F32, 2, {4, 6}, rows[1]};
  const qint8_tensor *calibration = &a, *validation = &b;
  qint8_search_options options = of_one_batch(&calibration, &validation);
  qint8_model *model = test_load("tiny", NULL);
  qint8_search *found = NULL;
  long fail_at = 1, wrong = 0;
  for (qint8_status status = QINT8_ERROR_MEMORY; status != QINT8_OK && !wrong; fail_at += 1 + fail_at / 16) {
    counter.allocations = 0;
    counter.fail_at = fail_at;
    status = qint8_search_create(model, &options, &counter.host, &found, &failure);
    wrong = status != QINT8_OK && (status != QINT8_ERROR_MEMORY || found || counter.live != 0);
  }
  CHECK_MSG(!wrong, "allocation %ld: %s, %ld left", fail_at, failure.message, counter.live);
  CHECK(fail_at > 100);
  qint8_search_destroy(found);
  CHECK_EQ(counter.live, 0);
  qint8_model_destroy(model);
}

int main(int argc, char **argv) {
  TEST_BEGIN(argc, argv);
  RUN(looser_is_cheaper);
  RUN(impossible_gives_the_closest);
  RUN(same_again_and_with_threads);
  RUN(host_metric_and_bounds);
  RUN(without_calibration);
  RUN(bad_calls);
  RUN(sensitivity_of_nodes);
  RUN(unlike_inputs_are_scaled);
  RUN(failing_allocations);
  return TEST_END();
}
