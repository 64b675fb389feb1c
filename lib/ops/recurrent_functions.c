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

static inline float limit(float v) {
  v = v < 1 ? v : 1;
  return v > 0 ? v : 0;
}
static inline float softplus_of(float x) {
  return (float)((double)(x > 0 ? x : 0) + q8_log(1 + q8_exp((double)(x > 0 ? -x : x))));
}

FAST(relu, x[i] > 0 ? x[i] : 0)
FAST(sigmoid, 1 / (1 + q8_fast_exp(-x[i])))
FAST(scaled_tanh, a * (1 - 2 / (1 + q8_fast_exp(2 * b * x[i]))))
SHORT(affine, a * x[i] + b)
SHORT(leaky_relu, x[i] >= 0 ? x[i] : a * x[i])
SHORT(thresholded_relu, x[i] > a ? x[i] : 0)
SHORT(hard_sigmoid, limit(a * x[i] + b))
SHORT(elu, x[i] >= 0 ? x[i] : a * (q8_fast_exp(x[i]) - 1))
SHORT(softsign, x[i] / (1 + (x[i] < 0 ? -x[i] : x[i])))
SHORT(softplus, softplus_of(x[i]))

static const q8_recurrent_function functions[] = {
    {"relu", relu, 0, 0, 0, 0},
    {"sigmoid", sigmoid, 0, 0, 0, 0},
    {"tanh", scaled_tanh, 0, 0, 1, 1},
    {"affine", affine, 1, 1, 1, 0},
    {"leakyrelu", leaky_relu, 1, 0, 0.01f, 0},
    {"thresholdedrelu", thresholded_relu, 1, 0, 1, 0},
    {"scaledtanh", scaled_tanh, 1, 1, 1, 1},
    {"hardsigmoid", hard_sigmoid, 1, 1, 0.2f, 0.5f},
    {"elu", elu, 1, 0, 1, 0},
    {"softsign", softsign, 0, 0, 0, 0},
    {"softplus", softplus, 0, 0, 0, 0},
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
