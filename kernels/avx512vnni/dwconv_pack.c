/* dwconv_pack.c - weights of the depthwise kernel: the quads of every step; dwconv.c explains the terms. */
#if defined(__AVX512VNNI__) && defined(__AVX512BW__) && defined(__AVX512VL__) && defined(__AVX512DQ__)
#include "dwconv.h"

static size_t steps_of_row(size_t r, size_t s) {
  return r / 4 * s + (r % 4 == 1 ? (s + 3) / 4 : r % 4 ? s : 0);
}

/* At worst nothing is shared and every step has a plane of its own: a unit of each must fit the scratch. */
int q8_avx512vnni_dwconv_fits(size_t r, size_t s) {
  return r < 256 && s < 256 && steps_of_row(r, s) <= MAX_STEPS;
}

size_t q8_avx512vnni_dwconv_steps(size_t r, size_t s) {
  return (r == 3 && s == 3 ? 2 : 1) * steps_of_row(r, s);
}

part q8_avx512vnni_dwconv_part(size_t c, size_t channels) {
  const size_t left = channels - c;
  const size_t width = left > 32 ? 64 : left > 16 ? 32 : 16, size = width == 16 ? 64 : 256;
  if (left >= width)
    return (part){c, width, c + width, size};
  if (channels >= width)
    return (part){channels - width, width, channels, size};
  return width == 16 ? (part){0, 16, channels, 64} : (part){0, width / 2, width / 2, width == 64 ? 256 : 64};
}

size_t q8_avx512vnni_dwconv_size(size_t channels, size_t r, size_t s) {
  size_t size = 0;
  if (!q8_avx512vnni_dwconv_fits(r, s))
    return q8_avx512bw_dwconv->packed_size(channels, r, s);
  for (size_t c = 0; c < channels;) {
    const part p = q8_avx512vnni_dwconv_part(c, channels);
    size += q8_avx512vnni_dwconv_steps(r, s) * p.step_size;
    c = p.end;
  }
  return size;
}

/* The taps of every step, four each, and one less further on in the steps for the second row of a pair; NO_TAP is a weight of 0. */
enum { NO_TAP = -1 };
static void list_taps(size_t r, size_t s, int32_t taps[4 * MAX_STEPS]) {
  const size_t all = q8_avx512vnni_dwconv_steps(r, s), steps = steps_of_row(r, s);
  size_t n = 0;
  for (size_t row = 0; row < r; row += 4)
    for (size_t column = 0; column < s; column += r - row == 1 ? 4 : 1)
      for (size_t i = 0; i < 4; i++) {
        const size_t y = r - row == 1 ? row : row + i, x = r - row == 1 ? column + i : column;
        taps[n++] = y < r && x < s ? (int32_t)(y * s + x) : NO_TAP;
      }
  for (; steps < all && n < 4 * all; n++)
    taps[n] = n % 4 ? taps[n - 4 * steps - 1] : NO_TAP;
}

/* 64 channels, 32 twice, or n <= 16 four times. */
Q8_INLINE __m512i load_channels(size_t width, size_t n, const int8_t *w) {
  if (width == 64)
    return _mm512_loadu_si512(w);
  if (width == 32)
    return _mm512_broadcast_i64x4(_mm256_loadu_si256((const __m256i *)(const void *)w));
  return _mm512_broadcast_i32x4(_mm_maskz_loadu_epi8(first16(n), w));
}

/* A step of four rows of weights or, for NULL, of zeros. */
Q8_INLINE void pack_step(size_t width, size_t n, const int8_t *const w[4], int8_t *out) {
  __m512i row[4], quad[4];
  Q8_UNROLL
  for (size_t i = 0; i < 4; i++)
    row[i] = w[i] ? load_channels(width, n, w[i]) : _mm512_setzero_si512();
  interleave4(row, quad);
  if (width == 16) { /* lane v of register v */
    quad[0] = _mm512_mask_mov_epi64(quad[0], 0x0c, quad[1]);
    quad[2] = _mm512_mask_mov_epi64(quad[2], 0xc0, quad[3]);
    _mm512_storeu_si512(out, _mm512_mask_mov_epi64(quad[0], 0xf0, quad[2]));
    return;
  }
  Q8_UNROLL
  for (size_t v = 0; v < 4; v++)
    _mm512_storeu_si512(out + 64 * v, quad[v]);
}

static void pack_quads(size_t channels, size_t r, size_t s, const int8_t *w, int8_t *out) {
  const size_t steps = q8_avx512vnni_dwconv_steps(r, s);
  int32_t taps[4 * MAX_STEPS];
  list_taps(r, s, taps);
  for (size_t begin = 0; begin < channels;) {
    const part p = q8_avx512vnni_dwconv_part(begin, channels);
    for (size_t i = 0; i < steps; i++, out += p.step_size) {
      const int8_t *from[4];
      for (size_t tap = 0; tap < 4; tap++) {
        const int32_t t = taps[4 * i + tap];
        from[tap] = t == NO_TAP ? NULL : w + (size_t)t * channels + p.first;
      }
      pack_step(p.width, channels, from, out);
    }
    begin = p.end;
  }
}

void q8_avx512vnni_dwconv_pack(size_t channels, size_t r, size_t s, const int8_t *w, void *packed) {
  if (q8_avx512vnni_dwconv_fits(r, s))
    pack_quads(channels, r, s, w, packed);
  else
    q8_avx512bw_dwconv->pack(channels, r, s, w, packed);
}
#endif
