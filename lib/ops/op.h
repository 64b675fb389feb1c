/* op.h - what an operator is.
 *
 * How to add an operator: write lib/ops/<name>.c with one `const q8_op q8_op_<name>` record, which names the family of
 * functions that it shares with its like, and add the line `Q8_OP(<name>)` to ops.def.
 * Nothing else knows operator names: import and export go through the attribute table, quantization through the rule,
 * the planner through `plan`, or through `eval` where there is no faster way.
 *
 * Canonical form: a graph in memory holds each operator as opset 17 defines it, except that inputs which must be
 * constant there (Clip's bounds, Reshape's shape, axes, ...) stay inputs, constant tensors, exactly as in opset 17.
 * `upgrade` brings older forms to it while importing. Operators of the domain "qint8" are patterns that rewrites
 * recognised (Silu, HardSwish in older opsets, convolution with its activation); `expand` writes them as standard
 * ones on export.
 */
#ifndef Q8_OP_H
#define Q8_OP_H

#include "graph/graph.h"

/* ---- Attributes ---- */

#define Q8_MAX_INTS 16
typedef struct q8_ints {
  int32_t count; /* -1: the attribute was absent */
  int64_t v[Q8_MAX_INTS];
} q8_ints;

typedef struct q8_floats {
  int32_t count; /* -1: the attribute was absent */
  float v[Q8_MAX_INTS];
} q8_floats;

/* A tensor attribute with one element (ConstantOfShape's value). */
typedef struct q8_scalar {
  int32_t dtype; /* NONE: the attribute was absent */
  int64_t i;     /* the value of an integer or bool type */
  double f;      /* the value of a float type */
} q8_scalar;

typedef enum q8_attribute_type {
  Q8_ATTR_INT,
  Q8_ATTR_FLOAT,
  Q8_ATTR_INTS,
  Q8_ATTR_STRING,
  Q8_ATTR_SCALAR,
  Q8_ATTR_FLOATS,
  Q8_ATTR_TEXT,  /* a string too long for STRING */
  Q8_ATTR_STRINGS /* a list of strings, kept joined by commas; "" if absent */
} q8_attribute_type;
#define Q8_TEXT_SIZE 256

#define Q8_INTERNAL 1 /* set by rewrites only: never read from or written to a file */
/* A list of integers that files before the opset `preset` have, and that becomes constant input i while importing. */
#define Q8_TO_INPUT(i) (1 + (i))

/* One attribute: where it lands in the op's params struct (int64_t, float, q8_ints, char[32], q8_scalar,
 * q8_floats, char[Q8_TEXT_SIZE]). */
typedef struct q8_attribute {
  const char *name; /* STRING: with the default behind its end, as Q8_NAME_AND_TEXT writes it; "" for other texts */
  uint32_t type : 8; /* q8_attribute_type */
  uint32_t offset : 16;
  uint32_t required : 4;
  uint32_t place : 4; /* in a file: 0, an attribute, or Q8_INTERNAL or Q8_TO_INPUT */
  float preset;          /* default of INT and FLOAT; lists default to count -1 */
} q8_attribute;
#define Q8_NAME_AND_TEXT(name, text) name "\0" text

/* ---- Values: a tensor with bound shape ---- */

typedef struct q8_value {
  int32_t dtype;
  q8_shape shape; /* fully known, rank >= 0 */
  size_t count;   /* elements */
  void *data;     /* while planning: non-NULL only for constants, and for weights kept as integers once asked for */
} q8_value;

/* ---- Quantization rule ---- */

typedef enum q8_quant_rule {
  Q8_QUANT_FLOAT = 0, /* has no int8 form; `int8_obstacle` says why */
  Q8_QUANT_OWN,       /* every activation input and the output has its own range */
  Q8_QUANT_SAME,      /* moves or selects values: the output shares the parameters of input 0 */
  Q8_QUANT_SHARED,    /* all inputs and the output share one set (Concat) */
  Q8_QUANT_WEIGHTED,  /* input 0 activation, input 1 constant weight (int8 s8 symmetric), input 2 bias (s32) */
  Q8_QUANT_RECURRENT  /* input 0 activation, inputs 1 and 2 constant weights: dynamic mode or float */
} q8_quant_rule;

struct q8_planner;
struct q8_exporter;
struct q8_upgrade;

/* What the planner passes to `infer` and `eval`. Left-out inputs are NULL. */
typedef struct q8_op_io {
  const q8_node *node;
  const q8_value *const *inputs;
  q8_value *outputs;
  qint8_error *error;
} q8_op_io;

/* What few operators have: each may be NULL. */
typedef struct q8_op_extras {
  /* WEIGHTED and RECURRENT: the weights' output-channel axis (Conv: 0, Gemm: by transB), negative from the end. */
  int32_t (*weight_axis)(const q8_node *node);
  /* Why such a node had better stay float in a dynamic recipe, or NULL. */
  const char *(*dynamic_obstacle)(const q8_node *node);
  const struct q8_op *becomes; /* a deprecated operator: after `upgrade`, the same params are those of this one */
  /* For an operator whose result is one of its inputs once others are constant: which one, or -1. Then no shapes are
   * inferred, and what only the other inputs need is left out of the plan. */
  int32_t (*chosen)(const q8_op_io *io);
  /* WEIGHTED: adds `factor` times the mean of each output channel over its positions, without bias and activation, for
   * one sample; where that takes less than computing the positions. MEMORY. */
  q8_status (*add_means)(const q8_op_io *io, const q8_host *host, double factor, double *mean);
  /* Writes a node of domain "qint8" as standard nodes: see onnx/export.h. */
  q8_status (*expand)(struct q8_exporter *exporter, const q8_graph *graph, const q8_node *node, qint8_error *error);
} q8_op_extras;

/* What operators do: shared by those that differ by their `variant` only. */
typedef struct q8_op_family {
  const char *int8_obstacle; /* reason, for Q8_QUANT_FLOAT and RECURRENT */
  /* Sets dtype and shape of every output from the inputs' shapes, types and constant data. Required.
   * Fails with SHAPE and a message naming the offending shapes. */
  q8_status (*infer)(const q8_op_io *io);
  /* Computes the outputs (allocated, shaped) from dense row-major inputs. Required: it is the reference, folds
   * constants, and serves as the float step where `plan` is NULL. Allocates nothing. */
  q8_status (*eval)(const q8_op_io *io);
  /* Adds steps for the node to the plan: see ops/plan.h. Optional. */
  q8_status (*plan)(struct q8_planner *planner, q8_id node);
  /* Brings a node of an older opset to the canonical form (params already parsed). Optional. */
  q8_status (*upgrade)(struct q8_upgrade *node);
  const q8_op_extras *extras; /* NULL: nothing of it; read through q8_extras */
} q8_op_family;

typedef struct q8_op {
  const char *name;               /* ONNX op_type */
  const q8_attribute *attributes; /* set with their number by Q8_ATTRIBUTES(array or NULL) */
  const q8_op_family *family;
  const void *variant; /* what the family's functions need to know about this one */
  uint32_t params_size : 11;
  uint32_t min_opset : 5, max_opset : 5; /* forms that `upgrade` and the attribute table understand */
  uint32_t quant : 3;                    /* q8_quant_rule */
  uint32_t pattern : 1;                  /* of the domain "qint8", not of ai.onnx */
  uint32_t unary : 1; /* y = f(x) of each element, f = q8_node_function; its variant is a q8_unary_set (ops/unary.h) */
  uint32_t shape_only : 1; /* the result depends on the inputs' shapes alone (Shape, Size): folded once bound */
  uint32_t two_activations : 1; /* WEIGHTED: the weights may also be an activation with own parameters (MatMul) */
  uint32_t min_inputs : 4, min_outputs : 2;
  int32_t max_inputs : 5, max_outputs : 4; /* -1: any number */
  uint32_t attribute_count : 6;
  /* What is checked before `infer`. Masks have a bit for each input, which may be left out. */
  uint32_t float_inputs : 5; /* must be float32 */
  uint32_t index_inputs : 3; /* must be int32 or int64 */
  uint32_t least_rank : 2;   /* of input 0 */
  uint32_t has_axis : 1;     /* the params begin with an axis of input 0, an int64_t: see q8_axis_of */
} q8_op;

#define Q8_OPSETS(first, last) .min_opset = first, .max_opset = last
#define Q8_INPUTS(least, most) .min_inputs = least, .max_inputs = most
#define Q8_OUTPUTS(least, most) .min_outputs = least, .max_outputs = most
#define Q8_ATTRIBUTES(list) .attributes = list, .attribute_count = sizeof(list) / sizeof(q8_attribute)
#define Q8_EACH_ATTRIBUTE(a, op) \
  (const q8_attribute *a = (op)->attributes; a && a < (op)->attributes + (op)->attribute_count; a++)

/* The function of a `unary` node: so that it can be a 256-entry table, and so that the range of x can be chosen by the
 * error it causes in f(x). `node` is a q8_node. */
float q8_node_function(const void *node, float x);

/* Whether input i only says how, as bounds, indices or scales do: it has no int8 form. */
static inline int q8_is_parameter(const q8_op *op, int32_t i) {
  return i > 0 && (op->unary || op->quant == Q8_QUANT_SAME);
}

/* How many inputs from input 1 on are weights. */
static inline int32_t q8_weight_inputs(const q8_op *op) {
  return op->quant == Q8_QUANT_WEIGHTED ? 1 : op->quant == Q8_QUANT_RECURRENT ? 2 : 0;
}

/* The extras of an operator, all NULL where it has none. */
const q8_op_extras *q8_extras(const q8_op *op);
/* The output-channel axis of a node that has weights. */
int32_t q8_weight_axis(const q8_node *node);
/* The record of an operator by ONNX name and domain ("", "ai.onnx" or "qint8"), or NULL. */
const q8_op *q8_op_find(const char *name, const char *domain);
/* All records, for tests and `inspect`. */
extern const q8_op *const q8_op_list[];
extern const size_t q8_op_count;

/* The default of a text. */
const char *q8_attribute_text(const q8_attribute *attribute);
/* Sets params to the defaults of the table. */
void q8_op_defaults(const q8_op *op, void *params);

/* ---- Helpers for infer and eval (lib/ops/shape.c) ---- */

/* Fails with a message about the node: of printf's conversions d, u, s and g without width, and %p for a shape. */
q8_status q8_op_fail(const q8_op_io *io, q8_status status, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
/* The operator's `infer`, after what its record says of the inputs was checked. */
q8_status q8_infer(const q8_op_io *io);
/* Output `index` gets dtype and shape; count is computed. SHAPE or LIMIT on overflow (more than 2^40 bytes). */
q8_status q8_infer_set(const q8_op_io *io, int32_t index, int32_t dtype, const q8_shape *shape);
/* Output 0 gets that shape and the dtype of input 0. */
q8_status q8_infer_shaped(const q8_op_io *io, const q8_shape *shape);
/* Output 0 like input 0. */
q8_status q8_infer_same(const q8_op_io *io);
/* Numpy broadcasting of two shapes. */
q8_status q8_infer_broadcast(const q8_op_io *io, const q8_shape *a, const q8_shape *b, q8_shape *out);
/* Elements of a constant integer input as int64; SHAPE error if it is not constant or has more than Q8_MAX_INTS. */
q8_status q8_infer_ints(const q8_op_io *io, int32_t input, q8_ints *out);
/* The same as a shape, which may have negative dimensions. LIMIT if there are more than Q8_MAX_RANK. */
q8_status q8_infer_shape(const q8_op_io *io, int32_t input, q8_shape *out);
/* UNSUPPORTED unless input `i` has data: for results whose shape depends on it. */
q8_status q8_need_data(const q8_op_io *io, int32_t i);

/* Shapes bound: one q8_value per tensor of the graph, constants with data, computed by infer (and eval where all
 * inputs are constant, so that shape arithmetic disappears). */
typedef struct q8_binding {
  q8_pool pool;
  q8_value *values; /* [graph->tensor_count]; NONE as dtype: not needed, and its shape could not be inferred */
  uint8_t *needed;  /* [graph->node_count]; NULL: all nodes */
} q8_binding;
/* `inputs` has graph->input_count shapes, fully known. `values` (may be NULL) has as many pointers: the data of an input
 * that is to be a constant, or NULL; not copied. */
q8_status q8_bind(const q8_graph *graph, const q8_shape *inputs, const void *const *values, const q8_host *host,
                  q8_binding **out, qint8_error *error);
/* Gives the value of a constant that the graph keeps as integers its data. */
q8_status q8_bind_floats(const q8_graph *graph, q8_binding *binding, q8_id tensor, qint8_error *error);
void q8_binding_destroy(q8_binding *binding);

#endif
