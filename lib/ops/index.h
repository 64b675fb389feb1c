/* index.h - what operators with tensors of indices share: Gather, GatherElements, GatherND, ScatterElements, ScatterND. */
#ifndef Q8_OPS_INDEX_H
#define Q8_OPS_INDEX_H

#include "ops/common.h"

/* SHAPE unless inputs `x` and `index` have the same rank and index is not larger outside `axis`. */
q8_status q8_check_beside(const q8_op_io *io, int32_t x, int32_t index, int32_t axis);

/* The i-th entry as a coordinate of a dimension of n, negative from the end. DATA if it is out of range. */
q8_status q8_coordinate(const q8_op_io *io, const q8_value *index, size_t i, int64_t n, size_t *out);
/* Where in a tensor of `shape` the i-th entry of `index` points: its own coordinates with the one of `axis` replaced by
 * the entry, negative from the end. DATA if it is out of range. */
q8_status q8_element_place(const q8_op_io *io, const q8_shape *shape, const q8_value *index, size_t i, int32_t axis,
                           size_t *out);
/* Which slice the i-th row of `index` points at, after `batch` dimensions whose flat number is `in_batch`. */
q8_status q8_slice_place(const q8_op_io *io, const q8_shape *shape, const q8_value *index, size_t i, int32_t batch,
                         size_t in_batch, size_t *out);

#endif
