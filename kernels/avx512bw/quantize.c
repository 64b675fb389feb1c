/* quantize.c - float to uint8 and back, and the range of a float array. */
#if defined(__AVX512F__) && defined(__AVX512BW__) && defined(__AVX512VL__) && defined(__AVX512DQ__)
#include "avx2/vec.h"
#include "vec.h"
#include <math.h>

Q8_INLINE __m512i quantize16(const float *x, __mmask16 lanes, const quotient *scale, const requant_bounds *r) {
  return round_below(divide(_mm512_maskz_loadu_ps(lanes, x), scale), r);
}

void q8_avx512bw_quantize(size_t n, const float *x, float scale, int32_t zero_point, uint8_t flip, uint8_t *y) {
  if (!quotient_is_fast(scale)) {
    q8_avx2_quantize(n, x, scale, zero_point, flip, y);
    return;
  }
  const requant_bounds r = bounds_of(zero_point, 0, 255);
  const quotient divisor = quotient_of(scale);
  const __m512i flips = _mm512_set1_epi8((char)flip);
  size_t i = 0;
  for (; i + 64 <= n; i += 64) {
    __m512i t[4];
    Q8_UNROLL
    for (size_t v = 0; v < 4; v++)
      t[v] = quantize16(x + i + 16 * v, 0xffff, &divisor, &r);
    _mm512_storeu_si512(y + i, _mm512_xor_si512(narrow_plain(t, &r), flips));
  }
  for (; i < n; i += 16) {
    const __mmask16 m = first16(n - i);
    __m512i t = _mm512_add_epi32(quantize16(x + i, m, &divisor, &r), _mm512_set1_epi32(zero_point));
    t = _mm512_xor_si512(_mm512_max_epi32(t, _mm512_setzero_si512()), flips);
    _mm512_mask_cvtepi32_storeu_epi8(y + i, m, t);
  }
}

typedef struct {
  __m512 scale;
  __m512i zero;
  __m128i flips;
} dequantizer;

Q8_INLINE void dequantize16(const uint8_t *x, __mmask16 lanes, const dequantizer *g, float *y) {
  const __m128i bytes = _mm_xor_si128(_mm_maskz_loadu_epi8(lanes, x), g->flips);
  const __m512i v = _mm512_sub_epi32(_mm512_cvtepu8_epi32(bytes), g->zero);
  _mm512_mask_storeu_ps(y, lanes, _mm512_mul_ps(_mm512_cvtepi32_ps(v), g->scale));
}

void q8_avx512bw_dequantize(size_t n, const uint8_t *x, float scale, int32_t zero_point, uint8_t flip, float *y) {
  const dequantizer g = {_mm512_set1_ps(scale), _mm512_set1_epi32(zero_point), _mm_set1_epi8((char)flip)};
  size_t i = 0;
  for (; i + 64 <= n; i += 64) {
    Q8_UNROLL
    for (size_t v = 0; v < 64; v += 16)
      dequantize16(x + i + v, 0xffff, &g, y + i + v);
  }
  for (; i < n; i += 16)
    dequantize16(x + i, first16(n - i), &g, y + i);
}

/* min and max return their second operand when either is NaN: the running value, so that NaN is skipped. */
int q8_avx512bw_minmax(size_t n, const float *x, float *min, float *max) {
  __m512 low[4], high[4];
  const __m512 inf = _mm512_set1_ps(INFINITY), minus_inf = _mm512_set1_ps(-INFINITY);
  Q8_UNROLL
  for (int u = 0; u < 4; u++)
    low[u] = inf, high[u] = minus_inf;
  __mmask16 nan = 0;
  size_t i = 0;
  for (; i + 64 <= n; i += 64) {
    Q8_UNROLL
    for (int u = 0; u < 4; u++) {
      __m512 v = _mm512_loadu_ps(x + i + 16 * u);
      low[u] = _mm512_min_ps(v, low[u]);
      high[u] = _mm512_max_ps(v, high[u]);
    }
    nan |= _mm512_cmp_ps_mask(_mm512_loadu_ps(x + i), _mm512_loadu_ps(x + i + 16), _CMP_UNORD_Q);
    nan |= _mm512_cmp_ps_mask(_mm512_loadu_ps(x + i + 32), _mm512_loadu_ps(x + i + 48), _CMP_UNORD_Q);
  }
  for (; i < n; i += 16) {
    __mmask16 m = first16(n - i);
    __m512 v = _mm512_mask_loadu_ps(inf, m, x + i);
    nan |= _mm512_cmp_ps_mask(v, v, _CMP_UNORD_Q);
    low[0] = _mm512_min_ps(v, low[0]);
    high[0] = _mm512_max_ps(_mm512_mask_loadu_ps(minus_inf, m, x + i), high[0]);
  }
  low[0] = _mm512_min_ps(_mm512_min_ps(low[0], low[1]), _mm512_min_ps(low[2], low[3]));
  high[0] = _mm512_max_ps(_mm512_max_ps(high[0], high[1]), _mm512_max_ps(high[2], high[3]));
  *min = _mm512_reduce_min_ps(low[0]) + 0.0f; /* -0 becomes +0 */
  *max = _mm512_reduce_max_ps(high[0]) + 0.0f;
  return !nan;
}

/* The slots of n <= 16 values, those that are not zero without gaps; returns how many there are. */
Q8_INLINE size_t slots16(const float *x, __mmask16 lanes, __m512 factor, uint16_t *slot) {
  __m512 v = _mm512_maskz_loadu_ps(lanes, x);
  __m512 floors = _mm512_roundscale_ps(_mm512_mul_ps(v, factor), _MM_FROUND_TO_NEG_INF | _MM_FROUND_NO_EXC);
  __m512i bin = _mm512_and_si512(_mm512_cvttps_epi32(floors), _mm512_set1_epi32(Q8_SLOTS - 1));
  __mmask16 other = _mm512_cmp_ps_mask(v, _mm512_setzero_ps(), _CMP_NEQ_UQ);
  _mm256_storeu_si256((__m256i *)(void *)slot, _mm512_cvtepi32_epi16(_mm512_maskz_compress_epi32(other, bin)));
  return (size_t)__builtin_popcount(other);
}

size_t q8_avx512bw_slots(size_t n, const float *x, float inverse, uint16_t *slot) {
  const __m512 factor = _mm512_set1_ps(inverse);
  __mmask16 bad = 0;
  size_t kept = 0, i = 0;
  for (; i + 32 <= n; i += 32) {
    kept += slots16(x + i, 0xFFFF, factor, slot + kept);
    kept += slots16(x + i + 16, 0xFFFF, factor, slot + kept);
    bad |= _mm512_cmp_ps_mask(_mm512_loadu_ps(x + i), _mm512_loadu_ps(x + i + 16), _CMP_UNORD_Q);
  }
  for (; i < n; i += 16) {
    __m512 v = _mm512_maskz_loadu_ps(first16(n - i), x + i);
    kept += slots16(x + i, first16(n - i), factor, slot + kept);
    bad |= _mm512_cmp_ps_mask(v, v, _CMP_UNORD_Q);
  }
  return bad ? Q8_NAN : kept;
}
#endif
