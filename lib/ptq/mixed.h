/* mixed.h - recipes in which some nodes return to float. */
#ifndef Q8_PTQ_MIXED_H
#define Q8_PTQ_MIXED_H

#include "graph/graph.h"
#include "quant/recipe.h"

/* A copy of `recipe` in which the nodes that `keep_float` marks ([node_count]) run in float, and what follows from it:
 *   an element-wise, moving or joining node that reads what one of them computes runs in float too: a residual stream
 *   that became float stays so, for rounding it again would lose what was won;
 *   so does one whose result no int8 node reads any more;
 *   tensors that only float nodes touch lose their parameters. */
q8_status q8_mix_recipe(const q8_graph *graph, const q8_recipe *recipe, const uint8_t *keep_float, q8_recipe **out,
                        qint8_error *error);

/* Whether it makes sense to choose the mode of this int8 node by itself: it computes, and does not just move values. */
int q8_is_mixable(const q8_graph *graph, const q8_recipe *recipe, size_t node);

/* Multiplying nodes that run in float although the recipe's kind could have them in int8: those with float constant
 * weights. Nodes that have no int8 form do not count. */
size_t q8_float_nodes(const q8_graph *graph, const q8_recipe *recipe);

#endif
