/* headroom.c - ranges of calibration data that has not reached its extremes.
 *
 * If the last quarter of the samples still widened many ranges, the next samples will widen them more, and what is clipped
 * in one tensor is missing in all that are computed from it. So each tensor gets as factor the largest growth among
 * itself and what it is computed from. On fmnist_effb0, whose test images reach up to four times as far as 256 calibration
 * images, rel_err is 0.038 with 256 images; it is 0.092 to 0.094 with 200 to 250, whose last quarters happen to widen too
 * few ranges. Room for every tensor, as the spacing of its four farthest samples suggests, has no such step, but costs
 * resolution where nothing is clipped: effb0 0.050 to 0.056, fmnist_mnv3s 0.040 instead of 0.025. */
#include <math.h>

#include "ops/hooks.h"
#include "ptq/decide_internal.h"
#include "ptq/warnings.h"

#define MOST 2.0f /* one sample far outside must not cost every other more than a bit */
#define PROBES 512
#define REACH 64.0f /* functions are probed on [-REACH, REACH] */

/* What the node's results are computed from. */
static void pass_on(const q8_node *node, float *headroom) {
  float factor = 1;
  for (int32_t i = 0; i < node->input_count; i++)
    if (node->inputs[i] != Q8_NONE)
      factor = fmaxf(factor, headroom[node->inputs[i]]);
  for (int32_t o = 0; o < node->output_count; o++)
    if (node->outputs[o] != Q8_NONE)
      headroom[node->outputs[o]] = fmaxf(factor, headroom[node->outputs[o]]);
}

q8_status q8_decide_headroom(q8_decision *d, qint8_error *error) {
  const q8_graph *graph = d->graph;
  size_t tensors, where;
  d->headroom = q8_pool_alloc(&d->scratch, graph->tensor_count + 1, sizeof *d->headroom);
  Q8_TRY(q8_pool_check(&d->scratch, "recipe", error));
  int grow = q8_ranges_grow(d->ranges, &tensors, &where);
  for (size_t t = 0; t < graph->tensor_count; t++) {
    float factor = grow ? (float)(1 + q8_ranges_growth(d->ranges, t)) : 1;
    d->headroom[t] = factor > MOST ? MOST : factor;
  }
  for (size_t n = 0; n < graph->node_count; n++) /* in execution order */
    pass_on(&graph->nodes[n], d->headroom);
  return QINT8_OK;
}

/* What the node can give at all. */
static void limits(const q8_node *node, float *low, float *high) {
  *low = -INFINITY;
  *high = INFINITY;
  if (!node->op->unary) {
    q8_node_clamp(node, low, high);
    return;
  }
  *low = INFINITY;
  *high = -INFINITY;
  for (int i = 0; i <= PROBES; i++) {
    float y = q8_node_function(node, ((float)i / (PROBES / 2) - 1) * REACH);
    *low = y < *low ? y : *low;
    *high = y > *high ? y : *high;
  }
}

/* Whether f gives the same at x and farther out, to a quarter of a step of its results over the range. */
static int is_flat(const q8_node *f, float x, float factor, float span) {
  float change = q8_node_function(f, x) - q8_node_function(f, x * factor);
  return (change < 0 ? -change : change) < span / 1024;
}

void q8_reach_out(qint8_range *range, float factor, const q8_node *producer, const q8_node *through) {
  float low = range->low * factor, high = range->high * factor, least, most;
  if (factor <= 1)
    return;
  if (through) {
    float from = q8_node_function(through, range->low), to = q8_node_function(through, range->high);
    float span = to > from ? to - from : from - to;
    low = is_flat(through, range->low, factor, span) ? range->low : low;
    high = is_flat(through, range->high, factor, span) ? range->high : high;
  }
  if (producer) {
    limits(producer, &least, &most);
    low = low < least ? least : low;
    high = high > most ? most : high;
  }
  range->low = low < range->low ? low : range->low;
  range->high = high > range->high ? high : range->high;
}
