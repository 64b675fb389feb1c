/* broadcast.c - numpy broadcasting of two inputs as nested loops. */
#include "base/element.h"
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

#define BLOCK 64

/* `row` on elements that are cast to its type and back, a block at a time. */
static void run_cast(const q8_typed_row *t, size_t n, const char *a, int64_t sa, const char *b, int64_t sb, char *y) {
  size_t ea = qint8_dtype_size((qint8_dtype)t->a), eb = qint8_dtype_size((qint8_dtype)t->b);
  size_t ey = qint8_dtype_size((qint8_dtype)t->y);
  double wide_a[BLOCK], wide_b[BLOCK], wide_y[BLOCK]; /* of any 8-byte type */
  for (size_t at = 0; at < n; at += BLOCK) {
    size_t count = n - at < BLOCK ? n - at : BLOCK;
    q8_cast(t->a, a + (int64_t)at * sa * (int64_t)ea, sa, t->in, wide_a, count);
    q8_cast(t->b, b + (int64_t)at * sb * (int64_t)eb, sb, t->in, wide_b, count);
    if (t->out == t->y) {
      t->row(count, wide_a, 1, wide_b, 1, y + at * ey);
      continue;
    }
    t->row(count, wide_a, 1, wide_b, 1, wide_y);
    q8_cast(t->out, wide_y, 1, t->y, y + at * ey, count);
  }
}

void q8_loops_run(const q8_loops *loops, const q8_typed_row *t, const void *a, const void *b, void *y) {
  const q8_shape *shape = &loops->shape;
  int32_t last = shape->rank - 1;
  size_t rows = q8_dims(shape, 0, last), n = (size_t)shape->dim[last];
  int direct = t->a == t->in && t->b == t->in && t->y == t->out;
  int64_t index[Q8_MAX_RANK] = {0}, ea = (int64_t)qint8_dtype_size((qint8_dtype)t->a);
  int64_t eb = (int64_t)qint8_dtype_size((qint8_dtype)t->b);
  size_t ey = qint8_dtype_size((qint8_dtype)t->y);
  const char *pa = a, *pb = b;
  char *py = y;
  for (size_t r = 0; r < rows && n; r++, py += n * ey) {
    if (direct)
      t->row(n, pa, loops->a[last], pb, loops->b[last], py);
    else
      run_cast(t, n, pa, loops->a[last], pb, loops->b[last], py);
    for (int32_t d = last; d-- > 0;) {
      pa += loops->a[d] * ea;
      pb += loops->b[d] * eb;
      if (++index[d] < shape->dim[d])
        break;
      pa -= loops->a[d] * ea * shape->dim[d];
      pb -= loops->b[d] * eb * shape->dim[d];
      index[d] = 0;
    }
  }
}

q8_status q8_infer_binary(const q8_op_io *io) {
  q8_shape shape = io->inputs[0]->shape;
  int32_t dtype = io->inputs[0]->dtype;
  for (int32_t i = 1; i < io->node->input_count; i++) {
    if (io->inputs[i]->dtype != dtype)
      return q8_op_fail(io, QINT8_ERROR_UNSUPPORTED, "inputs of element types %s and %s",
                        q8_dtype_name(dtype), q8_dtype_name(io->inputs[i]->dtype));
    Q8_TRY(q8_infer_broadcast(io, &shape, &io->inputs[i]->shape, &shape));
  }
  return q8_infer_set(io, 0, dtype, &shape);
}
