/* Files hold few enough values that no kernel is needed. */
#include "onnx/round.h"

#include <math.h>

static int32_t round_value(float x, float scale, int32_t zero_point, double low, double high) {
  double q = (double)rintf(x / scale) + zero_point; /* exact: below 2^53, or far outside the range */
  return (int32_t)(!(q > low) ? low : q < high ? q : high);
}

void q8_round_constant(const q8_tensor_quant *quant, const q8_shape *shape, const float *x, void *out) {
  const size_t count = q8_shape_count(shape, NULL), inner = q8_shape_inner(shape, quant->axis + 1);
  const int exact = quant->integers && quant->integer_count == count;
  const int wide = quant->dtype == QINT8_DTYPE_S32;
  const double low = wide ? INT32_MIN : quant->dtype == QINT8_DTYPE_S8 ? -128 : 0, high = wide ? INT32_MAX : low + 255;
  int32_t c = 0;
  for (size_t i = 0; i < count; c = c + 1 < quant->count ? c + 1 : 0)
    for (const size_t end = i + inner; i < end; i++) {
      int32_t q = exact ? quant->integers[i] : round_value(x[i], quant->scale[c], quant->zero_point[c], low, high);
      if (wide)
        ((int32_t *)out)[i] = q;
      else
        ((uint8_t *)out)[i] = (uint8_t)q; /* two's complement serves s8 */
    }
}
