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
  return steps_of_row(r, s) + (r == 3 && s == 3 ? 3 : r == 5 && s == 5 ? 6 : 0);
}

Q8_NOINLINE part q8_avx512vnni_dwconv_part(size_t c, size_t channels) {
  const size_t left = channels - c,
               width = left > 32   ? 64
                       : left > 16 ? 32
                                   : 16,
               size = width == 16 ? 64 : 256;
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

/* The taps of every step, four each; in the steps for the second row of a pair they are one byte further on,
 * in those for the last row of 5 x 5 one to three bytes, with the rest in the step after. NO_TAP is a weight
 * of 0. */
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
  for (; r == 3 && n < 4 * all; n++)
    taps[n] = n % 4 ? taps[n - 4 * steps - 1] : NO_TAP;
  for (size_t i = 8; r == 5 && n < 4 * all; i++, n++) {
    const size_t x = (i & 4) + i % 4 - i / 8; /* wraps to a large number left of the kernel */
    taps[n] = x < 5 ? (int32_t)(20 + x) : NO_TAP;
  }
}

/* Rows are 64 channels, 32 twice, or at most 16 four times: the first `words` of 64 bits again and again.
 * Without a tap they are zeros. */
static void pack_block(const part *p, size_t channels, size_t steps, const int32_t *taps, const int8_t *w,
                       int8_t *out) {
  const int64_t words = (int64_t)p->width / 8;
  const __m512i repeat =
      _mm512_and_si512(_mm512_setr_epi64(0, 1, 2, 3, 4, 5, 6, 7), _mm512_set1_epi64(words - 1));
  const __mmask64 all = first64(channels < p->width ? channels : p->width);
  for (size_t step = 0; step < steps; step++, taps += 4, out += p->step_size) {
    __m512i row[4], quad[4];
    Q8_UNROLL
    for (size_t i = 0; i < 4; i++) {
      const int none = taps[i] == NO_TAP;
      const int8_t *from = w + p->first + (none ? 0 : (size_t)taps[i] * channels);
      row[i] = _mm512_permutexvar_epi64(repeat, _mm512_maskz_loadu_epi8(none ? 0 : all, from));
    }
    interleave4(row, quad);
    if (p->width == 16) { /* lane v of register v */
      quad[0] = _mm512_mask_mov_epi64(quad[0], 0x0c, quad[1]);
      quad[2] = _mm512_mask_mov_epi64(quad[2], 0xc0, quad[3]);
      _mm512_storeu_si512(out, _mm512_mask_mov_epi64(quad[0], 0xf0, quad[2]));
      continue;
    }
    Q8_UNROLL
    for (size_t v = 0; v < 4; v++)
      _mm512_storeu_si512(out + 64 * v, quad[v]);
  }
}

static void pack_quads(size_t channels, size_t r, size_t s, const int8_t *w, int8_t *out) {
  const size_t steps = q8_avx512vnni_dwconv_steps(r, s);
  int32_t taps[4 * MAX_STEPS];
  list_taps(r, s, taps);
  for (size_t begin = 0; begin < channels;) {
    const part p = q8_avx512vnni_dwconv_part(begin, channels);
    pack_block(&p, channels, steps, taps, w, out);
    out += steps * p.step_size;
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
