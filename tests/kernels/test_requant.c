/* Requantization and dequantization of accumulators against the plain formulas, byte for byte. */
#include <limits.h>
#include <math.h>
#include <string.h>

#include "reference.h"
#include "walk.h"

enum { MAX_SIZE = 1 << 16 };

static walk_buffer acc_buffer, bias_buffer, scale_buffer, float_buffer;

static void init(void) {
  walk_buffer_init(&acc_buffer, MAX_SIZE);
  walk_buffer_init(&bias_buffer, MAX_SIZE);
  walk_buffer_init(&scale_buffer, MAX_SIZE);
  walk_buffer_init(&float_buffer, MAX_SIZE);
}

/* Powers of two turn small accumulators into ties; large ones leave the range of int32 before the clamp. */
static float some_scale(void) {
  static const float fixed[] = {0.5f,  0.25f,  0.125f, 1.0f, 0x1p-20f, 0x1p-31f,
                                3e38f, 1e-38f, 1e-45f, 0.0f, 1e4f,     -0.5f};
  if (test_random() & 1)
    return fixed[test_random() % COUNT_OF(fixed)];
  return ldexpf(test_random_float(0.5f, 1.0f), -(int)(test_random() % 24));
}

static int32_t some_acc(void) {
  static const int32_t fixed[] = {INT_MIN, INT_MIN + 1, INT_MAX, INT_MAX - 1,   0,
                                  1,       -1,          1 << 24, (1 << 24) + 1, -(1 << 24) - 1};
  switch (test_random() % 4) {
  case 0:
    return fixed[test_random() % COUNT_OF(fixed)];
  case 1:
    return (int32_t)test_random();
  default:
    return test_random_int(-600, 600);
  }
}

static int32_t *random_accs(const walk_buffer *buffer, size_t n) {
  int32_t *p = walk_place(buffer, n * sizeof *p, 4, 0);
  for (size_t i = 0; i < n; i++)
    p[i] = some_acc();
  return p;
}

static float *random_scales(const walk_buffer *buffer, size_t n) {
  float *p = walk_place(buffer, n * sizeof *p, 4, 0);
  for (size_t i = 0; i < n; i++)
    p[i] = some_scale();
  return p;
}

static void requant_case(const q8_requant_kernel *kernel, size_t rows, size_t n) {
  size_t acc_stride = n + test_random() % 5, stride = n + test_random() % 5, padded = (n + 63) / 64 * 64;
  int32_t lo = test_random() & 1 ? 0 : test_random_int(0, 255),
          hi = test_random() & 1 ? 255 : test_random_int(lo, 255);
  q8_requant rq = {random_accs(&bias_buffer, padded),
                   random_scales(&scale_buffer, padded),
                   test_random_int(0, 255),
                   lo,
                   hi};
  walk_case("rows %zu n %zu zero %d lo %d hi %d", rows, n, rq.zero_point, lo, hi);
  const int32_t *acc = random_accs(&acc_buffer, (rows - 1) * acc_stride + n);
  walk_output out = walk_output_new((rows - 1) * stride + n, 1);
  for (size_t r = 0; r < rows; r++)
    for (size_t c = 0; c < n; c++)
      out.want[r * stride + c] = ref_requant(acc[r * acc_stride + c], &rq, c);
  kernel->run(rows, n, acc, acc_stride, &rq, out.got, stride);
  walk_output_check(&out);
}

static void requant_record(const void *record) {
  for (size_t n = 1; n <= 140; n++)
    for (size_t i = 0; i < 4; i++)
      requant_case(record, 1 + test_random() % 5, n);
  for (size_t i = 0; i < 40; i++)
    requant_case(record, 16, 64);
}

static void dequant_case(const q8_dequant_acc_kernel *kernel, size_t rows, size_t n) {
  size_t acc_stride = n + test_random() % 5, stride = n + test_random() % 5, padded = (n + 63) / 64 * 64;
  float *bias = walk_place(&float_buffer, padded * sizeof(float), 4, 0);
  for (size_t i = 0; i < padded; i++)
    bias[i] = test_random_float(-3, 3);
  float *scale = walk_place(&scale_buffer, padded * sizeof(float), 4, 0);
  for (size_t i = 0; i < padded; i++)
    scale[i] = ldexpf(test_random_float(0.5f, 1.0f), -(int)(test_random() % 30));
  int32_t zero[5];
  float row_scale[5];
  for (size_t r = 0; r < COUNT_OF(zero); r++) {
    zero[r] = test_random_int(0, 255);
    row_scale[r] = test_random_float(0.001f, 1.0f);
  }
  q8_dequant dq = {random_accs(&bias_buffer, padded),
                   scale,
                   bias,
                   test_random() & 1 ? -INFINITY : -1.0f,
                   test_random() & 1 ? INFINITY : 6.0f,
                   test_random() & 1 ? zero : NULL,
                   test_random() & 1 ? 128 : 0,
                   test_random() & 1 ? row_scale : NULL,
                   test_random() & 1};
  walk_case("rows %zu n %zu shift %d step %zu zero %d row_scale %d", rows, n, dq.shift, dq.row_step, dq.zero != NULL,
            dq.row_scale != NULL);
  const int32_t *acc = random_accs(&acc_buffer, (rows - 1) * acc_stride + n);
  walk_output out = walk_output_new(((rows - 1) * stride + n) * sizeof(float), 4);
  for (size_t r = 0; r < rows; r++)
    for (size_t c = 0; c < n; c++) {
      uint32_t less = (uint32_t)(zero[r * dq.row_step] - dq.shift) * (uint32_t)dq.offset[c];
      uint32_t offset = dq.zero ? 0u - less : (uint32_t)dq.offset[c];
      int32_t sum = (int32_t)((uint32_t)acc[r * acc_stride + c] + offset);
      float factor = (dq.row_scale ? row_scale[r * dq.row_step] : 1.0f) * scale[c], product = (float)sum * factor;
      float v = ref_clampf(product + bias[c], dq.lo, dq.hi);
      memcpy(out.want + (r * stride + c) * sizeof v, &v, sizeof v);
    }
  kernel->run(rows, n, acc, acc_stride, &dq, (float *)(void *)out.got, stride);
  walk_output_check(&out);
}

static void dequant_record(const void *record) {
  for (size_t n = 1; n <= 140; n++)
    for (size_t i = 0; i < 3; i++)
      dequant_case(record, 1 + test_random() % 5, n);
}

static void requant(void) {
  WALK_FUNCTION(q8_requant_kernel, requant, requant_record);
}
static void dequant_acc(void) {
  WALK_FUNCTION(q8_dequant_acc_kernel, dequant_acc, dequant_record);
}

int main(int argc, char **argv) {
  TEST_BEGIN(argc, argv);
  init();
  RUN(requant);
  RUN(dequant_acc);
  return TEST_END();
}
