#include "quant/quantize.h"

#include <math.h>

#include "base/fpenv.h"
#include "quant/qparams.h"

/* The kernels know uint8 with a flip of the top bit: s8 is u8 with flip 0x80 and the zero point moved by 128. */
static uint8_t flip_of(int32_t dtype) {
  return dtype == QINT8_DTYPE_S8 ? 0x80 : 0;
}

static int32_t stored_zero(const qint8_qparams *qparams) {
  return qparams->zero_point + flip_of(qparams->dtype);
}

static int32_t quantize_s32(float x, const qint8_qparams *qparams) {
  double q = (double)rintf(x / qparams->scale) + qparams->zero_point; /* exact, or far outside */
  if (!(q >= INT32_MIN)) /* NaN too */
    return INT32_MIN;
  return q > INT32_MAX ? INT32_MAX : (int32_t)q;
}

static void quantize(const q8_kernels *kernels, const float *x, size_t count, const qint8_qparams *qparams,
                     void *out) {
  if (qparams->dtype == QINT8_DTYPE_S32) {
    int32_t *q = out;
    for (size_t i = 0; i < count; i++)
      q[i] = quantize_s32(x[i], qparams);
  } else {
    kernels->quantize(count, x, qparams->scale, stored_zero(qparams), flip_of(qparams->dtype), out);
  }
}

static void dequantize(const q8_kernels *kernels, const void *q, size_t count, const qint8_qparams *qparams,
                       float *out) {
  if (qparams->dtype == QINT8_DTYPE_S32) {
    const int32_t *values = q;
    for (size_t i = 0; i < count; i++)
      out[i] = (float)((int64_t)values[i] - qparams->zero_point) * qparams->scale;
  } else {
    kernels->dequantize(count, q, qparams->scale, stored_zero(qparams), flip_of(qparams->dtype), out);
  }
}

void q8_quantize(const q8_kernels *kernels, const float *x, size_t count, const qint8_qparams *qparams, void *out) {
  q8_fpenv env = q8_fpenv_enter();
  quantize(kernels, x, count, qparams, out);
  q8_fpenv_leave(env);
}

void q8_dequantize(const q8_kernels *kernels, const void *q, size_t count, const qint8_qparams *qparams, float *out) {
  q8_fpenv env = q8_fpenv_enter();
  dequantize(kernels, q, count, qparams, out);
  q8_fpenv_leave(env);
}

void q8_fake_quantize(const q8_kernels *kernels, const float *x, size_t count, const qint8_qparams *qparams,
                      float *out) {
  int32_t integers[1024]; /* large enough for every type; a block at a time, so that out may be x */
  const size_t block = sizeof(integers) / sizeof(integers[0]);
  q8_fpenv env = q8_fpenv_enter();
  for (size_t i = 0; i < count; i += block) {
    size_t n = count - i < block ? count - i : block;
    quantize(kernels, x + i, n, qparams, integers);
    dequantize(kernels, integers, n, qparams, out + i);
  }
  q8_fpenv_leave(env);
}

int q8_requantize_multiplier(float x_scale, float w_scale, float y_scale, float *out) {
  q8_fpenv env = q8_fpenv_enter();
  volatile float product /* not moved out of the environment, not reassociated */ = x_scale * w_scale;
  *out = product / y_scale;
  q8_fpenv_leave(env);
  return isfinite(*out);
}

void q8_requantize(const q8_kernels *kernels, const int32_t *acc, size_t count, float multiplier,
                   const qint8_qparams *out_qparams, void *out) {
  enum { COLUMNS = 64 };
  static const int32_t bias[COLUMNS]; /* zeros */
  float scale[COLUMNS];
  for (int i = 0; i < COLUMNS; i++)
    scale[i] = multiplier;
  q8_requant rq = {
      .bias = bias, .scale = scale, .zero_point = stored_zero(out_qparams), .lo = 0, .hi = 255};
  uint8_t *y = out, flip = flip_of(out_qparams->dtype);
  size_t rows = count / COLUMNS, whole = rows * COLUMNS;
  q8_fpenv env = q8_fpenv_enter();
  if (rows)
    kernels->requant(rows, COLUMNS, acc, COLUMNS, &rq, y, COLUMNS);
  if (count > whole)
    kernels->requant(1, count - whole, acc + whole, count - whole, &rq, y + whole, count - whole);
  q8_fpenv_leave(env);
  for (size_t i = 0; flip && i < count; i++)
    y[i] ^= flip;
}
