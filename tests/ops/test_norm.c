/* Normalizing operators: values computed by hand or in double, and what their messages say. */
#include "case.h"

/* Rows of two values a < b become -1, 1 (epsilon 0). */
static void layer_norm(void) {
  op_case c = case_new("LayerNormalization", "");
  case_float(&c, "epsilon", 0);
  case_f32(&c, F(1, 3, -4, 4), DIMS(2, 2));
  case_f32(&c, F(1, 10), DIMS(2));
  case_f32(&c, F(0, 5), DIMS(2));
  case_expect(&c, F(-1, 15, -1, 15), 1e-6f, DIMS(2, 2));
  c = case_new("LayerNormalization", ""); /* scale of one value, mean and inverse deviation as outputs */
  case_float(&c, "epsilon", 0);
  case_int(&c, "axis", 0);
  c.out_count = 3;
  case_f32(&c, F(1, 1, 3, 3), DIMS(2, 2));
  case_f32(&c, F(2), DIMS(1));
  CHECK_EQ(case_run(&c), QINT8_OK);
  case_shape(&c, 1, DIMS(1, 1));
  CHECK(((float *)c.out[1].data)[0] == 2 && ((float *)c.out[2].data)[0] == 1);
  CHECK(((float *)c.out[0].data)[0] == -2 && ((float *)c.out[0].data)[3] == 2);
  case_free(&c);
}

static void random_values(float *x, int n) {
  for (int i = 0; i < n; i++)
    x[i] = test_random_float(-3, 3);
}

/* Mean 0, variance 1 over each group, in double. */
static void normalize(const float *x, int n, double epsilon, float *y) {
  double mean = 0, variance = 0;
  for (int i = 0; i < n; i++)
    mean += (double)x[i] / n;
  for (int i = 0; i < n; i++)
    variance += ((double)x[i] - mean) * ((double)x[i] - mean) / n;
  for (int i = 0; i < n; i++)
    y[i] = (float)(((double)x[i] - mean) / sqrt(variance + epsilon));
}

static void instance_norm_is_per_channel(void) {
  float x[2 * 3 * 35], y[2 * 3 * 35], scale[3] = {1, 2, -1}, bias[3] = {0, 1, 2};
  random_values(x, 210);
  for (int i = 0; i < 6; i++) {
    normalize(x + i * 35, 35, 1e-5, y + i * 35);
    for (int j = 0; j < 35; j++)
      y[i * 35 + j] = y[i * 35 + j] * scale[i % 3] + bias[i % 3];
  }
  op_case c = case_new("InstanceNormalization", "");
  case_f32(&c, x, DIMS(2, 3, 5, 7));
  case_f32(&c, scale, DIMS(3));
  case_f32(&c, bias, DIMS(3));
  case_expect(&c, y, 1e-5f, DIMS(2, 3, 5, 7));
}

/* Four channels in two groups; scale and bias per group (opset 18) or per channel (21). */
static void group_norm_takes_both_forms(void) {
  for (int per_channel = 0; per_channel < 2; per_channel++) {
    float x[4 * 9], y[4 * 9], scale[4] = {1, 2, 3, 4}, bias[4] = {0, -1, 5, 6};
    int count = per_channel ? 4 : 2;
    random_values(x, 36);
    for (int g = 0; g < 2; g++)
      normalize(x + g * 18, 18, 1e-3, y + g * 18);
    for (int i = 0; i < 36; i++)
      y[i] = y[i] * scale[per_channel ? i / 9 : i / 18] + bias[per_channel ? i / 9 : i / 18];
    op_case c = case_new("GroupNormalization", "");
    case_int(&c, "num_groups", 2);
    case_float(&c, "epsilon", 1e-3f);
    case_f32(&c, x, DIMS(1, 4, 3, 3));
    case_f32(&c, scale, DIMS(count));
    case_f32(&c, bias, DIMS(count));
    case_expect(&c, y, 1e-5f, DIMS(1, 4, 3, 3));
  }
}

static void batch_norm_in_training_gives_running_averages(void) {
  op_case c = case_new("BatchNormalization", "");
  case_int(&c, "training_mode", 1);
  case_float(&c, "momentum", 0.75f);
  case_float(&c, "epsilon", 0);
  c.out_count = 3;
  case_f32(&c, F(1, 3, 5, 7), DIMS(4, 1)); /* mean 4, variance 5 */
  case_f32(&c, F(1), DIMS(1));
  case_f32(&c, F(0), DIMS(1));
  case_f32(&c, F(8), DIMS(1));
  case_f32(&c, F(1), DIMS(1));
  CHECK_EQ(case_run(&c), QINT8_OK);
  CHECK(fabsf(((float *)c.out[0].data)[0] + 3 / sqrtf(5)) < 1e-6f);
  CHECK(((float *)c.out[1].data)[0] == 7 && ((float *)c.out[2].data)[0] == 2);
  case_free(&c);
}

static void lrn_and_lp_norm(void) {
  op_case c = case_new("LRN", ""); /* y = x / (1 + sum of squares of channels -1, 0, 1) */
  case_float(&c, "alpha", 3);
  case_float(&c, "beta", 1);
  case_int(&c, "size", 3);
  case_f32(&c, F(1, 2, 3), DIMS(1, 3));
  case_expect(&c, F(1.0f / 6, 2.0f / 15, 3.0f / 14), 1e-6f, DIMS(1, 3));
  c = case_new("LpNormalization", "");
  case_int(&c, "axis", 0);
  case_f32(&c, F(3, 0, 4, 0), DIMS(2, 2));
  case_expect(&c, F(0.6f, 0, 0.8f, 0), 1e-6f, DIMS(2, 2));
  c = case_new("LpPool", "");
  case_ints(&c, "kernel_shape", 1, 2);
  case_ints(&c, "strides", 1, 2);
  case_f32(&c, F(3, 4, 0, -2), DIMS(1, 1, 4));
  case_expect(&c, F(5, 2), 1e-6f, DIMS(1, 1, 2));
  c = case_new("GlobalLpPool", "");
  case_int(&c, "p", 1);
  case_f32(&c, F(3, 4, 0, -2), DIMS(1, 1, 4));
  case_expect(&c, F(9), 1e-6f, DIMS(1, 1, 1));
}

/* Column-major indices count the first spatial dimension fastest. */
static void max_pool_gives_indices(void) {
  const float x[12] = {1, 9, 2, 3, 4, 0, 8, 7, 5, 6, 1, 2};
  const int64_t expected[2][4] = {{1, 1, 6, 6}, {3, 3, 7, 7}};
  for (int order = 0; order < 2; order++) {
    op_case c = case_new("MaxPool", "");
    case_ints(&c, "kernel_shape", 2, 2, 2);
    case_int(&c, "storage_order", order);
    c.out_count = 2;
    case_f32(&c, x, DIMS(1, 1, 3, 4));
    CHECK_EQ(case_run(&c), QINT8_OK);
    CHECK_EQ(c.out[1].count, 6);
    const int64_t *index = c.out[1].data;
    CHECK_EQ(index[0], expected[order][0]);
    CHECK_EQ(index[1], expected[order][1]);
    CHECK_EQ(index[4], expected[order][2]);
    CHECK_EQ(index[5], expected[order][3]);
    case_free(&c);
  }
}

static void messages_name_what_does_not_fit(void) {
  op_case c = case_new("GroupNormalization", "");
  case_int(&c, "num_groups", 3);
  case_f32(&c, F(1, 2, 3, 4), DIMS(1, 4));
  case_f32(&c, F(1, 1, 1, 1), DIMS(4));
  case_f32(&c, F(1, 1, 1, 1), DIMS(4));
  case_expect_shape_error(&c, "3 groups of an input of shape [1, 4]");
  c = case_new("LayerNormalization", "");
  case_int(&c, "axis", 2);
  case_f32(&c, F(1, 2), DIMS(1, 2));
  case_f32(&c, F(1, 2), DIMS(2));
  case_expect_shape_error(&c, "axis 2 of shape [1, 2]");
  c = case_new("LayerNormalization", "");
  case_f32(&c, F(1, 2), DIMS(1, 2));
  case_f32(&c, F(1, 2, 3), DIMS(3));
  case_expect_shape_error(&c, "cannot be broadcast");
  c = case_new("InstanceNormalization", "");
  case_f32(&c, F(1, 2), DIMS(1, 2, 1));
  case_f32(&c, F(1), DIMS(1));
  case_f32(&c, F(1), DIMS(1));
  case_expect_shape_error(&c, "scale of shape [1]");
  c = case_new("LRN", "");
  case_f32(&c, F(1, 2), DIMS(1, 2));
  case_expect_shape_error(&c, "size is 0");
}

int main(int argc, char **argv) {
  TEST_BEGIN(argc, argv);
  RUN(layer_norm);
  RUN(instance_norm_is_per_channel);
  RUN(group_norm_takes_both_forms);
  RUN(batch_norm_in_training_gives_running_averages);
  RUN(lrn_and_lp_norm);
  RUN(max_pool_gives_indices);
  RUN(messages_name_what_does_not_fit);
  return TEST_END();
}
