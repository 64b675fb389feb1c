/* lrn.c - LRN: y = x / (bias + alpha / size * sum of x^2 over `size` neighbouring channels) ^ beta. */
#include <math.h>

#include "ops/norm.h"

typedef struct lrn_params {
  float alpha, beta, bias;
  int64_t size;
} lrn_params;

#define AT(field) offsetof(lrn_params, field)
static const q8_attribute attributes[] = {{"alpha", Q8_ATTR_FLOAT, AT(alpha), 0, 0, 1e-4},
                                          {"beta", Q8_ATTR_FLOAT, AT(beta), 0, 0, 0.75},
                                          {"bias", Q8_ATTR_FLOAT, AT(bias), 0, 0, 1},
                                          {"size", Q8_ATTR_INT, AT(size), 1, 0, 0}};

static q8_status infer(const q8_op_io *io) {
  const lrn_params *p = io->node->params;
  if (p->size < 1)
    return q8_op_fail(io, QINT8_ERROR_SHAPE, "size is %lld", (long long)p->size);
  return q8_infer_same(io);
}

static q8_status eval(const q8_op_io *io) {
  const lrn_params *p = io->node->params;
  const q8_shape *shape = &io->inputs[0]->shape;
  const float *x = io->inputs[0]->data;
  float *y = io->outputs[0].data;
  int64_t channels = shape->dim[1], below = (p->size - 1) / 2, above = p->size - 1 - below;
  size_t n = q8_dims(shape, 2, shape->rank), planes = q8_dims(shape, 0, 2);
  for (size_t plane = 0; plane < planes; plane++) {
    int64_t c = (int64_t)(plane % (size_t)channels);
    int64_t first = c > below ? -below : -c, last = above < channels - 1 - c ? above : channels - 1 - c;
    for (size_t i = 0; i < n; i++) {
      const float *at = x + plane * n + i;
      float sum = 0;
      for (int64_t d = first; d <= last; d++)
        sum += at[d * (int64_t)n] * at[d * (int64_t)n];
      y[plane * n + i] = *at / (float)pow((double)(p->bias + p->alpha / (float)p->size * sum), (double)p->beta);
    }
  }
  return QINT8_OK;
}

const q8_op q8_op_lrn = {
    .name = "LRN", Q8_OPSETS(1, 21), Q8_INPUTS(1, 1), Q8_OUTPUTS(1, 1),
    Q8_ATTRIBUTES(attributes), .params_size = sizeof(lrn_params), .quant = Q8_QUANT_FLOAT,
    .float_inputs = 1, .least_rank = 2,
    .family = &(const q8_op_family){.int8_obstacle = "no int8 form: the power needs the range of float",
                                    .infer = infer, .eval = eval}};
