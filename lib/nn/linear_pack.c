/* linear_pack.c - weights into panels. */
#include <string.h>

#include "base/cold.h"
#include "base/cpu.h"
#include "nn/linear.h"

#define MAX_BLOCK_ROWS ((size_t)1008)

/* ---- Whether a weight is -128 ---- */

#define EVERY_BYTE 0x0101010101010101u

/* Eight at a time, as w + 128, of which a byte is 0. */
int q8_has_least(size_t n, const int8_t *w, size_t step) {
  uint64_t found = 0;
  size_t i = 0;
  for (; step == 1 && i + 8 <= n; i += 8) {
    uint64_t x;
    memcpy(&x, w + i, sizeof x);
    x ^= 0x80 * EVERY_BYTE;
    found |= (x - EVERY_BYTE) & ~x & 0x80 * EVERY_BYTE;
  }
  for (; i < n; i++)
    found |= w[i * step] == -128;
  return found != 0;
}

static int smallest_weight(const q8_linear_desc *d) {
  for (size_t g = 0; g < d->groups; g++)
    for (size_t j = 0; j < d->n; j++)
      for (size_t t = 0; t < d->taps; t++)
        if (q8_has_least(d->k, (const int8_t *)d->w + g * d->w_group + j * d->w_out + t * d->w_tap, d->w_in))
          return -128;
  return -127;
}

/* For the last `left` columns: the narrowest that covers them, or one of two equal ones where these are no wider than the
 * widest and a narrow one, which would do less for each value it loads. */
static const q8_sgemm_kernel *choose_float(const q8_sgemm_kernel *wide, size_t left) {
  if (left > wide->nr && left < 2 * (size_t)wide->nr) {
    const q8_sgemm_kernel *half = q8_sgemm_for_columns(wide, (left + 1) / 2);
    if (2 * half->nr <= wide->nr + q8_sgemm_for_columns(wide, left - wide->nr)->nr)
      return half;
  }
  return q8_sgemm_for_columns(wide, left);
}

/* Panels that cover n columns: the widest, or those of `tall` while more columns than the widest has are left; then the
 * narrowest that covers the rest. */
Q8_COLD static q8_status lay_out_panels(q8_linear *l, const q8_gemm_kernel *wide, const q8_gemm_kernel *tall,
                                        const q8_sgemm_kernel *wide_float, size_t element, q8_pool *pool,
                                        qint8_error *error) {
  const size_t widest = wide ? wide->nr : wide_float->nr, nr = tall ? tall->nr : widest;
  l->panel_count = l->n <= widest ? 1 : 1 + (l->n - widest + nr - 1) / nr;
  l->panels = q8_pool_alloc(pool, l->panel_count, sizeof *l->panels);
  if (!l->panels)
    return q8_fail_memory(error, "weights", l->panel_count * sizeof *l->panels);
  size_t offset = 0, column = 0;
  for (size_t i = 0; i < l->panel_count; i++) {
    size_t left = l->n - column;
    q8_panel *panel = &l->panels[i];
    panel->column = column;
    panel->offset = offset;
    if (wide) {
      const q8_gemm_kernel *kernel = left > widest ? tall : q8_gemm_for_columns(wide, left);
      panel->kernel = kernel;
      panel->mr = kernel->mr;
      panel->nr = kernel->nr;
    } else {
      const q8_sgemm_kernel *kernel = choose_float(wide_float, left);
      panel->kernel = kernel;
      panel->mr = kernel->mr;
      panel->nr = kernel->nr;
    }
    column += panel->nr;
    panel->tiles = (uint8_t)(Q8_MAX_ACC / ((uint32_t)panel->mr * panel->nr));
    size_t size;
    if (!q8_mul(l->taps * l->k_padded, panel->nr * element, &size))
      return q8_fail(error, QINT8_ERROR_LIMIT, "weights", "a panel of packed weights overflows");
    offset += q8_round_up(size, Q8_ALIGN);
  }
  l->group_size = offset;
  return QINT8_OK;
}

/* kr is a power of two. */
static size_t pad_depth(size_t k, size_t kr) {
  return (k + kr - 1) & ~(kr - 1);
}

static size_t common_multiple(size_t a, size_t b) {
  size_t x = a, y = b;
  while (y) {
    size_t rest = x % y;
    x = y;
    y = rest;
  }
  return a / x * b;
}

/* A block's input fills a quarter of L2, beside the panels, or half of it where the panels do not fit there and are read
 * anew for every block; its pointers stay in L1. */
Q8_COLD static void choose_rows(q8_linear *l, size_t row_bytes) {
  l->row_step = l->panels[0].mr;
  for (size_t i = 1; i < l->panel_count; i++)
    if (l->row_step != l->panels[i].mr)
      l->row_step = common_multiple(l->row_step, l->panels[i].mr);
  size_t bytes = row_bytes ? row_bytes : l->taps * l->k_padded * l->a_bytes;
  size_t share = q8_cpu_l2_size() / (l->group_size > q8_cpu_l2_size() / 2 ? 2 : 4);
  size_t table = q8_cpu_l1_size() / 2 / sizeof(void *);
  size_t most = l->taps > 1 ? table / l->taps : table;
  most = most < MAX_BLOCK_ROWS ? most : MAX_BLOCK_ROWS;
  size_t rows = bytes * most > share ? share / bytes : most;
  const uint32_t step = (uint32_t)l->row_step;
  l->rows_per_block = rows > step ? (uint32_t)rows / step * step : step;
}

/* ---- Filling a panel: cell j of a k block and tap holds the kr weights w[j * w_out + i * w_in], as int8 or int16 ---- */

/* Weight by weight, for cells that are not of four bytes. The rest of the panel is zero already. */
static void pack_columns(const q8_linear *l, const q8_linear_desc *d, const int8_t *w, size_t columns, size_t nr, size_t kr,
                         int b_bytes, uint8_t *out) {
  for (size_t t = 0; t < d->taps; t++)
    for (size_t i = 0; i < d->k; i++) {
      uint8_t *to = out + (((t * l->k_padded + i) / kr * nr) * kr + i % kr) * (size_t)b_bytes;
      for (size_t j = 0; j < columns; j++, to += kr * (size_t)b_bytes) {
        int16_t wide = w[j * d->w_out + t * d->w_tap + i * d->w_in];
        int8_t narrow = (int8_t)wide;
        memcpy(to, b_bytes == 2 ? (const void *)&wide : &narrow, (size_t)b_bytes);
      }
    }
}

/* Cells of four bytes are 32-bit words: some weights of some columns are gathered, column by column and tap by tap, and
 * transposed, as words or as pairs that become words of int16. */
enum {
  STAGE_COLUMNS = 16,
  STAGE_SPAN = 640, /* weights of a column, of all taps */
  STAGE_SIZE = (STAGE_COLUMNS + 8) * STAGE_SPAN /* with room for 16 taps of the last column */
};

static const int8_t *weights_end(const q8_linear_desc *d) {
  return (const int8_t *)d->w + (d->groups - 1) * d->w_group + (d->n - 1) * d->w_out + (d->taps - 1) * d->w_tap +
         (d->k - 1) * d->w_in + 1;
}

/* In whole vectors, of which the last overlaps: a call costs more than most columns of a tap. */
static void copy_weights(size_t n, const int8_t *w, int8_t *out) {
  enum { VECTOR = 16 };
  size_t i = 0;
  if (n >= VECTOR) {
    for (; i + VECTOR < n; i += VECTOR)
      memcpy(out + i, w + i, VECTOR);
    memcpy(out + n - VECTOR, w + n - VECTOR, VECTOR);
    return;
  }
  for (; i < n; i++)
    out[i] = w[i];
}

static void gather_column(const q8_linear *l, const q8_linear_desc *d, const int8_t *w, size_t count, size_t pitch,
                          size_t ahead, int8_t *out) {
  if (d->w_tap == 1 && d->w_in == d->taps && d->taps > 1) {
    /* Blocks of 16 are transposed several times as fast as parts of one. Further taps are the next weights, and those of
     * the next column lie over them in the end. */
    const int block = d->taps < 16 && w + count * d->taps + 16 <= weights_end(d);
#if defined(__GNUC__)
    for (size_t i = 0; i < count * d->taps; i += 64)
      __builtin_prefetch(w + ahead + i);
#endif
    l->transpose8(count, block ? 16 : d->taps, w, d->taps, out, pitch);
    return;
  }
  for (size_t t = 0; t < d->taps; t++, w += d->w_tap, out += pitch)
    if (d->w_in == 1)
      copy_weights(count, w, out);
    else
      for (size_t i = 0; i < count; i++)
        out[i] = w[i * d->w_in];
}

static void gather(const q8_linear *l, const q8_linear_desc *d, const int8_t *w, size_t columns, size_t count,
                   size_t pitch, size_t ahead, int8_t *out) {
  const size_t span = d->taps * pitch;
  if (count % 4)
    memset(out, 0, columns * span);
  if (d->w_out == 1 && d->taps == 1)
    l->transpose8(count, columns, w, d->w_in, out, span);
  else
    for (size_t j = 0; j < columns; j++)
      gather_column(l, d, w + j * d->w_out, count, pitch, ahead, out + j * span);
}

/* Whether cells are words of the weights as they lie, tap behind tap. */
static int are_words(const q8_linear *l, const q8_linear_desc *d, size_t kr) {
  return kr == 4 && d->w_in == 1 && d->w_out % 4 == 0 && d->k == l->k_padded && (d->taps == 1 || d->w_tap == d->k);
}

/* All of k for some columns, then for the next: of more columns at once the CPU does not foresee what is read. */
static void pack_words(const q8_linear *l, const q8_linear_desc *d, const int8_t *w, size_t columns, size_t nr, size_t kr,
                       uint8_t *out) {
  _Alignas(Q8_ALIGN) int8_t stage[STAGE_SIZE];
  const size_t most = STAGE_SPAN / d->taps, whole = l->k_padded <= most, bytes = 4 / kr;
  const size_t pitch = whole ? l->k_padded : most >= 16 ? most / 16 * 16 : most / 4 * 4, span = d->taps * pitch;
  const size_t pieces = whole ? 1 : d->taps; /* of a whole column, all taps lie one behind the other here and in the panel */
  for (size_t j = 0; j < columns; j += STAGE_COLUMNS)
    for (size_t k = 0; k < d->k; k += pitch) {
      const size_t count = d->k - k < pitch ? d->k - k : pitch;
      const size_t words = whole ? span / kr : (count + kr - 1) / kr;
      const size_t some = columns - j < STAGE_COLUMNS ? columns - j : STAGE_COLUMNS;
      const size_t ahead = d->k - k > pitch ? pitch * d->w_in : some * d->w_out - k * d->w_in;
      gather(l, d, w + j * d->w_out + k * d->w_in, some, count, pitch, ahead, stage);
      for (size_t t = 0; t < pieces; t++) {
        uint8_t *to = out + (t * l->k_padded + k) * nr * bytes + 4 * j;
        if (bytes == 2)
          l->pack_pairs(some, words, stage + t * pitch, span, (int16_t *)(void *)to, nr);
        else
          l->transpose32(some, words, stage + t * pitch, span / 4, to, nr);
      }
    }
}

/* The same for pairs of weights that lie one behind the other, read where they are. A part's rows of the panel stay in L1
 * until all columns are there. */
static void pack_pairs(const q8_linear *l, const q8_linear_desc *d, const int8_t *w, size_t columns, size_t nr,
                       int16_t *out) {
  enum { PART = 256 };
  const size_t even = d->k / 2 * 2;
  for (size_t t = 0; t < d->taps; t++, w += d->w_tap, out += l->k_padded * nr) {
    for (size_t k = 0; k < even; k += PART)
      l->pack_pairs(columns, (even - k < PART ? even - k : PART) / 2, w + k, d->w_out, out + k * nr, nr);
    for (size_t j = 0; even < d->k && j < columns; j++) {
      out[even * nr + 2 * j] = w[j * d->w_out + even];
      out[even * nr + 2 * j + 1] = 0;
    }
  }
}

enum { ONES = 256 }; /* of int16 or pairs of bytes */

/* The sums of a panel's columns are its product with a row of ones. */
static void sum_columns(const q8_linear *l, const q8_gemm_kernel *kernel, const uint8_t *panel, size_t columns,
                        const void *ones, int32_t *column_sum) {
  const void *rows[Q8_MAX_ACC / 16];
  _Alignas(Q8_ALIGN) int32_t sums[Q8_MAX_ACC], rest[Q8_MAX_ACC];
  kernel = q8_gemm_for_rows(kernel, 1);
  const size_t depth = l->taps * l->k_padded, whole = depth / ONES, left = depth % ONES;
  for (size_t i = 0; i < kernel->mr; i++)
    rows[i] = ones;
  kernel->run(whole, ONES, rows, 0, panel, sums);
  if (left)
    kernel->run(1, left, rows, 0, panel + whole * ONES * kernel->nr * kernel->b_bytes, rest);
  for (size_t j = 0; j < columns; j++)
    column_sum[j] = left ? (int32_t)((uint32_t)sums[j] + (uint32_t)rest[j]) : sums[j];
}

static void pack_panel(const q8_linear *l, const q8_linear_desc *d, const int8_t *w, const q8_panel *panel,
                       const void *ones, uint8_t *out, int32_t *column_sum) {
  const q8_gemm_kernel *kernel = panel->kernel;
  const size_t nr = panel->nr, kr = kernel->kr, columns = d->n - panel->column < nr ? d->n - panel->column : nr;
  const int four_bytes = kr * kernel->b_bytes == 4 && d->taps <= STAGE_SPAN / 4;
  const int in_order = four_bytes && kr == 2 && d->w_in == 1;
  if (columns < nr || !four_bytes)
    memset(out, 0, d->taps * l->k_padded * nr * kernel->b_bytes);
  if (in_order)
    pack_pairs(l, d, w, columns, nr, (int16_t *)(void *)out);
  else if (!four_bytes)
    pack_columns(l, d, w, columns, nr, kr, kernel->b_bytes, out);
  else if (!are_words(l, d, kr))
    pack_words(l, d, w, columns, nr, kr, out);
  else
    for (size_t j = 0; j < columns; j += STAGE_COLUMNS)
      l->transpose32(columns - j < STAGE_COLUMNS ? columns - j : STAGE_COLUMNS, d->taps * d->k / 4, w + j * d->w_out,
                     d->w_out / 4, out + 4 * j, nr);
  sum_columns(l, kernel, out, columns, ones, column_sum);
}

/* Weights beyond L2 are the time of few rows, and taller tiles read them fewer times. */
static const q8_gemm_kernel *choose_tall(const q8_linear_desc *d, const q8_gemm_kernel *wide) {
  enum { FEW_ROWS = 16 };
  const int large = d->taps * d->k * d->n * wide->b_bytes > q8_cpu_l2_size() / 2;
  return large && d->rows > 0 && d->rows <= FEW_ROWS ? q8_gemm_for_few_rows(wide, d->rows) : wide;
}

/* Kernels fetch up to 1 KB behind a panel, and pages that are not there would slow them down: large weights, which may end
 * with their page, have so much behind them. */
static uint8_t *reserve_weights(const q8_linear *l, q8_pool *pool) {
  enum { SLACK = 1024 };
  size_t size, slack;
  if (!q8_mul(l->groups, l->group_size, &size))
    return NULL;
  slack = size >= 32 * SLACK ? SLACK : 0;
  uint8_t *weights = q8_add(size, slack, &slack) ? q8_pool_reserve(pool, 1, slack) : NULL;
  if (weights)
    memset(weights + size, 0, slack - size);
  return weights;
}

/* Weights of which the first `end` are packed; where outputs do not lie one behind the other, they leave memory later. The
 * whole range each time: a fault brings pages around it back. */
static size_t unload_packed(const q8_linear_desc *d, size_t end, size_t unloaded) {
  enum { STEP = 1 << 18 }; /* bytes that are worth a system call */
  if (!d->mapping || d->w_out != d->taps * d->k || end - unloaded < STEP)
    return unloaded;
  q8_unload(d->mapping, d->w, end);
  return end;
}

void q8_linear_fill(const q8_linear *l, const q8_linear_desc *d, void *weights, int32_t *column_sum) {
  const q8_gemm_kernel *kernel = l->panels[0].kernel;
  const uint64_t four = kernel->a_bytes == 1 ? (1 + (uint64_t)kernel->a_shift) * EVERY_BYTE : 0x0001000100010001u;
  size_t unloaded = 0;
  uint64_t ones[ONES / 4];
  for (size_t i = 0; i < ONES / 4; i++)
    ones[i] = four;
  for (size_t g = 0; g < d->groups; g++)
    for (const q8_panel *p = l->panels; p < l->panels + l->panel_count; p++) {
      const size_t at = g * d->w_group + p->column * d->w_out;
      pack_panel(l, d, (const int8_t *)d->w + at, p, ones, (uint8_t *)weights + g * l->group_size + p->offset,
                 column_sum + g * d->n + p->column);
      unloaded = unload_packed(d, at, unloaded);
    }
}

/* All but the rows of a block. */
Q8_COLD static q8_status lay_out(const q8_kernels *kernels, const q8_gemm_kernel *wide, const q8_linear_desc *d,
                                 q8_pool *pool, q8_linear *out, qint8_error *error) {
  *out = (q8_linear){.groups = d->groups,
                     .taps = d->taps,
                     .k = d->k,
                     .k_padded = pad_depth(d->k, wide->kr),
                     .n = d->n,
                     .a_bytes = wide->a_bytes,
                     .a_shift = wide->a_shift,
                     .transpose8 = kernels->transpose8,
                     .transpose32 = kernels->transpose32,
                     .pack_pairs = kernels->pack_pairs,
                     .widen = kernels->widen};
  Q8_TRY(lay_out_panels(out, wide, choose_tall(d, wide), NULL, wide->b_bytes, pool, error));
  out->kernel_name = ((const q8_gemm_kernel *)out->panels[0].kernel)->name;
  return QINT8_OK;
}

Q8_COLD q8_status q8_linear_layout(const q8_kernels *kernels, const q8_linear_desc *d, q8_pool *pool, q8_linear *out,
                                   qint8_error *error) {
  Q8_TRY(lay_out(kernels, kernels->gemm_full, d, pool, out, error));
  choose_rows(out, d->row_bytes);
  return QINT8_OK;
}

Q8_COLD q8_status q8_linear_pack(const q8_kernels *kernels, const q8_linear_desc *d, q8_pool *pool, q8_linear *out,
                                 qint8_error *error) {
  if (d->taps * d->k > Q8_MAX_DOT)
    return q8_fail(error, QINT8_ERROR_LIMIT, "weights",
                   "%zu products per output, at most %d fit the accumulator", d->taps * d->k, Q8_MAX_DOT);
  const q8_gemm_kernel *wide = kernels->gemm;
  if (wide->b_min > -128 && smallest_weight(d) < wide->b_min)
    wide = kernels->gemm_full;
  Q8_TRY(lay_out(kernels, wide, d, pool, out, error));
  out->column_sum = q8_pool_alloc(pool, d->groups * d->n + 64, sizeof *out->column_sum);
  out->weights = reserve_weights(out, pool);
  if (!out->column_sum || !out->weights)
    return q8_fail_memory(error, "weights", d->groups * out->group_size);
  q8_linear_fill(out, d, out->weights, out->column_sum);
  if (d->joined) { /* then k is not padded */
    out->taps /= d->joined;
    out->k = out->k_padded *= d->joined;
  }
  choose_rows(out, d->row_bytes);
  return QINT8_OK;
}

/* The widest tile whose panel fits L2, as each row tile reads all of it; none below half the width of the first, nor where
 * none fits. */
static const q8_sgemm_kernel *widest_float(const q8_sgemm_kernel *first, size_t depth) {
  for (const q8_sgemm_kernel *row = first; row->name && 2 * row->nr >= first->nr; row++)
    if (depth <= q8_cpu_l2_size() / (row->nr * sizeof(float)) && !(row->needs & ~first->needs))
      return row;
  return first;
}

Q8_COLD q8_status q8_linear_layout_float(const q8_kernels *kernels, const q8_linear_desc *d, q8_pool *pool,
                                         q8_linear *out, qint8_error *error) {
  *out = (q8_linear){
      .groups = d->groups, .taps = d->taps, .k = d->k, .k_padded = d->k, .n = d->n, .a_bytes = sizeof(float)};
  Q8_TRY(lay_out_panels(out, NULL, NULL, widest_float(kernels->sgemm, d->taps * d->k), sizeof(float), pool, error));
  out->kernel_name = ((const q8_sgemm_kernel *)out->panels[0].kernel)->name;
  choose_rows(out, d->row_bytes);
  return QINT8_OK;
}

Q8_COLD q8_status q8_linear_pack_float(const q8_kernels *kernels, const q8_linear_desc *d, q8_pool *pool,
                                       q8_linear *out, qint8_error *error) {
  Q8_TRY(q8_linear_layout_float(kernels, d, pool, out, error));
  out->weights = q8_pool_reserve(pool, d->groups, out->group_size);
  if (!out->weights)
    return q8_fail_memory(error, "weights", d->groups * out->group_size);
  q8_linear_fill_float(out, d, out->weights);
  return QINT8_OK;
}

void q8_linear_fold_bias(const q8_linear *l, const int32_t *bias, int32_t zero_point, int32_t *out) {
  uint32_t offset = (uint32_t)(zero_point - l->a_shift);
  for (size_t c = 0; c < l->groups * l->n; c++)
    out[c] = (int32_t)((bias ? (uint32_t)bias[c] : 0u) - offset * (uint32_t)l->column_sum[c]);
}
