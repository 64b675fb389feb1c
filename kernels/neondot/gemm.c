/* gemm.c - int8 GEMM tiles with sdot: four products a lane, four columns a register.
 *
 *   panel   [k / 4][nr][4]: one 16-byte load holds four k of four neighbouring columns
 *   A       16 k of a row in one register; sdot by element picks the four that meet a panel vector
 */
#include "dot.h"

#if defined(__aarch64__) && defined(__ARM_FEATURE_DOTPROD)

enum { NR = 8, NV = NR / 4, KR = 4 };

/* Four k of every row against one panel block; `lane` is a constant in every caller. */
#define BLOCK(mr, lane)                                                                                      \
  do {                                                                                                       \
    int8x16_t w[NV];                                                                                         \
    Q8_UNROLL for (int v = 0; v < NV; v++) w[v] = vld1q_s8(b + 16 * v);                                      \
    Q8_UNROLL for (int i = 0; i < mr; i++) Q8_UNROLL for (int v = 0; v < NV; v++) c[i][v] =                  \
        vdotq_laneq_s32(c[i][v], w[v], x[i], lane);                                                          \
    b += 16 * NV;                                                                                            \
  } while (0)

Q8_INLINE int8x16_t load4(const uint8_t *a) {
  uint32_t four;
  memcpy(&four, a, sizeof four);
  return dot_signed(vreinterpretq_u8_u32(vdupq_n_u32(four)));
}

/* mr is a constant in every caller. */
Q8_INLINE void tile(int mr, size_t taps, size_t k, const void *const *a, size_t a_stride, const int8_t *b,
                    int32_t *acc) {
  int32x4_t c[8][NV];
  int8x16_t x[8];
  Q8_UNROLL for (int i = 0; i < mr; i++) Q8_UNROLL for (int v = 0; v < NV; v++) c[i][v] = vdupq_n_s32(0);
  for (size_t t = 0; t < taps; t++, a += a_stride) {
    const uint8_t *row[8];
    Q8_UNROLL for (int i = 0; i < mr; i++) row[i] = a[i];
    size_t at = 0;
    for (; at + 16 <= k; at += 16) {
      Q8_UNROLL for (int i = 0; i < mr; i++) x[i] = dot_signed(vld1q_u8(row[i] + at));
      BLOCK(mr, 0);
      BLOCK(mr, 1);
      BLOCK(mr, 2);
      BLOCK(mr, 3);
    }
    for (; at < k; at += KR) {
      Q8_UNROLL for (int i = 0; i < mr; i++) x[i] = load4(row[i] + at);
      BLOCK(mr, 0);
    }
  }
  Q8_UNROLL for (int i = 0; i < mr; i++) Q8_UNROLL for (int v = 0; v < NV; v++)
      vst1q_s32(acc + i * NR + 4 * v, c[i][v]);
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
  { "gemm_neondot_" #mr "x8", Q8_NEEDS_NEONDOT, mr, NR, KR, 1, 1, 128, -128, gemm_##mr##x8, NULL }
const q8_gemm_kernel q8_neondot_gemm[] = {ROW(8), ROW(4), ROW(1), {0}};

#endif
