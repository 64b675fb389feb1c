/* Floats to bytes, bytes to floats, smallest and largest. */
#include <math.h>

#include <string.h>

#include "neon.h"

#if defined(__aarch64__)

void q8_neon_quantize(size_t n, const float *x, float scale, int32_t zero_point, uint8_t flip, uint8_t *y) {
  neon_round round = neon_round_init(zero_point, 0, 255);
  float32x4_t divisor = vdupq_n_f32(scale);
  uint8x8_t flips = vdup_n_u8(flip);
  size_t i = 0;
  for (; i + 8 <= n; i += 8) {
    float32x4_t v0 = vdivq_f32(vld1q_f32(x + i), divisor), v1 = vdivq_f32(vld1q_f32(x + i + 4), divisor);
    vst1_u8(y + i, veor_u8(neon_round_to_u8(v0, v1, round), flips));
  }
  if (i < n) {
    float part[8] = {0};
    memcpy(part, x + i, (n - i) * sizeof *part);
    float32x4_t v0 = vdivq_f32(vld1q_f32(part), divisor), v1 = vdivq_f32(vld1q_f32(part + 4), divisor);
    neon_store_part(y + i, veor_u8(neon_round_to_u8(v0, v1, round), flips), n - i);
  }
}

void q8_neon_dequantize(size_t n, const uint8_t *x, float scale, int32_t zero_point, uint8_t flip, float *y) {
  int32x4_t zero = vdupq_n_s32(zero_point);
  size_t i = 0;
  for (; i + 8 <= n; i += 8) {
    float32x4_t v0, v1;
    neon_bytes_to_f32(veor_u8(vld1_u8(x + i), vdup_n_u8(flip)), zero, &v0, &v1);
    vst1q_f32(y + i, vmulq_n_f32(v0, scale));
    vst1q_f32(y + i + 4, vmulq_n_f32(v1, scale));
  }
  for (; i < n; i++)
    y[i] = (float)((x[i] ^ flip) - zero_point) * scale;
}

/* minnm and maxnm skip NaN. */
int q8_neon_minmax(size_t n, const float *x, float *min, float *max) {
  float32x4_t lo0 = vdupq_n_f32(INFINITY), lo1 = lo0, hi0 = vdupq_n_f32(-INFINITY), hi1 = hi0;
  uint32x4_t fine = vdupq_n_u32(~0u);
  size_t i = 0;
  for (; i + 8 <= n; i += 8) {
    float32x4_t v0 = vld1q_f32(x + i), v1 = vld1q_f32(x + i + 4);
    lo0 = vminnmq_f32(lo0, v0);
    lo1 = vminnmq_f32(lo1, v1);
    hi0 = vmaxnmq_f32(hi0, v0);
    hi1 = vmaxnmq_f32(hi1, v1);
    fine = vandq_u32(fine, vandq_u32(vceqq_f32(v0, v0), vceqq_f32(v1, v1)));
  }
  float lo = vminnmvq_f32(vminnmq_f32(lo0, lo1)), hi = vmaxnmvq_f32(vmaxnmq_f32(hi0, hi1));
  int none = vminvq_u32(fine) != 0;
  for (; i < n; i++) {
    lo = x[i] < lo ? x[i] : lo;
    hi = x[i] > hi ? x[i] : hi;
    none &= x[i] == x[i];
  }
  *min = lo + 0.0f; /* -0 becomes +0 */
  *max = hi + 0.0f;
  return none;
}

int q8_neon_minmax_rows(size_t rows, size_t n, const float *x, q8_ends *ends) {
  int none = 1;
  for (size_t i = 0; i < rows; i++)
    none &= q8_neon_minmax(n, x + i * n, &ends[i].min, &ends[i].max);
  return none;
}

size_t q8_neon_slots(size_t n, const float *x, float inverse, uint16_t *slot) {
  const uint32x4_t low = vdupq_n_u32(Q8_SLOTS - 1);
  uint32x4_t fine = vdupq_n_u32(~0u);
  size_t kept = 0;
  for (size_t i = 0; i < n; i += 4) {
    float piece[4] = {0};
    if (n - i < 4)
      memcpy(piece, x + i, (n - i) * sizeof *x);
    float32x4_t v = vld1q_f32(n - i < 4 ? piece : x + i);
    uint16_t wide[4], other[4];
    vst1_u16(wide, vmovn_u32(vandq_u32(vreinterpretq_u32_s32(vcvtmq_s32_f32(vmulq_n_f32(v, inverse))), low)));
    vst1_u16(other, vmovn_u32(vmvnq_u32(vceqzq_f32(v))));
    fine = vandq_u32(fine, vceqq_f32(v, v));
    for (int j = 0; j < 4; j++) { /* what is zero is overwritten by the next */
      slot[kept] = wide[j];
      kept += other[j] & 1;
    }
  }
  return vminvq_u32(fine) ? kept : Q8_NAN;
}
#endif
