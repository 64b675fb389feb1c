/* batchnorm.c - BatchNormalization: y = (x - mean) / sqrt(var + epsilon) * scale + b, per channel. In inference mean and
 * var are given, and usually a rewrite has folded it into the operator before; with training_mode they are those of the
 * batch, and the running averages are outputs. */
#include <math.h>
#include <stddef.h>

#include "ops/norm.h"

typedef struct batchnorm_params {
  float epsilon, momentum;
  int64_t training_mode, spatial;
} batchnorm_params;

#define AT(field) offsetof(batchnorm_params, field)
static const q8_attribute attributes[] = {{"epsilon", Q8_ATTR_FLOAT, AT(epsilon), 0, 0, 1e-5},
                                          {"momentum", Q8_ATTR_FLOAT, AT(momentum), 0, 0, 0.9},
                                          {"training_mode", Q8_ATTR_INT, AT(training_mode), 0, 0, 0},
                                          {"spatial", Q8_ATTR_INT, AT(spatial), 0, 0, 1} /* until opset 8 */};

/* [batch][channels][positions]; without `spatial` each position is a channel of its own. */
typedef struct layout {
  size_t batch, channels, positions;
} layout;

static layout layout_of(const batchnorm_params *p, const q8_shape *x) {
  layout l = {x->rank > 0 ? (size_t)x->dim[0] : 1, x->rank > 1 ? (size_t)x->dim[1] : 1, 1};
  for (int32_t i = 2; i < x->rank; i++)
    *(p->spatial ? &l.positions : &l.channels) *= (size_t)x->dim[i];
  return l;
}

static q8_status infer(const q8_op_io *io) {
  const batchnorm_params *p = io->node->params;
  const q8_shape *x = &io->inputs[0]->shape;
  layout l = layout_of(p, x);
  for (int32_t i = 1; i < 5; i++)
    if (io->inputs[i]->count != l.channels)
      return q8_op_fail(io, QINT8_ERROR_SHAPE, "parameters of shape %p for an input of shape %p",
                        &io->inputs[i]->shape, x);
  if (io->node->output_count > 1 && !p->training_mode)
    return q8_op_fail(io, QINT8_ERROR_UNSUPPORTED, "outputs of training without training_mode");
  for (int32_t i = 1; i < io->node->output_count; i++)
    Q8_TRY(q8_infer_set(io, i, QINT8_DTYPE_F32, &io->inputs[i + 2]->shape));
  return q8_infer_same(io);
}

/* Mean and variance of one channel over the batch. */
static void batch_moments(const layout *l, const float *x, size_t channel, double *mean, double *variance) {
  double sum = 0, square = 0, count = (double)(l->batch * l->positions);
  for (int pass = 0; pass < 2; pass++)
    for (size_t n = 0; n < l->batch; n++)
      for (size_t j = 0; j < l->positions; j++) {
        double v = x[(n * l->channels + channel) * l->positions + j];
        if (pass)
          square += (v - sum / count) * (v - sum / count);
        else
          sum += v;
      }
  *mean = sum / count;
  *variance = square / count;
}

static void update(const q8_op_io *io, int32_t output, size_t channel, double now) {
  float momentum = ((const batchnorm_params *)io->node->params)->momentum;
  if (output < io->node->output_count)
    ((float *)io->outputs[output].data)[channel] =
        (float)((double)(((const float *)io->inputs[output + 2]->data)[channel] * momentum) + now * (1 - (double)momentum));
}

static q8_status eval(const q8_op_io *io) {
  const batchnorm_params *p = io->node->params;
  layout l = layout_of(p, &io->inputs[0]->shape);
  const float *x = io->inputs[0]->data, *scale = io->inputs[1]->data, *b = io->inputs[2]->data;
  float *y = io->outputs[0].data;
  for (size_t c = 0; c < l.channels && l.batch > 0 && l.positions > 0; c++) {
    double mean = ((const float *)io->inputs[3]->data)[c], variance = ((const float *)io->inputs[4]->data)[c];
    if (p->training_mode) {
      batch_moments(&l, x, c, &mean, &variance);
      update(io, 1, c, mean);
      update(io, 2, c, variance);
    }
    double factor = scale[c] / sqrt(variance + (double)p->epsilon);
    for (size_t n = 0; n < l.batch; n++) {
      size_t at = (n * l.channels + c) * l.positions;
      q8_scale_shift(l.positions, x + at, (float)factor, (float)(b[c] - mean * factor), y + at);
    }
  }
  return QINT8_OK;
}

const q8_op q8_op_batchnorm = {
    .name = "BatchNormalization", Q8_OPSETS(6, 21), Q8_INPUTS(5, 5), Q8_OUTPUTS(1, 3),
    Q8_ATTRIBUTES(attributes), .params_size = sizeof(batchnorm_params), .quant = Q8_QUANT_FLOAT,
    .float_inputs = 31,
    .family = &(const q8_op_family){
                                    .int8_obstacle = "no int8 form of its own: it is folded into a preceding Conv or Gemm",
                                    .infer = infer, .eval = eval}};
