/* Operators that move values or compute with shapes, against values worked out by hand. */
#include "case.h"

static const float six[6] = {1, 2, 3, 4, 5, 6};

static void reshape_rules(void) {
  op_case c = case_new("Reshape", "");
  case_f32(&c, six, DIMS(2, 3));
  case_s64(&c, I(0, -1, 1), DIMS(3));
  case_expect(&c, six, 0, DIMS(2, 3, 1));
  c = case_new("Reshape", "");
  case_f32(&c, six, DIMS(2, 3));
  case_s64(&c, I(4, -1), DIMS(2));
  case_expect_shape_error(&c, "[4, -1]");
  c = case_new("Reshape", "");
  case_f32(&c, six, DIMS(2, 3));
  case_s64(&c, I(-1, -1), DIMS(2));
  case_expect_shape_error(&c, "[-1, -1]");
  c = case_new("Reshape", "");
  case_int(&c, "allowzero", 1);
  case_f32(&c, six, DIMS(0, 3));
  case_s64(&c, I(3, 0), DIMS(2));
  case_expect(&c, six, 0, DIMS(3, 0));
}

static void flatten_squeeze_unsqueeze(void) {
  op_case c = case_new("Flatten", "");
  case_int(&c, "axis", -1);
  case_f32(&c, six, DIMS(1, 2, 3));
  case_expect(&c, six, 0, DIMS(2, 3));
  c = case_new("Squeeze", "");
  case_f32(&c, six, DIMS(1, 2, 1, 3));
  case_s64(&c, I(-2), DIMS(1));
  case_expect(&c, six, 0, DIMS(1, 2, 3));
  c = case_new("Squeeze", "");
  case_f32(&c, six, DIMS(1, 6, 1));
  case_expect(&c, six, 0, DIMS(6));
  c = case_new("Squeeze", "");
  case_f32(&c, six, DIMS(2, 3));
  case_s64(&c, I(0), DIMS(1));
  case_expect_shape_error(&c, "[2, 3]");
  c = case_new("Unsqueeze", "");
  case_f32(&c, six, DIMS(2, 3));
  case_s64(&c, I(-1, 0), DIMS(2));
  case_expect(&c, six, 0, DIMS(1, 2, 3, 1));
}

static void transpose_by_hand(void) {
  op_case c = case_new("Transpose", "");
  case_f32(&c, six, DIMS(2, 3));
  case_expect(&c, F(1, 4, 2, 5, 3, 6), 0, DIMS(3, 2));
  const float x[8] = {0, 1, 2, 3, 4, 5, 6, 7};
  c = case_new("Transpose", "");
  case_ints(&c, "perm", 3, 1, 2, 0);
  case_f32(&c, x, DIMS(2, 2, 2));
  case_expect(&c, F(0, 4, 1, 5, 2, 6, 3, 7), 0, DIMS(2, 2, 2));
  c = case_new("Transpose", "");
  case_ints(&c, "perm", 2, 0, 0);
  case_f32(&c, six, DIMS(2, 3));
  case_expect_shape_error(&c, "[2, 3]");
}

static void concat_and_split(void) {
  op_case c = case_new("Concat", "");
  case_int(&c, "axis", -1);
  case_f32(&c, six, DIMS(2, 3));
  case_f32(&c, F(7, 8), DIMS(2, 1));
  case_expect(&c, F(1, 2, 3, 7, 4, 5, 6, 8), 0, DIMS(2, 4));
  c = case_new("Concat", "");
  case_int(&c, "axis", 0);
  case_f32(&c, six, DIMS(2, 3));
  case_f32(&c, F(7, 8), DIMS(2, 1));
  case_expect_shape_error(&c, "[2, 3] and [2, 1]");
  c = case_new("Split", "");
  case_int(&c, "axis", 1);
  c.out_count = 2;
  case_f32(&c, six, DIMS(2, 3));
  CHECK_EQ(case_run(&c), QINT8_OK);
  case_shape(&c, 0, DIMS(2, 2));
  case_shape(&c, 1, DIMS(2, 1));
  CHECK(!memcmp(c.out[0].data, F(1, 2, 4, 5), 16) && !memcmp(c.out[1].data, F(3, 6), 8));
  case_free(&c);
}

static void slices(void) {
  const float x[5] = {0, 1, 2, 3, 4};
  op_case c = case_new("Slice", "");
  case_f32(&c, x, DIMS(5));
  case_s64(&c, I(-3), DIMS(1));
  case_s64(&c, I(INT64_MAX), DIMS(1));
  case_expect(&c, F(2, 3, 4), 0, DIMS(3));
  c = case_new("Slice", ""); /* backwards, every second */
  case_f32(&c, x, DIMS(5));
  case_s64(&c, I(-1), DIMS(1));
  case_s64(&c, I(INT64_MIN), DIMS(1));
  case_s64(&c, I(0), DIMS(1));
  case_s64(&c, I(-2), DIMS(1));
  case_expect(&c, F(4, 2, 0), 0, DIMS(3));
  c = case_new("Slice", "");
  case_f32(&c, six, DIMS(2, 3));
  case_s64(&c, I(1, 0), DIMS(2));
  case_s64(&c, I(3, 1), DIMS(2));
  case_s64(&c, I(1, 0), DIMS(2));
  case_expect(&c, F(2, 3), 0, DIMS(1, 2));
  c = case_new("Slice", ""); /* nothing */
  case_f32(&c, x, DIMS(5));
  case_s64(&c, I(4), DIMS(1));
  case_s64(&c, I(2), DIMS(1));
  case_expect(&c, x, 0, DIMS(0));
  c = case_new("Slice", ""); /* backwards from before the first element: that one */
  case_f32(&c, x, DIMS(5));
  case_s64(&c, I(-8), DIMS(1));
  case_s64(&c, I(-8), DIMS(1));
  case_s64(&c, I(0), DIMS(1));
  case_s64(&c, I(-3), DIMS(1));
  case_expect(&c, F(0), 0, DIMS(1));
  c = case_new("Slice", "");
  case_f32(&c, x, DIMS(0));
  case_s64(&c, I(-1), DIMS(1));
  case_s64(&c, I(-9), DIMS(1));
  case_s64(&c, I(0), DIMS(1));
  case_s64(&c, I(-1), DIMS(1));
  case_expect(&c, x, 0, DIMS(0));
}

static void gathers(void) {
  op_case c = case_new("Gather", "");
  case_int(&c, "axis", 1);
  case_f32(&c, six, DIMS(2, 3));
  case_s64(&c, I(2, -3), DIMS(2));
  case_expect(&c, F(3, 1, 6, 4), 0, DIMS(2, 2));
  c = case_new("Gather", "");
  case_s64(&c, I(10, 20, 30), DIMS(3));
  case_s64(&c, I(1), SCALAR);
  case_expect_s64(&c, I(20), SCALAR);
  c = case_new("Gather", "");
  case_f32(&c, six, DIMS(2, 3));
  case_s64(&c, I(2), DIMS(1));
  CHECK_EQ(case_run(&c), QINT8_ERROR_DATA);
  case_free(&c);
}

static void shape_arithmetic(void) {
  op_case c = case_new("Shape", "");
  case_f32(&c, six, DIMS(1, 2, 3));
  case_int(&c, "start", -2);
  case_expect_s64(&c, I(2, 3), DIMS(2));
  c = case_new("ConstantOfShape", "");
  q8_scalar *value = case_field(&c, "value");
  *value = (q8_scalar){.dtype = QINT8_DTYPE_S64, .i = 7};
  case_s64(&c, I(2, 2), DIMS(2));
  case_expect_s64(&c, I(7, 7, 7, 7), DIMS(2, 2));
  c = case_new("Range", "");
  case_s64(&c, I(3), SCALAR);
  case_s64(&c, I(-4), SCALAR);
  case_s64(&c, I(-3), SCALAR);
  case_expect_s64(&c, I(3, 0, -3), DIMS(3));
  c = case_new("Cast", "");
  case_int(&c, "to", QINT8_DTYPE_S64);
  case_f32(&c, F(1.9f, -1.9f, NAN, 1e30f), DIMS(4));
  case_expect_s64(&c, I(1, -1, 0, INT64_MAX), DIMS(4));
}

static void expand_tile_where(void) {
  op_case c = case_new("Expand", "");
  case_f32(&c, F(1, 2), DIMS(2, 1));
  case_s64(&c, I(2, 1, 3), DIMS(3));
  case_expect(&c, F(1, 1, 1, 2, 2, 2, 1, 1, 1, 2, 2, 2), 0, DIMS(2, 2, 3));
  c = case_new("Tile", "");
  case_f32(&c, F(1, 2), DIMS(1, 2));
  case_s64(&c, I(2, 2), DIMS(2));
  case_expect(&c, F(1, 2, 1, 2, 1, 2, 1, 2), 0, DIMS(2, 4));
  c = case_new("Where", "");
  case_bool(&c, (uint8_t[]){1, 0}, DIMS(2, 1));
  case_f32(&c, F(1, 2), DIMS(2));
  case_f32(&c, F(9), SCALAR);
  case_expect(&c, F(1, 2, 9, 9), 0, DIMS(2, 2));
}

static void pads(void) {
  const char *modes[4] = {"constant", "edge", "reflect", "wrap"};
  const float *expected[4] = {F(0, 0, 1, 2, 3, 0), F(1, 1, 1, 2, 3, 3), F(3, 2, 1, 2, 3, 2), F(2, 3, 1, 2, 3, 1)};
  for (int i = 0; i < 4; i++) {
    op_case c = case_new("Pad", "");
    case_text(&c, "mode", modes[i]);
    case_f32(&c, F(1, 2, 3), DIMS(3));
    case_s64(&c, I(2, 1), DIMS(2));
    case_expect(&c, expected[i], 0, DIMS(6));
  }
}

static void reductions(void) {
  op_case c = case_new("ReduceMean", "");
  case_ints(&c, "axes", 1, -1);
  case_int(&c, "keepdims", 0);
  case_f32(&c, six, DIMS(2, 3));
  case_expect(&c, F(2, 5), 0, DIMS(2));
  c = case_new("ReduceMean", "");
  case_ints(&c, "axes", 2, 0, 2);
  case_f32(&c, F(1, 2, 3, 4, 5, 6, 7, 8), DIMS(2, 2, 2));
  case_expect(&c, F(3.5f, 5.5f), 0, DIMS(1, 2, 1));
  c = case_new("ReduceMax", "");
  case_f32(&c, six, DIMS(2, 3));
  case_expect(&c, F(6), 0, DIMS(1, 1));
  c = case_new("ReduceSum", "");
  case_f32(&c, six, DIMS(2, 3));
  case_s64(&c, I(0), DIMS(1));
  case_expect(&c, F(5, 7, 9), 0, DIMS(1, 3));
}

static void softmax_axes(void) {
  const float e = 2.71828183f;
  op_case c = case_new("Softmax", "");
  case_f32(&c, F(0, 1, 1000, 1001), DIMS(2, 2));
  case_expect(&c, F(1 / (1 + e), e / (1 + e), 1 / (1 + e), e / (1 + e)), 1e-6f, DIMS(2, 2));
  c = case_new("Softmax", "");
  case_int(&c, "axis", 0);
  case_f32(&c, F(0, 5, 1, 5), DIMS(2, 2));
  case_expect(&c, F(1 / (1 + e), 0.5f, e / (1 + e), 0.5f), 1e-6f, DIMS(2, 2));
  c = case_new("Softmax", ""); /* before opset 13: all from the axis on */
  case_int(&c, "axis", 1);
  case_int(&c, "flat", 1);
  case_f32(&c, F(3, 3, 3, 3), DIMS(1, 2, 2));
  case_expect(&c, F(0.25f, 0.25f, 0.25f, 0.25f), 1e-6f, DIMS(1, 2, 2));
}

static void batch_normalization(void) {
  op_case c = case_new("BatchNormalization", "");
  case_float(&c, "epsilon", 0);
  case_f32(&c, F(1, 2, 3, 4), DIMS(1, 2, 2));
  case_f32(&c, F(2, 3), DIMS(2));
  case_f32(&c, F(10, 20), DIMS(2));
  case_f32(&c, F(1, 3), DIMS(2));
  case_f32(&c, F(4, 1), DIMS(2));
  case_expect(&c, F(10, 11, 20, 23), 1e-6f, DIMS(1, 2, 2));
}

/* Index i of a padded dimension of n, worked out step by step; -1 for the padding value. */
static int padded_index(char mode, int i, int n) {
  while (mode == 'r' && (i < 0 || i >= n))
    i = i < 0 ? -i : 2 * (n - 1) - i;
  while (mode == 'w' && (i < 0 || i >= n))
    i += i < 0 ? n : -n;
  if (mode == 'e')
    return i < 0 ? 0 : i >= n ? n - 1 : i;
  return i >= 0 && i < n ? i : -1;
}

static void random_pads(void) {
  static const char *const modes[4] = {"constant", "edge", "reflect", "wrap"};
  for (int k = 0; k < 400; k++) {
    int h = test_random_int(3, 5), w = test_random_int(3, 5), pad[4];
    for (int i = 0; i < 4; i++)
      pad[i] = test_random_int(-1, 2); /* top, left, bottom, right */
    float x[25], expected[81];
    for (int i = 0; i < h * w; i++)
      x[i] = (float)(i + 1);
    const char *mode = modes[k % 4];
    int rows = h + pad[0] + pad[2], columns = w + pad[1] + pad[3];
    for (int i = 0; i < rows * columns; i++) {
      int r = padded_index(*mode, i / columns - pad[0], h), c = padded_index(*mode, i % columns - pad[1], w);
      expected[i] = r < 0 || c < 0 ? -7 : x[r * w + c];
    }
    op_case c = case_new("Pad", "");
    case_text(&c, "mode", mode);
    case_f32(&c, x, DIMS(h, w));
    case_s64(&c, I(pad[0], pad[1], pad[2], pad[3]), DIMS(4));
    case_f32(&c, F(-7), SCALAR);
    case_expect(&c, expected, 0, DIMS(rows, columns));
  }
}

static void tile_and_where_by_element(void) {
  float x[6], y[36], z[3];
  for (int i = 0; i < 6; i++)
    x[i] = (float)i;
  for (int i = 0; i < 36; i++)
    y[i] = x[i / 9 % 2 * 3 + i % 9 % 3];
  op_case c = case_new("Tile", "");
  case_f32(&c, x, DIMS(2, 3));
  case_s64(&c, I(2, 3), DIMS(2));
  case_expect(&c, y, 0, DIMS(4, 9));
  c = case_new("Tile", "");
  case_f32(&c, x, SCALAR);
  case_s64(&c, I(0), DIMS(0));
  case_expect(&c, x, 0, SCALAR);
  uint8_t condition[4];
  for (int i = 0; i < 4; i++)
    condition[i] = (uint8_t)test_random_int(0, 1);
  for (int i = 0; i < 3; i++)
    z[i] = (float)-i;
  for (int i = 0; i < 24; i++)
    y[i] = condition[i / 3 % 4] ? x[i / 12 * 3 + i % 3] : z[i % 3];
  c = case_new("Where", "");
  case_bool(&c, condition, DIMS(4, 1));
  case_f32(&c, x, DIMS(2, 1, 3));
  case_f32(&c, z, DIMS(3));
  case_expect(&c, y, 0, DIMS(2, 4, 3));
}

int main(int argc, char **argv) {
  TEST_BEGIN(argc, argv);
  RUN(reshape_rules);
  RUN(flatten_squeeze_unsqueeze);
  RUN(transpose_by_hand);
  RUN(concat_and_split);
  RUN(slices);
  RUN(gathers);
  RUN(shape_arithmetic);
  RUN(expand_tile_where);
  RUN(pads);
  RUN(reductions);
  RUN(softmax_axes);
  RUN(batch_normalization);
  RUN(random_pads);
  RUN(tile_and_where_by_element);
  return TEST_END();
}
