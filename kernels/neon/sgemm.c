/* fp32 kernels. */
#include "neon.h"

#if defined(__aarch64__)
#include <math.h>

enum { MR = 6, NR = 8 };

/* c[i] += a[i][lane] * b, lane a constant. */
#define STEP(lane)                                                                                           \
  do {                                                                                                       \
    float32x4_t b0 = vld1q_f32(b + (lane)*NR), b1 = vld1q_f32(b + (lane)*NR + 4);                            \
    Q8_UNROLL for (int i = 0; i < MR; i++) {                                                                 \
      c[i][0] = vfmaq_laneq_f32(c[i][0], b0, v[i], lane);                                                    \
      c[i][1] = vfmaq_laneq_f32(c[i][1], b1, v[i], lane);                                                    \
    }                                                                                                        \
  } while (0)

static void sgemm_6x8(size_t taps, size_t k, const void *const *a, size_t a_stride, const float *b,
                      float *acc) {
  float32x4_t c[MR][2], v[MR];
  Q8_UNROLL for (int i = 0; i < MR; i++) c[i][0] = c[i][1] = vdupq_n_f32(0);
  for (size_t t = 0; t < taps; t++, a += a_stride) {
    const float *row[MR];
    size_t kk = 0;
    Q8_UNROLL for (int i = 0; i < MR; i++) row[i] = a[i];
    for (; kk + 4 <= k; kk += 4, b += 4 * NR) {
      Q8_UNROLL for (int i = 0; i < MR; i++) v[i] = vld1q_f32(row[i] + kk);
      STEP(0);
      STEP(1);
      STEP(2);
      STEP(3);
    }
    for (; kk < k; kk++, b += NR) {
      Q8_UNROLL for (int i = 0; i < MR; i++) v[i] = vld1q_dup_f32(row[i] + kk);
      STEP(0);
    }
  }
  Q8_UNROLL for (int i = 0; i < MR; i++) {
    vst1q_f32(acc + i * NR, c[i][0]);
    vst1q_f32(acc + i * NR + 4, c[i][1]);
  }
}

const q8_sgemm_kernel q8_neon_sgemm[] = {{"sgemm_neon_6x8", Q8_CPU_NEON, MR, NR, sgemm_6x8, NULL}, {0}};

/* One output pixel, channels c..c+3 of every tap. */
Q8_INLINE float32x4_t taps4(const q8_dwconv_shape *s, const float *w, float32x4_t sum,
                            const float *const *cols, size_t c) {
  for (size_t i = 0; i < s->r; i++)
    for (size_t j = 0; j < s->s; j++)
      sum = vfmaq_f32(sum, vld1q_f32(cols[j * s->col_dilation * s->r + i] + c),
                      vld1q_f32(w + (i * s->s + j) * s->channels + c));
  return sum;
}

static float taps1(const q8_dwconv_shape *s, const float *w, float sum, const float *const *cols, size_t c) {
  for (size_t i = 0; i < s->r; i++)
    for (size_t j = 0; j < s->s; j++)
      sum = fmaf(cols[j * s->col_dilation * s->r + i][c], w[(i * s->s + j) * s->channels + c], sum);
  return sum;
}

static void sdwconv(const q8_dwconv_shape *s, const float *w, const float *bias, float lo, float hi,
                    const float *const *cols, float *y, size_t y_stride) {
  for (size_t x = 0; x < s->q; x++, cols += s->col_step * s->r, y += y_stride) {
    size_t c = 0;
    for (; c + 4 <= s->channels; c += 4) {
      float32x4_t sum = taps4(s, w, vld1q_f32(bias + c), cols, c);
      vst1q_f32(y + c, neon_clamp(sum, lo, hi));
    }
    for (; c < s->channels; c++) {
      float sum = taps1(s, w, bias[c], cols, c);
      y[c] = sum < lo ? lo : sum > hi ? hi : sum;
    }
  }
}

const q8_sdwconv_kernel q8_neon_sdwconv[] = {{"sdwconv_neon", Q8_CPU_NEON, sdwconv}, {0}};

static void sbias(size_t rows, size_t n, const float *acc, size_t acc_stride, const float *bias, float lo,
                  float hi, float *y, size_t y_stride) {
  for (size_t r = 0; r < rows; r++, acc += acc_stride, y += y_stride) {
    size_t c = 0;
    for (; c + 4 <= n; c += 4) {
      float32x4_t v = vaddq_f32(vld1q_f32(acc + c), vld1q_f32(bias + c));
      vst1q_f32(y + c, neon_clamp(v, lo, hi));
    }
    for (; c < n; c++) {
      float v = acc[c] + bias[c];
      y[c] = v < lo ? lo : v > hi ? hi : v;
    }
  }
}

const q8_sbias_kernel q8_neon_sbias[] = {{"sbias_neon", Q8_CPU_NEON, sbias}, {0}};

#endif
