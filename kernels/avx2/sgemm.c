/* sgemm.c - the fp32 families with FMA: GEMM tile, depthwise convolution, bias and clamp. */
#include "kernel.h"

#if defined(__AVX2__) && defined(__FMA__)
#include "vec.h"

typedef __m256 sv_vec;
typedef __m256i sv_part;
enum { SV_LANES = 8, SV_MASKED = 0, SV_PAIRS = 0 };
Q8_INLINE sv_part sv_part_of(size_t n) {
  return q8_avx2_mask(n);
}
Q8_INLINE sv_vec sv_zero(void) {
  return _mm256_setzero_ps();
}
Q8_INLINE sv_vec sv_load(const float *x) {
  return _mm256_loadu_ps(x);
}
Q8_INLINE sv_vec sv_load_part(const float *x, sv_part part) {
  return _mm256_maskload_ps(x, part);
}
Q8_INLINE sv_vec sv_hold(sv_vec v) {
  return v;
}
Q8_INLINE void sv_store(float *y, sv_vec v) {
  _mm256_storeu_ps(y, v);
}
Q8_INLINE void sv_store_part(float *y, sv_vec v, sv_part part) {
  _mm256_maskstore_ps(y, part, v);
}
/* clang 14 would put the sum where a was, and move it back where ways meet. */
Q8_INLINE sv_vec sv_fma(sv_vec a, sv_vec b, sv_vec c) {
  __asm__("vfmadd231ps %2, %1, %0" : "+x"(c) : "x"(a), "x"(b));
  return c;
}
Q8_INLINE sv_vec sv_add(sv_vec a, sv_vec b) {
  return _mm256_add_ps(a, b);
}
Q8_INLINE sv_vec sv_clamp(sv_vec v, float lo, float hi) {
  return q8_avx2_clamp(v, _mm256_set1_ps(lo), _mm256_set1_ps(hi));
}

Q8_INLINE sv_part sg_part(size_t columns, size_t v) { /* tiles of fewer columns take the way of the edges */
  (void)columns, (void)v;
  return (sv_part){0};
}

enum { SG_MAX_MR = 8, SG_MAX_ACC = 12, SG_AHEAD = 2048, SG_WIDE = 1 };

/* mr * nv accumulators, nv panel vectors and one broadcast in 16 registers. There is one load to spare: for the next rows,
 * or for the panel. */
Q8_INLINE void sg_steps(size_t mr, size_t nv, const float *const *rows, size_t at, size_t stop, const float *b,
                        ptrdiff_t ahead, const char *next, size_t next_step, __m256 *acc) {
  if (next_step == 0) {
    next_step = nv * sizeof(__m256);
    next = (const char *)b + ahead;
  } else {
    next += at * next_step;
  }
  for (; at < stop; at++, b += 8 * nv, next += next_step) {
    q8_avx2_index(&at);
    _mm_prefetch(next, _MM_HINT_T0);
    __m256 w[2];
    Q8_UNROLL
    for (size_t v = 0; v < nv; v++)
      w[v] = _mm256_load_ps(b + 8 * v);
    Q8_UNROLL
    for (size_t i = 0; i < mr; i++) {
      const __m256 x = _mm256_broadcast_ss(rows[i] + at);
      Q8_UNROLL
      for (size_t v = 0; v < nv; v++)
        acc[i * nv + v] = _mm256_fmadd_ps(x, w[v], acc[i * nv + v]);
    }
  }
}
#include "sgemm.h"

SG_TILE(6, 16)
SG_TILE(1, 16)
SG_TILE(8, 8)

#define SDWCONV q8_avx2_sdwconv
#include "sdwconv.h"

#define ROW(mr, nr) SG_ROW(avx2, Q8_CPU_AVX2, mr, nr)
const q8_sgemm_kernel q8_avx2_sgemm[] = {ROW(6, 16), ROW(1, 16), ROW(8, 8), {0}};
#endif
