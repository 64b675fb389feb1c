/* requant.c - int32 accumulators to uint8 or float. */
#include "scalar.h"

void q8_scalar_requant(size_t rows, size_t n, const int32_t *acc, size_t acc_stride, const q8_requant *rq,
                    uint8_t *y, size_t y_stride) {
  for (size_t i = 0; i < rows; i++, acc += acc_stride, y += y_stride)
    for (size_t c = 0; c < n; c++)
      y[c] = q8_scalar_requantize(acc[c], c, rq);
}

void q8_scalar_dequant_acc(size_t rows, size_t n, const int32_t *acc, size_t acc_stride, const q8_dequant *dq,
                        float *y, size_t y_stride) {
  for (size_t i = 0; i < rows; i++, acc += acc_stride, y += y_stride) {
    const uint32_t factor = (uint32_t)q8_dequant_factor(dq, i);
    const float row_scale = q8_dequant_row_scale(dq, i);
    for (size_t c = 0; c < n; c++) {
      float sum = (float)(int32_t)((uint32_t)acc[c] + factor * (uint32_t)dq->offset[c]);
      float product = sum * (row_scale * dq->scale[c]);
      y[c] = q8_scalar_clamp(product + dq->bias[c], dq->lo, dq->hi);
    }
  }
}

