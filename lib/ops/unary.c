/* unary.c - the elementwise functions: one row each.
 *
 * Those that networks use as activations are computed in double by the fixed formulas of base/math.h, so that tables
 * have the same bytes on every machine. Those of libm are computed in double: C libraries differ in its last bit at most,
 * which rounding to float all but hides. The type-generic functions of tgmath.h serve float and double alike. */
#include "ops/unary.h"

#include <stddef.h>
#include <tgmath.h>

#include "base/element.h"
#include "base/math.h"
#include "ops/fast.h"

typedef struct coefficients {
  float alpha, beta;
} coefficients;

#define NO_ATTRIBUTES {{.name = NULL}}
#define ALPHA(value)                                                                                               \
  {{"alpha", Q8_ATTR_FLOAT, offsetof(coefficients, alpha), 0, 0, value, NULL}, {.name = NULL}}
#define ALPHA_AND(name2, value, value2)                                                                            \
  {{"alpha", Q8_ATTR_FLOAT, offsetof(coefficients, alpha), 0, 0, value, NULL},                                     \
   {name2, Q8_ATTR_FLOAT, offsetof(coefficients, beta), 0, 0, value2, NULL},                                       \
   {.name = NULL}}
#define LAMBD_AND_BIAS                                                                                             \
  {{"lambd", Q8_ATTR_FLOAT, offsetof(coefficients, alpha), 0, 0, 0.5, NULL},                                       \
   {"bias", Q8_ATTR_FLOAT, offsetof(coefficients, beta), 0, 0, 0, NULL},                                           \
   {.name = NULL}}

/* The record of y = expression(x, a) with x of type T, float or double; `a` are the coefficients. Tables are made of
 * `expression`; rows of floats may have a kernel, equal up to rounding. `whole` is the function of integers, or NULL: see
 * q8_eval_unary. */
#define UNARY(id, onnx_name, first_opset, expression, ...)                                                         \
  UNARY_ROWS(id, onnx_name, first_opset, expression, NULL, __VA_ARGS__)
#define UNARY_WHOLE(id, onnx_name, first_opset, expression, whole, ...)                                            \
  UNARY_ROWS(id, onnx_name, first_opset, expression, whole, __VA_ARGS__)
#define UNARY_ROWS(id, onnx_name, first_opset, expression, whole, ...)                                             \
  static inline float one_##id(coefficients c, float x) {                                                         \
    typedef float T;                                                                                              \
    const coefficients *a = &c;                                                                                   \
    (void)a;                                                                                                      \
    return (T)(expression);                                                                                       \
  }                                                                                                               \
  static void rows_##id(const void *params, size_t n, const float *x, float *y) {                                  \
    const coefficients c = *(const coefficients *)params;                                                         \
    Q8_FOR_BLOCKS(float, n, y, one_##id(c, x[i]));                                                                \
  }                                                                                                               \
  UNARY_RECORD(id, onnx_name, first_opset, expression, rows_##id, whole, NULL, __VA_ARGS__)
#define UNARY_KERNEL(id, onnx_name, first_opset, expression, name, ...)                                            \
  static q8_sunary kernel_##id(const void *params) {                                                              \
    const coefficients *a = params;                                                                               \
    return (q8_sunary){name, a->alpha, a->beta};                                                                  \
  }                                                                                                               \
  UNARY_RECORD(id, onnx_name, first_opset, expression, NULL, NULL, kernel_##id, __VA_ARGS__)
#define UNARY_RECORD(id, onnx_name, first_opset, expression, rows, whole, kernel, ...)                             \
  static float of_##id(const void *params, float x) {                                                             \
    typedef float T;                                                                                              \
    const coefficients *a = params;                                                                               \
    (void)a;                                                                                                      \
    return (T)(expression);                                                                                       \
  }                                                                                                               \
  static double wide_##id(const void *params, double x) {                                                         \
    typedef double T;                                                                                             \
    const coefficients *a = params;                                                                               \
    (void)a;                                                                                                      \
    return (T)(expression);                                                                                       \
  }                                                                                                               \
  static const q8_unary_set set_##id = {rows, wide_##id, whole, kernel};                                          \
  static q8_status infer_##id(const q8_op_io *io) {                                                               \
    return q8_infer_unary_set(io, &set_##id);                                                                     \
  }                                                                                                               \
  static q8_status eval_##id(const q8_op_io *io) {                                                                \
    return q8_eval_unary(io, &set_##id);                                                                          \
  }                                                                                                               \
  static q8_status plan_##id(q8_planner *planner, q8_id node, qint8_error *error) {                                \
    return q8_plan_unary(planner, node, q8_plan_node(planner, node)->params, &set_##id, error);                    \
  }                                                                                                               \
  static const q8_attribute attributes_##id[] = __VA_ARGS__;                                                      \
  const q8_op q8_op_##id = {.name = onnx_name,                                                                    \
                            .domain = "",                                                                         \
                            .min_opset = first_opset,                                                             \
                            .max_opset = 21,                                                                      \
                            .min_inputs = 1,                                                                      \
                            .max_inputs = 1,                                                                      \
                            .min_outputs = 1,                                                                     \
                            .max_outputs = 1,                                                                     \
                            .attributes = attributes_##id,                                                        \
                            .params_size = sizeof(coefficients),                                                  \
                            .quant = Q8_QUANT_OWN,                                                                \
                            .unary = of_##id,                                                                     \
                            .infer = infer_##id,                                                                  \
                            .eval = eval_##id,                                                                    \
                            .plan = plan_##id};

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

UNARY_WHOLE(relu, "Relu", 1, x < 0 ? 0 : x, whole_relu, NO_ATTRIBUTES)
UNARY(leaky_relu, "LeakyRelu", 1, x < 0 ? a->alpha * x : x, ALPHA(0.01))
UNARY(thresholded_relu, "ThresholdedRelu", 10, x > a->alpha ? x : 0, ALPHA(1))
UNARY(elu, "Elu", 1, x < 0 ? (T)(a->alpha * (q8_exp(x) - 1)) : x, ALPHA(1))
UNARY(celu, "Celu", 12, x < 0 ? (T)(a->alpha * (q8_exp((double)x / a->alpha) - 1)) : x, ALPHA(1))
UNARY(selu, "Selu", 1, x < 0 ? (T)(a->beta * (a->alpha * (q8_exp(x) - 1))) : a->beta * x,
      ALPHA_AND("gamma", 1.67326319217681884765625, 1.05070102214813232421875))
UNARY_KERNEL(hard_sigmoid, "HardSigmoid", 1, LIMIT(a->alpha * x + a->beta, 0, 1), Q8_SUNARY_HARD_SIGMOID,
             ALPHA_AND("beta", 0.2, 0.5))
UNARY_KERNEL(hard_swish, "HardSwish", 14, x *LIMIT(x * ((T)1 / 6) + (T)0.5, 0, 1), Q8_SUNARY_HARD_SWISH, NO_ATTRIBUTES)
UNARY(shrink, "Shrink", 9, x < -a->alpha ? x + a->beta : x > a->alpha ? x - a->beta : 0, LAMBD_AND_BIAS)
UNARY_KERNEL(sigmoid, "Sigmoid", 1, q8_sigmoid(x), Q8_SUNARY_SIGMOID, NO_ATTRIBUTES)
UNARY_KERNEL(tanh, "Tanh", 1, q8_tanh(x), Q8_SUNARY_TANH, NO_ATTRIBUTES)
UNARY_KERNEL(erf, "Erf", 9, q8_erf(x), Q8_SUNARY_ERF, NO_ATTRIBUTES)
UNARY(exp, "Exp", 1, q8_exp(x), NO_ATTRIBUTES)
UNARY(log, "Log", 1, q8_log(x), NO_ATTRIBUTES)
UNARY(softplus, "Softplus", 1, softplus(x), NO_ATTRIBUTES)
UNARY(softsign, "Softsign", 1, x / (1 + fabs(x)), NO_ATTRIBUTES)
UNARY(mish, "Mish", 18, x *q8_tanh(softplus(x)), NO_ATTRIBUTES)
UNARY(sin, "Sin", 7, sin((double)x), NO_ATTRIBUTES)
UNARY(cos, "Cos", 7, cos((double)x), NO_ATTRIBUTES)
UNARY(tan, "Tan", 7, tan((double)x), NO_ATTRIBUTES)
UNARY(asin, "Asin", 7, asin((double)x), NO_ATTRIBUTES)
UNARY(acos, "Acos", 7, acos((double)x), NO_ATTRIBUTES)
UNARY(atan, "Atan", 7, atan((double)x), NO_ATTRIBUTES)
UNARY(sinh, "Sinh", 9, sinh((double)x), NO_ATTRIBUTES)
UNARY(cosh, "Cosh", 9, cosh((double)x), NO_ATTRIBUTES)
UNARY(asinh, "Asinh", 9, asinh((double)x), NO_ATTRIBUTES)
UNARY(acosh, "Acosh", 9, acosh((double)x), NO_ATTRIBUTES)
UNARY(atanh, "Atanh", 9, atanh((double)x), NO_ATTRIBUTES)
UNARY(sqrt, "Sqrt", 1, sqrt(x), NO_ATTRIBUTES)
UNARY(reciprocal, "Reciprocal", 1, 1 / x, NO_ATTRIBUTES)
UNARY_WHOLE(abs, "Abs", 1, fabs(x), whole_abs, NO_ATTRIBUTES)
UNARY_WHOLE(neg, "Neg", 1, -x, whole_neg, NO_ATTRIBUTES)
UNARY(floor, "Floor", 1, floor(x), NO_ATTRIBUTES)
UNARY(ceil, "Ceil", 1, ceil(x), NO_ATTRIBUTES)
UNARY(round, "Round", 11, rint(x), NO_ATTRIBUTES)
UNARY_WHOLE(sign, "Sign", 9, (T)((x > 0) - (x < 0)), whole_sign, NO_ATTRIBUTES)
