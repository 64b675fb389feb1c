/* sdwconv.h - fp32 depthwise convolution for vectors of any kind: one source for the ISA folders.
 *
 * A folder defines the type sv_vec, SV_LANES, the type sv_part (which lanes are on), SV_MASKED (1 if loads and stores of
 * parts cost no more than whole ones), and as functions sv_part_of(n), sv_load(x), sv_load_part(x, part),
 * sv_store(y, v), sv_store_part(y, v, part), sv_fma(a, b, c) and sv_clamp(v, lo, hi). */
#ifndef Q8_SDWCONV_H
#define Q8_SDWCONV_H

#include "kernel.h"

/* Seven sums hide the latency of the multiply-adds, and widths of networks are multiples of seven. Of a row of many channels
 * 64 at a time stay in L1 from one block of pixels to the next. */
enum { SDW_PIXELS = 7, SDW_FEW = 4, SDW_MAX_S = 5, SDW_CHANNELS = 64 };

typedef struct sdw_row {
  const q8_dwconv_shape *shape;
  const float *w, *bias;
  const float *const *cols; /* of the first output pixel */
  float lo, hi, *y;
  size_t y_stride, width; /* see sdw_width */
} sdw_row;

/* The kernel widths and steps that have their own code; 0 is any. */
enum { SDW_3 = 1, SDW_3_STEP_2, SDW_5, SDW_5_STEP_2 };
Q8_INLINE size_t sdw_width(const q8_dwconv_shape *shape) {
  if (shape->col_dilation != 1 || shape->col_step > 2 || (shape->s != 3 && shape->s != 5))
    return 0;
  return (shape->s == 3 ? SDW_3 : SDW_5) + shape->col_step - 1;
}

/* In the functions below pixels, s, step, widths and full are constants in every caller. */

Q8_INLINE sv_vec sdw_get(int full, const float *x, sv_part part) {
  return full ? sv_load(x) : sv_load_part(x, part);
}

/* Adds the kernel rows, of width s. An input column is loaded once and serves every pixel that it meets; the taps of a pixel
 * still come in their order. */
Q8_INLINE void sdw_taps(size_t pixels, size_t s, size_t step, int full, const sdw_row *a, size_t c, sv_part part,
                        sv_vec *sum) {
  const size_t n = a->shape->channels, r = a->shape->r, from = a->shape->offset + c;
  const float *w = a->w + c;
  for (size_t i = 0; i < r; i++, w += s * n) {
    const float *const *col = a->cols + i;
    sv_vec tap[SDW_MAX_S];
    Q8_UNROLL
    for (size_t j = 0; j < s; j++)
      tap[j] = sdw_get(full, w + j * n, part);
    Q8_UNROLL
    for (size_t x = 0; x < (pixels - 1) * step + s; x++, col += r) {
      const sv_vec v = sdw_get(full, *col + from, part);
      Q8_UNROLL
      for (size_t p = 0; p < pixels; p++)
        if (x >= p * step && x - p * step < s)
          sum[p] = sv_fma(v, tap[x - p * step], sum[p]);
    }
  }
}

/* The same for any width, step and dilation. */
Q8_INLINE void sdw_any_taps(size_t pixels, int full, const sdw_row *a, size_t c, sv_part part, sv_vec *sum) {
  const q8_dwconv_shape *k = a->shape;
  for (size_t i = 0; i < k->r; i++)
    for (size_t j = 0; j < k->s; j++) {
      const sv_vec tap = sdw_get(full, a->w + (i * k->s + j) * k->channels + c, part);
      const float *const *cols = a->cols + j * k->col_dilation * k->r + i;
      Q8_UNROLL
      for (size_t p = 0; p < pixels; p++)
        sum[p] = sv_fma(sdw_get(full, cols[p * k->col_step * k->r] + k->offset + c, part), tap, sum[p]);
    }
}

/* One vector of channels from c on of `pixels` outputs; widths: all cases are here, else any size takes the same way. They
 * share what comes before and after. */
Q8_INLINE void sdw_pixels(size_t pixels, int widths, int full, const sdw_row *a, size_t c, sv_part part) {
  sv_vec sum[SDW_PIXELS];
  Q8_UNROLL
  for (size_t p = 0; p < pixels; p++)
    sum[p] = sdw_get(full, a->bias + c, part);
  switch (widths ? a->width : 0) {
  case SDW_3:
    sdw_taps(pixels, 3, 1, full, a, c, part, sum);
    break;
  case SDW_3_STEP_2:
    sdw_taps(pixels, 3, 2, full, a, c, part, sum);
    break;
  case SDW_5:
    sdw_taps(pixels, 5, 1, full, a, c, part, sum);
    break;
  case SDW_5_STEP_2:
    sdw_taps(pixels, 5, 2, full, a, c, part, sum);
    break;
  default:
    sdw_any_taps(pixels, full, a, c, part, sum);
  }
  Q8_UNROLL
  for (size_t p = 0; p < pixels; p++) {
    float *y = a->y + p * a->y_stride + c;
    const sv_vec v = sv_clamp(sum[p], a->lo, a->hi);
    if (full)
      sv_store(y, v);
    else
      sv_store_part(y, v, part);
  }
}

Q8_INLINE sdw_row sdw_at(const sdw_row *a, size_t x) {
  sdw_row moved = *a;
  moved.cols += x * a->shape->col_step * a->shape->r;
  moved.y += x * a->y_stride;
  return moved;
}

/* Channels from c to `end` of some pixels from x on. The last vector ends at the last channel: some are computed twice. */
Q8_INLINE void sdw_channels(size_t pixels, const sdw_row *row, size_t x, size_t c, size_t end) {
  const sdw_row a = sdw_at(row, x);
  for (; c < end; c += SV_LANES)
    sdw_pixels(pixels, pixels == SDW_PIXELS, 1, &a, c + SV_LANES <= end ? c : end - SV_LANES, sv_part_of(SV_LANES));
}

/* Blocks of `pixels`; the last one ends at the last pixel. */
Q8_INLINE void sdw_blocks(size_t pixels, const sdw_row *a) {
  const size_t q = a->shape->q, n = a->shape->channels;
  for (size_t c = 0; c < n; c += SDW_CHANNELS)
    for (size_t x = 0; x < q; x += pixels)
      sdw_channels(pixels, a, x + pixels <= q ? x : q - pixels, c, n - c < SDW_CHANNELS ? n : c + SDW_CHANNELS);
}

/* Any number of channels, the last ones as a part of a vector. */
Q8_INLINE void sdw_parts(size_t pixels, const sdw_row *row) {
  const size_t q = row->shape->q, n = row->shape->channels;
  for (size_t x = 0; x < q; x += pixels) {
    const sdw_row a = sdw_at(row, x + pixels <= q ? x : q - pixels);
    for (size_t c = 0; c < n; c += SV_LANES)
      sdw_pixels(pixels, 0, 0, &a, c, sv_part_of(n - c));
  }
}

void SDWCONV(const q8_dwconv_shape *shape, const float *w, const float *bias, float lo, float hi,
                    const float *const *cols, float *y, size_t y_stride) {
  const sdw_row a = {shape, w, bias, cols, lo, hi, y, y_stride, sdw_width(shape)};
  const int parts = shape->channels < SV_LANES || (SV_MASKED && shape->q < SDW_PIXELS);
  if (parts && shape->q < SDW_FEW)
    sdw_parts(1, &a);
  else if (parts)
    sdw_parts(SDW_FEW, &a);
  else if (!SV_MASKED && shape->q < SDW_FEW)
    sdw_blocks(1, &a);
  else if (!SV_MASKED && shape->q < SDW_PIXELS)
    sdw_blocks(SDW_FEW, &a);
  else
    sdw_blocks(SDW_PIXELS, &a);
}

#endif
