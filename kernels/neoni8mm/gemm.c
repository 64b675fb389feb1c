/* gemm.c - u8 x s8 tiles with usmmla: one instruction multiplies two rows of eight k by two columns of eight k and adds
 * to four sums. No shift of A and no exception for -128: the products are mixed-sign and added in 32 bits.
 *
 *   panel   [k / 8][nr][8]: one 16-byte load holds eight k of two neighbouring columns
 *   c[i][j] rows 2 i, 2 i + 1 by columns 2 j, 2 j + 1: row-major 2 x 2
 */
#include "kernel.h"

#if defined(__aarch64__) && defined(__ARM_FEATURE_MATMUL_INT8)
#include <arm_neon.h>

enum { NR = 8, KR = 8 };
#define NEEDS (Q8_CPU_NEON | Q8_CPU_NEONDOT | Q8_CPU_NEONI8MM)

/* One block of k: x[i] holds rows 2 i and 2 i + 1. */
Q8_INLINE void add_block(int pairs, int32x4_t c[4][NR / 2], const uint8x16_t x[4], const int8_t *b) {
  Q8_UNROLL for (int j = 0; j < NR / 2; j++) {
    const int8x16_t w = vld1q_s8(b + 16 * j);
    Q8_UNROLL for (int i = 0; i < pairs; i++) c[i][j] = vusmmlaq_s32(c[i][j], x[i], w);
  }
}

Q8_INLINE uint8x16_t halves(uint8x16_t a, uint8x16_t b, int high) {
  const uint64x2_t p = vreinterpretq_u64_u8(a), q = vreinterpretq_u64_u8(b);
  return vreinterpretq_u8_u64(high ? vzip2q_u64(p, q) : vzip1q_u64(p, q));
}

/* mr is even and, as pairs, a constant in every caller; one row alone is multiplied twice. */
Q8_INLINE void tile(int mr, size_t taps, size_t k, const void *const *a, size_t a_stride, const int8_t *b,
                    int32_t *acc) {
  const int pairs = (mr + 1) / 2;
  int32x4_t c[4][NR / 2];
  uint8x16_t x[4], next[4];
  Q8_UNROLL for (int i = 0; i < pairs; i++) Q8_UNROLL for (int j = 0; j < NR / 2; j++) c[i][j] = vdupq_n_s32(0);
  for (size_t t = 0; t < taps; t++, a += a_stride) {
    const uint8_t *row[8];
    Q8_UNROLL for (int i = 0; i < 2 * pairs; i++) row[i] = a[i < mr ? i : 0];
    size_t at = 0;
    for (; at + 16 <= k; at += 16, b += 2 * KR * NR) {
      Q8_UNROLL for (int i = 0; i < pairs; i++) {
        const uint8x16_t p = vld1q_u8(row[2 * i] + at), q = vld1q_u8(row[2 * i + 1] + at);
        x[i] = halves(p, q, 0);
        next[i] = halves(p, q, 1);
      }
      add_block(pairs, c, x, b);
      add_block(pairs, c, next, b + KR * NR);
    }
    for (; at < k; at += KR, b += KR * NR) {
      Q8_UNROLL for (int i = 0; i < pairs; i++) x[i] =
          vcombine_u8(vld1_u8(row[2 * i] + at), vld1_u8(row[2 * i + 1] + at));
      add_block(pairs, c, x, b);
    }
  }
  Q8_UNROLL for (int i = 0; i < mr; i++) Q8_UNROLL for (int j = 0; j < NR / 2; j += 2) {
    const int64x2_t p = vreinterpretq_s64_s32(c[i / 2][j]), q = vreinterpretq_s64_s32(c[i / 2][j + 1]);
    vst1q_s32(acc + i * NR + 2 * j, vreinterpretq_s32_s64(i % 2 ? vzip2q_s64(p, q) : vzip1q_s64(p, q)));
  }
}

static void gemm_8x8(size_t taps, size_t k, const void *const *a, size_t a_stride, const void *b,
                     int32_t *acc) {
  tile(8, taps, k, a, a_stride, b, acc);
}

static void gemm_4x8(size_t taps, size_t k, const void *const *a, size_t a_stride, const void *b,
                     int32_t *acc) {
  tile(4, taps, k, a, a_stride, b, acc);
}

static void gemm_1x8(size_t taps, size_t k, const void *const *a, size_t a_stride, const void *b,
                     int32_t *acc) {
  tile(1, taps, k, a, a_stride, b, acc);
}

#define ROW(mr)                                                                                              \
  { "gemm_neoni8mm_" #mr "x8", NEEDS, mr, NR, KR, 1, 1, 0, -128, gemm_##mr##x8, NULL }
extern const q8_gemm_kernel q8_neoni8mm_gemm[];
const q8_gemm_kernel q8_neoni8mm_gemm[] = {ROW(8), ROW(4), ROW(1), {0}};

#endif
