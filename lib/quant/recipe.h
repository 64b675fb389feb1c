/* recipe.h - how each tensor of a graph is quantized and in which mode each node runs: a side table of the graph. */
#ifndef Q8_QUANT_RECIPE_H
#define Q8_QUANT_RECIPE_H

#include <stdatomic.h>

#include "base/memory.h"

typedef enum q8_mode {
  Q8_MODE_FLOAT = 0,
  Q8_MODE_STATIC = 1, /* int8, with the ranges of calibration */
  Q8_MODE_DYNAMIC = 2 /* int8 weights, activations quantized at run time with one scale per sample; float result */
} q8_mode;

typedef struct q8_tensor_quant {
  int32_t dtype; /* QINT8_DTYPE_U8, S8 or S32; NONE: the tensor stays float */
  int32_t axis;  /* of the channel in the ONNX layout; -1: per tensor */
  int32_t count; /* scales: 1, or the size of the axis */
  float *scale;
  int32_t *zero_point;
  /* The constant's integers, where they are not rne(value / scale): an imported s32 one to the bit, a corrected bias,
   * weights of adaptive rounding (of a constant with one reader). NULL: rne(value / scale) serves. */
  const int32_t *integers;
  size_t integer_count;
} q8_tensor_quant;

typedef struct q8_recipe {
  q8_pool pool;
  atomic_int holders;       /* those who will free it; nobody edits it while they are several */
  int32_t config;           /* qint8_config it was decided with */
  int32_t activation_dtype; /* U8 or S8 */
  int32_t kept_float;       /* nodes that stay float because int8 would be slower */
  int32_t head;             /* multiplying nodes at the start that stay float for their errors: see ptq/head.h */
  size_t tensor_count, node_count; /* of the graph it belongs to: checked by the planner */
  const char **tensor_name;        /* copies, for lookup */
  q8_tensor_quant *tensors;        /* [tensor_count], weights and biases included */
  uint8_t *rounds;                 /* [tensor_count] every reader sees the quantized value, even of a float node */
  uint8_t *modes;                  /* [node_count] q8_mode */
  int32_t *node_output;            /* [node_count] first output tensor of the node */
} q8_recipe;

/* All float, without names. */
q8_status q8_recipe_new(const q8_host *host, size_t tensor_count, size_t node_count, q8_recipe **out,
                        qint8_error *error);
void q8_recipe_free(q8_recipe *recipe);
/* One more holder of the same recipe. */
q8_recipe *q8_recipe_share(q8_recipe *recipe);
/* Makes *recipe the caller's alone, which is a copy if there are other holders. */
q8_status q8_recipe_own(q8_recipe **recipe, qint8_error *error);
/* Names a tensor (copied). */
q8_status q8_recipe_set_name(q8_recipe *recipe, int32_t tensor, const char *name, qint8_error *error);
/* Without what is known of its correction. */
q8_status q8_recipe_copy(const q8_recipe *recipe, q8_recipe **out, qint8_error *error);
/* Sets a tensor's parameters (copied). count 1 and axis -1 for per tensor. */
q8_status q8_recipe_assign(q8_recipe *recipe, int32_t tensor, int32_t dtype, int32_t axis, int32_t count,
                           const float *scale, const int32_t *zero_point, qint8_error *error);
/* Keeps the integers of a constant (copied). */
q8_status q8_recipe_keep_integers(q8_recipe *recipe, int32_t tensor, const int32_t *integers, size_t count,
                                  qint8_error *error);
/* The tensor's number, or -1. */
int32_t q8_recipe_find(const q8_recipe *recipe, const char *name);

static inline int q8_is_quantized(const q8_tensor_quant *quant) {
  return quant && quant->dtype != QINT8_DTYPE_NONE;
}

#endif
