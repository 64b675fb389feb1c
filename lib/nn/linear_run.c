/* linear_run.c - the walk over blocks of rows, panels and tiles. */
#include <stdint.h>
#include <string.h>

#include "base/cold.h"
#include "base/cpu.h"
#include "base/parallel.h"
#include "nn/linear.h"

/* How a run is cut: each task takes a range of units (group, block of rows) and a range of panels. Both are
 * counted from the host's threads, so that one task per thread gets its own scratch. */
typedef struct cut {
  size_t rows, blocks, units, unit_tasks, panel_tasks;
} cut;

/* Where part i of `parts` of `count` begins. */
static size_t part(size_t count, size_t i, size_t parts) {
  return parts == 1 ? count * i : count * i / parts;
}

/* Fewer products are done sooner than another thread begins with them. */
#define MIN_SPLIT_PRODUCTS 65536

static size_t first_column(const q8_linear *l, size_t panel) {
  return panel < l->panel_count ? l->panels[panel].column : l->n;
}

static size_t most_columns(const q8_linear *l, size_t panel_tasks) {
  size_t most = 0;
  for (size_t i = 0; i < panel_tasks; i++) {
    size_t begin = first_column(l, part(l->panel_count, i, panel_tasks));
    size_t end = first_column(l, part(l->panel_count, i + 1, panel_tasks));
    most = end - begin > most ? end - begin : most;
  }
  return most;
}

/* Whole tiles of every panel, which float needs (see row_step); of the widest panels, where that is more even. */
static size_t block_step(const q8_linear *l, size_t unit_tasks) {
  return l->a_bytes == sizeof(float) || unit_tasks == 1 ? l->row_step : l->panels[0].mr;
}

static cut cut_parts(const q8_linear *l, size_t m, size_t unit_tasks, size_t panel_tasks) {
  size_t blocks = (m + l->rows_per_block - 1) / l->rows_per_block;
  if (blocks * l->groups < unit_tasks)
    blocks = (unit_tasks + l->groups - 1) / l->groups;
  else if (l->groups == 1)
    blocks = q8_round_up(blocks, unit_tasks);
  cut c = {.rows = q8_round_up(blocks ? (m + blocks - 1) / blocks : 1, block_step(l, unit_tasks))};
  c.blocks = (m + c.rows - 1) / c.rows;
  c.units = c.blocks * l->groups;
  c.unit_tasks = c.units < unit_tasks ? c.units : unit_tasks;
  c.panel_tasks = panel_tasks;
  return c;
}

/* Outputs of the task that has the most. */
static size_t most_outputs(const q8_linear *l, size_t m, const cut *c) {
  size_t units = c->unit_tasks ? (c->units + c->unit_tasks - 1) / c->unit_tasks : 0, rows = c->rows < m ? c->rows : m;
  return units * rows * most_columns(l, c->panel_tasks);
}

/* The most even cut. Among those that are about as even, threads share the panels, so that the next step finds its rows
 * where they were made; or they share the rows, where the panels do not fit L2 and would pass through each core's. */
Q8_COLD static cut most_even_cut(const q8_linear *l, size_t m, size_t wanted) {
  size_t most = wanted < l->panel_count ? wanted : l->panel_count, least = SIZE_MAX;
  int panels_first = l->group_size > q8_cpu_l2_size() / 2;
  cut best = {0};
  for (size_t i = 0; i < most; i++) {
    size_t panel_tasks = panels_first ? most - i : i + 1;
    cut c = cut_parts(l, m, wanted / panel_tasks, panel_tasks);
    size_t outputs = most_outputs(l, m, &c);
    if (outputs < least - least / 16) {
      least = outputs;
      best = c;
    }
  }
  return best;
}

static cut cut_run(const q8_linear *l, size_t m, int32_t threads) {
  size_t wanted = threads > 1 ? (size_t)threads : 1;
  if (m * l->n * l->taps * l->k * l->groups < MIN_SPLIT_PRODUCTS)
    wanted = 1;
  if (wanted == 1 && m - 1 < l->rows_per_block) /* small layers are done in the time of a few divisions */
    return (cut){q8_round_up(m, l->row_step), 1, l->groups, 1, 1};
  return most_even_cut(l, m, wanted);
}

/* Scratch of one task: accumulators, pointer table, and where needed the end of the input with room behind
 * it, or the widened rows. */
static size_t table_size(const q8_linear *l, size_t rows) {
  return q8_round_up(l->taps * rows * sizeof(void *), Q8_ALIGN);
}
static size_t wide_size(const q8_linear *l, size_t rows) {
  return l->a_bytes == 2 ? q8_round_up(l->taps * l->k_padded * rows * sizeof(int16_t), Q8_ALIGN) : 0;
}
static size_t tail_size(const q8_linear *l) {
  return l->a_bytes == 1 && l->k_padded > l->k ? q8_round_up(2 * l->k_padded, Q8_ALIGN) : 0;
}
static size_t task_scratch(const q8_linear *l, size_t rows) {
  return Q8_MAX_ACC * sizeof(int32_t) + table_size(l, rows) + tail_size(l) + wide_size(l, rows);
}

size_t q8_linear_scratch(const q8_linear *l, size_t m, int32_t threads) {
  size_t most = 0;
  for (int32_t t = 1; t == 1 || t <= threads; t++) { /* a run may have fewer threads than were planned for */
    cut c = cut_run(l, m, t);
    size_t size = c.unit_tasks * c.panel_tasks * task_scratch(l, q8_round_up(c.rows, l->row_step));
    most = size > most ? size : most;
  }
  return most;
}

typedef struct job {
  const q8_linear_run *run;
  cut c;
  size_t stride; /* of the table: whole tiles of every panel */
} job;

/* ---- Pointers to rows ---- */

/* Rows within k_padded of the input's end are read from a copy of that end. */
static void redirect_tail(const q8_linear_run *run, size_t count, const void **table, uint8_t *tail) {
  size_t size = run->linear->k_padded < run->x_size ? run->linear->k_padded : run->x_size;
  const uint8_t *end = run->x + run->x_size, *from = end - size;
  memcpy(tail, from, size);
  memset(tail + size, 0, run->linear->k_padded);
  for (size_t i = 0; i < count; i++) {
    const uint8_t *row = table[i];
    if (row >= from && row < end)
      table[i] = tail + (row - from);
  }
}

static void widen_rows(const q8_linear *l, size_t rows, const void **table, int16_t *wide) {
  for (size_t i = 0; i < rows; i++, wide += l->k_padded) {
    l->widen(l->k, table[i], wide);
    memset(wide + l->k, 0, (l->k_padded - l->k) * sizeof *wide);
    table[i] = wide;
  }
}

/* One pointer per tap and row; rows past the end repeat the last, up to the next multiple of row_step. */
static void fill_table(const q8_linear_run *run, size_t group, size_t row, size_t rows, size_t stride,
                       const void **table, uint8_t *rest) {
  const q8_linear *l = run->linear;
  int16_t *wide = (int16_t *)(void *)(rest + tail_size(l));
  const size_t end = q8_round_up(rows, l->row_step);
  for (size_t t = 0; t < l->taps; t++, table += stride) {
    run->rows(run->source, group, t, row, rows, table);
    if (run->x_size && tail_size(l))
      redirect_tail(run, rows, table, rest);
    if (l->a_bytes == 2 && !run->rows_are_wide)
      widen_rows(l, rows, table, wide + t * rows * l->k_padded);
    for (size_t i = rows; i < end; i++)
      table[i] = table[rows - 1];
  }
}

/* ---- Epilogue ---- */

/* Dequantizes rows that may belong to several samples, each with its own zero point and scale: those of one sample in a
 * call, or all if each row is a sample. */
static void dequantize_rows(const q8_linear_run *run, size_t column, size_t row, size_t rows, size_t columns,
                            const int32_t *acc, size_t nr, float *y) {
  const q8_epilogue *e = run->epilogue;
  const q8_linear *l = run->linear;
  const int dynamic = e->sample_scale != NULL, each = dynamic && e->rows_per_sample == 1;
  q8_dequant dq = {.offset = (dynamic ? l->column_sum : e->offset) + column,
                   .scale = e->scale + column,
                   .bias = e->bias + column,
                   .lo = e->lo,
                   .hi = e->hi,
                   .shift = l->a_shift,
                   .row_step = (size_t)each};
  for (size_t done = 0, count = rows; done < rows; done += count) {
    if (dynamic) {
      size_t sample = part(row + done, 1, e->rows_per_sample), end = (sample + 1) * e->rows_per_sample - row;
      count = each || end > rows ? rows - done : end - done;
      dq.zero = e->sample_zero + sample;
      dq.row_scale = e->sample_scale + sample;
    }
    run->kernels->dequant_acc(count, columns, acc + done * nr, nr, &dq, y + done * run->y_stride, run->y_stride);
  }
}

/* The columns of a panel, and the first of them among those of all groups. */
typedef struct part_of_row {
  size_t columns, column;
} part_of_row;

static part_of_row columns_of(const q8_linear *l, size_t group, const q8_panel *panel) {
  const size_t left = l->n - panel->column;
  return (part_of_row){left < panel->nr ? left : panel->nr, group * l->n + panel->column};
}

static q8_requant requant_from(const q8_epilogue *e, size_t column) {
  q8_requant rq = e->requant;
  rq.bias += column;
  rq.scale += column;
  return rq;
}

static void finish_rows(const q8_linear_run *run, part_of_row p, const q8_panel *panel, size_t row, size_t rows,
                        const void *acc) {
  const size_t at = row * run->y_stride + p.column;
  if (run->epilogue->kind == Q8_EPILOGUE_REQUANT) {
    const q8_requant rq = requant_from(run->epilogue, p.column);
    run->kernels->requant(rows, p.columns, acc, panel->nr, &rq, (uint8_t *)run->y + at, run->y_stride);
  } else {
    dequantize_rows(run, p.column, row, rows, p.columns, acc, panel->nr, (float *)run->y + at);
  }
}

/* ---- Tiles ---- */

/* The tile for the last rows of a block may be shorter than the panel's. */
static size_t run_tile(const q8_linear *l, const q8_panel *panel, size_t rows, const void *const *a,
                       size_t stride, const void *b, void *acc) {
  const q8_gemm_kernel *kernel = panel->kernel;
  if (rows < kernel->mr)
    kernel = q8_gemm_for_rows(kernel, rows);
  kernel->run(l->taps, l->k_padded, a, stride, b, acc);
  return kernel->mr;
}

/* The same with tiles that end in uint8: whole ones, or any number of rows that is more than one; then the rest. */
static void run_panel_u8(const q8_linear_run *run, part_of_row p, const q8_panel *panel, size_t row, size_t rows,
                         const void *const *table, size_t stride, const uint8_t *b) {
  const q8_linear *l = run->linear;
  const q8_gemm_kernel *kernel = panel->kernel;
  const int any_height = kernel[1].run_u8 == kernel->run_u8 && rows > kernel->mr;
  const size_t whole = any_height ? rows : rows / kernel->mr * kernel->mr;
  uint8_t *y = (uint8_t *)run->y + row * run->y_stride + p.column;
  const q8_requant rq = requant_from(run->epilogue, p.column);
  const q8_panel *last = l->panels + l->panel_count - 1;
  const uint8_t *next = panel < last && panel[1].nr == panel->nr ? b + (panel[1].offset - panel->offset) : b;
  for (size_t count = whole ? whole : rows; rows > 0; rows -= count, count = rows, next = b) {
    if (count < kernel->mr)
      kernel = q8_gemm_for_rows(kernel, count);
    kernel->run_u8(l->taps, l->k_padded, table, stride, b, next, &rq, count, p.columns, y, run->y_stride);
    table += count;
    y += count * run->y_stride;
  }
}

static void run_panel_float(const q8_linear_run *run, part_of_row p, const q8_panel *panel, size_t row, size_t rows,
                            const void *const *table, size_t stride, const float *b) {
  const q8_linear *l = run->linear;
  const q8_epilogue *e = run->epilogue;
  const q8_sgemm_kernel *kernel = panel->kernel;
  const size_t whole = rows / kernel->mr * kernel->mr;
  float *y = (float *)run->y + row * run->y_stride + p.column;
  for (size_t count = whole ? whole : rows; rows > 0; rows -= count, count = rows) {
    if (count < kernel->mr)
      kernel = q8_sgemm_for_rows(kernel, count);
    kernel->run(l->taps, l->k_padded, table, stride, b, e->bias + p.column, e->lo, e->hi, count, p.columns, y,
                run->y_stride);
    table += count;
    y += count * run->y_stride;
  }
}

static void add_to_row(size_t n, uint32_t offset, int32_t *acc) {
  for (size_t j = 0; j < n; j++)
    acc[j] = (int32_t)((uint32_t)acc[j] + offset);
}

/* Tiles of one panel lie one behind the other in `acc`, as one matrix nr wide, for one call of the epilogue; a row alone too, as
 * that is begun sooner than tiles that end in uint8. */
static void run_panel(const q8_linear_run *run, size_t group, const q8_panel *panel, size_t row, size_t rows,
                      const void *const *table, size_t stride, int32_t *acc) {
  const q8_linear *l = run->linear;
  const uint8_t *b = l->weights + group * l->group_size + panel->offset;
  const part_of_row p = columns_of(l, group, panel);
  size_t batch = panel->tiles * (size_t)panel->mr;
  if (run->epilogue->kind == Q8_EPILOGUE_REQUANT && !run->row_offset && rows > 1 &&
      ((const q8_gemm_kernel *)panel->kernel)->run_u8) {
    run_panel_u8(run, p, panel, row, rows, table, stride, b);
    return;
  }
  if (run->epilogue->kind == Q8_EPILOGUE_FLOAT) {
    run_panel_float(run, p, panel, row, rows, table, stride, (const float *)(const void *)b);
    return;
  }
  for (size_t i = 0; i < rows; i += batch) {
    size_t count = rows - i < batch ? rows - i : batch;
    for (size_t done = 0; done < count;)
      done += run_tile(l, panel, count - done, table + i + done, stride, b, acc + done * panel->nr);
    for (size_t r = 0; run->row_offset && r < count; r++)
      add_to_row(panel->nr, (uint32_t)run->row_offset[row + i + r], acc + r * panel->nr);
    finish_rows(run, p, panel, row + i, count, acc);
  }
}

/* The function of float rows, which are still in the cache. */
static void finish_floats(const q8_linear_run *run, size_t group, size_t row, size_t rows, size_t first, size_t last) {
  const q8_epilogue *e = run->epilogue;
  size_t columns = last - first, stride = run->y_stride;
  float *y = (float *)run->y + row * stride + group * run->linear->n + first;
  if (columns == stride)
    run->kernels->sunary(columns * rows, e->function, y, y);
  else
    for (size_t i = 0; i < rows; i++, y += stride)
      run->kernels->sunary(columns, e->function, y, y);
}

/* What is done for whole rows at once, which are still in L2: the second stage, whose other operand streams in row by
 * row, and the table, as kernels look up many values in the time of a few. */
static void finish_block(const q8_linear_run *run, size_t group, size_t row, size_t rows, size_t first, size_t last) {
  const q8_epilogue *e = run->epilogue;
  size_t columns = last - first, stride = run->y_stride, dense = run->linear->groups * run->linear->n;
  size_t at = group * run->linear->n + first;
  uint8_t *y = (uint8_t *)run->y + row * stride + at;
  if (columns == stride) {
    columns *= rows;
    rows = 1;
  }
  if (e->residual)
    run->kernels->add(rows, columns, y, stride, e->other + row * dense + at, dense, e->residual, y, stride);
  for (size_t i = 0; e->table && i < rows; i++, y += stride)
    run->kernels->table(columns, y, e->table, y);
}

/* Block `block` of rows of one group. */
static void run_unit(const job *j, size_t group, size_t block, size_t first_panel, size_t last_panel,
                     uint8_t *scratch) {
  const q8_linear_run *run = j->run;
  const q8_linear *l = run->linear;
  size_t row = block * j->c.rows;
  size_t rows = run->m - row < j->c.rows ? run->m - row : j->c.rows, stride = j->stride;
  int32_t *acc = (int32_t *)(void *)scratch;
  const void **table = (const void **)(void *)(acc + Q8_MAX_ACC);
  fill_table(run, group, row, rows, stride, table, (uint8_t *)table + table_size(l, stride));
  for (size_t p = first_panel; p < last_panel; p++)
    run_panel(run, group, &l->panels[p], row, rows, table, stride, acc);
  if (first_panel == last_panel)
    return;
  size_t first = l->panels[first_panel].column,
         last = last_panel < l->panel_count ? l->panels[last_panel].column : l->n;
  if (run->epilogue->kind == Q8_EPILOGUE_REQUANT)
    finish_block(run, group, row, rows, first, last);
  else if (run->epilogue->function)
    finish_floats(run, group, row, rows, first, last);
}

static void run_task(void *argument, size_t task) {
  const job *j = argument;
  const cut *c = &j->c;
  const q8_linear *l = j->run->linear;
  size_t ut = part(task, 1, c->panel_tasks), pt = task - ut * c->panel_tasks;
  size_t first = part(c->units, ut, c->unit_tasks), last = part(c->units, ut + 1, c->unit_tasks);
  size_t first_panel = part(l->panel_count, pt, c->panel_tasks);
  size_t last_panel = part(l->panel_count, pt + 1, c->panel_tasks);
  uint8_t *scratch = (uint8_t *)j->run->scratch + task * task_scratch(l, j->stride);
  for (size_t unit = first; unit < last; unit++) {
    size_t group = part(unit, 1, c->blocks);
    run_unit(j, group, unit - group * c->blocks, first_panel, last_panel, scratch);
  }
}

void q8_linear_execute(const q8_linear_run *run, const q8_host *host) {
  job j = {run, cut_run(run->linear, run->m, host->threads), 0};
  j.stride = q8_round_up(j.c.rows, run->linear->row_step);
  q8_parallel(host, j.c.unit_tasks * j.c.panel_tasks, run_task, &j);
}

/* Four at a time, because one addition each would wait for the one before it. */
void q8_fill_addresses(const uint8_t *from, size_t step, size_t count, const void **out) {
  for (; count >= 4; count -= 4, out += 4, from += 4 * step) {
    out[0] = from;
    out[1] = from + step;
    out[2] = from + 2 * step;
    out[3] = from + 3 * step;
  }
  for (; count > 0; count--, out++, from += step)
    *out = from;
}

void q8_matrix_source(const void *source, size_t group, size_t tap, size_t row, size_t count,
                      const void **out) {
  const q8_matrix_rows *rows = source;
  (void)tap;
  const uint8_t *at = rows->base + row * rows->stride_bytes + group * rows->group_bytes;
  q8_fill_addresses(at, rows->stride_bytes, count, out);
}
