/* Adaptive rounding: less error in what a node computes than the nearest integers give, whatever the operator. */
#include <math.h>
#include <string.h>

#include "base/cpu.h"
#include "ops/op.h"
#include "onnx/export.h"
#include "onnx/import.h"
#include "ptq/bias.h"
#include "ptq/calibrate.h"
#include "ptq/decide.h"
#include "ptq/moments.h"
#include "ptq/rounding.h"
#include "test.h"

enum { BATCHES = 3, SAMPLES = 8, MAX_INPUT = SAMPLES * 512, MAX_OUTPUT = 1 << 16 };

static q8_host host;
static q8_kernels kernels;
static q8_graph *graph;
static q8_ranges *ranges;
static float samples[BATCHES][MAX_INPUT];
static q8_shape shapes[BATCHES];
static const void *data[BATCHES];
static const q8_batches batches = {BATCHES, shapes, data};
static float exact[MAX_OUTPUT], got[MAX_OUTPUT];

/* Whole numbers from 0 to 255 are exact in int8: all the error is that of the weights. Neighbours go together. */
static void draw(const q8_shape *shape) {
  size_t count = q8_shape_count(shape, NULL);
  CHECK(count <= MAX_INPUT);
  for (int b = 0; b < BATCHES; b++) {
    float level = 100;
    for (size_t i = 0; i < count; i++) {
      level += test_random_float(-30, 30);
      level = level < 0 ? 0 : level > 255 ? 255 : level;
      samples[b][i] = i == 0 ? 0 : i == 1 ? 255 : rintf(level);
    }
    shapes[b] = *shape;
    data[b] = samples[b];
  }
}

static q8_id constant(const char *name, const q8_shape *shape, float size) {
  size_t count = q8_shape_count(shape, NULL);
  float *values = q8_pool_alloc(&graph->pool, count, sizeof *values);
  for (size_t i = 0; i < count; i++)
    values[i] = test_random_float(-size, size);
  q8_id id;
  CHECK(q8_graph_add_tensor(graph, name, QINT8_DTYPE_F32, shape, values, &id, NULL) == QINT8_OK);
  return id;
}

static void set_int(const q8_op *op, void *params, const char *name, int64_t value) {
  for Q8_EACH_ATTRIBUTE(a, op)
    if (!strcmp(a->name, name))
      memcpy((char *)params + a->offset, &value, sizeof value);
}

/* x -> op -> y, with weights of that shape, a bias unless `outputs` is 0, and one attribute. */
static void build(const char *op_name, const q8_shape *x_shape, const q8_shape *w_shape, int64_t outputs,
                  const char *attribute, int64_t value) {
  const q8_op *op = q8_op_find(op_name, "");
  static int64_t params[128];
  q8_id inputs[3], y;
  q8_shape unknown = {.rank = -1}, bias = {.rank = 1, .dim = {outputs}};
  CHECK(op->params_size <= sizeof params && q8_graph_create(&host, &graph, NULL) == QINT8_OK);
  q8_op_defaults(op, params);
  if (attribute)
    set_int(op, params, attribute, value);
  CHECK(q8_graph_add_tensor(graph, "x", QINT8_DTYPE_F32, x_shape, NULL, &inputs[0], NULL) == QINT8_OK);
  CHECK(q8_graph_add_tensor(graph, "y", QINT8_DTYPE_F32, &unknown, NULL, &y, NULL) == QINT8_OK);
  inputs[1] = constant("w", w_shape, 1);
  if (outputs)
    inputs[2] = constant("b", &bias, 20);
  CHECK(q8_graph_add_node(graph, op_name, op, params, op->params_size, inputs, outputs ? 3 : 2, &y, 1, NULL) ==
        QINT8_OK);
  CHECK(q8_graph_set_inputs(graph, inputs, 1, NULL) == QINT8_OK && q8_graph_set_outputs(graph, &y, 1, NULL) == QINT8_OK);
  CHECK(q8_graph_freeze(graph, NULL) == QINT8_OK);
  draw(x_shape);
}

static q8_recipe *decide(int32_t config) {
  q8_calibrator *calibrator;
  q8_recipe *recipe = NULL;
  q8_calibrator_config options = {.observer = QINT8_OBSERVER_MINMAX, .moving_average = 1, .mask = q8_cpu_detect()};
  CHECK(q8_calibrator_new(graph, &options, &host, &calibrator, NULL) == QINT8_OK);
  for (int b = 0; b < BATCHES; b++)
    CHECK(q8_calibrator_feed(calibrator, &shapes[b], &data[b], NULL) == QINT8_OK);
  CHECK(q8_calibrator_ranges(calibrator, &ranges, NULL) == QINT8_OK);
  CHECK(q8_decide(graph, ranges, config, QINT8_DTYPE_U8, 1, &host, &recipe, NULL) == QINT8_OK);
  q8_ranges_free(ranges);
  q8_calibrator_free(calibrator);
  return recipe;
}

static size_t run(const q8_recipe *recipe, int b, float *out) {
  q8_plan_config config = {.mask = q8_cpu_detect(), .inputs = &shapes[b]};
  q8_plan *plan = NULL;
  q8_session *session = NULL;
  CHECK(q8_plan_compile(graph, recipe, &config, &host, &plan, NULL) == QINT8_OK);
  size_t count = q8_shape_count(&q8_plan_output_info(plan, 0)->shape, NULL);
  void *outputs[1] = {out};
  CHECK(count <= MAX_OUTPUT && q8_session_open(plan, NULL, 0, &host, &session, NULL) == QINT8_OK);
  CHECK(q8_session_execute(session, &data[b], outputs, NULL) == QINT8_OK);
  q8_session_close(session);
  q8_plan_free(plan);
  return count;
}

static double square_error(const q8_recipe *recipe) {
  double sum = 0;
  for (int b = 0; b < BATCHES; b++) {
    size_t count = run(NULL, b, exact);
    run(recipe, b, got);
    for (size_t i = 0; i < count; i++)
      sum += ((double)exact[i] - (double)got[i]) * ((double)exact[i] - (double)got[i]);
  }
  return sum;
}

static void correct(q8_recipe *recipe) {
  if (recipe->config != QINT8_CONFIG_DYNAMIC)
    CHECK(q8_correct_biases(graph, recipe, &(q8_runner){&batches, q8_cpu_detect(), "", &host}, NULL) == QINT8_OK);
}

static void check_gain(const char *what, int32_t config, double most) {
  q8_recipe *nearest = decide(config), *rounded = decide(config);
  nearest->tensors[q8_recipe_find(nearest, "w")].integers = NULL; /* dynamic ones keep sums */
  CHECK(q8_round_weights(graph, rounded, &(q8_runner){&batches, q8_cpu_detect(), "", &host}, NULL) == QINT8_OK);
  const q8_tensor_quant *quant = &rounded->tensors[q8_recipe_find(rounded, "w")];
  CHECK(quant->integers != NULL);
  for (size_t i = 0; quant->integers && i < quant->integer_count; i++)
    CHECK(quant->integers[i] >= -127 && quant->integers[i] <= 127);
  correct(nearest);
  correct(rounded);
  double before = square_error(nearest), after = square_error(rounded);
  printf("     %s: error %.3f of that of the nearest integers\n", what, after / before);
  CHECK_MSG(after < most * before, "%s: %g, nearest %g", what, after, before);
  q8_recipe_free(nearest);
  q8_recipe_free(rounded);
  q8_graph_destroy(graph);
}

static void errors_of_weights_cancel(void) {
  const q8_shape image = {4, {SAMPLES, 6, 8, 8}}, deep = {4, {SAMPLES, 24, 4, 4}}, rows = {2, {SAMPLES, 48}},
                 steps = {3, {SAMPLES, 5, 40}};
  build("Conv", &image, &(q8_shape){4, {5, 6, 3, 3}}, 5, NULL, 0);
  check_gain("convolution", QINT8_CONFIG_STATIC_PER_CHANNEL, 0.8);
  build("Conv", &deep, &(q8_shape){4, {6, 12, 2, 3}}, 6, "group", 2);
  check_gain("grouped", QINT8_CONFIG_STATIC_PER_CHANNEL, 0.8);
  build("Conv", &image, &(q8_shape){4, {6, 1, 5, 5}}, 6, "group", 6);
  check_gain("depthwise", QINT8_CONFIG_STATIC_PER_TENSOR, 0.8);
  build("Conv", &deep, &(q8_shape){4, {8, 24, 1, 1}}, 0, NULL, 0);
  check_gain("pointwise without bias", QINT8_CONFIG_STATIC_PER_CHANNEL, 0.9);
  build("Gemm", &rows, &(q8_shape){2, {48, 7}}, 7, NULL, 0);
  check_gain("Gemm", QINT8_CONFIG_STATIC_PER_CHANNEL, 0.8);
  build("Gemm", &rows, &(q8_shape){2, {7, 48}}, 7, "transB", 1);
  check_gain("Gemm, transposed", QINT8_CONFIG_STATIC_PER_CHANNEL, 0.8);
  build("MatMul", &steps, &(q8_shape){2, {40, 9}}, 0, NULL, 0);
  check_gain("MatMul", QINT8_CONFIG_STATIC_PER_TENSOR, 0.8);
  build("MatMul", &steps, &(q8_shape){2, {40, 9}}, 0, NULL, 0);
  check_gain("MatMul, dynamic", QINT8_CONFIG_DYNAMIC, 0.8);
}

/* Moments against their definition. */
static void moments_are_those_of_patches(void) {
  const q8_shape image = {4, {1, 2, 4, 4}};
  build("Conv", &image, &(q8_shape){4, {3, 2, 3, 3}}, 3, NULL, 0);
  q8_product product;
  q8_moments m;
  CHECK(q8_product_of(graph, &graph->nodes[0], &product) && product.k == 18 && product.n == 3 && product.groups == 1);
  CHECK(q8_moments_new(&product, &host, &m, NULL) == QINT8_OK);
  CHECK(q8_moments_add(&m, &image, samples[0], 1, &host, NULL) == QINT8_OK);
  CHECK(m.rows == 4);
  q8_moments_finish(&m, 0);
  for (size_t i = 0; i < 18; i++)
    for (size_t j = 0; j < 18; j++) {
      double sum = 0, mean = 0;
      for (size_t at = 0; at < 4; at++) {
        size_t corner = at / 2 * 4 + at % 2;
        double a = (double)samples[0][i / 9 * 16 + corner + i % 9 / 3 * 4 + i % 3];
        sum += a * (double)samples[0][j / 9 * 16 + corner + j % 9 / 3 * 4 + j % 3] / 4;
        mean += a / 4;
      }
      CHECK(fabs(m.mean[i] - mean) < 1e-3);
      if (i != j)
        CHECK_MSG(fabs((double)m.h[i * m.stride + j] - sum) < 1e-2, "%zu, %zu: %g, expected %g", i, j,
                  (double)m.h[i * m.stride + j], sum);
    }
  q8_moments_free(&m, &host);
  q8_graph_destroy(graph);
}

/* The file holds the chosen integers: what is loaded computes the same bytes. */
static void chosen_integers_are_saved(void) {
  const q8_shape image = {4, {SAMPLES, 6, 8, 8}};
  build("Conv", &image, &(q8_shape){4, {5, 6, 3, 3}}, 5, NULL, 0);
  q8_recipe *recipe = decide(QINT8_CONFIG_STATIC_PER_CHANNEL), *loaded_recipe = NULL;
  CHECK(q8_round_weights(graph, recipe, &(q8_runner){&batches, q8_cpu_detect(), "", &host}, NULL) == QINT8_OK);
  size_t count = run(recipe, 0, exact), size;
  void *bytes = NULL;
  q8_graph *original = graph, *loaded = NULL;
  q8_onnx_quant *quant = NULL;
  CHECK(q8_onnx_export(graph, recipe, QINT8_FORMAT_QDQ, &host, &bytes, &size, NULL) == QINT8_OK);
  CHECK(q8_onnx_import(bytes, size, &host, &loaded, &quant, NULL) == QINT8_OK);
  CHECK(q8_graph_freeze(loaded, NULL) == QINT8_OK);
  CHECK(q8_onnx_recipe(quant, loaded, &host, &loaded_recipe, NULL) == QINT8_OK);
  graph = loaded;
  run(loaded_recipe, 0, got);
  CHECK(!memcmp(exact, got, count * sizeof *got));
  q8_onnx_quant_destroy(quant);
  q8_recipe_free(loaded_recipe);
  q8_recipe_free(recipe);
  q8_graph_destroy(loaded);
  q8_graph_destroy(original);
  q8_free(&host, bytes);
}

/* The same on several threads. */
static void threads_do_not_matter(void) {
  const q8_shape rows = {2, {SAMPLES, 48}};
  build("Gemm", &rows, &(q8_shape){2, {48, 7}}, 7, NULL, 0);
  q8_recipe *one = decide(QINT8_CONFIG_STATIC_PER_CHANNEL), *many = decide(QINT8_CONFIG_STATIC_PER_CHANNEL);
  q8_host split = host;
  split.threads = 3; /* without a parallel_for: split all the same */
  CHECK(q8_round_weights(graph, one, &(q8_runner){&batches, q8_cpu_detect(), "", &host}, NULL) == QINT8_OK);
  CHECK(q8_round_weights(graph, many, &(q8_runner){&batches, q8_cpu_detect(), "", &split}, NULL) == QINT8_OK);
  int32_t w = q8_recipe_find(one, "w");
  CHECK(!memcmp(one->tensors[w].integers, many->tensors[w].integers, one->tensors[w].integer_count * sizeof(int32_t)));
  q8_recipe_free(one);
  q8_recipe_free(many);
  q8_graph_destroy(graph);
}

int main(int argc, char **argv) {
  TEST_BEGIN(argc, argv);
  CHECK(q8_host_init(&host, NULL, NULL) == QINT8_OK);
  q8_kernels_select(q8_cpu_detect(), &kernels);
  RUN(errors_of_weights_cancel);
  RUN(moments_are_those_of_patches);
  RUN(chosen_integers_are_saved);
  RUN(threads_do_not_matter);
  return TEST_END();
}
