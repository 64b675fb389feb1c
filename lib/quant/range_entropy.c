/* range_entropy.c - the range whose 8-bit levels keep most of the information in the distribution of values: the least
 * Kullback-Leibler divergence (S. Migacz, 8-bit Inference with TensorRT, 2017), here for affine ranges.
 *
 * A threshold T stands for the range [max(min, -T), min(max, T)]. P is the histogram with what lies outside moved to the
 * end bins; Q is the histogram without that, each level's count spread evenly over its occupied bins. Zeros take no part:
 * they are exact in every range, and a ReLU's would outweigh all else.
 *
 * What it is good for is told at QINT8_OBSERVER_ENTROPY. Coarser levels do not help: with 128, 64 and 32 of them, as in
 * symmetric forms of the method, the divergence inside a wide range grows and the chosen one shrinks further (rel_err of
 * fmnist_mnv3s 0.29 with 256, then 0.43, 0.49, 0.56).
 */
#include <math.h>

#include "quant/observer.h"

#define LEVELS 256
#define CANDIDATES 120 /* from T = max|x| down to 1/16 of it, in steps of 1/128 */
#define LEAST 1e-9     /* share that Q gives to a bin where it has nothing and P has something */

typedef struct bins {
  int32_t first, last; /* of the range */
  double total, below, above;
} bins;

static double count_at(const q8_histogram *h, int32_t bin) {
  return (double)h->count[q8_histogram_slot(bin)];
}

static bins bins_of(const q8_histogram *h, float low, float high) {
  int32_t first = q8_histogram_bin(h, h->min), last = q8_histogram_bin(h, h->max);
  bins b = {.first = q8_histogram_bin(h, low), .last = q8_histogram_bin(h, high)};
  for (int32_t bin = first; bin <= last; bin++) {
    double n = count_at(h, bin);
    b.total += n;
    b.below += bin < b.first ? n : 0;
    b.above += bin > b.last ? n : 0;
  }
  return b;
}

/* The divergence of one level's bins [from, end): in all of them Q is the same. */
static double level_divergence(const q8_histogram *h, const bins *b, int32_t from, int32_t end) {
  double sum = 0, occupied = 0, divergence = 0;
  for (int32_t bin = from; bin < end; bin++) {
    sum += count_at(h, bin);
    occupied += count_at(h, bin) > 0;
  }
  for (int32_t bin = from; bin < end; bin++) {
    double p = count_at(h, bin) + (bin == b->first ? b->below : 0) + (bin == b->last ? b->above : 0);
    double q = count_at(h, bin) > 0 ? sum / occupied / (b->total - b->below - b->above) : LEAST;
    if (p > 0)
      divergence += p / b->total * log(p / b->total / q);
  }
  return divergence;
}

static double divergence_of(const q8_histogram *h, float low, float high) {
  bins b = bins_of(h, low, high);
  int32_t count = b.last - b.first + 1;
  double divergence = 0;
  if (b.total - b.below - b.above <= 0)
    return INFINITY;
  for (int32_t level = 0; level < LEVELS; level++)
    divergence += level_divergence(h, &b, b.first + (int32_t)((int64_t)level * count / LEVELS),
                                   b.first + (int32_t)((int64_t)(level + 1) * count / LEVELS));
  return divergence;
}

void q8_range_entropy(const q8_histogram *h, float *low, float *high) {
  float largest = -h->min > h->max ? -h->min : h->max, least = INFINITY;
  *low = h->min;
  *high = h->max;
  for (int i = 0; i < CANDIDATES && h->min < h->max; i++) {
    float t = largest * (1.0f - (float)i / 128);
    float lo = h->min > -t ? h->min : -t, hi = h->max < t ? h->max : t;
    if (lo >= hi)
      break; /* all values are beyond the threshold, on one side */
    float divergence = (float)divergence_of(h, lo, hi); /* float: sums that differ by rounding tie, the wider range wins */
    if (divergence < least) {
      least = divergence;
      *low = lo;
      *high = hi;
    }
  }
}
