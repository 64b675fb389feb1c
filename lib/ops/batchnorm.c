/* batchnorm.c - BatchNormalization in inference: y = (x - mean) / sqrt(var + epsilon) * scale + b, per channel.
 * Usually a rewrite has folded it into the operator before. */
#include <math.h>
#include <stddef.h>

#include "ops/common.h"

typedef struct batchnorm_params {
  float epsilon;
} batchnorm_params;

static const q8_attribute attributes[] = {
    {"epsilon", Q8_ATTR_FLOAT, offsetof(batchnorm_params, epsilon), 1e-5, NULL, 0, 0}, {.name = NULL}};

static size_t channels_of(const q8_shape *x) {
  return x->rank > 1 ? (size_t)x->dim[1] : 1;
}

static q8_status infer(const q8_op_io *io) {
  const q8_shape *x = &io->inputs[0]->shape;
  for (int32_t i = 0; i < 5; i++) {
    Q8_TRY(q8_need_dtype(io, i, QINT8_DTYPE_F32));
    if (i > 0 && io->inputs[i]->count != channels_of(x)) {
      char a[128], b[128];
      return q8_fail(io->error, QINT8_ERROR_SHAPE, io->node->name, "parameters of shape %s for an input of shape %s",
                     q8_shape_text(&io->inputs[i]->shape, a, sizeof a), q8_shape_text(x, b, sizeof b));
    }
  }
  return q8_infer_same(io);
}

static q8_status eval(const q8_op_io *io) {
  float epsilon = ((const batchnorm_params *)io->node->params)->epsilon;
  const q8_shape *shape = &io->inputs[0]->shape;
  const float *x = io->inputs[0]->data, *scale = io->inputs[1]->data, *b = io->inputs[2]->data;
  const float *mean = io->inputs[3]->data, *var = io->inputs[4]->data;
  float *y = io->outputs[0].data;
  size_t channels = channels_of(shape), batch = shape->rank > 0 ? (size_t)shape->dim[0] : 1;
  size_t positions = shape->rank > 2 ? q8_dims(shape, 2, shape->rank) : 1;
  for (size_t i = 0; i < batch * channels; i++) {
    size_t c = i % channels;
    float factor = scale[c] / sqrtf(var[c] + epsilon);
    for (size_t j = 0; j < positions; j++)
      y[i * positions + j] = (x[i * positions + j] - mean[c]) * factor + b[c];
  }
  return QINT8_OK;
}

const q8_op q8_op_batchnorm = {.name = "BatchNormalization",
                               .domain = "",
                               .min_opset = 7,
                               .max_opset = 21,
                               .min_inputs = 5,
                               .max_inputs = 5,
                               .min_outputs = 1,
                               .max_outputs = 1,
                               .attributes = attributes,
                               .params_size = sizeof(batchnorm_params),
                               .quant = Q8_QUANT_FLOAT,
                               .int8_obstacle = "no int8 form of its own: it is folded into a preceding Conv or Gemm",
                               .infer = infer,
                               .eval = eval};
