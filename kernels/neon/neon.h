/* neon.h - tables of this folder and the pieces its kernels share. */
#ifndef Q8_NEON_H
#define Q8_NEON_H

#include <string.h>

#include "kernel.h"

#if defined(__aarch64__)
#include <arm_neon.h>

extern const q8_gemm_kernel q8_neon_gemm[];
extern const q8_dwconv_kernel q8_neon_dwconv[];
q8_requant_fn q8_neon_requant;
q8_dequant_acc_fn q8_neon_dequant_acc;
q8_quantize_fn q8_neon_quantize;
q8_dequantize_fn q8_neon_dequantize;
q8_minmax_fn q8_neon_minmax;
q8_minmax_rows_fn q8_neon_minmax_rows;
q8_slots_fn q8_neon_slots;
q8_table_fn q8_neon_table;
q8_binary_fn q8_neon_add;
q8_binary_fn q8_neon_mul;
q8_max_rows_fn q8_neon_max_rows;
q8_sum_rows_fn q8_neon_sum_rows;
q8_transpose_fn q8_neon_transpose8;
q8_transpose_fn q8_neon_transpose32;
extern const q8_sgemm_kernel q8_neon_sgemm[];
q8_sdwconv_fn q8_neon_sdwconv;
q8_sunary_fn q8_neon_sunary;
q8_sbinary_fn q8_neon_sadd;
q8_sbinary_fn q8_neon_smul;
q8_ssum_rows_fn q8_neon_ssum_rows;


/* Clamp, rounding and zero point of a uint8 result. The clamp comes before the conversion, in f32: its bounds
 * are integers, so the order does not change the result, and the conversion cannot overflow. maxnm takes the
 * number where the other operand is NaN, so NaN becomes the lowest value. */
typedef struct neon_round {
  float32x4_t lo, hi;
  int32x4_t zero;
} neon_round;

Q8_INLINE neon_round neon_round_init(int32_t zero, int32_t lo, int32_t hi) {
  return (neon_round){vdupq_n_f32((float)(lo - zero)), vdupq_n_f32((float)(hi - zero)), vdupq_n_s32(zero)};
}

/* Eight values to bytes: they fit in 0..255 after the clamp, so plain narrowing is exact. */
Q8_INLINE uint8x8_t neon_round_to_u8(float32x4_t v0, float32x4_t v1, neon_round r) {
  v0 = vminnmq_f32(vmaxnmq_f32(v0, r.lo), r.hi);
  v1 = vminnmq_f32(vmaxnmq_f32(v1, r.lo), r.hi);
  int32x4_t q0 = vaddq_s32(vcvtnq_s32_f32(v0), r.zero), q1 = vaddq_s32(vcvtnq_s32_f32(v1), r.zero);
  return vmovn_u16(vreinterpretq_u16_s16(vcombine_s16(vmovn_s32(q0), vmovn_s32(q1))));
}

/* The clamp of float results. By comparison, not by vmaxq, which takes +0 for larger than -0: other ISAs keep the -0. */
Q8_INLINE float32x4_t neon_clamp(float32x4_t v, float lo, float hi) {
  const float32x4_t low = vdupq_n_f32(lo), high = vdupq_n_f32(hi);
  v = vbslq_f32(vcltq_f32(v, low), low, v);
  return vbslq_f32(vcgtq_f32(v, high), high, v);
}

/* Modulo 2^32: in C the signed vector addition may not overflow. */
Q8_INLINE int32x4_t neon_add_wrap(int32x4_t a, int32x4_t b) {
  return vreinterpretq_s32_u32(vaddq_u32(vreinterpretq_u32_s32(a), vreinterpretq_u32_s32(b)));
}

/* acc0, acc1: accumulators of channels c..c+7; bias and scale point at channel c. */
Q8_INLINE uint8x8_t neon_requant(int32x4_t acc0, int32x4_t acc1, const int32_t *bias, const float *scale,
                                 neon_round r) {
  acc0 = neon_add_wrap(acc0, vld1q_s32(bias));
  acc1 = neon_add_wrap(acc1, vld1q_s32(bias + 4));
  return neon_round_to_u8(vmulq_f32(vcvtq_f32_s32(acc0), vld1q_f32(scale)),
                          vmulq_f32(vcvtq_f32_s32(acc1), vld1q_f32(scale + 4)), r);
}

/* The first n < 8 bytes; the rest of the vector is 0. */
Q8_INLINE uint8x8_t neon_load_part(const uint8_t *x, size_t n) {
  uint8_t part[8] = {0};
  memcpy(part, x, n);
  return vld1_u8(part);
}

Q8_INLINE void neon_store_part(uint8_t *y, uint8x8_t v, size_t n) {
  uint8_t part[8];
  vst1_u8(part, v);
  memcpy(y, part, n);
}

/* Eight bytes minus a zero point, in f32. */
Q8_INLINE void neon_bytes_to_f32(uint8x8_t x, int32x4_t zero, float32x4_t *v0, float32x4_t *v1) {
  uint16x8_t wide = vmovl_u8(x);
  int32x4_t low = vreinterpretq_s32_u32(vmovl_u16(vget_low_u16(wide)));
  int32x4_t high = vreinterpretq_s32_u32(vmovl_high_u16(wide));
  *v0 = vcvtq_f32_s32(vsubq_s32(low, zero));
  *v1 = vcvtq_f32_s32(vsubq_s32(high, zero));
}

#endif
#endif
