/* Accumulators to bytes or floats. */
#include "neon.h"

#if defined(__aarch64__)

static void requant_row(size_t n, const int32_t *acc, const q8_requant *rq, neon_round round, uint8_t *y) {
  size_t c = 0;
  for (; c + 8 <= n; c += 8)
    vst1_u8(y + c,
            neon_requant(vld1q_s32(acc + c), vld1q_s32(acc + c + 4), rq->bias + c, rq->scale + c, round));
  if (c < n) {
    int32_t part[8] = {0};
    memcpy(part, acc + c, (n - c) * sizeof *part);
    neon_store_part(
        y + c, neon_requant(vld1q_s32(part), vld1q_s32(part + 4), rq->bias + c, rq->scale + c, round), n - c);
  }
}

void q8_neon_requant(size_t rows, size_t n, const int32_t *acc, size_t acc_stride, const q8_requant *rq,
                    uint8_t *y, size_t y_stride) {
  neon_round round = neon_round_init(rq->zero_point, rq->lo, rq->hi);
  for (size_t r = 0; r < rows; r++)
    requant_row(n, acc + r * acc_stride, rq, round, y + r * y_stride);
}

typedef struct {
  uint32_t factor;
  float scale;
} row_factors;

/* Four accumulators of channels c..c+3. */
Q8_INLINE float32x4_t dequant4(int32x4_t acc, const q8_dequant *dq, row_factors r, size_t c) {
  uint32x4_t offset = vreinterpretq_u32_s32(vld1q_s32(dq->offset + c));
  int32x4_t sum = vreinterpretq_s32_u32(vmlaq_n_u32(vreinterpretq_u32_s32(acc), offset, r.factor));
  float32x4_t factor = vmulq_f32(vdupq_n_f32(r.scale), vld1q_f32(dq->scale + c));
  float32x4_t v = vaddq_f32(vmulq_f32(vcvtq_f32_s32(sum), factor), vld1q_f32(dq->bias + c));
  return neon_clamp(v, dq->lo, dq->hi);
}

void q8_neon_dequant_acc(size_t rows, size_t n, const int32_t *acc, size_t acc_stride, const q8_dequant *dq,
                        float *y, size_t y_stride) {
  const q8_dequant arrays = *dq; /* a copy: the stores to y might alias the original */
  for (size_t i = 0; i < rows; i++, acc += acc_stride, y += y_stride) {
    row_factors r = {(uint32_t)q8_dequant_factor(&arrays, i), q8_dequant_row_scale(&arrays, i)};
    size_t c = 0;
    for (; c + 4 <= n; c += 4)
      vst1q_f32(y + c, dequant4(vld1q_s32(acc + c), &arrays, r, c));
    if (c < n) {
      int32_t part[4] = {0};
      float result[4];
      memcpy(part, acc + c, (n - c) * sizeof *part);
      vst1q_f32(result, dequant4(vld1q_s32(part), &arrays, r, c));
      memcpy(y + c, result, (n - c) * sizeof *y);
    }
  }
}
#endif
