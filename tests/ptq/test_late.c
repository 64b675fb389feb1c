/* Nodes that stay float because their int8 form would round for nothing: small products at the end, sums behind MatMul. */
#include <stdlib.h>
#include <string.h>

#include "base/cpu.h"
#include "ops/op.h"
#include "ptq/decide.h"
#include "test.h"

#define ROWS 4
#define WIDTH 128

static q8_host host;
static q8_kernels kernels;
static q8_graph *graph;
static q8_ranges *ranges;
static q8_recipe *recipe;

static q8_id constant(const char *name, int64_t rows, int64_t columns) {
  q8_shape shape = {.rank = rows ? 2 : 1, .dim = {rows ? rows : columns, columns}};
  size_t count = (size_t)((rows ? rows : 1) * columns);
  float *data = q8_pool_alloc(&graph->pool, count, sizeof *data);
  q8_id id;
  for (size_t i = 0; i < count; i++)
    data[i] = test_random_float(-1, 1);
  CHECK(q8_graph_add_tensor(graph, name, QINT8_DTYPE_F32, &shape, data, &id, NULL) == QINT8_OK);
  return id;
}

static q8_id node(const char *op_name, const char *output, q8_id a, q8_id b) {
  const q8_op *op = q8_op_find(op_name, "");
  q8_shape shape = {.rank = -1};
  q8_id inputs[2] = {a, b}, out;
  void *params = calloc(1, op->params_size + 1);
  q8_op_defaults(op, params);
  CHECK(q8_graph_add_tensor(graph, output, QINT8_DTYPE_F32, &shape, NULL, &out, NULL) == QINT8_OK);
  CHECK(q8_graph_add_node(graph, output, op, params, op->params_size, inputs, b == Q8_NONE ? 1 : 2, &out, 1, NULL) ==
        QINT8_OK);
  free(params);
  return out;
}

/* MatMul with its bias. */
static q8_id linear(const char *name, q8_id x, int64_t outputs) {
  char w[32], b[32], y[32];
  snprintf(w, sizeof w, "%s.w", name);
  snprintf(b, sizeof b, "%s.b", name);
  snprintf(y, sizeof y, "%s.y", name);
  return node("Add", name, node("MatMul", y, x, constant(w, WIDTH, outputs)), constant(b, 0, outputs));
}

/* x -> positions added -> block a, residual, turned twice -> block b, residual -> tail */
static void build(int64_t outputs) {
  q8_shape shape = {.rank = 3, .dim = {1, ROWS, WIDTH}};
  q8_id x;
  CHECK(q8_graph_create(&host, &graph, NULL) == QINT8_OK);
  CHECK(q8_graph_add_tensor(graph, "x", QINT8_DTYPE_F32, &shape, NULL, &x, NULL) == QINT8_OK);
  CHECK(q8_graph_set_inputs(graph, &x, 1, NULL) == QINT8_OK);
  q8_id p = node("Add", "p", x, constant("positions", ROWS, WIDTH));
  q8_id r = node("Add", "r", linear("a", p, WIDTH), p);
  q8_id turned = node("Transpose", "turned", node("Transpose", "there", r, Q8_NONE), Q8_NONE);
  q8_id s = node("Add", "s", linear("b", turned, WIDTH), turned);
  q8_id moved = node("Transpose", "moved", node("Transpose", "away", s, Q8_NONE), Q8_NONE);
  q8_id out = linear("tail", moved, outputs);
  CHECK(q8_graph_set_outputs(graph, &out, 1, NULL) == QINT8_OK);
  CHECK(q8_graph_freeze(graph, NULL) == QINT8_OK);
  q8_observer_config config = {.kind = QINT8_OBSERVER_MINMAX, .moving_average = 0.1f, .minmax = kernels.minmax,
                               .slots = kernels.slots};
  CHECK(q8_ranges_new(graph, &config, &host, &ranges, NULL) == QINT8_OK);
  for (size_t t = 0; t < graph->tensor_count; t++)
    if (ranges->observers[t])
      q8_observer_observe(ranges->observers[t], (const float[]){-1, 2}, 1, 1, 2);
}

static void decide(int force) {
  qint8_error error = QINT8_ERROR_INIT;
  CHECK_MSG(q8_decide(graph, ranges, QINT8_CONFIG_STATIC_PER_CHANNEL, QINT8_DTYPE_U8, force, &host, &recipe, &error) ==
                QINT8_OK, "%s", error.message);
}

static void end(void) {
  q8_recipe_free(recipe);
  q8_ranges_free(ranges);
  q8_graph_destroy(graph);
}

static q8_mode mode(const char *output) {
  return (q8_mode)recipe->modes[graph->tensors[q8_graph_find(graph, output)].producer];
}

static int is_quantized(const char *tensor) {
  return q8_is_quantized(&recipe->tensors[q8_graph_find(graph, tensor)]);
}

static void sums_are_rounded_once(void) {
  build(WIDTH);
  decide(0);
  CHECK(mode("a.y") == Q8_MODE_STATIC && mode("b.y") == Q8_MODE_STATIC && mode("tail.y") == Q8_MODE_STATIC);
  static const char *const sums[] = {"p", "a", "r", "b", "s"};
  for (int i = 0; i < 5; i++)
    CHECK_MSG(mode(sums[i]) == Q8_MODE_FLOAT, "%s", sums[i]);
  CHECK(!is_quantized("a.y") && !is_quantized("a") && !is_quantized("b.y") && !is_quantized("b"));
  CHECK(is_quantized("p") && is_quantized("turned") && is_quantized("s")); /* what products read */
  end();
}

/* What moves the residual stays float with it; what moves the end of the stream to a product does not. */
static void residuals_move_as_floats(void) {
  build(WIDTH);
  decide(0);
  CHECK(mode("there") == Q8_MODE_FLOAT && mode("turned") == Q8_MODE_FLOAT && !is_quantized("r"));
  CHECK(mode("away") == Q8_MODE_STATIC && mode("moved") == Q8_MODE_STATIC);
  end();
}

static void a_small_last_product_is_float(void) {
  build(2);
  decide(0);
  CHECK(mode("a.y") == Q8_MODE_STATIC && mode("b.y") == Q8_MODE_STATIC && mode("tail.y") == Q8_MODE_FLOAT);
  CHECK(mode("moved") == Q8_MODE_FLOAT && !is_quantized("s") && !is_quantized("tail.w"));
  end();
}

static void force_means_int8(void) {
  build(2);
  decide(1);
  static const char *const all[] = {"p", "a.y", "a", "r", "there", "turned", "b.y", "b", "s", "moved", "tail.y"};
  for (int i = 0; i < 11; i++)
    CHECK_MSG(mode(all[i]) == Q8_MODE_STATIC, "%s", all[i]);
  end();
}

/* One LSTM of so many values, decided as `config`. */
static q8_mode recurrent_mode(int64_t hidden, int32_t config, int force) {
  const q8_op *op = q8_op_find("LSTM", "");
  q8_shape x = {.rank = 3, .dim = {5, 1, 8}}, y = {.rank = -1};
  q8_shape w = {.rank = 3, .dim = {1, 4 * hidden, 8}}, r = {.rank = 3, .dim = {1, 4 * hidden, hidden}};
  q8_id inputs[3], out;
  void *params = calloc(1, op->params_size + 1);
  q8_op_defaults(op, params);
  CHECK(q8_graph_create(&host, &graph, NULL) == QINT8_OK);
  float *data = q8_pool_alloc(&graph->pool, (size_t)(4 * hidden * (hidden + 8)), sizeof *data);
  for (int64_t i = 0; i < 4 * hidden * (hidden + 8); i++)
    data[i] = test_random_float(-1, 1);
  CHECK(q8_graph_add_tensor(graph, "x", QINT8_DTYPE_F32, &x, NULL, &inputs[0], NULL) == QINT8_OK);
  CHECK(q8_graph_add_tensor(graph, "w", QINT8_DTYPE_F32, &w, data, &inputs[1], NULL) == QINT8_OK);
  CHECK(q8_graph_add_tensor(graph, "r", QINT8_DTYPE_F32, &r, data, &inputs[2], NULL) == QINT8_OK);
  CHECK(q8_graph_add_tensor(graph, "y", QINT8_DTYPE_F32, &y, NULL, &out, NULL) == QINT8_OK);
  CHECK(q8_graph_set_inputs(graph, inputs, 1, NULL) == QINT8_OK);
  CHECK(q8_graph_add_node(graph, "lstm", op, params, op->params_size, inputs, 3, &out, 1, NULL) == QINT8_OK);
  CHECK(q8_graph_set_outputs(graph, &out, 1, NULL) == QINT8_OK);
  CHECK(q8_graph_freeze(graph, NULL) == QINT8_OK);
  free(params);
  q8_observer_config observer = {.kind = QINT8_OBSERVER_MINMAX, .moving_average = 0.1f, .minmax = kernels.minmax,
                                 .slots = kernels.slots};
  CHECK(q8_ranges_new(graph, &observer, &host, &ranges, NULL) == QINT8_OK);
  CHECK(q8_decide(graph, ranges, config, QINT8_DTYPE_U8, force, &host, &recipe, NULL) == QINT8_OK);
  q8_mode result = (q8_mode)recipe->modes[0];
  CHECK(recipe->kept_float == (result == Q8_MODE_FLOAT));
  CHECK(q8_is_quantized(&recipe->tensors[inputs[2]]) == (result != Q8_MODE_FLOAT));
  end();
  return result;
}

/* Its state cannot have static parameters; and a small one is faster in float. */
static void recurrent_products_are_dynamic(void) {
  static const int32_t configs[] = {QINT8_CONFIG_DYNAMIC, QINT8_CONFIG_STATIC_PER_TENSOR, QINT8_CONFIG_STATIC_PER_CHANNEL};
  for (int i = 0; i < 3; i++) {
    CHECK(recurrent_mode(64, configs[i], 0) == Q8_MODE_DYNAMIC);
    CHECK(recurrent_mode(16, configs[i], 0) == Q8_MODE_FLOAT);
    CHECK(recurrent_mode(16, configs[i], 1) == Q8_MODE_DYNAMIC);
  }
}

int main(int argc, char **argv) {
  TEST_BEGIN(argc, argv);
  q8_kernels_select(q8_cpu_detect(), &kernels);
  CHECK(q8_host_init(&host, NULL, NULL) == QINT8_OK);
  RUN(sums_are_rounded_once);
  RUN(residuals_move_as_floats);
  RUN(a_small_last_product_is_float);
  RUN(force_means_int8);
  RUN(recurrent_products_are_dynamic);
  return TEST_END();
}
