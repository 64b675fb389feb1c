/* pattern.c - elementwise functions without a standard operator in opset 17: those of the domain "qint8", patterns that
 * rewrites recognise, and Gelu of opset 20. `expand` writes them in the form in which exporters of training frameworks
 * do. */
#include <stddef.h>
#include <string.h>

#include "base/math.h"
#include "ops/hooks.h"
#include "ops/unary.h"

#define ROOT 0.79788456080286535588 /* sqrt(2 / pi) */
#define CUBIC 0.044715

static float silu(const void *params, float x) {
  (void)params;
  return (float)(x * q8_sigmoid(x));
}
static float gelu(const void *params, float x) {
  (void)params;
  return (float)(0.5 * x * (1 + q8_erf(x * 0.70710678118654752440)));
}

static const q8_unary_set silu_set = {.exact = silu, .kernel = Q8_SUNARY_SILU},
                          gelu_set = {.exact = gelu, .kernel = Q8_SUNARY_GELU};

/* A function as standard nodes in turn. An operand is 'x', the input, 't', what the node before gave, or a constant. */
typedef struct step {
  char op_type[8];
  char a, b; /* b: 0 if there is none */
} step;
static const struct constant {
  char letter, name[11];
  float value;
} constants[] = {{'r', "sqrt_two", 1.41421356237309504880f},
                 {'1', "one", 1},
                 {'h', "half", 0.5f},
                 {'p', "root", (float)ROOT},
                 {'c', "cubic", (float)CUBIC}};
#define CONSTANTS (sizeof constants / sizeof *constants)

static void write_steps(q8_exporter *exporter, const q8_node *node, const step *steps, size_t count) {
  const char *scalars[CONSTANTS] = {NULL}, *t = NULL;
  for (size_t i = 0; i < count; i++) {
    const char *inputs[2] = {NULL, NULL};
    for (int j = 0; j < 2; j++) {
      char operand = j ? steps[i].b : steps[i].a;
      inputs[j] = operand == 'x' ? q8_export_input(exporter, node, 0) : operand == 't' ? t : NULL;
      for (size_t k = 0; k < CONSTANTS; k++)
        if (operand == constants[k].letter) {
          scalars[k] = scalars[k] ? scalars[k] : q8_export_scalar(exporter, constants[k].name, constants[k].value);
          inputs[j] = scalars[k];
        }
    }
    t = i + 1 < count ? q8_export_fresh(exporter, node->name) : q8_export_output(exporter, node, 0);
    q8_export_node(exporter, steps[i].op_type, inputs, steps[i].b ? 2 : 1, t, NULL);
  }
}
#define EXPAND(name, steps)                                                                                        \
  static q8_status name(q8_exporter *exporter, const q8_graph *graph, const q8_node *node, qint8_error *error) {   \
    (void)graph, (void)error;                                                                                      \
    write_steps(exporter, node, steps, sizeof steps / sizeof *steps);                                              \
    return QINT8_OK;                                                                                               \
  }

/* x * Sigmoid(x) */
static const step silu_steps[] = {{"Sigmoid", 'x', 0}, {"Mul", 'x', 't'}};
EXPAND(silu_expand, silu_steps)

/* x * (Erf(x / sqrt(2)) + 1) * 0.5 */
static const step gelu_steps[] = {
    {"Div", 'x', 'r'}, {"Erf", 't', 0}, {"Add", 't', '1'}, {"Mul", 'x', 't'}, {"Mul", 't', 'h'}};
EXPAND(gelu_expand, gelu_steps)

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

static float any_gelu(const void *params, float x) {
  double v = x;
  return is_tanh(params) ? (float)(0.5 * v * (1 + q8_tanh(ROOT * (v + CUBIC * v * v * v)))) : gelu(NULL, x);
}

static const q8_unary_set any_gelu_set = {.exact = any_gelu, .kernel = Q8_SUNARY_GELU};

static q8_status any_gelu_infer(const q8_op_io *io) {
  int approximate;
  Q8_TRY(q8_op_word(io, "approximate", "none or tanh", &approximate));
  return q8_infer_unary(io);
}

static const step tanh_steps[] = {{"Mul", 'x', 'x'}, {"Mul", 't', 'c'}, {"Add", 't', '1'},
                                  {"Mul", 't', 'x'}, {"Mul", 't', 'p'}, {"Tanh", 't', 0},
                                  {"Add", 't', '1'}, {"Mul", 'x', 't'}, {"Mul", 't', 'h'}};
EXPAND(tanh_expand, tanh_steps)
static q8_status any_gelu_expand(q8_exporter *exporter, const q8_graph *graph, const q8_node *node, qint8_error *error) {
  return (is_tanh(node->params) ? tanh_expand : gelu_expand)(exporter, graph, node, error);
}

const q8_op q8_op_standard_gelu = {
    .name = "Gelu", Q8_OPSETS(20, 21), Q8_INPUTS(1, 1), Q8_OUTPUTS(1, 1),
    Q8_ATTRIBUTES(gelu_attributes), .params_size = sizeof(gelu_params), .quant = Q8_QUANT_OWN,
    .variant = &any_gelu_set, .unary = 1,
    .family = &(const q8_op_family){.infer = any_gelu_infer, .eval = q8_unary_eval, .plan = q8_unary_plan,
                                    .extras = &(const q8_op_extras){.expand = any_gelu_expand}}};
