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

/* The input columns of a row of the table that lie inside the image: [*first, *last). */
static void dw_inside(const q8_conv *conv, size_t *first, size_t *last) {
  const q8_conv_geometry *g = &conv->g;
  size_t columns = dw_columns(conv);
  *first = g->pad_left < columns ? g->pad_left : columns;
  *last = columns - *first < g->w ? columns : *first + g->w;
}

/* Of `count` kernel rows from row `top` on. */
static void dw_fill_table(const q8_image_rows *rows, size_t n, size_t p, size_t top, size_t count, const void **table) {
  const q8_conv_geometry *g = &rows->conv->g;
  size_t pixel = g->c * rows->conv->element, columns = dw_columns(rows->conv), first, last;
  const uint8_t *zero = rows->zero_rows + n * rows->zero_stride;
  dw_inside(rows->conv, &first, &last);
  for (size_t i = 0; i < count; i++) {
    size_t y = p * g->stride_h + (top + i) * g->dilation_h - g->pad_top; /* wraps to a huge value above the image */
    size_t from = y < g->h ? first : columns, to = y < g->h ? last : columns, at = 0;
    const void **out = table + i;
    for (; at < from; at++, out += count)
      *out = zero;
    const uint8_t *x = at < to ? rows->x + (n * g->h + y) * g->w * pixel : NULL;
    for (; at < to; at++, out += count, x += pixel)
      *out = x;
    for (; at < columns; at++, out += count)
      *out = zero;
  }
}

/* Whether all kernel rows of output row p lie inside the image. */
static int dw_is_inside(const q8_conv_geometry *g, size_t p) {
  size_t top = p * g->stride_h;
  return top >= g->pad_top && top - g->pad_top + (g->r - 1) * g->dilation_h < g->h;
}

/* The kernel rows of output row p that lie inside: *count from *top on. */
static void dw_rows_inside(const q8_conv_geometry *g, size_t p, size_t *top, size_t *count) {
  size_t y = p * g->stride_h, end = g->h + g->pad_top, i = 0, last;
  while (i < g->r && y + i * g->dilation_h < g->pad_top)
    i++;
  for (last = i; last < g->r && y + last * g->dilation_h < end;)
    last++;
  *top = i;
  *count = last - i;
}

/* Adds `by` to every one of them, by vectors where the compiler has them: -O2 alone leaves this loop scalar. */
static void move_addresses(uintptr_t *x, size_t count, size_t by) {
  size_t i = 0;
#if defined(__GNUC__)
  enum { LANES = 16 / sizeof(uintptr_t) };
  typedef uintptr_t lanes __attribute__((vector_size(16), may_alias));
  const lanes step = (lanes){0} + by;
  for (; i < count && (uintptr_t)(x + i) % sizeof(lanes); i++)
    x[i] += by;
  for (; i + 4 * LANES <= count; i += 4 * LANES) {
    lanes *at = (lanes *)(void *)(x + i);
    at[0] += step;
    at[1] += step;
    at[2] += step;
    at[3] += step;
  }
#endif
  for (; i < count; i++)
    x[i] += by;
}

/* From the table of the output row before, when both are inside. */
static void dw_move_table(const q8_image_rows *rows, const void **table) {
  const q8_conv_geometry *g = &rows->conv->g;
  size_t down = g->stride_h * g->w * g->c * rows->conv->element, first, last;
  dw_inside(rows->conv, &first, &last);
  move_addresses((uintptr_t *)(void *)(table + first * g->r), (last - first) * g->r, down);
}

/* The kernel rows from `top` on: padding above and below is left out. */
static void float_row(const dw_job *job, const q8_dwconv_shape *shape, size_t top, const float *const *table, float *y) {
  const q8_epilogue *e = job->epilogue;
  const float *w = (const float *)job->conv->dw_weights + top * shape->s * shape->channels;
  job->kernels->sdwconv(shape, w, e->bias, e->lo, e->hi, table, y, shape->channels);
  if (e->function)
    job->kernels->sunary(shape->q * shape->channels, e->function, y, y);
}

static void dw_task(void *argument, size_t task) {
  const dw_job *job = argument;
  const q8_conv *conv = job->conv;
  const q8_conv_geometry *g = &conv->g;
  q8_dwconv_shape shape = {g->c, g->r, g->s, g->q, g->stride_w, g->dilation_w};
  q8_requant requant = job->epilogue->requant;
  const uint8_t *values = requant.table; /* for whole rows at once */
  requant.table = NULL;
  const void **table = (const void **)(void *)(job->tables + task * dw_table(conv));
  size_t first = g->n * g->p * task / job->tasks, last = g->n * g->p * (task + 1) / job->tasks;
  for (size_t row = first, n = first / g->p, p = first % g->p; row < last; row++) {
    size_t top = 0;
    shape.r = g->r;
    if (conv->element != 1)
      dw_rows_inside(g, p, &top, &shape.r);
    if (row > first && p > 0 && dw_is_inside(g, p - 1) && dw_is_inside(g, p))
      dw_move_table(job->rows, table);
    else
      dw_fill_table(job->rows, n, p, top, shape.r, table);
    size_t at = row * g->q * g->c;
    if (conv->element == 1)
      conv->dwconv->run(&shape, conv->dw_weights, &requant, (const uint8_t *const *)table, job->y + at, g->c);
    else
      float_row(job, &shape, top, (const float *const *)table, (float *)(void *)job->y + at);
    if (conv->element == 1 && values)
      job->kernels->table(g->q * g->c, job->y + at, values, job->y + at);
    if (++p == g->p) {
      p = 0;
      n++;
    }
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
