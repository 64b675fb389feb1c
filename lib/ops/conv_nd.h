/* conv_nd.h - shapes of convolutions over one to three spatial dimensions, and their plain float step. */
#ifndef Q8_OPS_CONV_ND_H
#define Q8_OPS_CONV_ND_H

#include "ops/spatial.h"

typedef struct q8_conv_params {
  q8_spatial_params spatial;
  int64_t group;
  float activation_lo, activation_hi;
} q8_conv_params;

#define Q8_CONV_AT(field) offsetof(q8_conv_params, field)
#define Q8_CONV_ATTRIBUTES Q8_SPATIAL_ATTRIBUTES(0), {"group", Q8_ATTR_INT, Q8_CONV_AT(group), 0, 0, 1}
#define Q8_CONV_ACTIVATION                                                                                          \
  {"activation_lo", Q8_ATTR_FLOAT, Q8_CONV_AT(activation_lo), 0, 1, -(double)INFINITY},                             \
      {"activation_hi", Q8_ATTR_FLOAT, Q8_CONV_AT(activation_hi), 0, 1, (double)INFINITY}

#define Q8_CONV_DIMS Q8_SPATIAL_DIMS

/* Missing leading dimensions have size 1. */
typedef struct q8_conv_nd {
  size_t n, c, k, groups; /* c: channels of x, k: of y */
  int32_t dims;
  q8_extent e[Q8_CONV_DIMS];
} q8_conv_nd;

/* Conv: w is [k, c / groups, ...]. The weight's and bias's element types are the caller's to check. */
q8_status q8_conv_nd_of(const q8_op_io *io, const q8_conv_params *p, const q8_shape *x, const q8_shape *w,
                        q8_conv_nd *out);
/* The shape of y. */
q8_status q8_conv_infer(const q8_op_io *io, const q8_conv_nd *c, int32_t dtype);
/* For a node of floats, with its bias. Transposed: w is [c, k / groups, ...], e[].in and e[].out are those of x and y, pads
 * are cut from y. */
q8_status q8_conv_of_floats(const q8_op_io *io, int transposed, q8_conv_nd *out);
/* The reference of both, with the activation. */
q8_status q8_conv_eval(const q8_op_io *io, int transposed);

/* Positions of an image of y (else of x). */
size_t q8_conv_positions(const q8_conv_nd *c, int out);
size_t q8_conv_taps(const q8_conv_nd *c);
/* Coordinates of an output position (else of a tap) from its row-major index. */
void q8_conv_split(const q8_conv_nd *c, int of_output, size_t index, int64_t *at);
/* The input position that tap `tap` of output position `at` reads, or -1 for padding; inlined for inner loops. */
static inline int64_t q8_conv_find(const q8_conv_nd *c, const int64_t *at, const int64_t *tap) {
  int64_t index = 0;
  for (int d = 0; d < Q8_CONV_DIMS; d++) {
    const q8_extent *e = &c->e[d];
    int64_t x = at[d] * e->stride + tap[d] * e->dilation - e->pad_begin;
    if (x < 0 || x >= e->in)
      return -1;
    index = index * e->in + x;
  }
  return index;
}
int64_t q8_conv_source(const q8_conv_nd *c, const int64_t *at, const int64_t *tap);
/* The same for a position and a tap by their row-major indices. */
int64_t q8_conv_read(const q8_conv_nd *c, size_t position, size_t tap);

/* Conv of any dimensions in float, weights constant or not: rows of pixels on the float GEMM. */
q8_status q8_plan_conv_nd(q8_planner *planner, q8_id node, const q8_conv_nd *c);

#endif
