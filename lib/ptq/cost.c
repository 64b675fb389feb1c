/* cost.c - whether int8 pays: a model of the time of a node, so that a recipe never makes a model slower.
 *
 * What int8 saves grows with the products, what it costs with the values that are quantized and dequantized. So nodes of
 * few products per value lose: small ones, and those of few channels. The constants are nanoseconds on a core with
 * AVX512-VNNI; a slower core scales all of them. They are constants, not measurements, so that a recipe does not depend
 * on the machine that decides it. */
#include <string.h>

#include "ptq/decide_internal.h"
#include "ptq/typical.h"

/* Static: fitted to perceptrons of 200 and 3,000 products at batch 1. */
#define SAVED_PER_PRODUCT 0.158
#define SAVED_PER_STATIC_NODE 20.0
#define STATIC_INPUT_CALLS 40.0
#define QUANTIZED_VALUE 0.6
#define SMALL_MODEL 4096.0 /* products: from here on static int8 is faster, whatever the shapes */

/* Dynamic: fitted to 369 nodes of 15 networks; costs are a tenth higher than fitted, so that a node in doubt stays float.
 * Depthwise convolutions are decided elsewhere: they stay float. */
#define DYNAMIC_PRODUCT 0.0127
#define DYNAMIC_INPUT 0.24
#define DYNAMIC_OUTPUT 0.52
#define DYNAMIC_SAMPLE 31.0 /* each has its own range, scale and zero point */
#define DYNAMIC_NODE 56.0

typedef struct node_size {
  double products, inputs, outputs;
  double samples; /* that are quantized by themselves: images of a Conv, else rows */
} node_size;

double q8_depth_of(const q8_binding *binding, const q8_node *node, double *channels) {
  const q8_value *w = &binding->values[node->inputs[1]];
  int32_t axis = q8_weight_axis(node);
  axis = axis < 0 ? axis + w->shape.rank : axis;
  *channels = axis >= 0 && axis < w->shape.rank && w->shape.dim[axis] > 0 ? (double)w->shape.dim[axis] : 1;
  return w->count ? (double)w->count / *channels : 1;
}

static node_size size_of(const q8_binding *binding, const q8_node *node) {
  const q8_value *x = &binding->values[node->inputs[0]], *y = &binding->values[node->outputs[0]];
  double channels, depth = q8_depth_of(binding, node, &channels);
  int is_conv = !strncmp(node->op->name, "Conv", 4);
  double samples = is_conv ? (double)x->shape.dim[0] : (double)y->count / channels;
  return (node_size){(double)y->count * depth, (double)x->count, (double)y->count, samples};
}

static int is_weighted(const q8_decision *d, size_t node) {
  const q8_op *op = d->graph->nodes[node].op;
  return op->quant == Q8_QUANT_WEIGHTED && d->recipe->modes[node] != Q8_MODE_FLOAT;
}

static void keep_dynamic(q8_decision *d, const q8_binding *binding) {
  for (size_t n = 0; n < d->graph->node_count; n++) {
    if (!is_weighted(d, n))
      continue;
    node_size size = size_of(binding, &d->graph->nodes[n]);
    double cost = DYNAMIC_NODE + DYNAMIC_SAMPLE * size.samples + DYNAMIC_INPUT * size.inputs + DYNAMIC_OUTPUT * size.outputs;
    if (DYNAMIC_PRODUCT * size.products <= cost) {
      d->recipe->modes[n] = Q8_MODE_FLOAT;
      d->recipe->kept_float++;
    }
  }
}

/* All or nothing: between static nodes nothing is converted. */
static void keep_static(q8_decision *d, const q8_binding *binding) {
  double products = 0, gain = -STATIC_INPUT_CALLS;
  int32_t nodes = 0;
  for (size_t n = 0; n < d->graph->node_count; n++) {
    if (!is_weighted(d, n))
      continue;
    node_size size = size_of(binding, &d->graph->nodes[n]);
    products += size.products;
    gain += SAVED_PER_STATIC_NODE + SAVED_PER_PRODUCT * size.products;
    gain -= nodes++ == 0 ? QUANTIZED_VALUE * size.inputs : 0;
  }
  if (nodes == 0 || gain >= 0 || products >= SMALL_MODEL)
    return;
  d->recipe->kept_float = nodes;
  for (size_t n = 0; n < d->graph->node_count; n++)
    d->recipe->modes[n] = Q8_MODE_FLOAT;
}

q8_status q8_decide_speed(q8_decision *d, qint8_error *error) {
  const q8_host *host = &d->recipe->pool.host;
  q8_binding *binding;
  q8_status status = q8_bind_typical(d->graph, 1, host, &binding, error);
  if (status == QINT8_ERROR_MEMORY)
    return status;
  if (status != QINT8_OK) /* no typical shapes fit this model: nothing is known, nothing is kept back */
    return QINT8_OK;
  if (d->recipe->config == QINT8_CONFIG_DYNAMIC)
    keep_dynamic(d, binding);
  else
    keep_static(d, binding);
  q8_binding_destroy(binding);
  return QINT8_OK;
}
