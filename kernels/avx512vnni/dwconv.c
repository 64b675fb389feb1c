/* dwconv.c - depthwise convolution of one output row, any kernel size; weights stay [r][s][channels] */
#if defined(__AVX512VNNI__) && defined(__AVX512BW__) && defined(__AVX512VL__) && defined(__AVX512DQ__)
#include "vec.h"

static size_t packed_size(size_t channels, size_t r, size_t s) {
  return r * s * ((channels + 63) / 64 * 64);
}

static void pack(size_t channels, size_t r, size_t s, const int8_t *w, void *packed) {
  const size_t width = (channels + 63) / 64 * 64;
  memset(packed, 0, packed_size(channels, r, s));
  for (size_t t = 0; t < r * s; t++)
    memcpy((int8_t *)packed + t * width, w + t * channels, channels);
}

/* Channels [c, c + n) of one output pixel, n <= 64. A lane uses one of its four products. */
static __m512i pixel64(const q8_dwconv_shape *shape, const int8_t *w, const q8_requant *rq,
                       const requant_bounds *b, const uint8_t *const *cols, size_t c, size_t n) {
  const size_t width = (shape->channels + 63) / 64 * 64;
  __m512i acc[4];
  Q8_UNROLL
  for (int v = 0; v < 4; v++)
    acc[v] = _mm512_loadu_si512(rq->bias + c + 16 * v);
  for (size_t i = 0; i < shape->r; i++)
    for (size_t j = 0; j < shape->s; j++) {
      const uint8_t *x = cols[j * shape->col_dilation * shape->r + i] + c;
      const int8_t *tap = w + (i * shape->s + j) * width + c;
      Q8_UNROLL
      for (int v = 0; v < 4; v++) {
        __m512i value = _mm512_cvtepu8_epi32(_mm_maskz_loadu_epi8(lanes16(n, 16 * v), x + 16 * v));
        __m512i weight = _mm512_cvtepi8_epi32(_mm_loadu_si128((const __m128i *)(tap + 16 * v)));
        acc[v] = _mm512_dpbusd_epi32(acc[v], value, weight);
      }
    }
  Q8_UNROLL
  for (int v = 0; v < 4; v++)
    acc[v] =
        round_below(_mm512_mul_ps(_mm512_cvtepi32_ps(acc[v]), _mm512_loadu_ps(rq->scale + c + 16 * v)), b);
  __m512i y = narrow_plain(acc, b);
  return rq->table ? lookup(y, rq->table) : y;
}

static void dwconv(const q8_dwconv_shape *shape, const void *w, const q8_requant *rq,
                   const uint8_t *const *cols, uint8_t *y, size_t y_stride) {
  const requant_bounds b = bounds_of(rq->zero_point, rq->lo, rq->hi);
  for (size_t x = 0; x < shape->q; x++, y += y_stride, cols += shape->col_step * shape->r)
    for (size_t c = 0; c < shape->channels; c += 64)
      _mm512_mask_storeu_epi8(y + c, first64(shape->channels - c),
                              pixel64(shape, w, rq, &b, cols, c, shape->channels - c));
}

const q8_dwconv_kernel q8_avx512vnni_dwconv[] = {
    {"dwconv_avx512vnni", Q8_NEEDS_AVX512VNNI, 0, 0, 0, -128, packed_size, pack, dwconv},
    {0},
};
#endif
