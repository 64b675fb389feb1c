/* conv_shape.c - shapes of Conv and ConvTranspose. */
#include <string.h>

#include "ops/conv_nd.h"

static int64_t int_at(const q8_ints *ints, int32_t i, int64_t otherwise) {
  return i < ints->count ? ints->v[i] : otherwise;
}

static q8_status check_lists(const q8_op_io *io, const q8_conv_params *p, int32_t dims) {
  const struct {
    const char *name;
    const q8_ints *list;
    int32_t expected;
  } lists[] = {{"kernel_shape", &p->kernel_shape, dims}, {"strides", &p->strides, dims},
               {"dilations", &p->dilations, dims},       {"pads", &p->pads, 2 * dims},
               {"output_padding", &p->output_padding, dims}};
  for (size_t i = 0; i < sizeof lists / sizeof lists[0]; i++)
    if (lists[i].list->count > 0 && lists[i].list->count != lists[i].expected)
      return q8_op_fail(io, QINT8_ERROR_SHAPE, "%s has %d values, expected %d", lists[i].name,
                        (int)lists[i].list->count, (int)lists[i].expected);
  return QINT8_OK;
}

/* What the attributes say, before `auto_pad`. */
static q8_status read_extent(const q8_op_io *io, const q8_conv_params *p, const q8_shape *x, const q8_shape *w,
                             int32_t i, q8_extent *e) {
  const int64_t limit = 1 << 24;
  int32_t spatial = x->rank - 2;
  *e = (q8_extent){.in = x->dim[2 + i],
                   .kernel = w->dim[2 + i],
                   .stride = int_at(&p->strides, i, 1),
                   .dilation = int_at(&p->dilations, i, 1),
                   .pad_begin = int_at(&p->pads, i, 0),
                   .pad_end = int_at(&p->pads, i + spatial, 0)};
  if (int_at(&p->kernel_shape, i, e->kernel) != e->kernel)
    return q8_op_fail(io, QINT8_ERROR_SHAPE, "kernel_shape %lld, but the weight has %lld",
                      (long long)p->kernel_shape.v[i], (long long)e->kernel);
  if (e->kernel < 1 || e->stride < 1 || e->dilation < 1 || e->pad_begin < 0 || e->pad_end < 0 || e->kernel > limit ||
      e->stride > limit || e->dilation > limit || e->pad_begin > limit || e->pad_end > limit || e->in > limit)
    return q8_op_fail(io, QINT8_ERROR_SHAPE,
                      "spatial dimension %d: size %lld, kernel %lld, stride %lld, dilation %lld or pads %lld "
                      "and %lld out of range",
                      i, (long long)e->in, (long long)e->kernel, (long long)e->stride, (long long)e->dilation,
                      (long long)e->pad_begin, (long long)e->pad_end);
  return QINT8_OK;
}

static q8_status find_extent(const q8_op_io *io, const q8_conv_params *p, int32_t i, q8_extent *e) {
  int64_t reach = (e->kernel - 1) * e->dilation + 1;
  if (!strcmp(p->auto_pad, "VALID")) {
    e->pad_begin = e->pad_end = 0;
  } else if (!strncmp(p->auto_pad, "SAME", 4)) {
    int64_t out = (e->in + e->stride - 1) / e->stride, total = (out - 1) * e->stride + reach - e->in;
    total = total > 0 ? total : 0;
    e->pad_begin = !strcmp(p->auto_pad, "SAME_LOWER") ? total - total / 2 : total / 2;
    e->pad_end = total - e->pad_begin;
  }
  if (e->in + e->pad_begin + e->pad_end < reach)
    return q8_op_fail(
        io, QINT8_ERROR_SHAPE,
        "spatial dimension %d: the kernel reaches over %lld values, the input has %lld with its pads", i,
        (long long)reach, (long long)(e->in + e->pad_begin + e->pad_end));
  e->out = (e->in + e->pad_begin + e->pad_end - reach) / e->stride + 1;
  return QINT8_OK;
}

static q8_status check_ranks(const q8_op_io *io, const q8_conv_params *p, const q8_shape *x,
                             const q8_shape *w, int transposed, q8_conv_nd *out) {
  int32_t dims = x->rank - 2;
  if (x->rank != w->rank || dims < 1 || dims > Q8_CONV_DIMS)
    return q8_op_fail(io, dims > Q8_CONV_DIMS ? QINT8_ERROR_UNSUPPORTED : QINT8_ERROR_SHAPE,
                      "input %p and weight %p: expected rank 3 to 5 for 1-D to 3-D convolution", x, w);
  int64_t in = transposed ? w->dim[0] : w->dim[1] * p->group, outputs = transposed ? w->dim[1] * p->group : w->dim[0];
  if (p->group < 1 || p->group > outputs || x->dim[1] != in || x->dim[1] % p->group || outputs % p->group ||
      x->dim[1] < 1)
    return q8_op_fail(io, QINT8_ERROR_SHAPE, "input %p, weight %p and %lld groups do not fit", x, w,
                      (long long)p->group);
  *out = (q8_conv_nd){.n = (size_t)x->dim[0], .c = (size_t)in, .k = (size_t)outputs, .groups = (size_t)p->group,
                      .dims = dims};
  for (int d = 0; d < Q8_CONV_DIMS; d++)
    out->e[d] = (q8_extent){1, 1, 1, 1, 0, 0, 1};
  return check_lists(io, p, dims);
}

q8_status q8_conv_nd_of(const q8_op_io *io, const q8_conv_params *p, const q8_shape *x, const q8_shape *w,
                        q8_conv_nd *out) {
  Q8_TRY(check_ranks(io, p, x, w, 0, out));
  for (int32_t i = 0; i < out->dims; i++) {
    q8_extent *e = &out->e[Q8_CONV_DIMS - out->dims + i];
    Q8_TRY(read_extent(io, p, x, w, i, e));
    Q8_TRY(find_extent(io, p, i, e));
  }
  return QINT8_OK;
}

/* The size of y before pads are cut; then either y follows from the pads, or the pads from y. */
static q8_status find_transposed(const q8_op_io *io, const q8_conv_params *p, int32_t i, int32_t dims, q8_extent *e) {
  int64_t extra = int_at(&p->output_padding, i, 0), shapes = p->output_shape.count;
  int64_t whole = e->stride * (e->in - 1) + extra + (e->kernel - 1) * e->dilation + 1;
  int same = !strncmp(p->auto_pad, "SAME", 4);
  if (extra < 0 || (extra >= e->stride && extra >= e->dilation))
    return q8_op_fail(io, QINT8_ERROR_SHAPE,
                      "output_padding %lld is not below the stride or dilation of dimension %d",
                      (long long)extra, i);
  if (shapes > 0 || same) {
    if (shapes > 0 && shapes != dims && shapes != dims + 2)
      return q8_op_fail(io, QINT8_ERROR_SHAPE, "output_shape has %d values, expected %d", (int)shapes,
                        (int)dims);
    e->out = shapes > 0 ? p->output_shape.v[i + shapes - dims] : e->in * e->stride;
    int64_t total = whole - e->out;
    if (e->out < 1 || e->out - whole >= e->stride + extra + e->dilation)
      return q8_op_fail(io, QINT8_ERROR_SHAPE, "output_shape %lld of dimension %d", (long long)e->out, i);
    total = total > 0 ? total : 0;
    e->pad_begin = !strcmp(p->auto_pad, "SAME_UPPER") ? total / 2 : total - total / 2;
    e->pad_end = total - e->pad_begin;
    return QINT8_OK;
  }
  if (!strcmp(p->auto_pad, "VALID"))
    e->pad_begin = e->pad_end = 0;
  e->out = whole - e->pad_begin - e->pad_end;
  if (e->out < 1)
    return q8_op_fail(io, QINT8_ERROR_SHAPE, "pads %lld and %lld leave nothing of dimension %d",
                      (long long)e->pad_begin, (long long)e->pad_end, i);
  return QINT8_OK;
}

q8_status q8_conv_transpose_of(const q8_op_io *io, const q8_conv_params *p, const q8_shape *x, const q8_shape *w,
                               q8_conv_nd *out) {
  Q8_TRY(check_ranks(io, p, x, w, 1, out));
  for (int32_t i = 0; i < out->dims; i++) {
    q8_extent *e = &out->e[Q8_CONV_DIMS - out->dims + i];
    Q8_TRY(read_extent(io, p, x, w, i, e));
    Q8_TRY(find_transposed(io, p, i, out->dims, e));
  }
  return QINT8_OK;
}

q8_status q8_conv_check_bias(const q8_op_io *io, const q8_value *bias, size_t channels) {
  if (bias && (bias->count != channels || bias->dtype != QINT8_DTYPE_F32))
    return q8_op_fail(io, QINT8_ERROR_SHAPE, "bias %p for %zu output channels", &bias->shape, channels);
  return QINT8_OK;
}

void q8_conv_nd_shape(const q8_conv_nd *c, q8_shape *y) {
  *y = (q8_shape){.rank = c->dims + 2, .dim = {(int64_t)c->n, (int64_t)c->k}};
  for (int32_t i = 0; i < c->dims; i++)
    y->dim[2 + i] = c->e[Q8_CONV_DIMS - c->dims + i].out;
}
