/* warnings.h - what a person should know about calibration data before trusting the ranges. */
#ifndef Q8_PTQ_WARNINGS_H
#define Q8_PTQ_WARNINGS_H

#include "ptq/ranges.h"

/* Non-zero stops. */
typedef int (*q8_warning_fn)(void *user, const qint8_warning *warning);

/* Tells every warning, those about all of the calibration first. `validation` may be NULL; else it belongs to the same
 * graph and is compared. */
void q8_ranges_examine(const q8_ranges *ranges, const q8_ranges *validation, q8_warning_fn tell, void *user);

/* By how much the last quarter of the samples widened the range of a tensor: 0.1 is a tenth. 0 if that is not known. */
double q8_ranges_growth(const q8_ranges *ranges, size_t tensor);
/* Whether so many tensors (*tensors) grew that it is not by chance, and which one most. */
int q8_ranges_grow(const q8_ranges *ranges, size_t *tensors, size_t *where);

/* The share of values that two histograms have in common, in [0, 1]: the sum over bins of the smaller share. Zeros are a
 * bin of their own. Neither is empty. */
double q8_histogram_overlap(const q8_histogram *a, const q8_histogram *b);

#endif
