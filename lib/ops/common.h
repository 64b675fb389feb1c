/* common.h - what operator files share: axes, strides, broadcasting, copying by strides. */
#ifndef Q8_OPS_COMMON_H
#define Q8_OPS_COMMON_H

#include "ops/op.h"
#include "ops/plan.h"

/* Input `i`, or NULL if it is left out or beyond the end. */
static inline const q8_value *q8_input(const q8_op_io *io, int32_t i) {
  return i < io->node->input_count ? io->inputs[i] : NULL;
}

/* `axis` counted from the front, or -1 if it does not lie in [-rank, rank - 1]. */
int32_t q8_axis(int64_t axis, int32_t rank);
q8_status q8_bad_axis(const q8_op_io *io, int64_t axis, const q8_shape *shape);
/* The same as q8_axis, but SHAPE, with the shape of input 0, if it does not lie there. */
q8_status q8_need_axis(const q8_op_io *io, int64_t axis, int32_t rank, int32_t *out);
/* A bit for each of the axes. `once`: SHAPE if one is given twice. */
q8_status q8_axes_mask(const q8_op_io *io, const q8_ints *axes, int32_t rank, int once, uint32_t *mask);
/* The axis of a node whose record has `has_axis`, counted from the front. */
int32_t q8_axis_of(const q8_op_io *io);
/* UNSUPPORTED unless input `i` has type `dtype`. */
q8_status q8_need_dtype(const q8_op_io *io, int32_t i, int32_t dtype);

/* The place of a text attribute among `words`, a list such as "constant, edge or wrap". UNSUPPORTED, with the list, if it is
 * none of them. */
q8_status q8_op_word(const q8_op_io *io, const char *attribute, const char *words, int *out);

/* Product of dimensions [from, to). */
size_t q8_dims(const q8_shape *shape, int32_t from, int32_t to);

/* A tensor as [outer][n][inner], n the dimension `axis`. */
typedef struct q8_axis_view {
  size_t outer, n, inner;
} q8_axis_view;
q8_axis_view q8_view_axis(const q8_shape *shape, int32_t axis);

/* Strides in elements of a dense tensor. */
void q8_strides(const q8_shape *shape, int64_t *stride);
/* The strides with which `shape`, broadcast to `out`, is read: 0 where it repeats. [out->rank] */
void q8_broadcast_strides(const q8_shape *shape, const q8_shape *out, int64_t *stride);

/* A shape as [outer][inner]: the dimensions of `mask` (a bit each) are inner, the others outer, both in order,
 * neighbours joined. Strides are those of the dense tensor. */
typedef struct q8_axes_split {
  int32_t kept, reduced; /* how many are outer, inner */
  size_t outer, inner;
  int64_t kept_dim[Q8_MAX_RANK], kept_stride[Q8_MAX_RANK], dim[Q8_MAX_RANK], stride[Q8_MAX_RANK];
} q8_axes_split;
q8_axes_split q8_split_axes(const q8_shape *shape, uint32_t mask);
/* Where element `index` of the outer (kept_dim, ...) or inner (dim, ...) part lies. */
int64_t q8_split_offset(size_t index, int32_t rank, const int64_t *dim, const int64_t *stride);

/* dst, dense of `shape`, takes src[sum of index[i] * stride[i]]; strides in elements of 1, 2, 4 or 8 bytes. */
void q8_copy_strided(size_t element, const q8_shape *shape, const void *src, const int64_t *stride, void *dst);

/* `eval` of operators whose result, seen as `shape`, is input 0 from element `first` on by strides. */
q8_status q8_eval_view(const q8_op_io *io, const q8_shape *shape, int64_t first, const int64_t *stride);

/* The bytes of input i to output 0, which is of its type and size. */
void q8_copy_input(const q8_op_io *io, int32_t i);

/* Elements of an integer tensor (S32 or S64) with data. */
int64_t q8_int_at(const q8_value *value, size_t i);

/* What `infer` sees of a node, without outputs; `values`: room for its inputs. */
q8_op_io q8_plan_op_io(const q8_planner *planner, q8_id node, const q8_value **values);

/* Element i of a tensor, cast from the widest type of its class. */
void q8_put_double(const q8_value *y, size_t i, double value);
void q8_put_int(const q8_value *y, size_t i, int64_t value);

/* Adds y = table[x] for output 0, merged into the step that made x if that can be. */
q8_status q8_plan_table(q8_planner *planner, q8_id node, q8_id x, const uint8_t *table);

/* The result of an elementwise step: dense, or rows that lie apart (see stride_slot). All in elements. */
typedef struct q8_row_output {
  size_t count, element; /* element: bytes */
  size_t row, stride;    /* stride 0: dense */
} q8_row_output;
/* Writes elements [first, first + n) of the dense result to y. */
typedef void q8_part_fn(const void *context, size_t first, size_t n, void *y);
/* All parts of the result; of rows apart each part is whole rows. */
void q8_write_parts(const q8_row_output *out, q8_part_fn *part, const void *context, void *y, const q8_host *host);
/* Copies rows of `size` bytes, which lie one behind the other, to rows of `stride` bytes. */
void q8_copy_rows(size_t rows, size_t size, const void *x, void *y, size_t stride);

/* Whether two activations have the same stored parameters. */
int q8_same_quant(const q8_planner *planner, q8_id a, q8_id b);

/* Elements per task of an elementwise step: large enough to be worth a thread. */
#define Q8_CHUNK ((size_t)16384)

#endif
