/* binary_rows.c - elementwise arithmetic on rows of float32. */
#include "ops/binary.h"
#include "ops/fast.h"

/* Blocks of Q8_LANES values: those of a row one after the other, or copies of the one that repeats. */
typedef struct operand {
  const float *block;
  size_t step; /* to the next block */
  float copies[Q8_LANES];
} operand;

static __attribute__((noinline)) void take_operand(operand *o, const float *row, int64_t stride) {
  o->block = stride ? row : o->copies;
  o->step = stride ? Q8_LANES : 0;
  for (size_t j = 0; j < Q8_LANES; j++)
    o->copies[j] = *row;
}

#define ROW(name, expression)                                                                                      \
  static inline float name##_one(float x, float z) {                                                              \
    return expression;                                                                                            \
  }                                                                                                               \
  void name(size_t n, const void *pa, int64_t sa, const void *pb, int64_t sb, void *py) {                          \
    const float *a = pa, *b = pb;                                                                                 \
    float *y = py;                                                                                                \
    if (n >= Q8_LANES && sa >> 1 == 0 && sb >> 1 == 0) {                                                          \
      operand left, right;                                                                                        \
      take_operand(&left, a, sa);                                                                                 \
      take_operand(&right, b, sb);                                                                                \
      const float *p = left.block, *q = right.block;                                                              \
      for (; n >= Q8_LANES; n -= Q8_LANES, y += Q8_LANES, p += left.step, q += right.step) {                      \
        float block[Q8_LANES];                                                                                    \
        for (size_t j = 0; j < Q8_LANES; j++)                                                                     \
          block[j] = name##_one(p[j], q[j]);                                                                      \
        memcpy(y, block, sizeof block);                                                                           \
      }                                                                                                           \
      a = p, b = q;                                                                                               \
    }                                                                                                             \
    for (; n > 0; n--, a += sa, b += sb)                                                                          \
      *y++ = name##_one(*a, *b);                                                                                  \
  }

ROW(q8_add_row, x + z)
ROW(q8_sub_row, x - z)
ROW(q8_mul_row, x * z)
ROW(q8_div_row, x / z)
ROW(q8_min_row, x < z || x != x ? x : z)
ROW(q8_max_row, x > z || x != x ? x : z)
ROW(q8_prelu_row, x < 0 ? x * z : x)
