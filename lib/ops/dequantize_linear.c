/* dequantize_linear.c - DequantizeLinear: (x - zero point) * scale. */
#include "ops/integer.h"

typedef struct dequantize_params {
  int64_t axis, block_size;
} dequantize_params;

#define AT(field) offsetof(dequantize_params, field)
static const q8_attribute attributes[] = {{"axis", Q8_ATTR_INT, AT(axis), 0, 0, 1},
                                          {"block_size", Q8_ATTR_INT, AT(block_size), 0, 0, 0}};

static q8_status infer(const q8_op_io *io) {
  const dequantize_params *p = io->node->params;
  const q8_value *x = io->inputs[0];
  q8_scale_index index;
  int32_t t = x->dtype;
  if (t != QINT8_DTYPE_U8 && t != QINT8_DTYPE_S8 && t != QINT8_DTYPE_U16 && t != QINT8_DTYPE_S16 && t != QINT8_DTYPE_S32)
    return q8_op_fail(io, QINT8_ERROR_UNSUPPORTED, "dequantization of element type %d", (int)t);
  Q8_TRY(q8_need_dtype(io, 2, t));
  Q8_TRY(q8_scale_index_of(io, p->axis, p->block_size, &index));
  return q8_infer_set(io, 0, QINT8_DTYPE_F32, &x->shape);
}

static q8_status eval(const q8_op_io *io) {
  const dequantize_params *p = io->node->params;
  const q8_value *x = io->inputs[0], *scale = io->inputs[1], *zero = q8_input(io, 2);
  q8_scale_index index;
  Q8_TRY(q8_scale_index_of(io, p->axis, p->block_size, &index));
  for (size_t i = 0; i < x->count; i++) {
    size_t s = q8_scale_of(&index, i);
    int64_t v = (int64_t)q8_integer_at(x, i) - (zero ? q8_integer_at(zero, s) : 0);
    ((float *)io->outputs[0].data)[i] = (float)v * ((const float *)scale->data)[s];
  }
  return QINT8_OK;
}

const q8_op q8_op_dequantize_linear = {
    .name = "DequantizeLinear", Q8_OPSETS(10, 21), Q8_INPUTS(2, 3), Q8_OUTPUTS(1, 1),
    Q8_ATTRIBUTES(attributes), .params_size = sizeof(dequantize_params), .quant = Q8_QUANT_FLOAT,
    .float_inputs = 2,
    .family = &(const q8_op_family){.int8_obstacle = "takes integers as values of the graph", .infer = infer,
                                    .eval = eval}};
