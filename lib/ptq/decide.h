/* decide.h - from graph and ranges to a recipe.
 *
 * Static int8: a node becomes int8 if it has an int8 form, the values of its activations are known, and either it
 * multiplies by constant weights or an int8 node reads its result. So chains that end in float nodes or in the graph's
 * outputs stay float, and the weighted node before them dequantizes its accumulators: better accuracy, at no cost.
 * So does the last product where it is a small part of the graph, and sums behind a product by a matrix: see late.c.
 * Tensors linked by nodes that move values (Reshape, MaxPool, Concat) form a group with one set of parameters.
 */
#ifndef Q8_PTQ_DECIDE_H
#define Q8_PTQ_DECIDE_H

#include "ptq/ranges.h"
#include "quant/recipe.h"

/* `ranges` may be NULL for FP32 and DYNAMIC. ARGUMENT (static without ranges, ranges of another graph), DATA (a tensor
 * without a finite value), UNSUPPORTED (QAT), MEMORY. activation_dtype is U8 or S8. Nodes
 * that would be slower in int8 (cost.c) or less exact for no gain (late.c) stay float unless `force`. */
q8_status q8_decide(const q8_graph *graph, const q8_ranges *ranges, int32_t config, int32_t activation_dtype,
                    int32_t force, const q8_host *host, q8_recipe **out, qint8_error *error);

#endif
