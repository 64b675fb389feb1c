/* einsum.c - Einsum: a product of operands, summed over the labels that the output lacks. */
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

#define SUM_PRODUCTS(T, A)                                                                                          \
  do {                                                                                                              \
    T *y = io->outputs[0].data;                                                                                     \
    do {                                                                                                            \
      A sum = 0;                                                                                                    \
      do {                                                                                                          \
        A product = 1;                                                                                              \
        for (int32_t i = 0; i < e.operands; i++)                                                                    \
          product *= (A)((const T *)io->inputs[i]->data)[at[i]];                                                    \
        sum += product;                                                                                             \
      } while (next(&e, e.outputs, e.labels, index, at));                                                           \
      *y++ = (T)sum;                                                                                                \
    } while (next(&e, 0, e.outputs, index, at));                                                                    \
  } while (0)

static q8_status eval(const q8_op_io *io) {
  q8_einsum e;
  int64_t index[Q8_EINSUM_LABELS] = {0}, at[Q8_EINSUM_OPERANDS] = {0};
  Q8_TRY(q8_einsum_of(io, &e));
  if (io->outputs[0].count == 0)
    return QINT8_OK;
  for (int32_t l = e.outputs; l < e.labels; l++)
    if (e.dim[l] == 0) { /* a sum over nothing */
      for (size_t i = 0, n = io->outputs[0].count * qint8_dtype_size((qint8_dtype)io->outputs[0].dtype); i < n; i++)
        ((char *)io->outputs[0].data)[i] = 0;
      return QINT8_OK;
    }
  switch (io->inputs[0]->dtype) {
  case QINT8_DTYPE_F32:
    SUM_PRODUCTS(float, double);
    break;
  case QINT8_DTYPE_F64:
    SUM_PRODUCTS(double, double);
    break;
  case QINT8_DTYPE_S32:
    SUM_PRODUCTS(int32_t, uint32_t);
    break;
  default:
    SUM_PRODUCTS(int64_t, uint64_t);
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
