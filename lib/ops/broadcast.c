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

static void *element(const q8_value *value, int64_t i) {
  return (char *)value->data + i * (int64_t)qint8_dtype_size((qint8_dtype)value->dtype);
}

/* A row of n results that are cast on the way, a block at a time; strides in elements. */
static void run_wide(const q8_pair_set *set, int32_t in, size_t n, const q8_value *a, int64_t sa, const q8_value *b,
                     int64_t sb, const q8_value *y) {
  uint64_t (*whole)(uint64_t, uint64_t) = in == QINT8_DTYPE_S64 ? set->s64 : set->u64;
  union {
    double f;
    uint64_t u;
  } x[BLOCK], z[BLOCK];
  float truth[BLOCK];
  for (size_t at = 0; at < n; at += BLOCK) {
    size_t count = n - at < BLOCK ? n - at : BLOCK;
    if (in == QINT8_DTYPE_F32) { /* a comparison */
      q8_strided_row(set->f32, count, element(a, (int64_t)at * sa), sa, element(b, (int64_t)at * sb), sb, truth);
      for (size_t i = 0; i < count; i++)
        ((uint8_t *)y->data)[at + i] = truth[i] != 0;
      continue;
    }
    q8_cast(a->dtype, element(a, (int64_t)at * sa), sa, in, x, count);
    q8_cast(b->dtype, element(b, (int64_t)at * sb), sb, in, z, count);
    for (size_t i = 0; i < count; i++)
      if (in == QINT8_DTYPE_F64)
        x[i].f = set->f64(x[i].f, z[i].f);
      else
        x[i].u = whole(x[i].u, z[i].u);
    q8_cast(in, x, 1, y->dtype, element(y, (int64_t)at), count);
  }
}

void q8_eval_pairs(const q8_pair_set *set, int32_t in, const q8_value *a, const q8_value *b, q8_value *y) {
  q8_loops loops;
  q8_loops_init(&loops, &a->shape, &b->shape, &y->shape);
  const q8_shape *shape = &loops.shape;
  int32_t last = shape->rank - 1;
  size_t n = (size_t)shape->dim[last];
  int64_t index[Q8_MAX_RANK] = {0};
  q8_value ra = *a, rb = *b, ry = *y; /* the current row */
  for (size_t rows = n ? q8_dims(shape, 0, last) : 0; rows > 0; rows--) {
    if (in == QINT8_DTYPE_F32 && !set->gives_bool)
      q8_strided_row(set->f32, n, ra.data, loops.a[last], rb.data, loops.b[last], ry.data);
    else
      run_wide(set, in, n, &ra, loops.a[last], &rb, loops.b[last], &ry);
    ry.data = element(&ry, (int64_t)n);
    for (int32_t d = last; d-- > 0;) {
      int64_t back = ++index[d] < shape->dim[d] ? 0 : shape->dim[d];
      ra.data = element(&ra, loops.a[d] * (1 - back));
      rb.data = element(&rb, loops.b[d] * (1 - back));
      if (!back)
        break;
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
