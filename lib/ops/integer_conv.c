/* integer_conv.c - ConvInteger and QLinearConv on integer tensors. */
#include <math.h>

#include "base/cold.h"
#include "ops/conv_nd.h"
#include "ops/integer.h"

static const q8_attribute attributes[] = {Q8_CONV_ATTRIBUTES};

/* Where the inputs of the two operators stand; -1: it has none. */
typedef struct places {
  int32_t w, x_zero, w_zero, bias;
} places;

static q8_status find_conv(const q8_op_io *io, const places *at, q8_conv_nd *c) {
  Q8_TRY(q8_need_int8(io, 0));
  Q8_TRY(q8_need_int8(io, at->w));
  Q8_TRY(q8_need_int8(io, at->x_zero));
  Q8_TRY(q8_need_int8(io, at->w_zero));
  Q8_TRY(q8_conv_nd_of(io, io->node->params, &io->inputs[0]->shape, &io->inputs[at->w]->shape, c));
  Q8_TRY(q8_need_count(io, at->x_zero, 1, "zero point of x"));
  return q8_need_count(io, at->w_zero, c->k, "zero point of w");
}

/* The accumulator of output channel k of image n at a position; padding holds the zero point. Modulo 2^32. */
static int32_t accumulate(const q8_op_io *io, const places *at, const q8_conv_nd *c, size_t n, size_t k,
                          const int64_t *position) {
  const q8_value *x = io->inputs[0], *w = io->inputs[at->w];
  int32_t x_zero = q8_zero_at(q8_input(io, at->x_zero), 0), w_zero = q8_zero_at(q8_input(io, at->w_zero), k);
  size_t channels = c->c / c->groups, taps = q8_conv_taps(c), positions = q8_conv_positions(c, 0), t = 0;
  size_t first = (n * c->c + k / (c->k / c->groups) * channels) * positions, filter = k * channels * taps;
  uint32_t sum = 0;
  int64_t tap[Q8_CONV_DIMS];
  for (tap[0] = 0; tap[0] < c->e[0].kernel; tap[0]++)
    for (tap[1] = 0; tap[1] < c->e[1].kernel; tap[1]++)
      for (tap[2] = 0; tap[2] < c->e[2].kernel; tap[2]++, t++) {
        int64_t source = q8_conv_source(c, position, tap);
        for (size_t i = 0; source >= 0 && i < channels; i++)
          sum += (uint32_t)((q8_integer_at(x, first + i * positions + (size_t)source) - x_zero) *
                            (q8_integer_at(w, filter + i * taps + t) - w_zero));
      }
  return (int32_t)sum;
}

typedef void store_fn(const q8_op_io *io, size_t channel, size_t i, int32_t acc);

static q8_status each(const q8_op_io *io, const places *at, store_fn *store) {
  q8_conv_nd c;
  Q8_TRY(find_conv(io, at, &c));
  const int64_t dims[Q8_CONV_DIMS] = {c.e[0].out, c.e[1].out, c.e[2].out};
  size_t out = q8_conv_positions(&c, 1);
  for (size_t plane = 0; plane < c.n * c.k; plane++)
    for (size_t q = 0; q < out; q++) {
      int64_t position[Q8_CONV_DIMS];
      q8_conv_split(dims, q, position);
      store(io, plane % c.k, plane * out + q, accumulate(io, at, &c, plane / c.k, plane % c.k, position));
    }
  return QINT8_OK;
}

/* ---- ConvInteger ---- */

static const places plain = {1, 2, 3, -1};

Q8_COLD static q8_status integer_infer(const q8_op_io *io) {
  q8_conv_nd c;
  q8_shape y;
  Q8_TRY(find_conv(io, &plain, &c));
  q8_conv_nd_shape(&c, &y);
  return q8_infer_set(io, 0, QINT8_DTYPE_S32, &y);
}

static void store_integer(const q8_op_io *io, size_t channel, size_t i, int32_t acc) {
  (void)channel;
  ((int32_t *)io->outputs[0].data)[i] = acc;
}

static q8_status integer_eval(const q8_op_io *io) {
  return each(io, &plain, store_integer);
}

const q8_op q8_op_conv_integer = {
    .name = "ConvInteger", Q8_OPSETS(10, 21), Q8_INPUTS(2, 4), Q8_OUTPUTS(1, 1),
    Q8_ATTRIBUTES(attributes), .params_size = sizeof(q8_conv_params), .quant = Q8_QUANT_FLOAT,
    .family = &(const q8_op_family){.int8_obstacle = "takes integers as values of the graph",
                                    .infer = integer_infer, .eval = integer_eval}};

/* ---- QLinearConv: x, x_scale, x_zero_point, w, w_scale, w_zero_point, y_scale, y_zero_point, B ---- */

static const places qlinear = {3, 2, 5, 8};

Q8_COLD static q8_status qlinear_infer(const q8_op_io *io) {
  q8_conv_nd c;
  q8_shape y;
  Q8_TRY(find_conv(io, &qlinear, &c));
  for (int32_t i = 1; i <= 6; i += i == 1 ? 3 : 2)
    Q8_TRY(q8_need_dtype(io, i, QINT8_DTYPE_F32));
  Q8_TRY(q8_need_count(io, 1, 1, "x_scale"));
  Q8_TRY(q8_need_count(io, 4, c.k, "w_scale"));
  Q8_TRY(q8_need_count(io, 6, 1, "y_scale"));
  Q8_TRY(q8_need_int8(io, 7));
  Q8_TRY(q8_need_dtype(io, 8, QINT8_DTYPE_S32));
  const q8_value *bias = q8_input(io, 8);
  if (bias && bias->count != c.k)
    return q8_op_fail(io, QINT8_ERROR_SHAPE, "a bias of %zu values for %zu channels", bias->count, c.k);
  q8_conv_nd_shape(&c, &y);
  return q8_infer_set(io, 0, io->inputs[7]->dtype, &y);
}

static void store_qlinear(const q8_op_io *io, size_t channel, size_t i, int32_t acc) {
  const q8_value *bias = q8_input(io, 8);
  if (bias)
    acc = (int32_t)((uint32_t)acc + (uint32_t)((const int32_t *)bias->data)[channel]);
  float factor = q8_scale_at(io->inputs[1], 0) * q8_scale_at(io->inputs[4], channel) / q8_scale_at(io->inputs[6], 0);
  q8_store_rounded(&io->outputs[0], i, (float)acc * factor, q8_zero_at(io->inputs[7], 0));
}

static q8_status qlinear_eval(const q8_op_io *io) {
  return each(io, &qlinear, store_qlinear);
}

const q8_op q8_op_qlinear_conv = {
    .name = "QLinearConv", Q8_OPSETS(10, 21), Q8_INPUTS(8, 9), Q8_OUTPUTS(1, 1),
    Q8_ATTRIBUTES(attributes), .params_size = sizeof(q8_conv_params), .quant = Q8_QUANT_FLOAT,
    .family = &(const q8_op_family){.int8_obstacle = "takes integers as values of the graph",
                                    .infer = qlinear_infer, .eval = qlinear_eval}};
