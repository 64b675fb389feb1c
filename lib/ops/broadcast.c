/* broadcast.c - numpy broadcasting of two inputs as nested loops. */
#include "ops/binary.h"

void q8_loops_init(q8_loops *loops, const q8_shape *a, const q8_shape *b, const q8_shape *out) {
  int64_t sa[Q8_MAX_RANK], sb[Q8_MAX_RANK];
  q8_broadcast_strides(a, out, sa);
  q8_broadcast_strides(b, out, sb);
  int32_t rank = 0; /* dimensions from the last to the first, joined where both inputs run through as one */
  int64_t dim[Q8_MAX_RANK + 1] = {1}, ta[Q8_MAX_RANK + 1] = {1}, tb[Q8_MAX_RANK + 1] = {1};
  for (int32_t i = out->rank; i-- > 0;) {
    if (out->dim[i] == 1)
      continue;
    if (rank && sa[i] == ta[rank - 1] * dim[rank - 1] && sb[i] == tb[rank - 1] * dim[rank - 1]) {
      dim[rank - 1] *= out->dim[i];
      continue;
    }
    dim[rank] = out->dim[i];
    ta[rank] = sa[i];
    tb[rank++] = sb[i];
  }
  rank = rank ? rank : 1;
  loops->shape.rank = rank;
  for (int32_t i = 0; i < rank; i++) {
    loops->shape.dim[i] = dim[rank - 1 - i];
    loops->a[i] = ta[rank - 1 - i];
    loops->b[i] = tb[rank - 1 - i];
  }
}

void q8_loops_run(const q8_loops *loops, q8_binary_row *row, size_t element, size_t result, const void *a,
                  const void *b, void *y) {
  const q8_shape *shape = &loops->shape;
  int32_t last = shape->rank - 1;
  size_t rows = q8_dims(shape, 0, last), n = (size_t)shape->dim[last];
  int64_t index[Q8_MAX_RANK] = {0}, size = (int64_t)element;
  const char *pa = a, *pb = b;
  char *py = y;
  for (size_t r = 0; r < rows; r++, py += n * result) {
    row(n, pa, loops->a[last], pb, loops->b[last], py);
    for (int32_t d = last; d-- > 0;) {
      pa += loops->a[d] * size;
      pb += loops->b[d] * size;
      if (++index[d] < shape->dim[d])
        break;
      pa -= loops->a[d] * size * shape->dim[d];
      pb -= loops->b[d] * size * shape->dim[d];
      index[d] = 0;
    }
  }
}

q8_status q8_infer_binary(const q8_op_io *io) {
  q8_shape shape = io->inputs[0]->shape;
  int32_t dtype = io->inputs[0]->dtype;
  for (int32_t i = 1; i < io->node->input_count; i++) {
    if (io->inputs[i]->dtype != dtype)
      return q8_fail(io->error, QINT8_ERROR_UNSUPPORTED, io->node->name, "inputs of element types %d and %d", (int)dtype,
                     (int)io->inputs[i]->dtype);
    Q8_TRY(q8_infer_broadcast(io, &shape, &io->inputs[i]->shape, &shape));
  }
  return q8_infer_set(io, 0, dtype, &shape);
}
