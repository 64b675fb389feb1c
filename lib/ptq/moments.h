/* moments.h - second moments of what a weighted node multiplies its weights by.
 *
 * Conv, Gemm and MatMul are products y = W x of constant rows W and input rows x: a patch of the image, or a row of a
 * matrix. If W is off by E, the mean square error of y is E H E', H = E[x x'].
 */
#ifndef Q8_PTQ_MOMENTS_H
#define Q8_PTQ_MOMENTS_H

#include "ops/op.h"

/* The node as `groups` products of n outputs from k inputs: weight i of output o, counted over all groups, is
 * data[o * w_out + i * w_in]. */
typedef struct q8_product {
  const q8_node *node;
  const q8_tensor *w;
  int is_conv;
  size_t groups, n, k, w_out, w_in;
} q8_product;

/* 0 if the node is not such a product. */
int q8_product_of(const q8_graph *graph, const q8_node *node, q8_product *out);

typedef struct q8_moments {
  q8_product product;
  size_t stride;     /* of h: k rounded up */
  float *h;          /* [groups][stride][stride], the upper triangle until finished */
  double *mean;      /* [groups][k] */
  uint64_t seen, rows; /* input rows offered, and taken */
  double share;      /* of rows that is taken: enough of them, at any size of images */
} q8_moments;

/* Bytes of h and mean. */
size_t q8_moments_size(const q8_product *product);
/* `batches`: how many times q8_moments_add will be called. */
q8_status q8_moments_new(const q8_product *product, const q8_host *host, q8_moments *out, qint8_error *error);
void q8_moments_free(q8_moments *moments, const q8_host *host);
/* Adds an input of the node, of the batches that come. */
q8_status q8_moments_add(q8_moments *moments, const q8_shape *shape, const float *x, size_t batches,
                         const q8_host *host, qint8_error *error);
/* Divides by the rows taken; `centred`: about the mean, which a bias can absorb. Afterwards h is symmetric, and its
 * diagonal is raised by 1 % of its mean, so that it is positive and what was never seen stays as it is. */
void q8_moments_finish(q8_moments *moments, int centred);

#endif
