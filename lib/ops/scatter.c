/* scatter.c - ScatterElements, its older name Scatter, and ScatterND: a copy of x with some values replaced, or combined
 * with the old ones by `reduction`. */
#include <stddef.h>
#include <string.h>

#include "base/element.h"
#include "ops/index.h"

typedef struct scatter_params {
  int64_t axis;
  char reduction[32];
} scatter_params;

static const q8_attribute elements_attributes[] = {
    {"axis", Q8_ATTR_INT, offsetof(scatter_params, axis), 0, 0, 0},
    {Q8_NAME_AND_TEXT("reduction", "none"), Q8_ATTR_STRING, offsetof(scatter_params, reduction), 0, 0, 0}};
static const q8_attribute nd_attributes[] = {
    {Q8_NAME_AND_TEXT("reduction", "none"), Q8_ATTR_STRING, offsetof(scatter_params, reduction), 0, 0, 0}};

enum { NONE, ADD, MUL, MIN, MAX };
static q8_status read_reduction(const q8_op_io *io, int *reduction) {
  return q8_op_word(io, "reduction", "none, add, mul, min or max", reduction);
}

static q8_status infer_elements(const q8_op_io *io) {
  const q8_value *x = io->inputs[0];
  int reduction;
  Q8_TRY(read_reduction(io, &reduction));
  Q8_TRY(q8_need_dtype(io, 2, x->dtype));
  Q8_TRY(q8_check_beside(io, 0, 1, q8_axis_of(io)));
  if (!q8_shape_equal(&io->inputs[1]->shape, &io->inputs[2]->shape))
    return q8_op_fail(io, QINT8_ERROR_SHAPE, "indices of shape %p with updates of shape %p",
                      &io->inputs[1]->shape, &io->inputs[2]->shape);
  return q8_infer_same(io);
}

/* to = to REDUCTION from, in the wide type. */
static double combine_float(int reduction, double to, double from) {
  switch (reduction) {
  case ADD:
    return to + from;
  case MUL:
    return to * from;
  case MIN:
    return from < to || from != from ? from : to;
  default:
    return from > to || from != from ? from : to;
  }
}
static int64_t combine_integer(int reduction, int64_t to, int64_t from, int is_unsigned) {
  int is_less = is_unsigned ? (uint64_t)from < (uint64_t)to : from < to;
  switch (reduction) {
  case ADD:
    return (int64_t)((uint64_t)to + (uint64_t)from);
  case MUL:
    return (int64_t)((uint64_t)to * (uint64_t)from);
  case MIN:
    return is_less ? from : to;
  default:
    return is_less ? to : from;
  }
}

/* `count` elements from element `from` of the updates to element `at` of the result. */
static void put(const q8_op_io *io, int reduction, size_t at, size_t from, size_t count) {
  const q8_value *updates = io->inputs[2];
  q8_value *y = &io->outputs[0];
  size_t size = qint8_dtype_size((qint8_dtype)y->dtype);
  char *to = (char *)y->data + at * size;
  const char *src = (const char *)updates->data + from * size;
  if (reduction == NONE) {
    memcpy(to, src, count * size);
    return;
  }
  for (size_t i = 0; i < count; i++) {
    if (q8_is_float(y->dtype)) {
      double v = combine_float(reduction, q8_element_double(y->dtype, to, i), q8_element_double(y->dtype, src, i));
      q8_put_double(y, at + i, v);
    } else {
      int64_t v = combine_integer(reduction, q8_element_int(y->dtype, to, i), q8_element_int(y->dtype, src, i),
                                  q8_wide_dtype(y->dtype) == QINT8_DTYPE_U64);
      q8_put_int(y, at + i, v);
    }
  }
}

static q8_status eval_elements(const q8_op_io *io) {
  const q8_value *x = io->inputs[0], *index = io->inputs[1];
  int32_t axis = q8_axis_of(io);
  int reduction;
  Q8_TRY(read_reduction(io, &reduction));
  q8_copy_input(io, 0);
  for (size_t i = 0; i < index->count; i++) {
    size_t at = 0;
    Q8_TRY(q8_element_place(io, &x->shape, index, i, axis, &at));
    put(io, reduction, at, i, 1);
  }
  return QINT8_OK;
}

/* updates have the shape indices[:-1] + x[n:]. */
static q8_status infer_nd(const q8_op_io *io) {
  const q8_shape *x = &io->inputs[0]->shape, *index = &io->inputs[1]->shape, *updates = &io->inputs[2]->shape;
  int reduction;
  Q8_TRY(read_reduction(io, &reduction));
  Q8_TRY(q8_need_dtype(io, 2, io->inputs[0]->dtype));
  int64_t n = index->rank ? index->dim[index->rank - 1] : -1;
  int fits = n >= 0 && n <= x->rank && updates->rank == index->rank - 1 + x->rank - n;
  for (int32_t i = 0; fits && i < updates->rank; i++)
    fits = updates->dim[i] == (i < index->rank - 1 ? index->dim[i] : x->dim[n + i - (index->rank - 1)]);
  if (!fits)
    return q8_op_fail(io, QINT8_ERROR_SHAPE, "indices of shape %p, updates of shape %p into shape %p", index,
                      updates, x);
  return q8_infer_same(io);
}

static q8_status eval_nd(const q8_op_io *io) {
  const q8_value *x = io->inputs[0], *index = io->inputs[1];
  int32_t n = (int32_t)index->shape.dim[index->shape.rank - 1];
  size_t count = q8_dims(&index->shape, 0, index->shape.rank - 1), slice = q8_dims(&x->shape, n, x->shape.rank);
  int reduction;
  Q8_TRY(read_reduction(io, &reduction));
  q8_copy_input(io, 0);
  for (size_t i = 0; i < count && slice; i++) {
    size_t at = 0;
    Q8_TRY(q8_slice_place(io, &x->shape, index, i, 0, 0, &at));
    put(io, reduction, at * slice, i * slice, slice);
  }
  return QINT8_OK;
}

#define FAMILY(name, infer_fn, eval_fn)                                                                            \
  static const q8_op_family name = {                                                                               \
      .int8_obstacle = "no int8 form: selects values of float tensors", .infer = infer_fn, .eval = eval_fn};
#define SCATTER(id, onnx_name, first_opset, list, axis_given, its_family)                                                      \
  const q8_op q8_op_##id = {                                                                                       \
      .name = onnx_name, Q8_OPSETS(first_opset, 21), Q8_INPUTS(3, 3), Q8_OUTPUTS(1, 1),                            \
      Q8_ATTRIBUTES(list), .params_size = sizeof(scatter_params), .quant = Q8_QUANT_FLOAT,                         \
      .has_axis = axis_given, .index_inputs = 2, .family = &its_family};

FAMILY(elements, infer_elements, eval_elements)
FAMILY(slices, infer_nd, eval_nd)
SCATTER(scatter, "Scatter", 9, elements_attributes, 1, elements)
SCATTER(scatter_elements, "ScatterElements", 11, elements_attributes, 1, elements)
SCATTER(scatter_nd, "ScatterND", 11, nd_attributes, 0, slices)
