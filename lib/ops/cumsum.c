/* cumsum.c - CumSum: running sums along an axis. */
#include <stddef.h>

#include "base/element.h"
#include "ops/common.h"

typedef struct cumsum_params {
  int64_t exclusive, reverse;
} cumsum_params;

static const q8_attribute attributes[] = {
    {"exclusive", Q8_ATTR_INT, offsetof(cumsum_params, exclusive), 0, 0, 0},
    {"reverse", Q8_ATTR_INT, offsetof(cumsum_params, reverse), 0, 0, 0}};

static q8_status axis_of(const q8_op_io *io, int32_t *axis) {
  q8_ints list;
  Q8_TRY(q8_infer_ints(io, 1, &list));
  *axis = list.count == 1 ? q8_axis(list.v[0], io->inputs[0]->shape.rank) : -1;
  return *axis >= 0 ? QINT8_OK : q8_bad_axis(io, list.count ? list.v[0] : 0, &io->inputs[0]->shape);
}

static q8_status infer(const q8_op_io *io) {
  int32_t axis;
  Q8_TRY(axis_of(io, &axis));
  return q8_infer_same(io);
}

/* n elements, `stride` apart, beginning at `first`, in steps of `step` (negative from the end). */
static void sum_row(const q8_op_io *io, size_t first, size_t n, int64_t step, int exclusive) {
  const q8_value *x = io->inputs[0];
  q8_value *y = &io->outputs[0];
  double sum = 0;
  uint64_t whole = 0;
  for (size_t i = 0; i < n; i++) {
    size_t at = first + (size_t)((int64_t)i * step);
    double before = sum;
    uint64_t whole_before = whole;
    if (q8_is_float(x->dtype)) {
      sum += q8_element_double(x->dtype, x->data, at);
      q8_put_double(y, at, exclusive ? before : sum);
    } else {
      whole += (uint64_t)q8_element_int(x->dtype, x->data, at);
      q8_put_int(y, at, (int64_t)(exclusive ? whole_before : whole));
    }
  }
}

static q8_status eval(const q8_op_io *io) {
  const cumsum_params *p = io->node->params;
  const q8_shape *x = &io->inputs[0]->shape;
  int32_t axis;
  Q8_TRY(axis_of(io, &axis));
  q8_axis_view v = q8_view_axis(x, axis);
  size_t n = v.n, inner = v.inner;
  for (size_t o = 0; o < v.outer && n; o++)
    for (size_t i = 0; i < inner; i++) {
      size_t first = o * n * inner + i, last = first + (n - 1) * inner;
      sum_row(io, p->reverse ? last : first, n, p->reverse ? -(int64_t)inner : (int64_t)inner, p->exclusive != 0);
    }
  return QINT8_OK;
}

const q8_op q8_op_cumsum = {
    .name = "CumSum", Q8_OPSETS(11, 21), Q8_INPUTS(2, 2), Q8_OUTPUTS(1, 1),
    Q8_ATTRIBUTES(attributes), .params_size = sizeof(cumsum_params), .quant = Q8_QUANT_FLOAT,
    .family = &(const q8_op_family){.int8_obstacle = "no int8 form: the result needs the range of float",
                                    .infer = infer, .eval = eval}};
