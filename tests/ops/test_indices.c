/* Operators that choose by index or order: edges that the ONNX node tests leave out, against values worked out by hand. */
#include "case.h"

static const float six[6] = {3, 1, 2, 3, 0, NAN};

static op_case begin(const char *name, const float *x, int rank, const int *dims) {
  op_case c = case_new(name, "");
  case_f32(&c, x, rank, dims);
  return c;
}

/* Fails with that status, names the node, and the message holds `text`. */
static void expect_error(op_case *c, q8_status status, const char *text) {
  q8_status got = case_run(c);
  CHECK_MSG(got == status && !strcmp(c->error.where, "node") && strstr(c->error.message, text),
            "%s: status %d at \"%s\": \"%s\", expected %d with \"%s\"", c->op->name, (int)got, c->error.where,
            c->error.message, (int)status, text);
  case_free(c);
}

static void argmax_of_ties_and_nan(void) {
  op_case c = begin("ArgMax", six, DIMS(2, 3));
  case_int(&c, "axis", -1);
  case_expect_s64(&c, I(0, 2), DIMS(2, 1));
  c = begin("ArgMax", F(1, 5, 5, 0), DIMS(4));
  case_int(&c, "select_last_index", 1);
  case_int(&c, "keepdims", 0);
  case_expect_s64(&c, I(2), SCALAR);
  c = begin("ArgMin", six, DIMS(0, 3));
  expect_error(&c, QINT8_ERROR_SHAPE, "[0, 3]");
  c = begin("ArgMin", six, DIMS(3, 0));
  case_expect_s64(&c, I(0), DIMS(1, 0));
  c = begin("ArgMin", six, SCALAR);
  expect_error(&c, QINT8_ERROR_SHAPE, "axis 0 of shape []");
  c = begin("ArgMax", six, DIMS(2, 3));
  case_int(&c, "axis", -3);
  expect_error(&c, QINT8_ERROR_SHAPE, "axis -3");
}

static void topk_keeps_order_of_equals(void) {
  op_case c = begin("TopK", F(3, 1, 3, 2), DIMS(4));
  c.out_count = 2;
  case_s64(&c, I(3), DIMS(1));
  CHECK_EQ(case_run(&c), QINT8_OK);
  const int64_t *index = c.out[1].data;
  CHECK(index[0] == 0 && index[1] == 2 && index[2] == 3);
  case_free(&c);
  c = begin("TopK", F(3, 1, 3, 2), DIMS(4));
  c.out_count = 2;
  case_s64(&c, I(5), DIMS(1));
  expect_error(&c, QINT8_ERROR_SHAPE, "k = 5");
  c = begin("TopK", six, DIMS(2, 0));
  c.out_count = 2;
  case_s64(&c, I(0), DIMS(1));
  CHECK_EQ(case_run(&c), QINT8_OK);
  case_shape(&c, 1, DIMS(2, 0));
  case_free(&c);
}

static void gathering(void) {
  op_case c = begin("GatherElements", F(1, 2, 3, 4), DIMS(2, 2));
  case_int(&c, "axis", -1);
  case_s64(&c, I(-1, 0), DIMS(2, 1));
  case_expect(&c, F(2, 3), 0, DIMS(2, 1));
  c = begin("GatherElements", F(1, 2, 3, 4), DIMS(2, 2));
  case_s64(&c, I(2, 0), DIMS(1, 2));
  expect_error(&c, QINT8_ERROR_DATA, "index 2 of an axis of 2");
  c = begin("GatherElements", F(1, 2, 3, 4), DIMS(2, 2));
  case_s64(&c, I(0, 0, 0), DIMS(1, 3));
  expect_error(&c, QINT8_ERROR_SHAPE, "[1, 3]");
  c = begin("GatherND", F(1, 2, 3, 4), DIMS(2, 2));
  case_s64(&c, I(0), DIMS(1, 0)); /* no coordinates: the whole tensor */
  case_expect(&c, F(1, 2, 3, 4), 0, DIMS(1, 2, 2));
  c = begin("GatherND", F(1, 2, 3, 4), DIMS(2, 2));
  case_s64(&c, I(-3, 0), DIMS(1, 2));
  expect_error(&c, QINT8_ERROR_DATA, "index -3");
  c = begin("GatherND", F(1, 2, 3, 4), DIMS(2, 2));
  case_s64(&c, I(0, 0, 0), DIMS(1, 3));
  expect_error(&c, QINT8_ERROR_SHAPE, "[1, 3]");
}

static void scattering(void) {
  op_case c = begin("ScatterElements", F(1, 2, 3), DIMS(3));
  case_text(&c, "reduction", "max");
  case_s64(&c, I(-1, 0), DIMS(2));
  case_f32(&c, F(9, -9), DIMS(2));
  case_expect(&c, F(1, 2, 9), 0, DIMS(3));
  c = begin("ScatterElements", F(1, 2, 3), DIMS(3));
  case_text(&c, "reduction", "mul");
  case_s64(&c, I(1, 1), DIMS(2));
  case_f32(&c, F(3, 5), DIMS(2));
  case_expect(&c, F(1, 30, 3), 0, DIMS(3));
  c = begin("ScatterElements", F(1, 2, 3), DIMS(3));
  case_text(&c, "reduction", "mean");
  case_s64(&c, I(1), DIMS(1));
  case_f32(&c, F(3), DIMS(1));
  expect_error(&c, QINT8_ERROR_UNSUPPORTED, "mean");
  c = begin("ScatterND", F(1, 2, 3, 4), DIMS(2, 2));
  case_text(&c, "reduction", "min");
  case_s64(&c, I(1), DIMS(1, 1));
  case_f32(&c, F(7, 0), DIMS(1, 2));
  case_expect(&c, F(1, 2, 3, 0), 0, DIMS(2, 2));
  c = begin("ScatterND", F(1, 2, 3, 4), DIMS(2, 2));
  case_s64(&c, I(1), DIMS(1, 1));
  case_f32(&c, F(7), DIMS(1, 1));
  expect_error(&c, QINT8_ERROR_SHAPE, "updates of shape [1, 1]");
}

static void one_hot_and_sums(void) {
  op_case c = case_new("OneHot", "");
  case_int(&c, "axis", 0);
  case_s64(&c, I(-1, 5), DIMS(2));
  case_s64(&c, I(3), SCALAR);
  case_f32(&c, F(0, 1), DIMS(2));
  case_expect(&c, F(0, 0, 0, 0, 1, 0), 0, DIMS(3, 2));
  c = begin("CumSum", F(1, 2, 3), DIMS(3));
  case_s64(&c, I(1), SCALAR);
  expect_error(&c, QINT8_ERROR_SHAPE, "axis 1 of shape [3]");
  c = begin("CumSum", six, DIMS(0, 3));
  case_s64(&c, I(0), SCALAR);
  case_expect(&c, six, 0, DIMS(0, 3));
}

static void matrices(void) {
  op_case c = begin("Trilu", F(1, 2, 3, 4, 5, 6), DIMS(2, 3));
  case_s64(&c, I(1), SCALAR);
  case_expect(&c, F(0, 2, 3, 0, 0, 6), 0, DIMS(2, 3));
  c = begin("Trilu", six, DIMS(3));
  expect_error(&c, QINT8_ERROR_SHAPE, "[3]");
  c = begin("EyeLike", six, DIMS(2, 3));
  case_int(&c, "k", -1);
  case_expect(&c, F(0, 0, 0, 1, 0, 0), 0, DIMS(2, 3));
  c = begin("EyeLike", six, DIMS(2, 3, 1));
  expect_error(&c, QINT8_ERROR_SHAPE, "[2, 3, 1]");
}

static void determinants(void) {
  op_case c = begin("Det", F(2, 1, 4, 5, 0, 1, 1, 0, 1, 2, 2, 4), DIMS(3, 2, 2)); /* the second needs a pivot */
  case_expect(&c, F(6, -1, 0), 0, DIMS(3));
  c = begin("Det", six, DIMS(2, 0, 0));
  case_expect(&c, F(1, 1), 0, DIMS(2));
}

static void unpooling(void) {
  op_case c = begin("MaxUnpool", F(5, 7), DIMS(1, 1, 2));
  case_ints(&c, "kernel_shape", 1, 2);
  case_ints(&c, "strides", 1, 2);
  case_s64(&c, I(1, 2), DIMS(1, 1, 2));
  case_expect(&c, F(0, 5, 7, 0), 0, DIMS(1, 1, 4));
  c = begin("MaxUnpool", F(5, 7), DIMS(1, 1, 2));
  case_ints(&c, "kernel_shape", 1, 2);
  case_ints(&c, "strides", 1, 2);
  case_s64(&c, I(1, 4), DIMS(1, 1, 2));
  expect_error(&c, QINT8_ERROR_DATA, "index 4 of 4 places");
  c = begin("MaxUnpool", F(5, 7), DIMS(1, 1, 2));
  case_ints(&c, "kernel_shape", 2, 2, 2);
  case_s64(&c, I(1, 4), DIMS(1, 1, 2));
  expect_error(&c, QINT8_ERROR_SHAPE, "kernel_shape has 2 values, expected 1");
}

static void boxes_that_overlap(void) {
  static const float boxes[4 * 4] = {0, 0, 1, 1, /* the same, corners swapped: */ 1, 1, 0, 0, 5, 5, 6, 6, 0, 0, 1, 0.4f};
  op_case c = begin("NonMaxSuppression", boxes, DIMS(1, 4, 4));
  case_f32(&c, F(0.5f, 0.5f, 0.9f, 0.4f), DIMS(1, 1, 4));
  case_s64(&c, I(9), DIMS(1));
  case_f32(&c, F(0.5f), DIMS(1));
  case_expect_s64(&c, I(0, 0, 2, 0, 0, 0, 0, 0, 3), DIMS(3, 3)); /* of equal scores the first; 0.4 overlaps by less */
  c = begin("NonMaxSuppression", boxes, DIMS(1, 4, 4));
  case_f32(&c, F(0.5f, 0.5f, 0.9f, 0.4f), DIMS(1, 1, 4));
  case_expect_s64(&c, I(0), DIMS(0, 3)); /* none of a class, unless the model says otherwise */
  c = begin("NonMaxSuppression", boxes, DIMS(1, 4, 4));
  case_f32(&c, F(0, 0, 0), DIMS(1, 1, 3));
  expect_error(&c, QINT8_ERROR_SHAPE, "boxes of shape [1, 4, 4] with scores of shape [1, 1, 3]");
}

static void different_slices(void) {
  op_case c = begin("Unique", F(2, 1, 2, NAN, 1), DIMS(5));
  case_int(&c, "sorted", 0);
  c.out_count = 3;
  CHECK_EQ(case_run(&c), QINT8_OK);
  case_shape(&c, 0, DIMS(3));
  const int64_t *first = c.out[1].data, *inverse = c.out[2].data;
  CHECK(first[0] == 0 && first[1] == 1 && first[2] == 3);
  CHECK(inverse[0] == 0 && inverse[1] == 1 && inverse[2] == 0 && inverse[3] == 2 && inverse[4] == 1);
  case_free(&c);
  c = begin("Unique", F(3, 0, 1, 9, 3, 0), DIMS(3, 2));
  case_int(&c, "axis", -2);
  case_expect(&c, F(1, 9, 3, 0), 0, DIMS(2, 2));
  c = begin("Unique", six, DIMS(3, 2));
  case_int(&c, "axis", 2);
  expect_error(&c, QINT8_ERROR_SHAPE, "axis 2 of shape [3, 2]");
}

static void blocks(void) {
  op_case c = begin("DepthToSpace", F(1, 2, 3, 4), DIMS(1, 4, 1, 1));
  case_int(&c, "blocksize", 2);
  case_expect(&c, F(1, 2, 3, 4), 0, DIMS(1, 1, 2, 2));
  c = begin("DepthToSpace", six, DIMS(1, 6, 1, 1));
  case_int(&c, "blocksize", 2);
  expect_error(&c, QINT8_ERROR_SHAPE, "blocks of 2 do not divide shape [1, 6, 1, 1]");
  c = begin("SpaceToDepth", six, DIMS(1, 1, 2, 3));
  case_int(&c, "blocksize", 2);
  expect_error(&c, QINT8_ERROR_SHAPE, "[1, 1, 2, 3]");
}

static void reversing(void) {
  op_case c = begin("ReverseSequence", F(1, 2, 3, 4, 5, 6), DIMS(3, 2));
  case_s64(&c, I(2, 3), DIMS(2));
  case_expect(&c, F(3, 6, 1, 4, 5, 2), 0, DIMS(3, 2));
  c = begin("ReverseSequence", F(1, 2, 3, 4, 5, 6), DIMS(3, 2));
  case_s64(&c, I(2, 4), DIMS(2));
  expect_error(&c, QINT8_ERROR_DATA, "length 4");
}

static void shapes_that_depend_on_values(void) {
  op_case c = begin("NonZero", F(0, 1, 2, 0), DIMS(2, 2));
  case_expect_s64(&c, I(0, 1, 1, 0), DIMS(2, 2));
  c = begin("NonZero", F(0, 1), DIMS(2));
  free(c.in[0].data);
  c.in[0].data = NULL;
  expect_error(&c, QINT8_ERROR_UNSUPPORTED, "values of input 0");
  c = begin("Compress", F(1, 2, 3, 4), DIMS(2, 2));
  case_bool(&c, (const uint8_t[]){0, 1, 1}, DIMS(3));
  case_expect(&c, F(2, 3), 0, DIMS(2));
}

int main(int argc, char **argv) {
  TEST_BEGIN(argc, argv);
  RUN(argmax_of_ties_and_nan);
  RUN(topk_keeps_order_of_equals);
  RUN(gathering);
  RUN(scattering);
  RUN(one_hot_and_sums);
  RUN(matrices);
  RUN(determinants);
  RUN(unpooling);
  RUN(boxes_that_overlap);
  RUN(different_slices);
  RUN(blocks);
  RUN(reversing);
  RUN(shapes_that_depend_on_values);
  return TEST_END();
}
