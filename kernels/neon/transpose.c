/* Transposes in square blocks: each stage swaps ever larger halves of row pairs. */
#include "neon.h"

#if defined(__aarch64__)

Q8_INLINE void block8(const uint8_t *x, size_t x_stride, uint8_t *y, size_t y_stride) {
  uint8x8_t v[8];
  Q8_UNROLL for (size_t i = 0; i < 8; i++) v[i] = vld1_u8(x + i * x_stride);
  Q8_UNROLL for (int i = 0; i < 8; i += 2) {
    uint8x8x2_t t = vtrn_u8(v[i], v[i + 1]);
    v[i] = t.val[0];
    v[i + 1] = t.val[1];
  }
  Q8_UNROLL for (int i = 0; i < 8; i += i % 4 == 1 ? 3 : 1) {
    uint16x4x2_t t = vtrn_u16(vreinterpret_u16_u8(v[i]), vreinterpret_u16_u8(v[i + 2]));
    v[i] = vreinterpret_u8_u16(t.val[0]);
    v[i + 2] = vreinterpret_u8_u16(t.val[1]);
  }
  Q8_UNROLL for (int i = 0; i < 4; i++) {
    uint32x2x2_t t = vtrn_u32(vreinterpret_u32_u8(v[i]), vreinterpret_u32_u8(v[i + 4]));
    v[i] = vreinterpret_u8_u32(t.val[0]);
    v[i + 4] = vreinterpret_u8_u32(t.val[1]);
  }
  Q8_UNROLL for (size_t i = 0; i < 8; i++) vst1_u8(y + i * y_stride, v[i]);
}

void q8_neon_transpose8(size_t rows, size_t cols, const void *x, size_t x_stride, void *y, size_t y_stride) {
  const uint8_t *in = x;
  uint8_t *out = y;
  size_t full_rows = rows / 8 * 8, full_cols = cols / 8 * 8;
  for (size_t r = 0; r < full_rows; r += 8)
    for (size_t c = 0; c < full_cols; c += 8)
      block8(in + r * x_stride + c, x_stride, out + c * y_stride + r, y_stride);
  for (size_t r = 0; r < rows; r++)
    for (size_t c = r < full_rows ? full_cols : 0; c < cols; c++)
      out[c * y_stride + r] = in[r * x_stride + c];
}

Q8_INLINE void block4(const uint32_t *x, size_t x_stride, uint32_t *y, size_t y_stride) {
  uint32x4x2_t a = vtrnq_u32(vld1q_u32(x), vld1q_u32(x + x_stride));
  uint32x4x2_t b = vtrnq_u32(vld1q_u32(x + 2 * x_stride), vld1q_u32(x + 3 * x_stride));
  Q8_UNROLL for (size_t i = 0; i < 2; i++) {
    vst1q_u32(y + i * y_stride, vcombine_u32(vget_low_u32(a.val[i]), vget_low_u32(b.val[i])));
    vst1q_u32(y + (i + 2) * y_stride, vcombine_u32(vget_high_u32(a.val[i]), vget_high_u32(b.val[i])));
  }
}

void q8_neon_transpose32(size_t rows, size_t cols, const void *x, size_t x_stride, void *y, size_t y_stride) {
  const uint32_t *in = x;
  uint32_t *out = y;
  if (rows == 3 && y_stride == 3)
    for (; cols >= 4; cols -= 4, in += 4, out += 12)
      vst3q_u32(out, (uint32x4x3_t){{vld1q_u32(in), vld1q_u32(in + x_stride), vld1q_u32(in + 2 * x_stride)}});
  size_t full_rows = rows / 4 * 4, full_cols = cols / 4 * 4;
  for (size_t r = 0; r < full_rows; r += 4)
    for (size_t c = 0; c < full_cols; c += 4)
      block4(in + r * x_stride + c, x_stride, out + c * y_stride + r, y_stride);
  for (size_t r = 0; r < rows; r++)
    for (size_t c = r < full_rows ? full_cols : 0; c < cols; c++)
      out[c * y_stride + r] = in[r * x_stride + c];
}
#endif
