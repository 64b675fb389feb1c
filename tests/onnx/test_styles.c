/* Quantized models in the spellings that exporters use: each runs on the integer kernels, step by step as the table says. */
#include "builder.h"
#include "qint8.h"
#include "test.h"

static const float sx = 0.25f, sy = 0.5f, sw[2] = {0.5f, 0.125f}, sb[2] = {0.125f, 0.03125f};
static const uint8_t zx = 128;
static const int8_t w[6] = {1, -2, 3, -128, 127, 0}, zw[2] = {0, 0};
static const int32_t bias[2] = {1000, -7}, zb[2] = {0, 0};
static const float bias_values[2] = {125, -0.21875f};

static void build_start(builder *b, const int64_t *in, const int64_t *out) {
  build_quantized(b, in, sx, out, sy);
}

/* from -> QuantizeLinear -> DequantizeLinear -> to, with the parameters s<which>, z<which>. */
static void build_pair(builder *b, const char *from, const char *which, const char *to) {
  char inputs[64], middle[32];
  snprintf(middle, sizeof middle, "%s_q", to);
  snprintf(inputs, sizeof inputs, "%s s%s z%s", from, which, which);
  build_node(b, "QuantizeLinear", middle, inputs, middle);
  snprintf(inputs, sizeof inputs, "%s s%s z%s", middle, which, which);
  build_node(b, "DequantizeLinear", to, inputs, to);
}

static void build_along_0(builder *b, const char *op, const char *inputs, const char *output) {
  size_t node = build_open_node(b, op, output, inputs, output);
  build_int(b, "axis", 0);
  q8_write_end(&b->w, node);
}

/* Gemm of a quantized x [1, 3] with weights [2, 3] per channel; b_inputs spell its bias. */
static void build_gemm(builder *b, const char *bias_op, const char *bias_inputs, const char *output) {
  build_constant(b, "wq", QINT8_DTYPE_S8, DIMS(2, 3), w, 6);
  build_constant(b, "sw", QINT8_DTYPE_F32, DIMS(2), sw, 8);
  build_constant(b, "zw", QINT8_DTYPE_S8, DIMS(2), zw, 2);
  build_constant(b, "sb", QINT8_DTYPE_F32, DIMS(2), sb, 8);
  build_constant(b, "zb", QINT8_DTYPE_S32, DIMS(2), zb, 8);
  build_constant(b, "bq", QINT8_DTYPE_S32, DIMS(2), bias, 8);
  build_constant(b, "bf", QINT8_DTYPE_F32, DIMS(2), bias_values, 8);
  build_pair(b, "x", "x", "xd");
  build_along_0(b, "DequantizeLinear", "wq sw zw", "w");
  build_along_0(b, bias_op, bias_inputs, bias_op[0] == 'Q' ? "b_rounded" : "b");
  if (bias_op[0] == 'Q')
    build_along_0(b, "DequantizeLinear", "b_rounded sb zb", "b");
  size_t node = build_open_node(b, "Gemm", "gemm", "xd w b", output);
  build_int(b, "transB", 1);
  q8_write_end(&b->w, node);
}

static void bias_with_zero_points(builder *b) {
  build_start(b, DIMS(1, 3), DIMS(1, 2));
  build_gemm(b, "DequantizeLinear", "bq sb zb", "g");
  build_pair(b, "g", "y", "y");
}
static void bias_without_zero_points(builder *b) {
  build_start(b, DIMS(1, 3), DIMS(1, 2));
  build_gemm(b, "DequantizeLinear", "bq sb", "g");
  build_pair(b, "g", "y", "y");
}
static void bias_quantized_in_the_graph(builder *b) {
  build_start(b, DIMS(1, 3), DIMS(1, 2));
  build_gemm(b, "QuantizeLinear", "bf sb zb", "g");
  build_pair(b, "g", "y", "y");
}
static void relu_that_rounds_the_same(builder *b) {
  build_start(b, DIMS(1, 3), DIMS(1, 2));
  build_gemm(b, "DequantizeLinear", "bq sb", "g");
  build_pair(b, "g", "y", "gd");
  build_node(b, "Relu", "relu", "gd", "r");
  build_pair(b, "r", "y", "y");
}
static void relu_that_rounds_again(builder *b) {
  build_start(b, DIMS(1, 3), DIMS(1, 2));
  build_gemm(b, "DequantizeLinear", "bq sb", "g");
  build_pair(b, "g", "y", "gd");
  build_node(b, "Relu", "relu", "gd", "r");
  build_pair(b, "r", "x", "y");
}
static void silu_with_its_parts_rounded(builder *b) {
  build_start(b, DIMS(1, 3), DIMS(1, 3));
  build_pair(b, "x", "x", "xd");
  build_node(b, "Sigmoid", "sigmoid", "xd", "s");
  build_pair(b, "s", "y", "sd");
  build_node(b, "Mul", "mul", "xd sd", "m");
  build_pair(b, "m", "y", "y");
}
static void silu_as_one(builder *b) {
  build_start(b, DIMS(1, 3), DIMS(1, 3));
  build_pair(b, "x", "x", "xd");
  build_node(b, "Sigmoid", "sigmoid", "xd", "s");
  build_node(b, "Mul", "mul", "xd s", "m");
  build_pair(b, "m", "y", "y");
}
static void integers_to_integers(builder *b) {
  build_begin(b, 13);
  build_typed_value(b, Q8_GRAPH_INPUT, "x", QINT8_DTYPE_U8, DIMS(1, 3));
  build_typed_value(b, Q8_GRAPH_OUTPUT, "y", QINT8_DTYPE_U8, DIMS(1, 2));
  build_constant(b, "sx", QINT8_DTYPE_F32, NO_DIMS, &sx, 4);
  build_constant(b, "zx", QINT8_DTYPE_U8, NO_DIMS, &zx, 1);
  build_constant(b, "wq", QINT8_DTYPE_S8, DIMS(3, 2), w, 6);
  build_constant(b, "s_w", QINT8_DTYPE_F32, NO_DIMS, sw, 4);
  build_node(b, "DequantizeLinear", "dequantize", "x sx zx", "f");
  build_node(b, "DequantizeLinear", "weights", "wq s_w", "w");
  build_node(b, "MatMul", "product", "f w", "g");
  build_node(b, "QuantizeLinear", "quantize", "g sx zx", "y");
}
static size_t open_microsoft(builder *b, const char *op, const char *inputs, const char *outputs) {
  size_t node = build_open_node(b, op, op, inputs, outputs);
  q8_write_string(&b->w, Q8_NODE_DOMAIN, "com.microsoft");
  return node;
}
static void qlinear_reduce_mean(builder *b) {
  build_start(b, DIMS(1, 3, 2, 2), DIMS(1, 3, 1, 1));
  build_node(b, "QuantizeLinear", "quantize", "x sx zx", "xq");
  size_t node = open_microsoft(b, "QLinearReduceMean", "xq sx zx sy zy", "yq"), axes;
  axes = q8_write_begin(&b->w, Q8_NODE_ATTRIBUTE);
  q8_write_string(&b->w, Q8_ATTRIBUTE_NAME, "axes");
  q8_write_varint(&b->w, Q8_ATTRIBUTE_TYPE, Q8_TYPE_INTS);
  q8_write_varint(&b->w, Q8_ATTRIBUTE_INTS, 2);
  q8_write_varint(&b->w, Q8_ATTRIBUTE_INTS, 3);
  q8_write_end(&b->w, axes);
  build_int(b, "keepdims", 1);
  q8_write_end(&b->w, node);
  build_node(b, "DequantizeLinear", "dequantize", "yq sy zy", "y");
}

/* The node's own result for inputs of 1, 2, 3, ...: y[0]. Worked out by hand from the parameters above. */
typedef struct style {
  const char *name;
  void (*build)(builder *b);
  int int8, fp32; /* steps that compute, conversions at the borders aside */
  double first;
} style;
static const style styles[] = {
    {"bias with zero points", bias_with_zero_points, 1, 0, 126},
    {"bias without zero points", bias_without_zero_points, 1, 0, 126},
    {"bias quantized in the graph", bias_quantized_in_the_graph, 1, 0, 126},
    {"Relu that rounds the same", relu_that_rounds_the_same, 1, 0, 126},
    {"Relu that rounds again", relu_that_rounds_again, 1, 0, 31.75},
    {"Silu with its parts rounded", silu_with_its_parts_rounded, 2, 0, 0.5},
    {"Silu as one", silu_as_one, 1, 0, 0.5},
    {"integers to integers", integers_to_integers, 1, 2, 0},
    {"QLinearReduceMean", qlinear_reduce_mean, 1, 0, 2.5},
};

static void count_steps(const qint8_plan *plan, int *int8, int *fp32) {
  *int8 = *fp32 = 0;
  for (size_t i = 0; i < qint8_plan_step_count(plan); i++) {
    qint8_step_info step = QINT8_STEP_INFO_INIT;
    CHECK_EQ(qint8_plan_step(plan, i, &step), QINT8_OK);
    int aside = !strcmp(step.kind, "quantize") || !strcmp(step.kind, "dequantize") || !strcmp(step.kind, "transpose");
    *int8 += !aside && !strcmp(step.precision, "int8");
    *fp32 += !aside && !strcmp(step.precision, "fp32");
  }
}

/* y[0] for the inputs 1, 2, 3, ... of at most 16 elements. */
static double run(const qint8_plan *plan) {
  float values[2][16] = {{0}};
  uint8_t bytes[2][16] = {{0}};
  qint8_tensor_info info = QINT8_TENSOR_INFO_INIT;
  qint8_tensor t[2] = {QINT8_TENSOR_INIT, QINT8_TENSOR_INIT};
  for (int i = 0; i < 2; i++) {
    CHECK_EQ(i ? qint8_plan_output(plan, 0, &info) : qint8_plan_input(plan, 0, &info), QINT8_OK);
    t[i].dtype = info.dtype;
    t[i].rank = info.rank;
    memcpy(t[i].shape, info.shape, sizeof t[i].shape);
    t[i].data = info.dtype == QINT8_DTYPE_F32 ? (void *)values[i] : (void *)bytes[i];
  }
  for (int i = 0; i < 16; i++) {
    values[0][i] = (float)(i + 1);
    bytes[0][i] = (uint8_t)(i + 1);
  }
  const qint8_tensor *in[] = {&t[0]}, *out[] = {&t[1]};
  qint8_session *session = NULL;
  CHECK_EQ(qint8_session_create(plan, NULL, 0, NULL, &session, NULL), QINT8_OK);
  CHECK_EQ(qint8_session_run(session, in, 1, out, 1, NULL), QINT8_OK);
  qint8_session_destroy(session);
  return t[1].dtype == QINT8_DTYPE_F32 ? (double)values[1][0] : bytes[1][0];
}

static void every_style_runs_on_integers(void) {
  for (size_t i = 0; i < sizeof styles / sizeof styles[0]; i++) {
    const style *s = &styles[i];
    builder b;
    qint8_model *model = NULL;
    qint8_recipe *recipe = NULL;
    qint8_plan *plan = NULL;
    qint8_error error = QINT8_ERROR_INIT;
    int int8, fp32;
    s->build(&b);
    build_end(&b);
    qint8_status status = qint8_model_load_memory(b.w.bytes, b.w.size, NULL, &model, &error);
    if (status == QINT8_OK)
      status = qint8_model_recipe(model, &recipe, &error);
    if (status == QINT8_OK)
      status = qint8_plan_create(model, recipe, NULL, NULL, &plan, &error);
    CHECK_MSG(status == QINT8_OK, "%s: %s: %s", s->name, error.where, error.message);
    if (plan) {
      count_steps(plan, &int8, &fp32);
      CHECK_MSG(int8 == s->int8 && fp32 == s->fp32, "%s: %d int8 and %d fp32 steps", s->name, int8, fp32);
      double first = run(plan);
      CHECK_MSG(first == s->first, "%s: y[0] is %g, expected %g", s->name, first, s->first);
    }
    qint8_plan_destroy(plan);
    qint8_recipe_destroy(recipe);
    qint8_model_destroy(model);
    q8_writer_free(&b.w);
  }
}

int main(int argc, char **argv) {
  TEST_BEGIN(argc, argv);
  RUN(every_style_runs_on_integers);
  return TEST_END();
}
