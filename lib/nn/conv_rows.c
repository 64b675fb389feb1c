/* conv_rows.c - where the driver finds the rows of a convolution: in the input, in its padding, or in a copy.
 */
#include <string.h>

#include "base/parallel.h"
#include "nn/conv_internal.h"

size_t q8_zero_row_size(const q8_conv *conv) {
  return q8_round_up(conv->g.c * conv->row_element + 64, Q8_ALIGN);
}

/* `count` values of real 0 as rows hold them. */
static void fill_zeros(const q8_conv *conv, int32_t zero_point, size_t count, uint8_t *out) {
  if (conv->row_element != 2) {
    memset(out, conv->element == 1 ? (int)(uint8_t)zero_point : 0, count * conv->row_element);
    return;
  }
  const int16_t zero = (int16_t)zero_point;
  for (size_t i = 0; i < count; i++)
    memcpy(out + 2 * i, &zero, sizeof zero);
}

/* `count` values of the input as rows hold them. */
static void copy_values(const q8_conv *conv, const uint8_t *x, size_t count, uint8_t *out) {
  if (conv->row_element == 2)
    conv->linear.widen(count, x, (int16_t *)(void *)out);
  else
    memcpy(out, x, count * conv->element);
}

void q8_fill_zero_rows(const q8_conv *conv, const int32_t *zero_points, size_t count, uint8_t *out) {
  size_t size = q8_zero_row_size(conv);
  for (size_t i = 0; i < count; i++)
    fill_zeros(conv, conv->element == 1 ? zero_points[i] : 0, size / conv->row_element, out + i * size);
}

/* The output columns whose tap at input column q * step + dx lies inside: [*first, *last). */
static void inside_columns(const q8_conv_geometry *g, ptrdiff_t dx, size_t *first, size_t *last) {
  ptrdiff_t step = (ptrdiff_t)g->stride_w, width = (ptrdiff_t)g->w, q = (ptrdiff_t)g->q;
  ptrdiff_t begin = dx < 0 ? (-dx + step - 1) / step : 0, end = dx < width ? (width - dx + step - 1) / step : 0;
  *first = (size_t)(begin < q ? begin : q);
  *last = (size_t)(end < q ? end : q);
}

static size_t between(size_t x, size_t low, size_t high) {
  return x < low ? low : x < high ? x : high;
}

void q8_tap_rows(const void *source, size_t group, size_t tap, size_t row, size_t count, const void **out) {
  const q8_image_rows *rows = source;
  const q8_conv_geometry *g = &rows->conv->g;
  size_t pixel = g->c * rows->conv->row_element, channel = group * (g->c / g->groups) * rows->conv->row_element;
  size_t q = row % g->q, p = row / g->q % g->p, n = row / (g->q * g->p), step = g->stride_w * pixel, begin, stop;
  ptrdiff_t dx = (ptrdiff_t)(tap % g->s * g->dilation_w) - (ptrdiff_t)g->pad_left;
  inside_columns(g, dx, &begin, &stop);
  for (size_t end; count > 0; count -= end - q, q = 0) {
    size_t y = p * g->stride_h + tap / g->s * g->dilation_h - g->pad_top; /* wraps to a huge value above the image */
    end = g->q - q < count ? g->q : q + count;
    size_t first = y < g->h ? between(begin, q, end) : end, last = y < g->h ? between(stop, first, end) : end;
    const uint8_t *zero = rows->zero_rows + n * rows->zero_stride + channel;
    q8_fill_addresses(zero, 0, first - q, out);
    if (first < last)
      q8_fill_addresses(rows->x + channel + (n * g->h + y) * g->w * pixel +
                            (size_t)((ptrdiff_t)(first * g->stride_w) + dx) * pixel,
                        step, last - first, out + (first - q));
    q8_fill_addresses(zero, 0, end - last, out + (last - q));
    out += end - q;
    if (++p == g->p) {
      p = 0;
      n++;
    }
  }
}

/* Columns of the padded image that `count` neighbouring outputs read. */
static size_t strip(const q8_conv_geometry *g, size_t count) {
  return count ? (count - 1) * g->stride_w + g->s : 0;
}

void q8_conv_set_edges(q8_conv *conv) {
  const q8_conv_geometry *g = &conv->g;
  size_t width = g->w + g->pad_left, inside = width < g->s ? 0 : (width - g->s) / g->stride_w + 1;
  conv->left = (g->pad_left + g->stride_w - 1) / g->stride_w;
  conv->right = inside < g->q ? g->q - inside : 0;
  const int as_they_are = conv->element == sizeof(float) || (conv->whole_pixels && conv->row_element == 1);
  if (!as_they_are || conv->left + conv->right >= g->q ||
      strip(g, conv->left) + strip(g, conv->right) >= strip(g, g->q)) {
    conv->left = g->q;
    conv->right = 0;
  }
}

/* Of one line of the copy: the columns of the left outputs, then those of the right ones. */
static size_t copied_line(const q8_conv *conv) {
  return (strip(&conv->g, conv->left) + strip(&conv->g, conv->right)) * conv->g.c * conv->row_element;
}
/* The zeros behind the copy, one line for each image, stand for lines above and below it. */
static size_t zero_line(const q8_conv *conv) {
  return conv->left + conv->right < conv->g.q ? conv->g.s * conv->g.c * conv->row_element : 0;
}

/* Line y of padded image n, from output column q on. */
static void line_rows(const q8_image_rows *rows, size_t n, size_t y, size_t q, size_t count, const void **out) {
  const q8_conv *conv = rows->conv;
  const q8_conv_geometry *g = &conv->g;
  size_t pixel = g->c * conv->row_element, step = g->stride_w * pixel, end = q + count, line = copied_line(conv);
  size_t first = between(conv->left, q, end), last = between(g->q - conv->right, first, end);
  const uint8_t *copy = rows->copy + (n * conv->padded_h + y) * line, *zero = rows->copy + g->n * conv->padded_h * line + n * zero_line(conv);
  q8_fill_addresses(copy + q * step, step, first - q, out);
  if (first < last && y >= g->pad_top && y - g->pad_top < g->h)
    q8_fill_addresses(rows->x + (n * g->h + y - g->pad_top) * g->w * pixel + first * step - g->pad_left * pixel, step,
                      last - first, out + (first - q));
  else
    q8_fill_addresses(zero, 0, last - first, out + (first - q));
  if (last < end)
    q8_fill_addresses(copy + strip(g, conv->left) * pixel + (last - (g->q - conv->right)) * step, step, end - last,
                      out + (last - q));
}

/* One tap is a whole kernel row. */
void q8_line_rows(const void *source, size_t group, size_t tap, size_t row, size_t count, const void **out) {
  const q8_image_rows *rows = source;
  const q8_conv_geometry *g = &rows->conv->g;
  size_t q = row % g->q, p = row / g->q % g->p, n = row / (g->q * g->p);
  (void)group;
  while (count > 0) {
    size_t here = g->q - q < count ? g->q - q : count;
    line_rows(rows, n, p * g->stride_h + tap * g->dilation_h, q, here, out);
    out += here;
    count -= here;
    q = 0;
    if (++p == g->p) {
      p = 0;
      n++;
    }
  }
}

/* ---- Copying the input: padded for ROWS, or as int16 ---- */

typedef struct copy_job {
  const q8_conv *conv;
  const uint8_t *x;
  uint8_t *out;
  const int32_t *zero_points;
  size_t zero_step, tasks;
} copy_job;

/* `count` columns from `column` on of line y of padded image n. */
static void pad_columns(const copy_job *job, size_t n, size_t y, size_t column, size_t count, uint8_t *out) {
  const q8_conv *conv = job->conv;
  const q8_conv_geometry *g = &conv->g;
  int inside = y >= g->pad_top && y - g->pad_top < g->h;
  size_t end = column + count, first = inside ? between(g->pad_left, column, end) : end,
         last = inside ? between(g->pad_left + g->w, first, end) : end, pixel = g->c * conv->row_element;
  int32_t zero = conv->element == 1 ? job->zero_points[n * job->zero_step] : 0;
  fill_zeros(conv, zero, (first - column) * g->c, out);
  if (first < last)
    copy_values(conv, job->x + ((n * g->h + y - g->pad_top) * g->w + first - g->pad_left) * g->c * conv->element,
                (last - first) * g->c, out + (first - column) * pixel);
  fill_zeros(conv, zero, (end - last) * g->c, out + (last - column) * pixel);
}

static void pad_line(const copy_job *job, size_t n, size_t y) {
  const q8_conv *conv = job->conv;
  const q8_conv_geometry *g = &conv->g;
  size_t left = strip(g, conv->left), right = strip(g, conv->right);
  uint8_t *out = job->out + (n * conv->padded_h + y) * copied_line(conv);
  pad_columns(job, n, y, 0, left, out);
  pad_columns(job, n, y, (g->q - conv->right) * g->stride_w, right, out + left * g->c * conv->row_element);
}

static void pad_task(void *argument, size_t task) {
  const copy_job *job = argument;
  size_t height = job->conv->padded_h, lines = job->conv->g.n * height, i = lines * task / job->tasks;
  size_t end = lines * (task + 1) / job->tasks, n = i / height, y = i % height;
  for (; i < end; i++) {
    pad_line(job, n, y);
    if (++y == height) {
      y = 0;
      n++;
    }
  }
}

static void widen_task(void *argument, size_t task) {
  const copy_job *job = argument;
  const q8_conv_geometry *g = &job->conv->g;
  size_t values = g->n * g->h * g->w * g->c, begin = values * task / job->tasks,
         end = values * (task + 1) / job->tasks;
  copy_values(job->conv, job->x + begin, end - begin, job->out + begin * job->conv->row_element);
}

size_t q8_conv_copy_size(const q8_conv *conv) {
  const q8_conv_geometry *g = &conv->g;
  if (conv->way == Q8_CONV_ROWS)
    return q8_round_up(g->n * (conv->padded_h * copied_line(conv) + zero_line(conv)) + 64, Q8_ALIGN);
  if (conv->row_element != conv->element)
    return q8_round_up(g->n * g->h * g->w * g->c * conv->row_element + 64, Q8_ALIGN);
  return 0;
}

void q8_conv_copy(const q8_conv *conv, const uint8_t *x, const int32_t *zero_points, size_t zero_step,
                  uint8_t *out, const q8_host *host) {
  enum { FEW_BYTES = 65536 }; /* copied sooner than another thread begins with them */
  const q8_conv_geometry *g = &conv->g;
  const size_t line = conv->way == Q8_CONV_ROWS ? zero_line(conv) : 0;
  copy_job job = {conv, x, out, zero_points, zero_step, host->threads > 1 ? (size_t)host->threads : 1};
  if (q8_conv_copy_size(conv) < FEW_BYTES)
    job.tasks = 1;
  out += g->n * conv->padded_h * copied_line(conv);
  for (size_t i = 0; line && i < g->n; i++, out += line)
    fill_zeros(conv, conv->element == 1 ? zero_points[i * zero_step] : 0, line / conv->row_element, out);
  q8_parallel(host, job.tasks, conv->way == Q8_CONV_ROWS ? pad_task : widen_task, &job);
}
