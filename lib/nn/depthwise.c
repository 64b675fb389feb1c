/* depthwise.c - convolution with one filter per channel. */
#include <string.h>

#include "base/parallel.h"
#include "nn/conv_internal.h"

/* ---- Running: one table of columns for each output row, or for two where the kernel takes pairs ---- */

typedef struct dw_job {
  const q8_conv *conv;
  const q8_kernels *kernels;
  const q8_image_rows *rows;
  const q8_epilogue *epilogue;
  uint8_t *y;
  size_t y_row;     /* that y begins with, counted over all images */
  uint8_t *scratch; /* dw_scratch bytes per task */
  size_t tasks;
  size_t pitch; /* elements between pixels of y */
} dw_job;

static q8_dwconv_shape dw_shape(const q8_conv *conv, size_t height, size_t offset) {
  const q8_conv_geometry *g = &conv->g;
  return (q8_dwconv_shape){g->c, height, g->s, g->q, g->stride_w, g->dilation_w, offset};
}

/* Those of bytes are as many as the kernel of floats has. */
static size_t dw_columns(const q8_conv *conv) {
  const q8_dwconv_shape shape = dw_shape(conv, conv->g.r, 0);
  return q8_sdwconv_columns(&shape);
}

static int dw_has_pairs(const q8_conv *conv) {
  const q8_conv_geometry *g = &conv->g;
  return conv->element == 1 && !conv->dw_floats && conv->dwconv->run_pair && g->p > 1 && g->stride_w == 1 &&
         g->dilation_w == 1 && g->stride_h == g->dilation_h;
}

/* Scratch of a task: its table and, for results in float, sums of a row. */
static size_t dw_table(const q8_conv *conv) {
  return q8_round_up(dw_columns(conv) * (conv->g.r + 1) * sizeof(void *), Q8_ALIGN);
}
static size_t dw_scratch(const q8_conv *conv) {
  const size_t sums = q8_round_up(conv->g.q * conv->g.c * sizeof(int32_t), Q8_ALIGN);
  return dw_table(conv) + (conv->dw_floats ? sums : 0);
}

/* The input columns of a row of the table that lie inside the image: [*first, *last). */
static void dw_inside(const q8_conv *conv, size_t *first, size_t *last) {
  const q8_conv_geometry *g = &conv->g;
  size_t columns = dw_columns(conv);
  *first = g->pad_left < columns ? g->pad_left : columns;
  *last = columns - *first < g->w ? columns : *first + g->w;
}

/* A table, the rows that it was made for, and the elements from these to the present ones. */
typedef struct dw_cursor {
  const void **table;
  size_t n, p, top, height; /* height 0: nothing */
  size_t offset;
} dw_cursor;

/* Where kernel row i begins in the table, and how far apart its columns are. */
static const void **dw_table_row(const q8_conv *conv, const dw_cursor *at, size_t i, size_t *step) {
  const int bytes = conv->element == 1;
  *step = bytes ? at->height : 1;
  return at->table + i * (bytes ? 1 : dw_columns(conv));
}

static void dw_fill_table(const q8_image_rows *rows, const dw_cursor *at) {
  const q8_conv_geometry *g = &rows->conv->g;
  const size_t pixel = g->c * rows->conv->element, columns = dw_columns(rows->conv);
  const uint8_t *zero = rows->zero_rows + at->n * rows->zero_stride;
  size_t first, last, step;
  dw_inside(rows->conv, &first, &last);
  for (size_t i = 0; i < at->height; i++) {
    const size_t y = at->p * g->stride_h + (at->top + i) * g->dilation_h - g->pad_top; /* huge above the image */
    const size_t inside = y < g->h ? last - first : 0;
    const uint8_t *x = inside ? rows->x + (at->n * g->h + y - rows->x_row) * g->w * pixel : NULL;
    const void **out = dw_table_row(rows->conv, at, i, &step);
    for (size_t c = 0; c < columns; c++, out += step) {
      *out = zero;
      if (c - first < inside) {
        *out = x;
        x += pixel;
      }
    }
  }
}

/* Whether `height` kernel rows from output row p on lie inside the image. */
static int dw_is_inside(const q8_conv_geometry *g, size_t p, size_t height) {
  size_t top = p * g->stride_h;
  return top >= g->pad_top && top - g->pad_top + (height - 1) * g->dilation_h < g->h;
}

/* The kernel rows of output row p that do not lie in padding: *height from *top on. */
static void dw_rows_inside(const q8_conv_geometry *g, size_t p, size_t *top, size_t *height) {
  size_t y = p * g->stride_h, end = g->h + g->pad_top, first = 0, last;
  while (first < g->r && y + first * g->dilation_h < g->pad_top)
    first++;
  for (last = first; last < g->r && y + last * g->dilation_h < end;)
    last++;
  *top = first;
  *height = last - first;
}

/* Kernels add the offset to all pointers: those to padding are set back by as much. */
static void move_table(dw_cursor *at, const q8_image_rows *rows, size_t down) {
  const q8_conv *conv = rows->conv;
  const size_t columns = dw_columns(conv);
  size_t first, last;
  dw_inside(conv, &first, &last);
  at->offset = down * conv->g.w * conv->g.c;
  const uintptr_t zero = (uintptr_t)(rows->zero_rows + at->n * rows->zero_stride) - at->offset * conv->element;
  for (size_t i = 0, step; i < at->height; i++) {
    const void **row = dw_table_row(conv, at, i, &step);
    for (size_t x = first ? 0 : last; x < columns; x = x + 1 == first ? last : x + 1)
      row[x * step] = (const void *)zero;
  }
}

/* Rows inside the image share a table. */
static void dw_seek(dw_cursor *at, const q8_image_rows *rows, size_t n, size_t p, size_t top, size_t height) {
  const q8_conv_geometry *g = &rows->conv->g;
  if (at->height == height && at->n == n && dw_is_inside(g, at->p, height) && dw_is_inside(g, p, height)) {
    move_table(at, rows, (p - at->p) * g->stride_h);
    return;
  }
  *at = (dw_cursor){at->table, n, p, top, height, 0};
  dw_fill_table(rows, at);
}

/* ---- Rows ---- */

/* A function of floats, or a table of bytes, over pixels of y. */
static void apply_function(const dw_job *job, size_t pixels, float *y) {
  const q8_sunary *function = job->epilogue->function;
  const size_t c = job->conv->g.c, n = job->pitch == c ? pixels * c : c;
  for (size_t i = 0; function && i < pixels * c; i += n, y += job->pitch)
    job->kernels->sunary(n, function, y, y);
}

static void apply_table(const dw_job *job, const uint8_t *table, size_t pixels, uint8_t *y) {
  const size_t c = job->conv->g.c, n = job->pitch == c ? pixels * c : c;
  for (size_t i = 0; i < pixels * c; i += n, y += job->pitch)
    job->kernels->table(n, y, table, y);
}

static void float_row(const dw_job *job, const q8_dwconv_shape *whole, const dw_cursor *at, float *y) {
  const q8_epilogue *e = job->epilogue;
  const float *w = (const float *)job->conv->dw_weights + at->top * whole->s * whole->channels;
  q8_dwconv_shape shape = *whole;
  shape.r = at->height;
  job->kernels->sdwconv(&shape, w, e->bias, e->lo, e->hi, (const float *const *)at->table, y, job->pitch);
  apply_function(job, shape.q, y);
}

/* int8 in, float out; n is the image. */
static void dequantized_row(const dw_job *job, const q8_dwconv_shape *shape, size_t n, const uint8_t *const *table,
                            uint8_t *scratch, float *y) {
  const q8_conv *conv = job->conv;
  const q8_epilogue *e = job->epilogue;
  const size_t c = shape->channels;
  int32_t *sums = (int32_t *)(void *)(scratch + dw_table(conv));
  q8_dequant dq = {e->offset, e->scale, e->bias, e->lo, e->hi, NULL, 0, NULL, 0};
  if (e->sample_scale) {
    dq.offset = conv->dw_sum;
    dq.zero = e->sample_zero + n;
    dq.shift = conv->dwconv->a_shift;
    dq.row_scale = e->sample_scale + n;
  }
  conv->dwconv->run_sums(shape, conv->dw_weights, table, sums, c);
  job->kernels->dequant_acc(shape->q, c, sums, c, &dq, y, job->pitch);
  apply_function(job, shape->q, y);
}

/* Output row p of an image, or two if the cursor holds the table of a pair. */
static void run_row(const dw_job *job, size_t p, const dw_cursor *at, uint8_t *scratch) {
  const q8_conv *conv = job->conv;
  const q8_conv_geometry *g = &conv->g;
  const q8_dwconv_shape shape = dw_shape(conv, g->r, at->offset);
  const size_t row_size = g->q * job->pitch, y = (at->n * g->p + p - job->y_row) * row_size;
  const uint8_t *const *table = (const uint8_t *const *)at->table;
  const q8_requant *requant = &job->epilogue->requant;
  if (conv->element != 1)
    float_row(job, &shape, at, (float *)(void *)job->y + y);
  else if (conv->dw_floats)
    dequantized_row(job, &shape, at->n, table, scratch, (float *)(void *)job->y + y);
  else if (at->height > g->r)
    conv->dwconv->run_pair(&shape, conv->dw_weights, requant, table, job->y + y, job->pitch, row_size);
  else
    conv->dwconv->run(&shape, conv->dw_weights, requant, table, job->y + y, job->pitch);
}

/* The output rows [first, last) of all images. A last odd row is computed together with the one before it, if that is
 * among them. */
static void dw_run_rows(const dw_job *job, size_t first, size_t last, uint8_t *scratch) {
  const q8_conv *conv = job->conv;
  const q8_conv_geometry *g = &conv->g;
  const int pairs = dw_has_pairs(conv);
  const uint8_t *values = conv->element == 1 && !conv->dw_floats ? job->epilogue->table : NULL;
  dw_cursor at = {(const void **)(void *)scratch, 0, 0, 0, 0, 0};
  size_t n = first / g->p, p = first % g->p; /* stepped: a division takes as long as an output or two */
  for (size_t row = first, count; row < last; row += count, p += count) {
    if (p == g->p)
      n++, p = 0;
    const int forward = pairs && p + 1 < g->p && row + 1 < last, back = pairs && !forward && p > 0 && row > first;
    size_t top = 0, height = forward || back ? g->r + 1 : g->r;
    count = forward ? 2 : 1;
    if (conv->element != 1)
      dw_rows_inside(g, p, &top, &height);
    dw_seek(&at, job->rows, n, p - (size_t)back, top, height);
    run_row(job, p - (size_t)back, &at, scratch);
    if (values) /* of all rows that were written */
      apply_table(job, values, (count + (size_t)back) * g->q,
                  job->y + (row - job->y_row - (size_t)back) * g->q * job->pitch);
  }
}

static void dw_task(void *argument, size_t task) {
  const dw_job *job = argument;
  const size_t rows = job->conv->g.n * job->conv->g.p;
  dw_run_rows(job, rows * task / job->tasks, rows * (task + 1) / job->tasks,
              job->scratch + task * dw_scratch(job->conv));
}

static size_t task_count(const q8_conv *conv, int32_t threads) {
  size_t rows = conv->g.n * conv->g.p, wanted = threads > 1 ? (size_t)threads : 1;
  return rows < wanted ? rows : wanted;
}

size_t q8_depthwise_scratch(const q8_conv *conv, int32_t threads) {
  return task_count(conv, threads) * dw_scratch(conv);
}

static size_t pitch_of(const q8_conv *conv) {
  return conv->y_stride ? conv->y_stride : conv->g.c;
}

void q8_depthwise_run(const q8_conv *conv, const q8_kernels *kernels, const q8_image_rows *rows,
                      const q8_epilogue *epilogue, void *y, void *scratch, const q8_host *host) {
  dw_job job = {conv, kernels, rows, epilogue, y, 0, scratch, task_count(conv, host->threads), pitch_of(conv)};
  q8_parallel(host, job.tasks, dw_task, &job);
}

void q8_depthwise_run_rows(const q8_conv *conv, const q8_kernels *kernels, const q8_image_rows *rows,
                           const q8_epilogue *epilogue, void *y, const q8_row_range *range, void *scratch) {
  const dw_job job = {conv, kernels, rows, epilogue, y, range->out_row, scratch, 1, pitch_of(conv)};
  dw_run_rows(&job, range->first, range->last, scratch);
}
