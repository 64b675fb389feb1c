/* grid_sample.c - GridSample of images: y[n, c, p, q] = x[n, c] at the place that grid[n, p, q] names, from -1 to 1. */
#include <math.h>
#include <stddef.h>
#include <string.h>

#include "ops/common.h"

typedef struct grid_params {
  char mode[32], padding[32];
  int64_t align;
} grid_params;

static const q8_attribute attributes[] = {
    {Q8_NAME_AND_TEXT("mode", "linear"), Q8_ATTR_STRING, offsetof(grid_params, mode), 0, 0, 0},
    {Q8_NAME_AND_TEXT("padding_mode", "zeros"), Q8_ATTR_STRING, offsetof(grid_params, padding), 0, 0, 0},
    {"align_corners", Q8_ATTR_INT, offsetof(grid_params, align), 0, 0, 0}};

static int is_one_of(const char *text, const char *const *list) {
  while (*list && strcmp(text, *list))
    list++;
  return *list != NULL;
}

static q8_status infer(const q8_op_io *io) {
  static const char *const modes[] = {"linear", "bilinear", "nearest", "cubic", "bicubic", NULL};
  static const char *const paddings[] = {"zeros", "border", "reflection", NULL};
  const grid_params *p = io->node->params;
  const q8_shape *x = &io->inputs[0]->shape, *grid = &io->inputs[1]->shape;
  if (!is_one_of(p->mode, modes) || !is_one_of(p->padding, paddings))
    return q8_op_fail(io, QINT8_ERROR_FORMAT, "mode \"%s\", padding \"%s\"", p->mode, p->padding);
  if (x->rank == 5)
    return q8_op_fail(io, QINT8_ERROR_UNSUPPORTED, "GridSample of volumes");
  if (x->rank != 4 || grid->rank != 4 || grid->dim[0] != x->dim[0] || grid->dim[3] != 2 || x->dim[2] < 1 ||
      x->dim[3] < 1)
    return q8_op_fail(io, QINT8_ERROR_SHAPE, "a grid of shape %p for shape %p", grid, x);
  q8_shape y = {.rank = 4, .dim = {x->dim[0], x->dim[1], grid->dim[1], grid->dim[2]}};
  return q8_infer_set(io, 0, QINT8_DTYPE_F32, &y);
}

/* Rows or columns: pixels lie at 0 to n - 1, [lo, hi] is what -1 to 1 means. */
typedef struct axis {
  int64_t n;
  double lo, hi;
} axis;

typedef struct plane {
  const float *x;
  axis h, w;
  char padding;
} plane;

/* `at` mirrored into [lo, hi]. */
static double reflect(const axis *a, double at) {
  double range = a->hi - a->lo, over = at < a->lo ? a->lo - at : at > a->hi ? at - a->hi : -1;
  if (over < 0 || range <= 0)
    return range <= 0 ? a->lo : at;
  double turns = floor(over / range), rest = over - turns * range;
  int from_low = (at < a->lo) == (fmod(turns, 2) == 0);
  return from_low ? a->lo + rest : a->hi - rest;
}

static double to_border(const axis *a, double i) {
  return i < 0 ? 0 : i > (double)(a->n - 1) ? (double)(a->n - 1) : i;
}

/* The index that the padding shows at `i`; -1 for zero. */
static int64_t padded(const plane *p, const axis *a, double i) {
  if (i >= 0 && i < (double)a->n)
    return (int64_t)i;
  return p->padding == 'z' ? -1 : (int64_t)to_border(a, p->padding == 'b' ? i : reflect(a, i));
}

static double pixel(const plane *p, double row, double column) {
  int64_t i = padded(p, &p->h, row), j = padded(p, &p->w, column);
  return i < 0 || j < 0 ? 0 : (double)p->x[i * p->w.n + j];
}

/* Keys' cubic with A = -0.75 at distances t + 1, t, 1 - t, 2 - t. */
static void cubic_weights(double t, double *w) {
  const double a = -0.75;
  for (int i = 0; i < 2; i++, t = 1 - t) {
    w[i ? 3 : 0] = ((a * (t + 1) - 5 * a) * (t + 1) + 8 * a) * (t + 1) - 4 * a;
    w[i ? 2 : 1] = ((a + 2) * t - (a + 3)) * t * t + 1;
  }
}

/* 2 or 4 values around `at`. Returns the place of the first one. */
static double weights_at(double at, int taps, double *w) {
  double first = floor(at);
  if (taps == 4) {
    cubic_weights(at - first, w);
    return first - 1;
  }
  w[1] = at - first;
  w[0] = 1 - w[1];
  return first;
}

static float interpolate(const plane *p, double row, double column, int taps) {
  double wr[4], wc[4], sum = 0;
  if (taps == 1)
    return (float)pixel(p, row, column);
  double r0 = weights_at(row, taps, wr), c0 = weights_at(column, taps, wc);
  for (int i = 0; i < taps; i++)
    for (int j = 0; j < taps; j++)
      sum += wr[i] * wc[j] * pixel(p, r0 + i, c0 + j);
  return (float)sum;
}

/* From [-1, 1] to pixels. */
static double place(const axis *a, int align, double at) {
  double i = align ? (at + 1) / 2 * (double)(a->n - 1) : ((at + 1) * (double)a->n - 1) / 2;
  return i >= -1e9 && i <= 1e9 ? i : -1e9; /* beyond every image; NaN likewise */
}

static int is_outside(const axis *a, double i) {
  return i < a->lo || i > a->hi;
}

/* A coordinate of a place outside the image, moved to its border or mirrored. */
static double moved(const plane *p, const axis *a, double i) {
  return p->padding == 'b' ? to_border(a, i) : p->padding == 'r' ? reflect(a, i) : i;
}

static float sample(const plane *p, int align, const float *grid, int taps) {
  double row = place(&p->h, align, grid[1]), column = place(&p->w, align, grid[0]);
  if (taps == 1) {
    row = rint(row);
    column = rint(column);
  }
  int by_pixel = taps == 4 && p->padding == 'b'; /* each of the 16 is clamped for itself */
  if (!by_pixel && (is_outside(&p->h, row) || is_outside(&p->w, column))) {
    row = moved(p, &p->h, row);
    column = moved(p, &p->w, column);
  }
  return interpolate(p, row, column, taps);
}

static axis axis_of(int64_t n, int align) {
  return (axis){n, align ? 0 : -0.5, (double)n - (align ? 1 : 0.5)};
}

static q8_status eval(const q8_op_io *io) {
  const grid_params *p = io->node->params;
  const q8_shape *x = &io->inputs[0]->shape, *y = &io->outputs[0].shape;
  int taps = p->mode[0] == 'n' ? 1 : strstr(p->mode, "cubic") ? 4 : 2;
  int align = p->align != 0;
  plane image = {.h = axis_of(x->dim[2], align), .w = axis_of(x->dim[3], align), .padding = p->padding[0]};
  size_t places = (size_t)(y->dim[2] * y->dim[3]), planes = (size_t)(x->dim[0] * x->dim[1]);
  float *out = io->outputs[0].data;
  for (size_t i = 0; i < planes; i++) {
    const float *grid = (const float *)io->inputs[1]->data + i / (size_t)x->dim[1] * places * 2;
    image.x = (const float *)io->inputs[0]->data + i * (size_t)(image.h.n * image.w.n);
    for (size_t j = 0; j < places; j++)
      out[i * places + j] = sample(&image, align, grid + 2 * j, taps);
  }
  return QINT8_OK;
}

const q8_op q8_op_grid_sample = {
    .name = "GridSample", Q8_OPSETS(16, 21), Q8_INPUTS(2, 2), Q8_OUTPUTS(1, 1),
    Q8_ATTRIBUTES(attributes), .params_size = sizeof(grid_params), .quant = Q8_QUANT_FLOAT,
    .float_inputs = 3,
    .family = &(const q8_op_family){.int8_obstacle = "no int8 form: interpolates float tensors", .infer = infer,
                                    .eval = eval}};
