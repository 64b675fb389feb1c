/* topk.c - TopK: the k largest or smallest values along an axis, and where they were. */
#include <inttypes.h>
#include <stddef.h>
#include <string.h>

#include "base/element.h"
#include "ops/common.h"
#include "ops/hooks.h"

typedef struct topk_params {
  int64_t axis, largest, sorted, k; /* k: attribute of opset 9 and older, input 1 since */
} topk_params;

static const q8_attribute attributes[] = {
    {"axis", Q8_ATTR_INT, offsetof(topk_params, axis), 0, 0, -1},
    {"largest", Q8_ATTR_INT, offsetof(topk_params, largest), 0, 0, 1},
    {"sorted", Q8_ATTR_INT, offsetof(topk_params, sorted), 0, 0, 1},
    {"k", Q8_ATTR_INT, offsetof(topk_params, k), 0, 0, 0}};

static q8_status upgrade(q8_upgrade *node) {
  topk_params *p = node->params;
  if (node->graph->opset < 10)
    Q8_TRY(q8_upgrade_input(node, 1, QINT8_DTYPE_S64, 1, &p->k));
  p->k = 0;
  return QINT8_OK;
}

static q8_status infer(const q8_op_io *io) {
  const q8_shape *x = &io->inputs[0]->shape;
  int32_t axis = q8_axis_of(io);
  q8_ints k;
  Q8_TRY(q8_infer_ints(io, 1, &k));
  if (k.count != 1 || k.v[0] < 0 || k.v[0] > x->dim[axis])
    return q8_op_fail(io, QINT8_ERROR_SHAPE, "k = %" PRId64 " is out of range for axis %d of shape %p",
                      k.count ? k.v[0] : -1, (int)axis, x);
  q8_shape y = *x;
  y.dim[axis] = k.v[0];
  Q8_TRY(q8_infer_shaped(io, &y));
  return io->node->output_count > 1 ? q8_infer_set(io, 1, QINT8_DTYPE_S64, &y) : QINT8_OK;
}

/* One row: `index` of k results `inner` apart, best first; equal values keep their order. Insertion into the best so far
 * allocates nothing and is quick for small k. */
typedef struct topk_row {
  const q8_value *x;
  size_t first, n, inner, k;
  int sign;
} topk_row;

static int is_better(const topk_row *r, int64_t a, int64_t b) {
  size_t at_a = r->first + (size_t)a * r->inner, at_b = r->first + (size_t)b * r->inner;
  return r->sign * q8_element_compare(r->x->dtype, r->x->data, at_a, at_b) > 0;
}

static int64_t *index_at(int64_t *index, size_t first, size_t inner, size_t i) {
  return index + first + i * inner;
}

static void select_row(const topk_row *r, int64_t *index, size_t at) {
  size_t found = 0;
  for (size_t j = 0; j < r->n && r->k; j++) {
    size_t place = found < r->k ? found : r->k;
    while (place > 0 && is_better(r, (int64_t)j, *index_at(index, at, r->inner, place - 1)))
      place--;
    if (place == r->k)
      continue;
    for (size_t i = found < r->k ? found : r->k - 1; i > place; i--)
      *index_at(index, at, r->inner, i) = *index_at(index, at, r->inner, i - 1);
    *index_at(index, at, r->inner, place) = (int64_t)j;
    found += found < r->k;
  }
}

static q8_status eval(const q8_op_io *io) {
  const topk_params *p = io->node->params;
  const q8_value *x = io->inputs[0];
  q8_value *y = &io->outputs[0];
  int32_t axis = q8_axis_of(io);
  q8_axis_view v = q8_view_axis(&x->shape, axis);
  size_t n = v.n, inner = v.inner, k = (size_t)y->shape.dim[axis], size = qint8_dtype_size((qint8_dtype)x->dtype);
  int64_t *index = io->outputs[1].data;
  for (size_t o = 0; o < v.outer; o++)
    for (size_t i = 0; i < inner; i++) {
      topk_row row = {x, o * n * inner + i, n, inner, k, p->largest ? 1 : -1};
      size_t at = o * k * inner + i;
      select_row(&row, index, at);
      for (size_t j = 0; j < k; j++)
        memcpy((char *)y->data + (at + j * inner) * size,
               (const char *)x->data + (row.first + (size_t)index[at + j * inner] * inner) * size, size);
    }
  return QINT8_OK;
}

const q8_op q8_op_topk = {
    .name = "TopK", Q8_OPSETS(1, 21), Q8_INPUTS(2, 2), Q8_OUTPUTS(2, 2),
    Q8_ATTRIBUTES(attributes), .params_size = sizeof(topk_params), .quant = Q8_QUANT_FLOAT, .has_axis = 1,
    .family = &(const q8_op_family){.int8_obstacle = "no int8 form: a result is an index", .infer = infer,
                                    .eval = eval, .upgrade = upgrade}};
