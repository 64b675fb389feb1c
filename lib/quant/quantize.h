/* quantize.h - arrays of values to integers and back, through the kernels: the convention of ONNX, to the bit.
 *
 * Every function sets the floating-point environment that the contract needs. `kernels` is the set of the caller's CPU.
 */
#ifndef Q8_QUANT_QUANTIZE_H
#define Q8_QUANT_QUANTIZE_H

#include "base/status.h"
#include "kernel.h"

/* out: `count` elements of qparams->dtype (U8, S8, S32). NaN gives the lowest value. */
void q8_quantize(const q8_kernels *kernels, const float *x, size_t count, const qint8_qparams *qparams, void *out);
void q8_dequantize(const q8_kernels *kernels, const void *q, size_t count, const qint8_qparams *qparams, float *out);
/* out may be x. */
void q8_fake_quantize(const q8_kernels *kernels, const float *x, size_t count, const qint8_qparams *qparams,
                      float *out);

/* (x_scale * w_scale) / y_scale in f32, in that order; 0 if it is not finite. */
int q8_requantize_multiplier(float x_scale, float w_scale, float y_scale, float *out);
/* out: U8 or S8. */
void q8_requantize(const q8_kernels *kernels, const int32_t *acc, size_t count, float multiplier,
                   const qint8_qparams *out_qparams, void *out);

#endif
