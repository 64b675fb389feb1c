/* dwconv.c - depthwise convolution with sdot: the bytes of four kernel rows of a channel side by side in a lane.
 *
 * A column of the kernel is cut into groups of four rows, the last one filled up with zero weights. Interleaving a
 * group gives four registers of four channels each (quads); in kernels of 3x3 and 5x5 with stride 1 or 2 they serve up
 * to four neighbouring outputs. Blocks of 16 channels; the last one overlaps the one before it, so that only
 * convolutions of fewer than 16 channels need partial loads.
 *
 *   packed  [channel blocks][s][groups][16 channels][4]
 */
#include "dot.h"

#if defined(__aarch64__) && defined(__ARM_FEATURE_DOTPROD)

enum { BLOCK = 16, OUTPUTS = 4 };

/* Between columns: gcc would otherwise load many of them first and spill the sums. */
#define KEEP_ORDER __asm__ volatile("" ::: "memory")

static size_t block_count(size_t channels) {
  return (channels + BLOCK - 1) / BLOCK;
}
static size_t block_start(size_t block, size_t channels) {
  return channels >= BLOCK && (block + 1) * BLOCK > channels ? channels - BLOCK : block * BLOCK;
}
static size_t packed_size(size_t channels, size_t r, size_t s) {
  return block_count(channels) * s * ((r + 3) / 4) * BLOCK * 4;
}

static void pack(size_t channels, size_t r, size_t s, const int8_t *w, void *packed) {
  int8_t *out = packed;
  for (size_t b = 0; b < block_count(channels); b++)
    for (size_t j = 0; j < s; j++)
      for (size_t group = 0; group < r; group += 4)
        for (size_t c = block_start(b, channels), end = c + BLOCK; c < end; c++)
          for (size_t i = group; i < group + 4; i++)
            *out++ = i < r && c < channels ? w[(i * s + j) * channels + c] : 0;
}

/* `part`: the number of channels if there are fewer than 16 in all, else 0. */
Q8_INLINE uint8x16_t load_row(const uint8_t *x, size_t from, size_t part) {
  uint8_t bytes[BLOCK] = {0};
  if (!part)
    return vld1q_u8(x + from);
  memcpy(bytes, x + from, part);
  return vld1q_u8(bytes);
}

typedef struct quads {
  int8x16_t v[4]; /* of channels 4 v .. 4 v + 3 */
} quads;

/* Rows [group, group + 4) of a column; those from r on have zero weights and may hold anything. */
Q8_INLINE quads load_quads(const uint8_t *const *column, size_t group, size_t r, size_t from, size_t part) {
  uint8x16_t row[4];
  Q8_UNROLL for (size_t i = 0; i < 4; i++) row[i] =
      group + i < r ? load_row(column[group + i], from, part) : row[0];
  uint8x16x2_t a = vzipq_u8(row[0], row[1]), b = vzipq_u8(row[2], row[3]);
  uint16x8x2_t low = vzipq_u16(vreinterpretq_u16_u8(a.val[0]), vreinterpretq_u16_u8(b.val[0]));
  uint16x8x2_t high = vzipq_u16(vreinterpretq_u16_u8(a.val[1]), vreinterpretq_u16_u8(b.val[1]));
  return (quads){{dot_signed(vreinterpretq_u8_u16(low.val[0])), dot_signed(vreinterpretq_u8_u16(low.val[1])),
                  dot_signed(vreinterpretq_u8_u16(high.val[0])), dot_signed(vreinterpretq_u8_u16(high.val[1]))}};
}

Q8_INLINE void add_group(int32x4_t sum[4], quads x, const int8_t *w) {
  Q8_UNROLL for (int v = 0; v < 4; v++) sum[v] = vdotq_s32(sum[v], x.v[v], vld1q_s8(w + 16 * v));
}

typedef struct epilogue {
  const int32_t *bias;
  const float *scale; /* both of the block's first channel */
  neon_round round;
  size_t start, from, part; /* from: start, and what is added to every pointer */
} epilogue;

Q8_INLINE void finish(const int32x4_t sum[4], const epilogue *e, uint8_t *y) {
  uint8_t bytes[BLOCK];
  uint8x16_t t = vcombine_u8(neon_requant(sum[0], sum[1], e->bias, e->scale, e->round),
                             neon_requant(sum[2], sum[3], e->bias + 8, e->scale + 8, e->round));
  if (!e->part) {
    vst1q_u8(y + e->start, t);
    return;
  }
  vst1q_u8(bytes, t);
  memcpy(y, bytes, e->part);
}

/* One output, any kernel size. */
Q8_INLINE void add_taps(const q8_dwconv_shape *shape, const int8_t *w, size_t from, size_t part,
                        const uint8_t *const *cols, int32x4_t sum[4]) {
  Q8_UNROLL for (int v = 0; v < 4; v++) sum[v] = vdupq_n_s32(0);
  for (size_t j = 0; j < shape->s; j++, cols += shape->col_dilation * shape->r)
    for (size_t group = 0; group < shape->r; group += 4, w += 64)
      add_group(sum, load_quads(cols, group, shape->r, from, part), w);
}
Q8_INLINE void one_output(const q8_dwconv_shape *shape, const int8_t *w, const epilogue *e,
                          const uint8_t *const *cols, uint8_t *y) {
  int32x4_t sum[4];
  add_taps(shape, w, e->from, e->part, cols, sum);
  finish(sum, e, y);
}

/* Four neighbouring outputs of a full block without dilation; r, s and step are constants in every caller. */
Q8_INLINE void four_outputs(size_t r, size_t s, size_t step, const int8_t *w, const epilogue *e,
                            const uint8_t *const *cols, uint8_t *y, size_t y_stride) {
  int32x4_t sum[OUTPUTS][4];
  Q8_UNROLL for (size_t o = 0; o < OUTPUTS; o++) Q8_UNROLL for (int v = 0; v < 4; v++) sum[o][v] = vdupq_n_s32(0);
  Q8_UNROLL for (size_t u = 0; u < (OUTPUTS - 1) * step + s; u++) Q8_UNROLL for (size_t g = 0; g < (r + 3) / 4; g++) {
    KEEP_ORDER;
    const quads x = load_quads(cols + u * r, 4 * g, r, e->from, 0);
    Q8_UNROLL for (size_t o = 0; o < OUTPUTS; o++) {
      const size_t j = u - o * step; /* wraps to a large number left of the window */
      if (j < s)
        add_group(sum[o], x, w + (j * ((r + 3) / 4) + g) * 64);
    }
  }
  Q8_UNROLL for (size_t o = 0; o < OUTPUTS; o++) finish(sum[o], e, y + o * y_stride);
}

/* `fixed`: r and s are constants. The last four outputs may overlap those before. */
Q8_INLINE void block_of_row(int fixed, size_t r, size_t s, const q8_dwconv_shape *shape, const int8_t *w,
                            const epilogue *e, const uint8_t *const *cols, uint8_t *y, size_t y_stride) {
  const size_t q = shape->q, step = shape->col_step;
  const int fours = fixed && !e->part && q >= OUTPUTS && step <= 2 && shape->col_dilation == 1;
  for (size_t at = 0; at < q; at += fours ? OUTPUTS : 1) {
    const size_t x = fours && at + OUTPUTS > q ? q - OUTPUTS : at;
    if (fours && step == 1)
      four_outputs(r, s, 1, w, e, cols + x * r, y + x * y_stride, y_stride);
    else if (fours)
      four_outputs(r, s, 2, w, e, cols + x * 2 * r, y + x * y_stride, y_stride);
    else
      one_output(shape, w, e, cols + x * step * shape->r, y + x * y_stride);
  }
}

Q8_INLINE void dwconv(int fixed, size_t r, size_t s, const q8_dwconv_shape *shape, const void *packed,
                      const q8_requant *rq, const uint8_t *const *cols, uint8_t *y, size_t y_stride) {
  const int8_t *w = packed;
  const size_t c = shape->channels, block_size = packed_size(1, shape->r, shape->s);
  for (size_t b = 0; b < block_count(c); b++, w += block_size) {
    const size_t start = block_start(b, c);
    const epilogue e = {rq->bias + start, rq->scale + start, neon_round_init(rq->zero_point, rq->lo, rq->hi), start,
                        start + shape->offset, c < BLOCK ? c : 0};
    block_of_row(fixed, r, s, shape, w, &e, cols, y, y_stride);
  }
}

static void dwconv_3x3(const q8_dwconv_shape *shape, const void *w, const q8_requant *rq,
                       const uint8_t *const *cols, uint8_t *y, size_t y_stride) {
  dwconv(1, 3, 3, shape, w, rq, cols, y, y_stride);
}

static void dwconv_5x5(const q8_dwconv_shape *shape, const void *w, const q8_requant *rq,
                       const uint8_t *const *cols, uint8_t *y, size_t y_stride) {
  dwconv(1, 5, 5, shape, w, rq, cols, y, y_stride);
}

static void dwconv_any(const q8_dwconv_shape *shape, const void *w, const q8_requant *rq,
                       const uint8_t *const *cols, uint8_t *y, size_t y_stride) {
  dwconv(0, 0, 0, shape, w, rq, cols, y, y_stride);
}

static void sums(const q8_dwconv_shape *shape, const void *packed, const uint8_t *const *cols, int32_t *acc,
                 size_t acc_stride) {
  const int8_t *w = packed;
  const size_t c = shape->channels, part = c < BLOCK ? c : 0, block_size = packed_size(1, shape->r, shape->s);
  for (size_t b = 0; b < block_count(c); b++, w += block_size)
    for (size_t x = 0, start = block_start(b, c); x < shape->q; x++) {
      int32x4_t sum[4];
      add_taps(shape, w, start + shape->offset, part, cols + x * shape->col_step * shape->r, sum);
      int32_t t[BLOCK];
      for (int v = 0; v < 4; v++)
        vst1q_s32(t + 4 * v, sum[v]);
      memcpy(acc + x * acc_stride + start, t, (part ? part : BLOCK) * sizeof *t);
    }
}

const q8_dwconv_kernel q8_neondot_dwconv[] = {
    {"dwconv_neondot_3x3", Q8_NEEDS_NEONDOT, 3, 3, 128, -128, packed_size, pack, dwconv_3x3, sums, NULL},
    {"dwconv_neondot_5x5", Q8_NEEDS_NEONDOT, 5, 5, 128, -128, packed_size, pack, dwconv_5x5, sums, NULL},
    {"dwconv_neondot", Q8_NEEDS_NEONDOT, 0, 0, 128, -128, packed_size, pack, dwconv_any, sums, NULL},
    {0},
};
#endif
