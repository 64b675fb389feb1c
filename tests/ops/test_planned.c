/* Steps of convolutions, matrix products, Einsum and Resize against the plain evaluation over random attributes. */
#include "planned.h"

static void random_f32(op_case *c, int rank, const int *dims) {
  size_t count = 1;
  for (int i = 0; i < rank; i++)
    count *= (size_t)dims[i];
  float *data = malloc((count + 1) * sizeof *data);
  for (size_t i = 0; i < count; i++)
    data[i] = test_random_float(-2, 2);
  case_f32(c, data, rank, dims);
  free(data);
}

static void set_ints(op_case *c, const char *name, int count, const int *values) {
  q8_ints *list = case_field(c, name);
  list->count = count;
  for (int i = 0; i < count; i++)
    list->v[i] = values[i];
}

static void random_ints(int n, int lo, int hi, int *out) {
  for (int i = 0; i < n; i++)
    out[i] = test_random_int(lo, hi);
}

/* ---- Convolutions ---- */

typedef struct window {
  int dims, groups, in, out, kernel[3], stride[3], dilation[3], pads[6], size[3];
} window;

static window random_window(int dims) {
  window w = {.dims = dims, .groups = test_random_int(1, 3)};
  w.in = test_random_int(1, 9);
  w.out = test_random_int(1, 9);
  random_ints(3, 1, 4, w.kernel);
  random_ints(3, 1, 3, w.stride);
  random_ints(3, 1, 3, w.dilation);
  random_ints(6, 0, 2, w.pads);
  random_ints(3, 1, 8, w.size);
  return w;
}

static void set_window(op_case *c, const window *w) {
  set_ints(c, "strides", w->dims, w->stride);
  set_ints(c, "dilations", w->dims, w->dilation);
  set_ints(c, "pads", 2 * w->dims, w->pads);
  case_int(c, "group", w->groups);
  if (test_random_int(0, 1))
    set_ints(c, "kernel_shape", w->dims, w->kernel);
}

static void with_spatial(int a, int b, int dims, const int *spatial, int *out) {
  out[0] = a;
  out[1] = b;
  memcpy(out + 2, spatial, (size_t)dims * sizeof *out);
}

static op_case random_conv(const char *name, int dims) {
  int transposed = !strcmp(name, "ConvTranspose"), shape[5];
  window w = random_window(dims);
  for (int i = 0; i < dims && !transposed; i++) /* the kernel fits */
    w.size[i] += (w.kernel[i] - 1) * w.dilation[i];
  for (int i = 0; i < dims && transposed; i++) /* something is left */
    w.size[i] += 4;
  op_case c = case_new(name, "");
  set_window(&c, &w);
  with_spatial(test_random_int(1, 3), w.groups * w.in, dims, w.size, shape);
  random_f32(&c, dims + 2, shape);
  if (transposed)
    with_spatial(w.groups * w.in, w.out, dims, w.kernel, shape);
  else
    with_spatial(w.groups * w.out, w.in, dims, w.kernel, shape);
  random_f32(&c, dims + 2, shape);
  if (test_random_int(0, 1))
    random_f32(&c, DIMS(w.groups * w.out));
  return c;
}

static void transposed_convolutions(void) {
  for (int round = 0; round < 120; round++) {
    op_case c = random_conv("ConvTranspose", test_random_int(1, 2));
    case_compare(&c, 6, 1e-5, "ConvTranspose");
  }
}

/* A kernel as large as the stride: one product for all phases. */
static void transposed_convolutions_without_overlap(void) {
  for (int round = 0; round < 30; round++) {
    int n = test_random_int(1, 2), in = test_random_int(1, 20), out = test_random_int(1, 9);
    int h = test_random_int(1, 6), w = test_random_int(1, 6), r = test_random_int(1, 3), s = test_random_int(1, 4);
    op_case c = case_new("ConvTranspose", "");
    case_ints(&c, "strides", 2, r, s);
    random_f32(&c, DIMS(n, in, h, w));
    random_f32(&c, DIMS(in, out, r, s));
    if (round & 1)
      random_f32(&c, DIMS(out));
    case_compare(&c, 6, 1e-5, "ConvTranspose without overlap");
  }
}

static void convolutions_of_three_dimensions(void) {
  for (int round = 0; round < 40; round++) {
    op_case c = random_conv("Conv", 3);
    case_compare(&c, round & 1 ? 6 : 0, 1e-5, "Conv 3-D");
  }
}

static void convolutions_with_computed_weights(void) {
  for (int round = 0; round < 40; round++) {
    op_case c = random_conv("Conv", test_random_int(1, 2));
    case_compare(&c, round & 1 ? 4 : 0, 1e-5, "Conv, computed weights");
  }
}

/* 1-D by hand: x = [1, 2, 3], w = [1, 10], stride 2: each input writes two outputs; output_padding adds a zero. */
static void transposed_convolution_by_hand(void) {
  op_case c = case_new("ConvTranspose", "");
  case_ints(&c, "strides", 1, 2);
  case_ints(&c, "output_padding", 1, 1);
  case_f32(&c, F(1, 2, 3), DIMS(1, 1, 3));
  case_f32(&c, F(1, 10), DIMS(1, 1, 2));
  case_f32(&c, F(0.5f), DIMS(1));
  case_expect(&c, F(1.5f, 10.5f, 2.5f, 20.5f, 3.5f, 30.5f, 0.5f), 0, DIMS(1, 1, 7));
  c = case_new("ConvTranspose", ""); /* output_shape: the pads follow */
  case_ints(&c, "strides", 1, 2);
  case_ints(&c, "output_shape", 1, 4);
  case_f32(&c, F(1, 2, 3), DIMS(1, 1, 3));
  case_f32(&c, F(1, 10), DIMS(1, 1, 2));
  case_expect(&c, F(10, 2, 20, 3), 0, DIMS(1, 1, 4));
}

static void int8_convolution_is_the_same_on_every_isa(void) {
  for (int round = 0; round < 20; round++) {
    op_case c = random_conv("ConvTranspose", 2);
    if (*(int64_t *)case_field(&c, "group") == 1) {
      CHECK_MSG(case_plan(&c, 6, QINT8_CONFIG_DYNAMIC, 0) == QINT8_OK, "%s", c.error.message);
      void *scalar = c.out[0].data;
      CHECK_EQ(case_plan(&c, 6, QINT8_CONFIG_DYNAMIC, q8_cpu_detect()), QINT8_OK);
      CHECK(!memcmp(scalar, c.out[0].data, c.out[0].count * sizeof(float)));
      free(scalar);
    }
    case_free(&c);
  }
}

static void convolution_errors(void) {
  op_case c = case_new("ConvTranspose", "");
  random_f32(&c, DIMS(1, 4, 5, 5));
  random_f32(&c, DIMS(3, 2, 3, 3));
  case_expect_shape_error(&c, "input [1, 4, 5, 5], weight [3, 2, 3, 3] and 1 groups do not fit");
  c = case_new("ConvTranspose", "");
  case_ints(&c, "pads", 4, 9, 9, 9, 9);
  random_f32(&c, DIMS(1, 3, 5, 5));
  random_f32(&c, DIMS(3, 2, 3, 3));
  case_expect_shape_error(&c, "pads 9 and 9 leave nothing");
  c = case_new("Conv", "");
  case_ints(&c, "strides", 1, 2);
  random_f32(&c, DIMS(1, 3, 5, 5));
  random_f32(&c, DIMS(2, 3, 3, 3));
  case_expect_shape_error(&c, "strides has 1 values, expected 2");
}

/* ---- Products ---- */

static void gemms(void) {
  for (int round = 0; round < 80; round++) {
    int m = test_random_int(1, 30), n = test_random_int(1, 70), k = test_random_int(1, 40);
    int ta = test_random_int(0, 1), tb = test_random_int(0, 1), bias = test_random_int(0, 4);
    op_case c = case_new("Gemm", "");
    case_int(&c, "transA", ta);
    case_int(&c, "transB", tb);
    case_float(&c, "alpha", round & 1 ? 1 : 0.5f);
    case_float(&c, "beta", round & 2 ? 1 : -1.5f);
    random_f32(&c, DIMS(ta ? k : m, ta ? m : k));
    random_f32(&c, DIMS(tb ? n : k, tb ? k : n));
    if (bias == 1)
      random_f32(&c, DIMS(n));
    else if (bias == 2)
      random_f32(&c, DIMS(m, n));
    else if (bias == 3)
      random_f32(&c, DIMS(m, 1));
    else if (bias == 4)
      random_f32(&c, SCALAR);
    case_compare(&c, (unsigned)test_random_int(0, 3) << 1, 1e-5, "Gemm");
  }
}

static void einsums(void) {
  static const struct {
    const char *equation;
    int a_rank, a[4], b_rank, b[4];
  } list[] = {
      {"bhid,bhjd->bhij", 4, {2, 3, 4, 5}, 4, {2, 3, 6, 5}}, {"bqhd,bkhd->bhqk", 4, {2, 5, 3, 4}, 4, {2, 6, 3, 4}},
      {"bhij,bhdj->bdhi", 4, {2, 3, 4, 6}, 4, {2, 3, 5, 6}}, {"ij,jk", 2, {3, 4}, 2, {4, 5}},
      {"...ij,...jk->...ik", 4, {2, 1, 3, 4}, 3, {5, 4, 6}}, {"i,j->ij", 1, {4}, 1, {3}},
      {"ij,ij->", 2, {4, 3}, 2, {4, 3}},                     {"iij,j->i", 3, {3, 3, 4}, 1, {4}},
  };
  for (size_t i = 0; i < sizeof list / sizeof list[0]; i++) {
    op_case c = case_new("Einsum", "");
    case_text(&c, "equation", list[i].equation);
    random_f32(&c, list[i].a_rank, list[i].a);
    random_f32(&c, list[i].b_rank, list[i].b);
    case_compare(&c, 0, 1e-5, list[i].equation);
  }
}

static void einsum_by_hand(void) {
  op_case c = case_new("Einsum", "");
  case_text(&c, "equation", "ij, jk -> ki");
  case_f32(&c, F(1, 2, 3, 4), DIMS(2, 2));
  case_f32(&c, F(1, 0, 0, 10), DIMS(2, 2));
  case_expect(&c, F(1, 3, 20, 40), 0, DIMS(2, 2));
  c = case_new("Einsum", "");
  case_text(&c, "equation", "ii->i");
  case_f32(&c, F(1, 2, 3, 4), DIMS(2, 2));
  case_expect(&c, F(1, 4), 0, DIMS(2));
  c = case_new("Einsum", "");
  case_text(&c, "equation", "ij->iz");
  case_f32(&c, F(1, 2, 3, 4), DIMS(2, 2));
  case_expect_shape_error(&c, "the output has a label that no operand has");
  c = case_new("Einsum", "");
  case_text(&c, "equation", "i,i");
  case_f32(&c, F(1, 2), DIMS(2));
  case_f32(&c, F(1, 2, 3), DIMS(3));
  case_expect_shape_error(&c, "operand 1 of shape [3]");
}

/* ---- Resize ---- */

static void resizes(void) {
  static const char *const modes[] = {"nearest", "linear", "cubic"};
  static const char *const coordinates[] = {"half_pixel", "half_pixel_symmetric", "pytorch_half_pixel",
                                            "align_corners", "asymmetric", "tf_half_pixel_for_nn"};
  static const char *const nearest[] = {"round_prefer_floor", "round_prefer_ceil", "floor", "ceil"};
  for (int round = 0; round < 150; round++) {
    int dims = test_random_int(1, 2), shape[4] = {test_random_int(1, 2), test_random_int(1, 70)};
    float scales[4] = {1, 1};
    op_case c = case_new("Resize", "");
    case_text(&c, "mode", modes[round % 3]);
    case_text(&c, "coordinate_transformation_mode", coordinates[test_random_int(0, 5)]);
    case_text(&c, "nearest_mode", nearest[test_random_int(0, 3)]);
    case_int(&c, "antialias", test_random_int(0, 1));
    case_int(&c, "exclude_outside", test_random_int(0, 1));
    for (int i = 0; i < dims; i++) {
      shape[2 + i] = test_random_int(3, 9);
      scales[2 + i] = test_random_float(0.4f, 3);
    }
    random_f32(&c, 2 + dims, shape);
    case_none(&c);
    case_f32(&c, scales, DIMS(2 + dims));
    case_compare(&c, 4, 1e-5, modes[round % 3]);
  }
}

static void resize_by_hand(void) {
  op_case c = case_new("Resize", "");
  case_text(&c, "mode", "linear");
  case_f32(&c, F(0, 10), DIMS(1, 1, 2));
  case_none(&c);
  case_none(&c);
  case_s64(&c, I(1, 1, 4), DIMS(3));
  case_expect(&c, F(0, 2.5f, 7.5f, 10), 1e-6f, DIMS(1, 1, 4));
  c = case_new("Resize", ""); /* one axis, given from the end */
  case_ints(&c, "axes", 1, -1);
  case_f32(&c, F(1, 2, 3, 4), DIMS(2, 2));
  case_none(&c);
  case_f32(&c, F(2), DIMS(1));
  case_expect(&c, F(1, 1, 2, 2, 3, 3, 4, 4), 0, DIMS(2, 4));
  c = case_new("Resize", ""); /* 4 x 2 into at most 6 x 6: both by 1.5 */
  case_text(&c, "keep_aspect_ratio_policy", "not_larger");
  case_ints(&c, "axes", 2, 0, 1);
  random_f32(&c, DIMS(4, 2));
  case_none(&c);
  case_none(&c);
  case_s64(&c, I(6, 6), DIMS(2));
  CHECK_EQ(case_run(&c), QINT8_OK);
  case_shape(&c, 0, DIMS(6, 3));
  case_free(&c);
}

static void resize_errors(void) {
  op_case c = case_new("Resize", "");
  random_f32(&c, DIMS(1, 1, 2, 2));
  case_none(&c);
  case_f32(&c, F(1, 1, 2), DIMS(3));
  case_expect_shape_error(&c, "scales has 3 values, expected 4");
  c = case_new("Resize", "");
  random_f32(&c, DIMS(1, 1, 2, 2));
  case_expect_shape_error(&c, "neither scales nor sizes");
  c = case_new("Resize", "");
  case_text(&c, "mode", "quintic");
  random_f32(&c, DIMS(1, 1, 2, 2));
  case_none(&c);
  case_f32(&c, F(1, 1, 2, 2), DIMS(4));
  CHECK_EQ(case_run(&c), QINT8_ERROR_UNSUPPORTED);
  CHECK_MSG(strstr(c.error.message, "mode quintic") != NULL, "%s", c.error.message);
  case_free(&c);
}

int main(int argc, char **argv) {
  TEST_BEGIN(argc, argv);
  RUN(transposed_convolutions);
  RUN(transposed_convolutions_without_overlap);
  RUN(convolutions_of_three_dimensions);
  RUN(convolutions_with_computed_weights);
  RUN(transposed_convolution_by_hand);
  RUN(int8_convolution_is_the_same_on_every_isa);
  RUN(convolution_errors);
  RUN(gemms);
  RUN(einsums);
  RUN(einsum_by_hand);
  RUN(resizes);
  RUN(resize_by_hand);
  RUN(resize_errors);
  return TEST_END();
}
