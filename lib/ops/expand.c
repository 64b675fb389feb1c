/* expand.c - Expand, Tile, Where: broadcasting of values of any type. */
#include <string.h>

#include "ops/common.h"

static size_t element_of(const q8_value *value) {
  return qint8_dtype_size((qint8_dtype)value->dtype);
}

static q8_status infer_expand(const q8_op_io *io) {
  q8_shape wanted, y;
  Q8_TRY(q8_infer_shape(io, 1, &wanted));
  Q8_TRY(q8_infer_broadcast(io, &io->inputs[0]->shape, &wanted, &y));
  return q8_infer_shaped(io, &y);
}

static q8_status eval_expand(const q8_op_io *io) {
  int64_t stride[Q8_MAX_RANK];
  q8_broadcast_strides(&io->inputs[0]->shape, &io->outputs[0].shape, stride);
  return q8_eval_view(io, &io->outputs[0].shape, 0, stride);
}

static q8_status infer_tile(const q8_op_io *io) {
  q8_ints repeats;
  q8_shape y = io->inputs[0]->shape;
  Q8_TRY(q8_infer_ints(io, 1, &repeats));
  if (repeats.count != y.rank)
    return q8_op_fail(io, QINT8_ERROR_SHAPE, "%d repeats for rank %d", (int)repeats.count, (int)y.rank);
  for (int32_t i = 0; i < y.rank; i++) {
    if (repeats.v[i] < 0 || (y.dim[i] > 0 && repeats.v[i] > INT64_MAX / y.dim[i]))
      return q8_op_fail(io, QINT8_ERROR_LIMIT, "repeats are negative or too large");
    y.dim[i] *= repeats.v[i];
  }
  return q8_infer_shaped(io, &y);
}

/* A row of the result repeats a row of x. */
static q8_status eval_tile(const q8_op_io *io) {
  const q8_value *x = io->inputs[0];
  q8_value *y = &io->outputs[0];
  int32_t last = y->shape.rank - 1;
  size_t row = (last < 0 ? 1 : (size_t)x->shape.dim[last]) * element_of(y), times = 1;
  if (y->count == 0)
    return QINT8_OK;
  if (last >= 0)
    times = (size_t)(y->shape.dim[last] / x->shape.dim[last]);
  int64_t stride[Q8_MAX_RANK];
  char *to = y->data;
  q8_strides(&x->shape, stride);
  for (size_t r = 0; r < q8_dims(&y->shape, 0, last); r++) {
    size_t rest = r, at = 0;
    for (int32_t d = last; d-- > 0; rest /= (size_t)y->shape.dim[d])
      at += rest % (size_t)y->shape.dim[d] % (size_t)x->shape.dim[d] * (size_t)stride[d];
    for (size_t i = 0; i < times; i++, to += row)
      memcpy(to, (const char *)x->data + at * element_of(y), row);
  }
  return QINT8_OK;
}

static q8_status infer_where(const q8_op_io *io) {
  q8_shape y;
  Q8_TRY(q8_need_dtype(io, 0, QINT8_DTYPE_BOOL));
  Q8_TRY(q8_need_dtype(io, 2, io->inputs[1]->dtype));
  Q8_TRY(q8_infer_broadcast(io, &io->inputs[1]->shape, &io->inputs[2]->shape, &y));
  Q8_TRY(q8_infer_broadcast(io, &io->inputs[0]->shape, &y, &y));
  return q8_infer_set(io, 0, io->inputs[1]->dtype, &y);
}

/* n results from condition, a and b, each with a step of 0 or 1 element. */
static void where_row(size_t element, size_t n, const char *const *from, const int64_t *step, char *y) {
  const char *condition = from[0], *a = from[1], *b = from[2];
  size_t size_a = (size_t)step[1] * element, size_b = (size_t)step[2] * element;
  for (size_t i = 0; i < n; i++, condition += step[0], a += size_a, b += size_b, y += element) {
    const char *chosen = *condition ? a : b;
    if (element == 4)
      memcpy(y, chosen, 4);
    else
      memcpy(y, chosen, element);
  }
}

static q8_status eval_where(const q8_op_io *io) {
  q8_value *y = &io->outputs[0];
  int32_t last = y->shape.rank - 1;
  size_t element = element_of(y), n = last < 0 ? 1 : (size_t)y->shape.dim[last];
  int64_t stride[3][Q8_MAX_RANK], step[3] = {0};
  for (int k = 0; k < 3; k++) {
    q8_broadcast_strides(&io->inputs[k]->shape, &y->shape, stride[k]);
    step[k] = last < 0 ? 0 : stride[k][last];
  }
  for (size_t r = 0; n && r < y->count / n; r++) {
    const char *from[3];
    for (int k = 0; k < 3; k++)
      from[k] = (const char *)io->inputs[k]->data +
                (size_t)q8_split_offset(r, last, y->shape.dim, stride[k]) * (k ? element : 1);
    where_row(element, n, from, step, (char *)y->data + r * n * element);
  }
  return QINT8_OK;
}

#define SELECT(id, onnx_name, opset, inputs, infer_fn, eval_fn)                                                     \
  const q8_op q8_op_##id = {                                                                                       \
      .name = onnx_name, Q8_OPSETS(opset, 21), Q8_INPUTS(inputs, inputs), Q8_OUTPUTS(1, 1),                        \
      .quant = Q8_QUANT_FLOAT,                                                                                     \
      .family = &(const q8_op_family){                                                                             \
                                      .int8_obstacle = "no int8 form: repeats or selects values of float tensors", \
                                      .infer = infer_fn, .eval = eval_fn}};

SELECT(expand, "Expand", 8, 2, infer_expand, eval_expand)
SELECT(tile, "Tile", 6, 2, infer_tile, eval_tile)
SELECT(where, "Where", 9, 3, infer_where, eval_where)
