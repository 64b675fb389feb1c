/* observer.h - what is remembered of the values of a tensor, in constant memory, and the range chosen from it. */
#ifndef Q8_QUANT_OBSERVER_H
#define Q8_QUANT_OBSERVER_H

#include "base/memory.h"
#include "kernel.h"
#include "quant/histogram.h"

typedef struct q8_observer_config {
  int32_t kind;         /* qint8_observer_kind */
  size_t channels;      /* 0: one range for the tensor */
  float moving_average; /* in (0, 1] */
  float percentile;     /* in (0, 100] */
  q8_minmax_fn *minmax; /* of the caller's kernels, as is */
  q8_minmax_rows_fn *minmax_rows;
  q8_slots_fn *slots;
} q8_observer_config;

typedef struct q8_observer q8_observer;

q8_status q8_observer_new(const q8_observer_config *config, const q8_host *host, q8_observer **out,
                          qint8_error *error);
void q8_observer_free(q8_observer *observer);
/* In memory of the caller, 64-byte aligned and q8_observer_size bytes large, which he frees. */
size_t q8_observer_size(const q8_observer_config *config);
q8_observer *q8_observer_place(void *memory, const q8_observer_config *config, const q8_host *host);
q8_observer *q8_observer_copy(void *memory, const q8_observer *observer);

const q8_observer_config *q8_observer_config_of(const q8_observer *observer);

/* Values laid out [outer][channels][inner]; a per-tensor observer takes them all. One call is one batch of the moving
 * average. */
void q8_observer_observe(q8_observer *observer, const float *values, size_t outer, size_t channels, size_t inner);
/* n values of one sample for a per-tensor observer, as one call: the ends are those of all of them; a histogram counts
 * the two ends and, of the others, one in k, spread over all, as k, and a last few that make no k as zeros: n in all. It
 * counts each if k is 1 or some are not finite. Which ones follows from the values alone, and differs from sample to
 * sample. */
void q8_observer_sample(q8_observer *observer, const float *values, size_t n, size_t k);
/* `samples` of n values each, one behind the other, of which each is seen like that, but that few small ones may be kept to
 * be counted when the bins are read. Not for moving averages. ends[i] are those of sample i, min > max if it had no
 * finite value. Returns what all values lie inside, which may be all there is. */
q8_ends q8_observer_samples(q8_observer *observer, const float *values, size_t samples, size_t n, size_t k,
                            q8_ends *ends);
/* Both have the same kind and channels. A moving average continues with the other's averages, which depends on order:
 * the public function refuses it. */
void q8_observer_merge(q8_observer *observer, const q8_observer *other);

/* How many values of a channel were finite and how many not. */
int64_t q8_observer_finite(const q8_observer *observer, size_t channel);
int64_t q8_observer_nonfinite(const q8_observer *observer, size_t channel);
/* The smallest and the largest of the finite values, of which there are some. */
void q8_observer_ends(const q8_observer *observer, size_t channel, float *min, float *max);
/* The same of the last call of q8_observer_observe alone: min > max if it had none. */
void q8_observer_last(const q8_observer *observer, size_t channel, float *min, float *max);
/* NULL if the kind has none. It may lie in `room`. */
const q8_histogram *q8_observer_histogram(const q8_observer *observer, size_t channel, q8_histogram *room);

/* y = f(x) that follows the tensor: the error of quantizing x is measured in y. */
typedef float q8_unary_fn(const void *params, float x);

/* The range of a channel. DATA if it saw nothing finite, MEMORY for the workspace of the search. */
q8_status q8_observer_range(const q8_observer *observer, size_t channel, qint8_range *out, qint8_error *error);
/* The same; HISTOGRAM_MSE finds the least E[(f(x) - f(quantized x))^2]. f may be NULL. */
q8_status q8_observer_range_through(const q8_observer *observer, size_t channel, q8_unary_fn *f, const void *params,
                                    qint8_range *out, qint8_error *error);

/* Widens a range that reaches to an end of what was seen: 8 times as many values would reach further. Only a histogram
 * knows how thin the tails are; ranges of observers other than HISTOGRAM_MSE stay as they are defined. */
void q8_observer_add_headroom(const q8_observer *observer, size_t channel, qint8_range *range);
/* How far beyond the smallest and the largest of `count` values 8 times as many are expected to reach, both >= 0.
 * For normal tails the largest of n values grows as sqrt(2 ln n), by ln 8 / (2 ln n) of itself; half of that is taken,
 * and no more than the distance to the TAIL-th value from the end, which is nothing where values saturate. */
void q8_range_headroom(const q8_histogram *h, int64_t count, float *below, float *above);
/* The range [*low, *high] with the least mean square error, by the measure described in range.c, inside the smallest and
 * the largest value. The histogram is not empty. */
q8_status q8_range_search(const q8_histogram *h, q8_unary_fn *f, const void *params, const q8_host *host, float *low,
                          float *high, qint8_error *error);
/* The range that leaves out (100 - percentile) % of `count` values, zeros included, half of them at each end. */
void q8_range_percentile(const q8_histogram *h, int64_t count, float percentile, float *low, float *high);
/* The range of least divergence: see range_entropy.c. The histogram is not empty, here and above. */
void q8_range_entropy(const q8_histogram *h, float *low, float *high);

#endif
