/* qdq.h - parameters and arithmetic of QuantizeLinear and DequantizeLinear nodes while importing. */
#ifndef Q8_ONNX_QDQ_H
#define Q8_ONNX_QDQ_H

#include "onnx/importer.h"

/* The parameters of a QUANTIZE or DEQUANTIZE node, arrays in the quant's pool. `data` is the constant it works on, or
 * NULL for an activation, whose axis is then not checked. The type is that of the zero point; without one, that of
 * `data` if it holds integers, else u8. UNSUPPORTED if scale or zero point are not constants. */
q8_status q8_qdq_params(q8_importer *importer, const q8_raw_node *node, const q8_tensor *data,
                        q8_tensor_quant *out);
/* `b` may be NULL, which nothing equals. */
int q8_qdq_equal(const q8_tensor_quant *a, const q8_tensor_quant *b);
/* Float values of an integer constant, in the graph's pool. */
q8_status q8_qdq_dequantize(q8_importer *importer, const q8_raw_node *node, const q8_tensor *integers,
                            const q8_tensor_quant *params, q8_raw_tensor *out);
/* Integers of a float constant: u8 or s8 in the importer's pool, s32 (a bias) in the graph's. */
q8_status q8_qdq_quantize(q8_importer *importer, const q8_raw_node *node, const q8_tensor *values,
                          const q8_tensor_quant *params, q8_tensor *out);

#endif
