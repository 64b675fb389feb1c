/* cast.c - Cast between element types. */
#include <math.h>
#include <stddef.h>

#include "ops/common.h"

typedef struct cast_params {
  int64_t to;
} cast_params;

static const q8_attribute attributes[] = {{"to", Q8_ATTR_INT, offsetof(cast_params, to), 0, NULL, 1, 0},
                                          {.name = NULL}};

static q8_status infer(const q8_op_io *io) {
  int64_t to = ((const cast_params *)io->node->params)->to;
  if (to < 1 || to > 64 || qint8_dtype_size((qint8_dtype)to) == 0)
    return q8_fail(io->error, QINT8_ERROR_UNSUPPORTED, io->node->name, "cast to element type %d", (int)to);
  return q8_infer_set(io, 0, (int32_t)to, &io->inputs[0]->shape);
}

/* Floats outside the range of int64 saturate; NaN becomes 0. */
static int64_t to_integer(double x) {
  if (x != x)
    return 0;
  return x >= 9223372036854775807.0 ? INT64_MAX : x <= -9223372036854775808.0 ? INT64_MIN : (int64_t)x;
}

static void read(const q8_value *x, size_t i, double *f, int64_t *n) {
  switch (x->dtype) {
  case QINT8_DTYPE_F32:
    *f = ((const float *)x->data)[i];
    *n = to_integer(*f);
    return;
  case QINT8_DTYPE_F64:
    *f = ((const double *)x->data)[i];
    *n = to_integer(*f);
    return;
  case QINT8_DTYPE_S64:
    *n = ((const int64_t *)x->data)[i];
    break;
  case QINT8_DTYPE_S32:
    *n = ((const int32_t *)x->data)[i];
    break;
  case QINT8_DTYPE_S8:
    *n = ((const int8_t *)x->data)[i];
    break;
  default:
    *n = ((const uint8_t *)x->data)[i];
  }
  *f = (double)*n;
}

static q8_status eval(const q8_op_io *io) {
  const q8_value *x = io->inputs[0];
  void *y = io->outputs[0].data;
  for (size_t i = 0; i < x->count; i++) {
    double f;
    int64_t n;
    read(x, i, &f, &n);
    switch (io->outputs[0].dtype) {
    case QINT8_DTYPE_F32:
      ((float *)y)[i] = (float)f;
      break;
    case QINT8_DTYPE_F64:
      ((double *)y)[i] = f;
      break;
    case QINT8_DTYPE_S64:
      ((int64_t *)y)[i] = n;
      break;
    case QINT8_DTYPE_S32:
      ((int32_t *)y)[i] = (int32_t)(uint32_t)(uint64_t)n;
      break;
    case QINT8_DTYPE_BOOL:
      ((uint8_t *)y)[i] = f != 0;
      break;
    default:
      ((uint8_t *)y)[i] = (uint8_t)(uint64_t)n;
    }
  }
  return QINT8_OK;
}

const q8_op q8_op_cast = {.name = "Cast",
                          .domain = "",
                          .min_opset = 6,
                          .max_opset = 21,
                          .min_inputs = 1,
                          .max_inputs = 1,
                          .min_outputs = 1,
                          .max_outputs = 1,
                          .attributes = attributes,
                          .params_size = sizeof(cast_params),
                          .quant = Q8_QUANT_FLOAT,
                          .int8_obstacle = "no int8 form: changes the element type",
                          .infer = infer,
                          .eval = eval};
