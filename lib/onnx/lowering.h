/* lowering.h - the node list while QOperator nodes become QDQ form: shared by qoperator_in.c and qoperator_dynamic.c. */
#ifndef Q8_ONNX_LOWERING_H
#define Q8_ONNX_LOWERING_H

#include "onnx/qoperator.h"

/* What is known of a tensor that holds integers: the ids of its scale and zero point. */
typedef struct q8_integers {
  uint8_t known;
  q8_id scale, zero;
} q8_integers;

typedef struct q8_lowering {
  q8_importer *importer;
  q8_integers *tensors; /* [count] */
  int32_t *producer;    /* [count] raw node, or -1 */
  int32_t *uses;        /* [count] as input of a raw node; outputs of the graph count twice */
  size_t count;         /* tensors before the rewriting: those added later are float */
} q8_lowering;

static inline q8_raw_node *q8_lower_raw(const q8_lowering *l, int32_t node) {
  return &l->importer->nodes[node];
}
static inline const q8_tensor *q8_lower_tensor(const q8_lowering *l, q8_id id) {
  return &l->importer->graph->tensors[id];
}
static inline q8_id q8_lower_input(const q8_raw_node *node, int32_t i) {
  return i < node->input_count ? node->inputs[i] : Q8_NONE;
}

/* lowering.c */
/* A new tensor for the float value of an integer tensor, named after it. */
q8_status q8_lower_name(q8_lowering *l, q8_id integers, q8_id *out);
/* DequantizeLinear of (integers, scale, zero point). */
q8_status q8_lower_dequantize(q8_lowering *l, const char *name, const q8_id *triple, int64_t axis, q8_id *out);
/* The attributes that the standard operator has, as bytes of a node. */
q8_status q8_lower_attributes(q8_lowering *l, const q8_raw_node *node, q8_reader *out);
/* The axis of a weight's output channels: the operator knows, by its attributes. */
q8_status q8_lower_weight_axis(q8_lowering *l, const q8_raw_node *node, const char *op_type, q8_reader bytes,
                               int64_t *out);
/* The values of a constant, or NULL. */
const float *q8_lower_scales(const q8_lowering *l, q8_id id, size_t *count);
/* The node is replaced by others. */
void q8_lower_drop(q8_lowering *l, int32_t node);

/* qoperator_dynamic.c: MatMulInteger and ConvInteger; ONNX Runtime's fusions of them. */
q8_status q8_lower_integer(q8_lowering *l, int32_t node);
q8_status q8_lower_fused(q8_lowering *l, int32_t node);

#endif
