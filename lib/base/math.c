#include "base/math.h"

#include <math.h>
#include <stdint.h>
#include <string.h>

static double from_bits(uint64_t bits) {
  double value;
  memcpy(&value, &bits, sizeof value);
  return value;
}

/* 2^k for k in [-1022, 1023]. */
static double power_of_two(int k) {
  return from_bits((uint64_t)(k + 1023) << 52);
}

/* e^x = 2^k e^r with |r| <= ln(2) / 2, e^r by its Taylor series: the first term left out is below 2^-57. */
double q8_exp(double x) {
  if (x != x)
    return x;
  if (x < -708.0)
    return 0.0; /* the subnormal results between -745 and -708 are 0 in f32 */
  if (x > 709.0)
    return (double)INFINITY;
  static const double inverse_factorial[] = {
      1.0,           1.0,           1.0 / 2,        1.0 / 6,         1.0 / 24,         1.0 / 120,        1.0 / 720,
      1.0 / 5040,    1.0 / 40320,   1.0 / 362880,   1.0 / 3628800,   1.0 / 39916800,   1.0 / 479001600,  1.0 / 6227020800.0,
  };
  int k = (int)(x * 1.4426950408889634 + (x < 0 ? -0.5 : 0.5));
  double r = (x - k * 6.93147180369123816490e-01) - k * 1.90821492927058770002e-10;
  double sum = inverse_factorial[13];
  for (int i = 12; i >= 0; i--)
    sum = sum * r + inverse_factorial[i];
  return k > 1022 ? sum * power_of_two(1022) * power_of_two(k - 1022) : sum * power_of_two(k);
}

/* x = 2^k m with m in [sqrt(1/2), sqrt(2)); ln m = 2 atanh(s), s = (m - 1) / (m + 1), |s| < 0.172. */
double q8_log(double x) {
  if (x != x || x < 0)
    return (double)NAN;
  if (x == 0)
    return -(double)INFINITY;
  if (x > 1.7976931348623157e308)
    return x;
  uint64_t bits;
  int k = 0;
  if (x < 2.2250738585072014e-308) {
    x *= 18014398509481984.0; /* 2^54 */
    k = -54;
  }
  memcpy(&bits, &x, sizeof bits);
  k += (int)(bits >> 52) - 1023;
  double m = from_bits((bits & 0xFFFFFFFFFFFFFu) | ((uint64_t)1023 << 52));
  if (m > 1.4142135623730951) {
    m *= 0.5;
    k++;
  }
  double s = (m - 1) / (m + 1), s2 = s * s, sum = 0;
  for (int i = 21; i >= 1; i -= 2)
    sum = sum * s2 + 1.0 / i;
  return k * 6.93147180369123816490e-01 + (2 * s * sum + k * 1.90821492927058770002e-10);
}

/* erf(x) = 2/sqrt(pi) e^(-x^2) x sum (2x^2)^n / (1 3 5 ... (2n + 1)): positive terms, no cancellation. */
double q8_erf(double x) {
  if (x != x)
    return x;
  double a = x < 0 ? -x : x;
  if (a >= 6.0)
    return x < 0 ? -1.0 : 1.0;
  double z = 2 * a * a, term = a, sum = a;
  for (int n = 1; n < 200; n++) {
    term = term * z / (2 * n + 1);
    sum += term;
    if (term < sum * 1e-17)
      break;
  }
  double y = 1.1283791670955126 * q8_exp(-a * a) * sum;
  return x < 0 ? -y : y;
}

double q8_tanh(double x) {
  if (x != x)
    return x;
  double a = x < 0 ? -x : x, y;
  if (a < 0.02) { /* 1 - e^-2a would cancel */
    double a2 = a * a;
    y = a * (1 - a2 * (1.0 / 3 - a2 * (2.0 / 15 - a2 * (17.0 / 315))));
  } else {
    double e = q8_exp(-2 * a);
    y = (1 - e) / (1 + e);
  }
  return x < 0 ? -y : y;
}

double q8_sigmoid(double x) {
  if (x != x)
    return x;
  if (x >= 0)
    return 1 / (1 + q8_exp(-x));
  double e = q8_exp(x);
  return e / (1 + e);
}
