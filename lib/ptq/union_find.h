/* union_find.h - sets of tensors; the root of a set is its smallest member. */
#ifndef Q8_PTQ_UNION_FIND_H
#define Q8_PTQ_UNION_FIND_H

#include "graph/graph.h"

/* parent[t] is t where t is a root. */
static inline q8_id q8_set_root(q8_id *parent, q8_id t) {
  while (parent[t] != t) {
    parent[t] = parent[parent[t]]; /* path halving */
    t = parent[t];
  }
  return t;
}

static inline void q8_set_unite(q8_id *parent, q8_id a, q8_id b) {
  a = q8_set_root(parent, a);
  b = q8_set_root(parent, b);
  parent[a < b ? b : a] = a < b ? a : b;
}

#endif
