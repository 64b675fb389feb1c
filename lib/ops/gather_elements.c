/* gather_elements.c - GatherElements, GatherND. */
#include <inttypes.h>
#include <stddef.h>
#include <string.h>

#include "base/element.h"
#include "ops/index.h"

typedef struct gather_params {
  int64_t axis, batch_dims;
} gather_params;

static const q8_attribute elements_attributes[] = {
    {"axis", Q8_ATTR_INT, offsetof(gather_params, axis), 0, 0, 0}};
static const q8_attribute nd_attributes[] = {
    {"batch_dims", Q8_ATTR_INT, offsetof(gather_params, batch_dims), 0, 0, 0}};

static q8_status infer_elements(const q8_op_io *io) {
  Q8_TRY(q8_check_beside(io, 0, 1, q8_axis_of(io)));
  return q8_infer_shaped(io, &io->inputs[1]->shape);
}

static q8_status eval_elements(const q8_op_io *io) {
  const q8_value *x = io->inputs[0], *index = io->inputs[1];
  int32_t axis = q8_axis_of(io);
  size_t size = qint8_dtype_size((qint8_dtype)x->dtype);
  for (size_t i = 0; i < index->count; i++) {
    size_t at = 0;
    Q8_TRY(q8_element_place(io, &x->shape, index, i, axis, &at));
    memcpy((char *)io->outputs[0].data + i * size, (const char *)x->data + at * size, size);
  }
  return QINT8_OK;
}

/* indices [b..., i..., n]: n numbers choose a slice of x[b...]. */
static q8_status infer_nd(const q8_op_io *io) {
  const q8_shape *x = &io->inputs[0]->shape, *index = &io->inputs[1]->shape;
  int64_t batch = ((const gather_params *)io->node->params)->batch_dims;
  int fits = index->rank >= 1 && batch >= 0 && batch < index->rank && batch < x->rank &&
             index->dim[index->rank - 1] >= 0 && index->dim[index->rank - 1] <= x->rank - batch;
  for (int32_t i = 0; fits && i < batch; i++)
    fits = x->dim[i] == index->dim[i];
  int32_t n = fits ? (int32_t)index->dim[index->rank - 1] : 0;
  q8_shape y = {.rank = index->rank - 1 + x->rank - (int32_t)batch - n};
  if (!fits || y.rank > Q8_MAX_RANK)
    return q8_op_fail(io, QINT8_ERROR_SHAPE,
                      "indices of shape %p into shape %p with %" PRId64 " batch dimensions", index, x, batch);
  for (int32_t i = 0; i < index->rank - 1; i++)
    y.dim[i] = index->dim[i];
  for (int32_t i = (int32_t)batch + n; i < x->rank; i++)
    y.dim[index->rank - 1 + i - (int32_t)batch - n] = x->dim[i];
  return q8_infer_shaped(io, &y);
}

static q8_status eval_nd(const q8_op_io *io) {
  const q8_value *x = io->inputs[0], *index = io->inputs[1];
  int32_t batch = (int32_t)((const gather_params *)io->node->params)->batch_dims;
  size_t n = (size_t)index->shape.dim[index->shape.rank - 1], count = q8_dims(&index->shape, 0, index->shape.rank - 1);
  size_t slice = q8_dims(&x->shape, batch + (int32_t)n, x->shape.rank) * qint8_dtype_size((qint8_dtype)x->dtype);
  size_t batches = q8_dims(&x->shape, 0, batch), per_batch = batches ? count / batches : 0;
  for (size_t i = 0; i < count; i++) {
    size_t at = 0;
    Q8_TRY(q8_slice_place(io, &x->shape, index, i, batch, i / per_batch, &at));
    if (slice)
      memcpy((char *)io->outputs[0].data + i * slice, (const char *)x->data + at * slice, slice);
  }
  return QINT8_OK;
}

#define GATHER(id, onnx_name, opset, list, axis_given, infer_fn, eval_fn)                                          \
  const q8_op q8_op_##id = {                                                                                       \
      .name = onnx_name, Q8_OPSETS(opset, 21), Q8_INPUTS(2, 2), Q8_OUTPUTS(1, 1),                                  \
      Q8_ATTRIBUTES(list), .params_size = sizeof(gather_params), .quant = Q8_QUANT_FLOAT,                          \
      .has_axis = axis_given, .index_inputs = 2,                                                                   \
      .family = &(const q8_op_family){.int8_obstacle = "no int8 form: selects values of float tensors",            \
                                      .infer = infer_fn, .eval = eval_fn}};

GATHER(gather_elements, "GatherElements", 11, elements_attributes, 1, infer_elements, eval_elements)
GATHER(gather_nd, "GatherND", 11, nd_attributes, 0, infer_nd, eval_nd)
