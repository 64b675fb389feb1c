/* expand.c - Expand, Tile, Where: broadcasting of values of any type. */
#include <string.h>

#include "ops/common.h"

static size_t element_of(const q8_value *value) {
  return qint8_dtype_size((qint8_dtype)value->dtype);
}

static q8_status infer_expand(const q8_op_io *io) {
  q8_ints list;
  Q8_TRY(q8_infer_ints(io, 1, &list));
  q8_shape wanted = {.rank = list.count}, y;
  if (list.count > Q8_MAX_RANK)
    return q8_fail(io->error, QINT8_ERROR_LIMIT, io->node->name, "rank %d, at most %d", (int)list.count, Q8_MAX_RANK);
  for (int32_t i = 0; i < list.count; i++)
    wanted.dim[i] = list.v[i];
  Q8_TRY(q8_infer_broadcast(io, &io->inputs[0]->shape, &wanted, &y));
  return q8_infer_set(io, 0, io->inputs[0]->dtype, &y);
}

static q8_status eval_expand(const q8_op_io *io) {
  q8_value *y = &io->outputs[0];
  int64_t stride[Q8_MAX_RANK];
  q8_broadcast_strides(&io->inputs[0]->shape, &y->shape, stride);
  if (y->count)
    q8_copy_strided(element_of(y), &y->shape, io->inputs[0]->data, stride, y->data);
  return QINT8_OK;
}

static q8_status infer_tile(const q8_op_io *io) {
  q8_ints repeats;
  q8_shape y = io->inputs[0]->shape;
  Q8_TRY(q8_infer_ints(io, 1, &repeats));
  if (repeats.count != y.rank)
    return q8_fail(io->error, QINT8_ERROR_SHAPE, io->node->name, "%d repeats for rank %d", (int)repeats.count,
                   (int)y.rank);
  for (int32_t i = 0; i < y.rank; i++) {
    if (repeats.v[i] < 0 || (y.dim[i] > 0 && repeats.v[i] > INT64_MAX / y.dim[i]))
      return q8_fail(io->error, QINT8_ERROR_LIMIT, io->node->name, "repeats are negative or too large");
    y.dim[i] *= repeats.v[i];
  }
  return q8_infer_set(io, 0, io->inputs[0]->dtype, &y);
}

static q8_status eval_tile(const q8_op_io *io) {
  const q8_value *x = io->inputs[0];
  q8_value *y = &io->outputs[0];
  size_t element = element_of(y);
  int64_t stride[Q8_MAX_RANK];
  q8_strides(&x->shape, stride);
  for (size_t i = 0; i < y->count; i++) {
    size_t rest = i, at = 0;
    for (int32_t d = y->shape.rank; d-- > 0; rest /= (size_t)y->shape.dim[d])
      at += rest % (size_t)y->shape.dim[d] % (size_t)x->shape.dim[d] * (size_t)stride[d];
    memcpy((char *)y->data + i * element, (const char *)x->data + at * element, element);
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

static q8_status eval_where(const q8_op_io *io) {
  q8_value *y = &io->outputs[0];
  size_t element = element_of(y);
  int64_t stride[3][Q8_MAX_RANK];
  for (int k = 0; k < 3; k++)
    q8_broadcast_strides(&io->inputs[k]->shape, &y->shape, stride[k]);
  for (size_t i = 0; i < y->count; i++) {
    size_t rest = i;
    int64_t at[3] = {0};
    for (int32_t d = y->shape.rank; d-- > 0; rest /= (size_t)y->shape.dim[d])
      for (int k = 0; k < 3; k++)
        at[k] += (int64_t)(rest % (size_t)y->shape.dim[d]) * stride[k][d];
    int from = ((const uint8_t *)io->inputs[0]->data)[at[0]] ? 1 : 2;
    memcpy((char *)y->data + i * element, (const char *)io->inputs[from]->data + (size_t)at[from] * element, element);
  }
  return QINT8_OK;
}

#define SELECT(id, onnx_name, opset, inputs, infer_fn, eval_fn)                                                     \
  const q8_op q8_op_##id = {.name = onnx_name,                                                                     \
                            .domain = "",                                                                          \
                            .min_opset = opset,                                                                    \
                            .max_opset = 21,                                                                       \
                            .min_inputs = inputs,                                                                  \
                            .max_inputs = inputs,                                                                  \
                            .min_outputs = 1,                                                                      \
                            .max_outputs = 1,                                                                      \
                            .quant = Q8_QUANT_FLOAT,                                                               \
                            .int8_obstacle = "no int8 form: repeats or selects values of float tensors",           \
                            .infer = infer_fn,                                                                     \
                            .eval = eval_fn};

SELECT(expand, "Expand", 8, 2, infer_expand, eval_expand)
SELECT(tile, "Tile", 6, 2, infer_tile, eval_tile)
SELECT(where, "Where", 9, 3, infer_where, eval_where)
