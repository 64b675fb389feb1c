/* pool.c - MaxPool, AveragePool and LpPool: attributes, shapes, reference. */
#include "ops/pool.h"

#include <inttypes.h>
#include <math.h>
#include <stddef.h>
#include <string.h>

typedef enum pool_kind { POOL_MAX, POOL_AVERAGE, POOL_LP } pool_kind;

static int64_t element(const q8_ints *list, int32_t i, int64_t otherwise) {
  return i < list->count ? list->v[i] : otherwise;
}

static q8_status check_lists(const q8_op_io *io, const q8_pool_params *p, int32_t dims) {
  const q8_ints *lists[4] = {&p->kernel_shape, &p->strides, &p->dilations, &p->pads};
  for (int i = 0; i < 4; i++) {
    int32_t expected = i == 3 ? 2 * dims : dims;
    if (lists[i]->count >= 0 && lists[i]->count != expected)
      return q8_op_fail(io, QINT8_ERROR_SHAPE,
                        "kernel_shape, strides, dilations or pads has %d values, expected %d",
                        (int)lists[i]->count, (int)expected);
    for (int32_t j = 0; j < lists[i]->count; j++)
      if (lists[i]->v[j] < (i == 3 ? 0 : 1) || lists[i]->v[j] > INT32_MAX)
        return q8_op_fail(io, QINT8_ERROR_SHAPE, "a window parameter is %" PRId64, lists[i]->v[j]);
  }
  return QINT8_OK;
}

static int64_t divide_up(int64_t a, int64_t b) {
  return (a + b - 1) / b;
}

/* Sets pads and size of output dimension `d`. */
static void set_output(const q8_pool_params *p, q8_pool_window *w, int d) {
  int64_t extent = w->dilation[d] * (w->kernel[d] - 1) + 1;
  if (!strncmp(p->auto_pad, "SAME", 4)) {
    w->out[d] = divide_up(w->in[d], w->stride[d]);
    int64_t pad = (w->out[d] - 1) * w->stride[d] + extent - w->in[d];
    pad = pad > 0 ? pad : 0;
    w->pad_lo[d] = strcmp(p->auto_pad, "SAME_LOWER") ? pad / 2 : pad - pad / 2;
    w->pad_hi[d] = pad - w->pad_lo[d];
    return;
  }
  if (!strcmp(p->auto_pad, "VALID"))
    w->pad_lo[d] = w->pad_hi[d] = 0;
  int64_t room = w->in[d] + w->pad_lo[d] + w->pad_hi[d] - extent;
  if (room < 0)
    w->out[d] = 0;
  else if (p->ceil_mode) {
    w->out[d] = divide_up(room, w->stride[d]) + 1;
    if ((w->out[d] - 1) * w->stride[d] >= w->in[d] + w->pad_lo[d])
      w->out[d]--; /* a window must not start beyond the input */
  } else
    w->out[d] = room / w->stride[d] + 1;
}

q8_status q8_pool_window_of(const q8_op_io *io, const q8_shape *x, q8_pool_window *out) {
  const q8_pool_params *p = io->node->params;
  int32_t dims = x->rank - 2;
  if (dims < 1 || dims > Q8_POOL_DIMS)
    return q8_op_fail(io, QINT8_ERROR_SHAPE,
                      "input of shape %p, expected [N, C] and one to three spatial dimensions", x);
  Q8_TRY(check_lists(io, p, dims));
  *out = (q8_pool_window){.dims = dims};
  for (int d = 0; d < Q8_POOL_DIMS; d++) {
    int32_t i = d - (Q8_POOL_DIMS - dims);
    out->in[d] = out->out[d] = out->kernel[d] = out->stride[d] = out->dilation[d] = 1;
    if (i < 0)
      continue;
    out->in[d] = x->dim[2 + i];
    out->kernel[d] = element(&p->kernel_shape, i, 1);
    out->stride[d] = element(&p->strides, i, 1);
    out->dilation[d] = element(&p->dilations, i, 1);
    out->pad_lo[d] = element(&p->pads, i, 0);
    out->pad_hi[d] = element(&p->pads, dims + i, 0);
    set_output(p, out, d);
    int64_t extent = out->dilation[d] * (out->kernel[d] - 1) + 1;
    if (out->in[d] < 1 || out->out[d] < 1 || out->pad_lo[d] >= extent || out->pad_hi[d] >= extent)
      return q8_op_fail(io, QINT8_ERROR_SHAPE,
                        "input of shape %p does not suit a window of %" PRId64 " with padding %" PRId64
                        " and %" PRId64,
                        x, extent, out->pad_lo[d], out->pad_hi[d]);
  }
  return QINT8_OK;
}

/* The range [*begin, *end) of taps of dimension d that lie inside the input, and how many lie inside the padding. */
static size_t clip_taps(const q8_pool_window *w, int d, int64_t index, int64_t *begin, int64_t *end) {
  int64_t start = index * w->stride[d] - w->pad_lo[d], dilation = w->dilation[d];
  *begin = start < 0 ? divide_up(-start, dilation) : 0;
  *end = start < w->in[d] ? divide_up(w->in[d] - start, dilation) : 0;
  int64_t padded = divide_up(w->in[d] + w->pad_hi[d] - start, dilation);
  *end = *end < w->kernel[d] ? *end : w->kernel[d];
  return (size_t)(padded < w->kernel[d] ? padded : w->kernel[d]);
}

typedef struct tap_ranges {
  int64_t begin[3], end[3], origin[3];
  size_t divisor;
} tap_ranges;

static tap_ranges ranges_at(const q8_pool_window *w, size_t position) {
  tap_ranges r = {.divisor = 1};
  for (int d = Q8_POOL_DIMS; d-- > 0; position /= (size_t)w->out[d]) {
    int64_t index = (int64_t)(position % (size_t)w->out[d]);
    r.divisor *= clip_taps(w, d, index, &r.begin[d], &r.end[d]);
    r.origin[d] = index * w->stride[d] - w->pad_lo[d];
  }
  return r;
}

static inline size_t tap_offset(const q8_pool_window *w, const tap_ranges *r, int64_t i, int64_t j, int64_t k) {
  int64_t z = r->origin[0] + i * w->dilation[0], y = r->origin[1] + j * w->dilation[1];
  return (size_t)((z * w->in[1] + y) * w->in[2] + r->origin[2] + k * w->dilation[2]);
}

void q8_pool_find_taps(const q8_pool_window *w, size_t position, q8_pool_taps *taps) {
  tap_ranges r = ranges_at(w, position);
  taps->count = 0;
  taps->divisor = r.divisor;
  for (int64_t i = r.begin[0]; i < r.end[0]; i++)
    for (int64_t j = r.begin[1]; j < r.end[1]; j++)
      for (int64_t k = r.begin[2]; k < r.end[2]; k++)
        taps->at[taps->count++] = tap_offset(w, &r, i, j, k);
}

static int is_inside(const q8_pool_window *w, int64_t column) {
  int64_t first = column * w->stride[2] - w->pad_lo[2];
  return first >= 0 && first + (w->kernel[2] - 1) * w->dilation[2] < w->in[2];
}

int q8_pool_move_taps(const q8_pool_window *w, size_t column, q8_pool_taps *taps) {
  if (column == 0 || !is_inside(w, (int64_t)column - 1) || !is_inside(w, (int64_t)column))
    return 0;
  for (size_t t = 0; t < taps->count; t++)
    taps->at[t] += (size_t)w->stride[2];
  return 1;
}

static int takes_type(const q8_op_io *io, pool_kind kind) {
  int32_t dtype = io->inputs[0]->dtype;
  return dtype == QINT8_DTYPE_F32 || (kind == POOL_MAX && (dtype == QINT8_DTYPE_U8 || dtype == QINT8_DTYPE_S8));
}

static q8_status infer(const q8_op_io *io, pool_kind kind) {
  const q8_pool_params *p = io->node->params;
  const q8_shape *x = &io->inputs[0]->shape;
  q8_pool_window w;
  if (!takes_type(io, kind))
    return q8_op_fail(io, QINT8_ERROR_UNSUPPORTED, "%s of element type %d", io->node->op->name,
                      (int)io->inputs[0]->dtype);
  if (kind == POOL_LP && p->p < 1)
    return q8_op_fail(io, QINT8_ERROR_SHAPE, "p is %" PRId64, p->p);
  Q8_TRY(q8_pool_window_of(io, x, &w));
  q8_shape y = *x;
  for (int32_t i = 0; i < w.dims; i++)
    y.dim[2 + i] = w.out[Q8_POOL_DIMS - w.dims + i];
  if (io->node->output_count > 1)
    Q8_TRY(q8_infer_set(io, 1, QINT8_DTYPE_S64, &y));
  return q8_infer_set(io, 0, io->inputs[0]->dtype, &y);
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
static double pool_one(const q8_op_io *io, const q8_pool_window *w, pool_kind kind, size_t plane, size_t position,
                       size_t *place) {
  const q8_pool_params *p = io->node->params;
  tap_ranges r = ranges_at(w, position);
  double max = -INFINITY, sum = 0;
  size_t count = 0;
  for (int64_t i = r.begin[0]; i < r.end[0]; i++)
    for (int64_t j = r.begin[1]; j < r.end[1]; j++)
      for (int64_t k = r.begin[2]; k < r.end[2]; k++, count++) {
        size_t at = tap_offset(w, &r, i, j, k);
        double value = value_at(io->inputs[0], plane + at);
        if (value > max || count == 0) {
          max = value;
          *place = at;
        }
        sum += kind == POOL_LP ? pow(fabs(value), (double)p->p) : value;
      }
  size_t divisor = p->count_include_pad ? r.divisor : count;
  if (kind == POOL_LP)
    return pow(sum, 1 / (double)p->p);
  return kind == POOL_AVERAGE ? sum / (double)(divisor ? divisor : 1) : max;
}

static void store(q8_value *y, size_t i, double value) {
  if (y->dtype == QINT8_DTYPE_F32)
    ((float *)y->data)[i] = (float)value;
  else
    ((uint8_t *)y->data)[i] = (uint8_t)(int)value; /* two's complement serves s8 */
}

/* The index of a place in its plane; with storage_order the first dimension runs fastest. */
static int64_t index_of(const q8_pool_window *w, int64_t storage_order, size_t place) {
  if (!storage_order)
    return (int64_t)place;
  int64_t at = (int64_t)place, k = at % w->in[2], j = at / w->in[2] % w->in[1], i = at / w->in[2] / w->in[1];
  return (k * w->in[1] + j) * w->in[0] + i;
}

static q8_status eval(const q8_op_io *io, pool_kind kind) {
  const q8_pool_params *p = io->node->params;
  q8_pool_window w;
  Q8_TRY(q8_pool_window_of(io, &io->inputs[0]->shape, &w));
  size_t planes = q8_dims(&io->inputs[0]->shape, 0, 2), in = q8_pool_positions(w.in), out = q8_pool_positions(w.out);
  for (size_t c = 0; c < planes; c++)
    for (size_t i = 0; i < out; i++) {
      size_t place = 0;
      store(&io->outputs[0], c * out + i, pool_one(io, &w, kind, c * in, i, &place));
      if (io->node->output_count > 1)
        ((int64_t *)io->outputs[1].data)[c * out + i] = (int64_t)(c * in) + index_of(&w, p->storage_order, place);
    }
  return QINT8_OK;
}

static q8_status max_infer(const q8_op_io *io) {
  return infer(io, POOL_MAX);
}
static q8_status average_infer(const q8_op_io *io) {
  return infer(io, POOL_AVERAGE);
}
static q8_status lp_infer(const q8_op_io *io) {
  return infer(io, POOL_LP);
}
static q8_status max_eval(const q8_op_io *io) {
  return eval(io, POOL_MAX);
}
static q8_status average_eval(const q8_op_io *io) {
  return eval(io, POOL_AVERAGE);
}
static q8_status lp_eval(const q8_op_io *io) {
  return eval(io, POOL_LP);
}
static q8_status max_plan(q8_planner *planner, q8_id node, qint8_error *error) {
  const q8_node *n = q8_plan_node(planner, node);
  if (n->output_count > 1 || q8_plan_value(planner, n->inputs[0])->dtype != QINT8_DTYPE_F32)
    return q8_plan_eval(planner, node, error);
  return q8_plan_window_pool(planner, node, 0, error);
}
static q8_status average_plan(q8_planner *planner, q8_id node, qint8_error *error) {
  return q8_plan_window_pool(planner, node, 1, error);
}

#define AT(field) offsetof(q8_pool_params, field)
#define WINDOW_ATTRIBUTES                                                                                           \
  {"kernel_shape", Q8_ATTR_INTS, AT(kernel_shape), 1, 0, 0},                                                        \
      {"strides", Q8_ATTR_INTS, AT(strides), 0, 0, 0}, {"pads", Q8_ATTR_INTS, AT(pads), 0, 0, 0},                   \
      {"dilations", Q8_ATTR_INTS, AT(dilations), 0, 0, 0},                                                          \
      {"ceil_mode", Q8_ATTR_INT, AT(ceil_mode), 0, 0, 0},                                                           \
      {Q8_NAME_AND_TEXT("auto_pad", "NOTSET"), Q8_ATTR_STRING, AT(auto_pad), 0, 0, 0}

static const q8_attribute max_attributes[] = {
    WINDOW_ATTRIBUTES, {"storage_order", Q8_ATTR_INT, AT(storage_order), 0, 0, 0}};
static const q8_attribute average_attributes[] = {
    WINDOW_ATTRIBUTES, {"count_include_pad", Q8_ATTR_INT, AT(count_include_pad), 0, 0, 0}};
static const q8_attribute lp_attributes[] = {
    WINDOW_ATTRIBUTES, {"p", Q8_ATTR_INT, AT(p), 0, 0, 2}};

#define POOL(id, onnx_name, outputs, list, rule, obstacle, kind, plan_fn)                                          \
  const q8_op q8_op_##id = {                                                                                       \
      .name = onnx_name, Q8_OPSETS(1, 21), Q8_INPUTS(1, 1), Q8_OUTPUTS(1, outputs),                                \
      Q8_ATTRIBUTES(list), .params_size = sizeof(q8_pool_params), .quant = rule,                                   \
      .family = &(const q8_op_family){.int8_obstacle = obstacle, .infer = kind##_infer, .eval = kind##_eval,       \
                                      .plan = plan_fn}};

POOL(max_pool, "MaxPool", 2, max_attributes, Q8_QUANT_SAME, NULL, max, max_plan)
POOL(average_pool, "AveragePool", 1, average_attributes, Q8_QUANT_OWN, NULL, average, average_plan)
POOL(lp_pool, "LpPool", 1, lp_attributes, Q8_QUANT_FLOAT, "no int8 form: powers need the range of float", lp, NULL)
