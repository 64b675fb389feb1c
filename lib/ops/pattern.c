/* pattern.c - elementwise functions without a standard operator in opset 17: those of the domain "qint8", patterns that
 * rewrites recognise, and Gelu of opset 20. `expand` writes them in the form in which exporters of training frameworks
 * do. */
#include <stddef.h>
#include <string.h>

#include "base/math.h"
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
static q8_sunary silu_kernel(const void *params) {
  (void)params;
  return (q8_sunary){Q8_SUNARY_SILU, 0, 0};
}
static q8_sunary gelu_kernel(const void *params) {
  (void)params;
  return (q8_sunary){Q8_SUNARY_GELU, 0, 0};
}
static const q8_unary_set silu_set = {.exact = silu, .kernel = silu_kernel},
                          gelu_set = {.exact = gelu, .kernel = gelu_kernel};

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

#define PATTERN(id, pattern_name)                                                                            \
  const q8_op q8_op_##id = {                                                                                       \
      .name = pattern_name, Q8_OPSETS(1, 21), Q8_INPUTS(1, 1), Q8_OUTPUTS(1, 1),                                   \
      .pattern = 1, .quant = Q8_QUANT_OWN, .variant = &id##_set, .unary = 1,                             \
      .family = &(const q8_op_family){.infer = q8_infer_unary, .eval = q8_unary_eval, .plan = q8_unary_plan,       \
                                      .extras = &(const q8_op_extras){.expand = id##_expand}}};

PATTERN(silu, "Silu")
PATTERN(gelu, "Gelu")

/* ---- Gelu of opset 20: exact, or approximated by 0.5 x (1 + tanh(sqrt(2 / pi) (x + 0.044715 x^3))) ---- */

typedef struct gelu_params {
  char approximate[32];
} gelu_params;

static const q8_attribute gelu_attributes[] = {
    {Q8_NAME_AND_TEXT("approximate", "none"), Q8_ATTR_STRING, offsetof(gelu_params, approximate), 0, 0, 0}};

static int is_tanh(const void *params) {
  return !strcmp(((const gelu_params *)params)->approximate, "tanh");
}

#define ROOT 0.79788456080286535588 /* sqrt(2 / pi) */
#define CUBIC 0.044715

static float any_gelu(const void *params, float x) {
  double v = x;
  return is_tanh(params) ? (float)(0.5 * v * (1 + q8_tanh(ROOT * (v + CUBIC * v * v * v)))) : gelu(NULL, x);
}

static q8_sunary any_gelu_kernel(const void *params) {
  return (q8_sunary){is_tanh(params) ? Q8_SUNARY_GELU_TANH : Q8_SUNARY_GELU, 0, 0};
}
static const q8_unary_set any_gelu_set = {.exact = any_gelu, .kernel = any_gelu_kernel};

static q8_status any_gelu_infer(const q8_op_io *io) {
  const gelu_params *p = io->node->params;
  if (!is_tanh(p) && strcmp(p->approximate, "none"))
    return q8_op_fail(io, QINT8_ERROR_FORMAT, "approximate \"%s\"", p->approximate);
  return q8_infer_unary(io);
}

static q8_status any_gelu_expand(q8_exporter *exporter, const q8_graph *graph, const q8_node *node,
                                 qint8_error *error) {
  const char *x = q8_export_input(exporter, node, 0), *y = q8_export_output(exporter, node, 0), *t;
  if (!is_tanh(node->params))
    return gelu_expand(exporter, graph, node, error);
  const char *one = q8_export_scalar(exporter, "one", 1), *half = q8_export_scalar(exporter, "half", 0.5f);
  const char *root = q8_export_scalar(exporter, "root", (float)ROOT);
  const char *cubic = q8_export_scalar(exporter, "cubic", (float)CUBIC);
  if (!one || !half || !root || !cubic)
    return q8_fail_memory(error, node->name, 64);
  Q8_TRY(write_node(exporter, node, "Mul", x, x, NULL, &t, error));
  Q8_TRY(write_node(exporter, node, "Mul", t, cubic, NULL, &t, error));
  Q8_TRY(write_node(exporter, node, "Add", t, one, NULL, &t, error));
  Q8_TRY(write_node(exporter, node, "Mul", t, x, NULL, &t, error));
  Q8_TRY(write_node(exporter, node, "Mul", t, root, NULL, &t, error));
  Q8_TRY(write_node(exporter, node, "Tanh", t, NULL, NULL, &t, error));
  Q8_TRY(write_node(exporter, node, "Add", t, one, NULL, &t, error));
  Q8_TRY(write_node(exporter, node, "Mul", x, t, NULL, &t, error));
  return write_node(exporter, node, "Mul", t, half, y, &t, error);
}

const q8_op q8_op_standard_gelu = {
    .name = "Gelu", Q8_OPSETS(20, 21), Q8_INPUTS(1, 1), Q8_OUTPUTS(1, 1),
    Q8_ATTRIBUTES(gelu_attributes), .params_size = sizeof(gelu_params), .quant = Q8_QUANT_OWN,
    .variant = &any_gelu_set, .unary = 1,
    .family = &(const q8_op_family){.infer = any_gelu_infer, .eval = q8_unary_eval, .plan = q8_unary_plan,
                                    .extras = &(const q8_op_extras){.expand = any_gelu_expand}}};
