/* decide_internal.h - the state of one decision, shared by decide.c, activations.c and weights.c only. */
#ifndef Q8_PTQ_DECIDE_INTERNAL_H
#define Q8_PTQ_DECIDE_INTERNAL_H

#include "ops/op.h"
#include "ptq/decide.h"

typedef struct q8_decision {
  const q8_graph *graph;
  const q8_ranges *ranges;
  q8_recipe *recipe;
  q8_pool scratch;
  int force;       /* int8 also where it is slower */
  uint8_t *known;  /* [tensor_count] float values that were seen, are constant, or are those of another such tensor */
  uint8_t *wanted; /* [tensor_count] an int8 node reads it */
  uint8_t *late;   /* [node_count] stays float: see late.c */
  float *headroom; /* [tensor_count] factors of the ranges, 1 or more: see headroom.c */
} q8_decision;

static inline q8_mode q8_decided_mode(const q8_decision *d, size_t node) {
  return (q8_mode)d->recipe->modes[node];
}

/* cost.c: nodes that would be slower become float again, unless `force`; the recipe counts them. */
q8_status q8_decide_speed(q8_decision *d, qint8_error *error);
/* Products of a weighted node for each of its output values; *channels: how many output channels it has, at least 1. */
double q8_depth_of(const q8_binding *binding, const q8_node *node, double *channels);
/* late.c: nodes that int8 would make less exact, and not faster; none if `force`. */
q8_status q8_decide_late(q8_decision *d, qint8_error *error);
/* headroom.c: how much farther than the samples a tensor may reach. */
q8_status q8_decide_headroom(q8_decision *d, qint8_error *error);
/* A range times its factor, but not beyond what its producer can give and what changes the result of `through`, the
 * function that alone reads it; both may be NULL. */
void q8_reach_out(qint8_range *range, float factor, const q8_node *producer, const q8_node *through);
/* activations.c: parameters of every activation that int8 nodes read or write. */
q8_status q8_decide_activations(q8_decision *d, qint8_error *error);
/* weights.c: parameters of weights (s8) and, in static mode, of biases (s32). */
q8_status q8_decide_weights(q8_decision *d, qint8_error *error);
/* Whether the node multiplies by weights, and adds a bias, that are float constants. */
int q8_has_constant_weights(const q8_graph *graph, const q8_node *node);

#endif
