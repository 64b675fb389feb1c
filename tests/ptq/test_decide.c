/* Rules of the decision, on small graphs of operators that have a rule and nothing else. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/cpu.h"
#include "ops/unary.h"
#include "ptq/decide.h"
#include "quant/qparams.h"
#include "test.h"

static float hard_swish(const void *params, float x) {
  (void)params;
  float gate = x / 6 + 0.5f;
  return x * (gate < 0 ? 0 : gate > 1 ? 1 : gate);
}
static int32_t axis_0(const q8_node *node) {
  (void)node;
  return 0;
}

static const q8_op conv = {.name = "Conv", .quant = Q8_QUANT_WEIGHTED, .family = &(const q8_op_family){.extras = &(const q8_op_extras){.weight_axis = axis_0}}};
static const q8_unary_set swish_set = {.exact = hard_swish};
static const q8_op swish = {.name = "HardSwish", .quant = Q8_QUANT_OWN, .unary = 1, .variant = &swish_set};
static const q8_op add = {.name = "Add", .quant = Q8_QUANT_OWN};
static const q8_op pool = {.name = "MaxPool", .quant = Q8_QUANT_SAME};
static const q8_op concat = {.name = "Concat", .quant = Q8_QUANT_SHARED};
static const q8_op_family float_only = {.int8_obstacle = "float only"};
static const q8_op softmax = {.name = "Softmax", .quant = Q8_QUANT_FLOAT, .family = &float_only};

static q8_host host;
static q8_kernels kernels;
static q8_graph *graph;
static q8_ranges *ranges;
static q8_recipe *recipe;
static qint8_error failure;

static q8_id tensor(const char *name, int64_t count, const float *data) {
  q8_shape shape = {.rank = 1, .dim = {count}};
  void *copy = NULL;
  if (data) {
    copy = q8_pool_alloc(&graph->pool, (size_t)count, sizeof(float));
    memcpy(copy, data, (size_t)count * sizeof(float));
  }
  q8_id id;
  CHECK(q8_graph_add_tensor(graph, name, QINT8_DTYPE_F32, &shape, copy, &id, NULL) == QINT8_OK);
  return id;
}

static q8_id node(const q8_op *op, const char *output, q8_id a, q8_id b, q8_id c) {
  q8_id inputs[3] = {a, b, c}, out = tensor(output, 8, NULL);
  int32_t count = c != Q8_NONE ? 3 : b != Q8_NONE ? 2 : 1;
  CHECK(q8_graph_add_node(graph, output, op, NULL, 0, inputs, count, &out, 1, NULL) == QINT8_OK);
  return out;
}

static q8_id convolution(const char *output, q8_id x) {
  static const float weights[8] = {0.5f, -1.27f, 0.25f, 0.1f, 0, 0, 1e-12f, 0}, bias[4] = {1, -2, 0, 3};
  char name[2][32];
  snprintf(name[0], sizeof(name[0]), "%s.w", output);
  snprintf(name[1], sizeof(name[1]), "%s.b", output);
  q8_id w = tensor(name[0], 8, weights), b = tensor(name[1], 4, bias);
  graph->tensors[w].shape = (q8_shape){.rank = 2, .dim = {4, 2}};
  return node(&conv, output, x, w, b);
}

static q8_id begin(void) {
  CHECK(q8_graph_create(&host, &graph, NULL) == QINT8_OK);
  q8_id x = tensor("x", 8, NULL);
  CHECK(q8_graph_set_inputs(graph, &x, 1, NULL) == QINT8_OK);
  return x;
}

static void freeze(q8_id output) {
  CHECK(q8_graph_set_outputs(graph, &output, 1, NULL) == QINT8_OK);
  CHECK(q8_graph_freeze(graph, NULL) == QINT8_OK);
  q8_observer_config config = {.kind = QINT8_OBSERVER_MINMAX, .moving_average = 0.1f, .minmax = kernels.minmax,
                               .slots = kernels.slots};
  CHECK(q8_ranges_new(graph, &config, &host, &ranges, NULL) == QINT8_OK);
}

/* Lets calibration see [low, high] in a tensor. */
static void see(const char *name, float low, float high) {
  q8_observer *o = ranges->observers[q8_graph_find(graph, name)];
  float ends[2] = {low, high};
  CHECK(o != NULL);
  if (o)
    q8_observer_observe(o, ends, 1, 1, 2);
}

static q8_status decide(int32_t config, int32_t dtype) {
  failure = (qint8_error)QINT8_ERROR_INIT;
  return q8_decide(graph, ranges, config, dtype, 1, &host, &recipe, &failure);
}

static void end(void) {
  q8_recipe_free(recipe);
  q8_ranges_free(ranges);
  q8_graph_destroy(graph);
  recipe = NULL;
  ranges = NULL;
  graph = NULL;
}

static const q8_tensor_quant *quant(const char *name) {
  int32_t id = q8_recipe_find(recipe, name);
  CHECK(id >= 0);
  return id >= 0 && q8_is_quantized(&recipe->tensors[id]) ? &recipe->tensors[id] : NULL;
}

static q8_mode mode(const char *output) {
  q8_id id = q8_graph_find(graph, output);
  return (q8_mode)recipe->modes[graph->tensors[id].producer];
}

/* x -> conv a -> hard swish b -> conv c -> softmax d */
static void build_chain(void) {
  q8_id b = node(&swish, "b", convolution("a", begin()), Q8_NONE, Q8_NONE);
  freeze(node(&softmax, "d", convolution("c", b), Q8_NONE, Q8_NONE));
  see("x", -1, 1.55f);
  see("a", -8, 4);
  see("b", -0.375f, 4);
}

static void static_chain(void) {
  build_chain();
  CHECK_EQ(decide(QINT8_CONFIG_STATIC_PER_CHANNEL, QINT8_DTYPE_U8), QINT8_OK);
  CHECK(mode("a") == Q8_MODE_STATIC && mode("b") == Q8_MODE_STATIC && mode("c") == Q8_MODE_STATIC);
  CHECK(mode("d") == Q8_MODE_FLOAT);
  CHECK(quant("c") == NULL && quant("d") == NULL); /* read by a float node only: dequantized from accumulators */
  const q8_tensor_quant *x = quant("x"), *w = quant("a.w"), *bias = quant("a.b");
  CHECK(x && x->scale[0] == q8_qparams_affine(-1, 1.55f, QINT8_DTYPE_U8).scale && x->zero_point[0] == 100 && x->axis == -1);
  CHECK(w && w->dtype == QINT8_DTYPE_S8 && w->axis == 0 && w->count == 4);
  CHECK(bias && bias->dtype == QINT8_DTYPE_S32 && bias->count == 4);
  if (!x || !w || !bias)
    return;
  CHECK(fabsf(w->scale[0] - 1.27f / 127) < 0.003f && fabsf(w->scale[1] - 0.25f / 127) < 0.0006f);
  for (int c = 0; c < 4; c++) {
    CHECK(bias->scale[c] == x->scale[0] * w->scale[c]);
    CHECK(w->zero_point[c] == 0 && bias->zero_point[c] == 0);
  }
  CHECK(w->scale[2] > 0.7f * 1.27f / 127); /* zeros */
  CHECK(3.0f / bias->scale[3] <= 8388608.0f && w->scale[3] > 1e-12f / 127); /* nearly dead, with a bias */
  end();
}

static void one_scale_per_tensor(void) {
  build_chain();
  CHECK_EQ(decide(QINT8_CONFIG_STATIC_PER_TENSOR, QINT8_DTYPE_S8), QINT8_OK);
  const q8_tensor_quant *x = quant("x"), *w = quant("a.w"), *bias = quant("a.b");
  CHECK(w && w->count == 1 && w->axis == -1 && w->scale[0] > 0.7f * 1.27f / 127);
  CHECK(bias && bias->count == 1);
  CHECK(x && x->dtype == QINT8_DTYPE_S8 && x->zero_point[0] == -28);
  end();
}

static void dynamic_weights_only(void) {
  build_chain();
  q8_ranges_free(ranges);
  ranges = NULL;
  CHECK_EQ(decide(QINT8_CONFIG_DYNAMIC, QINT8_DTYPE_U8), QINT8_OK);
  CHECK(mode("a") == Q8_MODE_DYNAMIC && mode("b") == Q8_MODE_FLOAT && mode("c") == Q8_MODE_DYNAMIC);
  CHECK(quant("x") == NULL && quant("a") == NULL && quant("a.b") == NULL);
  CHECK(quant("a.w") && quant("a.w")->count == 4 && quant("c.w")->dtype == QINT8_DTYPE_S8);
  end();
}

/* 16 weights per output, most of them just below the middle between two steps: rounded by themselves, they would lose
 * several steps together. */
static void dynamic_weights_keep_their_sums(void) {
  float weights[32];
  q8_id x = begin(), w;
  for (int i = 0; i < 32; i++)
    weights[i] = i % 16 == 0 ? 1.27f : i < 16 ? 0.01f * ((float)i + 0.35f) : -0.01f * (2 * (float)(i - 16) + 0.35f);
  w = tensor("w", 32, weights);
  graph->tensors[w].shape = (q8_shape){.rank = 2, .dim = {2, 16}};
  freeze(node(&conv, "y", x, w, Q8_NONE));
  see("x", -1, 1);
  CHECK_EQ(decide(QINT8_CONFIG_DYNAMIC, QINT8_DTYPE_U8), QINT8_OK);
  const q8_tensor_quant *q = quant("w");
  CHECK(q && q->integers && q->integer_count == 32);
  for (int c = 0; q && q->integers && c < 2; c++) {
    double sum = 0, nearest = 0;
    for (int i = 16 * c; i < 16 * c + 16; i++) {
      double steps = (double)weights[i] / (double)q->scale[c];
      CHECK(fabs(steps - q->integers[i]) < 1 && abs(q->integers[i]) <= 127);
      sum += steps - q->integers[i];
      nearest += steps - rint(steps);
    }
    CHECK(fabs(nearest) > 1);
    CHECK(fabs(sum) <= 0.5);
  }
  q8_recipe_free(recipe);
  CHECK_EQ(decide(QINT8_CONFIG_STATIC_PER_CHANNEL, QINT8_DTYPE_U8), QINT8_OK);
  CHECK(quant("w") && !quant("w")->integers);
  end();
}

static void float_has_nothing(void) {
  build_chain();
  CHECK_EQ(decide(QINT8_CONFIG_FP32, QINT8_DTYPE_U8), QINT8_OK);
  for (size_t t = 0; t < recipe->tensor_count; t++)
    CHECK(!q8_is_quantized(&recipe->tensors[t]));
  for (size_t n = 0; n < recipe->node_count; n++)
    CHECK(recipe->modes[n] == Q8_MODE_FLOAT && recipe->node_output[n] == graph->nodes[n].outputs[0]);
  end();
}

/* The range of a value that a MaxPool passes on is that of what it passes on. */
static void groups_share(void) {
  q8_id b = node(&pool, "b", convolution("a", begin()), Q8_NONE, Q8_NONE);
  q8_id d = node(&concat, "d", b, convolution("c", b), Q8_NONE);
  freeze(convolution("e", d));
  see("x", -1, 1);
  see("a", -100, 2);
  see("b", -1, 2);
  see("c", -4, 3);
  see("d", -4, 3);
  CHECK_EQ(decide(QINT8_CONFIG_STATIC_PER_CHANNEL, QINT8_DTYPE_U8), QINT8_OK);
  const char *members[] = {"a", "b", "c", "d"};
  for (int i = 0; i < 4; i++) {
    const q8_tensor_quant *q = quant(members[i]);
    CHECK(q && q->scale[0] == (float)(7.0 / 255) && q->zero_point[0] == 146);
  }
  CHECK(quant("e") == NULL);
  end();
}

/* A tensor that was never seen is quantized if it merely moves the values of one that was. */
static void moved_values_need_not_be_seen(void) {
  q8_id b = node(&pool, "b", convolution("a", begin()), Q8_NONE, Q8_NONE);
  freeze(convolution("c", b));
  see("x", -1, 1);
  see("a", -2, 2);
  CHECK_EQ(decide(QINT8_CONFIG_STATIC_PER_CHANNEL, QINT8_DTYPE_U8), QINT8_OK);
  CHECK(mode("b") == Q8_MODE_STATIC && quant("b") && quant("b")->scale[0] == (float)(4.0 / 255));
  end();
}

/* What only float nodes read stays float, back to the weighted nodes before it. */
static void float_tail_stays_float(void) {
  q8_id a = convolution("a", begin()), b = convolution("b", a);
  q8_id c = node(&add, "c", a, b, Q8_NONE);
  freeze(node(&pool, "d", node(&swish, "e", c, Q8_NONE, Q8_NONE), Q8_NONE, Q8_NONE));
  see("x", -1, 1);
  see("a", -1, 1);
  see("c", -1, 1);
  see("e", -1, 1);
  see("d", -1, 1);
  CHECK_EQ(decide(QINT8_CONFIG_STATIC_PER_CHANNEL, QINT8_DTYPE_U8), QINT8_OK);
  CHECK(mode("a") == Q8_MODE_STATIC && mode("b") == Q8_MODE_STATIC);
  CHECK(mode("c") == Q8_MODE_FLOAT && mode("d") == Q8_MODE_FLOAT && mode("e") == Q8_MODE_FLOAT);
  CHECK(quant("a") != NULL && quant("b") == NULL && quant("c") == NULL);
  end();
}

static void constants_get_their_own_range(void) {
  static const float offset[2] = {-1, 1.55f};
  q8_id a = convolution("a", begin());
  freeze(convolution("c", node(&add, "b", a, tensor("offset", 2, offset), Q8_NONE)));
  see("x", -1, 1);
  see("a", -1, 1);
  see("b", -2, 3);
  CHECK_EQ(decide(QINT8_CONFIG_STATIC_PER_CHANNEL, QINT8_DTYPE_U8), QINT8_OK);
  CHECK(mode("b") == Q8_MODE_STATIC);
  CHECK(quant("offset") && quant("offset")->scale[0] == q8_qparams_affine(-1, 1.55f, QINT8_DTYPE_U8).scale);
  end();
}

static void errors_name_the_tensor(void) {
  build_chain();
  q8_observer_free(ranges->observers[q8_graph_find(graph, "a")]);
  q8_observer_config config = {.kind = QINT8_OBSERVER_MINMAX, .moving_average = 0.1f, .minmax = kernels.minmax,
                               .slots = kernels.slots};
  CHECK(q8_observer_new(&config, &host, &ranges->observers[q8_graph_find(graph, "a")], NULL) == QINT8_OK);
  see("a", NAN, INFINITY);
  CHECK_EQ(decide(QINT8_CONFIG_STATIC_PER_CHANNEL, QINT8_DTYPE_U8), QINT8_ERROR_DATA);
  CHECK(recipe == NULL && strcmp(failure.where, "a") == 0);
  q8_ranges *kept = ranges;
  ranges = NULL;
  CHECK_EQ(decide(QINT8_CONFIG_STATIC_PER_CHANNEL, QINT8_DTYPE_U8), QINT8_ERROR_ARGUMENT);
  ranges = kept;
  ranges->tensor_count--;
  CHECK_EQ(decide(QINT8_CONFIG_STATIC_PER_CHANNEL, QINT8_DTYPE_U8), QINT8_ERROR_ARGUMENT);
  ranges->tensor_count++;
  CHECK_EQ(decide(QINT8_CONFIG_QAT, QINT8_DTYPE_U8), QINT8_ERROR_UNSUPPORTED);
  end();
}

static void weights_must_be_finite(void) {
  build_chain();
  ((float *)(uintptr_t)graph->tensors[q8_graph_find(graph, "c.w")].data)[3] = NAN;
  CHECK_EQ(decide(QINT8_CONFIG_DYNAMIC, QINT8_DTYPE_U8), QINT8_ERROR_DATA);
  CHECK(strcmp(failure.where, "c.w") == 0);
  end();
}

static void recipe_copies_and_overrides(void) {
  build_chain();
  CHECK_EQ(decide(QINT8_CONFIG_STATIC_PER_CHANNEL, QINT8_DTYPE_U8), QINT8_OK);
  q8_recipe *copy;
  CHECK_EQ(q8_recipe_copy(recipe, &copy, NULL), QINT8_OK);
  float scale = 0.5f;
  int32_t zero = 3, w = q8_recipe_find(recipe, "a.w");
  CHECK_EQ(q8_recipe_assign(copy, w, QINT8_DTYPE_S8, -1, 1, &scale, &zero, NULL), QINT8_OK);
  CHECK(copy->tensors[w].scale[0] == 0.5f && copy->tensors[w].zero_point[0] == 3 && copy->tensors[w].count == 1);
  CHECK(recipe->tensors[w].count == 4 && recipe->tensors[w].scale[0] < 0.1f);
  CHECK(memcmp(copy->modes, recipe->modes, recipe->node_count) == 0);
  CHECK(strcmp(copy->tensor_name[w], "a.w") == 0 && copy->tensor_name[w] != recipe->tensor_name[w]);
  CHECK_EQ(q8_recipe_find(copy, "nothing"), -1);
  q8_recipe_free(copy);
  end();
}

int main(int argc, char **argv) {
  TEST_BEGIN(argc, argv);
  q8_kernels_select(q8_cpu_detect(), &kernels);
  CHECK(q8_host_init(&host, NULL, NULL) == QINT8_OK);
  RUN(static_chain);
  RUN(one_scale_per_tensor);
  RUN(dynamic_weights_only);
  RUN(dynamic_weights_keep_their_sums);
  RUN(float_has_nothing);
  RUN(groups_share);
  RUN(moved_values_need_not_be_seen);
  RUN(float_tail_stays_float);
  RUN(constants_get_their_own_range);
  RUN(errors_name_the_tensor);
  RUN(weights_must_be_finite);
  RUN(recipe_copies_and_overrides);
  return TEST_END();
}
