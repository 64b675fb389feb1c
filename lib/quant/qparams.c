#include "quant/qparams.h"

#include <math.h>

#include "quant/loops.h"

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

qint8_qparams q8_qparams_symmetric_search(const float *values, size_t n) {
  float absmax = q8_largest_magnitude(values, n, 0);
  qint8_qparams best = q8_qparams_symmetric(absmax);
  double least = q8_grid_error(values, n, best.scale, INFINITY);
  /* The integer, before clamping, that the largest magnitude falls on. Many values fall anywhere on any grid: only
   * clipping helps them. */
  double first = n <= 256 ? 100 : 129, step = n <= 256 ? 0.25 : 2;
  for (double top = first; top <= 170 && absmax > 0; top += step) {
    qint8_qparams q = q8_qparams_symmetric((float)((double)absmax * 127 / top));
    double error = q8_grid_error(values, n, q.scale, least);
    if (error < least) {
      least = error;
      best = q;
    }
  }
  return best;
}
