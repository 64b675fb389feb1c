/* norm.h - what the normalizing operators share. */
#ifndef Q8_OPS_NORM_H
#define Q8_OPS_NORM_H

#include "ops/common.h"

/* Mean and population variance of n >= 1 values. */
void q8_moments(size_t n, const float *x, double *mean, double *variance);
/* y = x * factor + shift */
void q8_scale_shift(size_t n, const float *x, float factor, float shift, float *y);
/* y = (x - mean) * inverse * scale + bias; without bias: NULL. */
void q8_normalize_row(size_t n, const float *x, float mean, float inverse, const float *scale, const float *bias,
                      float *y);
/* GroupNormalization of [N, C, ...]: mean and variance per sample and group of channels; scale and bias have a value per
 * channel or per group. */
q8_status q8_group_norm_infer(const q8_op_io *io, int64_t groups);
q8_status q8_group_norm_eval(const q8_op_io *io, int64_t groups, float epsilon);

#endif
