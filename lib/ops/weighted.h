/* weighted.h - planning of operators that multiply an activation by constant weights: Conv, Gemm, MatMul,
 * ConvTranspose.
 *
 * All are convolutions: a matrix product has M images of one pixel. Three precisions:
 *   float    f32 in, f32 out
 *   static   int8 in; int8 out if the output has parameters, else the accumulators are dequantized
 *   dynamic  f32 in, quantized per sample while running (ONNX DynamicQuantizeLinear); f32 out
 */
#ifndef Q8_OPS_WEIGHTED_H
#define Q8_OPS_WEIGHTED_H

#include "nn/conv.h"
#include "ops/conv_nd.h"

typedef struct q8_weighted {
  const char *kind;        /* of the step: "conv", "gemm"; depthwise convolutions are called "dwconv" */
  q8_conv_geometry g;      /* n samples; a dynamic run has one scale for each */
  q8_layout layout;        /* of input and output */
  const float *weights;    /* [k][r][s][c / groups] */
  const int8_t *integers;  /* instead, from q8_weighted_integers: [k][c / groups][r][s] */
  const float *bias;       /* [k] or NULL */
  q8_id bias_tensor;       /* Q8_NONE without bias */
} q8_weighted;

/* 1-D has height 1. In 3-D, where depth is not convolved its planes are images, and where nothing else is they are rows of
 * height times width pixels. */
q8_conv_geometry q8_conv_geometry_of(const q8_conv_nd *c);
/* The integers of input 1, in the order of the file, if the step will multiply by just these: then floats are not needed.
 * Else NULL. `g` of the product is known. */
const int8_t *q8_weighted_integers(const q8_planner *planner, q8_id node, const q8_weighted *weighted);
/* The step without its buffers, and the forms in which it reads input 0 and writes output 0: for operators that are
 * several such products. */
q8_status q8_weighted_prepare(q8_planner *planner, q8_id node, const q8_weighted *weighted, q8_step *out,
                              q8_form_type *in_form, q8_form_type *out_form);
q8_status q8_plan_weighted(q8_planner *planner, q8_id node, const q8_weighted *weighted);
/* The same for a matrix of [g.k][g.c] weights, or [g.c][g.k] if filters are its columns: finds the weights itself; of the
 * geometry n, c and k are given. */
q8_status q8_plan_weighted_matrix(q8_planner *planner, q8_id node, const q8_weighted *weighted, int in_columns);

#endif
