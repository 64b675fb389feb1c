/* loops.h - what repairs do for every value or weight: compiled for speed, while what surrounds it is compiled for size. */
#ifndef Q8_PTQ_LOOPS_H
#define Q8_PTQ_LOOPS_H

#include "ops/conv_nd.h"

#define Q8_CHUNK_FLOATS 16 /* that a loop handles at once, so that compilers vectorize it; strides of rows are multiples */
#define Q8_ROWS 4          /* rows that are added at once */

/* sum[i] += x[i] */
void q8_add_to_sums(double *sum, const float *x, size_t n);
/* to[j] += factor * row[j] */
void q8_add_scaled(float *to, float factor, const float *row, size_t stride);
/* h += sum over Q8_ROWS rows of x x', from the diagonal's chunk on. */
void q8_add_products(const float *rows, size_t stride, float *h);
/* What output position `row` of images x meets in `group`, in the order of the weights. */
void q8_read_taps(const q8_conv_nd *c, const float *x, size_t group, size_t row, float *out);
/* Whether count values, `stride` apart, are all `value`, which is not NaN. */
int q8_is_all(const float *x, size_t count, size_t stride, float value);

#endif
