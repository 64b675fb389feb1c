/* The fixed formulas against libm, in units of the last place of f32; special values; the same bits every time. */
#include <math.h>
#include <string.h>

#include "base/math.h"
#include "test.h"

static double ulps(double got, double want) {
  float w = (float)want;
  float next = nextafterf(fabsf(w), INFINITY);
  return fabs((double)(float)got - (double)w) / (double)(next - fabsf(w));
}

static void sweep(const char *name, double (*ours)(double), double (*theirs)(double), double low, double high) {
  double worst = 0;
  for (int i = 0; i < 200000; i++) {
    double x = (double)(float)(low + (high - low) * i / 200000.0);
    double u = ulps(ours(x), theirs(x));
    if (u > worst)
      worst = u;
  }
  CHECK_MSG(worst <= 1.0, "%s on [%g, %g]: %g ulp", name, low, high, worst);
}

static double sigmoid(double x) {
  return 1 / (1 + exp(-x));
}

static void close_to_libm(void) {
  sweep("exp", q8_exp, exp, -87.0, 88.0);
  sweep("log", q8_log, log, 1e-6, 1e6);
  sweep("log near 1", q8_log, log, 0.9, 1.1);
  sweep("erf", q8_erf, erf, -7.0, 7.0);
  sweep("tanh", q8_tanh, tanh, -10.0, 10.0);
  sweep("tanh near 0", q8_tanh, tanh, -0.05, 0.05);
  sweep("sigmoid", q8_sigmoid, sigmoid, -80.0, 80.0);
}

static void special_values(void) {
  CHECK(q8_exp(-INFINITY) == 0 && q8_exp(INFINITY) == INFINITY && q8_exp(0) == 1);
  CHECK(q8_log(0) == -INFINITY && q8_log(1) == 0 && isnan(q8_log(-1)) && q8_log(INFINITY) == INFINITY);
  CHECK(q8_erf(0) == 0 && q8_erf(INFINITY) == 1 && q8_erf(-INFINITY) == -1);
  CHECK(q8_tanh(0) == 0 && q8_tanh(INFINITY) == 1 && q8_tanh(-INFINITY) == -1);
  CHECK(q8_sigmoid(0) == 0.5 && q8_sigmoid(INFINITY) == 1 && q8_sigmoid(-INFINITY) == 0);
  CHECK(isnan(q8_exp(NAN)) && isnan(q8_log(NAN)) && isnan(q8_erf(NAN)) && isnan(q8_tanh(NAN)) && isnan(q8_sigmoid(NAN)));
}

/* The bits, so that another machine or compiler that computes something else is noticed. */
static void same_bits_everywhere(void) {
  uint64_t hash = 14695981039346656037u;
  double (*const functions[])(double) = {q8_exp, q8_log, q8_erf, q8_tanh, q8_sigmoid};
  for (int f = 0; f < 5; f++)
    for (int i = -4000; i <= 4000; i++) {
      float y = (float)functions[f](f == 1 ? (i + 4001) * 0.25 : i * 0.0078125);
      uint32_t bits;
      memcpy(&bits, &y, sizeof bits);
      hash = (hash ^ bits) * 1099511628211u;
    }
  CHECK_MSG(hash == 0x4d70308fbb4251beu, "hash 0x%llx", (unsigned long long)hash);
}

int main(int argc, char **argv) {
  TEST_BEGIN(argc, argv);
  RUN(close_to_libm);
  RUN(special_values);
  RUN(same_bits_everywhere);
  return TEST_END();
}
