/* qparams.h - from a range of real values to scale and zero point. */
#ifndef Q8_QUANT_QPARAMS_H
#define Q8_QUANT_QPARAMS_H

#include "base/status.h"

/* Scales are never below this: a denormal scale would lose the bits that make x / scale exact. */
#define Q8_MIN_SCALE 1.17549435e-38f
/* A bias of at most this many steps is exact in f32 and leaves the int32 accumulator its room. */
#define Q8_MAX_BIAS_STEPS 8388608.0

/* Smallest and largest integer of U8, S8 or S32. */
int64_t q8_qmin(int32_t dtype);
int64_t q8_qmax(int32_t dtype);

/* Affine parameters (U8 or S8) of [min, max], widened to include 0. Bounds are finite, min <= max. */
qint8_qparams q8_qparams_affine(float min, float max, int32_t dtype);
/* Symmetric s8 parameters of values up to |absmax|: scale = absmax / 127, zero point 0. */
qint8_qparams q8_qparams_symmetric(float absmax);
/* Symmetric s8 parameters for n finite values with the least square error among scales from 0.75 to 1.27 times the
 * one above. A few values, such as a depthwise filter, often fall much nearer to the grid of another scale. */
qint8_qparams q8_qparams_symmetric_search(const float *values, size_t n);

#endif
