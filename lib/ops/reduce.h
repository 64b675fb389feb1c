/* reduce.h - the reductions of float32 that networks use. */
#ifndef Q8_OPS_REDUCE_H
#define Q8_OPS_REDUCE_H

#include <stddef.h>

/* `sum` and n contiguous values, in one. The largest of sign * x: the smallest x are found so too. */
typedef double q8_reduce_row(double sum, double sign, size_t n, const float *x);
/* `width` results at once: n values each, `stride` apart. */
typedef void q8_reduce_columns(double *sum, double sign, size_t width, size_t n, const float *x,
                               size_t stride);

q8_reduce_row q8_add_along, q8_largest_along;
q8_reduce_columns q8_add_across, q8_largest_across;

#endif
