/* modes.h - in which mode a node of a QDQ file runs, as its quantized tensors imply. Import uses it; export uses it to
 * know which float nodes must be named in the file. */
#ifndef Q8_ONNX_MODES_H
#define Q8_ONNX_MODES_H

#include "ops/op.h"
#include "quant/recipe.h"

/* `dynamic` [tensor_count]: non-zero for tensors that a DynamicQuantizeLinear reads. Tensor types are mostly unknown
 * here, so the answer may be STATIC for a node that the planner then finds to have a float input: it decides. */
q8_mode q8_onnx_infer_mode(const q8_graph *graph, const q8_recipe *recipe, const uint8_t *dynamic,
                           const q8_node *node);
/* Whether the recipe quantizes the node's weights in a form that runs on integers: s8, symmetric, along the axis of
 * output channels or per tensor; imported weights of Conv, Gemm, MatMul also u8 and with zero points. */
int q8_onnx_weight_is_int8(const q8_graph *graph, const q8_recipe *recipe, const q8_node *node);

#endif
