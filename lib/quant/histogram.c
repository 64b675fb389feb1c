#include "quant/histogram.h"

#include <math.h>
#include <string.h>

/* Widths from 2^-120 on, so that 1 / width is a normal float; and |bin| <= 2^22, so that x / width has its floor
 * exactly in a float. */
#define MIN_EXPONENT (-120)
#define BIN_BITS 11
#define MAX_BIN_BITS 22

void q8_histogram_clear(q8_histogram *h) {
  h->is_counted = 0;
  h->kept = 0;
  h->zeros = 0;
  h->min = INFINITY;
  h->max = -INFINITY;
  h->exponent = MIN_EXPONENT;
}

static int32_t bin_at(float x, int32_t exponent) {
  return (int32_t)floor(ldexp((double)x, -exponent));
}

int32_t q8_histogram_bin(const q8_histogram *h, float x) {
  return bin_at(x, h->exponent);
}

/* The smallest exponent that serves [min, max]; grows with the range. */
static int32_t exponent_of(float min, float max) {
  int span = 0, magnitude = 0;
  double largest = fabs((double)min) > fabs((double)max) ? fabs((double)min) : fabs((double)max);
  frexp((double)max - min, &span);
  frexp(largest, &magnitude);
  int32_t exponent = max > min && span - BIN_BITS > MIN_EXPONENT ? span - BIN_BITS : MIN_EXPONENT;
  if (largest > 0 && magnitude - MAX_BIN_BITS > exponent)
    exponent = magnitude - MAX_BIN_BITS;
  while (bin_at(max, exponent) - bin_at(min, exponent) >= Q8_BINS) /* at most once */
    exponent++;
  return exponent;
}

/* Adds the bins of `from`, at its exponent, to `count` at a larger or equal one. */
static void add_bins(int64_t *count, int32_t exponent, const q8_histogram *from) {
  int32_t shift = exponent - from->exponent;
  if (shift > 30)
    shift = 30; /* |bin| <= 2^22: all are 0 or -1 from there on */
  int32_t last = q8_histogram_bin(from, from->max);
  for (int32_t bin = q8_histogram_bin(from, from->min); bin <= last; bin++) {
    int32_t merged = bin >= 0 ? bin >> shift : -((-bin - 1) >> shift) - 1; /* floor */
    count[q8_histogram_slot(merged)] += from->count[q8_histogram_slot(bin)];
  }
}

void q8_histogram_widen(q8_histogram *h, float min, float max) {
  if (min >= h->min && max <= h->max)
    return;
  int empty = h->min > h->max;
  float low = min < h->min ? min : h->min, high = max > h->max ? max : h->max;
  low += 0.0f; /* -0 becomes 0: the bytes of the result do not depend on which came first */
  high += 0.0f;
  int32_t exponent = h->is_counted ? exponent_of(low, high) : h->exponent;
  if (!empty && exponent != h->exponent) {
    int64_t merged[Q8_BINS] = {0};
    add_bins(merged, exponent, h);
    memcpy(h->count, merged, sizeof(merged));
  }
  h->exponent = exponent;
  h->min = low;
  h->max = high;
}

int q8_histogram_keep(q8_histogram *h, const float *x, size_t n) {
  if (h->is_counted || n > Q8_HISTOGRAM_KEPT - h->kept)
    return 0;
  memcpy(h->values + h->kept, x, n * sizeof *x);
  h->kept += n;
  return 1;
}

static void count_first(q8_histogram *h, const float *x, size_t n, q8_slots_fn *slots) {
  memset(h->count, 0, sizeof(h->count));
  h->is_counted = 1;
  h->kept = 0;
  if (h->min <= h->max)
    h->exponent = exponent_of(h->min, h->max);
  for (size_t i = 0; i < n; i += Q8_HISTOGRAM_BLOCK)
    q8_histogram_count(h, x + i, n - i < Q8_HISTOGRAM_BLOCK ? n - i : Q8_HISTOGRAM_BLOCK, 1, slots);
}

static void count_kept(q8_histogram *h, q8_slots_fn *slots) {
  float values[Q8_HISTOGRAM_KEPT];
  memcpy(values, h->values, h->kept * sizeof *values);
  count_first(h, values, h->kept, slots);
}

void q8_histogram_copy(const q8_histogram *h, q8_histogram *copy) {
  if (h->is_counted) {
    *copy = *h;
    return;
  }
  q8_histogram_clear(copy);
  q8_histogram_widen(copy, h->min, h->max);
  q8_histogram_keep(copy, h->values, h->kept);
}

const q8_histogram *q8_histogram_counted(const q8_histogram *h, q8_histogram *room, q8_slots_fn *slots) {
  if (!h || h->is_counted || !h->kept)
    return h;
  q8_histogram_clear(room);
  q8_histogram_widen(room, h->min, h->max);
  count_first(room, h->values, h->kept, slots);
  return room;
}

int q8_histogram_count(q8_histogram *h, const float *x, size_t n, int64_t weight, q8_slots_fn *slots) {
  uint16_t slot[Q8_HISTOGRAM_BLOCK + Q8_SLOTS_SLACK];
  if (!h->is_counted)
    count_kept(h, slots);
  size_t kept = slots(n, x, ldexpf(1.0f, -h->exponent), slot), i = 0;
  int64_t *count = h->count;
  if (kept == Q8_NAN)
    return 0;
  for (; i + 4 <= kept; i += 4) { /* one load for four */
    uint64_t four;
    memcpy(&four, slot + i, sizeof four);
    count[four & 0xFFFF] += weight;
    count[four >> 16 & 0xFFFF] += weight;
    count[four >> 32 & 0xFFFF] += weight;
    count[four >> 48] += weight;
  }
  for (; i < kept; i++)
    count[slot[i]] += weight;
  h->zeros += weight * (int64_t)(n - kept);
  return 1;
}

void q8_histogram_add(q8_histogram *h, const q8_histogram *other, q8_slots_fn *slots) {
  if (other->min > other->max)
    return;
  if (!h->is_counted)
    count_kept(h, slots);
  q8_histogram_widen(h, other->min, other->max);
  add_bins(h->count, h->exponent, other);
  h->zeros += other->zeros;
}
