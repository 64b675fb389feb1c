#include "quant/qparams.h"

#include <math.h>

int64_t q8_qmin(int32_t dtype) {
  return dtype == QINT8_DTYPE_U8 ? 0 : dtype == QINT8_DTYPE_S8 ? -128 : INT32_MIN;
}

int64_t q8_qmax(int32_t dtype) {
  return dtype == QINT8_DTYPE_U8 ? 255 : dtype == QINT8_DTYPE_S8 ? 127 : INT32_MAX;
}

static float safe_scale(double scale) {
  return scale > (double)Q8_MIN_SCALE ? (float)scale : Q8_MIN_SCALE;
}

qint8_qparams q8_qparams_affine(float min, float max, int32_t dtype) {
  double low = min < 0 ? min : 0, high = max > 0 ? max : 0; /* double: high - low may exceed FLT_MAX */
  qint8_qparams q = QINT8_QPARAMS_INIT;
  q.dtype = dtype;
  q.scale = high > low ? safe_scale((high - low) / 255) : 1.0f;
  double qmin = (double)q8_qmin(dtype), qmax = (double)q8_qmax(dtype);
  double zero = rint(qmin - low / q.scale);
  q.zero_point = (int32_t)(zero < qmin ? qmin : zero > qmax ? qmax : zero);
  return q;
}

qint8_qparams q8_qparams_symmetric(float absmax) {
  qint8_qparams q = QINT8_QPARAMS_INIT;
  q.dtype = QINT8_DTYPE_S8;
  q.scale = absmax > 0 ? safe_scale((double)absmax / 127) : 1.0f;
  return q;
}

/* Square error of n values on the grid of `scale`, or of the first of them if these have `most` already. */
static double grid_error(const float *values, size_t n, float scale, double most) {
  const float magic = 12582912.0f; /* 1.5 * 2^23: adding it rounds |v| < 2^22 to an integer, half to even */
  float inverse = 1.0f / scale;
  double sum = 0;
  for (size_t i = 0; i < n && sum < most;)
    for (size_t end = n - i > 64 ? i + 64 : n; i < end; i++) {
      float v = values[i] * inverse;
      v = v < -127.0f ? -127.0f : v > 127.0f ? 127.0f : v;
      float error = values[i] - ((v + magic) - magic) * scale;
      sum += (double)error * error;
    }
  return sum;
}

qint8_qparams q8_qparams_symmetric_search(const float *values, size_t n) {
  float absmax = 0;
  for (size_t i = 0; i < n; i++)
    absmax = fabsf(values[i]) > absmax ? fabsf(values[i]) : absmax;
  qint8_qparams best = q8_qparams_symmetric(absmax);
  double least = grid_error(values, n, best.scale, INFINITY);
  /* The integer, before clamping, that the largest magnitude falls on. Many values fall anywhere on any grid: only
   * clipping helps them. */
  double first = n <= 256 ? 100 : 129, step = n <= 256 ? 0.25 : 2;
  for (double top = first; top <= 170 && absmax > 0; top += step) {
    qint8_qparams q = q8_qparams_symmetric((float)((double)absmax * 127 / top));
    double error = grid_error(values, n, q.scale, least);
    if (error < least) {
      least = error;
      best = q;
    }
  }
  return best;
}
