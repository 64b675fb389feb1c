/* Pooling against a direct walk over padded images, and values computed by hand. */
#include "case.h"

static void max_pool_by_hand(void) {
  const float x[16] = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16};
  op_case c = case_new("MaxPool", "");
  case_ints(&c, "kernel_shape", 2, 2, 2);
  case_ints(&c, "strides", 2, 2, 2);
  case_f32(&c, x, DIMS(1, 1, 4, 4));
  case_expect(&c, F(6, 8, 14, 16), 0, DIMS(1, 1, 2, 2));
  c = case_new("MaxPool", ""); /* dilation 2 */
  case_ints(&c, "kernel_shape", 2, 2, 2);
  case_ints(&c, "dilations", 2, 2, 2);
  case_f32(&c, x, DIMS(1, 1, 4, 4));
  case_expect(&c, F(11, 12, 15, 16), 0, DIMS(1, 1, 2, 2));
}

static void ceil_mode_adds_a_partial_window(void) {
  op_case c = case_new("MaxPool", "");
  case_ints(&c, "kernel_shape", 1, 2);
  case_ints(&c, "strides", 1, 2);
  case_int(&c, "ceil_mode", 1);
  case_f32(&c, F(1, 2, 3, 4, 5), DIMS(1, 1, 5));
  case_expect(&c, F(2, 4, 5), 0, DIMS(1, 1, 3));
  c = case_new("MaxPool", "");
  case_ints(&c, "kernel_shape", 1, 2);
  case_ints(&c, "strides", 1, 2);
  case_f32(&c, F(1, 2, 3, 4, 5), DIMS(1, 1, 5));
  case_expect(&c, F(2, 4), 0, DIMS(1, 1, 2));
}

static void average_counts_padding_if_asked(void) {
  for (int include = 0; include < 2; include++) {
    op_case c = case_new("AveragePool", "");
    case_ints(&c, "kernel_shape", 2, 3, 3);
    case_ints(&c, "pads", 4, 1, 1, 1, 1);
    case_int(&c, "count_include_pad", include);
    case_f32(&c, F(1, 2, 3, 4), DIMS(1, 1, 2, 2));
    float mean = include ? 10.0f / 9 : 2.5f;
    case_expect(&c, F(mean, mean, mean, mean), 1e-6f, DIMS(1, 1, 2, 2));
  }
}

static void same_padding_goes_where_it_says(void) {
  op_case c = case_new("MaxPool", "");
  case_ints(&c, "kernel_shape", 1, 2);
  case_text(&c, "auto_pad", "SAME_UPPER");
  case_f32(&c, F(1, 2, 3), DIMS(1, 1, 3));
  case_expect(&c, F(2, 3, 3), 0, DIMS(1, 1, 3));
  c = case_new("MaxPool", "");
  case_ints(&c, "kernel_shape", 1, 2);
  case_text(&c, "auto_pad", "SAME_LOWER");
  case_f32(&c, F(1, 2, 3), DIMS(1, 1, 3));
  case_expect(&c, F(1, 2, 3), 0, DIMS(1, 1, 3));
}

/* Random windows on two dimensions, compared with a walk over every input position. */
static void windows_match_a_direct_walk(void) {
  for (int round = 0; round < 200; round++) {
    int h = test_random_int(3, 9), w = test_random_int(3, 9), k = test_random_int(1, 3), s = test_random_int(1, 3);
    int pad = test_random_int(0, k - 1), average = round & 1;
    float x[81], y[200];
    for (int i = 0; i < h * w; i++)
      x[i] = test_random_float(-4, 4);
    int p = (h + 2 * pad - k) / s + 1, q = (w + 2 * pad - k) / s + 1;
    for (int i = 0; i < p; i++)
      for (int j = 0; j < q; j++) {
        float max = -INFINITY, sum = 0;
        int count = 0;
        for (int a = 0; a < h; a++)
          for (int b = 0; b < w; b++) {
            int di = a + pad - i * s, dj = b + pad - j * s;
            if (di < 0 || di >= k || dj < 0 || dj >= k)
              continue;
            max = fmaxf(max, x[a * w + b]);
            sum += x[a * w + b];
            count++;
          }
        y[i * q + j] = average ? sum / (float)count : max;
      }
    op_case c = case_new(average ? "AveragePool" : "MaxPool", "");
    case_ints(&c, "kernel_shape", 2, k, k);
    case_ints(&c, "strides", 2, s, s);
    case_ints(&c, "pads", 4, pad, pad, pad, pad);
    case_f32(&c, x, DIMS(1, 1, h, w));
    case_expect(&c, y, 1e-6f, DIMS(1, 1, p, q));
  }
}

static void global_pools(void) {
  op_case c = case_new("GlobalAveragePool", "");
  case_f32(&c, F(1, 2, 3, 6, -1, -2, -3, -6), DIMS(1, 2, 2, 2));
  case_expect(&c, F(3, -3), 0, DIMS(1, 2, 1, 1));
  c = case_new("GlobalMaxPool", "");
  case_f32(&c, F(1, 2, 3, 6, -1, -2, -3, -6), DIMS(2, 1, 4));
  case_expect(&c, F(6, -1), 0, DIMS(2, 1, 1));
}

static void unsuitable_shapes_are_named(void) {
  op_case c = case_new("MaxPool", "");
  case_ints(&c, "kernel_shape", 2, 3, 3);
  case_f32(&c, F(1, 2, 3, 4), DIMS(1, 1, 2, 2));
  case_expect_shape_error(&c, "the kernel reaches over 3 values, the input has 2");
  c = case_new("MaxPool", ""); /* more pads than a window */
  case_ints(&c, "kernel_shape", 2, 2, 2);
  case_ints(&c, "pads", 4, 0, 2, 0, 0);
  case_f32(&c, F(1, 2, 3, 4), DIMS(1, 1, 2, 2));
  case_expect_shape_error(&c, "[1, 1, 2, 2] does not suit a window of 2 with padding 2 and 0");
  c = case_new("MaxPool", ""); /* whose table of taps would wrap */
  case_ints(&c, "kernel_shape", 2, 1 << 30, 1 << 30);
  case_f32(&c, F(1, 2, 3, 4), DIMS(1, 1, 2, 2));
  case_expect_shape_error(&c, "kernel 1073741824");
  c = case_new("GlobalAveragePool", "");
  case_f32(&c, F(1, 2), DIMS(1, 2));
  case_expect_shape_error(&c, "[1, 2]");
}

int main(int argc, char **argv) {
  TEST_BEGIN(argc, argv);
  RUN(max_pool_by_hand);
  RUN(ceil_mode_adds_a_partial_window);
  RUN(average_counts_padding_if_asked);
  RUN(same_padding_goes_where_it_says);
  RUN(windows_match_a_direct_walk);
  RUN(global_pools);
  RUN(unsuitable_shapes_are_named);
  return TEST_END();
}
