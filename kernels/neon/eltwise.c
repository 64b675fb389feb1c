/* Byte to byte: table lookup, quantized addition and multiplication. */
#include "neon.h"

#if defined(__aarch64__)

/* Four lookups in 64 entries each; indices outside a quarter leave what the quarters before it found. Loading
 * the table takes 16 registers, which short rows do not pay back. */
void q8_neon_table(size_t n, const uint8_t *x, const uint8_t *table, uint8_t *y) {
  size_t i = 0;
  if (n >= 32) {
    uint8x16x4_t quarter[4];
    Q8_UNROLL for (int t = 0; t < 4; t++) quarter[t] = vld1q_u8_x4(table + 64 * t);
    for (; i + 16 <= n; i += 16) {
      uint8x16_t index = vld1q_u8(x + i), v = vqtbl4q_u8(quarter[0], index);
      Q8_UNROLL for (int t = 1; t < 4; t++) v =
          vqtbx4q_u8(v, quarter[t], vsubq_u8(index, vdupq_n_u8((uint8_t)(64 * t))));
      vst1q_u8(y + i, v);
    }
  }
  for (; i < n; i++)
    y[i] = table[x[i]];
}

/* Eight results. */
Q8_INLINE uint8x8_t binary8(uint8x8_t a, uint8x8_t b, const q8_binary *p, neon_round round, int multiply) {
  float32x4_t a0, a1, b0, b1, v0, v1, divisor = vdupq_n_f32(p->y_scale);
  neon_bytes_to_f32(a, vdupq_n_s32(p->a_zero), &a0, &a1);
  neon_bytes_to_f32(b, vdupq_n_s32(p->b_zero), &b0, &b1);
  a0 = vmulq_n_f32(a0, p->a_scale);
  a1 = vmulq_n_f32(a1, p->a_scale);
  b0 = vmulq_n_f32(b0, p->b_scale);
  b1 = vmulq_n_f32(b1, p->b_scale);
  v0 = multiply ? vmulq_f32(a0, b0) : vaddq_f32(a0, b0);
  v1 = multiply ? vmulq_f32(a1, b1) : vaddq_f32(a1, b1);
  return neon_round_to_u8(vdivq_f32(v0, divisor), vdivq_f32(v1, divisor), round);
}

Q8_INLINE void binary(size_t rows, size_t n, const uint8_t *a, size_t a_stride, const uint8_t *b,
                      size_t b_stride, const q8_binary *p, uint8_t *y, size_t y_stride, int multiply) {
  neon_round round = neon_round_init(p->y_zero, p->lo, p->hi);
  for (size_t r = 0; r < rows; r++, a += a_stride, b += b_stride, y += y_stride) {
    size_t c = 0;
    for (; c + 8 <= n; c += 8)
      vst1_u8(y + c, binary8(vld1_u8(a + c), vld1_u8(b + c), p, round, multiply));
    if (c < n) {
      uint8x8_t part_a = neon_load_part(a + c, n - c), part_b = neon_load_part(b + c, n - c);
      neon_store_part(y + c, binary8(part_a, part_b, p, round, multiply), n - c);
    }
  }
}

#define RATIOS 256 /* columns whose ratios are looked up at a time */

/* n <= RATIOS columns of all rows with one row of b. */
static void mul_by_ratio(size_t rows, size_t n, const uint8_t *a, size_t a_stride, const uint8_t *b,
                         const q8_binary *p, uint8_t *y, size_t y_stride) {
  const neon_round round = neon_round_init(p->y_zero, p->lo, p->hi);
  const int32x4_t zero = vdupq_n_s32(p->a_zero);
  float ratio[RATIOS + 8] = {0};
  for (size_t c = 0; c < n; c++)
    ratio[c] = p->ratio[b[c]];
  for (size_t i = 0; i < rows; i++, a += a_stride, y += y_stride)
    for (size_t c = 0; c < n; c += 8) {
      const size_t m = n - c < 8 ? n - c : 8;
      float32x4_t v0, v1;
      neon_bytes_to_f32(m < 8 ? neon_load_part(a + c, m) : vld1_u8(a + c), zero, &v0, &v1);
      v0 = vmulq_f32(v0, vld1q_f32(ratio + c));
      v1 = vmulq_f32(v1, vld1q_f32(ratio + c + 4));
      const uint8x8_t t = neon_round_to_u8(v0, v1, round);
      if (m < 8)
        neon_store_part(y + c, t, m);
      else
        vst1_u8(y + c, t);
    }
}

void q8_neon_add(size_t rows, size_t n, const uint8_t *a, size_t a_stride, const uint8_t *b, size_t b_stride,
                const q8_binary *p, uint8_t *y, size_t y_stride) {
  binary(rows, n, a, a_stride, b, b_stride, p, y, y_stride, 0);
}

void q8_neon_mul(size_t rows, size_t n, const uint8_t *a, size_t a_stride, const uint8_t *b, size_t b_stride,
                const q8_binary *p, uint8_t *y, size_t y_stride) {
  if (!p->ratio || b_stride != 0 || rows == 1) {
    binary(rows, n, a, a_stride, b, b_stride, p, y, y_stride, 1);
    return;
  }
  for (size_t c = 0; c < n; c += RATIOS)
    mul_by_ratio(rows, n - c < RATIOS ? n - c : RATIOS, a + c, a_stride, b + c, p, y + c, y_stride);
}
#endif
