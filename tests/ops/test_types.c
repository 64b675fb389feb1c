/* Elementwise operators and reductions in every element type, against arithmetic in C, and their edges. */
#include "base/element.h"
#include "case.h"

static op_case begin(const char *name, int32_t dtype, int inputs, const double *a, const double *b, int count) {
  op_case c = case_new(name, "");
  for (int i = 0; i < inputs; i++) {
    unsigned char data[64 * 8];
    q8_cast(QINT8_DTYPE_F64, i ? b : a, 1, dtype, data, (size_t)count);
    c.in[c.in_count++] = case_value(dtype, data, 1, &count);
  }
  return c;
}

static void expect(op_case *c, int32_t dtype, const double *expected, int count) {
  q8_status status = case_run(c);
  CHECK_MSG(status == QINT8_OK, "%s of %s: %s", c->op->name, q8_dtype_name(c->in[0].dtype), c->error.message);
  if (status == QINT8_OK) {
    CHECK_EQ(c->out[0].dtype, dtype);
    CHECK_EQ(c->out[0].count, count);
    for (int i = 0; i < count; i++) {
      double y = q8_element_double(dtype, c->out[0].data, (size_t)i);
      CHECK_MSG(y == expected[i], "%s of %s: [%d] is %g, expected %g", c->op->name, q8_dtype_name(c->in[0].dtype), i, y,
                expected[i]);
    }
  }
  case_free(c);
}

static const int32_t numbers[] = {QINT8_DTYPE_F16, QINT8_DTYPE_BF16, QINT8_DTYPE_F32, QINT8_DTYPE_F64,
                                  QINT8_DTYPE_S8,  QINT8_DTYPE_S16,  QINT8_DTYPE_S32, QINT8_DTYPE_S64,
                                  QINT8_DTYPE_U8,  QINT8_DTYPE_U16,  QINT8_DTYPE_U32, QINT8_DTYPE_U64};
#define EACH_TYPE(t) for (const int32_t *t = numbers; t < numbers + sizeof numbers / sizeof *numbers; t++)
#define D(...) ((const double[]){__VA_ARGS__})

static void arithmetic_in_every_type(void) {
  const double a[4] = {7, 3, 0, 6}, b[4] = {2, 3, 5, 1};
  EACH_TYPE(t) {
    op_case c = begin("Add", *t, 2, a, b, 4);
    expect(&c, *t, D(9, 6, 5, 7), 4);
    c = begin("Mul", *t, 2, a, b, 4);
    expect(&c, *t, D(14, 9, 0, 6), 4);
    c = begin("Max", *t, 2, a, b, 4);
    expect(&c, *t, D(7, 3, 5, 6), 4);
    c = begin("Pow", *t, 2, D(2, 3, 5, 0), D(5, 3, 2, 0), 4);
    expect(&c, *t, D(32, 27, 25, 1), 4);
    c = begin("Less", *t, 2, a, b, 4);
    expect(&c, QINT8_DTYPE_BOOL, D(0, 0, 1, 0), 4);
    c = begin("Mod", *t, 2, a, b, 4);
    expect(&c, *t, D(1, 0, 0, 0), 4);
  }
}

static void integers_wrap_and_do_not_trap(void) {
  op_case c = begin("Add", QINT8_DTYPE_S8, 2, D(127, -128), D(1, -1), 2);
  expect(&c, QINT8_DTYPE_S8, D(-128, 127), 2);
  c = begin("Sub", QINT8_DTYPE_U8, 2, D(0, 255), D(1, 255), 2);
  expect(&c, QINT8_DTYPE_U8, D(255, 0), 2);
  c = begin("Div", QINT8_DTYPE_S32, 2, D(7, -2147483648.0, -7), D(0, -1, 2), 3);
  expect(&c, QINT8_DTYPE_S32, D(0, -2147483648.0, -3), 3);
  c = begin("Mod", QINT8_DTYPE_S64, 2, D(-7, 7, 5, -6), D(3, -3, 0, 3), 4);
  expect(&c, QINT8_DTYPE_S64, D(2, -2, 0, 0), 4);
  c = begin("Mod", QINT8_DTYPE_S64, 2, D(-7, 7, 5, -6), D(3, -3, 0, 3), 4);
  case_int(&c, "fmod", 1);
  expect(&c, QINT8_DTYPE_S64, D(-1, 1, 0, 0), 4);
  c = begin("BitShift", QINT8_DTYPE_U8, 2, D(1, 255, 3), D(7, 1, 9), 3);
  case_text(&c, "direction", "LEFT");
  expect(&c, QINT8_DTYPE_U8, D(128, 254, 0), 3);
  c = begin("Neg", QINT8_DTYPE_S8, 1, D(-128, 5), NULL, 2);
  expect(&c, QINT8_DTYPE_S8, D(-128, -5), 2);
}

static void reductions(void) {
  const double a[4] = {2, 3, 4, 5};
  EACH_TYPE(t) {
    op_case c = begin("ReduceSum", *t, 1, a, NULL, 4);
    expect(&c, *t, D(14), 1);
    c = begin("ReduceProd", *t, 1, a, NULL, 4);
    expect(&c, *t, D(120), 1);
    c = begin("ReduceMin", *t, 1, a, NULL, 4);
    expect(&c, *t, D(2), 1);
    c = begin("ReduceSumSquare", *t, 1, a, NULL, 4);
    expect(&c, *t, D(54), 1);
  }
  op_case c = begin("ReduceMax", QINT8_DTYPE_S8, 1, D(-5, -3), NULL, 2);
  expect(&c, QINT8_DTYPE_S8, D(-3), 1);
  c = begin("ReduceL1", QINT8_DTYPE_S32, 1, D(-5, 3), NULL, 2);
  expect(&c, QINT8_DTYPE_S32, D(8), 1);
  c = begin("ReduceLogSumExp", QINT8_DTYPE_F32, 1, D(1000, -INFINITY), NULL, 2);
  expect(&c, QINT8_DTYPE_F32, D(1000), 1);
}

/* Rows, columns and neither: every set of axes of [3, 4, 70] against sums in plain order. */
static void reductions_over_any_axes(void) {
  enum { N = 3 * 4 * 70 };
  static const int dims[3] = {3, 4, 70};
  float x[N];
  for (int i = 0; i < N; i++)
    x[i] = test_random_float(-2, 2);
  for (int mask = 1; mask < 8; mask++)
    for (int kind = 0; kind < 3; kind++) {
      double result[N];
      float expected[N];
      int shape[3], kept = 1;
      for (int i = 0; i < N; i++)
        result[i] = kind == 2 ? -INFINITY : 0;
      for (int d = 0; d < 3; d++)
        kept *= shape[d] = mask >> d & 1 ? 1 : dims[d];
      for (int i = 0; i < N; i++) {
        int index[3] = {i / 280, i / 70 % 4, i % 70}, at = 0;
        for (int d = 0; d < 3; d++)
          at = at * shape[d] + (shape[d] == 1 ? 0 : index[d]);
        result[at] = kind == 2 ? fmax(result[at], (double)x[i]) : result[at] + (kind ? fabs((double)x[i]) : (double)x[i]);
      }
      for (int i = 0; i < kept; i++)
        expected[i] = (float)(kind == 0 ? result[i] / (N / kept) : result[i]);
      op_case c = case_new(kind == 0 ? "ReduceMean" : kind == 1 ? "ReduceL1" : "ReduceMax", "");
      q8_ints *axes = case_field(&c, "axes");
      axes->count = 0;
      for (int d = 0; d < 3; d++)
        if (mask >> d & 1)
          axes->v[axes->count++] = d - 3;
      case_f32(&c, x, 3, dims);
      case_expect(&c, expected, 1e-6f, 3, shape);
    }
}

static void reductions_of_nothing(void) {
  op_case c = begin("ReduceSum", QINT8_DTYPE_F32, 1, D(0), NULL, 0);
  expect(&c, QINT8_DTYPE_F32, D(0), 1);
  c = begin("ReduceMax", QINT8_DTYPE_F32, 1, D(0), NULL, 0);
  expect(&c, QINT8_DTYPE_F32, D(-INFINITY), 1);
  c = begin("ReduceMax", QINT8_DTYPE_S32, 1, D(0), NULL, 0);
  case_expect_shape_error(&c, "ReduceMax of no integers");
}

static void clip_in_every_type(void) {
  EACH_TYPE(t) {
    op_case c = begin("Clip", *t, 1, D(1, 5, 9), NULL, 3);
    for (int i = 0; i < 2; i++) {
      unsigned char bound[8];
      q8_cast(QINT8_DTYPE_F64, i ? D(7) : D(3), 1, *t, bound, 1);
      c.in[c.in_count++] = case_value(*t, bound, 0, NULL);
    }
    expect(&c, *t, D(3, 5, 7), 3);
  }
}

static void mixed_types_are_named(void) {
  op_case c = case_new("Add", "");
  case_f32(&c, F(1), DIMS(1));
  case_s64(&c, I(1), DIMS(1));
  CHECK_EQ(case_run(&c), QINT8_ERROR_UNSUPPORTED);
  CHECK(!strcmp(c.error.where, "node") && strstr(c.error.message, "float32 and int64"));
  case_free(&c);
  c = case_new("And", "");
  case_f32(&c, F(1), DIMS(1));
  case_f32(&c, F(1), DIMS(1));
  CHECK_EQ(case_run(&c), QINT8_ERROR_UNSUPPORTED);
  case_free(&c);
}

static void variadic(void) {
  op_case c = case_new("Mean", "");
  case_f32(&c, F(1, 2), DIMS(2));
  case_f32(&c, F(3), SCALAR);
  case_f32(&c, F(2, 4), DIMS(2, 1));
  case_expect(&c, F(2, 7.0f / 3, 8.0f / 3, 3), 1e-6f, DIMS(2, 2));
  c = case_new("Sum", "");
  case_f32(&c, F(1, 2), DIMS(2));
  case_expect(&c, F(1, 2), 0, DIMS(2));
  c = case_new("Min", "");
  case_f32(&c, F(1, 2), DIMS(2));
  case_f32(&c, F(1, 2, 3), DIMS(3));
  case_expect_shape_error(&c, "[2] and [3]");
}

static void dropout_trains_only_without_effect(void) {
  op_case c = case_new("Dropout", "");
  c.out_count = 2;
  case_f32(&c, F(1, 2), DIMS(2));
  case_f32(&c, F(0), SCALAR);
  case_bool(&c, (const uint8_t[]){1}, SCALAR);
  case_expect(&c, F(1, 2), 0, DIMS(2));
  c = case_new("Dropout", "");
  case_f32(&c, F(1, 2), DIMS(2));
  case_f32(&c, F(0.5f), SCALAR);
  case_bool(&c, (const uint8_t[]){1}, SCALAR);
  CHECK_EQ(case_run(&c), QINT8_ERROR_UNSUPPORTED);
  CHECK(strstr(c.error.message, "training mode") != NULL);
  case_free(&c);
}

int main(int argc, char **argv) {
  TEST_BEGIN(argc, argv);
  RUN(arithmetic_in_every_type);
  RUN(integers_wrap_and_do_not_trap);
  RUN(reductions);
  RUN(reductions_over_any_axes);
  RUN(reductions_of_nothing);
  RUN(clip_in_every_type);
  RUN(mixed_types_are_named);
  RUN(variadic);
  RUN(dropout_trains_only_without_effect);
  return TEST_END();
}
