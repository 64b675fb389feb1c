/* graph.h - the float model as a graph: tensors, nodes in execution order. Frozen once built.
 *
 * A graph never learns that it is quantized: that is the recipe's side table, indexed by the same tensor and node
 * numbers. All memory belongs to the graph's pool.
 */
#ifndef Q8_GRAPH_H
#define Q8_GRAPH_H

#include "base/mapping.h"
#include "base/memory.h"

#define Q8_MAX_RANK QINT8_MAX_RANK

typedef struct q8_shape {
  int32_t rank;             /* -1: unknown */
  int64_t dim[Q8_MAX_RANK]; /* -1: symbolic */
} q8_shape;

/* Elements of a shape whose dimensions are all known; 0 on overflow or unknown dimensions (`ok` tells, may be NULL). */
size_t q8_shape_count(const q8_shape *shape, int *ok);
/* Elements of one index of all dimensions before `from`: the product of those from there on. */
size_t q8_shape_inner(const q8_shape *shape, int32_t from);
int q8_shape_equal(const q8_shape *a, const q8_shape *b);
/* "[1, 3, 224, 224]" into `text`; returns `text`. */
const char *q8_shape_text(const q8_shape *shape, char *text, size_t size);

typedef int32_t q8_id; /* a tensor or node number; Q8_NONE where an optional input is left out */
#define Q8_NONE (-1)

/* Weights as a quantized file holds them: value = integer * scale, one scale or one for each index along `axis`. */
typedef struct q8_int8_values {
  const int8_t *values;
  const float *scale; /* [count] */
  int32_t count, axis;
} q8_int8_values;

/* 128 bytes with 64-bit pointers, and that is best for the code that indexes them. */
typedef struct q8_tensor {
  const char *name;
  int32_t dtype;                     /* qint8_dtype, NONE if not declared */
  q8_shape shape;                    /* as declared in the file; rank -1 if not */
  const char **dim_names;            /* [Q8_MAX_RANK] symbols of dimensions that are -1, each or all may be NULL */
  const void *data;                  /* dense row-major values of a constant, else NULL */
  const q8_int8_values *integers;       /* a float constant that is kept as integers: then data is NULL */
  q8_id producer;                    /* node, or Q8_NONE for inputs and constants */
  int32_t uses;                      /* as node input or graph output; counted by q8_graph_freeze */
  uint8_t pinned;                    /* rewrites keep this value: a quantized file rounds it */
} q8_tensor;

struct q8_op; /* ops/op.h */
/* Size of the params struct of an operator: implemented beside the records, in lib/ops. */
size_t q8_op_params_size(const struct q8_op *op);

typedef struct q8_node {
  const char *name; /* never empty: unnamed nodes are called <op>_<number> */
  const struct q8_op *op;
  const void *params; /* op->params_size bytes, filled through op->attributes */
  int32_t input_count, output_count;
  q8_id *inputs, *outputs;
} q8_node;

typedef struct q8_graph {
  q8_pool pool;
  int64_t opset; /* of the file it came from; the graph itself is in canonical form, see ops/op.h */
  q8_tensor *tensors;
  size_t tensor_count, tensor_capacity;
  q8_node *nodes; /* execution order once frozen */
  size_t node_count, node_capacity;
  q8_id *inputs, *outputs;
  size_t input_count, output_count;
  struct q8_names *names; /* name -> tensor */
  void *bytes;            /* of the file, of the host, if constants lie in them: else NULL */
  q8_mapping mapping;     /* the same for a file that is mapped */
} q8_graph;

/* ---- Building ---- */

q8_status q8_graph_create(const q8_host *host, q8_graph **out, qint8_error *error);
void q8_graph_destroy(q8_graph *graph);

/* Adds a tensor with a name not yet used (FORMAT otherwise); dtype and shape as known. `data` is kept, not copied:
 * it must live in the graph's pool. */
q8_status q8_graph_add_tensor(q8_graph *graph, const char *name, int32_t dtype, const q8_shape *shape,
                              const void *data, q8_id *out, qint8_error *error);
/* Copies the symbols of its dimensions: one or NULL for each. */
q8_status q8_graph_name_dims(q8_graph *graph, q8_id id, const char *const *names, qint8_error *error);
/* The tensor of that name, or Q8_NONE. */
q8_id q8_graph_find(const q8_graph *graph, const char *name);
/* A tensor name not yet used: `base` or `base` with a number. In the pool; NULL without memory. */
const char *q8_graph_fresh_name(q8_graph *graph, const char *base);
/* Adds a node; name, inputs, outputs and params are copied. Order does not matter before freeze. */
q8_status q8_graph_add_node(q8_graph *graph, const char *name, const struct q8_op *op, const void *params,
                            size_t params_size, const q8_id *inputs, int32_t input_count, const q8_id *outputs,
                            int32_t output_count, qint8_error *error);
q8_status q8_graph_set_inputs(q8_graph *graph, const q8_id *ids, size_t count, qint8_error *error);
q8_status q8_graph_set_outputs(q8_graph *graph, const q8_id *ids, size_t count, qint8_error *error);

/* Sorts nodes topologically (FORMAT on a cycle or a tensor nobody produces, named), drops nodes whose outputs nobody
 * uses, sets producers and use counts. Stable: keeps file order where that is valid. May be called again after edits. */
q8_status q8_graph_freeze(q8_graph *graph, qint8_error *error);

/* A deep copy with the same tensor and node numbers, all constants as `data`, open to edits until frozen again. */
q8_status q8_graph_clone(const q8_graph *graph, q8_graph **out, qint8_error *error);

/* ---- Reading ---- */

/* The only node that uses `tensor`, or Q8_NONE if it has another number of uses, is pinned or a graph output. */
q8_id q8_graph_only_user(const q8_graph *graph, q8_id tensor);
int q8_graph_is_output(const q8_graph *graph, q8_id tensor);
int q8_graph_is_constant(const q8_graph *graph, q8_id tensor);
/* The floats that a constant's `integers` stand for; `out` has room for all its elements. */
void q8_int8_to_float(const q8_tensor *tensor, float *out);
/* From now on the constant is held as `data`, if it was held as integers. */
q8_status q8_graph_expand(q8_graph *graph, q8_id tensor, qint8_error *error);
/* The value of a constant with one element as float; 0 if it is not one (`out` unchanged). Reads f32, f64, s32, s64. */
int q8_graph_scalar(const q8_graph *graph, q8_id tensor, float *out);

#endif
