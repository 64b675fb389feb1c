/* index.c - from entries of an index tensor to places in a tensor. */
#include "ops/index.h"

#include <inttypes.h>

#include "base/element.h"

q8_status q8_check_beside(const q8_op_io *io, int32_t x, int32_t index, int32_t axis) {
  const q8_shape *a = &io->inputs[x]->shape, *b = &io->inputs[index]->shape;
  int fits = a->rank == b->rank;
  for (int32_t i = 0; fits && i < a->rank; i++)
    fits = i == axis || b->dim[i] <= a->dim[i];
  return fits ? QINT8_OK
              : q8_op_fail(io, QINT8_ERROR_SHAPE, "indices of shape %p for shape %p along axis %d", b, a,
                           (int)axis);
}

q8_status q8_coordinate(const q8_op_io *io, const q8_value *index, size_t i, int64_t n, size_t *out) {
  int64_t value = q8_int_at(index, i);
  if (value < -n || value >= n)
    return q8_op_fail(io, QINT8_ERROR_DATA, "index %" PRId64 " of an axis of %" PRId64, value, n);
  *out = (size_t)(value < 0 ? value + n : value);
  return QINT8_OK;
}

q8_status q8_element_place(const q8_op_io *io, const q8_shape *shape, const q8_value *index, size_t i, int32_t axis,
                           size_t *out) {
  size_t rest = i, stride = 1, chosen = 0;
  Q8_TRY(q8_coordinate(io, index, i, shape->dim[axis], &chosen));
  *out = 0;
  for (int32_t d = shape->rank; d-- > 0;) {
    size_t own = rest % (size_t)index->shape.dim[d];
    rest /= (size_t)index->shape.dim[d];
    *out += (d == axis ? chosen : own) * stride;
    stride *= (size_t)shape->dim[d];
  }
  return QINT8_OK;
}

q8_status q8_slice_place(const q8_op_io *io, const q8_shape *shape, const q8_value *index, size_t i, int32_t batch,
                         size_t in_batch, size_t *out) {
  size_t n = (size_t)index->shape.dim[index->shape.rank - 1];
  *out = in_batch;
  for (size_t j = 0; j < n; j++) {
    size_t at = 0;
    int64_t dim = shape->dim[batch + (int32_t)j];
    Q8_TRY(q8_coordinate(io, index, i * n + j, dim, &at));
    *out = *out * (size_t)dim + at;
  }
  return QINT8_OK;
}
