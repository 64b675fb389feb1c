/* nodes.h - one ONNX backend test: a folder with model.onnx and test_data_set_<n>/input_<i>.pb, output_<i>.pb. */
#ifndef Q8_ORACLE_NODES_H
#define Q8_ORACLE_NODES_H

#include "qint8.h"

typedef enum node_outcome { NODE_PASSED, NODE_FAILED, NODE_UNSUPPORTED, NODE_MISSING } node_outcome;

/* Plain data: the child process that runs a test writes it to its parent. */
typedef struct node_result {
  int32_t outcome; /* a node_outcome */
  int32_t bound;   /* inputs made constants of the plan: 0 none, 1 integers of rank 0 and 1, 2 all */
  char op[64];     /* of its only node; "(several)" if there are more */
  char reason[320];
} node_result;

/* Fills `result`; `folder` ends without a slash. */
void node_run(const char *folder, node_result *result);

/* ---- Files (pb.c) ---- */

/* The bytes of a file, malloc; NULL if it cannot be read. */
void *node_read_file(const char *path, size_t *size);
/* A TensorProto; 0 and a sentence in `reason` if it is not a dense tensor of numbers. `data` is malloc. */
int node_read_tensor(const char *path, qint8_tensor *out, char *reason, size_t reason_size);
/* The operator of the model's only node, "(several)", or "?". */
void node_read_op(const char *path, char *op, size_t size);

/* ---- Comparison (compare.c): the rule of onnx.backend.test ---- */

/* Type and shape equal; floats within 1e-7 + 1e-3 |expected|, NaN and infinities equal; integers and bools exactly.
 * 0 and a sentence otherwise. */
int node_equal(const qint8_tensor *got, const qint8_tensor *expected, char *reason, size_t reason_size);

#endif
