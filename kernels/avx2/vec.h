/* vec.h - the tables of the AVX2 folder and the vector steps its kernels share. */
#ifndef Q8_AVX2_VEC_H
#define Q8_AVX2_VEC_H

#include "kernel.h"
#include <immintrin.h>
#include <string.h>

extern const q8_gemm_kernel q8_avx2_gemm[];
extern const q8_dwconv_kernel q8_avx2_dwconv[];
q8_requant_fn q8_avx2_requant;
q8_dequant_acc_fn q8_avx2_dequant_acc;
q8_quantize_fn q8_avx2_quantize;
q8_dequantize_fn q8_avx2_dequantize;
q8_minmax_fn q8_avx2_minmax;
q8_minmax_rows_fn q8_avx2_minmax_rows;
q8_slots_fn q8_avx2_slots;
q8_table_fn q8_avx2_table;
q8_binary_fn q8_avx2_add;
q8_binary_fn q8_avx2_mul;
q8_max_rows_fn q8_avx2_max_rows;
q8_sum_rows_fn q8_avx2_sum_rows;
q8_transpose_fn q8_avx2_transpose8;
q8_transpose_fn q8_avx2_transpose32;
q8_pack_pairs_fn q8_avx2_pack_pairs;
q8_widen_fn q8_avx2_widen;
extern const q8_sgemm_kernel q8_avx2_sgemm[];
q8_sdwconv_fn q8_avx2_sdwconv;
q8_sunary_fn q8_avx2_sunary;
q8_sbinary_fn q8_avx2_sadd;
q8_sbinary_fn q8_avx2_smul;
q8_ssum_rows_fn q8_avx2_ssum_rows;

/* y = table[y] over rows x n bytes: how the kernels with an optional table end. */

/* ---- Loads and stores that never pass the end ---- */

Q8_INLINE __m256i q8_avx2_broadcast_pair(const int16_t *x) {
  int32_t pair;
  memcpy(&pair, x, sizeof pair);
  return _mm256_set1_epi32(pair);
}

/* Lanes below n are on; n >= 8 gives all. */
Q8_INLINE __m256i q8_avx2_mask(size_t n) {
  __m256i lane = _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7);
  return _mm256_cmpgt_epi32(_mm256_set1_epi32(n < 8 ? (int32_t)n : 8), lane);
}

/* n < 16 bytes, the rest zero. */
Q8_INLINE __m128i q8_avx2_load_bytes(const uint8_t *x, size_t n) {
  uint8_t buffer[16] = {0};
  for (size_t i = 0; i < n; i++)
    buffer[i] = x[i];
  return _mm_loadu_si128((const __m128i *)buffer);
}

/* The low n < 16 bytes. */
Q8_INLINE void q8_avx2_store_bytes(uint8_t *y, __m128i v, size_t n) {
  if (n & 8) {
    _mm_storel_epi64((__m128i *)y, v);
    v = _mm_unpackhi_epi64(v, v);
    y += 8;
  }
  uint64_t rest = (uint64_t)_mm_cvtsi128_si64(v);
  for (n &= 7; n; n--, rest >>= 8)
    *y++ = (uint8_t)rest;
}

/* 8 bytes to 8 int32. */
Q8_INLINE __m256i q8_avx2_load_u8(const uint8_t *x) {
  return _mm256_cvtepu8_epi32(_mm_loadl_epi64((const __m128i *)x));
}

/* ---- Rounding to uint8 ---- */

/* clamp(rne(v) + zero_point, lo, hi) as clamp, convert, add: see q8_requant. */
typedef struct q8_avx2_rounding {
  __m256 lo, hi;      /* minus the zero point */
  __m128i zero_point; /* 8 x int16 */
} q8_avx2_rounding;

Q8_INLINE q8_avx2_rounding q8_avx2_rounding_of(int32_t zero_point, int32_t lo, int32_t hi) {
  q8_avx2_rounding r = {_mm256_set1_ps((float)(lo - zero_point)), _mm256_set1_ps((float)(hi - zero_point)),
                        _mm_set1_epi16((int16_t)zero_point)};
  return r;
}

/* vmaxps gives its second operand when the first is NaN: NaN becomes lo. */
Q8_INLINE __m256i q8_avx2_round(__m256 v, const q8_avx2_rounding *r) {
  return _mm256_cvtps_epi32(_mm256_min_ps(_mm256_max_ps(v, r->lo), r->hi));
}

/* 8 rounded values to 8 bytes (the low half). */
Q8_INLINE __m128i q8_avx2_pack8(__m256i t, const q8_avx2_rounding *r) {
  __m128i words = _mm_packs_epi32(_mm256_castsi256_si128(t), _mm256_extracti128_si256(t, 1));
  words = _mm_add_epi16(words, r->zero_point);
  return _mm_packus_epi16(words, words);
}

/* 16 rounded values to 16 bytes. */
Q8_INLINE __m128i q8_avx2_pack16(__m256i t0, __m256i t1, const q8_avx2_rounding *r) {
  __m256i words = _mm256_permute4x64_epi64(_mm256_packs_epi32(t0, t1), 0xD8);
  __m128i low = _mm_add_epi16(_mm256_castsi256_si128(words), r->zero_point);
  __m128i high = _mm_add_epi16(_mm256_extracti128_si256(words, 1), r->zero_point);
  return _mm_packus_epi16(low, high);
}

/* Requantization of 8 channels up to the rounding. */
Q8_INLINE __m256i q8_avx2_requantize(__m256i acc, __m256i bias, __m256 scale, const q8_avx2_rounding *r) {
  return q8_avx2_round(_mm256_mul_ps(_mm256_cvtepi32_ps(_mm256_add_epi32(acc, bias)), scale), r);
}

/* Keeps one index for all rows of a tile: gcc 12 would step a pointer per row instead. */
Q8_INLINE void q8_avx2_index(size_t *i) {
  __asm__("" : "+r"(*i));
}

/* The clamp of float results: with NaN as second operand vmaxps and vminps give NaN. */
Q8_INLINE __m256 q8_avx2_clamp(__m256 v, __m256 lo, __m256 hi) {
  return _mm256_min_ps(hi, _mm256_max_ps(lo, v));
}

/* Pins an accumulator: gcc 12 regroups long unrolled sums of vectors and spills what it then keeps alive. */
Q8_INLINE void q8_avx2_keep(__m256i *v) {
  __asm__("" : "+x"(*v));
}

Q8_INLINE __m256i q8_avx2_load_i32(const int32_t *x) {
  return _mm256_loadu_si256((const __m256i *)x);
}

#endif
