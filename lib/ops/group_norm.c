/* group_norm.c - GroupNormalization: mean and variance per sample and group of channels; scale and bias per channel
 * (opset 21) or per group (opset 18). */
#include <math.h>

#include "ops/norm.h"

typedef struct group_norm_params {
  float epsilon;
  int64_t num_groups, stash_type;
} group_norm_params;

#define AT(field) offsetof(group_norm_params, field)
static const q8_attribute attributes[] = {{"epsilon", Q8_ATTR_FLOAT, AT(epsilon), 1e-5, NULL, 0, 0},
                                          {"num_groups", Q8_ATTR_INT, AT(num_groups), 0, NULL, 1, 0},
                                          {"stash_type", Q8_ATTR_INT, AT(stash_type), 1, NULL, 0, 0},
                                          {.name = NULL}};

static q8_status infer(const q8_op_io *io) {
  const group_norm_params *p = io->node->params;
  const q8_shape *x = &io->inputs[0]->shape;
  char a[128], b[128];
  Q8_TRY(q8_need_channels(io, 2));
  if (p->num_groups < 1 || x->dim[1] % p->num_groups)
    return q8_fail(io->error, QINT8_ERROR_SHAPE, io->node->name, "%lld groups of an input of shape %s",
                   (long long)p->num_groups, q8_shape_text(x, a, sizeof a));
  for (int32_t i = 1; i < 3; i++) {
    Q8_TRY(q8_need_dtype(io, i, QINT8_DTYPE_F32));
    size_t count = io->inputs[i]->count;
    if (count != (size_t)x->dim[1] && count != (size_t)p->num_groups)
      return q8_fail(io->error, QINT8_ERROR_SHAPE, io->node->name,
                     "%s of shape %s for %lld groups of an input of shape %s", i == 1 ? "scale" : "bias",
                     q8_shape_text(&io->inputs[i]->shape, a, sizeof a), (long long)p->num_groups,
                     q8_shape_text(x, b, sizeof b));
  }
  return q8_infer_same(io);
}

static q8_status eval(const q8_op_io *io) {
  const group_norm_params *p = io->node->params;
  const q8_shape *shape = &io->inputs[0]->shape;
  const float *x = io->inputs[0]->data, *scale = io->inputs[1]->data, *bias = io->inputs[2]->data;
  float *y = io->outputs[0].data;
  size_t channels = (size_t)shape->dim[1], groups = (size_t)p->num_groups, per_group = channels / groups;
  size_t n = q8_dims(shape, 2, shape->rank), planes = (size_t)shape->dim[0] * groups;
  size_t per_scale = io->inputs[1]->count == channels ? 1 : per_group;
  size_t per_bias = io->inputs[2]->count == channels ? 1 : per_group;
  for (size_t g = 0; g < planes && n; g++) {
    double mean, variance;
    q8_moments(per_group * n, x + g * per_group * n, &mean, &variance);
    double inverse = 1 / sqrt(variance + (double)p->epsilon);
    for (size_t i = 0; i < per_group; i++) {
      size_t channel = g % groups * per_group + i, at = (g * per_group + i) * n;
      double factor = scale[channel / per_scale] * inverse;
      q8_scale_shift(n, x + at, (float)factor, (float)(bias[channel / per_bias] - mean * factor), y + at);
    }
  }
  return QINT8_OK;
}

const q8_op q8_op_group_norm = {.name = "GroupNormalization",
                                .domain = "",
                                .min_opset = 18,
                                .max_opset = 21,
                                .min_inputs = 3,
                                .max_inputs = 3,
                                .min_outputs = 1,
                                .max_outputs = 1,
                                .attributes = attributes,
                                .params_size = sizeof(group_norm_params),
                                .quant = Q8_QUANT_FLOAT,
                                .int8_obstacle = "no int8 form: mean and variance need the range of float",
                                .infer = infer,
                                .eval = eval};
