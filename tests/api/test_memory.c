/* Memory: no allocation in run, the arena exact to the byte, nothing leaked, every failing allocation survived. */
#include <stdlib.h>
#include <string.h>

#include "models.h"
#include "test.h"

static void run_once(qint8_session *session, const qint8_plan *plan) {
  qint8_error error = QINT8_ERROR_INIT;
  qint8_tensor input = test_input(plan, 0), output = test_output(plan, 0);
  const qint8_tensor *inputs[] = {&input}, *outputs[] = {&output};
  CHECK(qint8_session_run(session, inputs, 1, outputs, 1, &error) == QINT8_OK);
  free(input.data);
  free(output.data);
}

static void check_arena(const char *name, const qint8_plan *plan) {
  size_t size = qint8_plan_arena_size(plan);
  qint8_error error = QINT8_ERROR_INIT;
  qint8_session *session;
  uint8_t *arena = aligned_alloc(64, (size + 63 + 64) / 64 * 64);
  memset(arena + size, 0xA5, 64);
  CHECK_MSG(size == 0 || qint8_session_create(plan, arena, size - 1, NULL, &session, &error) == QINT8_ERROR_ARGUMENT,
            "%s: an arena of %zu - 1 bytes was taken", name, size);
  CHECK(qint8_session_create(plan, arena, size, NULL, &session, &error) == QINT8_OK);
  if (session)
    run_once(session, plan);
  for (int i = 0; i < 64; i++)
    CHECK_MSG(arena[size + (size_t)i] == 0xA5, "%s: byte %d behind the arena was written", name, i);
  qint8_session_destroy(session);
  free(arena);
}

static void check_model(const char *name, qint8_config config) {
  counting_host counter;
  counting_host_init(&counter);
  qint8_model *model = test_load(name, &counter.host);
  qint8_recipe *recipe = model ? test_recipe(model, config, &counter.host) : NULL;
  qint8_plan *plan = recipe ? test_plan(model, recipe, NULL, 2, &counter.host) : NULL;
  qint8_session *session = NULL;
  qint8_error error = QINT8_ERROR_INIT;
  if (plan && qint8_session_create(plan, NULL, 0, &counter.host, &session, &error) == QINT8_OK) {
    long before = counter.allocations;
    run_once(session, plan);
    CHECK_MSG(counter.allocations == before, "%s: run allocated %ld times", name, counter.allocations - before);
    check_arena(name, plan);
  }
  qint8_session_destroy(session);
  qint8_plan_destroy(plan);
  qint8_recipe_destroy(recipe);
  qint8_model_destroy(model);
  CHECK_MSG(counter.live == 0, "%s: %ld allocations were not released", name, counter.live);
}

static void demo_model(void) {
  check_model("demo", QINT8_CONFIG_STATIC_PER_CHANNEL);
  check_model("demo", QINT8_CONFIG_DYNAMIC);
  check_model("demo", QINT8_CONFIG_FP32);
}

static void full_set(void) {
  if (test_models_dir())
    for (size_t i = 0; i < test_model_count; i++)
      check_model(test_model_names[i], QINT8_CONFIG_STATIC_PER_CHANNEL);
}

/* The whole way from bytes to a result with allocation k failing, for every k. `bytes` is a model file. */
static int whole_way(counting_host *counter, const void *bytes, size_t size) {
  qint8_error error = QINT8_ERROR_INIT;
  qint8_model *model = NULL;
  qint8_calibrator *calibrator = NULL;
  qint8_ranges *ranges = NULL;
  qint8_recipe *recipe = NULL;
  qint8_plan *plan = NULL;
  qint8_session *session = NULL;
  float values[6] = {0.5f, -1.0f, 0.25f, 1.5f, -0.75f, 0.0f}, result = 0;
  qint8_tensor input = {sizeof input, QINT8_DTYPE_F32, 2, {1, 6}, values};
  qint8_tensor output = {sizeof output, QINT8_DTYPE_F32, 2, {1, 1}, &result};
  const qint8_tensor *inputs[] = {&input}, *outputs[] = {&output};
  void *saved = NULL;
  size_t saved_size;
  qint8_status status = qint8_model_load_memory(bytes, size, &counter->host, &model, &error);
  if (status == QINT8_OK)
    status = qint8_calibrator_create(model, NULL, &counter->host, &calibrator, &error);
  if (status == QINT8_OK)
    status = qint8_calibrator_feed(calibrator, inputs, 1, &error);
  if (status == QINT8_OK)
    status = qint8_calibrator_ranges(calibrator, &ranges, &error);
  qint8_recipe_options options = QINT8_RECIPE_OPTIONS_INIT;
  options.force = 1;
  if (status == QINT8_OK)
    status = qint8_recipe_create(model, ranges, &options, &counter->host, &recipe, &error);
  if (status == QINT8_OK)
    status = qint8_recipe_keep_head(model, recipe, inputs, 1, &counter->host, &error);
  if (status == QINT8_OK)
    status = qint8_recipe_correct_biases(model, recipe, inputs, 1, &counter->host, &error);
  if (status == QINT8_OK)
    status = qint8_model_save_memory(model, recipe, &counter->host, &saved, &saved_size, &error);
  if (status == QINT8_OK)
    status = qint8_plan_create(model, recipe, NULL, &counter->host, &plan, &error);
  if (status == QINT8_OK)
    status = qint8_session_create(plan, NULL, 0, &counter->host, &session, &error);
  if (status == QINT8_OK)
    status = qint8_session_run(session, inputs, 1, outputs, 1, &error);
  if (status != QINT8_OK)
    CHECK_MSG(status == QINT8_ERROR_MEMORY && error.message[0], "allocation %ld failing gave %s \"%s\"", counter->fail_at,
              qint8_status_name(status), error.message);
  if (saved)
    counter->host.release(counter->host.user, saved);
  qint8_session_destroy(session);
  qint8_plan_destroy(plan);
  qint8_recipe_destroy(recipe);
  qint8_ranges_destroy(ranges);
  qint8_calibrator_destroy(calibrator);
  qint8_model_destroy(model);
  CHECK_MSG(counter->live == 0, "allocation %ld failing leaked %ld", counter->fail_at, counter->live);
  return status == QINT8_OK;
}

static void every_failing_allocation(void) {
  FILE *file = fopen("examples/data/tiny_mlp_a.onnx", "rb");
  CHECK_MSG(file, "examples/data/tiny_mlp_a.onnx cannot be opened");
  if (!file)
    return;
  static char bytes[65536];
  size_t size = fread(bytes, 1, sizeof bytes, file);
  fclose(file);
  long k = 1;
  for (;; k++) {
    counting_host counter;
    counting_host_init(&counter);
    counter.fail_at = k;
    if (whole_way(&counter, bytes, size) && counter.allocations < k)
      break;
    if (test_failed_checks > 10 || k > 100000)
      break;
  }
  printf("     %ld allocations failed one after another\n", k - 1);
  CHECK(k > 20);
}

int main(int argc, char **argv) {
  TEST_BEGIN(argc, argv);
  RUN(demo_model);
  RUN(full_set);
  RUN(every_failing_allocation);
  return TEST_END();
}
