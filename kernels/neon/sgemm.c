/* fp32 kernels. */
#include "neon.h"

#if defined(__aarch64__)

typedef float32x4_t sv_vec;
typedef size_t sv_part; /* lanes below it */
enum { SV_LANES = 4, SV_MASKED = 0, SV_PAIRS = 0 };
Q8_INLINE sv_part sv_part_of(size_t n) {
  return n;
}
Q8_INLINE sv_vec sv_zero(void) {
  return vdupq_n_f32(0);
}
Q8_INLINE sv_vec sv_load(const float *x) {
  return vld1q_f32(x);
}
Q8_INLINE sv_vec sv_load_part(const float *x, sv_part part) {
  float lanes[4] = {0};
  memcpy(lanes, x, part * sizeof *x);
  return vld1q_f32(lanes);
}
Q8_INLINE sv_vec sv_hold(sv_vec v) {
  return v;
}
Q8_INLINE void sv_store(float *y, sv_vec v) {
  vst1q_f32(y, v);
}
Q8_INLINE void sv_store_part(float *y, sv_vec v, sv_part part) {
  float lanes[4];
  vst1q_f32(lanes, v);
  memcpy(y, lanes, part * sizeof *y);
}
Q8_INLINE sv_vec sv_fma(sv_vec a, sv_vec b, sv_vec c) {
  return vfmaq_f32(c, a, b);
}
Q8_INLINE sv_vec sv_add(sv_vec a, sv_vec b) {
  return vaddq_f32(a, b);
}
Q8_INLINE sv_vec sv_clamp(sv_vec v, float lo, float hi) {
  return neon_clamp(v, lo, hi);
}

Q8_INLINE sv_part sg_part(size_t columns, size_t v) { /* tiles of fewer columns take the way of the edges */
  (void)columns, (void)v;
  return (sv_part){0};
}

enum { SG_MAX_MR = 6, SG_MAX_ACC = 12, SG_AHEAD = 0, SG_WIDE = 3 };

/* acc[i] += x[i][lane] * b, lane a constant. */
#define STEP(lane)                                                                                           \
  do {                                                                                                       \
    float32x4_t b0 = vld1q_f32(b + (lane)*8), b1 = vld1q_f32(b + (lane)*8 + 4);                              \
    Q8_UNROLL for (size_t i = 0; i < mr; i++) {                                                              \
      acc[2 * i] = vfmaq_laneq_f32(acc[2 * i], b0, x[i], lane);                                              \
      acc[2 * i + 1] = vfmaq_laneq_f32(acc[2 * i + 1], b1, x[i], lane);                                      \
    }                                                                                                        \
  } while (0)

/* Two vectors wide. */
Q8_INLINE void sg_steps(size_t mr, size_t nv, const float *const *row, size_t at, size_t stop, const float *b,
                        ptrdiff_t ahead, const char *next, size_t next_step, float32x4_t *acc) {
  float32x4_t x[SG_MAX_MR];
  (void)nv, (void)ahead, (void)next, (void)next_step;
  for (; at + 4 <= stop; at += 4, b += 4 * 8) {
    Q8_UNROLL for (size_t i = 0; i < mr; i++) x[i] = vld1q_f32(row[i] + at);
    STEP(0);
    STEP(1);
    STEP(2);
    STEP(3);
  }
  for (; at < stop; at++, b += 8) {
    Q8_UNROLL for (size_t i = 0; i < mr; i++) x[i] = vld1q_dup_f32(row[i] + at);
    STEP(0);
  }
}
#include "sgemm.h"

SG_TILE(6, 8)

const q8_sgemm_kernel q8_neon_sgemm[] = {SG_ROW(neon, Q8_CPU_NEON, 6, 8), {0}};

#define SDWCONV q8_neon_sdwconv
#include "sdwconv.h"
#endif
