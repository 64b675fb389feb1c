/* reverse_sequence.c - ReverseSequence: of each batch entry the first so many steps in reverse order. */
#include <inttypes.h>
#include <stddef.h>
#include <string.h>

#include "ops/index.h"

typedef struct reverse_params {
  int64_t batch_axis, time_axis;
} reverse_params;

static const q8_attribute attributes[] = {
    {"batch_axis", Q8_ATTR_INT, offsetof(reverse_params, batch_axis), 0, 0, 1},
    {"time_axis", Q8_ATTR_INT, offsetof(reverse_params, time_axis), 0, 0, 0}};

static q8_status infer(const q8_op_io *io) {
  const reverse_params *p = io->node->params;
  const q8_shape *x = &io->inputs[0]->shape, *lengths = &io->inputs[1]->shape;
  int fits = x->rank >= 2 && p->batch_axis + p->time_axis == 1 && (p->batch_axis == 0 || p->batch_axis == 1);
  if (!fits || lengths->rank != 1 || lengths->dim[0] != x->dim[p->batch_axis])
    return q8_op_fail(io, QINT8_ERROR_SHAPE,
                      "lengths of shape %p for shape %p, batch axis %" PRId64 ", time axis %" PRId64, lengths,
                      x, p->batch_axis, p->time_axis);
  return q8_infer_same(io);
}

static q8_status eval(const q8_op_io *io) {
  const reverse_params *p = io->node->params;
  const q8_value *x = io->inputs[0], *lengths = io->inputs[1];
  size_t batch = (size_t)x->shape.dim[p->batch_axis], time = (size_t)x->shape.dim[p->time_axis];
  size_t size = q8_dims(&x->shape, 2, x->shape.rank) * qint8_dtype_size((qint8_dtype)x->dtype);
  size_t batch_step = p->batch_axis ? size : time * size, time_step = p->batch_axis ? batch * size : size;
  for (size_t b = 0; b < batch; b++) {
    int64_t n = q8_int_at(lengths, b);
    if (n < 0 || n > (int64_t)time)
      return q8_op_fail(io, QINT8_ERROR_DATA, "length %" PRId64 " of a sequence of %zu", n, time);
    for (size_t t = 0; t < time && size; t++) {
      size_t from = t < (size_t)n ? (size_t)n - 1 - t : t;
      memcpy((char *)io->outputs[0].data + b * batch_step + t * time_step,
             (const char *)x->data + b * batch_step + from * time_step, size);
    }
  }
  return QINT8_OK;
}

const q8_op q8_op_reverse_sequence = {
    .name = "ReverseSequence", Q8_OPSETS(10, 21), Q8_INPUTS(2, 2), Q8_OUTPUTS(1, 1),
    Q8_ATTRIBUTES(attributes), .params_size = sizeof(reverse_params), .quant = Q8_QUANT_FLOAT,
    .index_inputs = 2,
    .family = &(const q8_op_family){.int8_obstacle = "no int8 form: selects values of float tensors",
                                    .infer = infer, .eval = eval}};
