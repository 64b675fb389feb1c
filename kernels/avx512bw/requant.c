/* requant.c - int32 accumulators to uint8 or float, 64 or 16 columns at a time. */
#if defined(__AVX512F__) && defined(__AVX512BW__) && defined(__AVX512VL__) && defined(__AVX512DQ__)
#include "vec.h"

/* At most 64 columns of every row: bias and scale stay in registers. */
Q8_INLINE void requant64(size_t rows, size_t n, const int32_t *acc, size_t acc_stride, const q8_requant *rq,
                         uint8_t *y, size_t y_stride) {
  const requant_bounds r = bounds_of(rq->zero_point, rq->lo, rq->hi);
  __m512i bias[4];
  __m512 scale[4];
  Q8_UNROLL
  for (int i = 0; i < 4; i++) {
    bias[i] = _mm512_loadu_si512(rq->bias + 16 * i);
    scale[i] = _mm512_loadu_ps(rq->scale + 16 * i);
  }
  for (size_t row = 0; row < rows; row++, acc += acc_stride, y += y_stride) {
    __m512i t[4];
    Q8_UNROLL
    for (int i = 0; i < 4; i++) {
      __m512i sum = _mm512_add_epi32(_mm512_maskz_loadu_epi32(lanes16(n, 16 * i), acc + 16 * i), bias[i]);
      t[i] = round_below(_mm512_mul_ps(_mm512_cvtepi32_ps(sum), scale[i]), &r);
    }
    _mm512_mask_storeu_epi8(y, first64(n), narrow_plain(t, &r));
  }
}

/* Rows of at most 16 * parts columns, which fill a part of the registers: 4 / parts of them at a time. */
Q8_INLINE void requant_narrow(size_t parts, size_t rows, size_t n, const int32_t *acc, size_t acc_stride,
                              const q8_requant *rq, uint8_t *y, size_t y_stride) {
  const requant_bounds r = bounds_of(rq->zero_point, rq->lo, rq->hi);
  const size_t step = 4 / parts;
  for (size_t i = 0; i < rows; i += step) {
    __m512i t[4];
    Q8_UNROLL
    for (size_t j = 0; j < 4; j++) {
      const size_t row = i + j / parts < rows ? i + j / parts : i, c = j % parts * 16;
      __m512i sum = _mm512_add_epi32(_mm512_maskz_loadu_epi32(lanes16(n, c), acc + row * acc_stride + c),
                                     _mm512_loadu_si512(rq->bias + c));
      t[j] = round_below(_mm512_mul_ps(_mm512_cvtepi32_ps(sum), _mm512_loadu_ps(rq->scale + c)), &r);
    }
    __m512i z = narrow_plain(t, &r);
    Q8_UNROLL
    for (size_t j = 0; j < step; j++) {
      if (i + j < rows)
        _mm512_mask_storeu_epi8(y + (i + j) * y_stride, first64(n), z);
      /* the next row to the front */
      z = parts == 1 ? _mm512_shuffle_i32x4(z, z, 0x39) : _mm512_shuffle_i32x4(z, z, 0x4e);
    }
  }
}

void q8_avx512bw_requant(size_t rows, size_t n, const int32_t *acc, size_t acc_stride, const q8_requant *rq,
                    uint8_t *y, size_t y_stride) {
  q8_requant part = *rq;
  for (; n >= 64; n -= 64, acc += 64, y += 64, part.bias += 64, part.scale += 64)
    requant64(rows, 64, acc, acc_stride, &part, y, y_stride);
  if (n > 32)
    requant64(rows, n, acc, acc_stride, &part, y, y_stride);
  else if (n > 16)
    requant_narrow(2, rows, n, acc, acc_stride, &part, y, y_stride);
  else if (n > 0)
    requant_narrow(1, rows, n, acc, acc_stride, &part, y, y_stride);
}

/* Multiply, then add: an FMA would round once less than the scalar kernel. */
void q8_avx512bw_dequant_acc(size_t rows, size_t n, const int32_t *acc, size_t acc_stride, const q8_dequant *dq,
                        float *y, size_t y_stride) {
  const q8_dequant arrays = *dq; /* a copy: the stores to y might alias the original */
  const __m512 lo = _mm512_set1_ps(dq->lo), hi = _mm512_set1_ps(dq->hi);
  for (size_t i = 0; i < rows; i++, acc += acc_stride, y += y_stride) {
    const __m512i factor = _mm512_set1_epi32(q8_dequant_factor(&arrays, i));
    const __m512 row_scale = _mm512_set1_ps(q8_dequant_row_scale(&arrays, i));
    for (size_t c = 0; c < n; c += 16) {
      __mmask16 m = first16(n - c);
      __m512i offset = _mm512_mullo_epi32(factor, _mm512_loadu_si512(arrays.offset + c));
      __m512i sum = _mm512_add_epi32(_mm512_maskz_loadu_epi32(m, acc + c), offset);
      __m512 v =
          _mm512_mul_ps(_mm512_cvtepi32_ps(sum), _mm512_mul_ps(row_scale, _mm512_loadu_ps(arrays.scale + c)));
      v = _mm512_add_ps(v, _mm512_loadu_ps(arrays.bias + c));
      _mm512_mask_storeu_ps(y + c, m, clamp_ps(v, lo, hi));
    }
  }
}
#endif
