/* exporter.h - state of one export, shared by the files that write models.
 *
 * Names: an activation t is written under its own name. If it is quantized, t -> QuantizeLinear -> DequantizeLinear ->
 * t_dequantized, once. An output of the graph that int8 nodes write is the end of such a chain instead: t_float -> ...
 * -> t. A quantized constant w is w_quantized -> DequantizeLinear -> w. Import maps all of these back to t and w.
 * In QOperator form (qoperator_out.c) nodes read and write t_quantized where they can.
 */
#ifndef Q8_ONNX_EXPORTER_H
#define Q8_ONNX_EXPORTER_H

#include "graph/names.h"
#include "onnx/export.h"
#include "onnx/proto.h"
#include "onnx/wire.h"
#include "ops/hooks.h"

typedef struct q8_out_tensor {
  const char *raw;         /* the float value as its producer writes it; an initializer for constants */
  const char *dequantized; /* after the pair; NULL if there is none (yet, for constants) */
  const char *dynamic;     /* after DynamicQuantizeLinear and DequantizeLinear; NULL if no node needs it */
  uint8_t stored_int8;     /* every reader sees the rounded value: its producer is STATIC, or the recipe says so */
  uint8_t wants_raw;       /* constants: some node reads it as it is */
  uint8_t wants_pair, wants_dynamic;
  uint8_t wants_integers, integers_made; /* QOperator form: some node reads integers; its producer writes them */
  const char *integers, *scale, *zero;   /* once the pair's first half has names */
  uint8_t raw_written, pair_written, bias_named; /* constants */
} q8_out_tensor;

/* Without memory writer.failed is set, what is missing has no name or is left out, and export goes on: nothing of it is
 * kept. */
struct q8_exporter {
  const q8_graph *graph;
  const q8_recipe *recipe; /* NULL: float */
  q8_writer writer;        /* inside the GraphProto while nodes are written */
  struct q8_names *names;  /* taken tensor names */
  struct q8_names *node_names; /* taken */
  q8_out_tensor *tensors;  /* [tensor_count] */
  uint8_t *modes;          /* [node_count] q8_mode, as the planner will take them */
  int32_t format;          /* qint8_format */
  uint8_t *on_integers;    /* [node_count] written by qoperator_out.c */
  const char **inputs, **outputs; /* names of the current node, NULL where left out: of the one with the most */
  q8_pool pool;
};

/* export_plan.c: modes, and which tensor is written in which forms. */
void q8_export_decide(q8_exporter *exporter);
/* Whether the bias of a STATIC weighted node can be s32 with the scale of its accumulators. */
int q8_export_bias_is_int32(const q8_exporter *exporter, const q8_node *node);

/* export_tensor.c */
typedef struct q8_out_data {
  int32_t dtype, rank;
  const int64_t *dims;
  const void *data;
} q8_out_data;
void q8_export_tensor_proto(q8_exporter *exporter, uint32_t number, const char *name, const q8_out_data *data);
void q8_export_value(q8_exporter *exporter, uint32_t number, const q8_tensor *tensor);

/* qdq_out.c */
/* Names of everything the node reads into exporter->inputs, writing constants on their first use. */
void q8_export_inputs(q8_exporter *exporter, size_t node);
/* A constant as it is, under its own name; once. */
void q8_export_raw_constant(q8_exporter *exporter, q8_id tensor);
/* Names of integers, scale and zero point of an activation or a constant, which is written with them; once. */
void q8_export_name_integers(q8_exporter *exporter, q8_id tensor);
/* The bias of a STATIC node as s32, with scales beside it if `pair`: then DequantizeLinear writes the name returned. */
const char *q8_export_bias(q8_exporter *exporter, const q8_node *node, int pair);
/* The pairs behind an activation, once it has a value. */
void q8_export_pairs(q8_exporter *exporter, q8_id tensor);

/* qoperator_out.c */
/* Whether the node has a QOperator form that says the same. */
int q8_export_fits_integers(const q8_exporter *exporter, const q8_node *node);
void q8_export_on_integers(q8_exporter *exporter, size_t node);

/* export_node.c */
/* base + suffix, or with a number: a tensor name that is not used yet; "" without memory. */
const char *q8_export_derive(q8_exporter *exporter, const char *base, const char *suffix);
/* Opens a node, for its attributes. `name` is made unique; NULL: from the first output. */
size_t q8_export_begin(q8_exporter *exporter, const char *op_type, const char *name, const char *const *inputs,
                       int32_t input_count, const char *const *outputs, int32_t output_count);
void q8_export_attributes(q8_exporter *exporter, const q8_node *node);
q8_status q8_export_graph_node(q8_exporter *exporter, size_t node, qint8_error *error);

#endif
