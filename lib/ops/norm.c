#include "ops/norm.h"

#include "ops/fast.h"

#define LANES 8 /* sums run side by side, so that compilers vectorize them */

static double sum_lanes(const double *lane) {
  double sum = 0;
  for (int j = 0; j < LANES; j++)
    sum += lane[j];
  return sum;
}

void q8_moments(size_t n, const float *x, double *mean, double *variance) {
  double lane[LANES] = {0}, square[LANES] = {0};
  size_t whole = n / LANES * LANES;
  for (size_t i = 0; i < whole; i += LANES)
    for (size_t j = 0; j < LANES; j++)
      lane[j] += (double)x[i + j];
  for (size_t i = whole; i < n; i++)
    lane[0] += (double)x[i];
  double m = sum_lanes(lane) / (double)n;
  for (size_t i = 0; i < whole; i += LANES)
    for (size_t j = 0; j < LANES; j++)
      square[j] += (x[i + j] - m) * (x[i + j] - m);
  for (size_t i = whole; i < n; i++)
    square[0] += (x[i] - m) * (x[i] - m);
  *mean = m;
  *variance = sum_lanes(square) / (double)n;
}

void q8_scale_shift(size_t n, const float *x, float factor, float shift, float *y) {
  Q8_FOR_BLOCKS(float, n, y, x[i] * factor + shift);
}

q8_status q8_need_channels(const q8_op_io *io, int32_t rank) {
  const q8_shape *x = &io->inputs[0]->shape;
  char text[128];
  if (x->rank < rank)
    return q8_fail(io->error, QINT8_ERROR_SHAPE, io->node->name, "input of shape %s, expected at least %d dimensions",
                   q8_shape_text(x, text, sizeof text), (int)rank);
  return q8_need_dtype(io, 0, QINT8_DTYPE_F32);
}
