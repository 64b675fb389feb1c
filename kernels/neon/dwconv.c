/* Depthwise convolution: bytes widened to 16 bits, 16 x 16 -> 32 bit multiply-add, exact for every operand.
 *
 *   packed   [channel blocks][taps][8] int16, taps in the order of the column pointers (column by column).
 * The last block overlaps the one before it, so that only convolutions of fewer than 8 channels need partial
 * loads; the overlap computes the same bytes twice.
 */
#include "neon.h"

#if defined(__aarch64__)

enum { BLOCK = 8 };

static size_t block_count(size_t channels) {
  return (channels + BLOCK - 1) / BLOCK;
}

static size_t block_start(size_t block, size_t channels) {
  return channels >= BLOCK && (block + 1) * BLOCK > channels ? channels - BLOCK : block * BLOCK;
}

static size_t packed_size(size_t channels, size_t r, size_t s) {
  return block_count(channels) * r * s * BLOCK * sizeof(int16_t);
}

static void pack(size_t channels, size_t r, size_t s, const int8_t *w, void *packed) {
  int16_t *out = packed;
  for (size_t b = 0; b < block_count(channels); b++)
    for (size_t j = 0; j < s; j++)
      for (size_t i = 0; i < r; i++)
        for (size_t c = 0; c < BLOCK; c++) {
          size_t channel = block_start(b, channels) + c;
          *out++ = channel < channels ? w[(i * s + j) * channels + channel] : 0;
        }
}

typedef struct sums {
  int32x4_t low, high;
} sums;

Q8_INLINE sums add_tap(sums acc, uint8x8_t bytes, const int16_t *w) {
  int16x8_t a = vreinterpretq_s16_u16(vmovl_u8(bytes)), b = vld1q_s16(w);
  acc.low = vmlal_s16(acc.low, vget_low_s16(a), vget_low_s16(b));
  acc.high = vmlal_high_s16(acc.high, a, b);
  return acc;
}

/* `from` is added to every pointer. r and s are constant: with the loops gone the weights stay in registers from pixel to pixel. */
Q8_INLINE sums add_taps_fixed(const uint8_t *const *cols, size_t col_stride, size_t from, const int16_t *w,
                              size_t r, size_t s) {
  sums acc = {vdupq_n_s32(0), vdupq_n_s32(0)};
  Q8_UNROLL for (size_t j = 0; j < s; j++) Q8_UNROLL for (size_t i = 0; i < r; i++) acc =
      add_tap(acc, vld1_u8(cols[j * col_stride + i] + from), w + (j * r + i) * BLOCK);
  return acc;
}

/* `part`: fewer than 8 channels in all. */
Q8_INLINE sums add_taps_any(const uint8_t *const *cols, size_t col_stride, size_t from, const int16_t *w,
                            size_t r, size_t s, size_t part) {
  sums acc = {vdupq_n_s32(0), vdupq_n_s32(0)};
  for (size_t j = 0; j < s; j++, cols += col_stride)
    for (size_t i = 0; i < r; i++, w += BLOCK)
      acc = add_tap(acc, part ? neon_load_part(cols[i] + from, part) : vld1_u8(cols[i] + from), w);
  return acc;
}

/* One block of channels along the output row. */
Q8_INLINE void row_of_block(const q8_dwconv_shape *shape, const int16_t *w, const q8_requant *rq,
                            neon_round round, const uint8_t *const *cols, size_t start, uint8_t *y,
                            size_t y_stride, size_t r, size_t s, int fixed) {
  size_t part = shape->channels < BLOCK ? shape->channels : 0, col_stride = shape->col_dilation * r, from = start + shape->offset;
  for (size_t x = 0; x < shape->q; x++, cols += shape->col_step * r, y += y_stride) {
    sums acc = fixed && !part ? add_taps_fixed(cols, col_stride, from, w, r, s)
                              : add_taps_any(cols, col_stride, from, w, r, s, part);
    uint8x8_t result = neon_requant(acc.low, acc.high, rq->bias + start, rq->scale + start, round);
    if (part)
      neon_store_part(y, result, part);
    else
      vst1_u8(y + start, result);
  }
}

Q8_INLINE void dwconv(const q8_dwconv_shape *shape, const void *packed, const q8_requant *rq,
                      const uint8_t *const *cols, uint8_t *y, size_t y_stride, size_t r, size_t s,
                      int fixed) {
  const int16_t *w = packed;
  neon_round round = neon_round_init(rq->zero_point, rq->lo, rq->hi);
  for (size_t b = 0; b < block_count(shape->channels); b++, w += r * s * BLOCK)
    row_of_block(shape, w, rq, round, cols, block_start(b, shape->channels), y, y_stride, r, s, fixed);
}

static void dwconv_3x3(const q8_dwconv_shape *shape, const void *w, const q8_requant *rq,
                       const uint8_t *const *cols, uint8_t *y, size_t y_stride) {
  dwconv(shape, w, rq, cols, y, y_stride, 3, 3, 1);
}

static void dwconv_5x5(const q8_dwconv_shape *shape, const void *w, const q8_requant *rq,
                       const uint8_t *const *cols, uint8_t *y, size_t y_stride) {
  dwconv(shape, w, rq, cols, y, y_stride, 5, 5, 1);
}

static void dwconv_any(const q8_dwconv_shape *shape, const void *w, const q8_requant *rq,
                       const uint8_t *const *cols, uint8_t *y, size_t y_stride) {
  dwconv(shape, w, rq, cols, y, y_stride, shape->r, shape->s, 0);
}

static void row_sums(const q8_dwconv_shape *shape, const void *packed, const uint8_t *const *cols, int32_t *acc,
                     size_t acc_stride) {
  const size_t n = shape->channels, part = n < BLOCK ? n : 0;
  const int16_t *w = packed;
  for (size_t b = 0; b < block_count(n); b++, w += shape->r * shape->s * BLOCK)
    for (size_t x = 0, start = block_start(b, n); x < shape->q; x++) {
      const sums sum = add_taps_any(cols + x * shape->col_step * shape->r, shape->col_dilation * shape->r,
                                    start + shape->offset, w, shape->r, shape->s, part);
      int32_t t[BLOCK];
      vst1q_s32(t, sum.low);
      vst1q_s32(t + 4, sum.high);
      memcpy(acc + x * acc_stride + start, t, (part ? part : BLOCK) * sizeof *t);
    }
}

const q8_dwconv_kernel q8_neon_dwconv[] = {
    {"dwconv_neon_3x3", Q8_CPU_NEON, 3, 3, 0, -128, packed_size, pack, dwconv_3x3, row_sums, NULL},
    {"dwconv_neon_5x5", Q8_CPU_NEON, 5, 5, 0, -128, packed_size, pack, dwconv_5x5, row_sums, NULL},
    {"dwconv_neon", Q8_CPU_NEON, 0, 0, 0, -128, packed_size, pack, dwconv_any, row_sums, NULL},
    {0},
};
#endif
