/* reduce_rows.c - sums, largest and smallest values of float32, in double. */
#include "ops/reduce.h"

static inline double add(double sum, double x) {
  return sum + x;
}
static inline double larger(double sum, double x) {
  return x > sum || x != x ? x : sum;
}

/* Partial results side by side, which compilers vectorize. */
#define LANES 8
#define SAME(x) x
#define SIGNED(x) sign *x
#define ROWS(along, across, step, value)                                                                           \
  double along(double sum, double sign, size_t n, const float *x) {                                                \
    double lane[LANES];                                                                                            \
    size_t i = LANES;                                                                                              \
    (void)sign;                                                                                                    \
    for (size_t j = 0; n >= LANES && j < LANES; j++)                                                               \
      lane[j] = value(x[j]);                                                                                       \
    for (; i + LANES <= n; i += LANES)                                                                             \
      for (size_t j = 0; j < LANES; j++)                                                                           \
        lane[j] = step(lane[j], value(x[i + j]));                                                                  \
    for (size_t j = 0; n >= LANES && j < LANES; j++)                                                               \
      sum = step(sum, lane[j]);                                                                                    \
    for (i = n >= LANES ? i : 0; i < n; i++)                                                                       \
      sum = step(sum, value(x[i]));                                                                                \
    return sum;                                                                                                    \
  }                                                                                                                \
  void across(double *sum, double sign, size_t width, size_t n, const float *x, size_t stride) {                   \
    (void)sign;                                                                                                    \
    for (size_t j = 0; j < n; j++, x += stride)                                                                    \
      for (size_t i = 0; i < width; i++)                                                                           \
        sum[i] = step(sum[i], value(x[i]));                                                                        \
  }
ROWS(q8_add_along, q8_add_across, add, SAME)
ROWS(q8_largest_along, q8_largest_across, larger, SIGNED)
