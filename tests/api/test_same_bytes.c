/* Same bytes on every ISA, for any number of threads, for a sample alone or in a batch, after export and import. */
#include <stdlib.h>
#include <string.h>

#include "models.h"
#include "test.h"

/* Tasks run last to first: an order that a real pool may take. */
static void backwards(void *user, size_t count, void (*task)(void *, size_t), void *argument) {
  (void)user;
  while (count-- > 0)
    task(argument, count);
}

static void expect_same(const char *model, const char *what, const void *want, size_t want_size, const void *got,
                        size_t got_size) {
  size_t wrong = 0;
  for (size_t i = 0; i < want_size && i < got_size; i++)
    wrong += ((const uint8_t *)want)[i] != ((const uint8_t *)got)[i];
  CHECK_MSG(want_size == got_size && wrong == 0, "%s, %s: %zu of %zu bytes differ", model, what, wrong, want_size);
}

static void compare_plan(const char *name, const char *what, const qint8_model *model, const qint8_recipe *recipe,
                         const char *isa, int32_t threads, const void *want, size_t want_size) {
  qint8_host host = QINT8_HOST_INIT;
  host.threads = threads;
  host.parallel_for = backwards;
  size_t size;
  qint8_plan *plan = test_plan(model, recipe, isa, 5, &host);
  void *got = plan ? test_run_plan(plan, &host, &size) : NULL;
  if (got)
    expect_same(name, what, want, want_size, got, size);
  free(got);
  qint8_plan_destroy(plan);
}

static void compare_exported(const char *name, const qint8_model *model, const qint8_recipe *recipe, int quantized,
                             const void *want, size_t want_size) {
  qint8_error error = QINT8_ERROR_INIT;
  void *bytes;
  size_t size;
  qint8_model *again = NULL;
  qint8_recipe *its_recipe = NULL;
  qint8_status status = qint8_model_save_memory(model, recipe, NULL, &bytes, &size, &error);
  if (status == QINT8_OK)
    status = qint8_model_load_memory(bytes, size, NULL, &again, &error);
  if (status == QINT8_OK && quantized)
    status = qint8_model_recipe(again, &its_recipe, &error);
  CHECK_MSG(status == QINT8_OK, "%s: %s: %s", name, error.where, error.message);
  if (status == QINT8_OK)
    compare_plan(name, "exported and imported", again, its_recipe, NULL, 1, want, want_size);
  qint8_recipe_destroy(its_recipe);
  qint8_model_destroy(again);
  free(bytes);
}

/* Sample i of the batch of 5, alone. */
static void compare_alone(const char *name, const qint8_model *model, const qint8_recipe *recipe, const char *want,
                          size_t want_size) {
  qint8_plan *five = test_plan(model, recipe, NULL, 5, NULL), *one = test_plan(model, recipe, NULL, 1, NULL);
  qint8_error error = QINT8_ERROR_INIT;
  qint8_session *session = NULL;
  if (!five || !one || qint8_session_create(one, NULL, 0, NULL, &session, &error) != QINT8_OK) {
    CHECK(!"a plan or session could not be made");
  } else {
    qint8_tensor batch = test_input(five, 0), input = test_input(one, 0), output = test_output(one, 0);
    size_t sample = 1;
    for (int d = 1; d < batch.rank; d++)
      sample *= (size_t)batch.shape[d];
    size_t row = want_size / 5;
    for (size_t i = 0; i < 5 && batch.shape[0] == 5; i++) {
      memcpy(input.data, (float *)batch.data + i * sample, sample * sizeof(float));
      const qint8_tensor *inputs[] = {&input}, *outputs[] = {&output};
      CHECK(qint8_session_run(session, inputs, 1, outputs, 1, &error) == QINT8_OK);
      expect_same(name, "alone", want + i * row, row, output.data, row);
    }
    free(batch.data);
    free(input.data);
    free(output.data);
  }
  qint8_session_destroy(session);
  qint8_plan_destroy(one);
  qint8_plan_destroy(five);
}

static void check_config(const char *name, const qint8_model *model, qint8_config config) {
  qint8_recipe *recipe = test_recipe(model, config, NULL);
  qint8_plan *plan = recipe ? test_plan(model, recipe, "scalar", 5, NULL) : NULL;
  size_t size;
  void *want = plan ? test_run_plan(plan, NULL, &size) : NULL;
  qint8_plan_destroy(plan);
  for (size_t i = 0; want && qint8_isa_name(i); i++)
    compare_plan(name, qint8_isa_name(i), model, recipe, qint8_isa_name(i), 1, want, size);
  if (want) {
    compare_plan(name, "2 threads", model, recipe, NULL, 2, want, size);
    compare_plan(name, "3 threads", model, recipe, NULL, 3, want, size);
    compare_plan(name, "7 threads", model, recipe, NULL, 7, want, size);
    compare_exported(name, model, recipe, config != QINT8_CONFIG_FP32, want, size);
    compare_alone(name, model, recipe, want, size);
  }
  free(want);
  qint8_recipe_destroy(recipe);
}

static void check_model(const char *name) {
  qint8_model *model = test_load(name, NULL);
  if (!model)
    return;
  check_config(name, model, QINT8_CONFIG_STATIC_PER_CHANNEL);
  check_config(name, model, QINT8_CONFIG_STATIC_PER_TENSOR);
  check_config(name, model, QINT8_CONFIG_DYNAMIC);
  check_config(name, model, QINT8_CONFIG_FP32);
  qint8_model_destroy(model);
}

static void demo_model(void) {
  check_model("demo");
}

static void full_set(void) {
  if (test_models_dir())
    for (size_t i = 0; i < test_model_count; i++)
      check_model(test_model_names[i]);
}

int main(int argc, char **argv) {
  TEST_BEGIN(argc, argv);
  RUN(demo_model);
  RUN(full_set);
  return TEST_END();
}
