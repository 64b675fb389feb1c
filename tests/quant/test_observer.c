/* Observers: independent of splitting and merging, constant in memory; the chosen range. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/cpu.h"
#include "quant/loops.h"
#include "quant/observer.h"
#include "quant/qparams.h"
#include "quant/quantize.h"
#include "test.h"

static q8_kernels kernels;
static q8_histogram room[2]; /* where kept values are counted */
static size_t allocations;

static void *counting_allocate(void *user, size_t size, size_t alignment) {
  (void)user;
  allocations++;
  return aligned_alloc(alignment, (size + alignment - 1) / alignment * alignment);
}
static void counting_release(void *user, void *memory) {
  (void)user;
  free(memory);
}

static q8_host host(void) {
  qint8_host given = QINT8_HOST_INIT;
  given.allocate = counting_allocate;
  given.release = counting_release;
  q8_host out;
  CHECK(q8_host_init(&out, &given, NULL) == QINT8_OK);
  return out;
}

static q8_observer *make(int32_t kind, size_t channels) {
  q8_observer_config config = {.kind = kind, .channels = channels, .moving_average = 0.1f, .minmax = kernels.minmax,
                               .minmax_rows = kernels.minmax_rows, .slots = kernels.slots};
  config.percentile = 99.0f;
  q8_host h = host();
  q8_observer *o = NULL;
  CHECK(q8_observer_new(&config, &h, &o, NULL) == QINT8_OK);
  return o;
}

static q8_observer *copy_of(const q8_observer *o) {
  q8_host h = host();
  void *memory = q8_alloc(&h, 1, q8_observer_size(q8_observer_config_of(o)));
  CHECK(memory);
  return q8_observer_copy(memory, o);
}

static qint8_range range_of(const q8_observer *o, size_t channel) {
  qint8_range range = QINT8_RANGE_INIT;
  CHECK(q8_observer_range(o, channel, &range, NULL) == QINT8_OK);
  return range;
}

static int same_range(const qint8_range *a, const qint8_range *b) {
  return memcmp(a, b, sizeof(*a)) == 0;
}

/* Skewed values over many magnitudes, zeros, and a few values that are not finite. */
static int same_bins(const q8_observer *a, const q8_observer *b) {
  return memcmp(q8_observer_histogram(a, 0, &room[0]), q8_observer_histogram(b, 0, &room[1]), sizeof *room) == 0;
}

static void fill(float *x, size_t n) {
  int spread = test_random_int(0, 30), shift = test_random_int(-40, 40);
  for (size_t i = 0; i < n; i++) {
    x[i] = ldexpf(test_random_float(-1, 3), shift + test_random_int(-spread, 0));
    if (test_random_int(0, 9) == 0)
      x[i] = 0.0f;
    if (test_random_int(0, 99) == 0)
      x[i] = test_random_int(0, 1) ? NAN : INFINITY;
  }
}

enum { COUNT = 20000 };
static float values[COUNT];

static void count_values(q8_histogram *h, const float *x, size_t n) {
  for (size_t i = 0; i < n; i += Q8_HISTOGRAM_BLOCK)
    CHECK(q8_histogram_count(h, x + i, n - i < Q8_HISTOGRAM_BLOCK ? n - i : Q8_HISTOGRAM_BLOCK, 1, kernels.slots));
}

static void observe_in_pieces(q8_observer *o, const float *x, size_t n) {
  for (size_t i = 0; i < n;) {
    size_t piece = (size_t)test_random_int(1, test_random_int(0, 1) ? 9 : 9000);
    piece = piece < n - i ? piece : n - i;
    q8_observer_observe(o, x + i, 1, 1, piece);
    i += piece;
  }
}

static void splits_do_not_matter(void) {
  for (int round = 0; round < 40; round++) {
    int32_t kind = round % 4 == 0 ? QINT8_OBSERVER_MINMAX : QINT8_OBSERVER_HISTOGRAM_MSE + round % 3;
    q8_observer *whole = make(kind, 0), *split = make(kind, 0);
    fill(values, COUNT);
    q8_observer_observe(whole, values, 1, 1, COUNT);
    observe_in_pieces(split, values, COUNT);
    qint8_range a = range_of(whole, 0), b = range_of(split, 0);
    CHECK(same_range(&a, &b));
    CHECK_EQ(a.count + a.nan_count + a.inf_count, COUNT);
    q8_observer_free(whole);
    q8_observer_free(split);
  }
}

static int64_t total_of(const q8_histogram *h) {
  int64_t total = h->zeros;
  for (size_t i = 0; i < Q8_BINS; i++)
    total += h->count[i];
  return total;
}

/* Its part of the values stands for all of them: ends and counts exactly, the distribution nearly. */
static void samples_are_counted_in_part(void) {
  for (int round = 0; round < 20; round++) {
    q8_observer *all = make(QINT8_OBSERVER_HISTOGRAM_MSE, 0), *part = make(QINT8_OBSERVER_HISTOGRAM_MSE, 0);
    for (int i = 0; i < COUNT; i++)
      values[i] = test_random_int(0, 3) ? test_random_float(-1, 3) : 0;
    values[test_random_int(0, COUNT - 1)] = -8;
    values[test_random_int(0, COUNT - 1)] = 8;
    q8_observer_observe(all, values, 1, 1, COUNT);
    q8_observer_sample(part, values, COUNT, 8);
    const q8_histogram *a = q8_observer_histogram(all, 0, &room[0]), *p = q8_observer_histogram(part, 0, &room[1]);
    float low, high;
    q8_observer_last(part, 0, &low, &high);
    CHECK(low == -8 && high == 8 && p->min == -8 && p->max == 8 && p->exponent == a->exponent);
    CHECK(q8_observer_finite(part, 0) == COUNT && p->count[q8_histogram_slot(q8_histogram_bin(p, 8))] > 0);
    CHECK(total_of(p) == COUNT && llabs(p->zeros - a->zeros) < COUNT / 20);
    for (int quarter = -1; quarter < 3; quarter++) { /* [-1, 0), [0, 1), ... */
      int64_t want = 0, got = 0;
      for (int32_t bin = q8_histogram_bin(a, (float)quarter); bin < q8_histogram_bin(a, (float)quarter + 1); bin++) {
        want += a->count[q8_histogram_slot(bin)];
        got += p->count[q8_histogram_slot(bin)];
      }
      CHECK_MSG(llabs(want - got) < COUNT / 20, "%lld values from %d on, %lld counted", (long long)want, quarter,
                (long long)got);
    }
    q8_observer_free(all);
    q8_observer_free(part);
  }
}

/* A place whose values are always large is counted as often as any other, over many samples. */
static void parts_of_samples_are_not_the_same_places(void) {
  enum { SAMPLES = 400, PART = 8 };
  q8_observer *o = make(QINT8_OBSERVER_HISTOGRAM_MSE, 0);
  for (int s = 0; s < SAMPLES; s++) {
    for (int i = 0; i < COUNT; i++)
      values[i] = test_random_float(-1, 1);
    values[40] = 7;
    values[COUNT - 1] = 8;
    q8_observer_sample(o, values, COUNT, PART);
  }
  const q8_histogram *h = q8_observer_histogram(o, 0, &room[0]);
  int64_t seen = h->count[q8_histogram_slot(q8_histogram_bin(h, 7))];
  CHECK_MSG(seen > SAMPLES / 2 && seen < 2 * SAMPLES, "%lld of %d", (long long)seen, SAMPLES);
  q8_observer_free(o);
}

/* Short samples, and those with a NaN, are counted as a whole. */
static void short_and_damaged_samples_are_counted_whole(void) {
  for (int damaged = 0; damaged < 2; damaged++) {
    q8_observer *all = make(QINT8_OBSERVER_HISTOGRAM_MSE, 0), *sample = make(QINT8_OBSERVER_HISTOGRAM_MSE, 0);
    for (int i = 0; i < COUNT; i++)
      values[i] = test_random_float(-1, 3);
    if (damaged)
      values[test_random_int(0, COUNT - 1)] = test_random_int(0, 1) ? NAN : -INFINITY;
    q8_observer_observe(all, values, 1, 1, COUNT);
    q8_observer_sample(sample, values, COUNT, damaged ? 64 : 1);
    CHECK(same_bins(all, sample));
    qint8_range a = range_of(all, 0), b = range_of(sample, 0);
    CHECK(same_range(&a, &b) && b.nan_count + b.inf_count == damaged);
    q8_observer_free(all);
    q8_observer_free(sample);
  }
}

static void check_ends(const float *x, size_t samples, size_t n, const q8_ends *ends) {
  for (size_t s = 0; s < samples; s++) {
    q8_ends want;
    kernels.minmax(n, x + s * n, &want.min, &want.max);
    if (isfinite(want.min) && isfinite(want.max)) /* of others the finite values count */
      CHECK(ends[s].min == want.min && ends[s].max == want.max);
  }
}

/* Samples that are kept to be counted later give the same counts, whatever follows, and the same ends. */
static void kept_samples_are_counted(void) {
  for (int round = 0; round < 60; round++) {
    q8_observer *all = make(QINT8_OBSERVER_HISTOGRAM_MSE, 0), *kept = make(QINT8_OBSERVER_HISTOGRAM_MSE, 0), *copy;
    size_t n = (size_t)test_random_int(1, round % 3 ? 20 : 256), end = (size_t)test_random_int(1, COUNT - 16 * (int)n);
    q8_ends ends[16];
    fill(values, COUNT);
    for (size_t i = 0; round % 2 && i < COUNT; i++)
      values[i] = isfinite(values[i]) ? values[i] : 0;
    for (size_t i = 0, samples; i < end; i += samples * n) {
      samples = (size_t)test_random_int(1, 16);
      q8_observer_observe(all, values + i, 1, 1, samples * n);
      q8_observer_samples(kept, values + i, samples, n, 1, ends);
      check_ends(values + i, samples, n, ends);
    }
    if (round % 4 == 1) {
      q8_observer_sample(all, values, COUNT, 8);
      q8_observer_sample(kept, values, COUNT, 8);
    }
    copy = copy_of(kept);
    CHECK(same_bins(all, copy));
    q8_observer_merge(all, copy);
    q8_observer_merge(kept, copy);
    CHECK(same_bins(all, kept));
    qint8_range a = range_of(all, 0), b = range_of(kept, 0);
    CHECK(same_range(&a, &b));
    q8_observer_free(all);
    q8_observer_free(kept);
    q8_observer_free(copy);
  }
}

static void merging_is_associative_and_commutative(void) {
  for (int round = 0; round < 20; round++) {
    q8_observer *part[2][3], *whole = make(QINT8_OBSERVER_HISTOGRAM_MSE, 0);
    for (size_t i = 0; i < 3; i++) {
      size_t n = (size_t)test_random_int(0, COUNT / 4);
      fill(values, n);
      q8_observer_observe(whole, values, 1, 1, n);
      part[0][i] = make(QINT8_OBSERVER_HISTOGRAM_MSE, 0);
      q8_observer_observe(part[0][i], values, 1, 1, n);
      part[1][i] = copy_of(part[0][i]);
    }
    q8_observer_merge(part[0][0], part[0][1]); /* (a + b) + c */
    q8_observer_merge(part[0][0], part[0][2]);
    q8_observer_merge(part[1][2], part[1][1]); /* (c + b) + a */
    q8_observer_merge(part[1][2], part[1][0]);
    qint8_range a = range_of(part[0][0], 0), b = range_of(part[1][2], 0), all = range_of(whole, 0);
    CHECK(same_range(&a, &b));
    CHECK(same_range(&a, &all));
    for (size_t i = 0; i < 6; i++)
      q8_observer_free(part[i / 3][i % 3]);
    q8_observer_free(whole);
  }
}

/* The bins themselves, zeros included, are the same bytes in whatever order the values came. */
static void bins_are_canonical(void) {
  static q8_histogram a, b;
  for (int round = 0; round < 20; round++) {
    fill(values, 3000);
    q8_histogram_clear(&a);
    q8_histogram_clear(&b);
    int64_t n = 0;
    for (size_t i = 0; i < 3000; i++) {
      float x = values[i], y = values[2999 - i];
      if (isfinite(x)) {
        q8_histogram_widen(&a, x, x);
        count_values(&a, &x, 1);
        n++;
      }
      if (isfinite(y)) {
        q8_histogram_widen(&b, y, y);
        count_values(&b, &y, 1);
      }
    }
    CHECK(a.min == b.min && a.max == b.max && a.exponent == b.exponent);
    const q8_histogram *c = q8_histogram_counted(&a, &room[0], kernels.slots);
    CHECK(memcmp(c->count, q8_histogram_counted(&b, &room[1], kernels.slots)->count, Q8_BINS * sizeof(int64_t)) == 0);
    CHECK_EQ(a.zeros, b.zeros);
    int64_t sum = a.zeros;
    for (size_t i = 0; i < Q8_BINS; i++)
      sum += c->count[i];
    CHECK_EQ(sum, n);
    CHECK(q8_histogram_bin(&a, a.max) - q8_histogram_bin(&a, a.min) < Q8_BINS);
  }
}

/* Beyond 32 bits: by values of great weight, and by merging. */
static void bins_hold_more_than_32_bits(void) {
  static q8_histogram h, twice;
  const float x[3] = {1, 2, 2};
  const int64_t weight = INT64_C(3) << 30;
  for (int merge = 0; merge < 2; merge++) {
    q8_histogram_clear(&h);
    q8_histogram_widen(&h, 1, 2);
    for (int i = 0; i < 2; i++)
      CHECK(q8_histogram_count(&h, x, merge ? 1 : 3, merge ? 1 : weight, kernels.slots));
    for (int i = 0; i < 36 && merge; i++) { /* doubles each time */
      q8_histogram_clear(&twice);
      const q8_histogram *all = q8_histogram_counted(&h, &room[0], kernels.slots);
      q8_histogram_add(&twice, all, kernels.slots);
      q8_histogram_add(&h, &twice, kernels.slots);
    }
    const q8_histogram *all = q8_histogram_counted(&h, &room[0], kernels.slots);
    int64_t ones = all->count[q8_histogram_slot(q8_histogram_bin(all, 1))];
    int64_t twos = all->count[q8_histogram_slot(q8_histogram_bin(all, 2))];
    CHECK_EQ(ones, merge ? INT64_C(2) << 36 : 2 * weight);
    CHECK_EQ(twos, merge ? 0 : 4 * weight);
    CHECK_EQ(all->counted, ones + twos);
  }
}

static void values_lie_in_their_bins(void) {
  static q8_histogram h;
  q8_histogram_clear(&h);
  for (int i = 0; i < 3000; i++)
    values[i] = test_random_float(-3, 5);
  q8_histogram_widen(&h, -3, 5);
  count_values(&h, values, 3000);
  int64_t expected[Q8_BINS] = {0};
  for (int i = 0; i < 3000; i++)
    if (values[i] != 0)
      expected[q8_histogram_slot((int32_t)floor(ldexp((double)values[i], -h.exponent)))]++;
  CHECK(memcmp(expected, q8_histogram_counted(&h, &room[0], kernels.slots)->count, sizeof(expected)) == 0);
}

static void memory_is_constant(void) {
  q8_observer *o = make(QINT8_OBSERVER_HISTOGRAM_MSE, 3);
  size_t before = allocations;
  for (int i = 0; i < 1000; i++) {
    fill(values, 300);
    q8_observer_observe(o, values, 10, 3, 10);
  }
  CHECK_EQ(allocations, before);
  q8_observer_free(o);
}

static void channels_are_apart(void) {
  static const size_t inner[] = {1, 7, 700};
  for (int round = 0; round < 6; round++) {
    size_t in = inner[round % 3], channels = 5, outer = COUNT / (channels * in);
    int32_t kind = round < 3 ? QINT8_OBSERVER_HISTOGRAM_MSE : QINT8_OBSERVER_MOVING_AVERAGE;
    fill(values, COUNT);
    q8_observer *all = make(kind, channels);
    q8_observer_observe(all, values, outer, channels, in);
    for (size_t c = 0; c < channels; c++) {
      static float gathered[COUNT];
      size_t n = 0;
      for (size_t o = 0; o < outer; o++)
        for (size_t i = 0; i < in; i++)
          gathered[n++] = values[(o * channels + c) * in + i];
      q8_observer *one = make(kind, 0);
      q8_observer_observe(one, gathered, 1, 1, n);
      qint8_range a = range_of(all, c), b = range_of(one, 0);
      CHECK(same_range(&a, &b));
      q8_observer_free(one);
    }
    q8_observer_free(all);
  }
}

static void empty_constant_and_not_finite(void) {
  float bad[5] = {NAN, INFINITY, -INFINITY, NAN, NAN}, same[3] = {2.5f, 2.5f, 2.5f}, zeros[70] = {0};
  for (int32_t kind = 0; kind <= QINT8_OBSERVER_HISTOGRAM_MSE; kind++) {
    q8_observer *o = make(kind, 0);
    qint8_range range = QINT8_RANGE_INIT;
    qint8_error error = QINT8_ERROR_INIT;
    CHECK_EQ(q8_observer_range(o, 0, &range, &error), QINT8_ERROR_DATA);
    q8_observer_observe(o, bad, 1, 1, 5);
    CHECK_EQ(q8_observer_range(o, 0, &range, &error), QINT8_ERROR_DATA);
    CHECK(strstr(error.message, "3 NaN, 2 infinite") != NULL);
    q8_observer_observe(o, same, 1, 1, 3);
    range = range_of(o, 0);
    CHECK(range.min == 2.5f && range.max == 2.5f && range.low == 2.5f && range.high == 2.5f);
    CHECK(range.count == 3 && range.nan_count == 3 && range.inf_count == 2);
    q8_observer_free(o);
    o = make(kind, 0);
    q8_observer_observe(o, zeros, 1, 1, 70);
    range = range_of(o, 0);
    CHECK(range.min == 0 && range.max == 0 && range.low == 0 && range.high == 0 && range.count == 70);
    q8_observer_free(o);
  }
}

static void moving_average_follows_batches(void) {
  q8_observer *o = make(QINT8_OBSERVER_MOVING_AVERAGE, 0);
  float first[2] = {-1, 1}, second[2] = {-3, 11};
  q8_observer_observe(o, first, 1, 1, 2);
  q8_observer_observe(o, second, 1, 1, 2);
  qint8_range range = range_of(o, 0);
  CHECK(range.low == -1.2f && range.high == 2.0f && range.min == -3 && range.max == 11);
  q8_observer_free(o);
}

/* Sum of square errors in f after real quantization. */
static double measured_error(const float *x, size_t n, float low, float high, q8_unary_fn *f) {
  static float y[COUNT];
  qint8_qparams q = q8_qparams_affine(low, high, QINT8_DTYPE_U8);
  q8_fake_quantize(&kernels, x, n, &q, y);
  double sum = 0;
  for (size_t i = 0; i < n; i++) {
    double e = f ? (double)f(NULL, x[i]) - (double)f(NULL, y[i]) : (double)x[i] - (double)y[i];
    sum += e * e;
  }
  return sum;
}

static float bell(void) {
  float sum = 0;
  for (int i = 0; i < 12; i++)
    sum += test_random_float(-0.5f, 0.5f);
  return sum;
}

static float hard_swish(const void *params, float x) {
  (void)params;
  float gate = x / 6 + 0.5f;
  return x * (gate < 0 ? 0 : gate > 1 ? 1 : gate);
}

static void range_beats_min_max(void) {
  for (int round = 0; round < 20; round++) {
    float tail = ldexpf(1.0f, round % 8);
    for (int i = 0; i < COUNT; i++)
      values[i] = i % 500 == 0 ? bell() * tail : bell();
    q8_observer *o = make(QINT8_OBSERVER_HISTOGRAM_MSE, 0);
    q8_observer_observe(o, values, 1, 1, COUNT);
    q8_unary_fn *f = round % 2 ? hard_swish : NULL;
    qint8_range range = QINT8_RANGE_INIT;
    CHECK(q8_observer_range_through(o, 0, f, NULL, &range, NULL) == QINT8_OK);
    CHECK(range.low >= range.min && range.high <= range.max && range.low < range.high);
    double chosen = measured_error(values, COUNT, range.low, range.high, f);
    double widest = measured_error(values, COUNT, range.min, range.max, f);
    CHECK_MSG(chosen <= widest * 1.05, "tail %g: %g, min and max %g", (double)tail, chosen, widest);
    q8_observer_free(o);
  }
}

/* The measure of range.c: bins at their middle, clipped ones 3,000 times. */
static double own_measure(const q8_histogram *h, q8_unary_fn *f, float low, float high) {
  static q8_points p;
  p.count = 0;
  for (int32_t bin = q8_histogram_bin(h, h->min), last = q8_histogram_bin(h, h->max); bin <= last; bin++) {
    int64_t n = h->count[q8_histogram_slot(bin)];
    double from = fmax(ldexp(bin, h->exponent), h->min), to = fmin(ldexp(bin + 1, h->exponent), h->max);
    p.n[p.count] = (double)n;
    p.x[p.count] = 0.5 * (from + to);
    p.fx[p.count] = f ? (double)f(NULL, (float)p.x[p.count]) : p.x[p.count];
    p.count += n > 0;
  }
  qint8_qparams q = q8_qparams_affine(low, high, QINT8_DTYPE_U8);
  return q8_points_error(&p, f, NULL, &q, 3000, INFINITY);
}

static void own_measure_never_worse(void) {
  static q8_histogram h;
  q8_host plain = host();
  for (int round = 0; round < 50; round++) {
    fill(values, 4000);
    q8_histogram_clear(&h);
    for (int i = 0; i < 4000; i++)
      if (isfinite(values[i])) {
        q8_histogram_widen(&h, values[i], values[i]);
        count_values(&h, &values[i], 1);
      }
    q8_unary_fn *f = round % 2 ? hard_swish : NULL;
    float low, high;
    CHECK(q8_range_search(&h, f, NULL, &plain, &low, &high, NULL) == QINT8_OK);
    double chosen = own_measure(&h, f, low, high), widest = own_measure(&h, f, h.min, h.max);
    CHECK_MSG(chosen <= widest, "%g, min and max %g", chosen, widest);
  }
}

static int ascending(const void *a, const void *b) {
  float x = *(const float *)a, y = *(const float *)b;
  return (x > y) - (x < y);
}

/* The bounds lie within a bin of the values of those ranks. */
static void percentile_cuts_both_tails(void) {
  for (int round = 0; round < 20; round++) {
    float slope = ldexpf(1.0f, round - 10);
    for (int i = 0; i < COUNT; i++)
      values[i] = i % 3 == 0 && round % 2 ? 0 : (bell() + (float)(round % 5) - 2) * slope;
    q8_observer *o = make(QINT8_OBSERVER_PERCENTILE, 0); /* 99 % */
    q8_observer_observe(o, values, 1, 1, COUNT);
    qint8_range range = range_of(o, 0);
    qsort(values, COUNT, sizeof *values, ascending);
    float low = values[COUNT / 200], high = values[COUNT - 1 - COUNT / 200], bin = (range.max - range.min) / 500;
    CHECK_MSG(fabsf(range.low - low) <= bin, "low %g, value of that rank %g", (double)range.low, (double)low);
    CHECK_MSG(fabsf(range.high - high) <= bin, "high %g, value of that rank %g", (double)range.high, (double)high);
    CHECK(range.low >= range.min && range.high <= range.max && range.low < range.high);
    q8_observer_free(o);
  }
}

static void all_of_the_values_is_the_whole_range(void) {
  static q8_histogram h;
  float low, high;
  q8_histogram_clear(&h);
  for (int i = 0; i < COUNT; i++)
    values[i] = bell();
  q8_histogram_widen(&h, -8, 8);
  count_values(&h, values, COUNT);
  for (int i = 0; i < 2; i++) /* a value in each end bin */
    count_values(&h, &(float){i ? 8.0f : -8.0f}, 1);
  q8_range_percentile(q8_histogram_counted(&h, &room[0], kernels.slots), COUNT + 2, 100, &low, &high);
  CHECK(low == -8 && high == 8);
}

/* Rare outliers are left out, an even distribution is not; what the zeros are does not matter. */
static void entropy_leaves_out_what_tells_little(void) {
  for (int zeros = 0; zeros < 2; zeros++) {
    q8_observer *tailed = make(QINT8_OBSERVER_ENTROPY, 0), *even = make(QINT8_OBSERVER_ENTROPY, 0);
    for (int i = 0; i < COUNT; i++)
      values[i] = zeros && i % 2 ? 0 : i == 100 ? 40.0f : bell();
    q8_observer_observe(tailed, values, 1, 1, COUNT);
    for (int i = 0; i < COUNT; i++)
      values[i] = test_random_float(0, 3);
    q8_observer_observe(even, values, 1, 1, COUNT);
    qint8_range range = range_of(tailed, 0);
    CHECK_MSG(range.high >= 2.5f && range.high <= 10 && range.low == range.min, "[%g, %g]", (double)range.low,
              (double)range.high);
    range = range_of(even, 0);
    CHECK_MSG(range.high > 2.9f, "high %g", (double)range.high);
    q8_observer_free(tailed);
    q8_observer_free(even);
  }
}

/* Values of one sign far from zero, and constants, keep their range. */
static void narrow_distributions_keep_their_range(void) {
  for (int32_t kind = QINT8_OBSERVER_PERCENTILE; kind <= QINT8_OBSERVER_ENTROPY; kind++)
    for (int sign = -1; sign <= 1; sign += 2) {
      q8_observer *far = make(kind, 0), *constant = make(kind, 0);
      for (int i = 0; i < COUNT; i++)
        values[i] = (float)sign * (1000 + bell());
      q8_observer_observe(far, values, 1, 1, COUNT);
      qint8_range range = range_of(far, 0);
      CHECK(range.low >= range.min && range.high <= range.max && range.low < range.high);
      CHECK(range.high - range.low > 0.5f * (range.max - range.min));
      for (int i = 0; i < 100; i++)
        values[i] = (float)sign * 7;
      q8_observer_observe(constant, values, 1, 1, 100);
      range = range_of(constant, 0);
      CHECK(range.low == (float)sign * 7 && range.high == (float)sign * 7);
      q8_observer_free(far);
      q8_observer_free(constant);
    }
}

/* Where f is flat, x may be clipped for nothing: hard swish is 0 below -3. */
static void flat_parts_are_clipped(void) {
  for (int i = 0; i < COUNT; i++)
    values[i] = test_random_float(-20, 4);
  q8_observer *o = make(QINT8_OBSERVER_HISTOGRAM_MSE, 0);
  q8_observer_observe(o, values, 1, 1, COUNT);
  qint8_range range = QINT8_RANGE_INIT;
  CHECK(q8_observer_range_through(o, 0, hard_swish, NULL, &range, NULL) == QINT8_OK);
  CHECK_MSG(range.low > -3.2f && range.low < -2.5f, "low %g", (double)range.low);
  CHECK_MSG(range.high > 3.8f, "high %g", (double)range.high);
  q8_observer_free(o);
}

/* Tails get room, saturated ends and ends at zero do not. */
static void headroom_follows_the_tails(void) {
  for (int i = 0; i < COUNT; i++) {
    float sum = 0; /* of 12 uniform values: normal but for its far tails */
    for (int j = 0; j < 12; j++)
      sum += test_random_float(-0.5f, 0.5f);
    values[i] = sum;
  }
  q8_observer *normal = make(QINT8_OBSERVER_HISTOGRAM_MSE, 0), *clamped = make(QINT8_OBSERVER_HISTOGRAM_MSE, 0);
  q8_observer_observe(normal, values, 1, 1, COUNT);
  for (int i = 0; i < COUNT; i++)
    values[i] = values[i] < 0 ? 0 : values[i] > 1 ? 1 : values[i];
  q8_observer_observe(clamped, values, 1, 1, COUNT);

  qint8_range range = QINT8_RANGE_INIT;
  CHECK(q8_observer_range(normal, 0, &range, NULL) == QINT8_OK);
  range.low = range.min;
  range.high = range.max;
  q8_observer_add_headroom(normal, 0, &range);
  CHECK_MSG(range.high > range.max * 1.005f && range.high < range.max * 1.10f, "%g of %g", (double)range.high,
            (double)range.max);
  CHECK_MSG(range.low < range.min * 1.005f && range.low > range.min * 1.10f, "%g of %g", (double)range.low,
            (double)range.min);
  range.low = range.min / 2;
  range.high = range.max / 2;
  q8_observer_add_headroom(normal, 0, &range); /* clipped on purpose: stays */
  CHECK(range.low == range.min / 2 && range.high == range.max / 2);

  CHECK(q8_observer_range(clamped, 0, &range, NULL) == QINT8_OK);
  range.low = range.min;
  range.high = range.max;
  q8_observer_add_headroom(clamped, 0, &range);
  CHECK_MSG(range.low == 0, "low %g", (double)range.low);
  CHECK_MSG(range.high < 1.001f, "high %g", (double)range.high);
  q8_observer_free(normal);
  q8_observer_free(clamped);
}

int main(int argc, char **argv) {
  TEST_BEGIN(argc, argv);
  q8_kernels_select(q8_cpu_detect(), &kernels);
  RUN(splits_do_not_matter);
  RUN(samples_are_counted_in_part);
  RUN(parts_of_samples_are_not_the_same_places);
  RUN(short_and_damaged_samples_are_counted_whole);
  RUN(kept_samples_are_counted);
  RUN(merging_is_associative_and_commutative);
  RUN(bins_are_canonical);
  RUN(bins_hold_more_than_32_bits);
  RUN(values_lie_in_their_bins);
  RUN(memory_is_constant);
  RUN(channels_are_apart);
  RUN(empty_constant_and_not_finite);
  RUN(moving_average_follows_batches);
  RUN(range_beats_min_max);
  RUN(own_measure_never_worse);
  RUN(percentile_cuts_both_tails);
  RUN(all_of_the_values_is_the_whole_range);
  RUN(entropy_leaves_out_what_tells_little);
  RUN(narrow_distributions_keep_their_range);
  RUN(flat_parts_are_clipped);
  RUN(headroom_follows_the_tails);
  return TEST_END();
}
