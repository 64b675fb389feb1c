/* quantize_linear.c - QuantizeLinear: saturate(rne(x / scale) + zero point). */
#include "ops/integer.h"

typedef struct quantize_params {
  int64_t axis, block_size, output_dtype, saturate, precision;
} quantize_params;

#define AT(field) offsetof(quantize_params, field)
static const q8_attribute attributes[] = {{"axis", Q8_ATTR_INT, AT(axis), 0, 0, 1},
                                          {"block_size", Q8_ATTR_INT, AT(block_size), 0, 0, 0},
                                          {"output_dtype", Q8_ATTR_INT, AT(output_dtype), 0, 0, 0},
                                          {"saturate", Q8_ATTR_INT, AT(saturate), 0, 0, 1},
                                          {"precision", Q8_ATTR_INT, AT(precision), 0, 0, 0}};

static q8_status infer(const q8_op_io *io) {
  const quantize_params *p = io->node->params;
  const q8_value *x = io->inputs[0], *zero = q8_input(io, 2);
  int32_t dtype = zero ? zero->dtype : p->output_dtype ? (int32_t)p->output_dtype : QINT8_DTYPE_U8;
  q8_scale_index index;
  if (x->dtype != QINT8_DTYPE_S32)
    Q8_TRY(q8_need_dtype(io, 0, QINT8_DTYPE_F32));
  Q8_TRY(q8_scale_index_of(io, p->axis, p->block_size, &index));
  if (dtype != QINT8_DTYPE_U8 && dtype != QINT8_DTYPE_S8 && dtype != QINT8_DTYPE_U16 && dtype != QINT8_DTYPE_S16)
    return q8_op_fail(io, QINT8_ERROR_UNSUPPORTED, "quantization to element type %d", (int)dtype);
  return q8_infer_set(io, 0, dtype, &x->shape);
}

static q8_status eval(const q8_op_io *io) {
  const quantize_params *p = io->node->params;
  const q8_value *x = io->inputs[0], *scale = io->inputs[1], *zero = q8_input(io, 2);
  q8_scale_index index;
  Q8_TRY(q8_scale_index_of(io, p->axis, p->block_size, &index));
  for (size_t i = 0; i < x->count; i++) {
    size_t s = q8_scale_of(&index, i);
    float v = x->dtype == QINT8_DTYPE_S32 ? (float)((const int32_t *)x->data)[i] : ((const float *)x->data)[i];
    q8_store_rounded(&io->outputs[0], i, v / ((const float *)scale->data)[s], zero ? q8_integer_at(zero, s) : 0);
  }
  return QINT8_OK;
}

const q8_op q8_op_quantize_linear = {
    .name = "QuantizeLinear", Q8_OPSETS(10, 21), Q8_INPUTS(2, 3), Q8_OUTPUTS(1, 1),
    Q8_ATTRIBUTES(attributes), .params_size = sizeof(quantize_params), .quant = Q8_QUANT_FLOAT,
    .float_inputs = 2,
    .family = &(const q8_op_family){.int8_obstacle = "gives integers as values of the graph", .infer = infer,
                                    .eval = eval}};
