/* Maximum and sum over rows of bytes. */
#include "neon.h"

#if defined(__aarch64__)

Q8_INLINE void max16(size_t taps, const uint8_t *const *a, size_t c, uint8_t *y) {
  uint8x16_t m = vld1q_u8(a[0] + c);
  for (size_t t = 1; t < taps; t++)
    m = vmaxq_u8(m, vld1q_u8(a[t] + c));
  vst1q_u8(y + c, m);
}

void q8_neon_max_rows(size_t taps, size_t n, const uint8_t *const *a, uint8_t *y) {
  size_t c = 0;
  for (; c + 16 <= n; c += 16)
    max16(taps, a, c, y);
  for (; c < n; c++) {
    uint8_t m = a[0][c];
    for (size_t t = 1; t < taps; t++)
      m = a[t][c] > m ? a[t][c] : m;
    y[c] = m;
  }
}

/* 257 bytes of 255 are the most whose sum fits in 16 bits. */
Q8_INLINE void sum16(size_t taps, const uint8_t *a, size_t stride, int32_t *acc) {
  uint32x4_t sum[4] = {vdupq_n_u32(0), vdupq_n_u32(0), vdupq_n_u32(0), vdupq_n_u32(0)};
  while (taps) {
    size_t count = taps < 257 ? taps : 257;
    uint16x8_t low = vdupq_n_u16(0), high = vdupq_n_u16(0);
    taps -= count;
    for (; count; count--, a += stride) {
      uint8x16_t v = vld1q_u8(a);
      low = vaddw_u8(low, vget_low_u8(v));
      high = vaddw_high_u8(high, v);
    }
    sum[0] = vaddw_u16(sum[0], vget_low_u16(low));
    sum[1] = vaddw_high_u16(sum[1], low);
    sum[2] = vaddw_u16(sum[2], vget_low_u16(high));
    sum[3] = vaddw_high_u16(sum[3], high);
  }
  Q8_UNROLL for (int i = 0; i < 4; i++) vst1q_s32(acc + 4 * i, vreinterpretq_s32_u32(sum[i]));
}

void q8_neon_sum_rows(size_t taps, size_t n, const uint8_t *a, size_t stride, int32_t *acc) {
  size_t c = 0;
  for (; c + 16 <= n; c += 16)
    sum16(taps, a + c, stride, acc + c);
  for (; c < n; c++) {
    int32_t sum = 0;
    for (size_t t = 0; t < taps; t++)
      sum += a[t * stride + c];
    acc[c] = sum;
  }
}
#endif
