/* Headroom, the float head and bias correction: what they promise, on the demo model and images with a large constant
 * background. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "models.h"
#include "test.h"

#define BATCHES 4
#define SAMPLES 16 /* per batch */
#define PIXELS 784
#define CLASSES 10

static float images[BATCHES][SAMPLES * PIXELS];
static qint8_tensor views[BATCHES];
static const qint8_tensor *inputs[BATCHES];
static qint8_error failure = QINT8_ERROR_INIT;

static void draw_all(void) {
  for (int b = 0; b < BATCHES; b++) {
    for (int i = 0; i < SAMPLES; i++)
      test_draw_image(images[b] + i * PIXELS);
    views[b] = (qint8_tensor){sizeof views[b], QINT8_DTYPE_F32, 4, {SAMPLES, 1, 28, 28}, images[b]};
    inputs[b] = &views[b];
  }
}

static qint8_recipe *make_recipe(const qint8_model *model, int32_t force) {
  qint8_recipe_options options = QINT8_RECIPE_OPTIONS_INIT;
  qint8_calibrator *calibrator = NULL;
  qint8_ranges *ranges = NULL;
  qint8_recipe *recipe = NULL;
  options.force = force;
  CHECK(qint8_calibrator_create(model, NULL, NULL, &calibrator, &failure) == QINT8_OK);
  for (int b = 0; b < BATCHES; b++)
    CHECK(qint8_calibrator_feed(calibrator, &inputs[b], 1, &failure) == QINT8_OK);
  CHECK(qint8_calibrator_ranges(calibrator, &ranges, &failure) == QINT8_OK);
  CHECK(qint8_recipe_create(model, ranges, &options, NULL, &recipe, &failure) == QINT8_OK);
  qint8_ranges_destroy(ranges);
  qint8_calibrator_destroy(calibrator);
  return recipe;
}

/* All outputs, in the order of the samples. */
static void run_model(const qint8_model *model, const qint8_recipe *recipe, const char *isa, float *out) {
  qint8_plan *plan = test_plan(model, recipe, isa, SAMPLES, NULL);
  qint8_session *session = NULL;
  CHECK(plan && qint8_session_create(plan, NULL, 0, NULL, &session, &failure) == QINT8_OK);
  for (int b = 0; session && b < BATCHES; b++) {
    qint8_tensor y = {sizeof y, QINT8_DTYPE_F32, 2, {SAMPLES, CLASSES}, out + b * SAMPLES * CLASSES};
    const qint8_tensor *outputs[] = {&y};
    CHECK(qint8_session_run(session, &inputs[b], 1, outputs, 1, &failure) == QINT8_OK);
  }
  qint8_session_destroy(session);
  qint8_plan_destroy(plan);
}

/* The norm over classes of the mean difference. */
static double mean_shift(const float *a, const float *b) {
  double sum = 0;
  for (int k = 0; k < CLASSES; k++) {
    double shift = 0;
    for (int i = 0; i < BATCHES * SAMPLES; i++)
      shift += (double)a[i * CLASSES + k] - (double)b[i * CLASSES + k];
    sum += shift * shift;
  }
  return sqrt(sum) / (BATCHES * SAMPLES);
}

static float exact[BATCHES * SAMPLES * CLASSES], before[BATCHES * SAMPLES * CLASSES],
    after[BATCHES * SAMPLES * CLASSES], again[BATCHES * SAMPLES * CLASSES];

/* With every product in int8: the last one would stay float otherwise, and float products are not corrected. */
static void means_of_the_result_come_back(void) {
  draw_all();
  qint8_model *model = test_load("demo", NULL);
  qint8_recipe *recipe = make_recipe(model, 1);
  run_model(model, NULL, NULL, exact);
  run_model(model, recipe, NULL, before);
  CHECK(qint8_recipe_correct_biases(model, recipe, inputs, BATCHES, NULL, &failure) == QINT8_OK);
  run_model(model, recipe, NULL, after);
  double was = mean_shift(before, exact), is = mean_shift(after, exact);
  printf("     mean shift of the logits %.4f, corrected %.4f\n", was, is);
  CHECK(is < 0.02 * was);

  CHECK(qint8_recipe_correct_biases(model, recipe, inputs, BATCHES, NULL, &failure) == QINT8_OK);
  run_model(model, recipe, "scalar", again);
  CHECK_MSG(!memcmp(after, again, sizeof after), "correcting twice, or another ISA, gives other bytes");
  qint8_recipe_destroy(recipe);
  qint8_model_destroy(model);
}

static void corrected_biases_are_saved(void) {
  draw_all();
  qint8_model *model = test_load("demo", NULL), *loaded = NULL;
  qint8_recipe *recipe = make_recipe(model, 0), *from_file = NULL;
  void *file = NULL;
  size_t size;
  CHECK(qint8_recipe_correct_biases(model, recipe, inputs, BATCHES, NULL, &failure) == QINT8_OK);
  CHECK(qint8_model_save_memory(model, recipe, NULL, &file, &size, &failure) == QINT8_OK);
  CHECK(qint8_model_load_memory(file, size, NULL, &loaded, &failure) == QINT8_OK);
  CHECK(qint8_model_recipe(loaded, &from_file, &failure) == QINT8_OK);
  run_model(model, recipe, NULL, after);
  run_model(loaded, from_file, NULL, again);
  CHECK(!memcmp(after, again, sizeof after));
  free(file);
  qint8_recipe_destroy(from_file);
  qint8_recipe_destroy(recipe);
  qint8_model_destroy(loaded);
  qint8_model_destroy(model);
}

static int32_t stop_at_third(void *user, const char *what, size_t done, size_t total) {
  (void)user;
  CHECK(!strcmp(what, "correct biases") && done <= total);
  return done == 3;
}

static void bad_calls(void) {
  draw_all();
  qint8_model *model = test_load("demo", NULL), *other = test_load("tiny", NULL);
  qint8_recipe *recipe = make_recipe(model, 0);
  CHECK(qint8_recipe_correct_biases(model, recipe, inputs, 0, NULL, &failure) == QINT8_ERROR_ARGUMENT);
  CHECK(qint8_recipe_correct_biases(NULL, recipe, inputs, 1, NULL, &failure) == QINT8_ERROR_ARGUMENT);
  CHECK(qint8_recipe_correct_biases(model, NULL, inputs, 1, NULL, &failure) == QINT8_ERROR_ARGUMENT);
  CHECK(qint8_recipe_correct_biases(model, recipe, NULL, 1, NULL, &failure) == QINT8_ERROR_ARGUMENT);
  CHECK(qint8_recipe_correct_biases(other, recipe, inputs, 1, NULL, &failure) == QINT8_ERROR_ARGUMENT);
  views[1].shape[2] = 27;
  CHECK(qint8_recipe_correct_biases(model, recipe, inputs, BATCHES, NULL, &failure) != QINT8_OK && failure.message[0]);
  views[1].shape[2] = 28;
  images[2][5] = NAN;
  CHECK(qint8_recipe_correct_biases(model, recipe, inputs, BATCHES, NULL, &failure) == QINT8_ERROR_DATA);
  CHECK_MSG(strstr(failure.message, "element 5 is NaN"), "%s: %s", failure.where, failure.message);
  images[2][5] = 0;
  qint8_host host = QINT8_HOST_INIT;
  host.progress = stop_at_third;
  CHECK(qint8_recipe_correct_biases(model, recipe, inputs, BATCHES, &host, &failure) == QINT8_ERROR_CANCELLED);
  run_model(model, recipe, NULL, after); /* still usable */
  qint8_recipe_destroy(recipe);
  qint8_model_destroy(other);
  qint8_model_destroy(model);
}

static double rel_err(const float *got, const float *want, size_t count) {
  double error = 0, norm = 0;
  for (size_t i = 0; i < count; i++) {
    error += ((double)got[i] - (double)want[i]) * ((double)got[i] - (double)want[i]);
    norm += (double)want[i] * (double)want[i];
  }
  return sqrt(error / norm);
}

static void a_float_head_removes_error(void) {
  draw_all();
  qint8_model *model = test_load("demo", NULL);
  qint8_recipe *recipe = make_recipe(model, 0);
  CHECK(qint8_recipe_head(recipe) == 0 && qint8_recipe_head(NULL) == 0);
  run_model(model, NULL, NULL, exact);
  run_model(model, recipe, NULL, before);
  CHECK(qint8_recipe_keep_head(model, recipe, inputs, BATCHES, NULL, &failure) == QINT8_OK);
  run_model(model, recipe, NULL, after);
  size_t count = BATCHES * SAMPLES * CLASSES;
  double was = rel_err(before, exact, count), is = rel_err(after, exact, count);
  printf("     rel_err %.4f, with %zu operators in float %.4f\n", was, qint8_recipe_head(recipe), is);
  CHECK(was > 0.025 && qint8_recipe_head(recipe) > 0 && is <= 0.8 * was);
  run_model(model, recipe, "scalar", again);
  CHECK_MSG(!memcmp(after, again, sizeof after), "another ISA gives other bytes");
  qint8_recipe_destroy(recipe);
  qint8_model_destroy(model);
}

static void a_head_that_is_not_needed_stays_int8(void) {
  draw_all();
  qint8_model *model = test_load("demo", NULL);
  qint8_recipe *recipe = NULL;
  qint8_recipe_options options = QINT8_RECIPE_OPTIONS_INIT;
  options.config = QINT8_CONFIG_DYNAMIC;
  CHECK(qint8_recipe_create(model, NULL, &options, NULL, &recipe, &failure) == QINT8_OK);
  CHECK(qint8_recipe_keep_head(model, recipe, inputs, BATCHES, NULL, &failure) == QINT8_OK);
  CHECK(qint8_recipe_head(recipe) == 0);
  qint8_recipe_destroy(recipe);
  qint8_model_destroy(model);
}

/* Tensors whose parameters reach at least 1.25 times as far as the values seen; *input: how far the input's do. */
static size_t wide_tensors(const qint8_model *model, const qint8_ranges *ranges, size_t *all, double *input) {
  qint8_recipe *recipe = NULL;
  size_t wide = 0;
  CHECK(qint8_recipe_create(model, ranges, NULL, NULL, &recipe, &failure) == QINT8_OK);
  *all = 0;
  for (size_t i = 0; i < qint8_ranges_count(ranges); i++) {
    const char *name;
    qint8_range range = QINT8_RANGE_INIT;
    qint8_qparams q = QINT8_QPARAMS_INIT;
    CHECK(qint8_ranges_get(ranges, i, &name, &range) == QINT8_OK);
    if (range.max <= range.min || qint8_recipe_tensor(recipe, name, &q, 1, NULL, NULL) != QINT8_OK)
      continue;
    double reach = (double)q.scale * 255 / (fmax(0, (double)range.max) - fmin(0, (double)range.min)); /* 0 is inside */
    *input = !strcmp(name, "input") ? reach : *input;
    wide += reach >= 1.25;
    ++*all;
  }
  qint8_recipe_destroy(recipe);
  return wide;
}

static qint8_ranges *calibrate(const qint8_model *model) {
  qint8_calibrator *calibrator = NULL;
  qint8_ranges *ranges = NULL;
  CHECK(qint8_calibrator_create(model, NULL, NULL, &calibrator, &failure) == QINT8_OK);
  for (int b = 0; b < BATCHES; b++)
    CHECK(qint8_calibrator_feed(calibrator, &inputs[b], 1, &failure) == QINT8_OK);
  CHECK(qint8_calibrator_ranges(calibrator, &ranges, &failure) == QINT8_OK);
  qint8_calibrator_destroy(calibrator);
  return ranges;
}

static void growing_ranges_get_headroom(void) {
  qint8_model *model = test_load("demo", NULL);
  size_t all;
  double input = 0;
  draw_all();
  memcpy(images[BATCHES - 1], images[0], sizeof images[0]); /* nothing new in the last quarter */
  qint8_ranges *steady = calibrate(model);
  CHECK_EQ(wide_tensors(model, steady, &all, &input), 0);
  for (int i = 0; i < SAMPLES * PIXELS; i++)
    images[BATCHES - 1][i] *= 3;
  qint8_ranges *growing = calibrate(model);
  size_t wide = wide_tensors(model, growing, &all, &input);
  printf("     %zu of %zu tensors with headroom\n", wide, all);
  CHECK(wide > all / 4); /* the others are bounded by their functions */
  CHECK_MSG(fabs(input - 1) < 0.01, "the input's range was changed: %g", input);
  qint8_ranges_destroy(growing);
  qint8_ranges_destroy(steady);
  qint8_model_destroy(model);
}

int main(int argc, char **argv) {
  TEST_BEGIN(argc, argv);
  RUN(growing_ranges_get_headroom);
  RUN(means_of_the_result_come_back);
  RUN(corrected_biases_are_saved);
  RUN(bad_calls);
  RUN(a_float_head_removes_error);
  RUN(a_head_that_is_not_needed_stays_int8);
  return TEST_END();
}
