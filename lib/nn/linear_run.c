/* linear_run.c - the walk over blocks of rows, panels and tiles. */
#include <string.h>

#include "base/parallel.h"
#include "nn/linear.h"

#define MAX_TILE_ROWS 32              /* of any micro-kernel */
#define MAX_TILE (MAX_TILE_ROWS * 64) /* accumulators of any micro-kernel */

/* How a run is cut: each task takes a range of units (group, block of rows) and a range of panels. Both are counted
 * from the host's threads, so that one task per thread gets its own scratch. */
typedef struct cut {
  size_t rows, blocks, units, unit_tasks, panel_tasks;
} cut;

static cut cut_run(const q8_linear *l, size_t m, int32_t threads) {
  cut c = {.rows = l->rows_per_block};
  size_t wanted = threads > 1 ? (size_t)threads : 1;
  if (wanted > 1 && m / wanted < c.rows) { /* smaller blocks rather than idle threads, but not tiny ones */
    size_t even = q8_round_up((m + wanted - 1) / wanted, 24);
    c.rows = even < c.rows ? even : c.rows;
  }
  c.blocks = (m + c.rows - 1) / c.rows;
  c.units = c.blocks * l->groups;
  c.unit_tasks = c.units < wanted ? c.units : wanted;
  c.panel_tasks = c.unit_tasks ? wanted / c.unit_tasks : 1;
  if (c.panel_tasks > l->panel_count)
    c.panel_tasks = l->panel_count;
  if (c.panel_tasks == 0)
    c.panel_tasks = 1;
  return c;
}

/* Scratch of one task: pointer table, accumulators, and the widened rows where the kernel wants int16. */
static size_t table_size(const q8_linear *l, size_t rows) {
  return q8_round_up(l->taps * (rows + MAX_TILE_ROWS) * sizeof(void *), Q8_ALIGN);
}
static size_t wide_size(const q8_linear *l, size_t rows) {
  return l->a_bytes == 2 ? q8_round_up(l->taps * l->k_padded * rows * sizeof(int16_t), Q8_ALIGN) : 0;
}
static size_t task_scratch(const q8_linear *l, size_t rows) {
  return table_size(l, rows) + MAX_TILE * sizeof(int32_t) + wide_size(l, rows);
}

size_t q8_linear_scratch(const q8_linear *l, size_t m, int32_t threads) {
  cut c = cut_run(l, m, threads);
  return c.unit_tasks * c.panel_tasks * task_scratch(l, c.rows);
}

typedef struct job {
  const q8_linear_run *run;
  cut c;
} job;

/* One pointer per tap and row; rows past the end repeat the last. */
static void fill_table(const q8_linear_run *run, size_t group, size_t row, size_t rows, size_t stride,
                       const void **table) {
  for (size_t t = 0; t < run->linear->taps; t++) {
    const void **out = table + t * stride;
    run->rows(run->source, group, t, row, rows, out);
    for (size_t i = rows; i < rows + MAX_TILE_ROWS; i++)
      out[i] = out[rows - 1];
  }
}

static void widen_rows(const q8_linear *l, size_t rows, size_t stride, const void **table, int16_t *wide) {
  for (size_t t = 0; t < l->taps; t++)
    for (size_t i = 0; i < rows; i++) {
      const uint8_t *from = table[t * stride + i];
      for (size_t c = 0; c < l->k_padded; c++)
        wide[c] = (int16_t)(from[c] - l->a_shift);
      table[t * stride + i] = wide;
      wide += l->k_padded;
    }
  for (size_t t = 0; t < l->taps; t++)
    for (size_t i = rows; i < rows + MAX_TILE_ROWS; i++)
      table[t * stride + i] = table[t * stride + rows - 1];
}

/* Dequantizes rows that may belong to several samples, each with its own zero point and scale. */
static void dequantize_tile(const q8_linear_run *run, size_t column, size_t row, size_t rows, size_t columns,
                            const int32_t *acc, size_t nr, float *y) {
  const q8_epilogue *e = run->epilogue;
  const q8_linear *l = run->linear;
  q8_dequant dq = {.offset = e->offset + (e->sample_scale ? 0 : column),
                   .scale = e->scale + column,
                   .bias = e->bias + column,
                   .row_scale = 1.0f,
                   .lo = e->lo,
                   .hi = e->hi};
  if (!e->sample_scale) {
    run->kernels->dequant_acc(rows, columns, acc, nr, &dq, y, run->y_stride);
    return;
  }
  int32_t offset[64 + 64] = {0};
  dq.offset = offset;
  for (size_t done = 0; done < rows;) {
    size_t sample = (row + done) / e->rows_per_sample, end = (sample + 1) * e->rows_per_sample - row;
    size_t count = (end < rows ? end : rows) - done;
    uint32_t shift = (uint32_t)(e->sample_zero[sample] - l->a_shift);
    for (size_t j = 0; j < columns; j++)
      offset[j] = (int32_t)(0u - shift * (uint32_t)l->column_sum[column + j]);
    dq.row_scale = e->sample_scale[sample];
    run->kernels->dequant_acc(count, columns, acc + done * nr, nr, &dq, y + done * run->y_stride, run->y_stride);
    done += count;
  }
}

static void finish_tile(const q8_linear_run *run, size_t group, const q8_panel *panel, size_t row, size_t rows,
                        const void *acc) {
  const q8_linear *l = run->linear;
  const q8_epilogue *e = run->epilogue;
  size_t columns = l->n - panel->column < panel->nr ? l->n - panel->column : panel->nr;
  size_t column = group * l->n + panel->column, at = row * run->y_stride + column;
  if (e->kind == Q8_EPILOGUE_REQUANT) {
    q8_requant rq = e->requant;
    rq.bias += column;
    rq.scale += column;
    run->kernels->requant(rows, columns, acc, panel->nr, &rq, (uint8_t *)run->y + at, run->y_stride);
  } else if (e->kind == Q8_EPILOGUE_DEQUANT) {
    dequantize_tile(run, column, row, rows, columns, acc, panel->nr, (float *)run->y + at);
  } else {
    run->kernels->sbias(rows, columns, acc, panel->nr, e->bias + column, e->lo, e->hi, (float *)run->y + at,
                        run->y_stride);
  }
}

static void run_tile(const q8_linear *l, const q8_panel *panel, const void *const *a, size_t stride, const void *b,
                     void *acc) {
  if (l->a_bytes == sizeof(float))
    ((const q8_sgemm_kernel *)panel->kernel)->run(l->taps, l->k_padded, a, stride, b, acc);
  else
    ((const q8_gemm_kernel *)panel->kernel)->run(l->taps, l->k_padded, a, stride, b, acc);
}

static void run_unit(const job *j, size_t unit, size_t first_panel, size_t last_panel, uint8_t *scratch) {
  const q8_linear_run *run = j->run;
  const q8_linear *l = run->linear;
  size_t group = unit / j->c.blocks, row = unit % j->c.blocks * j->c.rows;
  size_t rows = run->m - row < j->c.rows ? run->m - row : j->c.rows, stride = j->c.rows + MAX_TILE_ROWS;
  void *acc = scratch;
  const void **table = (const void **)(void *)(scratch + MAX_TILE * sizeof(int32_t));
  fill_table(run, group, row, rows, stride, table);
  if (l->a_bytes == 2)
    widen_rows(l, rows, stride, table, (int16_t *)(void *)((uint8_t *)table + table_size(l, j->c.rows)));
  for (size_t p = first_panel; p < last_panel; p++) {
    const q8_panel *panel = &l->panels[p];
    const void *b = l->weights + group * l->group_size + panel->offset;
    for (size_t i = 0; i < rows; i += panel->mr) {
      run_tile(l, panel, table + i, stride, b, acc);
      finish_tile(run, group, panel, row + i, rows - i < panel->mr ? rows - i : panel->mr, acc);
    }
  }
}

static void run_task(void *argument, size_t task) {
  const job *j = argument;
  const q8_linear *l = j->run->linear;
  size_t ut = task / j->c.panel_tasks, pt = task % j->c.panel_tasks;
  size_t first = j->c.units * ut / j->c.unit_tasks, last = j->c.units * (ut + 1) / j->c.unit_tasks;
  size_t first_panel = l->panel_count * pt / j->c.panel_tasks;
  size_t last_panel = l->panel_count * (pt + 1) / j->c.panel_tasks;
  uint8_t *scratch = (uint8_t *)j->run->scratch + task * task_scratch(l, j->c.rows);
  for (size_t unit = first; unit < last; unit++)
    run_unit(j, unit, first_panel, last_panel, scratch);
}

void q8_linear_execute(const q8_linear_run *run, const q8_host *host) {
  job j = {run, cut_run(run->linear, run->m, host->threads)};
  q8_parallel(host, j.c.unit_tasks * j.c.panel_tasks, run_task, &j);
}

void q8_matrix_source(const void *source, size_t group, size_t tap, size_t row, size_t count, const void **out) {
  const q8_matrix_rows *rows = source;
  (void)tap;
  for (size_t i = 0; i < count; i++)
    out[i] = rows->base + (row + i) * rows->stride_bytes + group * rows->group_bytes;
}
