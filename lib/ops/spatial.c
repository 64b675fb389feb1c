#include "ops/spatial.h"

#include <string.h>

static int64_t int_at(const q8_ints *ints, int32_t i, int64_t otherwise) {
  return i < ints->count ? ints->v[i] : otherwise;
}

static q8_status check_lists(const q8_op_io *io, const q8_spatial_params *p, const q8_shape *x, int needs_kernel) {
  static const struct {
    char name[16];
    uint16_t offset, factor;
  } lists[] = {{"kernel_shape", Q8_SPATIAL_AT(kernel_shape), 1}, {"strides", Q8_SPATIAL_AT(strides), 1},
               {"dilations", Q8_SPATIAL_AT(dilations), 1},       {"pads", Q8_SPATIAL_AT(pads), 2},
               {"output_padding", Q8_SPATIAL_AT(output_padding), 1}};
  int32_t dims = x->rank - 2;
  if (dims < 1 || dims > Q8_SPATIAL_DIMS)
    return q8_op_fail(io, dims > Q8_SPATIAL_DIMS ? QINT8_ERROR_UNSUPPORTED : QINT8_ERROR_SHAPE,
                      "input %p: expected [N, C] and one to three spatial dimensions", x);
  for (size_t i = 0; i < sizeof lists / sizeof lists[0]; i++) {
    const q8_ints *list = (const q8_ints *)(const void *)((const char *)p + lists[i].offset);
    int32_t expected = dims * lists[i].factor;
    if (list->count != expected && (list->count > 0 || (i == 0 && needs_kernel)))
      return q8_op_fail(io, QINT8_ERROR_SHAPE, "%s has %d values, expected %d", lists[i].name, (int)list->count,
                        (int)expected);
  }
  return QINT8_OK;
}

/* What the attributes say, before `auto_pad`. Within the limits no sum or product below is beyond int64_t. */
static q8_status read_extent(const q8_op_io *io, const q8_spatial_params *p, int32_t dims, int32_t i, q8_extent *e) {
  const int64_t limit = 1 << 24;
  e->stride = int_at(&p->strides, i, 1);
  e->dilation = int_at(&p->dilations, i, 1);
  e->pad_begin = int_at(&p->pads, i, 0);
  e->pad_end = int_at(&p->pads, i + dims, 0);
  if (e->kernel < 1 || e->stride < 1 || e->dilation < 1 || e->pad_begin < 0 || e->pad_end < 0 || e->kernel > limit ||
      e->stride > limit || e->dilation > limit || e->pad_begin > limit || e->pad_end > limit || e->in > INT32_MAX)
    return q8_op_fail(io, QINT8_ERROR_SHAPE,
                      "spatial dimension %d: size %lld, kernel %lld, stride %lld, dilation %lld or pads %lld "
                      "and %lld out of range",
                      i, (long long)e->in, (long long)e->kernel, (long long)e->stride, (long long)e->dilation,
                      (long long)e->pad_begin, (long long)e->pad_end);
  return QINT8_OK;
}

/* Sets both pads; the side that has more where the sum is odd. */
static void split_pads(q8_extent *e, int64_t total, int more_at_begin) {
  total = total > 0 ? total : 0;
  e->pad_begin = (total + more_at_begin) / 2;
  e->pad_end = total - e->pad_begin;
}

static q8_status find_extent(const q8_op_io *io, const q8_spatial_params *p, int32_t i, q8_extent *e) {
  int64_t reach = (e->kernel - 1) * e->dilation + 1;
  int same = !strncmp(p->auto_pad, "SAME", 4);
  if (same)
    split_pads(e, ((e->in + e->stride - 1) / e->stride - 1) * e->stride + reach - e->in,
               !strcmp(p->auto_pad, "SAME_LOWER"));
  int64_t whole = e->in + e->pad_begin + e->pad_end;
  if (whole < reach)
    return q8_op_fail(
        io, QINT8_ERROR_SHAPE,
        "spatial dimension %d: the kernel reaches over %lld values, the input has %lld with its pads", i,
        (long long)reach, (long long)whole);
  e->out = (whole - reach) / e->stride + 1;
  if (p->ceil_mode && !same && (whole - reach) % e->stride && e->out * e->stride < e->in + e->pad_begin)
    e->out++; /* a window that begins inside the input and ends beyond the pads */
  return QINT8_OK;
}

/* The size of y before pads are cut; then either y follows from the pads, or the pads from y. */
static q8_status find_transposed(const q8_op_io *io, const q8_spatial_params *p, int32_t dims, int32_t i,
                                 q8_extent *e) {
  int64_t extra = int_at(&p->output_padding, i, 0), shapes = p->output_shape.count;
  if (extra < 0 || (extra >= e->stride && extra >= e->dilation))
    return q8_op_fail(io, QINT8_ERROR_SHAPE,
                      "output_padding %lld is not below the stride or dilation of dimension %d",
                      (long long)extra, i);
  int64_t whole = e->stride * (e->in - 1) + extra + (e->kernel - 1) * e->dilation + 1;
  e->out = whole - e->pad_begin - e->pad_end;
  if (shapes > 0 || !strncmp(p->auto_pad, "SAME", 4)) {
    if (shapes > 0 && shapes != dims && shapes != dims + 2)
      return q8_op_fail(io, QINT8_ERROR_SHAPE, "output_shape has %d values, expected %d", (int)shapes,
                        (int)dims);
    e->out = shapes > 0 ? p->output_shape.v[i + shapes - dims] : e->in * e->stride;
    if (e->out < 1 || e->out - whole >= e->stride + extra + e->dilation)
      return q8_op_fail(io, QINT8_ERROR_SHAPE, "output_shape %lld of dimension %d", (long long)e->out, i);
    split_pads(e, whole - e->out, strcmp(p->auto_pad, "SAME_UPPER") != 0);
  }
  if (e->out < 1)
    return q8_op_fail(io, QINT8_ERROR_SHAPE, "pads %lld and %lld leave nothing of dimension %d", (long long)e->pad_begin,
                      (long long)e->pad_end, i);
  return QINT8_OK;
}

q8_status q8_spatial_of(const q8_op_io *io, const q8_spatial_params *p, const q8_shape *x, const q8_shape *w,
                        int transposed, q8_extent *out) {
  int32_t dims = x->rank - 2;
  Q8_TRY(check_lists(io, p, x, w == NULL));
  for (int32_t i = -Q8_SPATIAL_DIMS; i < 0; i++, out++) {
    int32_t d = i + dims;
    *out = (q8_extent){1, 1, 1, 1, 0, 0, 1};
    if (d < 0)
      continue;
    out->in = x->dim[2 + d];
    out->kernel = int_at(&p->kernel_shape, d, w ? w->dim[2 + d] : 0);
    if (w && out->kernel != w->dim[2 + d])
      return q8_op_fail(io, QINT8_ERROR_SHAPE, "kernel_shape %lld, but the weight has %lld", (long long)out->kernel,
                        (long long)w->dim[2 + d]);
    Q8_TRY(read_extent(io, p, dims, d, out));
    if (!strcmp(p->auto_pad, "VALID"))
      out->pad_begin = out->pad_end = 0;
    Q8_TRY(transposed ? find_transposed(io, p, dims, d, out) : find_extent(io, p, d, out));
  }
  return QINT8_OK;
}

void q8_spatial_shape(const q8_extent *e, int32_t dims, q8_shape *y) {
  y->rank = dims + 2;
  for (int32_t i = 0; i < dims; i++)
    y->dim[2 + i] = e[Q8_SPATIAL_DIMS - dims + i].out;
}
