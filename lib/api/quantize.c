#include <math.h>

#include "api/api.h"
#include "quant/qparams.h"
#include "quant/quantize.h"

qint8_status qint8_qparams_from_range(float min, float max, qint8_dtype dtype, int32_t symmetric, qint8_qparams *out,
                                      qint8_error *error) {
  Q8_REQUIRE(error, out);
  if (!isfinite(min) || !isfinite(max))
    return q8_fail(error, QINT8_ERROR_DATA, "range", "a bound of [%g, %g] is not finite", (double)min, (double)max);
  if (min > max)
    return q8_fail(error, QINT8_ERROR_ARGUMENT, "range", "min %g is greater than max %g", (double)min, (double)max);
  if (dtype != QINT8_DTYPE_S8 && (symmetric || dtype != QINT8_DTYPE_U8))
    return q8_fail(error, QINT8_ERROR_ARGUMENT, "dtype", "type %d is not %s", (int)dtype,
                   symmetric ? "S8, as symmetric parameters need" : "U8 or S8");
  *out = symmetric ? q8_qparams_symmetric(fmaxf(fabsf(min), fabsf(max))) : q8_qparams_affine(min, max, dtype);
  return QINT8_OK;
}

/* Nothing to do for count 0, whatever the pointers. */
static q8_status check_arrays(const void *x, const void *out, size_t count, qint8_error *error) {
  if (count == 0)
    return QINT8_OK;
  if (!x)
    return q8_fail(error, QINT8_ERROR_ARGUMENT, "values", "the input array is NULL");
  if (!out)
    return q8_fail(error, QINT8_ERROR_ARGUMENT, "out", "the output array is NULL");
  return QINT8_OK;
}

qint8_status qint8_quantize(const float *x, size_t count, const qint8_qparams *qparams, void *out,
                            qint8_error *error) {
  Q8_TRY(q8_check_qparams(qparams, 1, error));
  Q8_TRY(check_arrays(x, out, count, error));
  q8_kernels kernels;
  Q8_TRY(q8_default_kernels(&kernels, error));
  q8_quantize(&kernels, x, count, qparams, out);
  return QINT8_OK;
}

qint8_status qint8_dequantize(const void *q, size_t count, const qint8_qparams *qparams, float *out,
                              qint8_error *error) {
  Q8_TRY(q8_check_qparams(qparams, 1, error));
  Q8_TRY(check_arrays(q, out, count, error));
  q8_kernels kernels;
  Q8_TRY(q8_default_kernels(&kernels, error));
  q8_dequantize(&kernels, q, count, qparams, out);
  return QINT8_OK;
}

qint8_status qint8_fake_quantize(const float *x, size_t count, const qint8_qparams *qparams, float *out,
                                 qint8_error *error) {
  Q8_TRY(q8_check_qparams(qparams, 1, error));
  Q8_TRY(check_arrays(x, out, count, error));
  q8_kernels kernels;
  Q8_TRY(q8_default_kernels(&kernels, error));
  q8_fake_quantize(&kernels, x, count, qparams, out);
  return QINT8_OK;
}

qint8_status qint8_requantize(const int32_t *accumulators, size_t count, float x_scale, float w_scale,
                              const qint8_qparams *out_qparams, void *out, qint8_error *error) {
  Q8_TRY(q8_check_qparams(out_qparams, 0, error));
  Q8_TRY(check_arrays(accumulators, out, count, error));
  float multiplier;
  if (!q8_requantize_multiplier(x_scale, w_scale, out_qparams->scale, &multiplier))
    return q8_fail(error, QINT8_ERROR_ARGUMENT, "scale", "(%g * %g) / %g is not a finite multiplier", (double)x_scale,
                   (double)w_scale, (double)out_qparams->scale);
  q8_kernels kernels;
  Q8_TRY(q8_default_kernels(&kernels, error));
  q8_requantize(&kernels, accumulators, count, multiplier, out_qparams, out);
  return QINT8_OK;
}
