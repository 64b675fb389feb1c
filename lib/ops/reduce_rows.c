/* reduce_rows.c - sums, largest and smallest values of float32, in double. */
#include "ops/reduce.h"

static inline double add(double sum, double x) {
  return sum + x;
}
static inline double larger(double sum, double x) {
  return x > sum || x != x ? x : sum;
}
static inline double smaller(double sum, double x) {
  return x < sum || x != x ? x : sum;
}

/* Partial results side by side, which compilers vectorize. */
#define LANES 8
#define ROWS(along, across, step)                                                                                  \
  double along(double sum, size_t n, const float *x) {                                                             \
    double lane[LANES];                                                                                            \
    size_t i = LANES;                                                                                              \
    for (size_t j = 0; n >= LANES && j < LANES; j++)                                                               \
      lane[j] = x[j];                                                                                              \
    for (; i + LANES <= n; i += LANES)                                                                             \
      for (size_t j = 0; j < LANES; j++)                                                                           \
        lane[j] = step(lane[j], x[i + j]);                                                                         \
    for (size_t j = 0; n >= LANES && j < LANES; j++)                                                               \
      sum = step(sum, lane[j]);                                                                                    \
    for (i = n >= LANES ? i : 0; i < n; i++)                                                                       \
      sum = step(sum, x[i]);                                                                                       \
    return sum;                                                                                                    \
  }                                                                                                                \
  void across(double *sum, size_t width, size_t n, const float *x, size_t stride) {                                \
    for (size_t j = 0; j < n; j++, x += stride)                                                                    \
      for (size_t i = 0; i < width; i++)                                                                           \
        sum[i] = step(sum[i], x[i]);                                                                               \
  }
ROWS(q8_add_along, q8_add_across, add)
ROWS(q8_largest_along, q8_largest_across, larger)
ROWS(q8_smallest_along, q8_smallest_across, smaller)
