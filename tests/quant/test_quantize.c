/* Quantization against formulas written the plain way, and its properties. */
#include <fenv.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/cpu.h"
#include "quant/qparams.h"
#include "quant/quantize.h"
#include "test.h"

static q8_kernels kernels;

static int64_t clamp(double value, int32_t dtype) {
  double low = (double)q8_qmin(dtype), high = (double)q8_qmax(dtype);
  return (int64_t)(value < low ? low : value > high ? high : value);
}

/* In double after the one f32 division: adding the zero point is then exact. */
static int64_t reference_quantize(float x, const qint8_qparams *q) {
  if (isnan(x))
    return q8_qmin(q->dtype);
  volatile float ratio = x / q->scale;
  double r = fabs((double)ratio) < 1e18 ? rint((double)ratio) : (double)ratio;
  return clamp(r + q->zero_point, q->dtype);
}

static int64_t element(const void *q, size_t i, int32_t dtype) {
  return dtype == QINT8_DTYPE_U8   ? ((const uint8_t *)q)[i]
         : dtype == QINT8_DTYPE_S8 ? ((const int8_t *)q)[i]
                                   : ((const int32_t *)q)[i];
}

enum { MANY = 5000 };
static const int32_t types[3] = {QINT8_DTYPE_U8, QINT8_DTYPE_S8, QINT8_DTYPE_S32};

static float any_float(void) {
  uint32_t bits = test_random() ^ (test_random() << 16);
  float x;
  memcpy(&x, &bits, sizeof(x));
  return x;
}

static qint8_qparams random_params(int32_t dtype) {
  qint8_qparams q = QINT8_QPARAMS_INIT;
  q.dtype = dtype;
  q.scale = ldexpf(test_random_float(0.5f, 1.0f), test_random_int(-20, 10));
  q.zero_point = dtype == QINT8_DTYPE_U8 ? test_random_int(0, 255) : test_random_int(-128, 127);
  return q;
}

/* Values near and on ties, over the edges of the type, special values, and arbitrary bits. */
static void fill(float *x, const qint8_qparams *q) {
  static const float special[] = {0.0f, -0.0f, INFINITY, -INFINITY, NAN, 3.4e38f, -3.4e38f, 1e-45f, -1e-45f};
  for (int i = 0; i < MANY; i++) {
    int32_t steps = test_random_int(-300, 300);
    int kind = i % 4;
    x[i] = kind == 0   ? ((float)steps + 0.5f) * q->scale
           : kind == 1 ? nextafterf(((float)steps + 0.5f) * q->scale, (float)test_random_int(-1, 1) * INFINITY)
           : kind == 2 ? test_random_float(-150, 150) * q->scale
                       : any_float();
  }
  memcpy(x, special, sizeof(special));
}

static void quantize_equals_reference(void) {
  static float x[MANY];
  static int32_t out[MANY];
  for (int round = 0; round < 60; round++) {
    qint8_qparams q = random_params(types[round % 3]);
    fill(x, &q);
    q8_quantize(&kernels, x, MANY, &q, out);
    for (int i = 0; i < MANY; i++) {
      int64_t expected = reference_quantize(x[i], &q), got = element(out, (size_t)i, q.dtype);
      CHECK_MSG(expected == got, "type %d: %a / %a + %d is %lld, expected %lld", q.dtype, (double)x[i],
                (double)q.scale, q.zero_point, (long long)got, (long long)expected);
    }
  }
}

static void division_is_true(void) {
  qint8_qparams q = {sizeof(q), QINT8_DTYPE_U8, 0.00214854861f, 0};
  float x = 0.273939937f; /* 127.5 times the scale by division, above it by the reciprocal */
  uint8_t y;
  q8_quantize(&kernels, &x, 1, &q, &y);
  CHECK_EQ(y, reference_quantize(x, &q));
  CHECK_EQ(y, 127);
}

static void rounding_mode_of_the_host_does_not_matter(void) {
  static const int modes[] = {FE_UPWARD, FE_DOWNWARD, FE_TOWARDZERO};
  qint8_qparams q = {sizeof(q), QINT8_DTYPE_S8, 1.0f, 0};
  float x[4] = {0.5f, 1.5f, -0.75f, 2.25f};
  for (int i = 0; i < 3; i++) {
    int8_t y[4];
    fesetround(modes[i]);
    q8_quantize(&kernels, x, 4, &q, y);
    int kept = fegetround();
    fesetround(FE_TONEAREST);
    CHECK_EQ(kept, modes[i]);
    CHECK(y[0] == 0 && y[1] == 2 && y[2] == -1 && y[3] == 2);
  }
}

static void dequantize_equals_reference(void) {
  for (int32_t t = 0; t < 2; t++) {
    qint8_qparams q = random_params(types[t]);
    uint8_t all[256];
    float y[256];
    for (int i = 0; i < 256; i++)
      all[i] = (uint8_t)i;
    q8_dequantize(&kernels, all, 256, &q, y);
    for (int i = 0; i < 256; i++)
      CHECK(y[i] == (float)(element(all, (size_t)i, q.dtype) - q.zero_point) * q.scale);
  }
  qint8_qparams q = {sizeof(q), QINT8_DTYPE_S32, 0.25f, 0};
  int32_t values[3] = {INT32_MIN, 7, INT32_MAX};
  float y[3];
  q8_dequantize(&kernels, values, 3, &q, y);
  CHECK(y[0] == -536870912.0f && y[1] == 1.75f && y[2] == 536870912.0f);
}

/* Every integer survives the way through float; so fake quantization twice is fake quantization once. */
static void idempotent(void) {
  static float x[MANY], once[MANY], twice[MANY];
  for (int round = 0; round < 30; round++) {
    qint8_qparams q = random_params(types[round % 2]);
    uint8_t all[256], back[256];
    for (int i = 0; i < 256; i++)
      all[i] = (uint8_t)i;
    q8_dequantize(&kernels, all, 256, &q, x);
    q8_quantize(&kernels, x, 256, &q, back);
    CHECK(memcmp(all, back, sizeof(all)) == 0);
    fill(x, &q);
    q8_fake_quantize(&kernels, x, MANY, &q, once);
    memcpy(twice, once, sizeof(once));
    q8_fake_quantize(&kernels, twice, MANY, &q, twice);
    CHECK(memcmp(once, twice, sizeof(once)) == 0);
  }
}

static int by_value(const void *a, const void *b) {
  float x = *(const float *)a, y = *(const float *)b;
  return (x > y) - (x < y);
}

static void monotonic_and_zero_exact(void) {
  static float x[MANY], y[MANY];
  for (int round = 0; round < 30; round++) {
    qint8_qparams q = random_params(types[round % 2]);
    for (int i = 0; i < MANY; i++)
      x[i] = test_random_float(-300, 300) * q.scale;
    x[0] = 0.0f;
    qsort(x, MANY, sizeof(float), by_value);
    q8_fake_quantize(&kernels, x, MANY, &q, y);
    for (int i = 0; i < MANY; i++) {
      CHECK(i == 0 || y[i] >= y[i - 1]);
      CHECK(x[i] != 0.0f || y[i] == 0.0f);
    }
  }
}

static void requantize_equals_reference(void) {
  for (int round = 0; round < 200; round++) {
    int32_t acc[300];
    int8_t out[300];
    size_t count = (size_t)test_random_int(0, 300);
    qint8_qparams q = random_params(types[round % 2]);
    float sx = test_random_float(0.001f, 0.1f), sw = test_random_float(0.001f, 0.1f), multiplier;
    CHECK(q8_requantize_multiplier(sx, sw, q.scale, &multiplier));
    volatile float product = sx * sw;
    CHECK(multiplier == product / q.scale);
    for (size_t i = 0; i < count; i++)
      acc[i] = i % 3 ? test_random_int(-100000, 100000) : (int32_t)(test_random() * 2);
    q8_requantize(&kernels, acc, count, multiplier, &q, out);
    for (size_t i = 0; i < count; i++) {
      volatile float scaled = (float)acc[i] * multiplier;
      CHECK_EQ(element(out, i, q.dtype), clamp(rint((double)scaled) + q.zero_point, q.dtype));
    }
  }
  float unused;
  CHECK(!q8_requantize_multiplier(3e38f, 3e38f, 1.0f, &unused));
}

static void params_of_random_ranges(void) {
  for (int round = 0; round < 20000; round++) {
    int32_t dtype = types[round % 2];
    float a = any_float(), b = any_float();
    if (!isfinite(a) || !isfinite(b))
      continue;
    float min = a < b ? a : b, max = a < b ? b : a;
    qint8_qparams q = q8_qparams_affine(min, max, dtype);
    int64_t qmin = q8_qmin(dtype), qmax = q8_qmax(dtype);
    CHECK(isnormal(q.scale) && q.scale > 0 && q.zero_point >= qmin && q.zero_point <= qmax);
    /* Both ends are represented within half a step, and half a step more for the rounded zero point. */
    double low = (double)(qmin - q.zero_point) * q.scale, high = (double)(qmax - q.zero_point) * q.scale;
    CHECK(low <= (min < 0 ? min : 0) + 0.501 * q.scale);
    CHECK(high >= (max > 0 ? max : 0) - 0.501 * q.scale);
  }
}

static void params_of_special_ranges(void) {
  qint8_qparams zero = q8_qparams_affine(0, 0, QINT8_DTYPE_U8);
  CHECK(zero.scale == 1.0f && zero.zero_point == 0);
  qint8_qparams positive = q8_qparams_affine(1, 2, QINT8_DTYPE_U8); /* widened to 0 */
  CHECK(positive.scale == (float)(2.0 / 255) && positive.zero_point == 0);
  qint8_qparams negative = q8_qparams_affine(-2, -1, QINT8_DTYPE_S8);
  CHECK(negative.scale == (float)(2.0 / 255) && negative.zero_point == 127);
  qint8_qparams tiny = q8_qparams_affine(0, 1e-44f, QINT8_DTYPE_U8);
  CHECK(tiny.scale == Q8_MIN_SCALE);
  qint8_qparams widest = q8_qparams_affine(-3.4e38f, 3.4e38f, QINT8_DTYPE_U8);
  CHECK(isfinite(widest.scale) && widest.zero_point == 128);
  qint8_qparams weights = q8_qparams_symmetric(1.27f);
  CHECK(weights.scale == (float)(1.27f / 127.0) && weights.zero_point == 0 && weights.dtype == QINT8_DTYPE_S8);
  CHECK(q8_qparams_symmetric(0).scale == 1.0f);
}

static double symmetric_error(const float *x, size_t n, const qint8_qparams *q) {
  double sum = 0;
  for (size_t i = 0; i < n; i++) {
    double steps = rint((double)x[i] / q->scale), e = (double)x[i];
    e -= (steps < -127 ? -127 : steps > 127 ? 127 : steps) * q->scale;
    sum += e * e;
  }
  return sum;
}

static void searched_scale_is_not_worse(void) {
  static float x[500];
  int better = 0;
  for (int round = 0; round < 200; round++) {
    size_t n = (size_t)test_random_int(1, round % 2 ? 9 : 500);
    float absmax = 0;
    for (size_t i = 0; i < n; i++) {
      x[i] = test_random_float(-1, 1) * test_random_float(0, 1);
      absmax = fmaxf(absmax, fabsf(x[i]));
    }
    qint8_qparams wide = q8_qparams_symmetric(absmax), best = q8_qparams_symmetric_search(x, n);
    double least = symmetric_error(x, n, &best), widest = symmetric_error(x, n, &wide);
    CHECK_MSG(least <= widest * (1 + 1e-4) + 1e-12, "%g, by the largest value %g", least, widest);
    better += least < 0.8 * widest;
  }
  CHECK_MSG(better > 50, "%d of 200 clearly better", better);
}

/* s8 is the same grid as u8, 128 lower. */
static void signed_is_shifted_unsigned(void) {
  for (int round = 0; round < 500; round++) {
    float min = test_random_float(-10, 1), max = min + test_random_float(0, 20);
    qint8_qparams u = q8_qparams_affine(min, max, QINT8_DTYPE_U8), s = q8_qparams_affine(min, max, QINT8_DTYPE_S8);
    CHECK(u.scale == s.scale);
    CHECK_EQ(abs(u.zero_point - 128 - s.zero_point) <= 1, 1); /* rne of x.5 depends on parity */
  }
}

int main(int argc, char **argv) {
  TEST_BEGIN(argc, argv);
  q8_kernels_select(q8_cpu_detect(), &kernels);
  RUN(quantize_equals_reference);
  RUN(division_is_true);
  RUN(rounding_mode_of_the_host_does_not_matter);
  RUN(dequantize_equals_reference);
  RUN(idempotent);
  RUN(monotonic_and_zero_exact);
  RUN(requantize_equals_reference);
  RUN(params_of_random_ranges);
  RUN(params_of_special_ranges);
  RUN(searched_scale_is_not_worse);
  RUN(signed_is_shifted_unsigned);
  return TEST_END();
}
