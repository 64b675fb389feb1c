/* window.c - HannWindow, HammingWindow, BlackmanWindow: a0 - a1 cos(t) + a2 cos(2 t), t = 2 pi i / n. */
#include <inttypes.h>
#include <math.h>
#include <stddef.h>

#include "base/element.h"
#include "ops/common.h"

typedef struct window_params {
  int64_t dtype, periodic;
} window_params;

static const q8_attribute attributes[] = {
    {"output_datatype", Q8_ATTR_INT, offsetof(window_params, dtype), 0, 0, QINT8_DTYPE_F32},
    {"periodic", Q8_ATTR_INT, offsetof(window_params, periodic), 0, 0, 1}};

static q8_status infer(const q8_op_io *io) {
  const window_params *p = io->node->params;
  q8_ints size;
  Q8_TRY(q8_infer_ints(io, 0, &size));
  if (size.count != 1)
    return q8_op_fail(io, QINT8_ERROR_SHAPE, "the size is not a scalar");
  if (p->dtype < 0 || p->dtype > 64 || !q8_wide_dtype((int32_t)p->dtype))
    return q8_op_fail(io, QINT8_ERROR_UNSUPPORTED, "a window of element type %" PRId64, p->dtype);
  q8_shape y = {.rank = 1, .dim = {size.v[0]}};
  return q8_infer_set(io, 0, (int32_t)p->dtype, &y);
}

/* The symmetric window repeats its first value at the end. The variant: a0, a1, a2. */
static q8_status eval(const q8_op_io *io) {
  q8_value *y = &io->outputs[0];
  const double *a = io->node->op->variant;
  double n = (double)y->count - (((const window_params *)io->node->params)->periodic ? 0 : 1);
  for (size_t i = 0; i < y->count; i++) {
    double t = n > 0 ? 6.28318530717958647693 * (double)i / n : 0;
    double value = a[0] - a[1] * cos(t) + a[2] * cos(2 * t);
    q8_put_double(y, i, value);
  }
  return QINT8_OK;
}

static const q8_op_family family = {.int8_obstacle = "no int8 form: makes a constant", .infer = infer, .eval = eval};

#define WINDOW(id, onnx_name, ...)                                                                                 \
  const q8_op q8_op_##id = {                                                                                       \
      .name = onnx_name, Q8_OPSETS(17, 21), Q8_INPUTS(1, 1), Q8_OUTPUTS(1, 1),                                     \
      Q8_ATTRIBUTES(attributes), .params_size = sizeof(window_params), .quant = Q8_QUANT_FLOAT,                    \
      .family = &family, .variant = (const double[]){__VA_ARGS__}};

WINDOW(hann_window, "HannWindow", 0.5, 0.5, 0)
WINDOW(hamming_window, "HammingWindow", 25.0 / 46, 1 - 25.0 / 46, 0)
WINDOW(blackman_window, "BlackmanWindow", 0.42, 0.5, 0.08)
