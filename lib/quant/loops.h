/* loops.h - what quantizing does for every value: compiled for speed, while what surrounds it is compiled for size. */
#ifndef Q8_QUANT_LOOPS_H
#define Q8_QUANT_LOOPS_H

#include "quant/observer.h"
#include "quant/recipe.h"

/* Square error of n values on the symmetric grid of `scale`, or of the first of them if these have `most` already. */
double q8_grid_error(const float *values, size_t n, float scale, double most);
float q8_largest_magnitude(const float *values, size_t n, float largest);

/* count[slot] += weight */
void q8_count_slots(uint32_t *count, const uint16_t *slot, size_t n, uint32_t weight);

#define Q8_PART_CHUNK 16 /* neighbours that a sample's part holds or not; divides Q8_HISTOGRAM_BLOCK */

/* `count` of count * k values: of each k chunks one. Multiples of the golden ratio modulo 1 fill [0, 1) evenly, so which
 * of the k is taken follows neither rows nor channels. What is left at the end gives its first values. */
void q8_take_chunks(const float *x, size_t count, size_t k, uint32_t *phase, float *taken);

/* Values, each n times, and what a function makes of them. */
typedef struct q8_points {
  int count;
  double x[Q8_BINS], fx[Q8_BINS], n[Q8_BINS];
} q8_points;

/* The summed square error of the points after f (or NULL) on the uint8 grid of q; clipped values count clip_weight times.
 * No further than to `enough`: what is left can only add to it. */
double q8_points_error(const q8_points *p, q8_unary_fn *f, const void *params, const qint8_qparams *q,
                       double clip_weight, double enough);

/* The values of a constant as int8 nodes see them: the integers that the recipe keeps, or x rounded to its grid. `inner`:
 * elements behind the axis of the scales. */
void q8_grid_values(const q8_tensor_quant *quant, const float *x, size_t inner, float *out, size_t count);

#endif
