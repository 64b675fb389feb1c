/* round.h - a float constant as integers, by the rule of QuantizeLinear. */
#ifndef Q8_ONNX_ROUND_H
#define Q8_ONNX_ROUND_H

#include "graph/graph.h"
#include "quant/recipe.h"

/* out: int32_t for s32, else bytes. The integers that `quant` keeps, if it does; else
 * clamp(rne(x / scale) + zero_point), NaN to the lowest value. */
void q8_round_constant(const q8_tensor_quant *quant, const q8_shape *shape, const float *x, void *out);

#endif
