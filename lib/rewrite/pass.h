/* pass.h - what a rewrite pass is, and what passes share.
 *
 * A pass walks the nodes of a frozen graph and edits them in place: it replaces the last node of a pattern by the new
 * operator, which keeps that node's outputs; what then feeds nobody is dropped by freezing. So tensor numbers never
 * change and no tensor gets a second producer. */
#ifndef Q8_REWRITE_PASS_H
#define Q8_REWRITE_PASS_H

#include "ops/hooks.h"
#include "rewrite/rewrite.h"

/* Tries the pattern that ends in `node`. Sets *changed if it edited the graph. */
typedef q8_status q8_pass_fn(q8_graph *graph, q8_id node, int *changed, qint8_error *error);

q8_pass_fn q8_pass_constants;   /* constant.c */
q8_pass_fn q8_pass_identity;    /* identity.c */
q8_pass_fn q8_pass_select;      /* select.c */
q8_pass_fn q8_pass_clip_bounds; /* clip.c: constant bounds into the parameters */
q8_pass_fn q8_pass_hard_sigmoid, q8_pass_hard_swish, q8_pass_silu, q8_pass_gelu; /* activation.c */
q8_pass_fn q8_pass_layer_norm;  /* layer_norm.c */
q8_pass_fn q8_pass_mean;        /* mean.c */
q8_pass_fn q8_pass_affine;      /* affine.c: BatchNormalization, Mul, Add, ... after Conv or Gemm */
q8_pass_fn q8_pass_clamp;       /* clamp.c: Relu or Clip after Conv or Gemm */

/* ---- Reading patterns ---- */

/* The node that produces the tensor if it is one of those operators (see q8_is_op), else NULL; NULL for a pinned tensor,
 * which no pattern may swallow. */
const q8_node *q8_producer(const q8_graph *graph, q8_id tensor, const char *names);
/* For a node of two inputs: one is a scalar constant near `value`; the other one is returned, or Q8_NONE. */
q8_id q8_other_than_constant(const q8_graph *graph, const q8_node *node, float value);
/* |a - b| within 1e-5 of |b|. */
int q8_near(float a, float b);

/* ---- Editing ---- */

/* `node` becomes op(input) with default attributes; *params is where to change them (may be NULL). */
q8_status q8_replace_unary(q8_graph *graph, q8_id node, const char *op, const char *domain, q8_id input,
                           void **params, qint8_error *error);
/* The field of a float attribute. */
float *q8_float_field(const q8_op *op, void *params, const char *attribute);
/* A new f32 constant of that shape with a name made from `base`; *data is to be filled. */
q8_status q8_new_constant(q8_graph *graph, const char *base, const q8_shape *shape, q8_id *out, float **data,
                          qint8_error *error);
/* Every reader of `from` reads `to`. */
void q8_redirect(q8_graph *graph, q8_id from, q8_id to);

#endif
