/* cast.c - Cast and CastLike between element types. */
#include <stddef.h>

#include "base/element.h"
#include "ops/common.h"

typedef struct cast_params {
  int64_t to;
} cast_params;

static const q8_attribute attributes[] = {{"to", Q8_ATTR_INT, offsetof(cast_params, to), 1, 0, 0}};

static q8_status infer(const q8_op_io *io) {
  int64_t to = ((const cast_params *)io->node->params)->to;
  if (to < 1 || to > 64 || qint8_dtype_size((qint8_dtype)to) == 0)
    return q8_op_fail(io, QINT8_ERROR_UNSUPPORTED, "cast to element type %d (%s)", (int)to,
                      q8_dtype_name((int32_t)(to < 0 || to > 64 ? -1 : to)));
  return q8_infer_set(io, 0, (int32_t)to, &io->inputs[0]->shape);
}

/* To the type of input 1. */
static q8_status infer_like(const q8_op_io *io) {
  return q8_infer_set(io, 0, io->inputs[1]->dtype, &io->inputs[0]->shape);
}

static q8_status eval(const q8_op_io *io) {
  const q8_value *x = io->inputs[0];
  q8_cast(x->dtype, x->data, 1, io->outputs[0].dtype, io->outputs[0].data, x->count);
  return QINT8_OK;
}

#define CAST(id, onnx_name, opset, inputs, list, params, infer_fn)                                                   \
  const q8_op q8_op_##id = {                                                                                       \
      .name = onnx_name, Q8_OPSETS(opset, 21), Q8_INPUTS(inputs, inputs), Q8_OUTPUTS(1, 1),                        \
      Q8_ATTRIBUTES(list), .params_size = params, .quant = Q8_QUANT_FLOAT,                                         \
      .family = &(const q8_op_family){.int8_obstacle = "no int8 form: changes the element type",                   \
                                      .infer = infer_fn, .eval = eval}};

CAST(cast, "Cast", 6, 1, attributes, sizeof(cast_params), infer)
CAST(cast_like, "CastLike", 15, 2, NULL, 0, infer_like)
