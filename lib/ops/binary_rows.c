/* binary_rows.c - elementwise arithmetic on rows of float32. */
#include "ops/binary.h"
#include "ops/fast.h"

#define ROW(name, expression)                                                                                      \
  static inline float name##_one(float x, float z) {                                                              \
    return expression;                                                                                            \
  }                                                                                                               \
  void name(size_t n, const void *pa, int64_t sa, const void *pb, int64_t sb, void *py) {                          \
    const float *a = pa, *b = pb;                                                                                 \
    float *y = py;                                                                                                \
    if (sa == 1 && sb == 1) {                                                                                     \
      Q8_FOR_BLOCKS(float, n, y, name##_one(a[i], b[i]));                                                         \
    } else if (sa == 1 && sb == 0) {                                                                              \
      const float z = b[0];                                                                                       \
      Q8_FOR_BLOCKS(float, n, y, name##_one(a[i], z));                                                            \
    } else if (sa == 0 && sb == 1) {                                                                              \
      const float x = a[0];                                                                                       \
      Q8_FOR_BLOCKS(float, n, y, name##_one(x, b[i]));                                                            \
    } else {                                                                                                      \
      for (; n > 0; n--, a += sa, b += sb)                                                                        \
        *y++ = name##_one(*a, *b);                                                                                \
    }                                                                                                             \
  }

ROW(q8_add_row, x + z)
ROW(q8_sub_row, x - z)
ROW(q8_mul_row, x * z)
ROW(q8_div_row, x / z)
ROW(q8_min_row, x < z || x != x ? x : z)
ROW(q8_max_row, x > z || x != x ? x : z)
ROW(q8_prelu_row, x < 0 ? x * z : x)
