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
  int32_t input_count, output_count;
  const char *name, *op_type;
  q8_id *inputs, *outputs; /* behind them room for Q8_UPGRADE_INPUTS and Q8_SPARE_OUTPUTS more, all Q8_NONE */
  const q8_op *op;         /* for OP; for QOPERATOR, NULL if the operator must be replaced */
  q8_reader bytes;         /* for the attributes */
  q8_tensor_quant *quant;  /* of QUANTIZE and DEQUANTIZE, once known; NULL if scale or zero point are not constants */
  struct q8_raw_node *next, *previous;
} q8_raw_node;
#define Q8_SPARE_OUTPUTS 4
#define Q8_EACH_RAW(node, importer) (q8_raw_node *node = (importer)->nodes; node; node = node->next)

typedef struct q8_quant_entry {
  const char *name;
  q8_tensor_quant quant; /* the arrays lie in the quant's pool */
  uint8_t read_raw;      /* a node or the caller sees the value before QuantizeLinear */
} q8_quant_entry;

typedef struct q8_name_list {
  const char **names;
  size_t count, capacity;
} q8_name_list;

struct q8_onnx_quant {
  q8_pool pool;
  int32_t config; /* qint8_config */
  q8_quant_entry *entries;
  size_t entry_count, entry_capacity;
  q8_name_list dynamic;     /* tensors that DynamicQuantizeLinear read */
  q8_name_list float_nodes; /* first outputs of nodes that stay float though their tensors are quantized */
};

/* Where tensors come from and go to. */
typedef struct q8_links {
  q8_raw_node **writer; /* [count], or NULL */
  int32_t *uses;        /* [count] as input of a raw node; outputs of the graph count twice */
  size_t count;         /* tensors when they were counted: there may be more now */
} q8_links;

struct q8_importer {
  qint8_error *error; /* where what fails is told */
  q8_graph *graph;
  q8_pool pool; /* freed after the import */
  q8_onnx_quant *quant;
  q8_raw_node *nodes, *last;
  size_t node_count;
  q8_links links;
  q8_reader graph_bytes;
  q8_id *inputs, *outputs; /* of the graph */
  size_t input_count, input_capacity, output_count, output_capacity;
  q8_reader file;   /* all bytes */
  const char *path; /* of the file, whose bytes may outlive the import: constants may point into them; or NULL */
  int needs_bytes;  /* and some do */
  struct q8_external_file *files; /* mapped beside it */
  struct q8_unknown *unknown; /* operators that the library does not have */
  struct q8_scope *scope; /* of the subgraph being read, NULL outside */
};

/* A TensorProto. Data lies in the graph's pool, or in the file's bytes if the importer keeps them. */
typedef struct q8_raw_tensor {
  const char *name; /* "" if it has none */
  int32_t dtype;
  q8_shape shape;
  void *data;
} q8_raw_tensor;

/* import_tensor.c */
/* A TensorProto.DataType that the library has, else NONE. */
int32_t q8_import_dtype(int64_t type);
/* `where` names the owner in messages if the tensor has no name. */
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

/* import_value.c: the graph's declarations; `number`: Q8_GRAPH_INPUT, Q8_GRAPH_OUTPUT or Q8_GRAPH_VALUE_INFO. */
q8_status q8_import_value(q8_importer *importer, q8_reader bytes, uint32_t number);

/* import_attr.c: attributes through the operator's table; the value of a Constant node. */
q8_status q8_import_attributes(q8_importer *importer, const q8_raw_node *node, const q8_op *op, void *params);
q8_status q8_import_constant_node(q8_importer *importer, const q8_raw_node *node, q8_raw_tensor *out);

/* import_node.c */
q8_status q8_import_nodes(q8_importer *importer); /* all names and constants; unknown operators */
q8_status q8_import_ops(q8_importer *importer);   /* nodes of the graph, and vanished ones */

/* qdq_keep.c: quantizing nodes that must stay become operators of the graph. */
q8_status q8_import_keep(q8_importer *importer);

/* import_build.c */
/* Zeroed memory until the import ends; NULL without, which is told. */
void *q8_import_alloc(q8_importer *importer, size_t count, size_t size, const char *where);
/* A node without kind, operator and attributes, its inputs and outputs Q8_NONE; NULL without memory, which is told. */
q8_raw_node *q8_import_make(q8_importer *importer, const char *op_type, const char *name, int32_t input_count,
                            int32_t output_count);
void q8_import_append(q8_importer *importer, q8_raw_node *node);
/* A node of ai.onnx or a pattern at the end of the list. Trailing inputs that are left out are no inputs. `bytes`:
 * attributes, as of a NodeProto, or NULL. */
q8_status q8_import_add(q8_importer *importer, const char *op_type, const char *name, const q8_id *inputs,
                        int32_t input_count, const q8_id *outputs, int32_t output_count, const q8_reader *bytes);
q8_status q8_import_identity(q8_importer *importer, const char *name, q8_id from, q8_id to);
/* Whether a node that is not OP has the inputs and outputs that it cannot do without; else FORMAT. */
int q8_import_is_whole(const q8_raw_node *node);
q8_status q8_import_check_whole(const q8_importer *importer, const q8_raw_node *node);
/* Fills importer->links. */
q8_status q8_import_links(q8_importer *importer);

/* What a node of the file turns into, if it is not If or Loop. */
q8_raw_kind q8_import_kind(const char *op_type, const char *domain);
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
q8_status q8_import_define(q8_importer *importer, q8_id id, const q8_raw_tensor *tensor);
/* A copy of the name at the end of one of the lists of importer->quant. */
q8_status q8_import_note(q8_importer *importer, q8_name_list *list, const char *name, size_t length);
/* A tensor name nobody uses. */
q8_status q8_import_fresh(q8_importer *importer, const char *base, q8_id *out);

#endif
