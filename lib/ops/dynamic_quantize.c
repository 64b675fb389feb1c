/* dynamic_quantize.c - DynamicQuantizeLinear: u8 values, scale and zero point from the range of x, which includes 0. */
#include "ops/integer.h"

static q8_status infer(const q8_op_io *io) {
  q8_shape scalar = {.rank = 0};
  Q8_TRY(q8_infer_set(io, 0, QINT8_DTYPE_U8, &io->inputs[0]->shape));
  if (io->node->output_count > 1)
    Q8_TRY(q8_infer_set(io, 1, QINT8_DTYPE_F32, &scalar));
  return io->node->output_count > 2 ? q8_infer_set(io, 2, QINT8_DTYPE_U8, &scalar) : QINT8_OK;
}

static q8_status eval(const q8_op_io *io) {
  const q8_value *x = io->inputs[0];
  const float *values = x->data;
  float low = 0, high = 0;
  for (size_t i = 0; i < x->count; i++) {
    low = values[i] < low ? values[i] : low;
    high = values[i] > high ? values[i] : high;
  }
  float scale = low == high ? 1 : (high - low) / 255.0f;
  float zero = rintf(-low / scale);
  int32_t zero_point = zero < 0 ? 0 : zero > 255 ? 255 : (int32_t)zero;
  for (size_t i = 0; i < x->count; i++)
    q8_store_rounded(&io->outputs[0], i, values[i] / scale, zero_point);
  if (io->node->output_count > 1)
    *(float *)io->outputs[1].data = scale;
  if (io->node->output_count > 2)
    *(uint8_t *)io->outputs[2].data = (uint8_t)zero_point;
  return QINT8_OK;
}

const q8_op q8_op_dynamic_quantize = {
    .name = "DynamicQuantizeLinear", Q8_OPSETS(11, 21), Q8_INPUTS(1, 1), Q8_OUTPUTS(1, 3),
    .quant = Q8_QUANT_FLOAT,
    .float_inputs = 1,
    .family = &(const q8_op_family){.int8_obstacle = "gives integers as values of the graph", .infer = infer,
                                    .eval = eval}};
