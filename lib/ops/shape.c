/* shape.c - helpers of infer and eval: axes, strides, broadcasting. */
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/element.h"
#include "ops/common.h"
#include "ops/hooks.h"

#define MAX_TENSOR ((size_t)1 << 40) /* bytes */

/* Whether a conversion to an integer, "%zu" or "%lld" say, is of a type wider than int. */
static int is_wide(const char *conversion) {
  if (conversion[1] == 'z')
    return sizeof(size_t) > sizeof(int);
  return conversion[1] == 'l' && (conversion[2] == 'l' || sizeof(long) > sizeof(int));
}

q8_status q8_op_fail(const q8_op_io *io, q8_status status, const char *format, ...) {
  char text[sizeof io->error->message], part[128];
  size_t at = 0;
  va_list values;
  va_start(values, format);
  while (*format) {
    const char *conversion = format, *piece = part;
    format += *format == '%' ? strcspn(format, "dsgpu") + 1 : 1;
    const char kind = format[-1];
    if (*conversion != '%') {
      part[0] = kind;
      part[1] = 0;
    } else if (kind == 'g') {
      snprintf(part, sizeof part, "%g", va_arg(values, double));
    } else if (kind == 's' || kind == 'p') {
      const void *pointer = va_arg(values, const void *);
      piece = kind == 's' ? pointer : q8_shape_text(pointer, part, sizeof part);
    } else if (is_wide(conversion)) {
      snprintf(part, sizeof part, "%lld", va_arg(values, long long));
    } else {
      int value = va_arg(values, int);
      snprintf(part, sizeof part, "%lld", kind == 'u' ? (long long)(unsigned)value : value);
    }
    while (*piece && at + 1 < sizeof text)
      text[at++] = *piece++;
  }
  va_end(values);
  text[at] = 0;
  return q8_fail(io->error, status, io->node->name, "%s", text);
}

q8_status q8_op_word(const q8_op_io *io, const char *attribute, const char *words, int *out) {
  const char *text = q8_op_field(io->node->op, io->node->params, attribute), *at = words;
  *out = 0;
  if (!text)
    return QINT8_OK; /* an operator without the attribute has the first */
  for (size_t length = strlen(text), n; (n = strcspn(at, ", ")); at += n + strspn(at + n, ", ")) {
    const int is_word = n != 2; /* not "or" */
    if (is_word && n == length && !memcmp(at, text, n))
      return QINT8_OK;
    *out += is_word;
  }
  return q8_op_fail(io, QINT8_ERROR_UNSUPPORTED, "%s %s is not %s", attribute, text, words);
}

/* UNSUPPORTED unless input `i` is S32 or S64. */
static q8_status need_indices(const q8_op_io *io, int32_t i) {
  int32_t dtype = io->inputs[i] ? io->inputs[i]->dtype : QINT8_DTYPE_S64;
  if (dtype == QINT8_DTYPE_S64 || dtype == QINT8_DTYPE_S32)
    return QINT8_OK;
  return q8_op_fail(io, QINT8_ERROR_UNSUPPORTED, "indices are %s, expected int32 or int64", q8_dtype_name(dtype));
}

q8_status q8_infer(const q8_op_io *io) {
  const q8_op *op = io->node->op;
  for (int32_t i = 0; i < io->node->input_count; i++) {
    uint32_t bit = i < 8 ? 1u << i : 0;
    if (op->float_inputs & bit)
      Q8_TRY(q8_need_dtype(io, i, QINT8_DTYPE_F32));
    if (op->index_inputs & bit)
      Q8_TRY(need_indices(io, i));
  }
  if (op->least_rank && io->inputs[0]->shape.rank < (int32_t)op->least_rank)
    return q8_op_fail(io, QINT8_ERROR_SHAPE, "input of shape %p, expected at least %d dimensions",
                      &io->inputs[0]->shape, (int)op->least_rank);
  if (op->has_axis && q8_axis_of(io) < 0)
    return q8_bad_axis(io, *(const int64_t *)io->node->params, &io->inputs[0]->shape);
  return op->family->infer(io);
}

q8_status q8_infer_set(const q8_op_io *io, int32_t index, int32_t dtype, const q8_shape *shape) {
  int ok;
  size_t size, element = qint8_dtype_size((qint8_dtype)dtype), count = q8_shape_count(shape, &ok);
  if (!ok || !q8_mul(count, element, &size) || size > MAX_TENSOR) {
    return q8_op_fail(io, ok ? QINT8_ERROR_LIMIT : QINT8_ERROR_SHAPE,
                      "output %d of shape %p: negative, or more than 2^40 bytes", (int)index, shape);
  }
  io->outputs[index] = (q8_value){.dtype = dtype, .shape = *shape, .count = count};
  return QINT8_OK;
}

q8_status q8_infer_shaped(const q8_op_io *io, const q8_shape *shape) {
  return q8_infer_set(io, 0, io->inputs[0]->dtype, shape);
}

q8_status q8_infer_same(const q8_op_io *io) {
  return q8_infer_shaped(io, &io->inputs[0]->shape);
}

void q8_copy_input(const q8_op_io *io, int32_t i) {
  const q8_value *x = io->inputs[i];
  if (x->count)
    memcpy(io->outputs[0].data, x->data, x->count * qint8_dtype_size((qint8_dtype)x->dtype));
}

q8_status q8_infer_broadcast(const q8_op_io *io, const q8_shape *a, const q8_shape *b, q8_shape *out) {
  q8_shape result = {.rank = a->rank > b->rank ? a->rank : b->rank};
  for (int32_t i = 0; i < result.rank; i++) {
    int32_t ia = i - (result.rank - a->rank), ib = i - (result.rank - b->rank);
    int64_t da = ia < 0 ? 1 : a->dim[ia], db = ib < 0 ? 1 : b->dim[ib];
    if (da != db && da != 1 && db != 1) {
      return q8_op_fail(io, QINT8_ERROR_SHAPE, "shapes %p and %p cannot be broadcast", a, b);
    }
    result.dim[i] = da == 1 ? db : da;
  }
  *out = result;
  return QINT8_OK;
}

int64_t q8_int_at(const q8_value *value, size_t i) {
  return value->dtype == QINT8_DTYPE_S64 ? ((const int64_t *)value->data)[i] : ((const int32_t *)value->data)[i];
}

q8_status q8_infer_shape(const q8_op_io *io, int32_t input, q8_shape *out) {
  q8_ints list;
  Q8_TRY(q8_infer_ints(io, input, &list));
  if (list.count > Q8_MAX_RANK)
    return q8_op_fail(io, QINT8_ERROR_LIMIT, "rank %d, at most %d", (int)list.count, Q8_MAX_RANK);
  *out = (q8_shape){.rank = list.count};
  memcpy(out->dim, list.v, (size_t)list.count * sizeof *list.v);
  return QINT8_OK;
}

q8_status q8_need_data(const q8_op_io *io, int32_t i) {
  if (io->inputs[i]->data)
    return QINT8_OK;
  return q8_op_fail(io, QINT8_ERROR_UNSUPPORTED,
                    "the shape of the result depends on the values of input %d, which must be constant or bound when the "
                    "plan is compiled",
                    (int)i);
}

static void put(const q8_value *y, size_t i, int32_t dtype, const void *value) {
  q8_cast(dtype, value, 1, y->dtype, (char *)y->data + i * qint8_dtype_size((qint8_dtype)y->dtype), 1);
}
void q8_put_double(const q8_value *y, size_t i, double value) {
  put(y, i, QINT8_DTYPE_F64, &value);
}
void q8_put_int(const q8_value *y, size_t i, int64_t value) {
  put(y, i, QINT8_DTYPE_S64, &value);
}

q8_status q8_infer_ints(const q8_op_io *io, int32_t input, q8_ints *out) {
  const q8_value *value = q8_input(io, input);
  if (!value || !value->data || (value->dtype != QINT8_DTYPE_S64 && value->dtype != QINT8_DTYPE_S32))
    return q8_op_fail(io, QINT8_ERROR_SHAPE,
                      "input %d must be a constant integer tensor once shapes are known", (int)input);
  if (value->count > Q8_MAX_INTS)
    return q8_op_fail(io, QINT8_ERROR_SHAPE, "input %d has %zu values, at most %d", (int)input, value->count,
                      Q8_MAX_INTS);
  out->count = (int32_t)value->count;
  for (size_t i = 0; i < value->count; i++)
    out->v[i] = q8_int_at(value, i);
  return QINT8_OK;
}

int32_t q8_axis(int64_t axis, int32_t rank) {
  return axis >= -rank && axis < rank ? (int32_t)(axis < 0 ? axis + rank : axis) : -1;
}

int32_t q8_axis_of(const q8_op_io *io) {
  return q8_axis(*(const int64_t *)io->node->params, io->inputs[0]->shape.rank);
}

q8_axis_view q8_view_axis(const q8_shape *shape, int32_t axis) {
  return (q8_axis_view){q8_dims(shape, 0, axis), (size_t)shape->dim[axis], q8_dims(shape, axis + 1, shape->rank)};
}

size_t q8_dims(const q8_shape *shape, int32_t from, int32_t to) {
  size_t count = 1;
  for (int32_t i = from; i < to; i++)
    count *= (size_t)shape->dim[i];
  return count;
}

q8_status q8_bad_axis(const q8_op_io *io, int64_t axis, const q8_shape *shape) {
  return q8_op_fail(io, QINT8_ERROR_SHAPE, "axis %" PRId64 " of shape %p is out of range", axis, shape);
}

q8_status q8_need_axis(const q8_op_io *io, int64_t axis, int32_t rank, int32_t *out) {
  *out = q8_axis(axis, rank);
  return *out < 0 ? q8_bad_axis(io, axis, &io->inputs[0]->shape) : QINT8_OK;
}

q8_status q8_axes_mask(const q8_op_io *io, const q8_ints *axes, int32_t rank, int once, uint32_t *mask) {
  *mask = 0;
  for (int32_t i = 0; i < axes->count; i++) {
    int32_t axis;
    Q8_TRY(q8_need_axis(io, axes->v[i], rank, &axis));
    if (once && *mask >> axis & 1)
      return q8_op_fail(io, QINT8_ERROR_SHAPE, "axis %" PRId64 " is given twice", axes->v[i]);
    *mask |= 1u << axis;
  }
  return QINT8_OK;
}

q8_status q8_need_dtype(const q8_op_io *io, int32_t i, int32_t dtype) {
  const q8_value *value = q8_input(io, i);
  if (value && value->dtype != dtype)
    return q8_op_fail(io, QINT8_ERROR_UNSUPPORTED, "input %d is %s, expected %s%s", (int)i,
                      q8_dtype_name(value->dtype), q8_dtype_name(dtype),
                      dtype == QINT8_DTYPE_F32 && q8_is_float(value->dtype) ? "; export the model in float32"
                                                                            : "");
  return QINT8_OK;
}

void q8_strides(const q8_shape *shape, int64_t *stride) {
  int64_t step = 1;
  for (int32_t i = shape->rank; i-- > 0;) {
    stride[i] = step;
    step *= shape->dim[i];
  }
}

void q8_broadcast_strides(const q8_shape *shape, const q8_shape *out, int64_t *stride) {
  int64_t step = 1;
  for (int32_t i = out->rank; i-- > 0;) {
    int32_t j = i - (out->rank - shape->rank);
    int64_t d = j < 0 ? 1 : shape->dim[j];
    stride[i] = d == 1 ? 0 : step;
    step *= d;
  }
}

/* Adds a dimension, to the last one if both run through as one. */
static void add_dim(int64_t *dim, int64_t *stride, int32_t *count, int joins, int64_t n, int64_t step) {
  if (joins && *count) {
    dim[*count - 1] *= n;
    stride[*count - 1] = step;
    return;
  }
  dim[*count] = n;
  stride[(*count)++] = step;
}

q8_axes_split q8_split_axes(const q8_shape *shape, uint32_t mask) {
  q8_axes_split v = {.outer = 1, .inner = 1};
  int64_t stride[Q8_MAX_RANK];
  q8_strides(shape, stride);
  for (int32_t i = 0; i < shape->rank; i++) {
    int inner = mask >> i & 1, joins = i > 0 && (int)(mask >> (i - 1) & 1) == inner;
    if (inner)
      add_dim(v.dim, v.stride, &v.reduced, joins, shape->dim[i], stride[i]);
    else
      add_dim(v.kept_dim, v.kept_stride, &v.kept, joins, shape->dim[i], stride[i]);
    *(inner ? &v.inner : &v.outer) *= (size_t)shape->dim[i];
  }
  return v;
}

int64_t q8_split_offset(size_t index, int32_t rank, const int64_t *dim, const int64_t *stride) {
  int64_t at = 0;
  for (int32_t d = rank; d-- > 0; index /= (size_t)dim[d])
    at += (int64_t)(index % (size_t)dim[d]) * stride[d];
  return at;
}

static void copy_row(size_t element, size_t n, const char *src, int64_t stride, char *dst) {
  if (stride == 1) {
    memcpy(dst, src, n * element);
    return;
  }
  int64_t step = stride * (int64_t)element;
  switch (element) {
  case 1:
    for (size_t i = 0; i < n; i++, src += step)
      dst[i] = *src;
    return;
  case 4:
    for (size_t i = 0; i < n; i++, src += step)
      memcpy(dst + i * 4, src, 4);
    return;
  default:
    for (size_t i = 0; i < n; i++, src += step)
      memcpy(dst + i * element, src, element);
  }
}

void q8_copy_strided(size_t element, const q8_shape *shape, const void *src, const int64_t *stride, void *dst) {
  if (shape->rank == 0) {
    memcpy(dst, src, element);
    return;
  }
  int32_t last = shape->rank - 1;
  size_t rows = q8_dims(shape, 0, last), n = (size_t)shape->dim[last];
  int64_t index[Q8_MAX_RANK] = {0};
  const char *from = src;
  char *to = dst;
  for (size_t r = 0; r < rows && n; r++, to += n * element) {
    copy_row(element, n, from, stride[last], to);
    for (int32_t d = last; d-- > 0;) {
      from += stride[d] * (int64_t)element;
      if (++index[d] < shape->dim[d])
        break;
      from -= stride[d] * (int64_t)element * shape->dim[d];
      index[d] = 0;
    }
  }
}

q8_status q8_eval_view(const q8_op_io *io, const q8_shape *shape, int64_t first, const int64_t *stride) {
  const q8_value *y = &io->outputs[0];
  size_t element = qint8_dtype_size((qint8_dtype)y->dtype);
  if (y->count)
    q8_copy_strided(element, shape, (const char *)io->inputs[0]->data + first * (int64_t)element, stride, y->data);
  return QINT8_OK;
}
