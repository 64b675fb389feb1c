/* unique.c - Unique: the different elements, or slices along an axis, sorted or in order of appearance. How many there
 * are depends on values, which must be known when the plan is compiled. */
#include <stddef.h>
#include <string.h>

#include "base/element.h"
#include "ops/common.h"

#define NO_AXIS 1000000

typedef struct unique_params {
  int64_t axis, sorted;
} unique_params;

static const q8_attribute attributes[] = {{"axis", Q8_ATTR_INT, offsetof(unique_params, axis), 0, 0, NO_AXIS},
                                          {"sorted", Q8_ATTR_INT, offsetof(unique_params, sorted), 0, 0, 1}};

/* x as [outer][n][inner]; without an axis outer and inner are 1. */
typedef struct slices {
  const q8_value *x;
  size_t outer, n, inner;
  int32_t axis; /* -1: none */
} slices;

static q8_status view(const q8_op_io *io, slices *s) {
  const unique_params *p = io->node->params;
  const q8_value *x = io->inputs[0];
  *s = (slices){.x = x, .outer = 1, .n = x->count, .inner = 1, .axis = -1};
  Q8_TRY(q8_need_data(io, 0));
  if (p->axis == NO_AXIS)
    return QINT8_OK;
  Q8_TRY(q8_need_axis(io, p->axis, x->shape.rank, &s->axis));
  s->outer = q8_dims(&x->shape, 0, s->axis);
  s->n = (size_t)x->shape.dim[s->axis];
  s->inner = q8_dims(&x->shape, s->axis + 1, x->shape.rank);
  return QINT8_OK;
}

/* Slices in lexical order. */
static int compare(const slices *s, size_t a, size_t b) {
  for (size_t o = 0; o < s->outer; o++)
    for (size_t i = 0; i < s->inner; i++) {
      int order =
          q8_element_compare(s->x->dtype, s->x->data, (o * s->n + a) * s->inner + i, (o * s->n + b) * s->inner + i);
      if (order)
        return order;
    }
  return 0;
}

static int is_first(const slices *s, size_t a) {
  for (size_t i = 0; i < a; i++)
    if (!compare(s, i, a))
      return 0;
  return 1;
}

/* The first of the slices that come after those equal to `last` (n: from the start), n at the end. */
static size_t next(const slices *s, int sorted, size_t last) {
  size_t best = s->n;
  if (!sorted) {
    for (best = last == s->n ? 0 : last + 1; best < s->n && !is_first(s, best);)
      best++;
    return best;
  }
  for (size_t i = 0; i < s->n; i++)
    if ((last == s->n || compare(s, i, last) > 0) && (best == s->n || compare(s, i, best) < 0))
      best = i;
  return best;
}

static q8_status infer(const q8_op_io *io) {
  slices s;
  Q8_TRY(view(io, &s));
  q8_shape y = s.x->shape, list = {.rank = 1}, all = {.rank = 1, .dim = {(int64_t)s.n}};
  for (size_t i = 0; i < s.n; i++)
    list.dim[0] += is_first(&s, i);
  if (s.axis < 0)
    y = list;
  else
    y.dim[s.axis] = list.dim[0];
  Q8_TRY(q8_infer_set(io, 0, s.x->dtype, &y));
  for (int32_t i = 1; i < io->node->output_count; i++)
    Q8_TRY(q8_infer_set(io, i, QINT8_DTYPE_S64, i == 2 ? &all : &list));
  return QINT8_OK;
}

static void copy_slice(const slices *s, size_t from, char *y, size_t to, size_t count) {
  size_t size = s->inner * qint8_dtype_size((qint8_dtype)s->x->dtype);
  for (size_t o = 0; o < s->outer && size; o++)
    memcpy(y + (o * count + to) * size, (const char *)s->x->data + (o * s->n + from) * size, size);
}

static q8_status eval(const q8_op_io *io) {
  const unique_params *p = io->node->params;
  slices s;
  Q8_TRY(view(io, &s));
  size_t count = (size_t)io->outputs[0].shape.dim[s.axis < 0 ? 0 : s.axis], at = s.n;
  int64_t *lists[4] = {NULL};
  for (int32_t i = 1; i < io->node->output_count; i++)
    lists[i] = io->outputs[i].data;
  for (size_t k = 0; k < count; k++) {
    int64_t equal = 0;
    at = next(&s, p->sorted != 0, at);
    copy_slice(&s, at, io->outputs[0].data, k, count);
    for (size_t i = 0; i < s.n; i++)
      if (!compare(&s, i, at)) {
        equal++;
        if (lists[2])
          lists[2][i] = (int64_t)k;
      }
    if (lists[1])
      lists[1][k] = (int64_t)at;
    if (lists[3])
      lists[3][k] = equal;
  }
  return QINT8_OK;
}

const q8_op q8_op_unique = {
    .name = "Unique", Q8_OPSETS(11, 21), Q8_INPUTS(1, 1), Q8_OUTPUTS(1, 4),
    Q8_ATTRIBUTES(attributes), .params_size = sizeof(unique_params), .quant = Q8_QUANT_FLOAT,
    .family = &(const q8_op_family){.int8_obstacle = "no int8 form: the shape of the result depends on values",
                                    .infer = infer, .eval = eval}};
