/* Cross-layer equalisation: the same bits in float, channels of like size, found wherever they may be rescaled.
 *
 *   test_equalise --rescale IN.onnx OUT.onnx
 * writes a model whose channels are divided by the powers of two nearest to 10^U(-1.5, 1.5): see check_stress.sh. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "api/api.h"
#include "base/cpu.h"
#include "ops/op.h"
#include "ptq/equalise.h"
#include "test.h"

enum { SAMPLES = 3, MAX_VALUES = 1 << 16 };

static q8_host host;
static q8_graph *graph;
static float input[MAX_VALUES], first[MAX_VALUES], second[MAX_VALUES];

/* ---- Small graphs ---- */

static q8_id add_tensor(const char *name, const q8_shape *shape, float *data) {
  q8_id id;
  CHECK(q8_graph_add_tensor(graph, name, QINT8_DTYPE_F32, shape, data, &id, NULL) == QINT8_OK);
  return id;
}

/* The sizes of rows differ by 2^spread either way. */
static q8_id weights(const char *name, const q8_shape *shape, int spread) {
  size_t count = q8_shape_count(shape, NULL), row = count / (size_t)shape->dim[0];
  float *data = q8_pool_alloc(&graph->pool, count, sizeof *data);
  for (size_t i = 0; i < count; i++) {
    int sign = test_random_int(0, 1) ? 1 : -1, exponent = (int)(i / row * 7 % 5) - 2; /* -2, 0, 2, -1, 1 in turn */
    data[i] = (float)sign * ldexpf(test_random_float(0.5f, 1), exponent * spread / 2);
  }
  return add_tensor(name, shape, data);
}

static void *params_of(const q8_op *op) {
  static int64_t params[256];
  CHECK(op->params_size <= sizeof params);
  q8_op_defaults(op, params);
  return params;
}

static void set_field(const q8_op *op, void *params, const char *name, const void *value, size_t size) {
  for Q8_EACH_ATTRIBUTE(a, op)
    if (!strcmp(a->name, name))
      memcpy((char *)params + a->offset, value, size);
}

static q8_id add_node(const char *op_name, const void *params, const char *output, const q8_id *inputs, int32_t count) {
  const q8_op *op = q8_op_find(op_name, "");
  q8_shape unknown = {.rank = -1};
  q8_id y = add_tensor(output, &unknown, NULL);
  CHECK(q8_graph_add_node(graph, output, op, params ? params : params_of(op), op->params_size, inputs, count, &y, 1, NULL) ==
        QINT8_OK);
  return y;
}

static q8_id unary(const char *op, const char *output, q8_id x) {
  return add_node(op, NULL, output, &x, 1);
}

static q8_id sum(const char *output, q8_id a, q8_id b) {
  return add_node("Add", NULL, output, (q8_id[]){a, b}, 2);
}

/* A convolution with bias, `group` groups, clamped to [low, high]. */
static q8_id clamped(const char *name, q8_id x, int64_t from, int64_t to, int64_t size, int64_t group, float low,
                     float high) {
  const q8_op *op = q8_op_find("Conv", "");
  void *params = params_of(op);
  char text[2][32];
  snprintf(text[0], sizeof text[0], "%s.w", name);
  snprintf(text[1], sizeof text[1], "%s.b", name);
  set_field(op, params, "group", &group, sizeof group);
  set_field(op, params, "activation_lo", &low, sizeof low);
  set_field(op, params, "activation_hi", &high, sizeof high);
  q8_id inputs[3] = {x, weights(text[0], &(q8_shape){4, {to, from / group, size, size}}, 8),
                     weights(text[1], &(q8_shape){1, {to}}, 1)};
  return add_node("Conv", params, name, inputs, 3);
}
static q8_id conv(const char *name, q8_id x, int64_t from, int64_t to, int64_t size, int64_t group) {
  return clamped(name, x, from, to, size, group, -INFINITY, INFINITY);
}
static q8_id gemm(const char *name, q8_id x, int64_t from, int64_t to) {
  char text[32];
  snprintf(text, sizeof text, "%s.w", name);
  q8_id inputs[2] = {x, weights(text, &(q8_shape){2, {from, to}}, 1)};
  return add_node("Gemm", NULL, name, inputs, 2);
}

static q8_id begin(void) {
  CHECK(q8_graph_create(&host, &graph, NULL) == QINT8_OK);
  return add_tensor("x", &(q8_shape){4, {-1, 3, 8, 8}}, NULL);
}

static void freeze(q8_id x, q8_id y) {
  CHECK(q8_graph_set_inputs(graph, &x, 1, NULL) == QINT8_OK && q8_graph_set_outputs(graph, &y, 1, NULL) == QINT8_OK);
  CHECK(q8_graph_freeze(graph, NULL) == QINT8_OK);
}

static size_t run(const q8_graph *g, float *out) {
  q8_shape shape = {4, {SAMPLES, 3, 8, 8}};
  q8_plan_config config = {.mask = q8_cpu_detect(), .inputs = &shape};
  q8_plan *plan = NULL;
  q8_session *session = NULL;
  CHECK(q8_plan_compile(g, NULL, &config, &host, &plan, NULL) == QINT8_OK);
  CHECK(q8_session_open(plan, NULL, 0, &host, &session, NULL) == QINT8_OK);
  size_t count = q8_shape_count(&q8_plan_output_info(plan, 0)->shape, NULL);
  const void *inputs[] = {input};
  void *outputs[] = {out};
  CHECK(count <= MAX_VALUES && q8_session_execute(session, inputs, outputs, NULL) == QINT8_OK);
  q8_session_close(session);
  q8_plan_free(plan);
  return count;
}

/* `groups`: how many are to be found, and rescaled. Ends with the graph. */
static void check(const char *what, size_t groups) {
  q8_graph *once = NULL, *twice = NULL;
  size_t changed = 0, again = 0;
  for (size_t i = 0; i < MAX_VALUES; i++)
    input[i] = test_random_float(-2, 2);
  CHECK(q8_equalise(graph, &host, &once, &changed, NULL) == QINT8_OK);
  CHECK_MSG(changed == groups, "%s: %zu groups rescaled, expected %zu", what, changed, groups);
  size_t count = run(graph, first);
  CHECK_EQ(run(once, second), count);
  CHECK_MSG(!memcmp(first, second, count * sizeof *first), "%s: another float result", what);
  CHECK(q8_equalise(once, &host, &twice, &again, NULL) == QINT8_OK);
  CHECK_MSG(again == 0, "%s: %zu groups rescaled again", what, again);
  CHECK(graph->tensor_count == once->tensor_count && graph->node_count == once->node_count);
  q8_graph_destroy(once);
  q8_graph_destroy(twice);
  q8_graph_destroy(graph);
}

static void chains_are_equalised(void) {
  q8_id x = begin(), a = clamped("a", x, 3, 8, 3, 1, 0, INFINITY);
  freeze(x, conv("b", a, 8, 4, 3, 1));
  check("Relu", 1);

  x = begin();
  a = unary("LeakyRelu", "l", conv("a", x, 3, 8, 1, 1));
  freeze(x, conv("b", a, 8, 4, 1, 1));
  check("LeakyRelu", 1);

  x = begin();
  a = clamped("a", x, 3, 8, 3, 1, 0, INFINITY);
  a = conv("depthwise", a, 8, 8, 3, 8);
  freeze(x, conv("b", a, 8, 4, 1, 1));
  check("depthwise", 2);

  x = begin();
  a = conv("grouped", conv("a", x, 3, 8, 3, 1), 8, 12, 3, 2);
  freeze(x, conv("b", a, 12, 4, 1, 1));
  check("grouped", 2);

  x = begin();
  a = unary("Flatten", "f", unary("GlobalAveragePool", "p", conv("a", x, 3, 8, 3, 1)));
  freeze(x, gemm("b", a, 8, 5));
  check("pooled and flattened", 1);

  x = begin();
  a = unary("Flatten", "f", conv("a", x, 3, 4, 1, 1));
  freeze(x, gemm("b", a, 4 * 64, 5));
  check("flattened with positions", 1);
}

static void residual_streams_are_one_group(void) {
  q8_id x = begin(), a = conv("a", x, 3, 8, 1, 1), b = clamped("b", a, 8, 16, 1, 1, 0, INFINITY);
  q8_id c = sum("sum", a, conv("c", b, 16, 8, 1, 1));
  freeze(x, conv("d", c, 8, 4, 1, 1));
  check("residual", 2);
}

/* What does not commute with a factor stays: bounds, other functions, inputs and outputs. */
static void the_rest_is_left_alone(void) {
  q8_id x = begin(), a = clamped("a", x, 3, 8, 3, 1, 0, 6);
  freeze(x, conv("b", a, 8, 4, 3, 1));
  check("Relu6", 0);

  x = begin();
  a = unary("HardSwish", "s", conv("a", x, 3, 8, 1, 1));
  freeze(x, conv("b", a, 8, 4, 1, 1));
  check("HardSwish", 0);

  x = begin();
  a = conv("a", x, 3, 8, 1, 1);
  q8_id b = conv("b", a, 8, 8, 1, 1);
  freeze(x, sum("y", a, b));
  check("an output", 0);
}

/* An image of one pixel would suit no pooling; one whose channels are free suits no sizes at all. */
static void free_dimensions_get_sizes(void) {
  q8_id x = begin(), a = unary("GlobalMaxPool", "p", conv("c", conv("a", x, 3, 8, 3, 1), 8, 8, 3, 8));
  graph->tensors[x].shape = (q8_shape){4, {-1, 3, -1, -1}};
  freeze(x, conv("b", a, 8, 4, 1, 1));
  check("free height and width", 2);

  x = begin();
  a = conv("a", x, 3, 8, 1, 1);
  graph->tensors[x].shape = (q8_shape){4, {-1, -1, 8, 8}};
  freeze(x, conv("b", a, 8, 4, 1, 1));
  check("free channels", 0);
}

static void channels_of_zeros_stay(void) {
  q8_id x = begin(), a = conv("a", x, 3, 8, 1, 1), b = conv("b", a, 8, 4, 1, 1);
  float *written = (float *)(uintptr_t)graph->tensors[q8_graph_find(graph, "a.w")].data;
  float *read = (float *)(uintptr_t)graph->tensors[q8_graph_find(graph, "b.w")].data;
  memset(written + 2 * 3, 0, 3 * sizeof *written); /* channel 2 is never written, channel 5 never read */
  for (int k = 0; k < 4; k++)
    read[k * 8 + 5] = 0;
  freeze(x, b);
  check("zeros", 1);
}

/* After Nagel et al., equation 11: both ranges are equal, up to the rounding of factors. */
static void ranges_become_equal(void) {
  q8_id x = begin(), a = conv("a", x, 3, 8, 1, 1);
  freeze(x, conv("b", a, 8, 4, 1, 1));
  q8_graph *equal = NULL;
  CHECK(q8_equalise(graph, &host, &equal, NULL, NULL) == QINT8_OK);
  const float *w[2] = {equal->tensors[q8_graph_find(equal, "a.w")].data, equal->tensors[q8_graph_find(equal, "b.w")].data};
  float least = INFINITY, most = 0;
  for (int c = 0; c < 8; c++) {
    float written = 0, read = 0;
    for (int i = 0; i < 3; i++)
      written = fmaxf(written, fabsf(w[0][c * 3 + i]));
    for (int k = 0; k < 4; k++)
      read = fmaxf(read, fabsf(w[1][k * 8 + c]));
    least = fminf(least, written / read);
    most = fmaxf(most, written / read);
  }
  CHECK_MSG(most <= 4.01f * least, "ratios of ranges from %g to %g", (double)least, (double)most);
  q8_graph_destroy(equal);
  q8_graph_destroy(graph);
}

/* Channels of the input: the same bits, and what the weights read is of one size; alike channels, or an input that is read
 * by anything else, give a plain copy. */
static void inputs_are_scaled(void) {
  static const float unlike[3] = {30, 0.9f, 0}, alike[3] = {1, 2, 0.7f};
  for (int kind = 0; kind < 3; kind++) {
    q8_id x = begin(), a = conv("a", x, 3, 3, 1, 1);
    freeze(x, kind == 2 ? sum("s", a, unary("HardSwish", "h", x)) : a);
    q8_graph *scaled = NULL;
    int changed = -1;
    for (size_t i = 0; i < MAX_VALUES; i++)
      input[i] = test_random_float(-1, 1) * unlike[i / 64 % 3];
    CHECK(q8_scale_input(graph, 0, kind == 1 ? alike : unlike, 3, &host, &scaled, &changed, NULL) == QINT8_OK);
    CHECK_EQ(changed, kind == 0);
    CHECK_EQ(scaled->node_count, graph->node_count + (kind == 0));
    if (kind < 2) {
      size_t count = run(graph, first);
      CHECK(run(scaled, second) == count && !memcmp(first, second, count * sizeof *first));
    }
    if (kind == 0) {
      const float *was = graph->tensors[q8_graph_find(graph, "a.w")].data;
      const float *is = scaled->tensors[q8_graph_find(scaled, "a.w")].data;
      CHECK(is[0] == was[0] && is[1] == was[1] / 32 && is[2] == was[2]);
    }
    q8_graph_destroy(scaled);
    q8_graph_destroy(graph);
  }
}

/* ---- Whole models ---- */

static int rescale_file(const char *from, const char *to) {
  qint8_error error = QINT8_ERROR_INIT;
  qint8_model *model = NULL;
  q8_channels *channels = NULL;
  if (qint8_model_load_file(from, NULL, &model, &error) != QINT8_OK ||
      q8_channels_find(model->graph, &model->host, &channels, &error) != QINT8_OK) {
    printf("%s: %s\n", error.where, error.message);
    return 1;
  }
  int32_t **exponents = calloc(channels->group_count + 1, sizeof *exponents);
  for (size_t g = 0; g < channels->group_count; g++) {
    exponents[g] = calloc(channels->group_channels[g], sizeof **exponents);
    for (size_t c = 0; c < channels->group_channels[g]; c++)
      exponents[g][c] = (int32_t)rintf(test_random_float(-1.5f, 1.5f) * log2f(10));
  }
  q8_graph *rescaled = NULL;
  q8_status status = q8_channels_rescale(channels, (const int32_t *const *)exponents, &rescaled, &error);
  printf("%zu groups of channels\n", channels->group_count);
  for (size_t g = 0; g < channels->group_count; g++)
    free(exponents[g]);
  free(exponents);
  q8_channels_free(channels);
  if (status == QINT8_OK) {
    q8_graph_destroy(model->graph);
    model->graph = rescaled;
    status = qint8_model_save_file(model, NULL, to, &error);
  }
  if (status != QINT8_OK)
    printf("%s: %s\n", error.where, error.message);
  qint8_model_destroy(model);
  return status != QINT8_OK;
}

int main(int argc, char **argv) {
  TEST_BEGIN(argc, argv);
  if (argc == 4 && !strcmp(argv[1], "--rescale"))
    return rescale_file(argv[2], argv[3]);
  CHECK(q8_host_init(&host, NULL, NULL) == QINT8_OK);
  RUN(chains_are_equalised);
  RUN(residual_streams_are_one_group);
  RUN(free_dimensions_get_sizes);
  RUN(the_rest_is_left_alone);
  RUN(channels_of_zeros_stay);
  RUN(ranges_become_equal);
  RUN(inputs_are_scaled);
  return TEST_END();
}
