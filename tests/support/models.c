#include "models.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "test.h"

const char *const test_model_names[] = {
    "fmnist_cnn",  "fmnist_cnn_bn", "fmnist_mnv2", "fmnist_mnv2_bn", "fmnist_mnv3s", "fmnist_mnv3l",
    "fmnist_effb0", "ocr_cls",      "tiny_mlp_a",  "tiny_mlp_b",
};
const size_t test_model_count = sizeof test_model_names / sizeof *test_model_names;

static void *counted_allocate(void *user, size_t size, size_t alignment) {
  counting_host *c = user;
  c->allocations++;
  if (c->fail_at && c->allocations >= c->fail_at)
    return NULL;
  c->live++;
  return aligned_alloc(alignment, (size + alignment - 1) / alignment * alignment);
}

static void counted_release(void *user, void *memory) {
  ((counting_host *)user)->live--;
  free(memory);
}

void counting_host_init(counting_host *counter) {
  *counter = (counting_host){.host = QINT8_HOST_INIT};
  counter->host.user = counter;
  counter->host.allocate = counted_allocate;
  counter->host.release = counted_release;
}

qint8_model *test_load(const char *name, const qint8_host *host) {
  char path[1024];
  const char *dir = getenv("MODELS");
  if (!strcmp(name, "demo"))
    snprintf(path, sizeof path, "examples/data/fmnist_mnv3s.onnx");
  else if (!strcmp(name, "tiny"))
    snprintf(path, sizeof path, "examples/data/tiny_mlp_a.onnx");
  else
    snprintf(path, sizeof path, "%s/models/%s.onnx", dir ? dir : ".", name);
  qint8_error error = QINT8_ERROR_INIT;
  qint8_model *model;
  qint8_status status = qint8_model_load_file(path, host, &model, &error);
  CHECK_MSG(status == QINT8_OK, "%s: %s: %s", path, error.where, error.message);
  return model;
}

static size_t count_of(const qint8_tensor *t) {
  size_t count = 1;
  for (int d = 0; d < t->rank; d++)
    count *= (size_t)t->shape[d];
  return count;
}

static qint8_tensor make_tensor(const qint8_tensor_info *info) {
  qint8_tensor t = QINT8_TENSOR_INIT;
  t.dtype = info->dtype;
  t.rank = info->rank;
  memcpy(t.shape, info->shape, sizeof t.shape);
  t.data = calloc(count_of(&t) + 1, qint8_dtype_size((qint8_dtype)t.dtype));
  return t;
}

/* Not test_random: the same values whatever ran before, so that plans can be compared. */
static void fill(qint8_tensor *t, uint32_t seed) {
  float *values = t->data;
  size_t count = count_of(t);
  for (size_t i = 0; i < count; i++) {
    seed = seed * 1664525u + 1013904223u;
    values[i] = (float)(seed >> 8) / 16777216.0f * 4.0f - 1.5f;
  }
}

qint8_tensor test_input(const qint8_plan *plan, size_t index) {
  qint8_tensor_info info = QINT8_TENSOR_INFO_INIT;
  CHECK(qint8_plan_input(plan, index, &info) == QINT8_OK);
  qint8_tensor t = make_tensor(&info);
  fill(&t, 7);
  return t;
}

qint8_tensor test_output(const qint8_plan *plan, size_t index) {
  qint8_tensor_info info = QINT8_TENSOR_INFO_INIT;
  CHECK(qint8_plan_output(plan, index, &info) == QINT8_OK);
  return make_tensor(&info);
}

qint8_plan *test_plan(const qint8_model *model, const qint8_recipe *recipe, const char *isa, int64_t batch,
                      const qint8_host *host) {
  qint8_tensor_info info = QINT8_TENSOR_INFO_INIT;
  CHECK(qint8_model_input(model, 0, &info) == QINT8_OK);
  qint8_tensor shape = QINT8_TENSOR_INIT;
  shape.rank = info.rank;
  for (int d = 0; d < info.rank; d++)
    shape.shape[d] = info.shape[d] < 0 ? batch : info.shape[d];
  const qint8_tensor *shapes[] = {&shape};
  qint8_plan_options options = QINT8_PLAN_OPTIONS_INIT;
  options.isa = isa;
  options.input_shapes = shapes;
  options.input_shape_count = 1;
  qint8_error error = QINT8_ERROR_INIT;
  qint8_plan *plan;
  qint8_status status = qint8_plan_create(model, recipe, &options, host, &plan, &error);
  CHECK_MSG(status == QINT8_OK, "plan: %s: %s", error.where, error.message);
  return plan;
}

qint8_recipe *test_recipe(const qint8_model *model, qint8_config config, const qint8_host *host) {
  qint8_error error = QINT8_ERROR_INIT;
  qint8_calibrator *calibrator = NULL;
  qint8_ranges *ranges = NULL;
  qint8_recipe *recipe = NULL;
  qint8_plan *plan = test_plan(model, NULL, NULL, 2, host);
  qint8_status status = qint8_calibrator_create(model, NULL, host, &calibrator, &error);
  for (uint32_t seed = 1; seed < 5 && status == QINT8_OK && plan; seed++) {
    qint8_tensor input = test_input(plan, 0);
    fill(&input, seed);
    const qint8_tensor *inputs[] = {&input};
    status = qint8_calibrator_feed(calibrator, inputs, 1, &error);
    free(input.data);
  }
  if (status == QINT8_OK)
    status = qint8_calibrator_ranges(calibrator, &ranges, &error);
  qint8_recipe_options options = QINT8_RECIPE_OPTIONS_INIT;
  options.config = config;
  options.force = 1; /* the smallest models too: what stays float has nothing to compare */
  if (status == QINT8_OK)
    status = qint8_recipe_create(model, ranges, &options, host, &recipe, &error);
  CHECK_MSG(status == QINT8_OK, "recipe: %s: %s", error.where, error.message);
  qint8_ranges_destroy(ranges);
  qint8_calibrator_destroy(calibrator);
  qint8_plan_destroy(plan);
  return recipe;
}

void *test_run_plan(const qint8_plan *plan, const qint8_host *host, size_t *size) {
  qint8_error error = QINT8_ERROR_INIT;
  qint8_session *session;
  qint8_tensor input = test_input(plan, 0), output = test_output(plan, 0);
  const qint8_tensor *inputs[] = {&input}, *outputs[] = {&output};
  qint8_status status = qint8_session_create(plan, NULL, 0, host, &session, &error);
  if (status == QINT8_OK)
    status = qint8_session_run(session, inputs, 1, outputs, 1, &error);
  CHECK_MSG(status == QINT8_OK, "run: %s: %s", error.where, error.message);
  qint8_session_destroy(session);
  free(input.data);
  *size = count_of(&output) * qint8_dtype_size((qint8_dtype)output.dtype);
  return output.data;
}

void test_draw_image(float *image) {
  int top = test_random_int(2, 10), left = test_random_int(2, 10), size = test_random_int(8, 16);
  float level = test_random_float(0.2f, 2.0f);
  for (int i = 0; i < 28 * 28; i++) {
    int y = i / 28 - top, x = i % 28 - left, inside = y >= 0 && y < size && x >= 0 && x < size;
    image[i] = inside ? level + test_random_float(-0.3f, 0.3f) : -0.81f;
  }
}
