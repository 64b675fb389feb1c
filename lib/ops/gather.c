/* gather.c - Gather: rows of the input along an axis, chosen by an integer tensor. */
#include <stddef.h>
#include <string.h>

#include "ops/index.h"

typedef struct gather_params {
  int64_t axis;
} gather_params;

static const q8_attribute attributes[] = {{"axis", Q8_ATTR_INT, offsetof(gather_params, axis), 0, 0, 0}};

static q8_status infer(const q8_op_io *io) {
  const q8_shape *x = &io->inputs[0]->shape, *index = &io->inputs[1]->shape;
  int32_t axis = q8_axis_of(io);
  q8_shape y = {.rank = x->rank - 1 + index->rank};
  if (y.rank > Q8_MAX_RANK)
    return q8_op_fail(io, QINT8_ERROR_LIMIT, "rank %d, at most %d", (int)y.rank, Q8_MAX_RANK);
  for (int32_t i = 0; i < axis; i++)
    y.dim[i] = x->dim[i];
  for (int32_t i = 0; i < index->rank; i++)
    y.dim[axis + i] = index->dim[i];
  for (int32_t i = axis + 1; i < x->rank; i++)
    y.dim[index->rank - 1 + i] = x->dim[i];
  return q8_infer_shaped(io, &y);
}

static q8_status eval(const q8_op_io *io) {
  const q8_value *x = io->inputs[0], *index = io->inputs[1];
  q8_axis_view v = q8_view_axis(&x->shape, q8_axis_of(io));
  size_t size = v.inner * qint8_dtype_size((qint8_dtype)x->dtype);
  const char *from = x->data;
  char *to = io->outputs[0].data;
  for (size_t o = 0; o < v.outer; o++, from += v.n * size)
    for (size_t i = 0; i < index->count; i++, to += size) {
      size_t at = 0;
      Q8_TRY(q8_coordinate(io, index, i, (int64_t)v.n, &at));
      if (size)
        memcpy(to, from + at * size, size);
    }
  return QINT8_OK;
}

const q8_op q8_op_gather = {
    .name = "Gather", Q8_OPSETS(1, 21), Q8_INPUTS(2, 2), Q8_OUTPUTS(1, 1),
    Q8_ATTRIBUTES(attributes), .params_size = sizeof(gather_params), .quant = Q8_QUANT_SAME,
    .has_axis = 1, .index_inputs = 2,
    .family = &(const q8_op_family){.infer = infer, .eval = eval, .plan = q8_plan_move}};
