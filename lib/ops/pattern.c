/* pattern.c - elementwise functions of the domain "qint8": patterns that rewrites recognise, without a standard
 * operator in opset 17. `expand` writes them in the form in which exporters of training frameworks do. */
#include <math.h>

#include "base/math.h"
#include "ops/fast.h"
#include "ops/hooks.h"
#include "ops/unary.h"

static float silu(const void *params, float x) {
  (void)params;
  return (float)(x * q8_sigmoid(x));
}
static float gelu(const void *params, float x) {
  (void)params;
  return (float)(0.5 * x * (1 + q8_erf(x * 0.70710678118654752440)));
}

/* Rows of floats, equal to the functions above up to rounding. */
static void silu_rows(const void *params, size_t n, const float *x, float *y) {
  (void)params;
  Q8_FOR_BLOCKS(float, n, y, x[i] / (1 + q8_fast_exp(-x[i])));
}
static void gelu_rows(const void *params, size_t n, const float *x, float *y) {
  (void)params;
  for (size_t i = 0; i < n; i++)
    y[i] = 0.5f * x[i] * (1 + erff(x[i] * 0.70710678f));
}

static q8_status silu_eval(const q8_op_io *io) {
  silu_rows(NULL, io->inputs[0]->count, io->inputs[0]->data, io->outputs[0].data);
  return QINT8_OK;
}
static q8_status gelu_eval(const q8_op_io *io) {
  gelu_rows(NULL, io->inputs[0]->count, io->inputs[0]->data, io->outputs[0].data);
  return QINT8_OK;
}

static q8_status silu_plan(q8_planner *planner, q8_id node, qint8_error *error) {
  return q8_plan_unary(planner, node, NULL, silu_rows, error);
}
static q8_status gelu_plan(q8_planner *planner, q8_id node, qint8_error *error) {
  return q8_plan_unary(planner, node, NULL, gelu_rows, error);
}

/* Writes op_type(inputs) to a new tensor, or to `output` if given; its name in *out. */
static q8_status write_node(q8_exporter *exporter, const q8_node *node, const char *op_type, const char *a,
                            const char *b, const char *output, const char **out, qint8_error *error) {
  const char *inputs[2] = {a, b};
  *out = output ? output : q8_export_fresh(exporter, node->name);
  if (!*out || !a)
    return q8_fail_memory(error, node->name, 64);
  return q8_export_node(exporter, op_type, inputs, b ? 2 : 1, *out, NULL, 0, error);
}

/* x * Sigmoid(x) */
static q8_status silu_expand(q8_exporter *exporter, const q8_graph *graph, const q8_node *node, qint8_error *error) {
  (void)graph;
  const char *x = q8_export_input(exporter, node, 0), *y = q8_export_output(exporter, node, 0), *s;
  Q8_TRY(write_node(exporter, node, "Sigmoid", x, NULL, NULL, &s, error));
  return write_node(exporter, node, "Mul", x, s, y, &s, error);
}

/* x * (Erf(x / sqrt(2)) + 1) * 0.5 */
static q8_status gelu_expand(q8_exporter *exporter, const q8_graph *graph, const q8_node *node, qint8_error *error) {
  (void)graph;
  const char *x = q8_export_input(exporter, node, 0), *y = q8_export_output(exporter, node, 0), *t;
  const char *root = q8_export_scalar(exporter, "sqrt_two", 1.41421356237309504880f);
  const char *one = q8_export_scalar(exporter, "one", 1), *half = q8_export_scalar(exporter, "half", 0.5f);
  if (!root || !one || !half)
    return q8_fail_memory(error, node->name, 64);
  Q8_TRY(write_node(exporter, node, "Div", x, root, NULL, &t, error));
  Q8_TRY(write_node(exporter, node, "Erf", t, NULL, NULL, &t, error));
  Q8_TRY(write_node(exporter, node, "Add", t, one, NULL, &t, error));
  Q8_TRY(write_node(exporter, node, "Mul", x, t, NULL, &t, error));
  return write_node(exporter, node, "Mul", t, half, y, &t, error);
}

#define PATTERN(id, pattern_name)                                                                                  \
  const q8_op q8_op_##id = {.name = pattern_name,                                                                 \
                            .domain = "qint8",                                                                    \
                            .min_opset = 1,                                                                       \
                            .max_opset = 21,                                                                      \
                            .min_inputs = 1,                                                                      \
                            .max_inputs = 1,                                                                      \
                            .min_outputs = 1,                                                                     \
                            .max_outputs = 1,                                                                     \
                            .quant = Q8_QUANT_OWN,                                                                \
                            .unary = id,                                                                          \
                            .infer = q8_infer_unary,                                                              \
                            .eval = id##_eval,                                                                    \
                            .plan = id##_plan,                                                                    \
                            .expand = id##_expand};

PATTERN(silu, "Silu")
PATTERN(gelu, "Gelu")
