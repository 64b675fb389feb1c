/* requant.c - int32 accumulators to uint8 or float. */
#include "kernel.h"

#if defined(__AVX2__) && defined(__FMA__)
#include "vec.h"

/* Channels c .. c + 7 of one row, those below n only. */
Q8_INLINE __m256i requantize_tail(const int32_t *acc, size_t c, size_t n, const q8_requant *rq,
                                  const q8_avx2_rounding *r) {
  __m256i mask = q8_avx2_mask(n - c);
  return q8_avx2_requantize(_mm256_maskload_epi32(acc + c, mask), _mm256_maskload_epi32(rq->bias + c, mask),
                            _mm256_maskload_ps(rq->scale + c, mask), r);
}

Q8_INLINE __m256i requantize8(const int32_t *acc, size_t c, const q8_requant *rq, const q8_avx2_rounding *r) {
  return q8_avx2_requantize(q8_avx2_load_i32(acc + c), q8_avx2_load_i32(rq->bias + c),
                            _mm256_loadu_ps(rq->scale + c), r);
}

Q8_INLINE void round_row(size_t n, const int32_t *acc, const q8_requant *rq, const q8_avx2_rounding *r,
                         uint8_t *y) {
  size_t c = 0;
  for (; c + 16 <= n; c += 16) {
    __m256i t0 = requantize8(acc, c, rq, r), t1 = requantize8(acc, c + 8, rq, r);
    _mm_storeu_si128((__m128i *)(y + c), q8_avx2_pack16(t0, t1, r));
  }
  if (c + 8 <= n) {
    _mm_storel_epi64((__m128i *)(y + c), q8_avx2_pack8(requantize8(acc, c, rq, r), r));
    c += 8;
  }
  if (c < n)
    q8_avx2_store_bytes(y + c, q8_avx2_pack8(requantize_tail(acc, c, n, rq, r), r), n - c);
}

void q8_avx2_requant(size_t rows, size_t n, const int32_t *acc, size_t acc_stride, const q8_requant *rq,
                    uint8_t *y, size_t y_stride) {
  q8_requant arrays = *rq; /* a copy: the stores to y might alias the original */
  q8_avx2_rounding r = q8_avx2_rounding_of(rq->zero_point, rq->lo, rq->hi);
  for (size_t i = 0; i < rows; i++)
    round_row(n, acc + i * acc_stride, &arrays, &r, y + i * y_stride);
}

typedef struct {
  __m256i factor;
  __m256 scale, lo, hi;
} row_factors;

/* Multiply, then add: an FMA would round once less than the scalar kernel. */
Q8_INLINE __m256 dequantize(__m256i acc, __m256i offset, __m256 scale, __m256 bias, const row_factors *r) {
  __m256i sum = _mm256_add_epi32(acc, _mm256_mullo_epi32(r->factor, offset));
  __m256 product = _mm256_mul_ps(_mm256_cvtepi32_ps(sum), _mm256_mul_ps(r->scale, scale));
  return q8_avx2_clamp(_mm256_add_ps(product, bias), r->lo, r->hi);
}

Q8_INLINE void dequantize_row(size_t n, const int32_t *acc, const q8_dequant *dq, const row_factors *r, float *y) {
  size_t c = 0;
  for (const size_t whole = n & -(size_t)8; c < whole; c += 8)
    _mm256_storeu_ps(y + c, dequantize(q8_avx2_load_i32(acc + c), q8_avx2_load_i32(dq->offset + c),
                                       _mm256_loadu_ps(dq->scale + c), _mm256_loadu_ps(dq->bias + c), r));
  if (c < n) {
    __m256i mask = q8_avx2_mask(n - c);
    __m256 v = dequantize(_mm256_maskload_epi32(acc + c, mask), _mm256_maskload_epi32(dq->offset + c, mask),
                          _mm256_maskload_ps(dq->scale + c, mask), _mm256_maskload_ps(dq->bias + c, mask), r);
    _mm256_maskstore_ps(y + c, mask, v);
  }
}

void q8_avx2_dequant_acc(size_t rows, size_t n, const int32_t *acc, size_t acc_stride, const q8_dequant *dq,
                        float *y, size_t y_stride) {
  const q8_dequant arrays = *dq; /* a copy: the stores to y might alias the original */
  row_factors r = {.lo = _mm256_set1_ps(dq->lo), .hi = _mm256_set1_ps(dq->hi)};
  for (size_t i = 0; i < rows; i++) {
    r.factor = _mm256_set1_epi32(q8_dequant_factor(&arrays, i));
    r.scale = _mm256_set1_ps(q8_dequant_row_scale(&arrays, i));
    dequantize_row(n, acc + i * acc_stride, &arrays, &r, y + i * y_stride);
  }
}
#endif
