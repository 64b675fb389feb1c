/* loss.c - NegativeLogLikelihoodLoss, SoftmaxCrossEntropyLoss: what a model exported with its loss computes last.
 *
 * x is [N, C, d...], labels [N, d...]; the loss of a position is -w[label] * log_prob[label], 0 where the label is
 * `ignore_index`. "mean" divides the sum by the sum of the weights, "sum" does not, "none" keeps every position. */
#include <inttypes.h>
#include <math.h>
#include <stddef.h>
#include <string.h>

#include "base/math.h"
#include "ops/index.h"

#define NO_LABEL ((double)((int64_t)1 << 40))

typedef struct loss_params {
  int64_t ignore;
  char reduction[32];
} loss_params;

static const q8_attribute attributes[] = {
    {"ignore_index", Q8_ATTR_INT, offsetof(loss_params, ignore), 0, 0, NO_LABEL},
    {Q8_NAME_AND_TEXT("reduction", "mean"), Q8_ATTR_STRING, offsetof(loss_params, reduction), 0, 0, 0}};

static q8_status infer(const q8_op_io *io) {
  const loss_params *p = io->node->params;
  const q8_shape *x = &io->inputs[0]->shape, *labels = &io->inputs[1]->shape;
  const q8_value *weights = q8_input(io, 2);
  int fits = x->rank >= 2 && labels->rank == x->rank - 1 && labels->dim[0] == x->dim[0];
  for (int32_t i = 2; fits && i < x->rank; i++)
    fits = x->dim[i] == labels->dim[i - 1];
  if (!fits || (weights && (weights->shape.rank != 1 || weights->shape.dim[0] != x->dim[1])))
    return q8_op_fail(io, QINT8_ERROR_SHAPE, "labels of shape %p or weights do not fit shape %p", labels, x);
  if (strcmp(p->reduction, "mean") && strcmp(p->reduction, "sum") && strcmp(p->reduction, "none"))
    return q8_op_fail(io, QINT8_ERROR_FORMAT, "reduction \"%s\"", p->reduction);
  const q8_shape scalar = {.rank = 0};
  Q8_TRY(q8_infer_set(io, 0, QINT8_DTYPE_F32, p->reduction[0] == 'n' ? labels : &scalar));
  return io->node->output_count > 1 ? q8_infer_set(io, 1, QINT8_DTYPE_F32, x) : QINT8_OK;
}

typedef struct loss_view {
  size_t classes, inner;
  const float *x;
} loss_view;

static double at(const loss_view *v, size_t sample, size_t position, size_t c) {
  return v->x[(sample * v->classes + c) * v->inner + position];
}

/* log(sum(e^x)) over the classes of one position. */
static double log_sum(const loss_view *v, size_t sample, size_t position) {
  double max = -INFINITY, sum = 0;
  for (size_t c = 0; c < v->classes; c++)
    if (at(v, sample, position, c) > max)
      max = at(v, sample, position, c);
  for (size_t c = 0; c < v->classes; c++)
    sum += q8_exp(at(v, sample, position, c) - max);
  return max + q8_log(sum);
}

static q8_status eval(const q8_op_io *io, int of_scores) {
  const loss_params *p = io->node->params;
  const q8_value *x = io->inputs[0], *labels = io->inputs[1], *weights = q8_input(io, 2);
  loss_view v = {(size_t)x->shape.dim[1], q8_dims(&x->shape, 2, x->shape.rank), x->data};
  float *y = io->outputs[0].data, *log_prob = io->node->output_count > 1 ? io->outputs[1].data : NULL;
  double total = 0, weight_sum = 0;
  for (size_t i = 0; i < labels->count; i++) {
    int64_t label = q8_int_at(labels, i);
    size_t sample = i / v.inner, position = i % v.inner;
    double shift = of_scores ? log_sum(&v, sample, position) : 0, loss = 0;
    for (size_t c = 0; log_prob && c < v.classes; c++)
      log_prob[(sample * v.classes + c) * v.inner + position] = (float)(at(&v, sample, position, c) - shift);
    if (label != p->ignore) {
      if (label < 0 || label >= x->shape.dim[1])
        return q8_op_fail(io, QINT8_ERROR_DATA, "label %" PRId64 " of %zu classes", label, v.classes);
      double weight = weights ? (double)((const float *)weights->data)[label] : 1;
      loss = -weight * (at(&v, sample, position, (size_t)label) - shift);
      weight_sum += weight;
    }
    total += loss;
    if (p->reduction[0] == 'n')
      y[i] = (float)loss;
  }
  if (p->reduction[0] != 'n')
    *y = (float)(p->reduction[0] == 'm' ? total / weight_sum : total);
  return QINT8_OK;
}

static q8_status eval_nll(const q8_op_io *io) {
  return eval(io, 0);
}
static q8_status eval_cross_entropy(const q8_op_io *io) {
  return eval(io, 1);
}

#define LOSS(id, onnx_name, most_outputs, eval_fn)                                                                  \
  const q8_op q8_op_##id = {                                                                                       \
      .name = onnx_name, Q8_OPSETS(12, 21), Q8_INPUTS(2, 3), Q8_OUTPUTS(1, most_outputs),                          \
      Q8_ATTRIBUTES(attributes), .params_size = sizeof(loss_params), .quant = Q8_QUANT_FLOAT,                      \
      .float_inputs = 5, .index_inputs = 2,                                                                        \
      .family = &(const q8_op_family){.int8_obstacle = "no int8 form: logarithms need the range of float",         \
                                      .infer = infer, .eval = eval_fn}};

LOSS(nll_loss, "NegativeLogLikelihoodLoss", 1, eval_nll)
LOSS(cross_entropy, "SoftmaxCrossEntropyLoss", 2, eval_cross_entropy)
