/* binary_rows.c - elementwise arithmetic on rows of float32. */
#include "ops/binary.h"
#include "ops/fast.h"

#define ROW(name, expression)                                                                                      \
  static inline float name##_one(float x, float z) {                                                               \
    return expression;                                                                                             \
  }                                                                                                                \
  void name(size_t n, const float *a, const float *b, float *y) {                                                  \
    Q8_FOR_BLOCKS(float, n, y, name##_one(a[i], b[i]));                                                            \
  }

ROW(q8_add_row, x + z)
ROW(q8_sub_row, x - z)
ROW(q8_mul_row, x * z)
ROW(q8_div_row, x / z)
ROW(q8_min_row, x < z || x != x ? x : z)
ROW(q8_max_row, x > z || x != x ? x : z)
ROW(q8_prelu_row, x < 0 ? x * z : x)

#define GATHERED 256

/* n values that lie `stride` apart: themselves, or copied to `to`. */
static const float *gather(size_t n, const float *x, int64_t stride, float *to) {
  if (stride == 1)
    return x;
  const float same = *x;
  if (stride == 0)
    Q8_FOR_BLOCKS(float, n, to, ((void)i, same));
  else
    for (size_t i = 0; i < n; i++, x += stride)
      to[i] = *x;
  return to;
}

void q8_strided_row(q8_binary_row *row, size_t n, const float *a, int64_t a_stride, const float *b, int64_t b_stride,
                    float *y) {
  float from_a[GATHERED], from_b[GATHERED];
  if (a_stride == 1 && b_stride == 1) {
    row(n, a, b, y);
    return;
  }
  const float *x = a, *z = b;
  for (size_t at = 0; at < n; at += GATHERED) {
    size_t count = n - at < GATHERED ? n - at : GATHERED;
    if (at == 0 || a_stride) /* what repeats stays */
      x = gather(count, a + (int64_t)at * a_stride, a_stride, from_a);
    if (at == 0 || b_stride)
      z = gather(count, b + (int64_t)at * b_stride, b_stride, from_b);
    row(count, x, z, y + at);
  }
}
