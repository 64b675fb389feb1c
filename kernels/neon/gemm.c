/* int8 GEMM tiles for baseline AArch64: signed 8-bit multiplies, so A's top bit is flipped (a_shift 128).
 *
 * Products of two blocks of 8 are added in 16 bits before they are widened. A is in [-128, 127]; with weights
 * in
 * [-127, 127] a pair is at most 2 * 128 * 127 = 32512 and fits. One weight of -128 against -128 gives 2^14,
 * two of them 2^15: the row for such weights widens every product by itself. Both rows share one packing.
 *
 *   panel   [k / 8][8 columns][8]: one 16-byte load holds a block of two neighbouring columns
 *   c[i][j] four partial sums of row i, column j, added at the end
 */
#include "neon.h"

#if defined(__aarch64__)

enum { MR = 2, NR = 8, KR = 8 };

/* Between column pairs: gcc would otherwise start all multiplies first and spill a third of the accumulators.
 */
#define KEEP_ORDER __asm__ volatile("" ::: "memory")

/* The block of 8 in both halves, so that it meets either column of a pair. */
Q8_INLINE int8x16_t load_a(const uint8_t *a) {
  uint8x8_t x = veor_u8(vld1_u8(a), vdup_n_u8(0x80));
  return vreinterpretq_s8_u8(vcombine_u8(x, x));
}

Q8_INLINE void one_block(int32x4_t c[MR][NR], const uint8_t *const row[MR], const int8_t *b) {
  int8x16_t a[MR];
  Q8_UNROLL for (int i = 0; i < MR; i++) a[i] = load_a(row[i]);
  Q8_UNROLL for (int j = 0; j < NR; j += 2) {
    KEEP_ORDER;
    int8x16_t w = vld1q_s8(b + j * KR);
    Q8_UNROLL for (int i = 0; i < MR; i++) {
      c[i][j] = vpadalq_s16(c[i][j], vmull_s8(vget_low_s8(a[i]), vget_low_s8(w)));
      c[i][j + 1] = vpadalq_s16(c[i][j + 1], vmull_high_s8(a[i], w));
    }
  }
}

Q8_INLINE void two_blocks(int32x4_t c[MR][NR], const uint8_t *const row[MR], const int8_t *b) {
  int8x16_t a0[MR], a1[MR];
  Q8_UNROLL for (int i = 0; i < MR; i++) {
    a0[i] = load_a(row[i]);
    a1[i] = load_a(row[i] + KR);
  }
  Q8_UNROLL for (int j = 0; j < NR; j += 2) {
    KEEP_ORDER;
    int8x16_t w0 = vld1q_s8(b + j * KR), w1 = vld1q_s8(b + (NR + j) * KR);
    Q8_UNROLL for (int i = 0; i < MR; i++) {
      int16x8_t even = vmull_s8(vget_low_s8(a0[i]), vget_low_s8(w0)), odd = vmull_high_s8(a0[i], w0);
      c[i][j] = vpadalq_s16(c[i][j], vmlal_s8(even, vget_low_s8(a1[i]), vget_low_s8(w1)));
      c[i][j + 1] = vpadalq_s16(c[i][j + 1], vmlal_high_s8(odd, a1[i], w1));
    }
  }
}

Q8_INLINE void tile(size_t taps, size_t k, const void *const *a, size_t a_stride, const int8_t *b,
                    int32_t *acc, int pairs) {
  int32x4_t c[MR][NR];
  Q8_UNROLL for (int i = 0; i < MR; i++) Q8_UNROLL for (int j = 0; j < NR; j++) c[i][j] = vdupq_n_s32(0);
  for (size_t t = 0; t < taps; t++, a += a_stride) {
    const uint8_t *row[MR] = {a[0], a[1]};
    size_t left = k / KR;
    for (; pairs && left >= 2; left -= 2, b += 2 * KR * NR, row[0] += 2 * KR, row[1] += 2 * KR)
      two_blocks(c, row, b);
    for (; left; left--, b += KR * NR, row[0] += KR, row[1] += KR)
      one_block(c, row, b);
  }
  Q8_UNROLL for (int i = 0; i < MR; i++) Q8_UNROLL for (int j = 0; j < NR; j += 4) {
    int32x4_t low = vpaddq_s32(c[i][j], c[i][j + 1]), high = vpaddq_s32(c[i][j + 2], c[i][j + 3]);
    vst1q_s32(acc + i * NR + j, vpaddq_s32(low, high));
  }
}

static void gemm_2x8(size_t taps, size_t k, const void *const *a, size_t a_stride, const void *b,
                     int32_t *acc) {
  tile(taps, k, a, a_stride, b, acc, 1);
}

static void gemm_2x8_full(size_t taps, size_t k, const void *const *a, size_t a_stride, const void *b,
                          int32_t *acc) {
  tile(taps, k, a, a_stride, b, acc, 0);
}

const q8_gemm_kernel q8_neon_gemm[] = {
    {"gemm_neon_2x8", Q8_CPU_NEON, MR, NR, KR, 1, 1, 128, -127, gemm_2x8, NULL},
    {"gemm_neon_2x8_full", Q8_CPU_NEON, MR, NR, KR, 1, 1, 128, -128, gemm_2x8_full, NULL},
    {0},
};

#endif
