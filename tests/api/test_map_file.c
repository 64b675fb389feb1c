/* qint8_model_map_file: the same model as from memory, after the file's name is gone too, and without a leak if an
 * allocation fails. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "models.h"
#include "test.h"

/* A quantized model in a new file; its path, removed by the caller. */
static const char *make_file(void) {
  static char path[512];
  const char *dir = getenv("TMPDIR");
  snprintf(path, sizeof path, "%s/qint8_map_%p.onnx", dir ? dir : "/tmp", (void *)&path);
  qint8_model *model = test_load("demo", NULL);
  qint8_recipe *recipe = model ? test_recipe(model, QINT8_CONFIG_STATIC_PER_CHANNEL, NULL) : NULL;
  qint8_error error = QINT8_ERROR_INIT;
  CHECK_MSG(recipe && qint8_model_save_file(model, recipe, path, &error) == QINT8_OK, "%s", error.message);
  qint8_recipe_destroy(recipe);
  qint8_model_destroy(model);
  return path;
}

/* The output for one sample, or NULL; *size its bytes. */
static void *result_of(const qint8_model *model, size_t *size) {
  qint8_recipe *recipe = NULL;
  qint8_error error = QINT8_ERROR_INIT;
  void *result = NULL;
  if (model && qint8_model_recipe(model, &recipe, &error) == QINT8_OK) {
    qint8_plan *plan = test_plan(model, recipe, NULL, 1, NULL);
    result = plan ? test_run_plan(plan, NULL, size) : NULL;
    qint8_plan_destroy(plan);
  }
  CHECK_MSG(result, "%s: %s", error.where, error.message);
  qint8_recipe_destroy(recipe);
  return result;
}

static void same_as_read(void) {
  const char *path = make_file();
  qint8_error error = QINT8_ERROR_INIT;
  qint8_model *read = NULL, *mapped = NULL;
  CHECK_EQ(qint8_model_load_file(path, NULL, &read, &error), QINT8_OK);
  CHECK_EQ(qint8_model_map_file(path, NULL, &mapped, &error), QINT8_OK);
  CHECK(remove(path) == 0);
  size_t want_size = 0, size = 0;
  void *want = result_of(read, &want_size);
  for (int i = 0; i < 2; i++) { /* the second plan reads weights that the first one was done with */
    void *got = result_of(mapped, &size);
    CHECK(want && got && size == want_size && memcmp(want, got, size) == 0);
    free(got);
  }
  free(want);
  qint8_model_destroy(read);
  qint8_model_destroy(mapped);
}

static void float_file(void) {
  qint8_error error = QINT8_ERROR_INIT;
  qint8_model *mapped = NULL;
  CHECK_EQ(qint8_model_map_file("examples/data/tiny_mlp_a.onnx", NULL, &mapped, &error), QINT8_OK);
  qint8_plan *plan = mapped ? test_plan(mapped, NULL, NULL, 1, NULL) : NULL;
  CHECK(plan != NULL);
  qint8_plan_destroy(plan);
  qint8_model_destroy(mapped);
}

static void files_that_are_none(void) {
  qint8_error error = QINT8_ERROR_INIT;
  qint8_model *model = (qint8_model *)&error;
  CHECK_EQ(qint8_model_map_file("no such file", NULL, &model, &error), QINT8_ERROR_FILE);
  CHECK(model == NULL);
  CHECK_EQ(qint8_model_map_file("examples", NULL, &model, &error), QINT8_ERROR_FILE);
  CHECK_EQ(qint8_model_map_file("Makefile", NULL, &model, &error), QINT8_ERROR_FORMAT);
  CHECK_EQ(qint8_model_map_file(NULL, NULL, &model, &error), QINT8_ERROR_ARGUMENT);
}

/* Recipes of one model share their memory until one is edited: then it is that one alone which differs, with or without
 * the model. */
static void recipes_are_independent(void) {
  const char *path = make_file();
  qint8_error error = QINT8_ERROR_INIT;
  qint8_model *model = NULL;
  qint8_recipe *first = NULL, *second = NULL, *third = NULL;
  qint8_qparams before = QINT8_QPARAMS_INIT, after = QINT8_QPARAMS_INIT;
  qint8_tensor_info input = QINT8_TENSOR_INFO_INIT;
  size_t count;
  CHECK_EQ(qint8_model_map_file(path, NULL, &model, &error), QINT8_OK);
  CHECK(remove(path) == 0);
  CHECK_EQ(qint8_model_input(model, 0, &input), QINT8_OK);
  CHECK_EQ(qint8_model_recipe(model, &first, &error), QINT8_OK);
  CHECK_EQ(qint8_model_recipe(model, &second, &error), QINT8_OK);
  CHECK_EQ(qint8_recipe_tensor(first, input.name, &before, 1, &count, &error), QINT8_OK);
  qint8_qparams changed = before;
  changed.scale *= 2;
  CHECK_EQ(qint8_recipe_set_tensor(first, input.name, &changed, &error), QINT8_OK);
  CHECK_EQ(qint8_recipe_tensor(first, input.name, &after, 1, &count, &error), QINT8_OK);
  CHECK(after.scale == changed.scale);
  CHECK_EQ(qint8_recipe_tensor(second, input.name, &after, 1, &count, &error), QINT8_OK);
  CHECK(after.scale == before.scale);
  CHECK_EQ(qint8_model_recipe(model, &third, &error), QINT8_OK);
  char name[128];
  snprintf(name, sizeof name, "%s", input.name);
  qint8_model_destroy(model);
  qint8_recipe_destroy(second);
  CHECK_EQ(qint8_recipe_tensor(third, name, &after, 1, &count, &error), QINT8_OK);
  CHECK(after.scale == before.scale);
  qint8_recipe_destroy(third);
  qint8_recipe_destroy(first);
}

static void every_failing_allocation(void) {
  const char *path = make_file();
  qint8_status status = QINT8_ERROR_MEMORY;
  long k = 0;
  while (status == QINT8_ERROR_MEMORY && k < 100000) {
    counting_host counter;
    counting_host_init(&counter);
    counter.fail_at = ++k;
    qint8_error error = QINT8_ERROR_INIT;
    qint8_model *model = NULL;
    status = qint8_model_map_file(path, &counter.host, &model, &error);
    qint8_model_destroy(model);
    CHECK_MSG(counter.live == 0, "allocation %ld failing leaked %ld", k, counter.live);
  }
  CHECK_EQ(status, QINT8_OK);
  CHECK(k > 20);
  CHECK(remove(path) == 0);
}

int main(int argc, char **argv) {
  TEST_BEGIN(argc, argv);
  RUN(same_as_read);
  RUN(float_file);
  RUN(files_that_are_none);
  RUN(recipes_are_independent);
  RUN(every_failing_allocation);
  return TEST_END();
}
