/* max_unpool.c - MaxUnpool: values go back to where MaxPool found them, zeros elsewhere. */
#include <inttypes.h>
#include <stddef.h>
#include <string.h>

#include "ops/spatial.h"

typedef struct unpool_params {
  q8_spatial_params spatial;
} unpool_params;

static const q8_attribute attributes[] = {{"kernel_shape", Q8_ATTR_INTS, Q8_SPATIAL_AT(kernel_shape), 1, 0, 0},
                                          {"pads", Q8_ATTR_INTS, Q8_SPATIAL_AT(pads), 0, 0, 0},
                                          {"strides", Q8_ATTR_INTS, Q8_SPATIAL_AT(strides), 0, 0, 0}};

/* What MaxPool read: the shape that indices count in. */
static q8_status pooled_shape(const q8_op_io *io, q8_shape *y) {
  const unpool_params *p = io->node->params;
  q8_extent e[Q8_SPATIAL_DIMS];
  *y = io->inputs[0]->shape;
  Q8_TRY(q8_spatial_of(io, &p->spatial, y, NULL, 1, e));
  q8_spatial_shape(e, y->rank - 2, y);
  return QINT8_OK;
}

static q8_status infer(const q8_op_io *io) {
  const q8_shape *x = &io->inputs[0]->shape;
  q8_shape y;
  Q8_TRY(q8_need_dtype(io, 1, QINT8_DTYPE_S64));
  if (!q8_shape_equal(x, &io->inputs[1]->shape))
    return q8_op_fail(io, QINT8_ERROR_SHAPE, "values of shape %p with indices of shape %p", x,
                      &io->inputs[1]->shape);
  Q8_TRY(pooled_shape(io, &y));
  if (q8_input(io, 2)) {
    q8_ints list;
    Q8_TRY(q8_infer_ints(io, 2, &list));
    for (int32_t i = 0; i < y.rank; i++) {
      if (list.count != y.rank || list.v[i] < y.dim[i])
        return q8_op_fail(io, QINT8_ERROR_SHAPE, "output_shape is smaller than %p", &y);
      y.dim[i] = list.v[i];
    }
  }
  return q8_infer_shaped(io, &y);
}

static q8_status eval(const q8_op_io *io) {
  const q8_value *x = io->inputs[0], *indices = io->inputs[1];
  q8_value *y = &io->outputs[0];
  size_t size = qint8_dtype_size((qint8_dtype)x->dtype);
  int64_t stride[Q8_MAX_RANK];
  q8_shape from;
  Q8_TRY(pooled_shape(io, &from));
  q8_strides(&y->shape, stride);
  memset(y->data, 0, y->count * size);
  size_t places = q8_shape_count(&from, NULL);
  for (size_t i = 0; i < x->count; i++) {
    int64_t index = ((const int64_t *)indices->data)[i], to = 0;
    if (index < 0 || (size_t)index >= places)
      return q8_op_fail(io, QINT8_ERROR_DATA, "index %" PRId64 " of %zu places", index, places);
    for (int32_t d = from.rank; d-- > 0; index /= from.dim[d])
      to += index % from.dim[d] * stride[d];
    memcpy((char *)y->data + (size_t)to * size, (const char *)x->data + i * size, size);
  }
  return QINT8_OK;
}

const q8_op q8_op_max_unpool = {
    .name = "MaxUnpool", Q8_OPSETS(9, 21), Q8_INPUTS(2, 3), Q8_OUTPUTS(1, 1),
    Q8_ATTRIBUTES(attributes), .params_size = sizeof(unpool_params), .quant = Q8_QUANT_FLOAT,
    .family = &(const q8_op_family){.int8_obstacle = "no int8 form: places values by indices", .infer = infer,
                                    .eval = eval}};
