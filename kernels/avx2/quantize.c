/* quantize.c - float to uint8 and back, and the range of a float array. */
#include "kernel.h"

#if defined(__AVX2__) && defined(__FMA__)
#include "vec.h"
#include <math.h>

void q8_avx2_quantize(size_t n, const float *x, float scale, int32_t zero_point, uint8_t flip, uint8_t *y) {
  q8_avx2_rounding r = q8_avx2_rounding_of(zero_point, 0, 255);
  __m256 divisor = _mm256_set1_ps(scale);
  __m128i flips = _mm_set1_epi8((char)flip);
  size_t i = 0;
  for (; i + 16 <= n; i += 16) {
    __m256i t0 = q8_avx2_round(_mm256_div_ps(_mm256_loadu_ps(x + i), divisor), &r);
    __m256i t1 = q8_avx2_round(_mm256_div_ps(_mm256_loadu_ps(x + i + 8), divisor), &r);
    _mm_storeu_si128((__m128i *)(y + i), _mm_xor_si128(q8_avx2_pack16(t0, t1, &r), flips));
  }
  for (; i < n; i += 8) {
    __m256 v = _mm256_maskload_ps(x + i, q8_avx2_mask(n - i));
    __m128i t = q8_avx2_pack8(q8_avx2_round(_mm256_div_ps(v, divisor), &r), &r);
    q8_avx2_store_bytes(y + i, _mm_xor_si128(t, flips), n - i < 8 ? n - i : 8);
  }
}

Q8_INLINE __m256 dequantize8(__m256i x, __m256i zero_point, __m256 scale) {
  return _mm256_mul_ps(_mm256_cvtepi32_ps(_mm256_sub_epi32(x, zero_point)), scale);
}

void q8_avx2_dequantize(size_t n, const uint8_t *x, float scale, int32_t zero_point, uint8_t flip, float *y) {
  __m256i zero = _mm256_set1_epi32(zero_point), flips = _mm256_set1_epi32(flip);
  __m256 factor = _mm256_set1_ps(scale);
  size_t i = 0;
  for (; i + 16 <= n; i += 16) {
    Q8_UNROLL
    for (size_t j = i; j < i + 16; j += 8)
      _mm256_storeu_ps(y + j, dequantize8(_mm256_xor_si256(q8_avx2_load_u8(x + j), flips), zero, factor));
  }
  for (; i < n; i += 8) {
    __m256i v = _mm256_cvtepu8_epi32(q8_avx2_load_bytes(x + i, n - i < 8 ? n - i : 8));
    _mm256_maskstore_ps(y + i, q8_avx2_mask(n - i), dequantize8(_mm256_xor_si256(v, flips), zero, factor));
  }
}

/* vminps and vmaxps give their second operand when the first is NaN: NaN is skipped. */
int q8_avx2_minmax(size_t n, const float *x, float *min, float *max) {
  __m256 low[2] = {_mm256_set1_ps(INFINITY), _mm256_set1_ps(INFINITY)};
  __m256 high[2] = {_mm256_set1_ps(-INFINITY), _mm256_set1_ps(-INFINITY)}, nan = _mm256_setzero_ps();
  size_t i = 0;
  for (; i + 16 <= n; i += 16) {
    Q8_UNROLL
    for (size_t j = 0; j < 2; j++) {
      __m256 v = _mm256_loadu_ps(x + i + 8 * j);
      low[j] = _mm256_min_ps(v, low[j]);
      high[j] = _mm256_max_ps(v, high[j]);
    }
    nan = _mm256_or_ps(nan, _mm256_cmp_ps(_mm256_loadu_ps(x + i), _mm256_loadu_ps(x + i + 8), _CMP_UNORD_Q));
  }
  int bad = _mm256_movemask_ps(nan);
  float lows[8], highs[8];
  _mm256_storeu_ps(lows, _mm256_min_ps(low[0], low[1]));
  _mm256_storeu_ps(highs, _mm256_max_ps(high[0], high[1]));
  for (size_t j = 1; j < 8; j++) {
    lows[0] = lows[j] < lows[0] ? lows[j] : lows[0];
    highs[0] = highs[j] > highs[0] ? highs[j] : highs[0];
  }
  for (; i < n; i++) {
    lows[0] = x[i] < lows[0] ? x[i] : lows[0];
    highs[0] = x[i] > highs[0] ? x[i] : highs[0];
    bad |= x[i] != x[i];
  }
  *min = lows[0] + 0.0f; /* -0 becomes +0 */
  *max = highs[0] + 0.0f;
  return !bad;
}

/* The ends of four rows from those of their lanes: minima beside negated maxima, so that one tree of minima reduces all
 * of them in fewer steps than one row takes. */
Q8_INLINE __m256 fold_pair(__m256 a, __m256 b) {
  return _mm256_min_ps(_mm256_unpacklo_ps(a, b), _mm256_unpackhi_ps(a, b));
}

Q8_INLINE void fold_rows(const __m256 low[4], const __m256 high[4], q8_ends ends[4]) {
  __m256 half[2];
  const __m256 sign = _mm256_set1_ps(-0.0f), odd = _mm256_setr_ps(0, -0.0f, 0, -0.0f, 0, -0.0f, 0, -0.0f);
  Q8_UNROLL
  for (int i = 0; i < 2; i++)
    half[i] = fold_pair(
        fold_pair(low[2 * i], low[2 * i + 1]),
        fold_pair(_mm256_xor_ps(high[2 * i], sign), _mm256_xor_ps(high[2 * i + 1], sign)));
  __m256 all = _mm256_min_ps(_mm256_permute2f128_ps(half[0], half[1], 0x20), _mm256_permute2f128_ps(half[0], half[1], 0x31));
  _mm256_storeu_ps((float *)ends, _mm256_add_ps(_mm256_xor_ps(all, odd), _mm256_setzero_ps())); /* -0 becomes +0 */
}

int q8_avx2_minmax_rows(size_t rows, size_t n, const float *x, q8_ends *ends) {
  const __m256 inf = _mm256_set1_ps(INFINITY), minus_inf = _mm256_set1_ps(-INFINITY);
  __m256 nan = _mm256_setzero_ps();
  size_t r = 0;
  int none = 1;
  for (; r + 4 <= rows; r += 4) {
    const float *row = x + r * n;
    __m256 low[4] = {inf, inf, inf, inf}, high[4] = {minus_inf, minus_inf, minus_inf, minus_inf};
    size_t i = 0;
    for (; i + 8 <= n; i += 8) {
      __m256 v[4];
      Q8_UNROLL
      for (size_t j = 0; j < 4; j++) {
        v[j] = _mm256_loadu_ps(row + j * n + i);
        low[j] = _mm256_min_ps(v[j], low[j]);
        high[j] = _mm256_max_ps(v[j], high[j]);
      }
      nan = _mm256_or_ps(nan, _mm256_or_ps(_mm256_cmp_ps(v[0], v[1], _CMP_UNORD_Q), _mm256_cmp_ps(v[2], v[3], _CMP_UNORD_Q)));
    }
    if (i < n) {
      const __m256i mask = q8_avx2_mask(n - i);
      Q8_UNROLL
      for (size_t j = 0; j < 4; j++) {
        __m256 v = _mm256_maskload_ps(row + j * n + i, mask);
        low[j] = _mm256_min_ps(_mm256_blendv_ps(inf, v, _mm256_castsi256_ps(mask)), low[j]);
        high[j] = _mm256_max_ps(_mm256_blendv_ps(minus_inf, v, _mm256_castsi256_ps(mask)), high[j]);
        nan = _mm256_or_ps(nan, _mm256_cmp_ps(v, v, _CMP_UNORD_Q));
      }
    }
    fold_rows(low, high, ends + r);
  }
  for (; r < rows; r++)
    none &= q8_avx2_minmax(n, x + r * n, &ends[r].min, &ends[r].max);
  return none && !_mm256_movemask_ps(nan);
}

size_t q8_avx2_slots(size_t n, const float *x, float inverse, uint16_t *slot) {
  const __m256 factor = _mm256_set1_ps(inverse);
  int bad = 0;
  size_t kept = 0;
  for (size_t i = 0; i < n; i += 8) {
    __m256 v = n - i < 8 ? _mm256_maskload_ps(x + i, q8_avx2_mask(n - i)) : _mm256_loadu_ps(x + i);
    __m256i bin = _mm256_cvttps_epi32(_mm256_floor_ps(_mm256_mul_ps(v, factor)));
    uint32_t wide[8];
    _mm256_storeu_si256((__m256i *)(void *)wide, _mm256_and_si256(bin, _mm256_set1_epi32(Q8_SLOTS - 1)));
    int other = _mm256_movemask_ps(_mm256_cmp_ps(v, _mm256_setzero_ps(), _CMP_NEQ_UQ));
    bad |= _mm256_movemask_ps(_mm256_cmp_ps(v, v, _CMP_UNORD_Q));
    Q8_UNROLL
    for (int j = 0; j < 8; j++) { /* what is zero is overwritten by the next */
      slot[kept] = (uint16_t)wide[j];
      kept += (size_t)(other >> j & 1);
    }
  }
  return bad ? Q8_NAN : kept;
}
#endif
