/* sdwconv.h - fp32 depthwise convolution for vectors of any kind: one source for the ISA folders.
 *
 * A folder defines the type sv_vec, SV_LANES, the type sv_part (which lanes are on), SV_MASKED (1 if loads and stores of
 * parts cost no more than whole ones), SV_PAIRS (1 if there are registers for the sums of two vectors), and as functions
 * sv_part_of(n), sv_load(x), sv_load_part(x, part), sv_hold(v) (v, which some compilers must be told to keep),
 * sv_store(y, v), sv_store_part(y, v, part), sv_fma(a, b, c) and sv_clamp(v, lo, hi). */
#ifndef Q8_SDWCONV_H
#define Q8_SDWCONV_H

#include "kernel.h"

/* Seven sums hide the latency of the multiply-adds, and widths of networks are multiples of seven. */
enum { SDW_PIXELS = Q8_SDWCONV_PIXELS, SDW_MAX_S = 5, SDW_MAX_VECTORS = 2, SDW_AHEAD = 4 * SDW_PIXELS };

/* Some output pixels of a row. */
typedef struct sdw_block {
  const q8_dwconv_shape *shape;
  const float *w, *bias;
  const float *const *cols;
  size_t columns;
  float lo, hi, *y;
  size_t y_stride, pixels; /* all are computed, the first of them stored */
} sdw_block;

/* In the functions below nv, s, step, many and whole are constants in every caller. The sums are those of nv
 * vectors of pixel 0, then of pixel 1; a part is one of a single vector. Loops over sums are bounded by one of the constants:
 * clang 14 unrolls the others before it inlines a function, and keeps in memory what such code seems to choose from. */

Q8_INLINE sv_vec sdw_get(int whole, const float *x, sv_part part) {
  return whole ? sv_load(x) : sv_load_part(x, part);
}

/* Adds s taps. An input column is loaded once and serves every pixel that it meets, the oldest one first; the taps of a
 * pixel come in their order. */
Q8_INLINE void sdw_taps(size_t nv, size_t s, size_t step, int whole, const float *w, size_t n,
                        const float *const *col, size_t from, sv_part part, sv_vec *sum) {
  __asm__ volatile(""
                   : "+r"(w), "+r"(col)); /* or gcc would load what cases share before it knows which it is */
  sv_vec tap[SDW_MAX_S * SDW_MAX_VECTORS];
  Q8_UNROLL
  for (size_t j = 0; j < s * nv; j++)
    tap[j] = sdw_get(whole, w + j / nv * n + j % nv * SV_LANES, part);
  const float *c = NULL;
  Q8_UNROLL
  for (size_t i = 0; i < ((SDW_PIXELS - 1) * step + s) * nv; i++) {
    const size_t x = i / nv, at = i % nv;
    c = at == 0 ? col[x] + from : c + SV_LANES;
    if (nv > 1 && x + 1 >= s) /* not of the block before */
      __builtin_prefetch(c + SDW_AHEAD * n);
    const sv_vec v = sv_hold(sdw_get(whole, c, part));
    Q8_UNROLL
    for (size_t j = s; j-- > 0;) {
      const size_t p = (x - j) / step;
      if (x >= j && (x - j) % step == 0 && p < SDW_PIXELS)
        sum[p * nv + at] = sv_fma(v, tap[j * nv + at], sum[p * nv + at]);
    }
  }
}

/* One tap of one vector, for any step. */
Q8_INLINE void sdw_tap(size_t step, int whole, const float *w, const float *const *col, size_t from,
                       sv_part part, sv_vec *sum) {
  __asm__ volatile("" : "+r"(w), "+r"(col));
  const sv_vec tap = sdw_get(whole, w, part);
  Q8_UNROLL
  for (size_t p = 0; p < SDW_PIXELS; p++)
    sum[p] = sv_fma(sdw_get(whole, col[p * step] + from, part), tap, sum[p]);
}

/* nv vectors of channels from c on, two only of three taps side by side with step 1; many: of taps that lie
 * side by side five or three share columns. */
Q8_INLINE void sdw_vectors(size_t nv, int many, int whole, const sdw_block *a, size_t c, sv_part part) {
  const q8_dwconv_shape *k = a->shape;
  const size_t n = k->channels, from = k->offset + c, step = nv > 1 ? 1 : k->col_step;
  const int shared = many && k->col_dilation == 1 && step <= 2;
  const float *w = a->w + c;
  const float *const *col = a->cols;
  sv_vec sum[SDW_PIXELS * SDW_MAX_VECTORS];
  Q8_UNROLL
  for (size_t i = 0; i < SDW_PIXELS * nv; i++)
    sum[i] = i < nv ? sdw_get(whole, a->bias + c + i * SV_LANES, part) : sum[i % nv];
  for (size_t rows = k->r, left = k->s, taps; rows > 0; left -= taps) {
    if (nv == 1 && (left < 3 || !shared)) {
      taps = 1;
      sdw_tap(step, whole, w, col, from, part, sum);
    } else if (nv > 1 || left < 5) {
      taps = 3;
      if (step == 1)
        sdw_taps(nv, 3, 1, whole, w, n, col, from, part, sum);
      else
        sdw_taps(1, 3, 2, whole, w, n, col, from, part, sum);
    } else {
      taps = 5;
      if (step == 1)
        sdw_taps(1, 5, 1, whole, w, n, col, from, part, sum);
      else
        sdw_taps(1, 5, 2, whole, w, n, col, from, part, sum);
    }
    w += taps * n;
    col += taps * k->col_dilation;
    if (left == taps) {
      left += k->s;
      col += a->columns - k->s * k->col_dilation;
      rows--;
    }
  }
  float *y = a->y + c;
  Q8_UNROLL
  for (size_t i = 0; i < SDW_PIXELS * nv; i++) {
    if (i == a->pixels * nv)
      break;
    const sv_vec v = sv_clamp(sum[i], a->lo, a->hi);
    if (whole)
      sv_store(y + i % nv * SV_LANES, v);
    else
      sv_store_part(y, v, part);
    if ((i + 1) % nv == 0)
      y += a->y_stride;
  }
}

/* Of a row of many channels 64 at a time stay in L1 from one block of pixels to the next. The last vector is a part of one,
 * or ends at the last channel: then some are computed twice, as are pixels of the last block. */
void SDWCONV(const q8_dwconv_shape *shape, const float *w, const float *bias, float lo, float hi,
                    const float *const *cols, float *y, size_t y_stride) {
  enum { CHANNELS = 64 };
  const size_t q = shape->q, n = shape->channels, last = q > SDW_PIXELS ? q - SDW_PIXELS : 0;
  const int pairs = SV_PAIRS && shape->s == 3 && shape->col_dilation == 1 && shape->col_step == 1;
  sdw_block a = {shape, w, bias, NULL, q8_sdwconv_columns(shape), lo, hi, NULL, y_stride, 0};
  for (size_t from = 0; from < n; from += CHANNELS)
    for (size_t x = 0; x < q; x += SDW_PIXELS) {
      const size_t at = x < last ? x : last, end = n - from < CHANNELS ? n : from + CHANNELS;
      a.cols = cols + at * shape->col_step;
      a.y = y + at * y_stride;
      a.pixels = q - at;
      for (size_t c = from, nv = 1; c < end; c += nv * SV_LANES) {
        nv = pairs && end - c >= 2 * SV_LANES ? 2 : 1;
        if (nv == 2)
          sdw_vectors(2, 1, 1, &a, c, sv_part_of(SV_LANES));
        else if (SV_MASKED)
          sdw_vectors(1, 1, 0, &a, c, sv_part_of(n - c));
        else if (n < SV_LANES)
          sdw_vectors(1, 0, 0, &a, c, sv_part_of(n));
        else
          sdw_vectors(1, 1, 1, &a, c + SV_LANES <= n ? c : n - SV_LANES, sv_part_of(SV_LANES));
      }
    }
}

#endif
