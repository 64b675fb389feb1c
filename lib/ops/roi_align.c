/* roi_align.c - RoiAlign: averages of bilinear samples over the bins of each region. */
#include <inttypes.h>
#include <math.h>
#include <stddef.h>
#include <string.h>

#include "ops/hooks.h"
#include "ops/index.h"

typedef struct roi_params {
  int64_t height, width, ratio;
  float scale;
  char mode[32], transform[32];
} roi_params;

static const q8_attribute attributes[] = {
    {"output_height", Q8_ATTR_INT, offsetof(roi_params, height), 0, 0, 1},
    {"output_width", Q8_ATTR_INT, offsetof(roi_params, width), 0, 0, 1},
    {"sampling_ratio", Q8_ATTR_INT, offsetof(roi_params, ratio), 0, 0, 0},
    {"spatial_scale", Q8_ATTR_FLOAT, offsetof(roi_params, scale), 0, 0, 1},
    {Q8_NAME_AND_TEXT("mode", "avg"), Q8_ATTR_STRING, offsetof(roi_params, mode), 0, 0, 0},
    {Q8_NAME_AND_TEXT("coordinate_transformation_mode", "half_pixel"), Q8_ATTR_STRING, offsetof(roi_params, transform), 0, 0, 0}};

/* Before opset 16 there was no half pixel. */
static q8_status upgrade(q8_upgrade *node) {
  if (node->graph->opset < 16)
    memcpy(((roi_params *)node->params)->transform, "output_half_pixel", sizeof "output_half_pixel");
  return QINT8_OK;
}

static q8_status infer(const q8_op_io *io) {
  const roi_params *p = io->node->params;
  const q8_shape *x = &io->inputs[0]->shape, *rois = &io->inputs[1]->shape, *batch = &io->inputs[2]->shape;
  int mode;
  Q8_TRY(q8_op_word(io, "mode", "avg", &mode));
  int fits = x->rank == 4 && rois->rank == 2 && rois->dim[1] == 4 && batch->rank == 1 && batch->dim[0] == rois->dim[0];
  if (!fits || p->height < 1 || p->width < 1 || p->ratio < 0 || p->ratio > 1024)
    return q8_op_fail(io, QINT8_ERROR_SHAPE,
                      "regions of shape %p in shape %p to %" PRId64 "x%" PRId64 ", %" PRId64 " samples", rois,
                      x, p->height, p->width, p->ratio);
  q8_shape y = {.rank = 4, .dim = {rois->dim[0], x->dim[1], p->height, p->width}};
  return q8_infer_set(io, 0, QINT8_DTYPE_F32, &y);
}

/* A coordinate between two pixels of n: the lower one and the weight of the upper one; 0 if it is outside. */
static int between(double at, int64_t n, int64_t *low, int64_t *high, double *weight) {
  if (!(at >= -1 && at <= (double)n))
    return 0;
  at = at < 0 ? 0 : at;
  *low = (int64_t)at;
  if (*low >= n - 1) {
    *low = *high = n - 1;
    *weight = 0;
    return 1;
  }
  *high = *low + 1;
  *weight = at - (double)*low;
  return 1;
}

static double bilinear(const float *x, int64_t h, int64_t w, double row, double column) {
  int64_t r0, r1, c0, c1;
  double wr, wc;
  if (!between(row, h, &r0, &r1, &wr) || !between(column, w, &c0, &c1, &wc))
    return 0;
  double top = (double)x[r0 * w + c0] * (1 - wc) + (double)x[r0 * w + c1] * wc;
  double bottom = (double)x[r1 * w + c0] * (1 - wc) + (double)x[r1 * w + c1] * wc;
  return top * (1 - wr) + bottom * wr;
}

typedef struct region {
  double top, left, bin_h, bin_w;
  int64_t rows, columns; /* samples per bin */
} region;

static region region_of(const roi_params *p, const float *roi) {
  int half = !strcmp(p->transform, "half_pixel");
  double scale = p->scale, offset = half ? 0.5 : 0;
  double left = roi[0] * scale - offset, top = roi[1] * scale - offset;
  double width = roi[2] * scale - offset - left, height = roi[3] * scale - offset - top;
  if (!half) {
    width = width > 1 ? width : 1;
    height = height > 1 ? height : 1;
  }
  region r = {top, left, height / (double)p->height, width / (double)p->width, p->ratio, p->ratio};
  if (p->ratio == 0) { /* about one sample per pixel; a region larger than any image is cut */
    r.rows = r.bin_h > 0 ? (int64_t)ceil(r.bin_h < 4096 ? r.bin_h : 4096) : 0;
    r.columns = r.bin_w > 0 ? (int64_t)ceil(r.bin_w < 4096 ? r.bin_w : 4096) : 0;
  }
  return r;
}

static q8_status eval(const q8_op_io *io) {
  const roi_params *p = io->node->params;
  const q8_shape *x = &io->inputs[0]->shape;
  int64_t h = x->dim[2], w = x->dim[3], bins = p->height * p->width;
  float *y = io->outputs[0].data;
  for (int64_t n = 0; n < io->inputs[1]->shape.dim[0]; n++) {
    int64_t image = q8_int_at(io->inputs[2], (size_t)n);
    if (image < 0 || image >= x->dim[0])
      return q8_op_fail(io, QINT8_ERROR_DATA, "batch index %" PRId64 " of %" PRId64, image, x->dim[0]);
    region r = region_of(p, (const float *)io->inputs[1]->data + n * 4);
    int64_t count = r.rows * r.columns > 1 ? r.rows * r.columns : 1;
    for (int64_t c = 0; c < x->dim[1]; c++)
      for (int64_t bin = 0; bin < bins; bin++) {
        const float *plane = (const float *)io->inputs[0]->data + (image * x->dim[1] + c) * h * w;
        double top = r.top + (double)(bin / p->width) * r.bin_h, left = r.left + (double)(bin % p->width) * r.bin_w;
        double sum = 0;
        for (int64_t i = 0; h && w && i < r.rows * r.columns; i++)
          sum += bilinear(plane, h, w, top + ((double)(i / r.columns) + 0.5) * r.bin_h / (double)r.rows,
                          left + ((double)(i % r.columns) + 0.5) * r.bin_w / (double)r.columns);
        *y++ = (float)(sum / (double)count);
      }
  }
  return QINT8_OK;
}

const q8_op q8_op_roi_align = {
    .name = "RoiAlign", Q8_OPSETS(10, 21), Q8_INPUTS(3, 3), Q8_OUTPUTS(1, 1),
    Q8_ATTRIBUTES(attributes), .params_size = sizeof(roi_params), .quant = Q8_QUANT_FLOAT,
    .float_inputs = 3, .index_inputs = 4,
    .family = &(const q8_op_family){.int8_obstacle = "no int8 form: interpolates float tensors", .infer = infer,
                                    .eval = eval, .upgrade = upgrade}};
