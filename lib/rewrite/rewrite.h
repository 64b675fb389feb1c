/* rewrite.h - a graph as imported becomes one that runs well: constants folded, BatchNormalization folded, patterns
 * recognised, activations merged into the operator before them. */
#ifndef Q8_REWRITE_H
#define Q8_REWRITE_H

#include "graph/graph.h"

/* All passes on the graph itself, frozen again. Tensors keep their numbers and names; those that are no longer computed
 * stay in the table without producer. Inputs and outputs are the same. After a failure it is only good for
 * q8_graph_destroy. */
q8_status q8_rewrite_in_place(q8_graph *graph, qint8_error *error);
/* Padding with zeros into the convolution after it, on the graph itself: for float files only, as a quantized one has
 * parameters for the padded tensor that the other may lack. */
q8_status q8_rewrite_pads(q8_graph *graph, qint8_error *error);

#endif
