/* histogram.h - counts of values in 2,048 bins that do not depend on the order in which values came.
 *
 * Bin k holds the values in [k * width, (k + 1) * width), width = 2^exponent. The exponent is the smallest one for
 * which the bins of the smallest and the largest value lie less than 2,048 apart, so it is a function of the range
 * alone; doubling the width sends bin k to floor(k / 2) exactly. Hence the counts are a function of the set of values,
 * however it was split and merged. Bin k lives in slot k mod 2,048: widening the range moves nothing.
 * Zeros are counted apart, since they are always represented exactly.
 *
 * The first values may be kept as they are, in the memory of the bins, until there is no room for more or somebody reads
 * the bins: counting them all at once, in the range of them all, takes a fraction of the time of counting and widening in
 * turn. Then they are counted in 32 bits while no bin can overflow: half as much memory is touched.
 */
#ifndef Q8_QUANT_HISTOGRAM_H
#define Q8_QUANT_HISTOGRAM_H

#include <stddef.h>
#include <stdint.h>

#include "kernel.h"

#define Q8_BINS Q8_SLOTS

#define Q8_HISTOGRAM_BLOCK Q8_BINS
#define Q8_HISTOGRAM_KEPT (2 * Q8_HISTOGRAM_BLOCK)

typedef enum q8_histogram_form { Q8_KEPT, Q8_NARROW, Q8_WIDE } q8_histogram_form;

typedef struct q8_histogram {
  union {
    float values[Q8_HISTOGRAM_KEPT]; /* KEPT: nothing was counted yet, and these are the `kept` first ones */
    uint32_t narrow[Q8_BINS];        /* NARROW */
    int64_t count[Q8_BINS];          /* WIDE: all that readers know */
  };
  size_t kept;
  int64_t counted, zeros; /* values; no bin has more than `counted` */
  float min, max;         /* of all values; min > max: empty */
  int32_t exponent;
  q8_histogram_form form;
} q8_histogram;

void q8_histogram_clear(q8_histogram *h);
/* Widens the range to include [min, max], finite, merging bins as needed. */
void q8_histogram_widen(q8_histogram *h, float min, float max);
/* Counts n values inside the range, none of them infinite, each as `weight` values; 0, and nothing is counted, if there is
 * a NaN among them. n <= Q8_HISTOGRAM_BLOCK. */
int q8_histogram_count(q8_histogram *h, const float *x, size_t n, int64_t weight, q8_slots_fn *slots);
/* Keeps n values inside the range, all finite, to be counted later; 0 if there is no room, or some were counted. */
int q8_histogram_keep(q8_histogram *h, const float *x, size_t n);
void q8_histogram_copy(const q8_histogram *h, q8_histogram *copy);
/* What readers of the bins want: h, or, if it is not WIDE, `room` with the same values that is. NULL if h is. */
const q8_histogram *q8_histogram_counted(const q8_histogram *h, q8_histogram *room, q8_slots_fn *slots);
/* Adds all that `other`, WIDE or empty, counted. */
void q8_histogram_add(q8_histogram *h, const q8_histogram *other, q8_slots_fn *slots);

/* The number of the bin that holds x. */
int32_t q8_histogram_bin(const q8_histogram *h, float x);
static inline size_t q8_histogram_slot(int32_t bin) {
  return (uint32_t)bin % Q8_BINS;
}

#endif
