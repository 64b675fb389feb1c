/* linear_pack.c - weights into panels. */
#include <assert.h>
#include <string.h>

#include "base/cpu.h"
#include "nn/linear.h"

#define MAX_BLOCK_ROWS ((size_t)1008)

/* ---- The sum of each output's weights, and whether one of them is -128 ---- */

#define EVERY_BYTE 0x0101010101010101u
#define SUM_WORDS 128 /* their sums fit lanes of 16 bits */

#if defined(__GNUC__)
typedef uint64_t words __attribute__((vector_size(16)));
#else
typedef uint64_t words;
#endif

/* So many weights at a time, as w + 128 in unsigned bytes. */
static int32_t sum_words(size_t count, const int8_t *w, uint64_t *has_least) {
  words lanes = {0}, least = {0};
  for (size_t i = 0; i < count; i++) {
    words x;
    memcpy(&x, w + i * sizeof x, sizeof x);
    x ^= 0x80 * EVERY_BYTE;
    lanes += (x & 0x00ff00ff00ff00ffu) + (x >> 8 & 0x00ff00ff00ff00ffu);
    least |= (x - EVERY_BYTE) & ~x; /* the top bit of a byte: one of them is 0 */
  }
  uint64_t parts[sizeof(words) / 8], found[sizeof(words) / 8], sum = 0;
  memcpy(parts, &lanes, sizeof parts);
  memcpy(found, &least, sizeof found);
  for (size_t i = 0; i < sizeof(words) / 8; i++) {
    *has_least |= found[i] & 0x80 * EVERY_BYTE;
    sum += (parts[i] & 0xffff) + (parts[i] >> 16 & 0xffff) + (parts[i] >> 32 & 0xffff) + (parts[i] >> 48);
  }
  return (int32_t)sum - (int32_t)(count * sizeof(words) * 128);
}

static void scan_run(size_t n, const int8_t *w, size_t step, uint32_t *sum, uint64_t *has_least) {
  size_t i = 0;
  for (size_t count; step == 1 && (count = (n - i) / sizeof(words)) > 0; i += count * sizeof(words)) {
    count = count < SUM_WORDS ? count : SUM_WORDS;
    *sum += (uint32_t)sum_words(count, w + i, has_least);
  }
  for (; i < n; i++) {
    *sum += (uint32_t)(int32_t)w[i * step];
    *has_least |= w[i * step] == -128;
  }
}

/* The sum of one output column. */
static int32_t scan_column(const q8_linear_desc *d, size_t group, size_t column, uint64_t *has_least) {
  const int8_t *w = (const int8_t *)d->w + group * d->w_group + column * d->w_out;
  uint32_t sum = 0;
  if ((d->w_in == 1 && d->w_tap == d->k) || (d->w_tap == 1 && d->w_in == d->taps))
    scan_run(d->taps * d->k, w, 1, &sum, has_least);
  else
    for (size_t t = 0; t < d->taps; t++)
      scan_run(d->k, w + t * d->w_tap, d->w_in, &sum, has_least);
  return (int32_t)sum;
}

static int smallest_weight(const q8_linear_desc *d) {
  uint64_t has_least = 0;
  for (size_t g = 0; g < d->groups; g++)
    for (size_t j = 0; j < d->n && !has_least; j++)
      scan_column(d, g, j, &has_least);
  return has_least ? -128 : -127;
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

/* Panels that cover n columns: the widest while it fits, then the narrowest that covers the rest. */
static q8_status lay_out_panels(q8_linear *l, const q8_gemm_kernel *wide, const q8_sgemm_kernel *wide_float,
                                size_t element, q8_pool *pool, qint8_error *error) {
  size_t nr = wide ? wide->nr : wide_float->nr;
  l->panel_count = (l->n + nr - 1) / nr;
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
      const q8_gemm_kernel *kernel = q8_gemm_for_columns(wide, left);
      panel->kernel = kernel;
      panel->mr = kernel->mr;
      panel->nr = kernel->nr;
    } else {
      const q8_sgemm_kernel *kernel = choose_float(wide_float, left);
      panel->kernel = kernel;
      panel->mr = kernel->mr;
      panel->nr = kernel->nr;
    }
    assert(panel->mr * panel->nr % 16 == 0); /* tiles lie one behind the other, each 64-byte aligned */
    column += panel->nr;
    panel->tiles = (uint8_t)(Q8_MAX_ACC / ((size_t)panel->mr * panel->nr));
    size_t size;
    if (!q8_mul(l->taps * l->k_padded, panel->nr * element, &size))
      return q8_fail(error, QINT8_ERROR_LIMIT, "weights", "a panel of packed weights overflows");
    offset += q8_round_up(size, Q8_ALIGN);
  }
  l->group_size = offset;
  return QINT8_OK;
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
static void choose_rows(q8_linear *l, size_t row_bytes) {
  l->row_step = 1;
  for (size_t i = 0; i < l->panel_count; i++)
    l->row_step = common_multiple(l->row_step, l->panels[i].mr);
  size_t bytes = row_bytes ? row_bytes : l->taps * l->k_padded * l->a_bytes;
  size_t share = q8_cpu_l2_size() / (l->group_size > q8_cpu_l2_size() / 2 ? 2 : 4);
  size_t rows = bytes ? share / bytes : MAX_BLOCK_ROWS;
  size_t table = q8_cpu_l1_size() / 2 / sizeof(void *) / (l->taps ? l->taps : 1);
  rows = rows < table ? rows : table;
  rows = rows < MAX_BLOCK_ROWS ? rows : MAX_BLOCK_ROWS;
  l->rows_per_block = rows > l->row_step ? rows / l->row_step * l->row_step : l->row_step;
}

/* The cells of some columns at one k block and tap: cell j holds the kr weights w[j * w_out + i * w_in], as int8 or
 * int16. */
static void pack_cells(const q8_linear_desc *d, const int8_t *w, size_t columns, size_t kr, int b_bytes, uint8_t *to) {
  const size_t step = d->w_in, next = d->w_out;
  if (kr == 4 && b_bytes == 1 && step == 1) {
    for (size_t j = 0; j < columns; j++, w += next, to += 4)
      memcpy(to, w, 4);
  } else if (kr == 4 && b_bytes == 1) {
    for (size_t j = 0; j < columns; j++, w += next, to += 4) {
      const int8_t cell[4] = {w[0], w[step], w[2 * step], w[3 * step]};
      memcpy(to, cell, 4);
    }
  } else if (kr == 2 && b_bytes == 2) {
    for (size_t j = 0; j < columns; j++, w += next, to += 4) {
      const int16_t first = w[0], second = w[step];
      memcpy(to, &first, 2);
      memcpy(to + 2, &second, 2);
    }
  } else {
    for (size_t j = 0; j < columns; j++, w += next)
      for (size_t i = 0; i < kr; i++, to += b_bytes) {
        int16_t wide = w[i * step];
        memcpy(to, b_bytes == 2 ? (const void *)&wide : w + i * step, (size_t)b_bytes);
      }
  }
}

/* The last k block of a tap, of which `left` weights exist: the rest of the panel is zero already. */
static void pack_rest(const q8_linear_desc *d, const int8_t *w, size_t columns, size_t left, size_t kr, int b_bytes,
                      uint8_t *to) {
  for (size_t j = 0; j < columns; j++)
    pack_cells(d, w + j * d->w_out, 1, left, b_bytes, to + j * kr * (size_t)b_bytes);
}

/* Some columns of weights at a time: they come from memory once, and their lines stay in L1 from one k block to the next,
 * be they a power of two apart: it has 8 ways or more. */
#define PACK_COLUMNS ((size_t)8)

static void pack_panel(const q8_linear *l, const q8_linear_desc *d, size_t group, const q8_panel *panel,
                       size_t kr, int b_bytes, int32_t *column_sum) {
  uint8_t *out = l->weights + group * l->group_size + panel->offset;
  const int8_t *w = (const int8_t *)d->w + group * d->w_group + panel->column * d->w_out;
  size_t block = panel->nr * kr * (size_t)b_bytes, tap = l->k_padded / kr * block, left = d->k % kr;
  size_t columns = d->n - panel->column < panel->nr ? d->n - panel->column : panel->nr;
  if (left || columns < panel->nr)
    memset(out, 0, d->taps * tap);
  for (size_t j = 0; j < columns; j += PACK_COLUMNS) {
    size_t some = columns - j < PACK_COLUMNS ? columns - j : PACK_COLUMNS;
    const int8_t *from = w + j * d->w_out;
    uint8_t *to = out + j * kr * (size_t)b_bytes;
    uint64_t has_least = 0;
    for (size_t i = 0; i < some; i++)
      column_sum[panel->column + j + i] = scan_column(d, group, panel->column + j + i, &has_least);
    for (size_t k = 0; k + kr <= d->k; k += kr, to += block)
      for (size_t t = 0; t < d->taps; t++)
        pack_cells(d, from + t * d->w_tap + k * d->w_in, some, kr, b_bytes, to + t * tap);
    for (size_t t = 0; left && t < d->taps; t++)
      pack_rest(d, from + t * d->w_tap + (d->k - left) * d->w_in, some, left, kr, b_bytes, to + t * tap);
  }
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

q8_status q8_linear_pack(const q8_kernels *kernels, const q8_linear_desc *d, q8_pool *pool, q8_linear *out,
                         qint8_error *error) {
  if (d->taps * d->k > Q8_MAX_DOT)
    return q8_fail(error, QINT8_ERROR_LIMIT, "weights",
                   "%zu products per output, at most %d fit the accumulator", d->taps * d->k, Q8_MAX_DOT);
  int32_t *column_sum = q8_pool_alloc(pool, d->groups * d->n + 1, sizeof *column_sum);
  if (!column_sum)
    return q8_fail_memory(error, "weights", d->groups * d->n * sizeof *column_sum);
  const q8_gemm_kernel *wide = kernels->gemm;
  if (wide->b_min > -128 && smallest_weight(d) < wide->b_min)
    wide = kernels->gemm_full;
  *out = (q8_linear){.groups = d->groups,
                     .taps = d->taps,
                     .k = d->k,
                     .k_padded = q8_round_up(d->k, wide->kr),
                     .n = d->n,
                     .a_bytes = wide->a_bytes,
                     .a_shift = wide->a_shift,
                     .column_sum = column_sum,
                     .kernel_name = wide->name};
  Q8_TRY(lay_out_panels(out, wide, NULL, wide->b_bytes, pool, error));
  out->weights = reserve_weights(out, pool);
  if (!out->weights)
    return q8_fail_memory(error, "weights", d->groups * out->group_size);
  for (size_t g = 0; g < d->groups; g++)
    for (size_t i = 0; i < out->panel_count; i++)
      pack_panel(out, d, g, &out->panels[i], wide->kr, wide->b_bytes, column_sum + g * d->n);
  out->kernel_name = ((const q8_gemm_kernel *)out->panels[0].kernel)->name;
  choose_rows(out, d->row_bytes);
  return QINT8_OK;
}

q8_status q8_linear_layout(const q8_kernels *kernels, const q8_linear_desc *d, q8_pool *pool, q8_linear *out,
                           qint8_error *error) {
  const q8_gemm_kernel *wide = kernels->gemm_full;
  *out = (q8_linear){.groups = d->groups,
                     .taps = d->taps,
                     .k = d->k,
                     .k_padded = q8_round_up(d->k, wide->kr),
                     .n = d->n,
                     .a_bytes = wide->a_bytes,
                     .a_shift = wide->a_shift};
  Q8_TRY(lay_out_panels(out, wide, NULL, wide->b_bytes, pool, error));
  out->kernel_name = ((const q8_gemm_kernel *)out->panels[0].kernel)->name;
  choose_rows(out, d->row_bytes);
  return QINT8_OK;
}

void q8_linear_fill(const q8_linear *l, const q8_linear_desc *d, void *weights, int32_t *column_sum) {
  q8_linear filled = *l;
  filled.weights = weights;
  for (size_t g = 0; g < d->groups; g++)
    for (size_t i = 0; i < l->panel_count; i++) {
      const q8_gemm_kernel *kernel = l->panels[i].kernel;
      pack_panel(&filled, d, g, &l->panels[i], kernel->kr, kernel->b_bytes, column_sum + g * d->n);
    }
}

/* The widest tile whose panel fits L2, as each row tile reads all of it; none below half the width of the first, nor where
 * none fits. */
static const q8_sgemm_kernel *widest_float(const q8_sgemm_kernel *first, size_t depth) {
  for (const q8_sgemm_kernel *row = first; row->name && 2 * row->nr >= first->nr; row++)
    if (depth <= q8_cpu_l2_size() / (row->nr * sizeof(float)) && !(row->needs & ~first->needs))
      return row;
  return first;
}

q8_status q8_linear_layout_float(const q8_kernels *kernels, const q8_linear_desc *d, q8_pool *pool,
                                 q8_linear *out, qint8_error *error) {
  *out = (q8_linear){
      .groups = d->groups, .taps = d->taps, .k = d->k, .k_padded = d->k, .n = d->n, .a_bytes = sizeof(float)};
  Q8_TRY(lay_out_panels(out, NULL, widest_float(kernels->sgemm, d->taps * d->k), sizeof(float), pool, error));
  out->kernel_name = ((const q8_sgemm_kernel *)out->panels[0].kernel)->name;
  choose_rows(out, d->row_bytes);
  return QINT8_OK;
}

void q8_linear_fill_float(const q8_linear *l, const q8_linear_desc *d, void *weights) {
  for (size_t g = 0; g < d->groups; g++)
    for (size_t p = 0; p < l->panel_count; p++) {
      const q8_panel *panel = &l->panels[p];
      float *to = (float *)(void *)((uint8_t *)weights + g * l->group_size + panel->offset);
      const float *w = (const float *)d->w + g * d->w_group + panel->column * d->w_out;
      size_t columns = d->n - panel->column < panel->nr ? d->n - panel->column : panel->nr;
      for (size_t t = 0; t < d->taps; t++)
        for (size_t c = 0; c < d->k; c++, to += panel->nr) {
          const float *row = w + t * d->w_tap + c * d->w_in;
          for (size_t j = 0; j < columns; j++)
            to[j] = q8_flush(row[j * d->w_out]);
          for (size_t j = columns; j < panel->nr; j++)
            to[j] = 0.0f;
        }
    }
}

q8_status q8_linear_pack_float(const q8_kernels *kernels, const q8_linear_desc *d, q8_pool *pool,
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
