/* fp32 kernels. */
#include "neon.h"

#if defined(__aarch64__)

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

typedef float32x4_t sdw_vec;
typedef size_t sdw_part; /* lanes below it */
enum { SDW_LANES = 4, SDW_MASKED = 0 };
Q8_INLINE sdw_part sdw_part_of(size_t n) {
  return n;
}
Q8_INLINE sdw_vec sdw_load(const float *x) {
  return vld1q_f32(x);
}
Q8_INLINE sdw_vec sdw_load_part(const float *x, sdw_part part) {
  float lanes[4] = {0};
  memcpy(lanes, x, part * sizeof *x);
  return vld1q_f32(lanes);
}
Q8_INLINE void sdw_store(float *y, sdw_vec v) {
  vst1q_f32(y, v);
}
Q8_INLINE void sdw_store_part(float *y, sdw_vec v, sdw_part part) {
  float lanes[4];
  vst1q_f32(lanes, v);
  memcpy(y, lanes, part * sizeof *y);
}
Q8_INLINE sdw_vec sdw_fma(sdw_vec a, sdw_vec b, sdw_vec c) {
  return vfmaq_f32(c, a, b);
}
Q8_INLINE sdw_vec sdw_clamp(sdw_vec v, float lo, float hi) {
  return neon_clamp(v, lo, hi);
}
#include "sdwconv.h"

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
