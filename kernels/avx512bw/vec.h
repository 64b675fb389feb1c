/* vec.h - what the AVX-512 kernels share, with and without VNNI: masks for tails, requantization of 64 lanes.
 *
 * Two orders of 64 values in four zmm registers occur:
 *   plain: register i holds values 16 i .. 16 i + 15;
 *   quad:  register v, 128-bit lane l, element e holds value 16 l + 4 v + e. Interleaving four rows of bytes
 * by unpacks gives this order and the saturating packs undo it, so it costs no permutation at either end.
 */
#ifndef Q8_AVX512BW_VEC_H
#define Q8_AVX512BW_VEC_H

#include <immintrin.h>
#include <string.h>

#include "kernel.h"

/* The rows of the families, collected in isa.c. */
extern const q8_gemm_kernel q8_avx512bw_gemm[];
extern const q8_dwconv_kernel q8_avx512bw_dwconv[];
q8_requant_fn q8_avx512bw_requant;
q8_dequant_acc_fn q8_avx512bw_dequant_acc;
q8_quantize_fn q8_avx512bw_quantize;
q8_dequantize_fn q8_avx512bw_dequantize;
q8_minmax_fn q8_avx512bw_minmax;
q8_slots_fn q8_avx512bw_slots;
q8_table_fn q8_avx512bw_table;
q8_binary_fn q8_avx512bw_add, q8_avx512bw_mul;
q8_max_rows_fn q8_avx512bw_max_rows;
q8_sum_rows_fn q8_avx512bw_sum_rows;
q8_transpose_fn q8_avx512bw_transpose8, q8_avx512bw_transpose32;
q8_pack_pairs_fn q8_avx512bw_pack_pairs;
q8_widen_fn q8_avx512bw_widen;
/* out[c] holds dword c of every row: 16 rows, the last one again for those that do not exist, of the bytes under the mask. */
void q8_avx512bw_turn(size_t rows, __mmask64 bytes, const void *x, size_t stride, __m512i out[16]);
extern const q8_sgemm_kernel q8_avx512bw_sgemm[];
q8_sdwconv_fn q8_avx512bw_sdwconv;
q8_sunary_fn q8_avx512bw_sunary;
q8_sbinary_fn q8_avx512bw_sadd;
q8_sbinary_fn q8_avx512bw_smul;
q8_ssum_rows_fn q8_avx512bw_ssum_rows;

#define Q8_NEEDS_AVX512 (Q8_CPU_AVX2 | Q8_CPU_AVX512)

/* The first `n` of 64 bytes; n above 64 means all. */
Q8_INLINE __mmask64 first64(size_t n) {
  return n >= 64 ? ~(__mmask64)0 : ((__mmask64)1 << n) - 1;
}
Q8_INLINE __mmask16 first16(size_t n) {
  return n >= 16 ? (__mmask16)0xffff : (__mmask16)((1u << n) - 1);
}
/* The mask of the 16 lanes that begin at lane `from` of `n`. */
Q8_INLINE __mmask16 lanes16(size_t n, size_t from) {
  return n <= from ? 0 : first16(n - from);
}

typedef struct {
  __m512 top;         /* hi - zero_point */
  __m512i zero_point; /* 16 bit */
  __m512i lo;         /* bytes */
} requant_bounds;

Q8_INLINE requant_bounds bounds_of(int32_t zero_point, int32_t lo, int32_t hi) {
  requant_bounds r;
  r.top = _mm512_set1_ps((float)(hi - zero_point));
  r.zero_point = _mm512_set1_epi16((int16_t)zero_point);
  r.lo = _mm512_set1_epi8((char)lo);
  return r;
}

/* Rounds to nearest even, at most hi. Only the upper bound needs a clamp: a float below the range of int32 or
 * a NaN (which min passes on from its second operand) converts to INT32_MIN, and the saturating packs of
 * `narrow` take that to the smallest byte, as they do every value below lo. */
Q8_INLINE __m512i round_below(__m512 v, const requant_bounds *r) {
  return _mm512_cvtps_epi32(_mm512_min_ps(r->top, v));
}

/* x / d for what is rounded below by `round_below`: vdivps takes 16 cycles where this takes 3.
 *
 * By Markstein's theorem q + r * (x - q * d) with fused operations is the correctly rounded quotient if r is the
 * correctly rounded 1 / d, q is within one ulp of it, and the remainder x - q * d is exact. The first correction brings
 * q = x * r within an ulp, the second is the theorem's. The remainder is exact, and not subnormal unless 0, for
 * 2^-64 <= d <= 2^64 and |x / d| >= 1/4; smaller quotients round to 0 either way. x is limited to 1024 d, whose quotient
 * is beyond every bound, so that infinity does not become NaN; minus infinity does, and NaN ends at the lower bound
 * too. */
typedef struct {
  __m512 divisor, reciprocal, limit;
} quotient;

Q8_INLINE int quotient_is_fast(float d) {
  return d >= 0x1p-64f && d <= 0x1p64f;
}
Q8_INLINE quotient quotient_of(float d) {
  quotient g = {_mm512_set1_ps(d), _mm512_set1_ps(1.0f / d), _mm512_set1_ps(1024.0f * d)};
  return g;
}
/* A quotient that is finite and a fast divisor. */
Q8_INLINE __m512 divide_finite(__m512 x, const quotient *g) {
  __m512 q = _mm512_mul_ps(x, g->reciprocal);
  q = _mm512_fmadd_ps(_mm512_fnmadd_ps(q, g->divisor, x), g->reciprocal, q);
  return _mm512_fmadd_ps(_mm512_fnmadd_ps(q, g->divisor, x), g->reciprocal, q);
}
/* By a fast divisor. */
Q8_INLINE __m512 divide(__m512 x, const quotient *g) {
  return divide_finite(_mm512_min_ps(g->limit, x), g);
}

/* Four registers of rounded values in quad order to 64 bytes in value order, zero point added. */
Q8_INLINE __m512i pack_quad(const __m512i t[4], const requant_bounds *r) {
  __m512i a = _mm512_adds_epi16(_mm512_packs_epi32(t[0], t[1]), r->zero_point);
  __m512i b = _mm512_adds_epi16(_mm512_packs_epi32(t[2], t[3]), r->zero_point);
  return _mm512_packus_epi16(a, b);
}
/* And at least lo. Clamping after rounding equals clamping before it: both bounds are whole numbers. */
Q8_INLINE __m512i narrow_quad(const __m512i t[4], const requant_bounds *r) {
  return _mm512_max_epu8(pack_quad(t, r), r->lo);
}

/* Whether no scale reaches 1. Then no product reaches 2^31, the conversion needs no clamp, and the saturating packs
 * give what a byte-wise minimum with hi completes: three instructions less in 64 values. */
Q8_INLINE int small_scales(int count, const __m512 *scale) {
  int small = 1;
  Q8_UNROLL
  for (int v = 0; v < count; v++)
    small &= _mm512_cmp_ps_mask(scale[v], _mm512_set1_ps(0.99f), _CMP_NLT_UQ) == 0;
  return small;
}

/* Dword l * 4 + i goes to i * 4 + l. */
Q8_INLINE __m512i quad_index(void) {
  return _mm512_setr_epi32(0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15);
}
Q8_INLINE __m512i narrow_plain(const __m512i t[4], const requant_bounds *r) {
  return _mm512_permutexvar_epi32(quad_index(), narrow_quad(t, r));
}

/* A row through a table, 64 bytes at a time by `look_up`, a constant in each caller. The table stays in registers. */
Q8_INLINE void look_up_row(__m512i (*look_up)(__m512i x, const __m512i t[4]), size_t n, const uint8_t *x,
                           const uint8_t *table, uint8_t *y) {
  const __m512i t[4] = {_mm512_loadu_si512(table), _mm512_loadu_si512(table + 64), _mm512_loadu_si512(table + 128),
                        _mm512_loadu_si512(table + 192)};
  size_t i = 0;
  for (; i + 64 <= n; i += 64)
    _mm512_storeu_si512(y + i, look_up(_mm512_loadu_si512(x + i), t));
  if (i < n) {
    const __mmask64 m = first64(n - i);
    _mm512_mask_storeu_epi8(y + i, m, look_up(_mm512_maskz_loadu_epi8(m, x + i), t));
  }
}

/* Four rows of 64 bytes to quads: register v, in quad order, holds the four rows' bytes of a value side by
 * side. */
Q8_INLINE void interleave4(const __m512i row[4], __m512i quad[4]) {
  __m512i lo01 = _mm512_unpacklo_epi8(row[0], row[1]), hi01 = _mm512_unpackhi_epi8(row[0], row[1]);
  __m512i lo23 = _mm512_unpacklo_epi8(row[2], row[3]), hi23 = _mm512_unpackhi_epi8(row[2], row[3]);
  quad[0] = _mm512_unpacklo_epi16(lo01, lo23);
  quad[1] = _mm512_unpackhi_epi16(lo01, lo23);
  quad[2] = _mm512_unpacklo_epi16(hi01, hi23);
  quad[3] = _mm512_unpackhi_epi16(hi01, hi23);
}

/* Register i, lane l to register l, lane i: quad order to plain order and back. */
Q8_INLINE void transpose4_lanes(__m512i z[4]) {
  __m512i lo01 = _mm512_shuffle_i32x4(z[0], z[1], 0x44), hi01 = _mm512_shuffle_i32x4(z[0], z[1], 0xee);
  __m512i lo23 = _mm512_shuffle_i32x4(z[2], z[3], 0x44), hi23 = _mm512_shuffle_i32x4(z[2], z[3], 0xee);
  z[0] = _mm512_shuffle_i32x4(lo01, lo23, 0x88);
  z[1] = _mm512_shuffle_i32x4(lo01, lo23, 0xdd);
  z[2] = _mm512_shuffle_i32x4(hi01, hi23, 0x88);
  z[3] = _mm512_shuffle_i32x4(hi01, hi23, 0xdd);
}

/* The clamp of float results: NaN, the second operand, passes through. */
Q8_INLINE __m512 clamp_ps(__m512 v, __m512 lo, __m512 hi) {
  return _mm512_min_ps(hi, _mm512_max_ps(lo, v));
}

/* Four 128-bit values, one a lane. */
Q8_INLINE __m512i join4(__m128i a, __m128i b, __m128i c, __m128i d) {
  __m512i z = _mm512_inserti32x4(_mm512_castsi128_si512(a), b, 1);
  return _mm512_inserti32x4(_mm512_inserti32x4(z, c, 2), d, 3);
}

/* The first n of `parts` rows of y, 64 / parts bytes each, of which m are stored; parts is 1, 2 or 4. */
Q8_INLINE void store_parts(int parts, __m512i bytes, __mmask64 m, uint8_t *y, size_t y_stride, size_t n) {
  if (parts == 1) {
    if (n > 0)
      _mm512_mask_storeu_epi8(y, m, bytes);
  } else if (parts == 2) {
    if (n > 0)
      _mm256_mask_storeu_epi8(y, (__mmask32)m, _mm512_castsi512_si256(bytes));
    if (n > 1)
      _mm256_mask_storeu_epi8(y + y_stride, (__mmask32)m, _mm512_extracti64x4_epi64(bytes, 1));
  } else {
    if (n > 0)
      _mm_mask_storeu_epi8(y, (__mmask16)m, _mm512_castsi512_si128(bytes));
    if (n > 1)
      _mm_mask_storeu_epi8(y + y_stride, (__mmask16)m, _mm512_extracti32x4_epi32(bytes, 1));
    if (n > 2)
      _mm_mask_storeu_epi8(y + 2 * y_stride, (__mmask16)m, _mm512_extracti32x4_epi32(bytes, 2));
    if (n > 3)
      _mm_mask_storeu_epi8(y + 3 * y_stride, (__mmask16)m, _mm512_extracti32x4_epi32(bytes, 3));
  }
}

#endif
