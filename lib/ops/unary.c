/* unary.c - the elementwise functions: one row each.
 *
 * Those that networks use as activations are computed in double by the fixed formulas of base/math.h, so that tables
 * have the same bytes on every machine. Those of libm are computed in double: C libraries differ in its last bit at most,
 * which rounding to float all but hides. */
#include <math.h>
#include <stddef.h>

#include "base/math.h"
#include "ops/unary.h"

#define FIELD(name, field, value)                                                                                  \
  { name, Q8_ATTR_FLOAT, offsetof(q8_unary_coefficients, field), 0, 0, value }
static const q8_attribute slope[] = {FIELD("alpha", alpha, 0.01f)},
                          unit[] = {FIELD("alpha", alpha, 1)},
                          selu_fields[] = {FIELD("alpha", alpha, 1.67326319217681884765625f),
                                           FIELD("gamma", beta, 1.05070102214813232421875f)},
                          line[] = {FIELD("alpha", alpha, 0.2f), FIELD("beta", beta, 0.5f)},
                          shrink_fields[] = {FIELD("lambd", alpha, 0.5f), FIELD("bias", beta, 0)};

/* The record of y = expression(x, a) of a double x; `a` are the coefficients. Tables are made of the result rounded to
 * float, which is what float arithmetic would give where the expression rounds once. EXACT ones round more often and are
 * computed in float for a float: T is the type of x. What its q8_unary_set has beyond `wide` stands last. */
#define UNARY_WITH(id, onnx_name, first_opset, expression, list, ...)                                              \
  FUNCTION(wide_##id, double, expression)                                                                          \
  const q8_op q8_op_##id = {                                                                                       \
      .name = onnx_name, Q8_OPSETS(first_opset, 21), Q8_INPUTS(1, 1), Q8_OUTPUTS(1, 1),                            \
      Q8_ATTRIBUTES(list), .params_size = sizeof(q8_unary_coefficients), .quant = Q8_QUANT_OWN, .unary = 1,        \
      .family = &family, .variant = &(const q8_unary_set){.wide = wide_##id, __VA_ARGS__}};
#define UNARY(id, onnx_name, first_opset, expression)                                                              \
  UNARY_WITH(id, onnx_name, first_opset, expression, NULL, .rows = Q8_ROWS_NONE)
#define UNARY_EXACT(id, onnx_name, first_opset, expression, list, ...)                                             \
  FUNCTION(exact_##id, float, expression)                                                                          \
  UNARY_WITH(id, onnx_name, first_opset, expression, list, .exact = exact_##id, __VA_ARGS__)
#define FUNCTION(name, type, expression)                                                                           \
  static type name(const void *params, type x) {                                                                   \
    typedef type T;                                                                                                \
    const q8_unary_coefficients *a = params;                                                                       \
    (void)a;                                                                                                       \
    return (T)(expression);                                                                                        \
  }

static const q8_op_family family = {.infer = q8_unary_infer, .eval = q8_unary_eval, .plan = q8_unary_plan};

#define LIMIT(x, lo, hi) ((x) < (lo) ? (lo) : (x) > (hi) ? (hi) : (x))
static inline double softplus(double x) { /* log(1 + e^x) without overflow */
  return x > 0 ? x + q8_log(1 + q8_exp(-x)) : q8_log(1 + q8_exp(x));
}

UNARY_WITH(relu, "Relu", 1, x < 0 ? 0 : x, NULL, .rows = Q8_ROWS_RELU, .whole = Q8_ROWS_RELU)
UNARY_WITH(leaky_relu, "LeakyRelu", 1, x < 0 ? a->alpha * x : x, slope, .rows = Q8_ROWS_LEAKY_RELU)
UNARY_WITH(thresholded_relu, "ThresholdedRelu", 10, x > a->alpha ? x : 0, unit, .rows = Q8_ROWS_NONE)
UNARY_WITH(elu, "Elu", 1, x < 0 ? a->alpha * (q8_exp(x) - 1) : x, unit, .kernel = Q8_SUNARY_ELU)
UNARY_WITH(celu, "Celu", 12, x < 0 ? a->alpha * (q8_exp(x / a->alpha) - 1) : x, unit, .rows = Q8_ROWS_NONE)
UNARY_WITH(selu, "Selu", 1, x < 0 ? a->beta * (a->alpha * (q8_exp(x) - 1)) : a->beta * x, selu_fields,
           .rows = Q8_ROWS_NONE)
UNARY_EXACT(hard_sigmoid, "HardSigmoid", 1, LIMIT(a->alpha * x + a->beta, 0, 1), line, .kernel = Q8_SUNARY_HARD_SIGMOID)
UNARY_EXACT(hard_swish, "HardSwish", 14, x *LIMIT(x * ((T)1 / 6) + (T)0.5, 0, 1), NULL, .kernel = Q8_SUNARY_HARD_SWISH)
UNARY_WITH(shrink, "Shrink", 9, x < -a->alpha ? x + a->beta : x > a->alpha ? x - a->beta : 0, shrink_fields,
           .rows = Q8_ROWS_NONE)
UNARY_WITH(sigmoid, "Sigmoid", 1, q8_sigmoid(x), NULL, .kernel = Q8_SUNARY_SIGMOID)
UNARY_WITH(tanh, "Tanh", 1, q8_tanh(x), NULL, .kernel = Q8_SUNARY_TANH)
UNARY_WITH(erf, "Erf", 9, q8_erf(x), NULL, .kernel = Q8_SUNARY_ERF)
UNARY_WITH(exp, "Exp", 1, q8_exp(x), NULL, .kernel = Q8_SUNARY_EXP)
UNARY_WITH(log, "Log", 1, q8_log(x), NULL, .kernel = Q8_SUNARY_LOG)
UNARY_WITH(softplus, "Softplus", 1, softplus(x), NULL, .kernel = Q8_SUNARY_SOFTPLUS)
UNARY_EXACT(softsign, "Softsign", 1, x / (1 + (x < 0 ? -x : x)), NULL, .rows = Q8_ROWS_NONE)
UNARY(mish, "Mish", 18, x *q8_tanh(softplus(x)))
UNARY(sin, "Sin", 7, sin(x))
UNARY(cos, "Cos", 7, cos(x))
UNARY(tan, "Tan", 7, tan(x))
UNARY(asin, "Asin", 7, asin(x))
UNARY(acos, "Acos", 7, acos(x))
UNARY(atan, "Atan", 7, atan(x))
UNARY(sinh, "Sinh", 9, sinh(x))
UNARY(cosh, "Cosh", 9, cosh(x))
UNARY(asinh, "Asinh", 9, asinh(x))
UNARY(acosh, "Acosh", 9, acosh(x))
UNARY(atanh, "Atanh", 9, atanh(x))
UNARY_WITH(sqrt, "Sqrt", 1, sqrt(x), NULL, .rows = Q8_ROWS_SQRT)
UNARY_WITH(reciprocal, "Reciprocal", 1, 1 / x, NULL, .rows = Q8_ROWS_RECIPROCAL)
UNARY_WITH(abs, "Abs", 1, fabs(x), NULL, .rows = Q8_ROWS_ABS, .whole = Q8_ROWS_ABS)
UNARY_WITH(neg, "Neg", 1, -x, NULL, .rows = Q8_ROWS_NEG, .whole = Q8_ROWS_NEG)
UNARY_WITH(floor, "Floor", 1, floor(x), NULL, .rows = Q8_ROWS_FLOOR)
UNARY_WITH(ceil, "Ceil", 1, ceil(x), NULL, .rows = Q8_ROWS_CEIL)
UNARY_WITH(round, "Round", 11, rint(x), NULL, .rows = Q8_ROWS_ROUND)
UNARY_WITH(sign, "Sign", 9, (x > 0) - (x < 0), NULL, .whole = Q8_ROWS_SIGN)
