/* Operators on quantized tensors: rounding, saturation, zero points per tensor, per axis and per block. */
#include "case.h"

#define U8(...) ((const uint8_t[]){__VA_ARGS__})
#define S8(...) ((const int8_t[]){__VA_ARGS__})
#define S32(...) ((const int32_t[]){__VA_ARGS__})

static void u8(op_case *c, const uint8_t *data, int rank, const int *dims) {
  case_data(c, QINT8_DTYPE_U8, data, rank, dims);
}
static void s8(op_case *c, const int8_t *data, int rank, const int *dims) {
  case_data(c, QINT8_DTYPE_S8, data, rank, dims);
}

/* Runs and compares the bytes of output 0. */
static void expect_bytes(op_case *c, int32_t dtype, const void *expected, size_t count) {
  q8_status status = case_run(c);
  CHECK_MSG(status == QINT8_OK, "%s: %s", c->op->name, c->error.message);
  if (status == QINT8_OK) {
    CHECK_EQ(c->out[0].dtype, dtype);
    CHECK_EQ(c->out[0].count, count);
    CHECK_MSG(!memcmp(c->out[0].data, expected, count * qint8_dtype_size((qint8_dtype)dtype)), "%s: wrong bytes",
              c->op->name);
  }
  case_free(c);
}

static void quantize_rounds_half_to_even_and_saturates(void) {
  op_case c = case_new("QuantizeLinear", "");
  case_f32(&c, F(1, 3, 5, -1, -3, 1000, -1000, NAN), DIMS(8));
  case_f32(&c, F(2), SCALAR);
  s8(&c, S8(10), SCALAR);
  expect_bytes(&c, QINT8_DTYPE_S8, S8(10, 12, 12, 10, 8, 127, -128, -128), 8);
  c = case_new("QuantizeLinear", ""); /* no zero point: u8 */
  case_f32(&c, F(0.5f, 1.5f, 300, -1), DIMS(4));
  case_f32(&c, F(1), SCALAR);
  expect_bytes(&c, QINT8_DTYPE_U8, U8(0, 2, 255, 0), 4);
}

static void scales_per_axis_and_per_block(void) {
  op_case c = case_new("QuantizeLinear", "");
  case_int(&c, "axis", -2);
  case_f32(&c, F(2, 4, 6, 8), DIMS(2, 2));
  case_f32(&c, F(1, 2), DIMS(2));
  u8(&c, U8(0, 100), DIMS(2));
  expect_bytes(&c, QINT8_DTYPE_U8, U8(2, 4, 103, 104), 4);
  c = case_new("DequantizeLinear", ""); /* blocks of two along axis 1, the last one short */
  case_int(&c, "axis", 1);
  case_int(&c, "block_size", 2);
  s8(&c, S8(1, 2, 3, 4, 5, 6), DIMS(2, 3));
  case_f32(&c, F(1, 10, 100, 1000), DIMS(2, 2));
  s8(&c, S8(0, 1, 2, 3), DIMS(2, 2));
  case_expect(&c, F(1, 2, 20, 200, 300, 3000), 0, DIMS(2, 3));
  c = case_new("DequantizeLinear", "");
  case_data(&c, QINT8_DTYPE_S32, S32(-7, 1 << 24), DIMS(2));
  case_f32(&c, F(0.5f), DIMS(1));
  case_expect(&c, F(-3.5f, 8388608), 0, DIMS(2));
}

static void dynamic_quantize_includes_zero(void) {
  op_case c = case_new("DynamicQuantizeLinear", "");
  c.out_count = 3;
  case_f32(&c, F(5.1f, 2.55f), DIMS(2));
  CHECK_EQ(case_run(&c), QINT8_OK);
  CHECK(((float *)c.out[1].data)[0] == 5.1f / 255.0f && ((uint8_t *)c.out[2].data)[0] == 0);
  CHECK(((uint8_t *)c.out[0].data)[0] == 255 && c.out[1].shape.rank == 0);
  case_free(&c);
  c = case_new("DynamicQuantizeLinear", "");
  case_f32(&c, F(0, 0), DIMS(2));
  expect_bytes(&c, QINT8_DTYPE_U8, U8(0, 0), 2);
}

static void integer_products(void) {
  op_case c = case_new("MatMulInteger", ""); /* zero points: of a per row, of b per column */
  u8(&c, U8(10, 20, 30, 40), DIMS(2, 2));
  s8(&c, S8(1, -128, 3, 127), DIMS(2, 2));
  u8(&c, U8(10, 30), DIMS(2));
  s8(&c, S8(1, 0), DIMS(2));
  expect_bytes(&c, QINT8_DTYPE_S32, S32(20, 1270, 20, 1270), 4);
  c = case_new("ConvInteger", ""); /* padding holds the zero point */
  case_ints(&c, "pads", 2, 1, 1);
  u8(&c, U8(5, 7), DIMS(1, 1, 2));
  u8(&c, U8(1, 2, 3), DIMS(1, 1, 3));
  u8(&c, U8(5), SCALAR);
  u8(&c, U8(1), DIMS(1));
  expect_bytes(&c, QINT8_DTYPE_S32, S32(4, 2), 2);
  c = case_new("QLinearMatMul", ""); /* (1 * 3) * (0.5 * 0.5) / 0.5 = 1.5 -> 2, and 2.5 -> 2 */
  u8(&c, U8(1, 1), DIMS(2, 1));
  case_f32(&c, F(0.5f, 0.5f * 5 / 3), DIMS(2));
  u8(&c, U8(0, 0), DIMS(2));
  u8(&c, U8(3), DIMS(1, 1));
  case_f32(&c, F(0.5f), SCALAR);
  u8(&c, U8(0), SCALAR);
  case_f32(&c, F(0.5f), SCALAR);
  u8(&c, U8(0), SCALAR);
  expect_bytes(&c, QINT8_DTYPE_U8, U8(2, 2), 2);
}

static op_case qlinear_conv(void) {
  op_case c = case_new("QLinearConv", "");
  u8(&c, U8(12, 14), DIMS(1, 1, 2));
  case_f32(&c, F(1), SCALAR);
  u8(&c, U8(10), SCALAR);
  s8(&c, S8(1, -1), DIMS(2, 1, 1));
  case_f32(&c, F(1, 2), DIMS(2));
  s8(&c, S8(0, 0), DIMS(2));
  case_f32(&c, F(4), SCALAR);
  u8(&c, U8(128), SCALAR);
  case_data(&c, QINT8_DTYPE_S32, S32(4, 0), DIMS(2));
  return c;
}

/* Channel 0: (2 + 4) / 4 = 1.5 -> 2, (4 + 4) / 4 = 2. Channel 1: -2 * 2 / 4 = -1, -4 * 2 / 4 = -2. */
static void quantized_convolution(void) {
  op_case c = qlinear_conv();
  expect_bytes(&c, QINT8_DTYPE_U8, U8(130, 130, 127, 126), 4);
}

static void messages_name_what_does_not_fit(void) {
  op_case c = qlinear_conv();
  c.in[4].count = c.in[4].shape.dim[0] = 1;
  c.in[5].shape.dim[0] = 3;
  c.in[5].count = 3;
  case_expect_shape_error(&c, "input 5 of shape [3], expected 1 or 2 values");
  c = case_new("QuantizeLinear", "");
  case_f32(&c, F(1, 2, 3), DIMS(3));
  case_f32(&c, F(1, 2), DIMS(2));
  case_int(&c, "axis", 0);
  case_expect_shape_error(&c, "scale of shape [2] for axis 0 of shape [3]");
  c = case_new("DequantizeLinear", "");
  case_f32(&c, F(1), DIMS(1));
  case_f32(&c, F(1), DIMS(1));
  CHECK_EQ(case_run(&c), QINT8_ERROR_UNSUPPORTED);
  CHECK_MSG(strstr(c.error.message, "element type 1") != NULL, "%s", c.error.message);
  case_free(&c);
  c = case_new("MatMulInteger", "");
  u8(&c, U8(1, 2), DIMS(1, 2));
  u8(&c, U8(1, 2, 3), DIMS(3, 1));
  case_expect_shape_error(&c, "[1, 2] times [3, 1]");
}

int main(int argc, char **argv) {
  TEST_BEGIN(argc, argv);
  RUN(quantize_rounds_half_to_even_and_saturates);
  RUN(scales_per_axis_and_per_block);
  RUN(dynamic_quantize_includes_zero);
  RUN(integer_products);
  RUN(quantized_convolution);
  RUN(messages_name_what_does_not_fit);
  return TEST_END();
}
