/* linear.h - the one int8 driver: y[m][n] = epilogue(sum over taps and k of a * w), for GEMM and convolution
 * alike.
 *
 * Weights are packed once into panels of the micro-kernel's width, the last panel as narrow as the columns
 * left over allow. A run walks blocks of rows; for each block it asks the row source for one pointer per row
 * and tap, then goes over panels and row tiles. Tiles are whole: rows past the end repeat the last one,
 * columns past the end have zero weights, and the epilogue writes the valid part.
 */
#ifndef Q8_NN_LINEAR_H
#define Q8_NN_LINEAR_H

#include <float.h>

#include "base/mapping.h"
#include "base/memory.h"
#include "kernel.h"

typedef struct q8_linear_desc {
  size_t groups, taps;
  size_t k;                           /* input values per tap, of one group */
  size_t n;                           /* outputs of one group */
  const void *w;                      /* int8, or float for the fp32 twin */
  size_t w_group, w_out, w_tap, w_in; /* strides of w in elements */
  /* Bytes of input that one more row adds to a block: less than taps * k where the taps of neighbouring rows
   * overlap, as in a convolution. 0 means taps * k values. */
  size_t row_bytes;
  size_t rows; /* of a run, where that is known: a hint; else 0 */
  size_t joined; /* 0, or so many neighbouring taps are run as one, as their values lie side by side: k fills blocks then */
  const q8_mapping *mapping; /* NULL, or where w may lie: pages of int8 weights leave memory as they are packed */
} q8_linear_desc;

#define Q8_MAX_ACC 2048 /* accumulators of a task: at least a tile of any micro-kernel */

typedef struct q8_panel {
  const void *kernel; /* q8_gemm_kernel or q8_sgemm_kernel */
  size_t column;      /* first output column, within the group */
  size_t offset;      /* bytes from the group's start */
  uint8_t mr, nr;
  uint8_t tiles; /* whose accumulators fit Q8_MAX_ACC: one call of the epilogue serves them all */
} q8_panel;

/* Packed weights: immutable, any number of threads. */
typedef struct q8_linear {
  size_t groups, taps, k, k_padded, n;
  size_t a_bytes; /* 1: uint8 rows, 2: rows are widened to int16, 4: float */
  int32_t a_shift;
  size_t panel_count;
  q8_panel *panels;
  uint8_t *weights;
  size_t group_size;   /* bytes of one group's panels */
  int32_t *column_sum; /* [groups * n] of the weights, readable to 64 beyond; NULL for fp32 */
  /* Blocks of float rows are multiples of row_step, which every panel's tile height divides: so the rows that fall
   * into a partial tile, and with it their fp32 rounding, do not depend on how the rows are split. */
  size_t row_step, rows_per_block;
  const char *kernel_name;
  q8_transpose_fn *transpose8, *transpose32; /* for packing; NULL for fp32 */
  q8_pack_pairs_fn *pack_pairs;
  q8_widen_fn *widen; /* of rows, where a_bytes is 2 */
} q8_linear;

/* int8. LIMIT if taps * k is beyond the int32 accumulator (Q8_MAX_DOT). */
#define Q8_MAX_DOT 65793
q8_status q8_linear_pack(const q8_kernels *kernels, const q8_linear_desc *desc, q8_pool *pool, q8_linear *out,
                         qint8_error *error);
/* Whether one of n weights, `step` apart, is -128. */
int q8_has_least(size_t n, const int8_t *w, size_t step);
/* fp32 twin; and its two halves, for weights that are known only at run time: the layout, without weights,
 * and filling groups * group_size bytes, 64-byte aligned, to be used as `weights` of a copy. */
q8_status q8_linear_pack_float(const q8_kernels *kernels, const q8_linear_desc *desc, q8_pool *pool,
                               q8_linear *out, qint8_error *error);
q8_status q8_linear_layout_float(const q8_kernels *kernels, const q8_linear_desc *desc, q8_pool *pool,
                                 q8_linear *out, qint8_error *error);
void q8_linear_fill_float(const q8_linear *linear, const q8_linear_desc *desc, void *weights);
/* The same halves in int8, for any weights from -128 on. column_sum: [groups * n], of the weights. */
q8_status q8_linear_layout(const q8_kernels *kernels, const q8_linear_desc *desc, q8_pool *pool, q8_linear *out,
                           qint8_error *error);
void q8_linear_fill(const q8_linear *linear, const q8_linear_desc *desc, void *weights, int32_t *column_sum);

/* A subnormal weight adds less than 2^-126 |x|, and costs hundreds of cycles each time it is read: it becomes
 * 0. */
static inline float q8_flush(float w) {
  return w > -FLT_MIN && w < FLT_MIN ? 0.0f : w;
}

/* bias[c] - (zero_point - a_shift) * column_sum[c], modulo 2^32: what the epilogue adds to the kernel's
 * accumulators. bias may be NULL; out has groups * n entries. */
void q8_linear_fold_bias(const q8_linear *linear, const int32_t *bias, int32_t zero_point, int32_t *out);

/* Fills out[i] for i < count with the address of row `row + i` of one tap and group. */
typedef void q8_row_source(const void *source, size_t group, size_t tap, size_t row, size_t count,
                           const void **out);

typedef enum q8_epilogue_kind {
  Q8_EPILOGUE_REQUANT,
  Q8_EPILOGUE_DEQUANT,
  Q8_EPILOGUE_FLOAT
} q8_epilogue_kind;

/* What becomes of the accumulators. Channel arrays have groups * n entries, readable to 64 beyond their end.
 */
typedef struct q8_epilogue {
  q8_epilogue_kind kind;
  q8_requant requant; /* REQUANT: y is uint8 */
  /* DEQUANT: y is float, y = f32(acc + offset) * (row_scale * scale) + bias, clamped to [lo, hi]. A dynamic
   * run has one zero point and row_scale per sample, `rows_per_sample` rows each; else sample_scale is NULL.
   */
  const int32_t *offset;
  const float *scale, *bias;
  float lo, hi;
  const float *sample_scale;
  const int32_t *sample_zero;
  size_t rows_per_sample;
  const q8_sunary *function; /* DEQUANT and FLOAT, optional: of the clamped y */
  /* REQUANT, optional: a second stage, y = y + other as the kernel for Add computes it from the stored y; `other` has
   * rows of groups * n bytes. */
  const q8_binary *residual;
  const uint8_t *other;
  const uint8_t *table; /* REQUANT, optional: last, y = table[y] */
} q8_epilogue;

typedef struct q8_linear_run {
  const q8_linear *linear;
  const q8_kernels *kernels;
  q8_row_source *rows;
  const void *source;
  size_t m;        /* rows */
  size_t y_stride; /* elements between rows of y: at least groups * n */
  const q8_epilogue *epilogue;
  void *y;
  void *scratch;     /* q8_linear_scratch bytes, 64-byte aligned */
  int rows_are_wide; /* a_bytes 2: the rows are int16 already */
  const int32_t *row_offset; /* [m], optional: added to all accumulators of a row, modulo 2^32 */
  /* The input, if its rows may not be read beyond its end; x_size 0 if 64 bytes more are readable. */
  const uint8_t *x;
  size_t x_size;
} q8_linear_run;

size_t q8_linear_scratch(const q8_linear *linear, size_t m, int32_t threads);
void q8_linear_execute(const q8_linear_run *run, const q8_host *host);

/* count addresses, `step` bytes apart. */
void q8_fill_addresses(const uint8_t *from, size_t step, size_t count, const void **out);

/* The same for one row of a small product, at once and on one thread; 64 bytes are readable behind x, and there are no samples.
 * Whether it is one, whose panels are for a row from then on. */
int q8_linear_for_row(q8_linear *linear, size_t m);
void q8_linear_row(const q8_linear *linear, const q8_kernels *kernels, const void *x, const q8_epilogue *epilogue,
                   void *y);

/* Row source of a matrix: row i at base + i * stride_bytes + group * group_bytes. */
typedef struct q8_matrix_rows {
  const uint8_t *base;
  size_t stride_bytes, group_bytes;
} q8_matrix_rows;
q8_row_source q8_matrix_source;

#endif
