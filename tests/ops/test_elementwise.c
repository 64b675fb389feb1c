/* Elementwise operators against libm in double or values computed by hand. */
#include "case.h"

typedef struct function {
  const char *name, *domain;
  double (*reference)(double);
  float lo, hi;
} function;

static double relu(double x) { return x > 0 ? x : 0; }
static double leaky(double x) { return x < 0 ? 0.01 * x : x; }
static double elu(double x) { return x < 0 ? expm1(x) : x; }
static double selu(double x) { return 1.0507009873554805 * (x > 0 ? x : 1.6732632423543772 * expm1(x)); }
static double hard_sigmoid(double x) { return fmin(1, fmax(0, 0.2 * x + 0.5)); }
static double hard_swish(double x) { return x * fmin(1, fmax(0, x / 6 + 0.5)); }
static double sigmoid(double x) { return 1 / (1 + exp(-x)); }
static double silu(double x) { return x / (1 + exp(-x)); }
static double gelu(double x) { return 0.5 * x * erfc(-x / sqrt(2)); }
static double softplus(double x) { return log1p(exp(x)); }
static double softsign(double x) { return x / (1 + fabs(x)); }
static double mish(double x) { return x * tanh(log1p(exp(x))); }
static double reciprocal(double x) { return 1 / x; }
static double negate(double x) { return -x; }
static double sign(double x) { return x > 0 ? 1 : x < 0 ? -1 : 0; }

static const function functions[] = {
    {"Relu", "", relu, -9, 9},          {"LeakyRelu", "", leaky, -9, 9},   {"Elu", "", elu, -9, 9},
    {"Celu", "", elu, -9, 9},           {"Selu", "", selu, -9, 9},         {"HardSigmoid", "", hard_sigmoid, -9, 9},
    {"HardSwish", "", hard_swish, -9, 9}, {"Sigmoid", "", sigmoid, -30, 30}, {"Silu", "qint8", silu, -30, 30},
    {"Gelu", "qint8", gelu, -9, 9},     {"Tanh", "", tanh, -9, 9},         {"Erf", "", erf, -5, 5},
    {"Exp", "", exp, -20, 20},          {"Log", "", log, 1e-6f, 1e6f},     {"Softplus", "", softplus, -30, 30},
    {"Softsign", "", softsign, -9, 9},  {"Mish", "", mish, -9, 9},         {"Sqrt", "", sqrt, 0, 100},
    {"Reciprocal", "", reciprocal, 0.1f, 9}, {"Abs", "", fabs, -9, 9},     {"Neg", "", negate, -9, 9},
    {"Floor", "", floor, -9, 9},        {"Ceil", "", ceil, -9, 9},         {"Round", "", rint, -9, 9},
    {"Sign", "", sign, -9, 9},
};

#define COUNT 1001

/* eval, and the function, which tables are made of, agree with the definition. */
static void functions_match_definition(void) {
  for (size_t f = 0; f < sizeof functions / sizeof functions[0]; f++) {
    const function *fn = &functions[f];
    float x[COUNT], expected[COUNT];
    for (int i = 0; i < COUNT; i++) {
      x[i] = fn->lo + (fn->hi - fn->lo) * (float)i / (COUNT - 1);
      expected[i] = (float)fn->reference(x[i]);
    }
    op_case c = case_new(fn->name, fn->domain);
    const q8_node node = {.op = c.op, .params = c.params};
    for (int i = 0; i < COUNT; i += 50)
      CHECK_MSG(fabsf(q8_node_function(&node, x[i]) - expected[i]) <= 1e-6f * (1 + fabsf(expected[i])), "%s(%g)",
                fn->name, (double)x[i]);
    case_f32(&c, x, DIMS(7, 143));
    case_expect(&c, expected, 1e-6f, DIMS(7, 143));
  }
}

static void functions_keep_extremes_finite(void) {
  const float x[4] = {-1e30f, -200, 200, 1e30f};
  op_case c = case_new("Sigmoid", "");
  case_f32(&c, x, DIMS(4));
  case_expect(&c, F(0, 0, 1, 1), 0, DIMS(4));
  c = case_new("Tanh", "");
  case_f32(&c, x, DIMS(4));
  case_expect(&c, F(-1, -1, 1, 1), 0, DIMS(4));
  c = case_new("Softplus", "");
  case_f32(&c, x, DIMS(4));
  case_expect(&c, F(0, 0, 200, 1e30f), 1e-6f, DIMS(4));
}

static void clip_takes_bounds_from_inputs(void) {
  const float x[5] = {-2, 0, 3, 6, 9};
  op_case c = case_new("Clip", "");
  case_f32(&c, x, DIMS(5));
  case_f32(&c, F(0), SCALAR);
  case_f32(&c, F(6), SCALAR);
  case_expect(&c, F(0, 0, 3, 6, 6), 0, DIMS(5));
  c = case_new("Clip", "");
  case_f32(&c, x, DIMS(5));
  case_expect(&c, x, 0, DIMS(5));
  c = case_new("Clip", "");
  case_f32(&c, x, DIMS(5));
  case_f32(&c, F(1, 2), DIMS(2));
  case_expect_shape_error(&c, "[2]");
}

static void arithmetic_broadcasts(void) {
  const float a[6] = {1, 2, 3, 4, 5, 6}, row[3] = {10, 20, 30}, column[2] = {100, 200};
  op_case c = case_new("Add", "");
  case_f32(&c, a, DIMS(2, 3));
  case_f32(&c, row, DIMS(3));
  case_expect(&c, F(11, 22, 33, 14, 25, 36), 0, DIMS(2, 3));
  c = case_new("Sub", "");
  case_f32(&c, column, DIMS(2, 1));
  case_f32(&c, a, DIMS(2, 3));
  case_expect(&c, F(99, 98, 97, 196, 195, 194), 0, DIMS(2, 3));
  c = case_new("Mul", "");
  case_f32(&c, column, DIMS(2, 1));
  case_f32(&c, row, DIMS(1, 3));
  case_expect(&c, F(1000, 2000, 3000, 2000, 4000, 6000), 0, DIMS(2, 3));
  c = case_new("Div", "");
  case_f32(&c, a, DIMS(2, 3));
  case_f32(&c, F(4), SCALAR);
  case_expect(&c, F(0.25f, 0.5f, 0.75f, 1, 1.25f, 1.5f), 0, DIMS(2, 3));
  c = case_new("Pow", "");
  case_f32(&c, a, DIMS(2, 3));
  case_f32(&c, F(2, 3, 0.5f), DIMS(3));
  case_expect(&c, F(1, 8, 1.7320508f, 16, 125, 2.4494897f), 1e-6f, DIMS(2, 3));
}

/* A channel scale, as in squeeze-excite: [N, C, H, W] * [N, C, 1, 1], and a mask [N, 1, H, W]. */
static void arithmetic_broadcasts_inner_dimensions(void) {
  float x[2 * 3 * 4], expected[24];
  for (int i = 0; i < 24; i++) {
    x[i] = (float)i;
    expected[i] = (float)i * (float)(i / 4 + 1);
  }
  op_case c = case_new("Mul", "");
  case_f32(&c, x, DIMS(2, 3, 2, 2));
  case_f32(&c, F(1, 2, 3, 4, 5, 6), DIMS(2, 3, 1, 1));
  case_expect(&c, expected, 0, DIMS(2, 3, 2, 2));
  for (int i = 0; i < 24; i++)
    expected[i] = (float)i + (float)(i / 12 * 4 + i % 4);
  c = case_new("Add", "");
  case_f32(&c, F(0, 1, 2, 3, 4, 5, 6, 7), DIMS(2, 1, 2, 2));
  case_f32(&c, x, DIMS(2, 3, 2, 2));
  case_expect(&c, expected, 0, DIMS(2, 3, 2, 2));
}

static void min_and_max_take_any_number(void) {
  op_case c = case_new("Max", "");
  case_f32(&c, F(1, 5, 3), DIMS(3));
  case_f32(&c, F(2), DIMS(1));
  case_f32(&c, F(0, 0, 4), DIMS(1, 3));
  case_expect(&c, F(2, 5, 4), 0, DIMS(1, 3));
  c = case_new("Min", "");
  case_f32(&c, F(1, 5, 3), DIMS(3));
  case_expect(&c, F(1, 5, 3), 0, DIMS(3));
}

static void integers_wrap_and_divide_towards_zero(void) {
  op_case c = case_new("Div", "");
  case_s64(&c, I(7, -7, 5, INT64_MIN), DIMS(4));
  case_s64(&c, I(2, 2, 0, -1), DIMS(4));
  case_expect_s64(&c, I(3, -3, 0, INT64_MIN), DIMS(4));
  c = case_new("Mul", "");
  case_s64(&c, I(INT64_MAX, 6), DIMS(2));
  case_s64(&c, I(2, -7), DIMS(2));
  case_expect_s64(&c, I(-2, -42), DIMS(2));
}

static void comparison_gives_bool(void) {
  op_case c = case_new("Greater", "");
  case_f32(&c, F(1, 2, 3), DIMS(3));
  case_f32(&c, F(2), SCALAR);
  CHECK_EQ(case_run(&c), QINT8_OK);
  CHECK_EQ(c.out[0].dtype, QINT8_DTYPE_BOOL);
  CHECK(!memcmp(c.out[0].data, (uint8_t[]){0, 0, 1}, 3));
  case_free(&c);
}

static void mismatched_shapes_are_named(void) {
  op_case c = case_new("Add", "");
  case_f32(&c, F(1, 2, 3), DIMS(3));
  case_f32(&c, F(1, 2), DIMS(2));
  case_expect_shape_error(&c, "[3] and [2]");
}

int main(int argc, char **argv) {
  TEST_BEGIN(argc, argv);
  RUN(functions_match_definition);
  RUN(functions_keep_extremes_finite);
  RUN(clip_takes_bounds_from_inputs);
  RUN(arithmetic_broadcasts);
  RUN(arithmetic_broadcasts_inner_dimensions);
  RUN(min_and_max_take_any_number);
  RUN(integers_wrap_and_divide_towards_zero);
  RUN(comparison_gives_bool);
  RUN(mismatched_shapes_are_named);
  return TEST_END();
}
