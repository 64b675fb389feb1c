/* onehot.c - OneHot: a new axis of `depth` places, `on` where the index says and `off` elsewhere. */
#include <inttypes.h>
#include <stddef.h>
#include <string.h>

#include "base/element.h"
#include "ops/common.h"

typedef struct onehot_params {
  int64_t axis;
} onehot_params;

static const q8_attribute attributes[] = {{"axis", Q8_ATTR_INT, offsetof(onehot_params, axis), 0, 0, -1}};

/* indices of any numeric type, depth a scalar or one element, values [off, on]. */
static q8_status infer(const q8_op_io *io) {
  const q8_value *index = io->inputs[0], *depth = io->inputs[1], *values = io->inputs[2];
  if (!depth->data)
    return q8_op_fail(io, QINT8_ERROR_SHAPE, "input 1 must be constant once shapes are known");
  if (depth->count != 1 || values->shape.rank != 1 || values->count != 2)
    return q8_op_fail(io, QINT8_ERROR_SHAPE, "depth is not a scalar, or values are not [off, on]");
  int64_t n = q8_element_int(depth->dtype, depth->data, 0);
  int32_t axis;
  q8_shape y = {.rank = index->shape.rank + 1};
  Q8_TRY(q8_need_axis(io, ((const onehot_params *)io->node->params)->axis, y.rank, &axis));
  if (y.rank > Q8_MAX_RANK || n < 0)
    return q8_op_fail(io, QINT8_ERROR_LIMIT, "depth %" PRId64 ", rank %d", n, (int)y.rank);
  for (int32_t i = 0; i < y.rank; i++)
    y.dim[i] = i == axis ? n : index->shape.dim[i < axis ? i : i - 1];
  return q8_infer_set(io, 0, values->dtype, &y);
}

static q8_status eval(const q8_op_io *io) {
  const q8_value *index = io->inputs[0], *values = io->inputs[2];
  q8_value *y = &io->outputs[0];
  int32_t axis = q8_axis(((const onehot_params *)io->node->params)->axis, y->shape.rank);
  size_t size = qint8_dtype_size((qint8_dtype)y->dtype), depth = (size_t)y->shape.dim[axis];
  size_t inner = q8_dims(&y->shape, axis + 1, y->shape.rank);
  for (size_t i = 0; i < y->count; i++)
    memcpy((char *)y->data + i * size, values->data, size);
  for (size_t i = 0; i < index->count; i++) {
    int64_t at = q8_element_int(index->dtype, index->data, i);
    at = at < 0 ? at + (int64_t)depth : at;
    if (at >= 0 && at < (int64_t)depth) /* an index out of range switches nothing on */
      memcpy((char *)y->data + ((i / inner * depth + (size_t)at) * inner + i % inner) * size,
             (const char *)values->data + size, size);
  }
  return QINT8_OK;
}

const q8_op q8_op_onehot = {
    .name = "OneHot", Q8_OPSETS(9, 21), Q8_INPUTS(3, 3), Q8_OUTPUTS(1, 1),
    Q8_ATTRIBUTES(attributes), .params_size = sizeof(onehot_params), .quant = Q8_QUANT_FLOAT,
    .family = &(const q8_op_family){.int8_obstacle = "no int8 form: made from indices", .infer = infer,
                                    .eval = eval}};
