/* pool.c - MaxPool, AveragePool and LpPool: attributes, shapes, reference. */
#include "ops/pool.h"

#include <inttypes.h>
#include <math.h>
#include <stddef.h>

q8_status q8_pool_window_of(const q8_op_io *io, q8_pool_window *out) {
  const q8_pool_params *p = io->node->params;
  const q8_shape *x = &io->inputs[0]->shape;
  *out = (q8_pool_window){.kind = q8_pool_kind_of(io->node),
                          .include_pad = p->count_include_pad != 0,
                          .storage_order = p->storage_order,
                          .p = p->p};
  Q8_TRY(q8_spatial_of(io, &p->spatial, x, NULL, 0, out->e));
  for (const q8_extent *e = out->e; e < out->e + Q8_SPATIAL_DIMS; e++) {
    int64_t reach = e->dilation * (e->kernel - 1) + 1;
    if (e->in < 1 || e->pad_begin >= reach || e->pad_end >= reach)
      return q8_op_fail(io, QINT8_ERROR_SHAPE,
                        "input of shape %p does not suit a window of %" PRId64 " with padding %" PRId64
                        " and %" PRId64,
                        x, reach, e->pad_begin, e->pad_end);
  }
  return QINT8_OK;
}

static int64_t divide_up(int64_t a, int64_t b) {
  return (a + b - 1) / b;
}

typedef struct tap_ranges {
  int64_t begin[3], end[3], origin[3];
  size_t divisor; /* taps inside the input or its padding */
} tap_ranges;

static tap_ranges ranges_at(const q8_pool_window *w, size_t position) {
  tap_ranges r = {.divisor = 1};
  for (int d = Q8_SPATIAL_DIMS; d-- > 0; position /= (size_t)w->e[d].out) {
    const q8_extent *e = &w->e[d];
    int64_t start = (int64_t)(position % (size_t)e->out) * e->stride - e->pad_begin;
    int64_t inside = start < e->in ? divide_up(e->in - start, e->dilation) : 0;
    int64_t padded = divide_up(e->in + e->pad_end - start, e->dilation);
    r.origin[d] = start;
    r.begin[d] = start < 0 ? divide_up(-start, e->dilation) : 0;
    r.end[d] = inside < e->kernel ? inside : e->kernel;
    r.divisor *= (size_t)(padded < e->kernel ? padded : e->kernel);
  }
  return r;
}

static inline size_t tap_offset(const q8_pool_window *w, const tap_ranges *r, int64_t i, int64_t j, int64_t k) {
  const q8_extent *e = w->e;
  int64_t z = r->origin[0] + i * e[0].dilation, y = r->origin[1] + j * e[1].dilation;
  return (size_t)((z * e[1].in + y) * e[2].in + r->origin[2] + k * e[2].dilation);
}

void q8_pool_find_taps(const q8_pool_window *w, size_t position, q8_pool_taps *taps) {
  tap_ranges r = ranges_at(w, position);
  taps->count = 0;
  for (int64_t i = r.begin[0]; i < r.end[0]; i++)
    for (int64_t j = r.begin[1]; j < r.end[1]; j++)
      for (int64_t k = r.begin[2]; k < r.end[2]; k++)
        taps->at[taps->count++] = tap_offset(w, &r, i, j, k);
  taps->divisor = w->include_pad ? r.divisor : taps->count;
}

static int is_inside(const q8_extent *e, int64_t column) {
  int64_t first = column * e->stride - e->pad_begin;
  return first >= 0 && first + (e->kernel - 1) * e->dilation < e->in;
}

int q8_pool_move_taps(const q8_pool_window *w, size_t column, q8_pool_taps *taps) {
  const q8_extent *e = &w->e[2];
  if (column == 0 || !is_inside(e, (int64_t)column - 1) || !is_inside(e, (int64_t)column))
    return 0;
  for (size_t t = 0; t < taps->count; t++)
    taps->at[t] += (size_t)e->stride;
  return 1;
}

static q8_status infer(const q8_op_io *io) {
  q8_shape y = io->inputs[0]->shape;
  int32_t dtype = io->inputs[0]->dtype;
  q8_pool_kind kind = q8_pool_kind_of(io->node);
  q8_pool_window w;
  if (dtype != QINT8_DTYPE_F32 && (kind != Q8_POOL_MAX || (dtype != QINT8_DTYPE_U8 && dtype != QINT8_DTYPE_S8)))
    return q8_op_fail(io, QINT8_ERROR_UNSUPPORTED, "%s of element type %d", io->node->op->name, (int)dtype);
  Q8_TRY(q8_pool_window_of(io, &w));
  if (kind == Q8_POOL_LP && w.p < 1)
    return q8_op_fail(io, QINT8_ERROR_SHAPE, "p is %" PRId64, w.p);
  q8_spatial_shape(w.e, y.rank - 2, &y);
  if (io->node->output_count > 1)
    Q8_TRY(q8_infer_set(io, 1, QINT8_DTYPE_S64, &y));
  return q8_infer_set(io, 0, dtype, &y);
}

static float value_at(const q8_value *x, size_t i) {
  switch (x->dtype) {
  case QINT8_DTYPE_U8:
    return ((const uint8_t *)x->data)[i];
  case QINT8_DTYPE_S8:
    return ((const int8_t *)x->data)[i];
  default:
    return ((const float *)x->data)[i];
  }
}

/* One result from the plane that begins at `plane`; the place of the maximum in *place. */
static double pool_one(const q8_value *x, const q8_pool_window *w, size_t plane, size_t position, size_t *place) {
  tap_ranges r = ranges_at(w, position);
  double max = -INFINITY, sum = 0;
  size_t count = 0;
  for (int64_t i = r.begin[0]; i < r.end[0]; i++)
    for (int64_t j = r.begin[1]; j < r.end[1]; j++)
      for (int64_t k = r.begin[2]; k < r.end[2]; k++, count++) {
        size_t at = tap_offset(w, &r, i, j, k);
        double value = value_at(x, plane + at);
        if (value > max || count == 0) {
          max = value;
          *place = at;
        }
        sum += w->kind == Q8_POOL_LP ? pow(fabs(value), (double)w->p) : value;
      }
  size_t divisor = w->include_pad ? r.divisor : count;
  if (w->kind == Q8_POOL_LP)
    return pow(sum, 1 / (double)w->p);
  return w->kind == Q8_POOL_AVERAGE ? sum / (double)(divisor ? divisor : 1) : max;
}

static void store(q8_value *y, size_t i, double value) {
  if (y->dtype == QINT8_DTYPE_F32)
    ((float *)y->data)[i] = (float)value;
  else
    ((uint8_t *)y->data)[i] = (uint8_t)(int)value; /* two's complement serves s8 */
}

/* The index of a place in its plane. */
static int64_t index_of(const q8_pool_window *w, size_t place) {
  int64_t at = (int64_t)place, width = w->e[2].in, height = w->e[1].in;
  return w->storage_order ? (at % width * height + at / width % height) * w->e[0].in + at / width / height : at;
}

q8_status q8_pool_eval(const q8_op_io *io, const q8_pool_window *w) {
  size_t planes = q8_dims(&io->inputs[0]->shape, 0, 2);
  size_t in = q8_spatial_positions(w->e, 0), out = q8_spatial_positions(w->e, 1);
  for (size_t i = 0; i < planes * out; i++) {
    size_t place = 0, plane = i / out * in;
    store(&io->outputs[0], i, pool_one(io->inputs[0], w, plane, i % out, &place));
    if (io->node->output_count > 1)
      ((int64_t *)io->outputs[1].data)[i] = (int64_t)plane + index_of(w, place);
  }
  return QINT8_OK;
}

static q8_status eval(const q8_op_io *io) {
  q8_pool_window w;
  Q8_TRY(q8_pool_window_of(io, &w));
  return q8_pool_eval(io, &w);
}

static q8_status plan(q8_planner *planner, q8_id id) {
  const q8_node *node = q8_plan_node(planner, id);
  if (q8_pool_kind_of(node) == Q8_POOL_LP || node->output_count > 1 ||
      q8_plan_value(planner, node->inputs[0])->dtype != QINT8_DTYPE_F32)
    return q8_plan_eval(planner, id);
  return q8_plan_window_pool(planner, id);
}

#define AT(field) offsetof(q8_pool_params, field)
#define WINDOW_ATTRIBUTES \
  Q8_SPATIAL_ATTRIBUTES(1), {"ceil_mode", Q8_ATTR_INT, Q8_SPATIAL_AT(ceil_mode), 0, 0, 0}

static const q8_attribute max_attributes[] = {
    WINDOW_ATTRIBUTES, {"storage_order", Q8_ATTR_INT, AT(storage_order), 0, 0, 0}};
static const q8_attribute average_attributes[] = {
    WINDOW_ATTRIBUTES, {"count_include_pad", Q8_ATTR_INT, AT(count_include_pad), 0, 0, 0}};
static const q8_attribute lp_attributes[] = {
    WINDOW_ATTRIBUTES, {"p", Q8_ATTR_INT, AT(p), 0, 0, 2}};

static const q8_op_family family = {
    .int8_obstacle = Q8_POOL_LP_OBSTACLE, .infer = infer, .eval = eval, .plan = plan};

#define POOL(id, onnx_name, outputs, list, rule, kind)                                                             \
  const q8_op q8_op_##id = {                                                                                       \
      .name = onnx_name, Q8_OPSETS(1, 21), Q8_INPUTS(1, 1), Q8_OUTPUTS(1, outputs),                                \
      Q8_ATTRIBUTES(list), .params_size = sizeof(q8_pool_params), .quant = rule,                                   \
      .family = &family, .variant = &(const q8_pool_kind){kind}};

POOL(max_pool, "MaxPool", 2, max_attributes, Q8_QUANT_SAME, Q8_POOL_MAX)
POOL(average_pool, "AveragePool", 1, average_attributes, Q8_QUANT_OWN, Q8_POOL_AVERAGE)
POOL(lp_pool, "LpPool", 1, lp_attributes, Q8_QUANT_FLOAT, Q8_POOL_LP)
