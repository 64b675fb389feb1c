/* depthwise.c - convolution with one filter per channel. */
#include "base/parallel.h"
#include "nn/conv_internal.h"

q8_status q8_depthwise_pack(const q8_kernels *kernels, const int8_t *w, q8_pool *pool, q8_conv *out,
                            qint8_error *error) {
  const q8_conv_geometry *g = &out->g;
  size_t taps = g->r * g->s;
  int smallest = 0;
  int8_t *by_tap = q8_alloc(&pool->host, taps * g->c, 1);
  out->dw_sum = q8_pool_alloc(pool, g->c, sizeof *out->dw_sum);
  for (size_t c = 0; by_tap && out->dw_sum && c < g->c; c++)
    for (size_t t = 0; t < taps; t++) {
      int8_t value = w[c * taps + t];
      by_tap[t * g->c + c] = value;
      out->dw_sum[c] += value;
      smallest = value < smallest ? value : smallest;
    }
  out->dwconv = q8_kernels_dwconv(kernels->mask, g->r, g->s, smallest);
  size_t size = out->dwconv->packed_size(g->c, g->r, g->s);
  void *packed = q8_pool_alloc(pool, size < Q8_ALIGN ? Q8_ALIGN : size, 1);
  if (!by_tap || !out->dw_sum || !packed) {
    q8_free(&pool->host, by_tap);
    return q8_fail_memory(error, "weights", size);
  }
  out->dwconv->pack(g->c, g->r, g->s, by_tap, packed);
  out->dw_weights = packed;
  out->kernel_name = out->dwconv->name;
  q8_free(&pool->host, by_tap);
  return QINT8_OK;
}

q8_status q8_depthwise_pack_float(const float *w, q8_pool *pool, q8_conv *out, qint8_error *error) {
  const q8_conv_geometry *g = &out->g;
  size_t taps = g->r * g->s;
  float *by_tap = q8_pool_alloc(pool, taps * g->c, sizeof *by_tap);
  if (!by_tap)
    return q8_fail_memory(error, "weights", taps * g->c * sizeof *by_tap);
  for (size_t c = 0; c < g->c; c++)
    for (size_t t = 0; t < taps; t++)
      by_tap[t * g->c + c] = q8_flush(w[c * taps + t]);
  out->dw_weights = by_tap;
  out->kernel_name = "sdwconv";
  return QINT8_OK;
}

/* ---- Running: one table of columns for each output row ---- */

typedef struct dw_job {
  const q8_conv *conv;
  const q8_kernels *kernels;
  const q8_image_rows *rows;
  const q8_epilogue *epilogue;
  uint8_t *y;
  uint8_t *tables; /* one pointer table per task */
  size_t tasks;
} dw_job;

static size_t dw_columns(const q8_conv *conv) {
  const q8_conv_geometry *g = &conv->g;
  return (g->q - 1) * g->stride_w + (g->s - 1) * g->dilation_w + 1;
}
static size_t dw_table(const q8_conv *conv) {
  return q8_round_up(dw_columns(conv) * conv->g.r * sizeof(void *), Q8_ALIGN);
}

static void dw_fill_table(const q8_image_rows *rows, size_t n, size_t p, const void **table) {
  const q8_conv_geometry *g = &rows->conv->g;
  size_t pixel = g->c * rows->conv->element, columns = dw_columns(rows->conv);
  const uint8_t *zero = rows->zero_rows + n * rows->zero_stride;
  for (size_t i = 0; i < g->r; i++) {
    ptrdiff_t y = (ptrdiff_t)(p * g->stride_h + i * g->dilation_h) - (ptrdiff_t)g->pad_top;
    int outside = y < 0 || y >= (ptrdiff_t)g->h;
    const uint8_t *line = rows->x + (n * g->h + (size_t)(outside ? 0 : y)) * g->w * pixel;
    ptrdiff_t x = -(ptrdiff_t)g->pad_left;
    for (size_t column = 0; column < columns; column++, x++)
      table[column * g->r + i] = outside || x < 0 || x >= (ptrdiff_t)g->w ? zero : line + (size_t)x * pixel;
  }
}

static void dw_task(void *argument, size_t task) {
  const dw_job *job = argument;
  const q8_conv *conv = job->conv;
  const q8_conv_geometry *g = &conv->g;
  const q8_dwconv_shape shape = {g->c, g->r, g->s, g->q, g->stride_w, g->dilation_w};
  q8_requant requant = job->epilogue->requant;
  const uint8_t *values = requant.table; /* for whole rows at once */
  requant.table = NULL;
  const void **table = (const void **)(void *)(job->tables + task * dw_table(conv));
  size_t first = g->n * g->p * task / job->tasks, last = g->n * g->p * (task + 1) / job->tasks;
  for (size_t row = first; row < last; row++) {
    dw_fill_table(job->rows, row / g->p, row % g->p, table);
    size_t at = row * g->q * g->c;
    if (conv->element == 1)
      conv->dwconv->run(&shape, conv->dw_weights, &requant, (const uint8_t *const *)table, job->y + at, g->c);
    else
      job->kernels->sdwconv(&shape, conv->dw_weights, job->epilogue->bias, job->epilogue->lo,
                            job->epilogue->hi, (const float *const *)table, (float *)(void *)job->y + at,
                            g->c);
    if (conv->element == 1 && values)
      job->kernels->table(g->q * g->c, job->y + at, values, job->y + at);
  }
}

static size_t task_count(const q8_conv *conv, int32_t threads) {
  size_t rows = conv->g.n * conv->g.p, wanted = threads > 1 ? (size_t)threads : 1;
  return rows < wanted ? rows : wanted;
}

size_t q8_depthwise_scratch(const q8_conv *conv, int32_t threads) {
  return task_count(conv, threads) * dw_table(conv);
}

void q8_depthwise_run(const q8_conv *conv, const q8_kernels *kernels, const q8_image_rows *rows,
                      const q8_epilogue *epilogue, void *y, void *scratch, const q8_host *host) {
  dw_job job = {conv, kernels, rows, epilogue, y, scratch, task_count(conv, host->threads)};
  q8_parallel(host, job.tasks, dw_task, &job);
}
