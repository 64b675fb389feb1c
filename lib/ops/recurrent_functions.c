/* recurrent_functions.c - the activation functions of RNN, GRU and LSTM. */
#include <ctype.h>

#include "base/math.h"
#include "ops/fast.h"
#include "ops/recurrent.h"

/* Those that networks use are fast, the others small. */
#define FAST(name, expression)                                                                                     \
  static void name(size_t n, float a, float b, float *x) {                                                         \
    (void)a, (void)b;                                                                                              \
    Q8_FOR_BLOCKS(float, n, x, expression);                                                                        \
  }
#define SHORT(name, expression)                                                                                    \
  static void name(size_t n, float a, float b, float *x) {                                                         \
    (void)a, (void)b;                                                                                              \
    for (size_t i = 0; i < n; i++)                                                                                 \
      x[i] = expression;                                                                                           \
  }

static inline float softplus_of(float x) {
  return (float)((double)(x > 0 ? x : 0) + q8_log(1 + q8_exp((double)(x > 0 ? -x : x))));
}

FAST(relu, x[i] > 0 ? x[i] : 0)
FAST(scaled_tanh, a * (1 - 2 / (1 + q8_fast_exp(2 * b * x[i]))))
SHORT(affine, a * x[i] + b)
SHORT(leaky_relu, x[i] >= 0 ? x[i] : a * x[i])
SHORT(thresholded_relu, x[i] > a ? x[i] : 0)
SHORT(elu, x[i] >= 0 ? x[i] : a * (q8_fast_exp(x[i]) - 1))
SHORT(softsign, x[i] / (1 + (x[i] < 0 ? -x[i] : x[i])))
SHORT(softplus, softplus_of(x[i]))

static const q8_recurrent_function functions[] = {
    {"relu", {relu, {Q8_SUNARY_NONE, 0, 0}}, 0, 0},
    {"sigmoid", {NULL, {Q8_SUNARY_SIGMOID, 0, 0}}, 0, 0},
    {"tanh", {NULL, {Q8_SUNARY_TANH, 1, 1}}, 0, 0},
    {"affine", {affine, {Q8_SUNARY_NONE, 1, 0}}, 1, 1},
    {"leakyrelu", {leaky_relu, {Q8_SUNARY_NONE, 0.01f, 0}}, 1, 0},
    {"thresholdedrelu", {thresholded_relu, {Q8_SUNARY_NONE, 1, 0}}, 1, 0},
    {"scaledtanh", {scaled_tanh, {Q8_SUNARY_NONE, 1, 1}}, 1, 1},
    {"hardsigmoid", {NULL, {Q8_SUNARY_HARD_SIGMOID, 0.2f, 0.5f}}, 1, 1},
    {"elu", {elu, {Q8_SUNARY_NONE, 1, 0}}, 1, 0},
    {"softsign", {softsign, {Q8_SUNARY_NONE, 0, 0}}, 0, 0},
    {"softplus", {softplus, {Q8_SUNARY_NONE, 0, 0}}, 0, 0},
};

const q8_recurrent_function *q8_recurrent_function_of(const char *name, size_t length) {
  for (size_t i = 0; i < sizeof functions / sizeof functions[0]; i++) {
    size_t j = 0;
    while (j < length && functions[i].name[j] && tolower((unsigned char)name[j]) == functions[i].name[j])
      j++;
    if (j == length && !functions[i].name[j])
      return &functions[i];
  }
  return NULL;
}
