/* pad.c - Pad with a constant, the edge value, the reflection or the other end. */
#include <inttypes.h>
#include <stddef.h>
#include <string.h>

#include "ops/common.h"
#include "ops/hooks.h"

typedef struct pad_params {
  char mode[32];
  q8_ints pads; /* attributes of opset 10 and older */
  float value;
} pad_params;

static const q8_attribute attributes[] = {{Q8_NAME_AND_TEXT("mode", "constant"), Q8_ATTR_STRING, offsetof(pad_params, mode), 0, 0, 0},
                                          {"pads", Q8_ATTR_INTS, offsetof(pad_params, pads), 0, Q8_TO_INPUT(1), 11},
                                          {"value", Q8_ATTR_FLOAT, offsetof(pad_params, value), 0, 0, 0}};

static q8_status upgrade(q8_upgrade *node) {
  pad_params *p = node->params;
  if (node->graph->opset < 11)
    Q8_TRY(q8_upgrade_input(node, 2, QINT8_DTYPE_F32, -1, &p->value));
  p->value = 0;
  return QINT8_OK;
}

enum { CONSTANT, EDGE, REFLECT, WRAP };
#define MODES "constant, edge, reflect or wrap"

/* lo[d] and hi[d] of every dimension. */
static q8_status find_pads(const q8_op_io *io, int64_t *lo, int64_t *hi) {
  int32_t rank = io->inputs[0]->shape.rank;
  q8_ints pads, axes = {.count = rank};
  for (int32_t i = 0; i < rank; i++)
    axes.v[i] = i;
  Q8_TRY(q8_infer_ints(io, 1, &pads));
  if (q8_input(io, 3))
    Q8_TRY(q8_infer_ints(io, 3, &axes));
  if (pads.count != 2 * axes.count)
    return q8_op_fail(io, QINT8_ERROR_SHAPE, "pads has %d values, expected %d", (int)pads.count,
                      2 * (int)axes.count);
  for (int32_t i = 0; i < rank; i++)
    lo[i] = hi[i] = 0;
  for (int32_t i = 0; i < axes.count; i++) {
    int32_t axis;
    Q8_TRY(q8_need_axis(io, axes.v[i], rank, &axis));
    lo[axis] = pads.v[i];
    hi[axis] = pads.v[axes.count + i];
  }
  return QINT8_OK;
}

static q8_status infer(const q8_op_io *io) {
  const q8_value *x = io->inputs[0];
  int mode;
  int64_t lo[Q8_MAX_RANK], hi[Q8_MAX_RANK];
  Q8_TRY(find_pads(io, lo, hi));
  Q8_TRY(q8_op_word(io, "mode", MODES, &mode));
  const q8_value *value = q8_input(io, 2);
  if (value && (value->dtype != x->dtype || value->count != 1))
    return q8_op_fail(io, QINT8_ERROR_SHAPE, "the padding value is not a scalar of the same type");
  q8_shape y = x->shape;
  for (int32_t i = 0; i < y.rank; i++) {
    int64_t n = x->shape.dim[i], most = lo[i] > hi[i] ? lo[i] : hi[i];
    y.dim[i] += lo[i] + hi[i];
    if (most > 0 && (mode == REFLECT ? most >= n : mode != CONSTANT && n == 0)) {
      return q8_op_fail(io, QINT8_ERROR_SHAPE, "padding of %" PRId64 " for shape %p", most, &x->shape);
    }
  }
  return q8_infer_shaped(io, &y);
}

/* The input index that output index i of a dimension shows, -1 for the padding value. */
static int64_t source(int mode, int64_t i, int64_t n) {
  if (i >= 0 && i < n)
    return i;
  if (mode == CONSTANT)
    return -1;
  if (mode == EDGE)
    return i < 0 ? 0 : n - 1;
  if (mode == WRAP)
    return (i % n + n) % n;
  i = i < 0 ? -i : i;
  return i < n ? i : 2 * (n - 1) - i;
}

/* A row of the result whose source row is `from` (NULL: all padding): what lies inside is copied at once. */
static void pad_row(int mode, int64_t lo, int64_t n, int64_t count, size_t element, const char *from, const char *fill,
                    char *to) {
  int64_t first = lo < 0 ? 0 : lo < count ? lo : count, last = lo + n < count ? lo + n : count;
  for (int64_t i = 0; i < count; i++) {
    if (i == first && last > first && from) {
      memcpy(to + (size_t)i * element, from + (size_t)(first - lo) * element, (size_t)(last - first) * element);
      i = last;
      if (i == count)
        return;
    }
    int64_t at = from ? source(mode, i - lo, n) : -1;
    memcpy(to + (size_t)i * element, at < 0 ? fill : from + (size_t)at * element, element);
  }
}

static q8_status eval(const q8_op_io *io) {
  const q8_value *x = io->inputs[0], *value = q8_input(io, 2);
  q8_value *y = &io->outputs[0];
  int mode;
  int64_t lo[Q8_MAX_RANK], hi[Q8_MAX_RANK], stride[Q8_MAX_RANK];
  static const char zero[8] = {0};
  size_t element = qint8_dtype_size((qint8_dtype)x->dtype);
  const char *fill = value ? value->data : zero;
  Q8_TRY(q8_op_word(io, "mode", MODES, &mode));
  Q8_TRY(find_pads(io, lo, hi));
  if (y->shape.rank == 0) {
    memcpy(y->data, x->data, element);
    return QINT8_OK;
  }
  q8_strides(&x->shape, stride);
  int32_t last = y->shape.rank - 1;
  size_t n = (size_t)y->shape.dim[last], rows = n ? y->count / n : 0;
  for (size_t r = 0; r < rows; r++) {
    size_t rest = r;
    int64_t at = 0;
    for (int32_t d = last; d-- > 0; rest /= (size_t)y->shape.dim[d]) {
      int64_t from = source(mode, (int64_t)(rest % (size_t)y->shape.dim[d]) - lo[d], x->shape.dim[d]);
      at = from < 0 || at < 0 ? -1 : at + from * stride[d];
    }
    pad_row(mode, lo[last], x->shape.dim[last], (int64_t)n, element,
            at < 0 ? NULL : (const char *)x->data + (size_t)at * element, fill, (char *)y->data + r * n * element);
  }
  return QINT8_OK;
}

const q8_op q8_op_pad = {
    .name = "Pad", Q8_OPSETS(2, 21), Q8_INPUTS(2, 4), Q8_OUTPUTS(1, 1),
    Q8_ATTRIBUTES(attributes), .params_size = sizeof(pad_params), .quant = Q8_QUANT_FLOAT,
    .family = &(const q8_op_family){
                                    .int8_obstacle = "no int8 form: the padding value needs the range of float",
                                    .infer = infer, .eval = eval, .upgrade = upgrade}};
