/* late.c - nodes whose int8 form would round for nothing.
 *
 * The last product before an output of the graph: what it rounds, nothing behind it evens out, and where few of the
 * products and weights are its own, float costs next to nothing. On pose_tcn, whose last convolution is a 5,000th part of
 * the network, that is half of the squared error.
 *
 * Sums behind a product by a matrix: MatMul has no bias, so its accumulators, which become float anyway, would be rounded
 * once before the bias is added, once after, and once more after the sum with a residual. In float that is once, for the
 * next product, and the sums take no longer. Sums that a convolution takes into its own step stay int8. */

#include "ops/hooks.h"
#include "ptq/decide_internal.h"
#include "ptq/typical.h"

#define TAIL_SHARE 64         /* at most one in so many of the graph's products, and of its weights, is float */
#define SMALL_MODEL (1 << 16) /* products: up to here one more conversion shows in the time */

/* ---- Sums ---- */

static int is_sum(const q8_node *node) {
  return q8_is_op(node, "Add Sub");
}

static const q8_node *producer(const q8_graph *graph, q8_id tensor) {
  q8_id node = graph->tensors[tensor].producer;
  return node == Q8_NONE ? NULL : &graph->nodes[node];
}

/* Adds the bias of a product by a matrix. */
static int adds_bias(const q8_graph *graph, const q8_node *sum) {
  for (int32_t i = 0; i < 2; i++) {
    const q8_node *before = producer(graph, sum->inputs[i]);
    if (before && before->op->two_activations && q8_has_constant_weights(graph, before) &&
        q8_graph_is_constant(graph, sum->inputs[1 - i]))
      return 1;
  }
  return 0;
}

/* A product may take the sum into its own step. */
static int follows_product(const q8_graph *graph, const q8_node *sum) {
  for (int32_t i = 0; i < 2; i++) {
    const q8_node *before = producer(graph, sum->inputs[i]);
    if (before && before->op->quant == Q8_QUANT_WEIGHTED)
      return 1;
  }
  return 0;
}

static int is_marked(const uint8_t *tensors, const q8_id *ids, int32_t count) {
  for (int32_t i = 0; i < count; i++)
    if (ids[i] != Q8_NONE && tensors[ids[i]])
      return 1;
  return 0;
}

static void mark(uint8_t *tensors, const q8_id *ids, int32_t count) {
  for (int32_t i = 0; i < count; i++)
    if (ids[i] != Q8_NONE)
      tensors[ids[i]] = 1;
}

/* `stream`: results of such sums, also moved; `summed`: what such sums read. A sum that reads a stream is one itself, so
 * is one that a stream begins with, and what moves a stream to the next sum stays float, or it would be rounded there. */
static void mark_sums(q8_decision *d, uint8_t *stream, uint8_t *summed) {
  const q8_graph *graph = d->graph;
  for (size_t n = 0; n < graph->node_count; n++) {
    const q8_node *node = &graph->nodes[n];
    int reads = is_marked(stream, node->inputs, node->input_count);
    d->late[n] |= is_sum(node) && (reads || adds_bias(graph, node));
    if (d->late[n] || (reads && node->op->quant == Q8_QUANT_SAME))
      mark(stream, node->outputs, node->output_count);
  }
  for (size_t n = graph->node_count; n-- > 0;) {
    const q8_node *node = &graph->nodes[n];
    int moves = node->op->quant == Q8_QUANT_SAME && is_marked(stream, node->inputs, node->input_count);
    d->late[n] |= (moves || (is_sum(node) && !follows_product(graph, node))) &&
                  is_marked(summed, node->outputs, node->output_count);
    if (d->late[n])
      mark(summed, node->inputs, node->input_count);
  }
}

/* ---- The last products ---- */

typedef struct size {
  double products, weights;
} size;

static size size_of(const q8_binding *binding, const q8_node *node) {
  double channels, depth = q8_depth_of(binding, node, &channels);
  return (size){(double)binding->values[node->outputs[0]].count * depth, depth * channels};
}

/* Rows of x times both matrices. */
static size recurrent_size_of(const q8_binding *binding, const q8_node *node) {
  const q8_value *x = &binding->values[node->inputs[0]];
  double weights = (double)binding->values[node->inputs[1]].count + (double)binding->values[node->inputs[2]].count;
  int64_t values = x->shape.rank > 0 ? x->shape.dim[x->shape.rank - 1] : 0;
  return (size){values > 0 ? (double)x->count / (double)values * weights : 0, weights};
}

static int multiplies(const q8_decision *d, const q8_node *node) {
  return node->op->quant == Q8_QUANT_WEIGHTED && q8_has_constant_weights(d->graph, node);
}

/* Marks the products from which no other product, of any kind, is reached: `followed` is scratch for every tensor. */
static void mark_tails(q8_decision *d, const q8_binding *binding, uint8_t *followed) {
  const q8_graph *graph = d->graph;
  size all = {0, 0};
  for (size_t n = 0; n < graph->node_count; n++) {
    const q8_node *node = &graph->nodes[n];
    size s = multiplies(d, node)                          ? size_of(binding, node)
             : node->op->quant == Q8_QUANT_RECURRENT ? recurrent_size_of(binding, node)
                                                          : (size){0, 0};
    all.products += s.products;
    all.weights += s.weights;
  }
  for (size_t n = graph->node_count; n-- > 0;) {
    const q8_node *node = &graph->nodes[n];
    int behind = is_marked(followed, node->outputs, node->output_count);
    if (!behind && multiplies(d, node)) {
      size s = size_of(binding, node);
      d->late[n] |= all.products > SMALL_MODEL && s.products * TAIL_SHARE <= all.products &&
                    s.weights * TAIL_SHARE <= all.weights;
    }
    if (behind || q8_weight_inputs(node->op) > 0)
      mark(followed, node->inputs, node->input_count);
  }
}

/* Sizes are those of one sample; where no typical shapes fit the model, nothing is known. */
static q8_status find_tails(q8_decision *d, qint8_error *error) {
  const q8_host *host = &d->recipe->pool.host;
  uint8_t *followed = q8_pool_alloc(&d->scratch, d->graph->tensor_count + 1, 1);
  q8_binding *binding;
  Q8_TRY(q8_pool_check(&d->scratch, "recipe", error));
  q8_status status = q8_bind_typical(d->graph, 1, host, &binding, error);
  if (status != QINT8_OK)
    return status == QINT8_ERROR_MEMORY ? status : QINT8_OK;
  mark_tails(d, binding, followed);
  q8_binding_destroy(binding);
  return QINT8_OK;
}

q8_status q8_decide_late(q8_decision *d, qint8_error *error) {
  size_t tensors = d->graph->tensor_count + 1;
  d->late = q8_pool_alloc(&d->scratch, d->graph->node_count + 1, 1);
  uint8_t *stream = q8_pool_alloc(&d->scratch, tensors, 1), *summed = q8_pool_alloc(&d->scratch, tensors, 1);
  Q8_TRY(q8_pool_check(&d->scratch, "recipe", error));
  if (d->force)
    return QINT8_OK;
  mark_sums(d, stream, summed);
  return find_tails(d, error);
}
