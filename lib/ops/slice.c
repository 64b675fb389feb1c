/* slice.c - Slice: starts, ends, axes and steps as constant inputs. */
#include <inttypes.h>
#include <stddef.h>

#include "ops/common.h"

typedef struct slice_params {
  q8_ints starts, ends, axes; /* attributes of opset 9 and older */
} slice_params;

static const q8_attribute attributes[] = {
    {"starts", Q8_ATTR_INTS, offsetof(slice_params, starts), 0, Q8_TO_INPUT(1), 10},
    {"ends", Q8_ATTR_INTS, offsetof(slice_params, ends), 0, Q8_TO_INPUT(2), 10},
    {"axes", Q8_ATTR_INTS, offsetof(slice_params, axes), 0, Q8_TO_INPUT(3), 10}};

typedef struct slice_view {
  q8_shape shape;
  int64_t stride[Q8_MAX_RANK];
  int64_t offset; /* elements */
} slice_view;

static int64_t clamp(int64_t x, int64_t lo, int64_t hi) {
  return x < lo ? lo : x > hi ? hi : x;
}

/* Elements of [start, end) by `step` in a dimension of n; *first is where they begin. As in numpy, but that a start before
 * the first element counts as the first one for negative steps too. */
static int64_t range_of(int64_t n, int64_t start, int64_t end, int64_t step, int64_t *first) {
  start = start < 0 ? (start < -n ? -1 : start + n) : start;
  end = end < 0 ? (end < -n ? -1 : end + n) : end;
  *first = 0;
  if (n == 0)
    return 0;
  if (step > 0) {
    *first = clamp(start, 0, n);
    int64_t stop = clamp(end, 0, n);
    return stop > *first ? (stop - *first - 1) / step + 1 : 0;
  }
  *first = clamp(start, 0, n - 1);
  int64_t stop = clamp(end, -1, n - 1);
  return *first > stop ? (*first - stop - 1) / -step + 1 : 0;
}

static q8_status view_of(const q8_op_io *io, slice_view *v) {
  const q8_shape *x = &io->inputs[0]->shape;
  enum { STARTS, ENDS, AXES, STEPS, LISTS };
  q8_ints list[LISTS];
  for (int32_t i = 0; i < LISTS; i++) {
    list[i].count = -1;
    if (i < AXES || q8_input(io, i + 1))
      Q8_TRY(q8_infer_ints(io, i + 1, &list[i]));
    if (list[i].count > x->rank || (list[i].count >= 0 && list[i].count != list[STARTS].count))
      return q8_op_fail(io, QINT8_ERROR_SHAPE, "starts, ends, axes and steps have different lengths");
  }
  *v = (slice_view){.shape = *x};
  q8_strides(x, v->stride);
  for (int32_t i = 0; i < list[STARTS].count; i++) {
    int64_t wanted = list[AXES].count >= 0 ? list[AXES].v[i] : i, step = list[STEPS].count >= 0 ? list[STEPS].v[i] : 1;
    int64_t first;
    int32_t axis;
    Q8_TRY(q8_need_axis(io, wanted, x->rank, &axis));
    if (step == 0 || step < -INT32_MAX || step > INT32_MAX)
      return q8_op_fail(io, QINT8_ERROR_SHAPE, "step %" PRId64 " of axis %d is out of range", step,
                        (int)axis);
    v->shape.dim[axis] = range_of(x->dim[axis], list[STARTS].v[i], list[ENDS].v[i], step, &first);
    if (v->shape.dim[axis] > 0)
      v->offset += first * v->stride[axis];
    v->stride[axis] *= step;
  }
  return QINT8_OK;
}

static q8_status infer(const q8_op_io *io) {
  slice_view v;
  Q8_TRY(view_of(io, &v));
  return q8_infer_shaped(io, &v.shape);
}

static q8_status eval(const q8_op_io *io) {
  slice_view v;
  Q8_TRY(view_of(io, &v));
  return q8_eval_view(io, &v.shape, v.offset, v.stride);
}

const q8_op q8_op_slice = {
    .name = "Slice", Q8_OPSETS(1, 21), Q8_INPUTS(3, 5), Q8_OUTPUTS(1, 1),
    Q8_ATTRIBUTES(attributes), .params_size = sizeof(slice_params), .quant = Q8_QUANT_SAME,
    .family = &(const q8_op_family){.infer = infer, .eval = eval, .plan = q8_plan_move}};
