/* layer_norm.c - LayerNormalization: y = (x - mean) / sqrt(var + epsilon) * scale + b over the dimensions from `axis`. */
#include <math.h>

#include "ops/norm.h"

typedef struct layer_norm_params {
  int64_t axis, stash_type;
  float epsilon;
} layer_norm_params;

#define AT(field) offsetof(layer_norm_params, field)
static const q8_attribute attributes[] = {{"axis", Q8_ATTR_INT, AT(axis), 0, 0, -1},
                                          {"epsilon", Q8_ATTR_FLOAT, AT(epsilon), 0, 0, 1e-5},
                                          {"stash_type", Q8_ATTR_INT, AT(stash_type), 0, 0, 1}};

/* The normalized dimensions; scale and b must broadcast to them. */
static q8_status find_inner(const q8_op_io *io, int32_t *axis, q8_shape *inner) {
  const q8_shape *x = &io->inputs[0]->shape;
  *axis = q8_axis_of(io);
  inner->rank = x->rank - *axis;
  for (int32_t i = 0; i < inner->rank; i++)
    inner->dim[i] = x->dim[*axis + i];
  for (int32_t i = 1; i < 3; i++) {
    const q8_value *v = q8_input(io, i);
    q8_shape joined;
    if (!v)
      continue;
    Q8_TRY(q8_infer_broadcast(io, &v->shape, inner, &joined));
    if (!q8_shape_equal(&joined, inner))
      return q8_op_fail(io, QINT8_ERROR_SHAPE, "%s of shape %p for normalized dimensions %p",
                        i == 1 ? "scale" : "bias", &v->shape, inner);
  }
  return QINT8_OK;
}

static q8_status infer(const q8_op_io *io) {
  int32_t axis;
  q8_shape inner, outer = io->inputs[0]->shape;
  Q8_TRY(find_inner(io, &axis, &inner));
  for (int32_t i = axis; i < outer.rank; i++)
    outer.dim[i] = 1;
  for (int32_t i = 1; i < io->node->output_count; i++)
    Q8_TRY(q8_infer_set(io, i, QINT8_DTYPE_F32, &outer));
  return q8_infer_same(io);
}

/* The value of a broadcast input at position i of the inner dimensions. */
static float value_at(const q8_value *v, const q8_shape *inner, const int64_t *stride, size_t i) {
  return ((const float *)v->data)[q8_split_offset(i, inner->rank, inner->dim, stride)];
}

typedef struct affine {
  const q8_value *scale, *bias;
  const q8_shape *inner;
  int64_t scale_stride[Q8_MAX_RANK], bias_stride[Q8_MAX_RANK];
} affine;

/* With a scale or bias that repeats. */
static void normalize_repeated(const affine *a, size_t n, const float *x, float mean, float inverse, float *y) {
  for (size_t i = 0; i < n; i++)
    y[i] = (x[i] - mean) * inverse * value_at(a->scale, a->inner, a->scale_stride, i) +
           (a->bias ? value_at(a->bias, a->inner, a->bias_stride, i) : 0);
}

static q8_status eval(const q8_op_io *io) {
  const layer_norm_params *p = io->node->params;
  int32_t axis;
  q8_shape inner;
  Q8_TRY(find_inner(io, &axis, &inner));
  affine a = {.scale = io->inputs[1], .bias = q8_input(io, 2), .inner = &inner};
  q8_broadcast_strides(&a.scale->shape, &inner, a.scale_stride);
  if (a.bias)
    q8_broadcast_strides(&a.bias->shape, &inner, a.bias_stride);
  const float *x = io->inputs[0]->data;
  float *y = io->outputs[0].data;
  float *means = io->node->output_count > 1 ? io->outputs[1].data : NULL;
  float *inverses = io->node->output_count > 2 ? io->outputs[2].data : NULL;
  size_t rows = q8_dims(&io->inputs[0]->shape, 0, axis), n = q8_shape_count(&inner, NULL);
  int is_whole = a.scale->count == n && (!a.bias || a.bias->count == n);
  for (size_t r = 0; r < rows && n; r++) {
    double mean, variance;
    q8_moments(n, x + r * n, &mean, &variance);
    float inverse = (float)(1 / sqrt(variance + (double)p->epsilon));
    if (is_whole)
      q8_normalize_row(n, x + r * n, (float)mean, inverse, a.scale->data, a.bias ? a.bias->data : NULL, y + r * n);
    else
      normalize_repeated(&a, n, x + r * n, (float)mean, inverse, y + r * n);
    if (means)
      means[r] = (float)mean;
    if (inverses)
      inverses[r] = inverse;
  }
  return QINT8_OK;
}

const q8_op q8_op_layer_norm = {
    .name = "LayerNormalization", Q8_OPSETS(17, 21), Q8_INPUTS(2, 3), Q8_OUTPUTS(1, 3),
    Q8_ATTRIBUTES(attributes), .params_size = sizeof(layer_norm_params), .quant = Q8_QUANT_FLOAT,
    .float_inputs = 7, .has_axis = 1,
    .family = &(const q8_op_family){.int8_obstacle = "no int8 form: mean and variance need the range of float",
                                    .infer = infer, .eval = eval}};
