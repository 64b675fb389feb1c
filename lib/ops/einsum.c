/* einsum.c - Einsum: a product of operands, summed over the labels that the output lacks. */
#include "base/element.h"
#include "ops/einsum.h"

static q8_status infer(const q8_op_io *io) {
  q8_einsum e;
  int32_t dtype = io->inputs[0]->dtype;
  if (dtype != QINT8_DTYPE_F32 && dtype != QINT8_DTYPE_F64 && dtype != QINT8_DTYPE_S32 && dtype != QINT8_DTYPE_S64)
    return q8_op_fail(io, QINT8_ERROR_UNSUPPORTED, "Einsum of element type %d", (int)dtype);
  for (int32_t i = 1; i < io->node->input_count; i++)
    Q8_TRY(q8_need_dtype(io, i, dtype));
  Q8_TRY(q8_einsum_of(io, &e));
  q8_shape y = {.rank = e.outputs};
  for (int32_t i = 0; i < e.outputs; i++)
    y.dim[i] = e.dim[i];
  return q8_infer_set(io, 0, dtype, &y);
}

/* Moves index and offsets to the next position over labels [from, to); 0 at the end. */
static int next(const q8_einsum *e, int32_t from, int32_t to, int64_t *index, int64_t *at) {
  for (int32_t l = to; l-- > from;) {
    for (int32_t i = 0; i < e->operands; i++)
      at[i] += e->stride[i][l];
    if (++index[l] < e->dim[l])
      return 1;
    for (int32_t i = 0; i < e->operands; i++)
      at[i] -= e->stride[i][l] * e->dim[l];
    index[l] = 0;
  }
  return 0;
}

/* The product of the operands' values: in double, or modulo 2^64. */
typedef union number {
  double f;
  uint64_t u;
} number;

static number product_at(const q8_op_io *io, const int64_t *at, int is_float) {
  number p = {.u = 1};
  if (is_float)
    p.f = 1;
  for (int32_t i = 0; i < io->node->input_count; i++) {
    const q8_value *v = io->inputs[i];
    if (v->dtype == QINT8_DTYPE_F32)
      p.f *= (double)((const float *)v->data)[at[i]];
    else if (is_float)
      p.f *= ((const double *)v->data)[at[i]];
    else
      p.u *= (uint64_t)q8_int_at(v, (size_t)at[i]);
  }
  return p;
}

static void store(q8_value *y, size_t i, number sum) {
  switch (y->dtype) {
  case QINT8_DTYPE_F32:
    ((float *)y->data)[i] = (float)sum.f;
    break;
  case QINT8_DTYPE_S32:
    ((uint32_t *)y->data)[i] = (uint32_t)sum.u;
    break;
  default: /* F64 and S64: the number as it is */
    ((number *)y->data)[i] = sum;
  }
}

static q8_status eval(const q8_op_io *io) {
  q8_einsum e;
  int64_t index[Q8_EINSUM_LABELS] = {0}, at[Q8_EINSUM_OPERANDS] = {0};
  q8_value *y = &io->outputs[0];
  int is_float = q8_is_float(y->dtype), empty = 0;
  Q8_TRY(q8_einsum_of(io, &e));
  for (int32_t l = e.outputs; l < e.labels; l++)
    empty |= e.dim[l] == 0; /* a sum over nothing */
  for (size_t i = 0; i < y->count; i++) {
    number sum = {.u = 0}; /* which is 0.0, too */
    do {
      if (empty)
        break;
      number p = product_at(io, at, is_float);
      if (is_float)
        sum.f += p.f;
      else
        sum.u += p.u;
    } while (next(&e, e.outputs, e.labels, index, at));
    store(y, i, sum);
    next(&e, 0, e.outputs, index, at);
  }
  return QINT8_OK;
}

static const q8_attribute attributes[] = {
    {"equation", Q8_ATTR_TEXT, offsetof(q8_einsum_params, equation), 1, 0, 0}};

const q8_op q8_op_einsum = {
    .name = "Einsum", Q8_OPSETS(12, 21), Q8_INPUTS(1, -1), Q8_OUTPUTS(1, 1),
    Q8_ATTRIBUTES(attributes), .params_size = sizeof(q8_einsum_params), .quant = Q8_QUANT_FLOAT,
    .family = &(const q8_op_family){.int8_obstacle = "no int8 form: a product of two activations",
                                    .infer = infer, .eval = eval, .plan = q8_einsum_plan}};
