/* lowering.h - QOperator nodes on their way to QDQ form: shared by qoperator_in.c and qoperator_dynamic.c. */
#ifndef Q8_ONNX_LOWERING_H
#define Q8_ONNX_LOWERING_H

#include "onnx/qoperator.h"

static inline const q8_tensor *q8_lower_tensor(const q8_importer *importer, q8_id id) {
  return &importer->graph->tensors[id];
}

/* lowering.c */
/* A new tensor for the float value of an integer tensor, named after it. */
q8_status q8_lower_name(q8_importer *importer, q8_id integers, q8_id *out);
/* DequantizeLinear of (integers, scale, zero point). */
q8_status q8_lower_dequantize(q8_importer *importer, const char *name, const q8_id *triple, int64_t axis, q8_id *out);
/* The axis of a weight's output channels: the standard operator knows, by the node's attributes. */
q8_status q8_lower_weight_axis(q8_importer *importer, const q8_raw_node *node, const char *op_type, int64_t *out);
/* The values of a constant, or NULL. */
const float *q8_lower_scales(const q8_importer *importer, q8_id id, size_t *count);
/* The node is replaced by others. */
void q8_lower_drop(q8_importer *importer, q8_raw_node *node);

/* qoperator_dynamic.c: MatMulInteger and ConvInteger; ONNX Runtime's fusions of them. */
q8_status q8_lower_integer(q8_importer *importer, q8_raw_node *node);
q8_status q8_lower_fused(q8_importer *importer, const q8_raw_node *node);

#endif
