/* resize.c - Resize, and Upsample, which becomes Resize while importing. Inputs: X, roi, scales, sizes. */
#include "ops/resize.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "ops/hooks.h"

#define AT(field) offsetof(q8_resize_params, field)
static const q8_attribute attributes[] = {
    {Q8_NAME_AND_TEXT("mode", "nearest"), Q8_ATTR_STRING, AT(mode), 0, 0, 0},
    {Q8_NAME_AND_TEXT("coordinate_transformation_mode", "half_pixel"), Q8_ATTR_STRING, AT(coordinates), 0, 0, 0},
    {Q8_NAME_AND_TEXT("nearest_mode", "round_prefer_floor"), Q8_ATTR_STRING, AT(nearest_mode), 0, 0, 0},
    {Q8_NAME_AND_TEXT("keep_aspect_ratio_policy", "stretch"), Q8_ATTR_STRING, AT(keep_aspect), 0, 0, 0},
    {"cubic_coeff_a", Q8_ATTR_FLOAT, AT(cubic_a), 0, 0, -0.75},
    {"extrapolation_value", Q8_ATTR_FLOAT, AT(extrapolation), 0, 0, 0},
    {"exclude_outside", Q8_ATTR_INT, AT(exclude_outside), 0, 0, 0},
    {"antialias", Q8_ATTR_INT, AT(antialias), 0, 0, 0},
    {"axes", Q8_ATTR_INTS, AT(axes), 0, 0, 0}};

/* ---- Attributes ---- */

static q8_status read_modes(const q8_op_io *io, q8_resize *r) {
  const q8_resize_params *p = io->node->params;
  Q8_TRY(q8_op_word(io, "mode", "nearest, linear or cubic", &r->mode));
  Q8_TRY(q8_op_word(io, "coordinate_transformation_mode",
                    "half_pixel, half_pixel_symmetric, pytorch_half_pixel, align_corners, asymmetric, tf_half_pixel_for_nn or "
                    "tf_crop_and_resize",
                    &r->coordinates));
  Q8_TRY(q8_op_word(io, "nearest_mode", "round_prefer_floor, round_prefer_ceil, floor or ceil", &r->nearest));
  r->antialias = p->antialias != 0 && r->mode != Q8_RESIZE_NEAREST;
  r->exclude_outside = p->exclude_outside != 0;
  r->cubic_a = p->cubic_a;
  r->extrapolation = p->extrapolation;
  return QINT8_OK;
}

/* The dimensions that scales and sizes speak of: all of them without `axes`. */
static q8_status read_axes(const q8_op_io *io, const q8_shape *x, q8_ints *axes) {
  const q8_resize_params *p = io->node->params;
  *axes = p->axes;
  if (axes->count < 0)
    for (axes->count = 0; axes->count < x->rank; axes->count++)
      axes->v[axes->count] = axes->count;
  for (int32_t i = 0; i < axes->count; i++) {
    int32_t axis;
    Q8_TRY(q8_need_axis(io, axes->v[i], x->rank, &axis));
    axes->v[i] = axis;
  }
  return QINT8_OK;
}

/* ---- Sizes ---- */

static q8_status bad_input(const q8_op_io *io, const char *what, size_t count, int32_t expected) {
  return q8_op_fail(io, QINT8_ERROR_SHAPE, "%s has %zu values, expected %d constant ones", what, count,
                    (int)expected);
}

static q8_status take_scales(const q8_op_io *io, const q8_value *scales, const q8_ints *axes, q8_resize *r) {
  if (!scales->data || scales->dtype != QINT8_DTYPE_F32 || scales->count != (size_t)axes->count)
    return bad_input(io, "scales", scales->count, axes->count);
  for (int32_t i = 0; i < axes->count; i++) {
    int64_t d = axes->v[i];
    r->scale[d] = ((const float *)scales->data)[i];
    if (!(r->scale[d] > 0) || !(r->scale[d] * (float)r->in[d] < 1e9f))
      return q8_op_fail(io, QINT8_ERROR_SHAPE, "scale %g of dimension %d", (double)r->scale[d], (int)d);
    r->out[d] = (int64_t)floorf((float)r->in[d] * r->scale[d]);
  }
  return QINT8_OK;
}

/* One scale for all axes, so that no size is exceeded (or none is missed). */
static void keep_aspect(const q8_ints *axes, int not_larger, q8_resize *r) {
  float scale = not_larger ? INFINITY : 0;
  for (int32_t i = 0; i < axes->count; i++) {
    float own = (float)r->out[axes->v[i]] / (float)r->in[axes->v[i]];
    scale = not_larger ? (own < scale ? own : scale) : (own > scale ? own : scale);
  }
  for (int32_t i = 0; i < axes->count; i++) {
    r->scale[axes->v[i]] = scale;
    r->out[axes->v[i]] = (int64_t)floorf(scale * (float)r->in[axes->v[i]] + 0.5f);
  }
}

static q8_status take_sizes(const q8_op_io *io, const q8_value *sizes, const q8_ints *axes, q8_resize *r) {
  q8_ints values;
  int policy;
  Q8_TRY(q8_infer_ints(io, 3, &values));
  if (values.count != axes->count)
    return bad_input(io, "sizes", sizes->count, axes->count);
  for (int32_t i = 0; i < axes->count; i++) {
    int64_t d = axes->v[i];
    if (values.v[i] < 0 || (values.v[i] > 0 && r->in[d] == 0))
      return q8_op_fail(io, QINT8_ERROR_SHAPE, "size %lld of dimension %d, which has %lld values",
                        (long long)values.v[i], (int)d, (long long)r->in[d]);
    r->out[d] = values.v[i];
    r->sized[d] = 1;
    r->scale[d] = r->in[d] ? (float)r->out[d] / (float)r->in[d] : 1;
  }
  Q8_TRY(q8_op_word(io, "keep_aspect_ratio_policy", "stretch, not_larger or not_smaller", &policy));
  if (policy)
    keep_aspect(axes, policy == 1, r);
  return QINT8_OK;
}

static q8_status take_region(const q8_op_io *io, const q8_ints *axes, q8_resize *r) {
  const q8_value *roi = q8_input(io, 1);
  if (r->coordinates != Q8_TF_CROP_AND_RESIZE)
    return QINT8_OK;
  if (!roi || !roi->data || roi->dtype != QINT8_DTYPE_F32 || roi->count != 2 * (size_t)axes->count)
    return bad_input(io, "roi", roi ? roi->count : 0, 2 * axes->count);
  for (int32_t i = 0; i < axes->count; i++) {
    r->begin[axes->v[i]] = ((const float *)roi->data)[i];
    r->end[axes->v[i]] = ((const float *)roi->data)[axes->count + i];
  }
  return QINT8_OK;
}

q8_status q8_resize_of(const q8_op_io *io, q8_resize *r) {
  const q8_shape *x = &io->inputs[0]->shape;
  const q8_value *scales = q8_input(io, 2), *sizes = q8_input(io, 3);
  q8_ints axes;
  *r = (q8_resize){.rank = x->rank};
  Q8_TRY(read_modes(io, r));
  Q8_TRY(read_axes(io, x, &axes));
  for (int32_t d = 0; d < x->rank; d++) {
    r->in[d] = r->out[d] = x->dim[d];
    r->scale[d] = r->end[d] = 1;
  }
  if (r->mode != Q8_RESIZE_NEAREST)
    Q8_TRY(q8_need_dtype(io, 0, QINT8_DTYPE_F32));
  if (sizes && sizes->count)
    Q8_TRY(take_sizes(io, sizes, &axes, r));
  else if (scales && scales->count)
    Q8_TRY(take_scales(io, scales, &axes, r));
  else
    return q8_op_fail(io, QINT8_ERROR_SHAPE, "neither scales nor sizes are given");
  Q8_TRY(take_region(io, &axes, r));
  for (int32_t d = 0; d < r->rank; d++)
    if (r->out[d] > 0 && q8_resize_tap_count(r, d) > Q8_RESIZE_TAPS)
      return q8_op_fail(io, QINT8_ERROR_LIMIT,
                        "scale %g of dimension %d with antialias reads more "
                        "than %d values",
                        (double)r->scale[d], (int)d, Q8_RESIZE_TAPS);
  return QINT8_OK;
}

static q8_status infer(const q8_op_io *io) {
  q8_resize r;
  Q8_TRY(q8_resize_of(io, &r));
  q8_shape y = {.rank = r.rank};
  memcpy(y.dim, r.out, sizeof y.dim);
  return q8_infer_shaped(io, &y);
}

/* ---- Reference ---- */

typedef struct position {
  const q8_resize *r;
  const float *x;
  int64_t stride[Q8_MAX_RANK];
  q8_resize_taps taps[Q8_MAX_RANK]; /* of the current output position */
} position;

static float interpolate(const position *p, int32_t d, int64_t at) {
  if (d == p->r->rank)
    return p->x[at];
  const q8_resize_taps *t = &p->taps[d];
  float sum = 0;
  for (int32_t i = 0; i < t->count; i++)
    sum += t->weight[i] * interpolate(p, d + 1, at + t->index[i] * p->stride[d]);
  return sum;
}

static q8_status eval(const q8_op_io *io) {
  q8_resize r;
  Q8_TRY(q8_resize_of(io, &r));
  const q8_value *x = io->inputs[0];
  q8_value *y = &io->outputs[0];
  size_t element = qint8_dtype_size((qint8_dtype)x->dtype);
  position p = {.r = &r, .x = x->data};
  int64_t index[Q8_MAX_RANK] = {0};
  q8_strides(&x->shape, p.stride);
  for (int32_t d = 0; d < r.rank && y->count; d++)
    q8_resize_find_taps(&r, d, 0, &p.taps[d]);
  for (size_t i = 0; i < y->count; i++) {
    int outside = 0;
    int64_t at = 0;
    for (int32_t d = 0; d < r.rank; d++) {
      outside |= p.taps[d].outside;
      at += p.taps[d].index[0] * p.stride[d];
    }
    if (outside && x->dtype == QINT8_DTYPE_F32)
      ((float *)y->data)[i] = r.extrapolation;
    else if (r.mode == Q8_RESIZE_NEAREST)
      memcpy((char *)y->data + i * element, (const char *)x->data + (size_t)at * element, element);
    else
      ((float *)y->data)[i] = interpolate(&p, 0, 0);
    for (int32_t d = r.rank; d-- > 0;) {
      index[d] = index[d] + 1 < r.out[d] ? index[d] + 1 : 0;
      q8_resize_find_taps(&r, d, index[d], &p.taps[d]);
      if (index[d])
        break;
    }
  }
  return QINT8_OK;
}

/* ---- In opset 17, which lacks the attributes of opset 18 and 19 ---- */

/* Scales of all dimensions, from those of `axes`. */
static q8_status write_all_scales(q8_exporter *exporter, const q8_graph *graph, const q8_node *node,
                                  qint8_error *error) {
  const q8_resize_params *p = node->params;
  q8_id scales = node->input_count > 2 ? node->inputs[2] : Q8_NONE;
  int32_t rank = graph->tensors[node->inputs[0]].shape.rank;
  float all[Q8_MAX_RANK];
  if (node->input_count > 3 || !q8_graph_is_constant(graph, scales) || rank < 0 ||
      graph->tensors[scales].shape.dim[0] != p->axes.count || !strcmp(p->coordinates, "tf_crop_and_resize"))
    return q8_fail(error, QINT8_ERROR_UNSUPPORTED, node->name,
                   "Resize of some axes has a form in opset 17 only with constant scales and known rank");
  for (int32_t i = 0; i < rank; i++)
    all[i] = 1;
  for (int32_t i = 0; i < p->axes.count; i++)
    if (q8_axis(p->axes.v[i], rank) >= 0)
      all[q8_axis(p->axes.v[i], rank)] = ((const float *)graph->tensors[scales].data)[i];
  const q8_shape shape = {.rank = 1, .dim = {rank}};
  q8_resize_params params = *p;
  q8_node whole = *node;
  params.axes.count = -1;
  whole.params = &params;
  q8_export_replace_input(exporter, 2, q8_export_constant(exporter, node->name, QINT8_DTYPE_F32, &shape, all));
  q8_export_standard(exporter, &whole);
  return QINT8_OK;
}

static q8_status expand(q8_exporter *exporter, const q8_graph *graph, const q8_node *node, qint8_error *error) {
  const q8_resize_params *p = node->params;
  const char *newer = p->antialias                                        ? "antialias"
                      : strcmp(p->keep_aspect, "stretch") != 0            ? "keep_aspect_ratio_policy"
                      : !strcmp(p->coordinates, "half_pixel_symmetric") ? "half_pixel_symmetric"
                                                                          : NULL;
  if (newer)
    return q8_fail(error, QINT8_ERROR_UNSUPPORTED, node->name, "Resize with %s has no form in opset 17", newer);
  if (p->axes.count >= 0)
    return write_all_scales(exporter, graph, node, error);
  q8_export_standard(exporter, node);
  return QINT8_OK;
}

/* ---- Older forms ---- */

/* Until opset 10: X and scales, coordinates by division alone. */
static q8_status upgrade_old(q8_upgrade *node) {
  q8_resize_params *p = node->params;
  snprintf(p->coordinates, sizeof p->coordinates, "asymmetric");
  snprintf(p->nearest_mode, sizeof p->nearest_mode, "floor");
  if (node->input_count == 2) {
    node->inputs[2] = node->inputs[1];
    node->inputs[1] = Q8_NONE;
    node->input_count = 3;
  }
  return QINT8_OK;
}

static q8_status upgrade(q8_upgrade *node) {
  return node->graph->opset <= 10 ? upgrade_old(node) : QINT8_OK;
}

const q8_op q8_op_resize = {
    .name = "Resize", Q8_OPSETS(10, 21), Q8_INPUTS(1, 4), Q8_OUTPUTS(1, 1),
    Q8_ATTRIBUTES(attributes), .params_size = sizeof(q8_resize_params), .quant = Q8_QUANT_SAME,
    .family = &(const q8_op_family){.infer = infer, .eval = eval, .plan = q8_resize_plan, .upgrade = upgrade,
                                    .extras = &(const q8_op_extras){.expand = expand}}};

/* ---- Upsample ---- */

static const q8_attribute upsample_attributes[] = {{Q8_NAME_AND_TEXT("mode", "nearest"), Q8_ATTR_STRING, AT(mode), 0, 0, 0},
                                                   {"scales", Q8_ATTR_FLOATS, AT(scales), 0, 0, 0}};

static q8_status upgrade_upsample(q8_upgrade *node) {
  q8_resize_params *p = node->params;
  if (p->scales.count >= 0)
    Q8_TRY(q8_upgrade_input(node, 1, QINT8_DTYPE_F32, p->scales.count, p->scales.v));
  char mode[32];
  memcpy(mode, p->mode, sizeof mode);
  q8_op_defaults(&q8_op_resize, p);
  memcpy(p->mode, mode, sizeof mode);
  return upgrade_old(node);
}

const q8_op q8_op_upsample = {
    .name = "Upsample", Q8_OPSETS(7, 9), Q8_INPUTS(1, 3), Q8_OUTPUTS(1, 1),
    Q8_ATTRIBUTES(upsample_attributes), .params_size = sizeof(q8_resize_params),
    .family = &(const q8_op_family){.infer = infer, .eval = eval, .upgrade = upgrade_upsample,
                                    .extras = &(const q8_op_extras){.becomes = &q8_op_resize}}};
