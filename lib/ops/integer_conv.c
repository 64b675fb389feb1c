/* integer_conv.c - ConvInteger and QLinearConv on integer tensors. */
#include <math.h>

#include "ops/conv_nd.h"
#include "ops/integer.h"

static const q8_attribute attributes[] = {Q8_CONV_ATTRIBUTES};

static q8_status find_conv(const q8_op_io *io, q8_conv_nd *c) {
  const q8_shape *w = &io->inputs[q8_integer_places_of(io)->b]->shape;
  Q8_TRY(q8_conv_nd_of(io, io->node->params, &io->inputs[0]->shape, w, c));
  return q8_integer_check(io, 1, c->k);
}

static q8_status infer(const q8_op_io *io) {
  q8_conv_nd c;
  Q8_TRY(find_conv(io, &c));
  return q8_conv_infer(io, &c, q8_integer_dtype(io));
}

/* The accumulator of an output position, modulo 2^32; padding holds the zero point. x: the first channel of the group;
 * w: the filter. */
static uint32_t accumulate(const q8_conv_nd *c, const q8_integer_operand *x, const q8_integer_operand *w,
                           const int64_t *position) {
  size_t channels = c->c / c->groups, taps = q8_conv_taps(c), positions = q8_conv_positions(c, 0), t = 0;
  uint32_t sum = 0;
  int64_t tap[Q8_CONV_DIMS];
  for (tap[0] = 0; tap[0] < c->e[0].kernel; tap[0]++)
    for (tap[1] = 0; tap[1] < c->e[1].kernel; tap[1]++)
      for (tap[2] = 0; tap[2] < c->e[2].kernel; tap[2]++, t++) {
        int64_t source = q8_conv_source(c, position, tap);
        for (size_t i = 0; source >= 0 && i < channels; i++)
          sum += q8_operand_at(x, i * positions + (size_t)source) * q8_operand_at(w, i * taps + t);
      }
  return sum;
}

static q8_status eval(const q8_op_io *io) {
  const q8_integer_places *at = q8_integer_places_of(io);
  q8_conv_nd c;
  Q8_TRY(find_conv(io, &c));
  size_t out = q8_conv_positions(&c, 1), channels = c.c / c.groups;
  for (size_t plane = 0; plane < c.n * c.k; plane++) {
    size_t n = plane / c.k, k = plane % c.k;
    q8_integer_operand x = q8_integer_operand_of(io, 0, at->a_zero, 0), w = q8_integer_operand_of(io, at->b, at->b_zero, k);
    x.data += (n * c.c + k / (c.k / c.groups) * channels) * q8_conv_positions(&c, 0);
    w.data += k * channels * q8_conv_taps(&c);
    for (size_t q = 0; q < out; q++) {
      int64_t position[Q8_CONV_DIMS];
      q8_conv_split(&c, 1, q, position);
      q8_integer_store(io, 0, k, plane * out + q, accumulate(&c, &x, &w, position));
    }
  }
  return QINT8_OK;
}

static const q8_op_family family = {
    .int8_obstacle = "takes integers as values of the graph", .infer = infer, .eval = eval};

const q8_op q8_op_conv_integer = {
    .name = "ConvInteger", Q8_OPSETS(10, 21), Q8_INPUTS(2, 4), Q8_OUTPUTS(1, 1),
    Q8_ATTRIBUTES(attributes), .params_size = sizeof(q8_conv_params), .quant = Q8_QUANT_FLOAT,
    .family = &family};

/* x, x_scale, x_zero_point, w, w_scale, w_zero_point, y_scale, y_zero_point, B */
const q8_op q8_op_qlinear_conv = {
    .name = "QLinearConv", Q8_OPSETS(10, 21), Q8_INPUTS(8, 9), Q8_OUTPUTS(1, 1),
    Q8_ATTRIBUTES(attributes), .params_size = sizeof(q8_conv_params), .quant = Q8_QUANT_FLOAT,
    .family = &family};
