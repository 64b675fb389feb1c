#include "quant/histogram.h"

#include <math.h>
#include <string.h>

#include "quant/loops.h"

/* Widths from 2^-120 on, so that 1 / width is a normal float; and |bin| <= 2^22, so that x / width has its floor
 * exactly in a float. */
#define MIN_EXPONENT (-120)
#define BIN_BITS 11
#define MAX_BIN_BITS 22

void q8_histogram_clear(q8_histogram *h) {
  h->form = Q8_KEPT;
  h->kept = 0;
  h->counted = h->zeros = 0;
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

static int64_t count_of(const q8_histogram *h, size_t slot) {
  return h->form == Q8_WIDE ? h->count[slot] : h->narrow[slot];
}

/* Adds the bins of `from`, at its exponent, to `count` at a larger or equal one. */
static void add_bins(int64_t *count, int32_t exponent, const q8_histogram *from) {
  int32_t shift = exponent - from->exponent;
  if (shift > 30)
    shift = 30; /* |bin| <= 2^22: all are 0 or -1 from there on */
  int32_t last = q8_histogram_bin(from, from->max);
  for (int32_t bin = q8_histogram_bin(from, from->min); bin <= last; bin++) {
    int32_t merged = bin >= 0 ? bin >> shift : -((-bin - 1) >> shift) - 1; /* floor */
    count[q8_histogram_slot(merged)] += count_of(from, q8_histogram_slot(bin));
  }
}

/* Gives counted values the bins of `exponent`, in this form. */
static void move_bins(q8_histogram *h, int32_t exponent, q8_histogram_form form) {
  int64_t merged[Q8_BINS] = {0};
  add_bins(merged, exponent, h);
  h->exponent = exponent;
  h->form = form;
  if (form == Q8_WIDE)
    memcpy(h->count, merged, sizeof(merged));
  else
    for (size_t i = 0; i < Q8_BINS; i++)
      h->narrow[i] = (uint32_t)merged[i];
}

void q8_histogram_widen(q8_histogram *h, float min, float max) {
  if (min >= h->min && max <= h->max)
    return;
  int empty = h->min > h->max;
  float low = min < h->min ? min : h->min, high = max > h->max ? max : h->max;
  low += 0.0f; /* -0 becomes 0: the bytes of the result do not depend on which came first */
  high += 0.0f;
  int32_t exponent = h->form != Q8_KEPT ? exponent_of(low, high) : h->exponent;
  if (!empty && exponent != h->exponent)
    move_bins(h, exponent, h->form);
  h->exponent = exponent;
  h->min = low;
  h->max = high;
}

int q8_histogram_keep(q8_histogram *h, const float *x, size_t n) {
  if (h->form != Q8_KEPT || n > Q8_HISTOGRAM_KEPT - h->kept)
    return 0;
  memcpy(h->values + h->kept, x, n * sizeof *x);
  h->kept += n;
  return 1;
}

/* The bins take the place of the first half of the values. */
static void count_kept(q8_histogram *h, q8_slots_fn *slots) {
  float first[Q8_BINS];
  size_t kept = h->kept, half = kept < Q8_BINS ? kept : Q8_BINS;
  memcpy(first, h->values, half * sizeof *first);
  memset(h->narrow, 0, sizeof(h->narrow));
  h->form = Q8_NARROW;
  h->kept = 0;
  if (h->min <= h->max)
    h->exponent = exponent_of(h->min, h->max);
  q8_histogram_count(h, first, half, 1, slots);
  q8_histogram_count(h, h->values + half, kept - half, 1, slots);
}

void q8_histogram_copy(const q8_histogram *h, q8_histogram *copy) {
  const size_t bytes[] = {h->kept * sizeof *h->values, sizeof(h->narrow), sizeof(h->count)};
  memcpy(copy, h, bytes[h->form]);
  memcpy(&copy->kept, &h->kept, sizeof(*h) - offsetof(q8_histogram, kept));
}

const q8_histogram *q8_histogram_counted(const q8_histogram *h, q8_histogram *room, q8_slots_fn *slots) {
  if (!h || h->form == Q8_WIDE || h->min > h->max)
    return h;
  q8_histogram_copy(h, room);
  if (h->form == Q8_KEPT)
    count_kept(room, slots);
  move_bins(room, room->exponent, Q8_WIDE);
  return room;
}

int q8_histogram_count(q8_histogram *h, const float *x, size_t n, int64_t weight, q8_slots_fn *slots) {
  uint16_t slot[Q8_HISTOGRAM_BLOCK + Q8_SLOTS_SLACK];
  if (h->form == Q8_KEPT)
    count_kept(h, slots);
  size_t others = slots(n, x, ldexpf(1.0f, -h->exponent), slot);
  if (others == Q8_NAN)
    return 0;
  h->counted += weight * (int64_t)n;
  h->zeros += weight * (int64_t)(n - others);
  if (h->form == Q8_NARROW && h->counted > UINT32_MAX)
    move_bins(h, h->exponent, Q8_WIDE);
  if (h->form == Q8_NARROW)
    q8_count_slots(h->narrow, slot, others, (uint32_t)weight);
  else
    for (size_t i = 0; i < others; i++)
      h->count[slot[i]] += weight;
  return 1;
}

void q8_histogram_add(q8_histogram *h, const q8_histogram *other, q8_slots_fn *slots) {
  if (other->min > other->max)
    return;
  if (h->form == Q8_KEPT)
    count_kept(h, slots);
  q8_histogram_widen(h, other->min, other->max);
  if (h->form == Q8_NARROW)
    move_bins(h, h->exponent, Q8_WIDE);
  add_bins(h->count, h->exponent, other);
  h->counted += other->counted;
  h->zeros += other->zeros;
}
