#include "nn/conv.h"

#include <string.h>

#include "base/parallel.h"

/* Few channels: padding K per tap to the kernel's kr would waste much of the multiplies. */
#define FEW_CHANNELS 8

static q8_conv_way choose_way(const q8_conv_geometry *g, int depthwise_kernels) {
  if (depthwise_kernels && g->groups == g->c && g->k == g->c && g->c > 1)
    return Q8_CONV_DEPTHWISE;
  int unpadded = g->pad_top == 0 && g->pad_left == 0 && g->p == g->h && g->q == g->w;
  if (g->r == 1 && g->s == 1 && g->stride_h == 1 && g->stride_w == 1 && unpadded)
    return Q8_CONV_MATRIX;
  if (g->groups == 1 && g->c <= FEW_CHANNELS && g->s > 1 && g->dilation_w == 1)
    return Q8_CONV_ROWS;
  return Q8_CONV_TAPS;
}

static void set_up(q8_conv *out, const q8_conv_geometry *g, size_t element, int depthwise_kernels) {
  *out = (q8_conv){.g = *g, .element = element, .way = choose_way(g, depthwise_kernels)};
  out->padded_h = (g->p - 1) * g->stride_h + (g->r - 1) * g->dilation_h + 1;
  out->padded_w = (g->q - 1) * g->stride_w + g->s;
}

/* How [k][r][s][c / groups] weights are cut into taps. */
static q8_linear_desc describe(const q8_conv *conv, const void *w) {
  const q8_conv_geometry *g = &conv->g;
  size_t c = g->c / g->groups, n = g->k / g->groups, filter = g->r * g->s * c;
  q8_linear_desc d = {.groups = g->groups,
                      .taps = g->r * g->s,
                      .k = c,
                      .n = n,
                      .w = w,
                      .w_group = n * filter,
                      .w_out = filter,
                      .w_tap = c,
                      .w_in = 1};
  if (conv->way == Q8_CONV_ROWS) {
    d.taps = g->r;
    d.k = d.w_tap = g->s * c;
  }
  return d;
}

static q8_status pack_depthwise(const q8_kernels *kernels, const int8_t *w, q8_pool *pool, q8_conv *out,
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

q8_status q8_conv_pack(const q8_kernels *kernels, const q8_conv_geometry *g, const int8_t *w, int requant,
                       q8_pool *pool, q8_conv *out, qint8_error *error) {
  set_up(out, g, 1, requant);
  if (out->way == Q8_CONV_DEPTHWISE)
    return pack_depthwise(kernels, w, pool, out, error);
  q8_linear_desc d = describe(out, w);
  Q8_TRY(q8_linear_pack(kernels, &d, pool, &out->linear, error));
  out->kernel_name = out->linear.kernel_name;
  return QINT8_OK;
}

q8_status q8_conv_pack_float(const q8_kernels *kernels, const q8_conv_geometry *g, const float *w, q8_pool *pool,
                             q8_conv *out, qint8_error *error) {
  set_up(out, g, sizeof(float), 1);
  if (out->way == Q8_CONV_DEPTHWISE) {
    size_t taps = g->r * g->s;
    float *by_tap = q8_pool_alloc(pool, taps * g->c, sizeof *by_tap);
    if (!by_tap)
      return q8_fail_memory(error, "weights", taps * g->c * sizeof *by_tap);
    for (size_t c = 0; c < g->c; c++)
      for (size_t t = 0; t < taps; t++)
        by_tap[t * g->c + c] = w[c * taps + t];
    out->dw_weights = by_tap;
    out->kernel_name = "sdwconv";
    return QINT8_OK;
  }
  q8_linear_desc d = describe(out, w);
  Q8_TRY(q8_linear_pack_float(kernels, &d, pool, &out->linear, error));
  out->kernel_name = out->linear.kernel_name;
  return QINT8_OK;
}

void q8_conv_fold_bias(const q8_conv *conv, const int32_t *bias, int32_t zero_point, int32_t *out) {
  if (conv->way != Q8_CONV_DEPTHWISE) {
    q8_linear_fold_bias(&conv->linear, bias, zero_point, out);
    return;
  }
  uint32_t offset = (uint32_t)(zero_point - conv->dwconv->a_shift);
  for (size_t c = 0; c < conv->g.c; c++)
    out[c] = (int32_t)((bias ? (uint32_t)bias[c] : 0u) - offset * (uint32_t)conv->dw_sum[c]);
}

/* ---- Padding and row sources ---- */

/* One run's view of the input. Image i's padding points at zero_rows + i * zero_stride. */
typedef struct image_rows {
  const q8_conv *conv;
  const uint8_t *x;
  const uint8_t *zero_rows;
  size_t zero_stride;
} image_rows;

static size_t zero_row_size(const q8_conv *conv) {
  return q8_round_up(conv->g.c * conv->element + 64, Q8_ALIGN);
}

static void fill_zero_rows(const q8_conv *conv, const int32_t *zero_points, size_t count, uint8_t *out) {
  for (size_t i = 0; i < count; i++)
    memset(out + i * zero_row_size(conv), conv->element == 1 ? (int)(uint8_t)zero_points[i] : 0, zero_row_size(conv));
}

static void tap_rows(const void *source, size_t group, size_t tap, size_t row, size_t count, const void **out) {
  const image_rows *rows = source;
  const q8_conv_geometry *g = &rows->conv->g;
  size_t pixel = g->c * rows->conv->element, channel = group * (g->c / g->groups) * rows->conv->element;
  ptrdiff_t dy = (ptrdiff_t)(tap / g->s * g->dilation_h) - (ptrdiff_t)g->pad_top;
  ptrdiff_t dx = (ptrdiff_t)(tap % g->s * g->dilation_w) - (ptrdiff_t)g->pad_left;
  size_t q = row % g->q, p = row / g->q % g->p, n = row / (g->q * g->p);
  for (size_t i = 0; i < count;) {
    ptrdiff_t y = (ptrdiff_t)(p * g->stride_h) + dy, x = (ptrdiff_t)(q * g->stride_w) + dx;
    const uint8_t *zero = rows->zero_rows + n * rows->zero_stride + channel;
    const uint8_t *line = rows->x + (n * g->h + (size_t)(y < 0 ? 0 : y)) * g->w * pixel + channel;
    size_t run = g->q - q < count - i ? g->q - q : count - i;
    int outside = y < 0 || y >= (ptrdiff_t)g->h;
    for (size_t j = 0; j < run; j++, x += (ptrdiff_t)g->stride_w)
      out[i + j] = outside || x < 0 || x >= (ptrdiff_t)g->w ? zero : line + (size_t)x * pixel;
    i += run;
    q = 0;
    if (++p == g->p) {
      p = 0;
      n++;
    }
  }
}

static size_t padded_line(const q8_conv *conv) {
  return conv->padded_w * conv->g.c * conv->element;
}

/* Rows of the padded copy: one tap is a whole kernel row. */
static void line_rows(const void *source, size_t group, size_t tap, size_t row, size_t count, const void **out) {
  const image_rows *rows = source;
  const q8_conv_geometry *g = &rows->conv->g;
  size_t line = padded_line(rows->conv), step = g->stride_w * g->c * rows->conv->element;
  (void)group;
  for (size_t i = 0; i < count; i++) {
    size_t q = (row + i) % g->q, p = (row + i) / g->q % g->p, n = (row + i) / (g->q * g->p);
    out[i] = rows->x + (n * rows->conv->padded_h + p * g->stride_h + tap * g->dilation_h) * line + q * step;
  }
}

typedef struct pad_job {
  const q8_conv *conv;
  const uint8_t *x;
  uint8_t *padded;
  const int32_t *zero_points;
  size_t zero_step;
} pad_job;

static void pad_image(void *argument, size_t n) {
  const pad_job *job = argument;
  const q8_conv *conv = job->conv;
  const q8_conv_geometry *g = &conv->g;
  size_t pixel = g->c * conv->element, line = padded_line(conv);
  int zero = conv->element == 1 ? (int)(uint8_t)job->zero_points[n * job->zero_step] : 0;
  size_t left = g->pad_left < conv->padded_w ? g->pad_left : conv->padded_w;
  size_t width = conv->padded_w - left < g->w ? conv->padded_w - left : g->w;
  for (size_t y = 0; y < conv->padded_h; y++) {
    uint8_t *out = job->padded + (n * conv->padded_h + y) * line;
    if (y < g->pad_top || y - g->pad_top >= g->h) {
      memset(out, zero, line);
      continue;
    }
    memset(out, zero, left * pixel);
    memcpy(out + left * pixel, job->x + (n * g->h + y - g->pad_top) * g->w * pixel, width * pixel);
    memset(out + (left + width) * pixel, zero, line - (left + width) * pixel);
  }
}

/* ---- Depthwise ---- */

typedef struct dw_job {
  const q8_conv *conv;
  const q8_kernels *kernels;
  const image_rows *rows;
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

static void dw_fill_table(const image_rows *rows, size_t n, size_t p, const void **table) {
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
  const void **table = (const void **)(void *)(job->tables + task * dw_table(conv));
  size_t first = g->n * g->p * task / job->tasks, last = g->n * g->p * (task + 1) / job->tasks;
  for (size_t row = first; row < last; row++) {
    dw_fill_table(job->rows, row / g->p, row % g->p, table);
    size_t at = row * g->q * g->c;
    if (conv->element == 1)
      conv->dwconv->run(&shape, conv->dw_weights, &job->epilogue->requant, (const uint8_t *const *)table, job->y + at,
                        g->c);
    else
      job->kernels->sdwconv(&shape, conv->dw_weights, job->epilogue->bias, job->epilogue->lo, job->epilogue->hi,
                            (const float *const *)table, (float *)(void *)job->y + at, g->c);
  }
}

static size_t dw_tasks(const q8_conv *conv, int32_t threads) {
  size_t rows = conv->g.n * conv->g.p, wanted = threads > 1 ? (size_t)threads : 1;
  return rows < wanted ? rows : wanted;
}

/* ---- Running ---- */

static size_t padded_size(const q8_conv *conv) {
  return conv->way == Q8_CONV_ROWS ? q8_round_up(conv->g.n * conv->padded_h * padded_line(conv) + 64, Q8_ALIGN) : 0;
}
static size_t zeros_size(const q8_conv *conv) {
  return conv->way == Q8_CONV_TAPS || conv->way == Q8_CONV_DEPTHWISE ? conv->g.n * zero_row_size(conv) : 0;
}

size_t q8_conv_scratch(const q8_conv *conv, int32_t threads) {
  const q8_conv_geometry *g = &conv->g;
  size_t head = padded_size(conv) + zeros_size(conv);
  if (conv->way == Q8_CONV_DEPTHWISE)
    return head + dw_tasks(conv, threads) * dw_table(conv);
  return head + q8_linear_scratch(&conv->linear, g->n * g->p * g->q, threads);
}

void q8_conv_run(const q8_conv *conv, const q8_kernels *kernels, const void *x, const int32_t *zero_points,
                 size_t zero_step, const q8_epilogue *epilogue, void *y, void *scratch, const q8_host *host) {
  const q8_conv_geometry *g = &conv->g;
  uint8_t *free_scratch = (uint8_t *)scratch + padded_size(conv) + zeros_size(conv);
  image_rows rows = {conv, x, scratch, zero_step ? zero_row_size(conv) : 0};
  if (zeros_size(conv))
    fill_zero_rows(conv, zero_points, zero_step ? g->n : 1, scratch);
  if (conv->way == Q8_CONV_DEPTHWISE) {
    dw_job job = {conv, kernels, &rows, epilogue, y, free_scratch, dw_tasks(conv, host->threads)};
    q8_parallel(host, job.tasks, dw_task, &job);
    return;
  }
  q8_matrix_rows matrix = {x, g->c * conv->element, g->c / g->groups * conv->element};
  q8_linear_run run = {.linear = &conv->linear,
                       .kernels = kernels,
                       .rows = tap_rows,
                       .source = &rows,
                       .m = g->n * g->p * g->q,
                       .y_stride = g->k,
                       .epilogue = epilogue,
                       .y = y,
                       .scratch = free_scratch};
  if (conv->way == Q8_CONV_MATRIX) {
    run.rows = q8_matrix_source;
    run.source = &matrix;
  } else if (conv->way == Q8_CONV_ROWS) {
    pad_job job = {conv, x, scratch, zero_points, zero_step};
    q8_parallel(host, g->n, pad_image, &job);
    rows.x = scratch;
    run.rows = line_rows;
  }
  q8_linear_execute(&run, host);
}
