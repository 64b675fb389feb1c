/* dwconv_multiply.c - the second and third pass of the depthwise kernel. */
#if defined(__AVX512VNNI__) && defined(__AVX512BW__) && defined(__AVX512VL__) && defined(__AVX512DQ__)
#include "dwconv.h"

/* ---- Sums ---- */

/* `count` registers of sums, one of the vectors of each. */
Q8_INLINE void tile(int count, const block *b, const uint8_t *quads, const int8_t *w, size_t next,
                    __m512i bias, uint8_t *acc) {
  const uint32_t *offset = b->layout.offset, *const end = offset + b->layout.steps;
  __m512i sum[TILE];
  Q8_UNROLL
  for (int t = 0; t < count; t++)
    sum[t] = bias;
  for (; offset < end; offset++, w += next) {
    const __m512i weight = _mm512_load_si512(w);
    const uint8_t *from = quads + *offset;
    Q8_UNROLL
    for (int t = 0; t < count; t++)
      add_products(&sum[t], _mm512_load_si512(from + 64 * t), weight);
  }
  Q8_UNROLL
  for (int t = 0; t < count; t++)
    _mm512_store_si512(acc + 64 * t, sum[t]);
}

void q8_avx512vnni_dwconv_multiply(block *b, const int8_t *w, size_t n) {
  for (size_t v = 0; v < b->vectors; v++, w += 64) {
    const uint8_t *quads = b->quads + v * QUAD_ROW;
    uint8_t *acc = b->acc + v * SUM_ROW;
    const __m512i bias = b->bias[v];
    size_t left = n;
    for (; left > TILE / 2; left -= left < TILE ? left : TILE, quads += TILE * 64, acc += TILE * 64)
      tile(TILE, b, quads, w, 64 * b->vectors, bias, acc);
    if (left > 0)
      tile(TILE / 2, b, quads, w, 64 * b->vectors, bias, acc);
  }
}

/* ---- Results ---- */

/* Bytes of an output of each strip. */
Q8_INLINE void store_halves(__m512i z, uint8_t *x, uint8_t *y) {
  _mm256_storeu_si256((__m256i *)x, _mm512_castsi512_si256(z));
  _mm256_storeu_si256((__m256i *)y, _mm512_extracti64x4_epi64(z, 1));
}

/* Sums of 64 channels, or of 32 of an output of each strip, to int32. */
Q8_INLINE void store_sums(const __m512i t[4], int32_t *y, int32_t *half) {
  __m512i plain[4] = {t[0], t[1], t[2], t[3]};
  transpose4_lanes(plain);
  _mm512_storeu_si512(y, plain[0]);
  _mm512_storeu_si512(y + 16, plain[1]);
  _mm512_storeu_si512(half, plain[2]);
  _mm512_storeu_si512(half + 16, plain[3]);
}

/* A unit at a time, or four of 16 channels. */
void q8_avx512vnni_dwconv_finish(const block *b, void *y, size_t n) {
  const size_t narrow = b->vectors == 1, units = narrow ? 4 : 1, row = narrow ? 64 : SUM_ROW;
  const size_t stride = b->y_stride, channels = b->channels, half = channels == 64 ? 32 : b->across;
  const int small = b->small, clamps = b->clamps;
  const __m512 scale[4] = {b->scale[0], b->scale[1], b->scale[2], b->scale[3]};
  const requant_bounds bounds = b->bounds;
  const __mmask16 mask = first16(channels);
  const uint8_t *acc = b->acc;
  uint8_t *out = y;
  int32_t *sums = y;
  for (; n > 0;
       n -= n < units ? n : units, acc += 64 * units, out += units * stride, sums += units * stride) {
    __m512i t[4];
    Q8_UNROLL
    for (size_t v = 0; v < 4; v++)
      t[v] = _mm512_load_si512(acc + v * row);
    if (b->sums) {
      if (!narrow)
        store_sums(t, sums, sums + half);
      for (size_t i = 0; narrow && i < 4 && i < n; i++)
        _mm512_mask_storeu_epi32(sums + i * stride, mask, _mm512_load_si512(acc + 64 * i));
      continue;
    }
    __m512i z = small ? requant_quads(1, t, scale, &bounds) : requant_quads(0, t, scale, &bounds);
    if (__builtin_expect(clamps, 0))
      z = clamp_bytes(z, b);
    if (channels == 64)
      _mm512_storeu_si512(out, z);
    else if (channels == 32)
      store_halves(z, out, out + half);
    else if (channels == 16 && n >= 4)
      store_parts(4, _mm512_permutexvar_epi32(quad_index(), z), 0xffff, out, stride, 4);
    else
      store_parts(4, _mm512_permutexvar_epi32(quad_index(), z), mask, out, stride, n);
  }
}
#endif
