/* requant.c - int32 accumulators to uint8 or float, 64 or 16 columns at a time. */
#if defined(__AVX512VNNI__) && defined(__AVX512BW__) && defined(__AVX512VL__) && defined(__AVX512DQ__)
#include "vec.h"

/* Columns [c, c + n) of one row, n <= 64. */
Q8_INLINE __m512i requant64(const int32_t *acc, const q8_requant *rq, size_t c, size_t n,
                            const requant_bounds *r) {
  __m512i t[4];
  Q8_UNROLL
  for (int i = 0; i < 4; i++) {
    size_t at = c + 16 * i;
    __m512i sum = _mm512_add_epi32(_mm512_maskz_loadu_epi32(lanes16(n, 16 * i), acc + at),
                                   _mm512_loadu_si512(rq->bias + at));
    t[i] = round_below(_mm512_mul_ps(_mm512_cvtepi32_ps(sum), _mm512_loadu_ps(rq->scale + at)), r);
  }
  return narrow_plain(t, r);
}

static void requant(size_t rows, size_t n, const int32_t *acc, size_t acc_stride, const q8_requant *rq,
                    uint8_t *y, size_t y_stride) {
  const requant_bounds r = bounds_of(rq->zero_point, rq->lo, rq->hi);
  for (size_t i = 0; i < rows; i++, acc += acc_stride, y += y_stride) {
    size_t c = 0;
    for (; c + 64 <= n; c += 64) {
      __m512i t = requant64(acc, rq, c, 64, &r);
      _mm512_storeu_si512(y + c, rq->table ? lookup(t, rq->table) : t);
    }
    if (c < n) {
      __m512i t = requant64(acc, rq, c, n - c, &r);
      _mm512_mask_storeu_epi8(y + c, first64(n - c), rq->table ? lookup(t, rq->table) : t);
    }
  }
}

static void dequant_acc(size_t rows, size_t n, const int32_t *acc, size_t acc_stride, const q8_dequant *dq,
                        float *y, size_t y_stride) {
  const __m512 lo = _mm512_set1_ps(dq->lo), hi = _mm512_set1_ps(dq->hi),
               row_scale = _mm512_set1_ps(dq->row_scale);
  for (size_t i = 0; i < rows; i++, acc += acc_stride, y += y_stride)
    for (size_t c = 0; c < n; c += 16) {
      __mmask16 m = first16(n - c);
      __m512i sum =
          _mm512_add_epi32(_mm512_maskz_loadu_epi32(m, acc + c), _mm512_loadu_si512(dq->offset + c));
      __m512 v =
          _mm512_mul_ps(_mm512_cvtepi32_ps(sum), _mm512_mul_ps(row_scale, _mm512_loadu_ps(dq->scale + c)));
      v = _mm512_add_ps(v, _mm512_loadu_ps(dq->bias + c));
      _mm512_mask_storeu_ps(y + c, m, clamp_ps(v, lo, hi));
    }
}

const q8_requant_kernel q8_avx512vnni_requant[] = {{"requant_avx512vnni", Q8_NEEDS_AVX512, requant}, {0}};
const q8_dequant_acc_kernel q8_avx512vnni_dequant_acc[] = {
    {"dequant_acc_avx512vnni", Q8_NEEDS_AVX512, dequant_acc},
    {0},
};
#endif
