/* instance_norm.c - InstanceNormalization: mean and variance per sample and channel. */
#include <math.h>

#include "ops/norm.h"

typedef struct instance_norm_params {
  float epsilon;
} instance_norm_params;

static const q8_attribute attributes[] = {
    {"epsilon", Q8_ATTR_FLOAT, offsetof(instance_norm_params, epsilon), 0, 0, 1e-5}};

static q8_status infer(const q8_op_io *io) {
  const q8_shape *x = &io->inputs[0]->shape;
  Q8_TRY(q8_need_channels(io, 2));
  for (int32_t i = 1; i < 3; i++) {
    Q8_TRY(q8_need_dtype(io, i, QINT8_DTYPE_F32));
    if (io->inputs[i]->count != (size_t)x->dim[1])
      return q8_op_fail(io, QINT8_ERROR_SHAPE, "%s of shape %p for an input of shape %p",
                        i == 1 ? "scale" : "B", &io->inputs[i]->shape, x);
  }
  return q8_infer_same(io);
}

static q8_status eval(const q8_op_io *io) {
  float epsilon = ((const instance_norm_params *)io->node->params)->epsilon;
  const q8_shape *shape = &io->inputs[0]->shape;
  const float *x = io->inputs[0]->data, *scale = io->inputs[1]->data, *bias = io->inputs[2]->data;
  float *y = io->outputs[0].data;
  size_t channels = (size_t)shape->dim[1], planes = q8_dims(shape, 0, 2), n = q8_dims(shape, 2, shape->rank);
  for (size_t i = 0; i < planes && n; i++) {
    double mean, variance;
    q8_moments(n, x + i * n, &mean, &variance);
    double factor = scale[i % channels] / sqrt(variance + (double)epsilon);
    q8_scale_shift(n, x + i * n, (float)factor, (float)(bias[i % channels] - mean * factor), y + i * n);
  }
  return QINT8_OK;
}

const q8_op q8_op_instance_norm = {
    .name = "InstanceNormalization", Q8_OPSETS(6, 21), Q8_INPUTS(3, 3), Q8_OUTPUTS(1, 1),
    Q8_ATTRIBUTES(attributes), .params_size = sizeof(instance_norm_params), .quant = Q8_QUANT_FLOAT,
    .family = &(const q8_op_family){.int8_obstacle = "no int8 form: mean and variance need the range of float",
                                    .infer = infer, .eval = eval}};
