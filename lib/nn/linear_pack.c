/* linear_pack.c - weights into panels. */
#include <assert.h>
#include <string.h>

#include "base/cpu.h"
#include "nn/linear.h"

#define MAX_BLOCK_ROWS ((size_t)336)

static int smallest_weight(const q8_linear_desc *d) {
  const int8_t *w = d->w;
  int smallest = 0;
  for (size_t g = 0; g < d->groups; g++)
    for (size_t j = 0; j < d->n; j++)
      for (size_t t = 0; t < d->taps; t++)
        for (size_t c = 0; c < d->k; c++) {
          int value = w[g * d->w_group + j * d->w_out + t * d->w_tap + c * d->w_in];
          smallest = value < smallest ? value : smallest;
        }
  return smallest;
}

/* Panels that cover n columns: the widest while it fits, then the narrowest that covers the rest. */
static q8_status lay_out_panels(q8_linear *l, const q8_gemm_kernel *wide, const q8_sgemm_kernel *wide_float,
                                size_t element, q8_pool *pool, qint8_error *error) {
  size_t nr = wide ? wide->nr : wide_float->nr;
  l->panel_count = (l->n + nr - 1) / nr;
  l->panels = q8_pool_alloc(pool, l->panel_count, sizeof *l->panels);
  if (!l->panels)
    return q8_fail_memory(error, "weights", l->panel_count * sizeof *l->panels);
  size_t offset = 0;
  for (size_t i = 0; i < l->panel_count; i++) {
    size_t column = i * nr, left = l->n - column;
    q8_panel *panel = &l->panels[i];
    panel->column = column;
    panel->offset = offset;
    if (wide) {
      const q8_gemm_kernel *kernel = q8_gemm_for_columns(wide, left);
      panel->kernel = kernel;
      panel->mr = kernel->mr;
      panel->nr = kernel->nr;
    } else {
      const q8_sgemm_kernel *kernel = q8_sgemm_for_columns(wide_float, left);
      panel->kernel = kernel;
      panel->mr = kernel->mr;
      panel->nr = kernel->nr;
    }
    assert(panel->mr * panel->nr % 16 == 0); /* tiles lie one behind the other, each 64-byte aligned */
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

/* A block's input fills about a quarter of L2, beside the panels; its pointers stay in L1. */
static void choose_rows(q8_linear *l, size_t row_bytes) {
  l->row_step = 1;
  for (size_t i = 0; i < l->panel_count; i++)
    l->row_step = common_multiple(l->row_step, l->panels[i].mr);
  size_t bytes = row_bytes ? row_bytes : l->taps * l->k_padded * l->a_bytes;
  size_t rows = bytes ? q8_cpu_l2_size() / 4 / bytes : MAX_BLOCK_ROWS;
  size_t table = q8_cpu_l1_size() / 2 / sizeof(void *) / (l->taps ? l->taps : 1);
  rows = rows < table ? rows : table;
  rows = rows < MAX_BLOCK_ROWS ? rows : MAX_BLOCK_ROWS;
  l->rows_per_block = rows > l->row_step ? rows / l->row_step * l->row_step : l->row_step;
}

/* Values of output column `column` at (tap, k block): zero beyond the group's columns or k. */
static void pack_panel(const q8_linear *l, const q8_linear_desc *d, size_t group, const q8_panel *panel,
                       size_t kr, int b_bytes) {
  uint8_t *out = l->weights + group * l->group_size + panel->offset;
  const int8_t *w = (const int8_t *)d->w + group * d->w_group;
  for (size_t t = 0; t < d->taps; t++)
    for (size_t k = 0; k < l->k_padded; k += kr)
      for (size_t j = 0; j < panel->nr; j++)
        for (size_t i = 0; i < kr; i++) {
          size_t column = panel->column + j;
          int8_t value = 0;
          if (column < d->n && k + i < d->k)
            value = w[column * d->w_out + t * d->w_tap + (k + i) * d->w_in];
          if (b_bytes == 1) {
            *(int8_t *)out = value;
          } else {
            int16_t wide = value;
            memcpy(out, &wide, 2);
          }
          out += b_bytes;
        }
}

static void sum_columns(const q8_linear *l, const q8_linear_desc *d) {
  for (size_t g = 0; g < d->groups; g++)
    for (size_t j = 0; j < d->n; j++) {
      const int8_t *w = (const int8_t *)d->w + g * d->w_group + j * d->w_out;
      uint32_t sum = 0;
      for (size_t t = 0; t < d->taps; t++)
        for (size_t c = 0; c < d->k; c++)
          sum += (uint32_t)(int32_t)w[t * d->w_tap + c * d->w_in];
      l->column_sum[g * d->n + j] = (int32_t)sum;
    }
}

q8_status q8_linear_pack(const q8_kernels *kernels, const q8_linear_desc *d, q8_pool *pool, q8_linear *out,
                         qint8_error *error) {
  if (d->taps * d->k > Q8_MAX_DOT)
    return q8_fail(error, QINT8_ERROR_LIMIT, "weights",
                   "%zu products per output, at most %d fit the accumulator", d->taps * d->k, Q8_MAX_DOT);
  const q8_gemm_kernel *wide = smallest_weight(d) < kernels->gemm->b_min ? kernels->gemm_full : kernels->gemm;
  *out = (q8_linear){.groups = d->groups,
                     .taps = d->taps,
                     .k = d->k,
                     .k_padded = q8_round_up(d->k, wide->kr),
                     .n = d->n,
                     .a_bytes = wide->a_bytes,
                     .a_shift = wide->a_shift,
                     .kernel_name = wide->name};
  Q8_TRY(lay_out_panels(out, wide, NULL, wide->b_bytes, pool, error));
  out->weights = q8_pool_alloc(pool, d->groups, out->group_size);
  out->column_sum = q8_pool_alloc(pool, d->groups * d->n + 1, sizeof *out->column_sum);
  if (!out->weights || !out->column_sum)
    return q8_fail_memory(error, "weights", d->groups * out->group_size);
  for (size_t g = 0; g < d->groups; g++)
    for (size_t i = 0; i < out->panel_count; i++)
      pack_panel(out, d, g, &out->panels[i], wide->kr, wide->b_bytes);
  sum_columns(out, d);
  out->kernel_name = ((const q8_gemm_kernel *)out->panels[0].kernel)->name;
  choose_rows(out, d->row_bytes);
  return QINT8_OK;
}

q8_status q8_linear_layout_float(const q8_kernels *kernels, const q8_linear_desc *d, q8_pool *pool,
                                 q8_linear *out, qint8_error *error) {
  *out = (q8_linear){
      .groups = d->groups, .taps = d->taps, .k = d->k, .k_padded = d->k, .n = d->n, .a_bytes = sizeof(float)};
  Q8_TRY(lay_out_panels(out, NULL, kernels->sgemm, sizeof(float), pool, error));
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
  out->weights = q8_pool_alloc(pool, d->groups, out->group_size);
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
