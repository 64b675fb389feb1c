/* importer.h - state of one import, shared by the files that read models. */
#ifndef Q8_ONNX_IMPORTER_H
#define Q8_ONNX_IMPORTER_H

#include "onnx/import.h"
#include "onnx/proto.h"
#include "onnx/wire.h"
#include "ops/hooks.h"

#define Q8_OPSET_MIN 1
#define Q8_OPSET_MAX 21

/* What a node of the file turns into. */
typedef enum q8_raw_kind {
  Q8_RAW_OP,        /* a node of the graph */
  Q8_RAW_CONSTANT,  /* a constant tensor */
  Q8_RAW_NOTHING,   /* replaced by others */
  Q8_RAW_QUANTIZE,  /* these three vanish: see qdq_in.c */
  Q8_RAW_DEQUANTIZE,
  Q8_RAW_DYNAMIC,
  Q8_RAW_QOPERATOR  /* becomes these and a node of the graph: see qoperator_in.c */
} q8_raw_kind;

/* A NodeProto whose names have become tensor numbers. Memory belongs to the importer's pool. */
typedef struct q8_raw_node {
  q8_raw_kind kind;
  const char *name, *op_type;
  const q8_op *op; /* for OP; for QOPERATOR, NULL if the operator must be replaced */
  q8_id *inputs, *outputs;
  int32_t input_count, output_count;
  q8_reader bytes; /* for the attributes */
} q8_raw_node;

typedef struct q8_quant_entry {
  const char *name;
  q8_tensor_quant quant; /* the arrays lie in the quant's pool */
  uint8_t read_raw;      /* a node or the caller sees the value before QuantizeLinear */
} q8_quant_entry;

struct q8_onnx_quant {
  q8_pool pool;
  int32_t config; /* qint8_config */
  q8_quant_entry *entries;
  size_t entry_count, entry_capacity;
  const char **dynamic; /* tensors that DynamicQuantizeLinear read */
  size_t dynamic_count, dynamic_capacity;
  const char **float_nodes; /* first outputs of nodes that stay float though their tensors are quantized */
  size_t float_count, float_capacity;
};

struct q8_importer {
  qint8_error *error; /* where what fails is told */
  q8_graph *graph;
  q8_onnx_quant *quant;
  q8_reader graph_bytes;
  q8_raw_node *nodes;
  size_t node_count, node_capacity;
  q8_id *inputs, *outputs; /* of the graph */
  size_t input_count, input_capacity, output_count, output_capacity;
  q8_reader file;   /* all bytes */
  const char *path; /* of the file, whose bytes may outlive the import: constants may point into them; or NULL */
  int needs_bytes;  /* and some do */
  struct q8_external_file *files; /* mapped beside it */
  struct q8_unknown *unknown; /* operators that the library does not have */
  struct q8_scope *scope; /* of the subgraph being read, NULL outside */
  q8_host host;
  q8_pool pool; /* freed after the import */
};

/* A TensorProto. Data lies in the graph's pool, or in the file's bytes if the importer keeps them. */
typedef struct q8_raw_tensor {
  const char *name; /* "" if it has none */
  int32_t dtype;
  q8_shape shape;
  void *data;
} q8_raw_tensor;

/* import_tensor.c. `where` names the owner in messages if the tensor has no name. */
q8_status q8_import_tensor(q8_importer *importer, q8_reader bytes, const char *where, q8_raw_tensor *out);

/* import_external.c: data of a tensor in a file beside the model. */
typedef struct q8_external {
  const char *location; /* NULL: the data lies in the model */
  const char *path;     /* of the file */
  size_t offset, length;
  int has_length;
  FILE *file; /* NULL if it is mapped */
} q8_external;
/* An entry of external_data. */
q8_status q8_external_entry(q8_importer *importer, q8_reader bytes, const char *where, q8_external *out);
/* Finds the bytes, which the file holds: `length` is set, *at where they are mapped, else the file is open at them. */
q8_status q8_external_open(q8_importer *importer, q8_external *data, const char *where, const uint8_t **at);

/* import_value.c: the graph's declarations. */
typedef enum q8_value_kind { Q8_VALUE_INPUT, Q8_VALUE_OUTPUT, Q8_VALUE_INFO } q8_value_kind;
q8_status q8_import_value(q8_importer *importer, q8_reader bytes, q8_value_kind kind);

/* import_attr.c: attributes through the operator's table; the value of a Constant node. */
q8_status q8_import_attributes(q8_importer *importer, const q8_raw_node *node, const q8_op *op, void *params);
q8_status q8_import_constant_node(q8_importer *importer, const q8_raw_node *node, q8_raw_tensor *out);

/* import_node.c */
q8_status q8_import_nodes(q8_importer *importer); /* all names and constants; unknown operators */
q8_status q8_import_ops(q8_importer *importer);   /* nodes of the graph, and vanished ones */

/* qdq_keep.c: quantizing nodes that must stay become operators of the graph. */
q8_status q8_import_keep(q8_importer *importer);

/* import_build.c: a node at the end of the list, which may move. Trailing inputs that are left out are no inputs. `bytes`:
 * attributes, as of a NodeProto, or NULL. */
q8_status q8_import_add(q8_importer *importer, q8_raw_kind kind, const char *op_type, const char *name,
                        const q8_id *inputs, int32_t input_count, const q8_id *outputs, int32_t output_count,
                        const q8_reader *bytes);

/* Reads a NodeProto into the node list. */
q8_status q8_import_node(q8_importer *importer, q8_reader bytes);

/* import_subgraph.c: the nodes of the bodies, in place of the node. */
q8_status q8_import_if(q8_importer *importer, const q8_raw_node *node);
q8_status q8_import_loop(q8_importer *importer, const q8_raw_node *node);
/* The tensor that a name stands for in a subgraph or those around it, or Q8_NONE. */
typedef struct q8_scope q8_scope;
q8_id q8_scope_find(const q8_scope *scope, const char *name);

/* qdq_in.c: takes the pairs out of the node list: inputs and outputs of the remaining nodes are renamed. */
q8_status q8_import_qdq(q8_importer *importer);

/* import.c */
/* The fields of a message by number, number 0 where there is none; of a repeated field the last. Higher numbers are
 * left out. */
#define Q8_FIELDS 22
typedef q8_field q8_message[Q8_FIELDS];
/* FORMAT unless the bytes are a sequence of fields; says where in the file. */
q8_status q8_import_message(const q8_importer *importer, q8_reader bytes, const char *where, q8_message out);
/* A StringStringEntryProto; "" where a string is missing or contains a zero byte. */
q8_status q8_import_entry(q8_importer *importer, q8_reader bytes, const char *where, const char **key,
                          const char **value);
/* FORMAT, of the byte that is at fault. */
q8_status q8_bad_wire(const q8_importer *importer, const uint8_t *at, const char *where);
/* The bytes as a string in the importer's pool, "" if the field is not there; FORMAT if they contain a zero byte. */
q8_status q8_import_string(q8_importer *importer, const q8_field *field, const char *where, const char **out);
/* The tensor of that name, made if it is new. */
q8_status q8_import_reference(q8_importer *importer, const char *name, q8_id *out);
/* Gives a tensor its constant value; FORMAT if it has one. */
q8_status q8_import_define(q8_importer *importer, const char *name, const q8_raw_tensor *tensor);
/* A tensor name nobody uses. */
q8_status q8_import_fresh(q8_importer *importer, const char *base, q8_id *out);

#endif
