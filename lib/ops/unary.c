/* unary.c - the elementwise functions: one row each.
 *
 * Transcendental ones are computed in double by the fixed formulas of base/math.h, so that tables have the same bytes
 * on every machine. */
#include "ops/unary.h"

#include <math.h>
#include <stddef.h>

#include "base/math.h"
#include "ops/fast.h"

typedef struct coefficients {
  float alpha, beta;
} coefficients;

#define NO_ATTRIBUTES {{.name = NULL}}
#define ALPHA(value)                                                                                               \
  {{"alpha", Q8_ATTR_FLOAT, offsetof(coefficients, alpha), value, NULL, 0, 0}, {.name = NULL}}
#define ALPHA_AND(name2, value, value2)                                                                            \
  {{"alpha", Q8_ATTR_FLOAT, offsetof(coefficients, alpha), value, NULL, 0, 0},                                     \
   {name2, Q8_ATTR_FLOAT, offsetof(coefficients, beta), value2, NULL, 0, 0},                                       \
   {.name = NULL}}

/* The record of y = expression(x, a); `a` are the coefficients. Tables are made of `expression`; rows of floats may
 * use a `fast` one, equal up to rounding. */
#define UNARY(id, onnx_name, first_opset, expression, ...)                                                         \
  UNARY_FAST(id, onnx_name, first_opset, expression, expression, __VA_ARGS__)
#define UNARY_FAST(id, onnx_name, first_opset, expression, fast, ...)                                              \
  static float of_##id(const void *params, float x) {                                                             \
    const coefficients *a = params;                                                                               \
    (void)a;                                                                                                      \
    return (expression);                                                                                          \
  }                                                                                                               \
  static inline float fast_##id(coefficients c, float x) {                                                        \
    const coefficients *a = &c;                                                                                   \
    (void)a;                                                                                                      \
    return (fast);                                                                                                \
  }                                                                                                               \
  static void rows_##id(const void *params, size_t n, const float *x, float *y) {                                  \
    const coefficients c = *(const coefficients *)params;                                                         \
    Q8_FOR_BLOCKS(float, n, y, fast_##id(c, x[i]));                                                               \
  }                                                                                                               \
  static q8_status eval_##id(const q8_op_io *io) {                                                                \
    rows_##id(io->node->params, io->inputs[0]->count, io->inputs[0]->data, io->outputs[0].data);                   \
    return QINT8_OK;                                                                                              \
  }                                                                                                               \
  static q8_status plan_##id(q8_planner *planner, q8_id node, qint8_error *error) {                                \
    return q8_plan_unary(planner, node, q8_plan_node(planner, node)->params, rows_##id, error);                    \
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
                            .infer = q8_infer_unary,                                                              \
                            .eval = eval_##id,                                                                    \
                            .plan = plan_##id};

static inline float limit(float x, float lo, float hi) {
  x = x < lo ? lo : x;
  return x > hi ? hi : x;
}
static inline double softplus(double x) { /* log(1 + e^x) without overflow */
  return x > 0 ? x + q8_log(1 + q8_exp(-x)) : q8_log(1 + q8_exp(x));
}

UNARY(relu, "Relu", 1, x < 0 ? 0 : x, NO_ATTRIBUTES)
UNARY(leaky_relu, "LeakyRelu", 1, x < 0 ? a->alpha * x : x, ALPHA(0.01))
UNARY(thresholded_relu, "ThresholdedRelu", 10, x > a->alpha ? x : 0, ALPHA(1))
UNARY(elu, "Elu", 1, x < 0 ? (float)(a->alpha * (q8_exp(x) - 1)) : x, ALPHA(1))
UNARY(celu, "Celu", 12, x < 0 ? (float)(a->alpha * (q8_exp((double)x / a->alpha) - 1)) : x, ALPHA(1))
UNARY(selu, "Selu", 6, x < 0 ? (float)(a->beta * (a->alpha * (q8_exp(x) - 1))) : a->beta * x,
      ALPHA_AND("gamma", 1.67326319217681884765625, 1.05070102214813232421875))
UNARY(hard_sigmoid, "HardSigmoid", 1, limit(a->alpha * x + a->beta, 0, 1), ALPHA_AND("beta", 0.2, 0.5))
UNARY(hard_swish, "HardSwish", 14, x * limit(x * (1.0f / 6) + 0.5f, 0, 1), NO_ATTRIBUTES)
UNARY_FAST(sigmoid, "Sigmoid", 1, (float)q8_sigmoid(x), 1 / (1 + q8_fast_exp(-x)), NO_ATTRIBUTES)
UNARY_FAST(tanh, "Tanh", 1, (float)q8_tanh(x), tanhf(x), NO_ATTRIBUTES)
UNARY_FAST(erf, "Erf", 9, (float)q8_erf(x), erff(x), NO_ATTRIBUTES)
UNARY_FAST(exp, "Exp", 1, (float)q8_exp(x), expf(x), NO_ATTRIBUTES)
UNARY_FAST(log, "Log", 1, (float)q8_log(x), logf(x), NO_ATTRIBUTES)
UNARY(softplus, "Softplus", 1, (float)softplus(x), NO_ATTRIBUTES)
UNARY(softsign, "Softsign", 1, x / (1 + fabsf(x)), NO_ATTRIBUTES)
UNARY(mish, "Mish", 18, (float)(x * q8_tanh(softplus(x))), NO_ATTRIBUTES)
UNARY(sqrt, "Sqrt", 1, sqrtf(x), NO_ATTRIBUTES)
UNARY(reciprocal, "Reciprocal", 1, 1 / x, NO_ATTRIBUTES)
UNARY(abs, "Abs", 1, fabsf(x), NO_ATTRIBUTES)
UNARY(neg, "Neg", 1, -x, NO_ATTRIBUTES)
UNARY(floor, "Floor", 1, floorf(x), NO_ATTRIBUTES)
UNARY(ceil, "Ceil", 1, ceilf(x), NO_ATTRIBUTES)
UNARY(round, "Round", 11, rintf(x), NO_ATTRIBUTES)
UNARY(sign, "Sign", 9, (float)((x > 0) - (x < 0)), NO_ATTRIBUTES)
