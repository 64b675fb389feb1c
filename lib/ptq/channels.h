/* channels.h - which channels of which activations may be rescaled without changing what a graph computes.
 *
 * If a weighted node writes channel c divided by f > 0, and everything up to the weighted nodes that read it commutes with
 * the division (Relu, pooling, sums of such tensors, ...), then reading weights multiplied by f make up for it. Tensors
 * whose channels can only be rescaled together form a group: a plain chain, or all of a residual stream. Depthwise
 * convolutions lie between two groups. With powers of two the rescaled graph gives the same bits.
 */
#ifndef Q8_PTQ_CHANNELS_H
#define Q8_PTQ_CHANNELS_H

#include "ops/op.h"

/* A weighted node (Conv, Gemm, MatMul; BatchNormalization, which only writes) that writes to or reads from a group: weight (k, c), output k of K and input c of C / groups, belongs to
 * channel k / (K / channels) of the group that it writes, and to the channel of its input that it reads. */
typedef struct q8_channel_node {
  q8_id node;
  q8_id reads, writes;      /* groups, or Q8_NONE */
  size_t outputs, inputs;   /* K; C of all convolution groups */
  size_t groups;            /* of the convolution */
  size_t step_out, step_in; /* strides of w[k][c within the group] in elements */
  size_t taps;              /* consecutive weights with the same k and c */
} q8_channel_node;

typedef struct q8_channels {
  q8_pool pool;
  const q8_graph *graph;
  size_t group_count, node_count;
  size_t *group_channels;  /* [group_count] */
  q8_channel_node *nodes;  /* those that touch a group */
} q8_channels;

/* The groups of a float graph; none if its free dimensions are such that no typical shapes fit. MEMORY. */
q8_status q8_channels_find(const q8_graph *graph, const q8_host *host, q8_channels **out, qint8_error *error);
void q8_channels_free(q8_channels *channels);

/* Input and group channel of weight (k, c) of the node; the group is nodes[i].reads, resp. writes. */
static inline size_t q8_channel_read(const q8_channels *channels, const q8_channel_node *n, size_t k, size_t c) {
  size_t input = k / (n->outputs / n->groups) * (n->inputs / n->groups) + c;
  return input / (n->inputs / channels->group_channels[n->reads]);
}
static inline size_t q8_channel_written(const q8_channels *channels, const q8_channel_node *n, size_t k) {
  return k / (n->outputs / channels->group_channels[n->writes]);
}

/* A new graph, the same tensors and nodes, in which channel c of group g is divided by 2^exponents[g][c]. LIMIT if a weight
 * would overflow. MEMORY. */
q8_status q8_channels_rescale(const q8_channels *channels, const int32_t *const *exponents, q8_graph **out,
                              qint8_error *error);

#endif
