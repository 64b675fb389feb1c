/* split.c - Split: the inverse of Concat. */
#include <stddef.h>
#include <string.h>

#include "ops/hooks.h"
#include "ops/common.h"

typedef struct split_params {
  int64_t axis, num_outputs;
  q8_ints split; /* attribute of opset 11 and older; input 1 since */
} split_params;

static const q8_attribute attributes[] = {{"axis", Q8_ATTR_INT, offsetof(split_params, axis), 0, 0, 0},
                                          {"num_outputs", Q8_ATTR_INT, offsetof(split_params, num_outputs), 0, 0, 0},
                                          {"split", Q8_ATTR_INTS, offsetof(split_params, split), 0, Q8_TO_INPUT(1), 13}};

static q8_status upgrade(q8_upgrade *node) {
  ((split_params *)node->params)->num_outputs = 0; /* the node has as many outputs */
  return QINT8_OK;
}

static q8_status infer(const q8_op_io *io) {
  const q8_shape *x = &io->inputs[0]->shape;
  int32_t axis = q8_axis_of(io), outputs = io->node->output_count;
  const q8_value *sizes = q8_input(io, 1); /* more than q8_infer_ints takes */
  if (sizes && !sizes->data)
    return q8_op_fail(io, QINT8_ERROR_SHAPE,
                      "input 1 must be a constant integer tensor once shapes are known");
  int64_t size = (x->dim[axis] + outputs - 1) / outputs, rest = x->dim[axis];
  for (int32_t i = 0; i < outputs; i++) {
    q8_shape y = *x;
    y.dim[axis] = sizes && (size_t)i < sizes->count ? q8_int_at(sizes, (size_t)i) : rest < size ? rest : size;
    if (y.dim[axis] < 0 || y.dim[axis] > rest || (sizes && sizes->count != (size_t)outputs) ||
        (i == outputs - 1 && rest != y.dim[axis]))
      return q8_op_fail(io, QINT8_ERROR_SHAPE, "shape %p cannot be split along axis %d as asked", x,
                        (int)axis);
    rest -= y.dim[axis];
    Q8_TRY(q8_infer_set(io, i, io->inputs[0]->dtype, &y));
  }
  return QINT8_OK;
}

static q8_status eval(const q8_op_io *io) {
  const q8_value *x = io->inputs[0];
  int32_t axis = q8_axis_of(io);
  size_t rows = q8_dims(&x->shape, 0, axis), element = qint8_dtype_size((qint8_dtype)x->dtype);
  size_t stride = q8_dims(&x->shape, axis, x->shape.rank) * element, at = 0;
  for (int32_t i = 0; i < io->node->output_count; i++) {
    size_t size = q8_dims(&io->outputs[i].shape, axis, x->shape.rank) * element;
    for (size_t r = 0; r < rows && size; r++)
      memcpy((char *)io->outputs[i].data + r * size, (const char *)x->data + r * stride + at, size);
    at += size;
  }
  return QINT8_OK;
}

const q8_op q8_op_split = {
    .name = "Split", Q8_OPSETS(2, 21), Q8_INPUTS(1, 2), Q8_OUTPUTS(1, -1),
    Q8_ATTRIBUTES(attributes), .params_size = sizeof(split_params), .quant = Q8_QUANT_SAME,
    .has_axis = 1, .index_inputs = 2,
    .family = &(const q8_op_family){.infer = infer, .eval = eval, .plan = q8_plan_move, .upgrade = upgrade}};
