/* hooks.h - what an operator's `upgrade` and `expand` may ask of the importer and the exporter (implemented in
 * lib/onnx, so that operators do not see the file format). */
#ifndef Q8_OPS_HOOKS_H
#define Q8_OPS_HOOKS_H

#include "ops/op.h"

typedef struct q8_importer q8_importer;
typedef struct q8_exporter q8_exporter;

/* ---- For `upgrade`: old attributes become the constant inputs of the canonical form ---- */

#define Q8_UPGRADE_INPUTS 16

/* A node of the file, its attributes in `params`. Of the graph all initializers and Constant nodes are there, whatever
 * their place in the file. */
typedef struct q8_upgrade {
  q8_importer *importer;
  const q8_graph *graph;
  qint8_error *error;
  const char *name;
  void *params;
  q8_id *inputs; /* room for Q8_UPGRADE_INPUTS more; Q8_NONE from input_count on */
  int32_t input_count;
} q8_upgrade;

/* A new constant with a name made from `base`: a list of `count` elements, which are copied, or a scalar if it is -1.
 */
q8_status q8_import_constant(q8_importer *importer, const char *base, int32_t dtype, int64_t count, const void *data,
                             q8_id *out);
/* The same as input i of the node. */
q8_status q8_upgrade_input(q8_upgrade *node, int32_t i, int32_t dtype, int64_t count, const void *data);
/* A new node of that operator with default attributes and one output, a tensor with a name made from `base`. */
q8_status q8_import_new_node(q8_importer *importer, const char *op_type, const char *base, const q8_id *inputs,
                             int32_t input_count, q8_id *out);

/* ---- For `expand`: a recognised pattern as standard nodes of opset 17 ---- */

/* Attributes equal to their preset are not written, so an `upgrade` that moved an old attribute into an input sets the
 * field back to its preset. */
typedef struct q8_export_attribute {
  const char *name;
  q8_attribute_type type;
  const void *value; /* as params hold it */
} q8_export_attribute;

/* The name under which the node being expanded reads input i (NULL if left out) and must write output i. */
const char *q8_export_input(q8_exporter *exporter, const q8_node *node, int32_t i);
const char *q8_export_output(q8_exporter *exporter, const q8_node *node, int32_t i);
/* Zeroed memory until the file is written; NULL without. Then nothing of the file is kept: names are "" and writing
 * goes on, so that nobody else needs to look. */
void *q8_export_alloc(q8_exporter *exporter, size_t count, size_t size);
/* A tensor name that is not used yet, made from `base`. */
const char *q8_export_fresh(q8_exporter *exporter, const char *base);
/* A scalar f32 initializer; its name. */
const char *q8_export_scalar(q8_exporter *exporter, const char *base, float value);
/* An initializer of that shape; its name. */
const char *q8_export_constant(q8_exporter *exporter, const char *base, int32_t dtype, const q8_shape *shape,
                               const void *data);
/* The node as the operator that it is, for an `expand` that changes some forms only. */
void q8_export_standard(q8_exporter *exporter, const q8_node *node);
/* The name that q8_export_standard writes for an input instead of the node's own. */
void q8_export_replace_input(q8_exporter *exporter, int32_t i, const char *name);
/* Writes a node with one output, and an attribute or NULL. */
void q8_export_node(q8_exporter *exporter, const char *op_type, const char *const *inputs, int32_t input_count,
                    const char *output, const q8_export_attribute *attribute);

/* ---- Activations merged into a node (internal attributes activation_lo and activation_hi) ---- */

/* 1 if the node clamps its result; [-inf, inf] otherwise. On export such a node writes to a fresh tensor, followed by a
 * Relu ([0, inf]) or a Clip that writes the node's output. */
int q8_node_clamp(const q8_node *node, float *lo, float *hi);
/* The table entry of an attribute, internal ones included, or NULL; the field of the params that it fills, or NULL; the
 * value of a float attribute, of an integer one. */
const q8_attribute *q8_op_attribute(const q8_op *op, const char *name);
void *q8_op_field(const q8_op *op, const void *params, const char *name);
float q8_op_float(const q8_op *op, const void *params, const char *name, float otherwise);
int64_t q8_op_int(const q8_op *op, const void *params, const char *name, int64_t otherwise);
/* Whether the word, without spaces, is one of the words, with a space between them. */
int q8_has_word(const char *words, const char *word);
/* Whether the node is one of these standard operators (domain ""), names with a space between them. */
int q8_is_op(const q8_node *node, const char *names);

#endif
