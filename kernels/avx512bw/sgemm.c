/* sgemm.c - the fp32 families: GEMM tile, depthwise convolution, bias and clamp. */
#if defined(__AVX512F__) && defined(__AVX512BW__) && defined(__AVX512VL__) && defined(__AVX512DQ__)
#include "vec.h"

typedef __m512 sv_vec;
typedef __mmask16 sv_part;
enum { SV_LANES = 16, SV_MASKED = 1, SV_PAIRS = 1 };
Q8_INLINE sv_part sv_part_of(size_t n) {
  return first16(n);
}
Q8_INLINE sv_vec sv_zero(void) {
  return _mm512_setzero_ps();
}
Q8_INLINE sv_vec sv_load(const float *x) {
  return _mm512_loadu_ps(x);
}
/* gcc 12 adds up the address of the intrinsic first. */
Q8_INLINE sv_vec sv_load_part(const float *x, sv_part part) {
  sv_vec v;
  __asm__("vmovups %1, %0%{%2%}%{z%}" : "=v"(v) : "m"(*(const float(*)[SV_LANES])x), "Yk"(part));
  return v;
}
/* gcc 12 would load it anew for each multiplication, and out of order. */
Q8_INLINE sv_vec sv_hold(sv_vec v) {
  __asm__ volatile("" : "+v"(v));
  return v;
}
Q8_INLINE void sv_store(float *y, sv_vec v) {
  _mm512_storeu_ps(y, v);
}
Q8_INLINE void sv_store_part(float *y, sv_vec v, sv_part part) {
  _mm512_mask_storeu_ps(y, part, v);
}
/* clang 14 would put the sum where a was, and move it back where ways meet. */
Q8_INLINE sv_vec sv_fma(sv_vec a, sv_vec b, sv_vec c) {
  __asm__("vfmadd231ps %2, %1, %0" : "+v"(c) : "v"(a), "v"(b));
  return c;
}
Q8_INLINE sv_vec sv_add(sv_vec a, sv_vec b) {
  return _mm512_add_ps(a, b);
}
Q8_INLINE sv_vec sv_clamp(sv_vec v, float lo, float hi) {
  return clamp_ps(v, _mm512_set1_ps(lo), _mm512_set1_ps(hi));
}

Q8_INLINE sv_part sg_part(size_t columns, size_t v) {
  return (sv_part)(first64(columns) >> (16 * v));
}

/* 16 to 21 k are fetched ahead, so that L3 has 200 cycles to answer. Narrower panels are mostly in L1, and their tiles have
 * no load to spare. */
enum { SG_MAX_MR = 8, SG_MAX_ACC = 24, SG_AHEAD = 4096, SG_WIDE = 3 };

/* One k; mr and nv are constants in every caller. */
Q8_INLINE void step(size_t mr, size_t nv, const float *const *rows, size_t at, const float *b, ptrdiff_t ahead,
                    __m512 *acc) {
  __m512 w[4];
  Q8_UNROLL
  for (size_t v = 0; v < nv; v++) {
    w[v] = _mm512_load_ps(b + v * 16);
    __asm__("" : "+v"(w[v]));
    if (nv >= SG_WIDE)
      _mm_prefetch((const char *)(b + v * 16) + ahead, _MM_HINT_T0);
  }
  Q8_UNROLL
  for (size_t i = 0; i < mr; i++) {
    const __m512 x = _mm512_set1_ps(rows[i][at]);
    Q8_UNROLL
    for (size_t v = 0; v < nv; v++) {
      acc[i * nv + v] = _mm512_fmadd_ps(x, w[v], acc[i * nv + v]);
      __asm__("" : "+v"(acc[i * nv + v])); /* see kernels/README.md */
    }
  }
}

Q8_INLINE void sg_steps(size_t mr, size_t nv, const float *const *rows, size_t at, size_t stop, const float *b,
                        ptrdiff_t ahead, const char *next, size_t next_step, __m512 *acc) {
  for (; at < stop; at++, b += nv * 16) {
    _mm_prefetch(next + at * next_step, _MM_HINT_T0);
    step(mr, nv, rows, at, b, ahead, acc);
  }
}
#include "sgemm.h"

SG_TILE(6, 64)
SG_TILE(3, 64)
SG_TILE(8, 48)
SG_TILE(8, 32)
SG_TILE(1, 32)
SG_TILE(8, 16)
SG_TILE(1, 16)

#define SDWCONV q8_avx512bw_sdwconv
#include "sdwconv.h"

#define ROW(mr, nr) SG_ROW(avx512bw, Q8_NEEDS_AVX512, mr, nr)
const q8_sgemm_kernel q8_avx512bw_sgemm[] = {
    ROW(6, 64), ROW(3, 64), ROW(8, 48), ROW(8, 32), ROW(1, 32), ROW(8, 16), ROW(1, 16), {0},
};
#endif
