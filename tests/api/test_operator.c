/* The public GEMM and convolution against their definition, on every ISA, u8 and s8; and what they refuse. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "qint8.h"
#include "test.h"

static int at(const void *q, int32_t dtype, size_t i) {
  return dtype == QINT8_DTYPE_S8 ? ((const int8_t *)q)[i] : ((const uint8_t *)q)[i];
}

static int requantize(int64_t acc, float xs, float ws, const qint8_qparams *y, int low, int high) {
  float v = (float)(int32_t)acc * ((xs * ws) / y->scale);
  double r = nearbyint((double)v) + y->zero_point;
  return (int)(r < low ? low : r > high ? high : r);
}

static void fill(void *bytes, size_t count) {
  for (size_t i = 0; i < count; i++)
    ((uint8_t *)bytes)[i] = (uint8_t)test_random();
}

static qint8_qparams params(int32_t dtype, float scale) {
  int low = dtype == QINT8_DTYPE_S8 ? -128 : 0;
  return (qint8_qparams){sizeof(qint8_qparams), dtype, scale, test_random_int(low, low + 255)};
}

/* One random convolution on every ISA of this CPU. A guarded input shows reads beyond its end. */
static void check_conv(int32_t xt, int32_t yt) {
  qint8_conv_desc d = {.struct_size = sizeof d};
  d.groups = test_random_int(0, 3) ? 1 : test_random_int(1, 6);
  int depthwise = d.groups > 1 && test_random_int(0, 1);
  d.c = d.groups * (depthwise ? 1 : test_random_int(1, 7));
  d.k = depthwise ? d.c : d.groups * test_random_int(1, 20);
  d.r = test_random_int(1, 3);
  d.s = test_random_int(1, 3);
  d.stride_h = test_random_int(1, 2);
  d.stride_w = test_random_int(1, 2);
  d.dilation_h = test_random_int(1, 2);
  d.dilation_w = test_random_int(1, 2);
  d.pad_top = test_random_int(0, 2);
  d.pad_left = test_random_int(0, 2);
  d.pad_bottom = test_random_int(0, 2);
  d.pad_right = test_random_int(0, 2);
  int64_t n = test_random_int(1, 2), h = test_random_int(5, 9), w = test_random_int(5, 9), cg = d.c / d.groups;
  int64_t p = (h + d.pad_top + d.pad_bottom - d.dilation_h * (d.r - 1) - 1) / d.stride_h + 1;
  int64_t q = (w + d.pad_left + d.pad_right - d.dilation_w * (d.s - 1) - 1) / d.stride_w + 1;
  size_t wn = (size_t)(d.k * d.r * d.s * cg), xn = (size_t)(n * h * w * d.c), yn = (size_t)(n * p * q * d.k);
  int8_t *weights = malloc(wn);
  float *scales = malloc((size_t)d.k * sizeof *scales);
  int32_t *bias = malloc((size_t)d.k * sizeof *bias);
  uint8_t *x = test_guard_alloc(xn, 0), *y = malloc(yn);
  fill(weights, wn);
  fill(x, xn);
  for (int64_t k = 0; k < d.k; k++) {
    scales[k] = test_random_float(0.001f, 0.02f);
    bias[k] = test_random_int(-5000, 5000);
  }
  d.weights = weights;
  d.w_scale = scales;
  d.w_scale_count = d.k;
  d.bias = bias;
  d.x = params(xt, 0.05f);
  d.y = params(yt, 0.1f);
  int low = yt == QINT8_DTYPE_S8 ? -128 : 0, clamp = test_random_int(0, 1);
  d.clamp_low = clamp ? low + 20 : 0;
  d.clamp_high = clamp ? low + 200 : 0;
  for (size_t isa = 0; qint8_isa_name(isa); isa++) {
    qint8_error error = QINT8_ERROR_INIT;
    qint8_operator *op;
    size_t size = 0, wrong = 0;
    d.isa = qint8_isa_name(isa);
    qint8_status status = qint8_conv_create(&d, NULL, &op, &error);
    if (status == QINT8_OK)
      status = qint8_operator_scratch_size(op, n, h, w, &size, &error);
    void *scratch = aligned_alloc(64, (size + 127) / 64 * 64);
    if (status == QINT8_OK)
      status = qint8_operator_run(op, n, h, w, x, y, scratch, size, &error);
    CHECK_MSG(status == QINT8_OK, "%s: %s", error.where, error.message);
    for (size_t i = 0; i < yn && status == QINT8_OK; i++) {
      int64_t k = (int64_t)i % d.k, j = (int64_t)i / d.k % q, o = (int64_t)i / d.k / q % p, m = (int64_t)i / d.k / q / p;
      int64_t acc = bias[k], group = k / (d.k / d.groups);
      for (int64_t r = 0; r < d.r; r++)
        for (int64_t s = 0; s < d.s; s++) {
          int64_t yy = o * d.stride_h + r * d.dilation_h - d.pad_top, xx = j * d.stride_w + s * d.dilation_w - d.pad_left;
          if (yy < 0 || yy >= h || xx < 0 || xx >= w)
            continue;
          for (int64_t c = 0; c < cg; c++)
            acc += (at(x, xt, (size_t)(((m * h + yy) * w + xx) * d.c + group * cg + c)) - d.x.zero_point) *
                   weights[((k * d.r + r) * d.s + s) * cg + c];
        }
      wrong += at(y, yt, i) != requantize(acc, d.x.scale, scales[k], &d.y, clamp ? d.clamp_low : low,
                                          clamp ? d.clamp_high : low + 255);
    }
    CHECK_MSG(wrong == 0, "%s: %zu of %zu outputs differ", d.isa, wrong, yn);
    free(scratch);
    qint8_operator_destroy(op);
  }
  free(weights);
  free(scales);
  free(bias);
  free(y);
  test_guard_free(x, xn, 0);
}

static void convolutions(void) {
  static const int32_t types[] = {QINT8_DTYPE_U8, QINT8_DTYPE_S8};
  for (int i = 0; i < 60; i++)
    check_conv(types[i & 1], types[i >> 1 & 1]);
}

static void matrices(void) {
  for (int i = 0; i < 40; i++) {
    int64_t m = test_random_int(1, 20), n = test_random_int(1, 70), k = test_random_int(1, 90);
    int8_t *weights = malloc((size_t)(n * k));
    uint8_t *x = test_guard_alloc((size_t)(m * k), 0), *y = malloc((size_t)(m * n));
    float scale = 0.01f;
    fill(weights, (size_t)(n * k));
    fill(x, (size_t)(m * k));
    qint8_gemm_desc d = {.struct_size = sizeof d, .n = n, .k = k, .weights = weights, .w_scale = &scale, .w_scale_count = 1};
    d.x = params(QINT8_DTYPE_U8, 0.02f);
    d.y = params(QINT8_DTYPE_U8, 0.3f);
    for (size_t isa = 0; qint8_isa_name(isa); isa++) {
      qint8_operator *op;
      size_t size = 0, wrong = 0;
      d.isa = qint8_isa_name(isa);
      CHECK(qint8_gemm_create(&d, NULL, &op, NULL) == QINT8_OK);
      CHECK(qint8_operator_scratch_size(op, m, 0, 0, &size, NULL) == QINT8_OK);
      void *scratch = aligned_alloc(64, (size + 127) / 64 * 64);
      CHECK(qint8_operator_run(op, m, 0, 0, x, y, scratch, size, NULL) == QINT8_OK);
      for (int64_t r = 0; r < m; r++)
        for (int64_t c = 0; c < n; c++) {
          int64_t acc = 0;
          for (int64_t j = 0; j < k; j++)
            acc += (x[r * k + j] - d.x.zero_point) * weights[c * k + j];
          wrong += y[r * n + c] != requantize(acc, d.x.scale, scale, &d.y, 0, 255);
        }
      CHECK_MSG(wrong == 0, "%s: %zu of %lld outputs differ", d.isa, wrong, (long long)(m * n));
      free(scratch);
      qint8_operator_destroy(op);
    }
    free(weights);
    free(y);
    test_guard_free(x, (size_t)(m * k), 0);
  }
}

static void refusals(void) {
  static const int8_t weights[4] = {1, 2, 3, 4};
  float scale = 0.1f;
  qint8_error error = QINT8_ERROR_INIT;
  qint8_operator *op;
  qint8_gemm_desc good = {.struct_size = sizeof good, .n = 2, .k = 2, .weights = weights, .w_scale = &scale, .w_scale_count = 1,
                          .x = {sizeof(qint8_qparams), QINT8_DTYPE_U8, 1, 0}, .y = {sizeof(qint8_qparams), QINT8_DTYPE_U8, 1, 0}};
  qint8_gemm_desc bad = good;
  bad.k = 70000;
  CHECK(qint8_gemm_create(&bad, NULL, &op, &error) == QINT8_ERROR_LIMIT && !op && strstr(error.message, "70000"));
  bad = good;
  bad.weights = NULL;
  CHECK(qint8_gemm_create(&bad, NULL, &op, &error) == QINT8_ERROR_ARGUMENT && !strcmp(error.where, "weights"));
  bad = good;
  bad.w_scale_count = 3;
  CHECK(qint8_gemm_create(&bad, NULL, &op, &error) == QINT8_ERROR_ARGUMENT);
  bad = good;
  bad.x.scale = 0;
  CHECK(qint8_gemm_create(&bad, NULL, &op, &error) == QINT8_ERROR_ARGUMENT && !strcmp(error.where, "scale"));
  bad = good;
  bad.isa = "abacus";
  CHECK(qint8_gemm_create(&bad, NULL, &op, &error) == QINT8_ERROR_UNSUPPORTED);
  CHECK(qint8_gemm_create(&good, NULL, &op, &error) == QINT8_OK);
  size_t size;
  CHECK(qint8_operator_scratch_size(op, 3, 0, 0, &size, &error) == QINT8_OK && size > 0);
  uint8_t x[6] = {0}, y[6];
  void *scratch = aligned_alloc(64, (size + 63) / 64 * 64);
  CHECK(qint8_operator_run(op, 3, 0, 0, x, y, scratch, size - 1, &error) == QINT8_ERROR_ARGUMENT);
  CHECK(qint8_operator_run(op, 0, 0, 0, x, y, scratch, size, &error) == QINT8_ERROR_ARGUMENT);
  CHECK(qint8_operator_run(op, 3, 0, 0, x, y, scratch, size, &error) == QINT8_OK);
  free(scratch);
  qint8_operator_destroy(op);
  qint8_operator_destroy(NULL);
}

int main(int argc, char **argv) {
  TEST_BEGIN(argc, argv);
  RUN(convolutions);
  RUN(matrices);
  RUN(refusals);
  return TEST_END();
}
