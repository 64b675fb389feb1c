/* dwconv_narrow.c - blocks of 16 channels and less: a register holds the quads of one pixel in the order of
 * channels, so that sums, bias and scale are in that order too. */
#if defined(__AVX512VNNI__) && defined(__AVX512BW__) && defined(__AVX512VL__) && defined(__AVX512DQ__)
#include "dwconv.h"

/* Hides where z comes from: clang would merge insertions and both transpositions into a longer sequence of
 * shuffles. gcc does not, and would only copy registers. */
#if defined(__clang__)
#define KEEP(z) __asm__("" : "+v"(z))
#else
#define KEEP(z) (void)(z)
#endif

/* Four taps of 16 bytes in the lanes of a register are transposed: first the dwords across the lanes, then
 * the bytes in each. */
Q8_INLINE __m512i transpose_lanes(__m512i z) {
  const __m512i bytes =
      _mm512_broadcast_i32x4(_mm_setr_epi8(0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15));
  KEEP(z);
  z = _mm512_permutexvar_epi32(quad_index(), z);
  KEEP(z);
  return _mm512_shuffle_epi8(z, bytes);
}

/* 16 channels; without the last tap, whose weight is 0 then, the first stands in for it. Merging under a mask
 * while loading keeps the insertions from the one port that can shuffle. */
Q8_INLINE __m512i load_narrow(int all, const uint8_t *const *p, size_t t1, size_t t2, size_t t3,
                              size_t first) {
  __m512i z = _mm512_broadcast_i32x4(_mm_loadu_si128((const __m128i *)(p[0] + first)));
  KEEP(z);
  z = _mm512_mask_broadcast_i32x4(z, 0x00f0, _mm_loadu_si128((const __m128i *)(p[t1] + first)));
  z = _mm512_mask_broadcast_i32x4(z, 0x0f00, _mm_loadu_si128((const __m128i *)(p[t2] + first)));
  if (all)
    z = _mm512_mask_broadcast_i32x4(z, 0xf000, _mm_loadu_si128((const __m128i *)(p[t3] + first)));
  return transpose_lanes(z);
}

void q8_avx512vnni_dwconv_fill16(const block *b, const uint8_t *const *p, const size_t tap[4], size_t step,
                                 size_t units, uint8_t *quads) {
  const size_t first = b->first, t1 = tap[1], t2 = tap[2], t3 = tap[3];
  const __mmask16 m = first16(b->channels);
  uint8_t *const end = quads + 64 * units;
  for (; m == 0xffff && quads < end; quads += 64, p += step)
    _mm512_store_si512(quads, load_narrow(1, p, t1, t2, t3, first));
  for (; quads < end; quads += 64, p += step) {
    const __m512i z = join4(_mm_maskz_loadu_epi8(m, p[0] + first), _mm_maskz_loadu_epi8(m, p[t1] + first),
                            _mm_maskz_loadu_epi8(m, p[t2] + first), _mm_maskz_loadu_epi8(m, p[t3] + first));
    _mm512_store_si512(quads, transpose_lanes(z));
  }
}

/* ---- 3 x 3 in one pass ---- */

Q8_INLINE void store_four(const block *b, const __m512i sum[4], uint8_t *y) {
  __m512i z = requant_quads(1, sum, b->scale, &b->bounds);
  if (__builtin_expect(b->clamps, 0))
    z = clamp_bytes(z, b);
  store_parts(4, _mm512_permutexvar_epi32(quad_index(), z), 0xffff, y, b->y_stride, 4);
}
Q8_INLINE void append(__m512i sum[4], __m512i next) {
  sum[0] = sum[1], sum[1] = sum[2], sum[2] = sum[3], sum[3] = next;
}

/* With stride 1. Quads move on by one column and stay in registers, as weights do. The sums of the last four
 * outputs are rounded at every fourth, and at the end once more, when some may be among those before. */
static void row16(const block *b, const uint8_t *const *p, uint8_t *y) {
  const size_t first = b->first, pitch = b->pitch, down = b->row_stride;
  __m512i w[6], sum[4], lower[4], bias = b->bias[0];
  __m512i q0, q1 = load_narrow(down > 0, p, 1, 2, 3, first),
              q2 = load_narrow(down > 0, p += pitch, 1, 2, 3, first);
  Q8_UNROLL
  for (int i = 0; i < 6; i++)
    w[i] = _mm512_load_si512(b->w + 64 * i);
  Q8_UNROLL
  for (int i = 0; i < 4; i++)
    sum[i] = lower[i] = bias;
  for (size_t x = 1; x <= b->length; x++) {
    q0 = q1, q1 = q2;
    __asm__ volatile("" ::: "memory"); /* gcc would load before it asks, and shuffle then */
    q2 = load_narrow(down > 0, p += pitch, 1, 2, 3, first);
    __m512i next = bias;
    add_products(&next, q0, w[0]);
    add_products(&next, q1, w[1]);
    add_products(&next, q2, w[2]);
    append(sum, next);
    if (down) {
      next = bias;
      add_products(&next, q0, w[3]);
      add_products(&next, q1, w[4]);
      add_products(&next, q2, w[5]);
      append(lower, next);
    }
    if (x % 4 == 0 || x == b->length) {
      uint8_t *const to = y + (x - 4) * b->y_stride;
      store_four(b, sum, to);
      if (down)
        store_four(b, lower, to + down);
    }
  }
}

/* With stride 2. Four outputs are rounded and stored while the next ones are summed: one after the other, the
 * chain of both is longer than the CPU looks ahead. The last four may be among those before. */
static void row16_2(const block *b, const uint8_t *const *cols, uint8_t *y) {
  const size_t first = b->first, n = b->length;
  const uint8_t *const *p = cols;
  uint8_t *to = NULL;
  __m512i w[3], sum[4], before[4], bias = b->bias[0], q0, q1, q2 = bias;
  Q8_UNROLL
  for (int i = 0; i < 3; i++)
    w[i] = _mm512_load_si512(b->w + 64 * i);
  for (size_t at = 0;; at += 4) {
    const size_t x = at + 4 <= n ? at : n - 4;
    if (at < n) {
      if (at == 0 || x < at)
        q2 = load_narrow(0, p = cols + 6 * x, 1, 2, 2, first);
      Q8_UNROLL
      for (int i = 0; i < 4; i++) {
        q0 = q2;
        q1 = load_narrow(0, p += 3, 1, 2, 2, first);
        q2 = load_narrow(0, p += 3, 1, 2, 2, first);
        sum[i] = bias;
        add_products(&sum[i], q0, w[0]);
        add_products(&sum[i], q1, w[1]);
        add_products(&sum[i], q2, w[2]);
      }
    }
    if (to)
      store_four(b, before, to);
    if (at >= n)
      return;
    to = y + x * b->y_stride;
    Q8_UNROLL
    for (int i = 0; i < 4; i++)
      before[i] = sum[i];
  }
}

void q8_avx512vnni_dwconv_row16(const block *b, const uint8_t *const *p, uint8_t *y) {
  (b->shape->col_step == 2 ? row16_2 : row16)(b, p, y);
}
#endif
