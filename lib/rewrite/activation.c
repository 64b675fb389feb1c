/* activation.c - activation functions spelled as arithmetic. */
#include "rewrite/pass.h"

/* x of Clip(x + 3, 0, 6), or Q8_NONE. */
static q8_id input_of_relu6(const q8_graph *graph, q8_id tensor) {
  const q8_node *clip = q8_producer(graph, tensor, "Clip");
  float lo, hi;
  if (!clip || clip->input_count != 3 || !q8_graph_scalar(graph, clip->inputs[1], &lo) ||
      !q8_graph_scalar(graph, clip->inputs[2], &hi) || lo != 0 || hi != 6)
    return Q8_NONE;
  const q8_node *add = q8_producer(graph, clip->inputs[0], "Add");
  return add ? q8_other_than_constant(graph, add, 3) : Q8_NONE;
}

/* t of t / 6, t * (1 / 6) or (1 / 6) * t. */
static q8_id input_of_sixth(const q8_graph *graph, const q8_node *n) {
  if (q8_is_op(n, "Div"))
    return q8_other_than_constant(graph, n, 6) == n->inputs[0] ? n->inputs[0] : Q8_NONE;
  return q8_is_op(n, "Mul") ? q8_other_than_constant(graph, n, 1.0f / 6) : Q8_NONE;
}

/* Clip(x + 3, 0, 6) / 6 */
q8_status q8_pass_hard_sigmoid(q8_graph *graph, q8_id node, int *changed, qint8_error *error) {
  q8_id t = input_of_sixth(graph, &graph->nodes[node]);
  q8_id x = t == Q8_NONE ? Q8_NONE : input_of_relu6(graph, t);
  void *params;
  if (x == Q8_NONE)
    return QINT8_OK;
  Q8_TRY(q8_replace_unary(graph, node, "HardSigmoid", "", x, &params, error));
  *q8_float_field(graph->nodes[node].op, params, "alpha") = 1.0f / 6;
  *q8_float_field(graph->nodes[node].op, params, "beta") = 0.5f;
  *changed = 1;
  return QINT8_OK;
}

/* Whether `tensor` is HardSigmoid(x; 1/6, 1/2). */
static int is_hard_sigmoid_of(const q8_graph *graph, q8_id tensor, q8_id x) {
  const q8_node *n = q8_producer(graph, tensor, "HardSigmoid");
  return n && n->inputs[0] == x && q8_near(q8_op_float(n->op, n->params, "alpha", 0), 1.0f / 6) &&
         q8_near(q8_op_float(n->op, n->params, "beta", 0), 0.5f);
}

/* x * HardSigmoid(x), x * Clip(x + 3, 0, 6) / 6, either order of factors. */
q8_status q8_pass_hard_swish(q8_graph *graph, q8_id node, int *changed, qint8_error *error) {
  const q8_node *n = &graph->nodes[node];
  q8_id x = Q8_NONE;
  if (q8_is_op(n, "Mul"))
    for (int i = 0; i < 2 && x == Q8_NONE; i++)
      if (is_hard_sigmoid_of(graph, n->inputs[i], n->inputs[1 - i]))
        x = n->inputs[1 - i];
  const q8_node *product = x == Q8_NONE ? q8_producer(graph, input_of_sixth(graph, n), "Mul") : NULL;
  for (int i = 0; product && i < 2 && x == Q8_NONE; i++)
    if (input_of_relu6(graph, product->inputs[i]) == product->inputs[1 - i])
      x = product->inputs[1 - i];
  if (x == Q8_NONE)
    return QINT8_OK;
  *changed = 1;
  return q8_replace_unary(graph, node, "HardSwish", "", x, NULL, error);
}

/* x * Sigmoid(x) */
q8_status q8_pass_silu(q8_graph *graph, q8_id node, int *changed, qint8_error *error) {
  const q8_node *n = &graph->nodes[node];
  if (!q8_is_op(n, "Mul"))
    return QINT8_OK;
  for (int i = 0; i < 2; i++) {
    const q8_node *sigmoid = q8_producer(graph, n->inputs[i], "Sigmoid");
    if (!sigmoid || sigmoid->inputs[0] != n->inputs[1 - i])
      continue;
    *changed = 1;
    return q8_replace_unary(graph, node, "Silu", "qint8", n->inputs[1 - i], NULL, error);
  }
  return QINT8_OK;
}

/* x of 1 + Erf(x / sqrt(2)) (or x * sqrt(1/2)), or Q8_NONE. */
static q8_id input_of_erf(const q8_graph *graph, q8_id tensor) {
  const q8_node *add = q8_producer(graph, tensor, "Add");
  const q8_node *erf = add ? q8_producer(graph, q8_other_than_constant(graph, add, 1), "Erf") : NULL;
  if (!erf)
    return Q8_NONE;
  const q8_node *div = q8_producer(graph, erf->inputs[0], "Div"), *mul = q8_producer(graph, erf->inputs[0], "Mul");
  if (div)
    return q8_other_than_constant(graph, div, 1.41421356f) == div->inputs[0] ? div->inputs[0] : Q8_NONE;
  return mul ? q8_other_than_constant(graph, mul, 0.70710678f) : Q8_NONE;
}

/* x of factor * (1 + Erf(x / sqrt(2))), or Q8_NONE. */
static q8_id erf_product(const q8_graph *graph, const q8_node *mul, q8_id *factor) {
  for (int i = 0; i < 2; i++) {
    q8_id x = input_of_erf(graph, mul->inputs[i]);
    *factor = mul->inputs[1 - i];
    if (x != Q8_NONE)
      return x;
  }
  return Q8_NONE;
}

/* x * e * 0.5, (x * 0.5) * e, x * (e * 0.5) with e = 1 + Erf(x / sqrt(2)). */
q8_status q8_pass_gelu(q8_graph *graph, q8_id node, int *changed, qint8_error *error) {
  const q8_node *n = &graph->nodes[node], *inner;
  q8_id factor, x = Q8_NONE;
  if (!q8_is_op(n, "Mul"))
    return QINT8_OK;
  if ((inner = q8_producer(graph, q8_other_than_constant(graph, n, 0.5f), "Mul"))) {
    q8_id of = erf_product(graph, inner, &factor);
    x = of == factor ? of : Q8_NONE;
  }
  q8_id direct = x == Q8_NONE ? erf_product(graph, n, &factor) : Q8_NONE;
  if (direct != Q8_NONE && (inner = q8_producer(graph, factor, "Mul")) &&
      q8_other_than_constant(graph, inner, 0.5f) == direct)
    x = direct;
  for (int i = 0; i < 2 && x == Q8_NONE; i++) {
    inner = q8_producer(graph, n->inputs[i], "Mul");
    q8_id e = inner ? q8_other_than_constant(graph, inner, 0.5f) : Q8_NONE;
    if (e != Q8_NONE && input_of_erf(graph, e) == n->inputs[1 - i])
      x = n->inputs[1 - i];
  }
  if (x == Q8_NONE)
    return QINT8_OK;
  *changed = 1;
  return q8_replace_unary(graph, node, "Gelu", "qint8", x, NULL, error);
}
