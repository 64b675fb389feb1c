/* lp_norm.c - LpNormalization: x / (norm of x along an axis); 0 where the norm is 0. */
#include <math.h>

#include "ops/norm.h"

typedef struct lp_norm_params {
  int64_t axis, p;
} lp_norm_params;

#define AT(field) offsetof(lp_norm_params, field)
static const q8_attribute attributes[] = {
    {"axis", Q8_ATTR_INT, AT(axis), 0, 0, -1}, {"p", Q8_ATTR_INT, AT(p), 0, 0, 2}};

static q8_status infer(const q8_op_io *io) {
  const lp_norm_params *p = io->node->params;
  if (p->p != 1 && p->p != 2)
    return q8_op_fail(io, QINT8_ERROR_UNSUPPORTED, "norm of order %lld, expected 1 or 2", (long long)p->p);
  return q8_infer_same(io);
}

static q8_status eval(const q8_op_io *io) {
  const lp_norm_params *p = io->node->params;
  q8_axis_view v = q8_view_axis(&io->inputs[0]->shape, q8_axis_of(io));
  size_t n = v.n, inner = v.inner;
  for (size_t i = 0; i < v.outer * inner; i++) {
    size_t at = i / inner * n * inner + i % inner;
    const float *x = (const float *)io->inputs[0]->data + at;
    float *y = (float *)io->outputs[0].data + at;
    double sum = 0;
    for (size_t j = 0; j < n; j++)
      sum += p->p == 1 ? fabs((double)x[j * inner]) : (double)x[j * inner] * (double)x[j * inner];
    float norm = (float)(p->p == 1 ? sum : sqrt(sum));
    for (size_t j = 0; j < n; j++)
      y[j * inner] = norm > 0 ? x[j * inner] / norm : 0;
  }
  return QINT8_OK;
}

const q8_op q8_op_lp_norm = {
    .name = "LpNormalization", Q8_OPSETS(1, 21), Q8_INPUTS(1, 1), Q8_OUTPUTS(1, 1),
    Q8_ATTRIBUTES(attributes), .params_size = sizeof(lp_norm_params), .quant = Q8_QUANT_FLOAT,
    .float_inputs = 1, .has_axis = 1,
    .family = &(const q8_op_family){.int8_obstacle = "no int8 form: the norm needs the range of float",
                                    .infer = infer, .eval = eval}};
