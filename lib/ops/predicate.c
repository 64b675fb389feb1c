/* predicate.c - IsNaN, IsInf, Not, BitwiseNot. */
#include <math.h>
#include <stddef.h>

#include "base/element.h"
#include "ops/common.h"

typedef struct inf_params {
  int64_t negative, positive;
} inf_params;

static const q8_attribute inf_attributes[] = {
    {"detect_negative", Q8_ATTR_INT, offsetof(inf_params, negative), 0, 0, 1},
    {"detect_positive", Q8_ATTR_INT, offsetof(inf_params, positive), 0, 0, 1}};

static q8_status infer_float_test(const q8_op_io *io) {
  if (!q8_is_float(io->inputs[0]->dtype))
    return q8_op_fail(io, QINT8_ERROR_UNSUPPORTED, "%s of %s", io->node->op->name,
                      q8_dtype_name(io->inputs[0]->dtype));
  return q8_infer_set(io, 0, QINT8_DTYPE_BOOL, &io->inputs[0]->shape);
}

static q8_status eval_is_nan(const q8_op_io *io) {
  const q8_value *x = io->inputs[0];
  for (size_t i = 0; i < x->count; i++)
    ((uint8_t *)io->outputs[0].data)[i] = isnan(q8_element_double(x->dtype, x->data, i)) != 0;
  return QINT8_OK;
}

static q8_status eval_is_inf(const q8_op_io *io) {
  const inf_params *p = io->node->params;
  const q8_value *x = io->inputs[0];
  for (size_t i = 0; i < x->count; i++) {
    double value = q8_element_double(x->dtype, x->data, i);
    ((uint8_t *)io->outputs[0].data)[i] = (p->positive && value == INFINITY) || (p->negative && value == -INFINITY);
  }
  return QINT8_OK;
}

static q8_status infer_not(const q8_op_io *io) {
  Q8_TRY(q8_need_dtype(io, 0, QINT8_DTYPE_BOOL));
  return q8_infer_same(io);
}

static q8_status eval_not(const q8_op_io *io) {
  const uint8_t *x = io->inputs[0]->data;
  uint8_t *y = io->outputs[0].data;
  for (size_t i = 0; i < io->inputs[0]->count; i++)
    y[i] = !x[i];
  return QINT8_OK;
}

static q8_status infer_bits(const q8_op_io *io) {
  int32_t dtype = io->inputs[0]->dtype;
  if (q8_is_float(dtype) || dtype == QINT8_DTYPE_BOOL)
    return q8_op_fail(io, QINT8_ERROR_UNSUPPORTED, "BitwiseNot of %s", q8_dtype_name(dtype));
  return q8_infer_same(io);
}

static q8_status eval_bits(const q8_op_io *io) {
  const uint8_t *x = io->inputs[0]->data;
  uint8_t *y = io->outputs[0].data;
  for (size_t i = 0; i < io->inputs[0]->count * qint8_dtype_size((qint8_dtype)io->inputs[0]->dtype); i++)
    y[i] = (uint8_t)~x[i];
  return QINT8_OK;
}

#define PREDICATE(id, onnx_name, opset, list, params, infer_fn, eval_fn)                                            \
  const q8_op q8_op_##id = {                                                                                       \
      .name = onnx_name, Q8_OPSETS(opset, 21), Q8_INPUTS(1, 1), Q8_OUTPUTS(1, 1),                                  \
      Q8_ATTRIBUTES(list), .params_size = params, .quant = Q8_QUANT_FLOAT,                                         \
      .family = &(const q8_op_family){.int8_obstacle = "no int8 form: a result of type bool or integer",           \
                                      .infer = infer_fn, .eval = eval_fn}};

PREDICATE(is_nan, "IsNaN", 9, NULL, 0, infer_float_test, eval_is_nan)
PREDICATE(is_inf, "IsInf", 10, inf_attributes, sizeof(inf_params), infer_float_test, eval_is_inf)
PREDICATE(not, "Not", 1, NULL, 0, infer_not, eval_not)
PREDICATE(bitwise_not, "BitwiseNot", 18, NULL, 0, infer_bits, eval_bits)
