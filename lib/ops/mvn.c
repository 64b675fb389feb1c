/* mvn.c - MeanVarianceNormalization: (x - mean) / (deviation + 1e-9) over some axes. */
#include <math.h>
#include <stddef.h>

#include "ops/common.h"

typedef struct mvn_params {
  q8_ints axes; /* absent: 0, 2, 3 */
} mvn_params;

static const q8_attribute attributes[] = {{"axes", Q8_ATTR_INTS, offsetof(mvn_params, axes), 0, 0, 0}};

static q8_status axes_of(const q8_op_io *io, uint32_t *mask) {
  q8_ints axes = ((const mvn_params *)io->node->params)->axes;
  if (axes.count < 0)
    axes = (q8_ints){.count = 3, .v = {0, 2, 3}};
  return q8_axes_mask(io, &axes, io->inputs[0]->shape.rank, 0, mask);
}

static q8_status infer(const q8_op_io *io) {
  uint32_t mask;
  Q8_TRY(axes_of(io, &mask));
  return q8_infer_same(io);
}

static q8_status eval(const q8_op_io *io) {
  const float *x = io->inputs[0]->data;
  float *y = io->outputs[0].data;
  uint32_t mask;
  Q8_TRY(axes_of(io, &mask));
  q8_axes_split v = q8_split_axes(&io->inputs[0]->shape, mask);
  for (size_t o = 0; o < v.outer; o++) {
    int64_t base = q8_split_offset(o, v.kept, v.kept_dim, v.kept_stride);
    double sum = 0, square = 0;
    for (size_t i = 0; i < v.inner; i++)
      sum += (double)x[base + q8_split_offset(i, v.reduced, v.dim, v.stride)];
    double mean = sum / (double)v.inner;
    for (size_t i = 0; i < v.inner; i++) {
      double d = x[base + q8_split_offset(i, v.reduced, v.dim, v.stride)] - mean;
      square += d * d;
    }
    double factor = 1 / (sqrt(square / (double)v.inner) + 1e-9);
    for (size_t i = 0; i < v.inner; i++) {
      int64_t at = base + q8_split_offset(i, v.reduced, v.dim, v.stride);
      y[at] = (float)((x[at] - mean) * factor);
    }
  }
  return QINT8_OK;
}

const q8_op q8_op_mvn = {
    .name = "MeanVarianceNormalization", Q8_OPSETS(9, 21), Q8_INPUTS(1, 1), Q8_OUTPUTS(1, 1),
    Q8_ATTRIBUTES(attributes), .params_size = sizeof(mvn_params), .quant = Q8_QUANT_FLOAT,
    .float_inputs = 1,
    .family = &(const q8_op_family){
                                    .int8_obstacle = "no int8 form: mean and deviation need the range of float",
                                    .infer = infer, .eval = eval}};
