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
  UNARY_WITH(id, onnx_name, first_opset, expression, NULL, .rows = NULL)
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

/* Integers: the value and its sign, which an unsigned 64-bit value has too. */
static int64_t whole_relu(int64_t x, int sign) {
  return sign > 0 ? x : 0;
}
static int64_t whole_abs(int64_t x, int sign) {
  return sign < 0 ? (int64_t)(0 - (uint64_t)x) : x;
}
static int64_t whole_neg(int64_t x, int sign) {
  (void)sign;
  return (int64_t)(0 - (uint64_t)x);
}
static int64_t whole_sign(int64_t x, int sign) {
  (void)x;
  return sign;
}

#define KERNEL(name, which)                                                                                        \
  static q8_sunary name(const void *params) {                                                                      \
    const q8_unary_coefficients *a = params;                                                                       \
    return (q8_sunary){which, a->alpha, a->beta};                                                                  \
  }
KERNEL(hard_sigmoid_kernel, Q8_SUNARY_HARD_SIGMOID)
KERNEL(hard_swish_kernel, Q8_SUNARY_HARD_SWISH)
KERNEL(sigmoid_kernel, Q8_SUNARY_SIGMOID)
KERNEL(tanh_kernel, Q8_SUNARY_TANH)
KERNEL(erf_kernel, Q8_SUNARY_ERF)
KERNEL(elu_kernel, Q8_SUNARY_ELU)
KERNEL(log_kernel, Q8_SUNARY_LOG)
KERNEL(softplus_kernel, Q8_SUNARY_SOFTPLUS)
static q8_sunary exp_kernel(const void *params) {
  (void)params;
  return (q8_sunary){Q8_SUNARY_EXP, 0, 0};
}

UNARY_WITH(relu, "Relu", 1, x < 0 ? 0 : x, NULL, .rows = q8_relu_rows, .whole = whole_relu)
UNARY_WITH(leaky_relu, "LeakyRelu", 1, x < 0 ? a->alpha * x : x, slope, .rows = q8_leaky_relu_rows)
UNARY_WITH(thresholded_relu, "ThresholdedRelu", 10, x > a->alpha ? x : 0, unit, .rows = NULL)
UNARY_WITH(elu, "Elu", 1, x < 0 ? a->alpha * (q8_exp(x) - 1) : x, unit, .kernel = elu_kernel)
UNARY_WITH(celu, "Celu", 12, x < 0 ? a->alpha * (q8_exp(x / a->alpha) - 1) : x, unit, .rows = NULL)
UNARY_WITH(selu, "Selu", 1, x < 0 ? a->beta * (a->alpha * (q8_exp(x) - 1)) : a->beta * x, selu_fields,
           .rows = NULL)
UNARY_EXACT(hard_sigmoid, "HardSigmoid", 1, LIMIT(a->alpha * x + a->beta, 0, 1), line, .kernel = hard_sigmoid_kernel)
UNARY_EXACT(hard_swish, "HardSwish", 14, x *LIMIT(x * ((T)1 / 6) + (T)0.5, 0, 1), NULL, .kernel = hard_swish_kernel)
UNARY_WITH(shrink, "Shrink", 9, x < -a->alpha ? x + a->beta : x > a->alpha ? x - a->beta : 0, shrink_fields,
           .rows = NULL)
UNARY_WITH(sigmoid, "Sigmoid", 1, q8_sigmoid(x), NULL, .kernel = sigmoid_kernel)
UNARY_WITH(tanh, "Tanh", 1, q8_tanh(x), NULL, .kernel = tanh_kernel)
UNARY_WITH(erf, "Erf", 9, q8_erf(x), NULL, .kernel = erf_kernel)
UNARY_WITH(exp, "Exp", 1, q8_exp(x), NULL, .kernel = exp_kernel)
UNARY_WITH(log, "Log", 1, q8_log(x), NULL, .kernel = log_kernel)
UNARY_WITH(softplus, "Softplus", 1, softplus(x), NULL, .kernel = softplus_kernel)
UNARY_EXACT(softsign, "Softsign", 1, x / (1 + (x < 0 ? -x : x)), NULL, .rows = NULL)
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
UNARY_WITH(sqrt, "Sqrt", 1, sqrt(x), NULL, .rows = q8_sqrt_rows)
UNARY_WITH(reciprocal, "Reciprocal", 1, 1 / x, NULL, .rows = q8_reciprocal_rows)
UNARY_WITH(abs, "Abs", 1, fabs(x), NULL, .rows = q8_abs_rows, .whole = whole_abs)
UNARY_WITH(neg, "Neg", 1, -x, NULL, .rows = q8_neg_rows, .whole = whole_neg)
UNARY_WITH(floor, "Floor", 1, floor(x), NULL, .rows = q8_floor_rows)
UNARY_WITH(ceil, "Ceil", 1, ceil(x), NULL, .rows = q8_ceil_rows)
UNARY_WITH(round, "Round", 11, rint(x), NULL, .rows = q8_round_rows)
UNARY_WITH(sign, "Sign", 9, (x > 0) - (x < 0), NULL, .whole = whole_sign)
