/* 1_quantize_a_tensor.c - observe values, choose a range, quantize, dequantize. Build: cc 1_quantize_a_tensor.c -lqint8 */
#include <qint8.h>
#include <stdio.h>

static int failed(const char *what, const qint8_error *error) {
  fprintf(stderr, "%s: %s: %s\n", what, error->where, error->message);
  return 1;
}

int main(void) {
  const float values[] = {-1.5f, -0.25f, 0.0f, 0.125f, 0.75f, 1.0f, 2.25f, 3.0f};
  enum { COUNT = sizeof values / sizeof *values };
  qint8_error error = QINT8_ERROR_INIT;
  qint8_observer_options options = QINT8_OBSERVER_OPTIONS_INIT;
  options.kind = QINT8_OBSERVER_MINMAX;
  qint8_observer *observer;
  qint8_range range = QINT8_RANGE_INIT;
  qint8_qparams params = QINT8_QPARAMS_INIT;
  if (qint8_observer_create(&options, NULL, &observer, &error) != QINT8_OK)
    return failed("observer", &error);
  if (qint8_observer_observe(observer, values, 1, 1, COUNT, &error) != QINT8_OK ||
      qint8_observer_range(observer, 0, &range, &error) != QINT8_OK ||
      qint8_qparams_from_range(range.low, range.high, QINT8_DTYPE_U8, 0, &params, &error) != QINT8_OK) {
    qint8_observer_destroy(observer);
    return failed("range", &error);
  }
  qint8_observer_destroy(observer);
  printf("range [%g, %g]: scale %.8g, zero point %d\n", (double)range.low, (double)range.high, (double)params.scale,
         (int)params.zero_point);

  uint8_t quantized[COUNT];
  float back[COUNT];
  if (qint8_quantize(values, COUNT, &params, quantized, &error) != QINT8_OK ||
      qint8_dequantize(quantized, COUNT, &params, back, &error) != QINT8_OK)
    return failed("quantize", &error);
  for (int i = 0; i < COUNT; i++)
    printf("%8.4f -> %3d -> %8.4f\n", (double)values[i], quantized[i], (double)back[i]);
  return 0;
}
