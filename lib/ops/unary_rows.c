/* unary_rows.c - rows of floats for elementwise functions that take less time than a call does. */
#include <math.h>

#include "ops/fast.h"
#include "ops/unary.h"

#define ROWS(name, expression)                                                                                     \
  void name(const void *params, size_t n, const float *x, float *y) {                                              \
    (void)params;                                                                                                  \
    Q8_FOR_BLOCKS(float, n, y, expression);                                                                        \
  }
ROWS(q8_relu_rows, x[i] < 0 ? 0 : x[i])
ROWS(q8_abs_rows, fabsf(x[i]))
ROWS(q8_neg_rows, -x[i])
ROWS(q8_sqrt_rows, sqrtf(x[i]))
ROWS(q8_reciprocal_rows, 1 / x[i])

void q8_leaky_relu_rows(const void *params, size_t n, const float *x, float *y) {
  const float alpha = ((const q8_unary_coefficients *)params)->alpha;
  Q8_FOR_BLOCKS(float, n, y, x[i] < 0 ? alpha * x[i] : x[i]);
}
