#include "quant/observer.h"

#include <math.h>
#include <string.h>

#include "base/fpenv.h"
#include "quant/loops.h"

#define BLOCK Q8_HISTOGRAM_BLOCK /* values per pass: they stay in the L1 cache between the passes */

/* One channel, or the whole tensor. */
typedef struct cell {
  float min, max;                 /* of the finite values; min > max: none */
  float batch_min, batch_max;     /* of the current call */
  float average_min, average_max; /* over calls */
  int64_t batches, count, nan_count, inf_count;
  q8_histogram *histogram; /* or NULL */
} cell;

struct q8_observer {
  q8_observer_config config;
  q8_host host;
  size_t cells; /* >= 1 */
  cell *cell;   /* [cells], and their histograms, behind this struct */
};

static int has_histogram(const q8_observer_config *config) {
  return config->kind >= QINT8_OBSERVER_HISTOGRAM_MSE;
}

static size_t cells_of(const q8_observer_config *config) {
  return config->channels ? config->channels : 1;
}

size_t q8_observer_size(const q8_observer_config *config) {
  size_t each = sizeof(cell) + (has_histogram(config) ? sizeof(q8_histogram) : 0), size;
  return q8_mul(cells_of(config), each, &size) && q8_add(size, sizeof(q8_observer), &size) ? size : SIZE_MAX;
}

q8_observer *q8_observer_place(void *memory, const q8_observer_config *config, const q8_host *host) {
  q8_observer *o = memory;
  *o = (q8_observer){.config = *config, .host = *host, .cells = cells_of(config), .cell = (cell *)(void *)(o + 1)};
  q8_histogram *histograms = (q8_histogram *)(void *)(o->cell + o->cells);
  for (size_t c = 0; c < o->cells; c++) {
    o->cell[c] = (cell){.min = INFINITY, .max = -INFINITY, .histogram = has_histogram(config) ? &histograms[c] : NULL};
    if (o->cell[c].histogram)
      q8_histogram_clear(&histograms[c]);
  }
  return o;
}

q8_status q8_observer_new(const q8_observer_config *config, const q8_host *host, q8_observer **out,
                          qint8_error *error) {
  size_t size = q8_observer_size(config);
  void *memory = *out = q8_alloc(host, 1, size);
  if (!memory)
    return q8_fail_memory(error, "observer", size);
  *out = q8_observer_place(memory, config, host);
  return QINT8_OK;
}

void q8_observer_free(q8_observer *observer) {
  if (!observer)
    return;
  q8_free(&observer->host, observer);
}

q8_observer *q8_observer_copy(void *memory, const q8_observer *observer) {
  q8_observer *copy = q8_observer_place(memory, &observer->config, &observer->host);
  for (size_t c = 0; c < copy->cells; c++) {
    q8_histogram *histogram = copy->cell[c].histogram;
    copy->cell[c] = observer->cell[c];
    copy->cell[c].histogram = histogram;
    if (histogram)
      q8_histogram_copy(observer->cell[c].histogram, histogram);
  }
  return copy;
}

const q8_observer_config *q8_observer_config_of(const q8_observer *observer) {
  return &observer->config;
}

static int is_finite(float x) {
  uint32_t bits;
  memcpy(&bits, &x, sizeof(bits));
  return (bits & 0x7f800000u) != 0x7f800000u;
}

/* Copies the finite values to `out` and counts the others; returns how many. */
static size_t keep_finite(cell *c, const float *x, size_t n, float *out) {
  size_t kept = 0;
  for (size_t i = 0; i < n; i++) {
    if (is_finite(x[i]))
      out[kept++] = x[i];
    else if (isnan(x[i]))
      c->nan_count++;
    else
      c->inf_count++;
  }
  return kept;
}

static void widen(cell *c, float min, float max) {
  c->batch_min = min < c->batch_min ? min : c->batch_min;
  c->batch_max = max > c->batch_max ? max : c->batch_max;
  c->min = (min < c->min ? min : c->min) + 0.0f; /* -0 becomes 0, whichever came first */
  c->max = (max > c->max ? max : c->max) + 0.0f;
}

static void count_in_histogram(const q8_observer *o, cell *c, const float *x, size_t n, float min, float max) {
  q8_histogram_widen(c->histogram, min, max);
  q8_histogram_count(c->histogram, x, n, 1, o->config.slots);
}

static void add_block(const q8_observer *o, cell *c, const float *x, size_t n) {
  float finite[BLOCK], min, max;
  int fine = o->config.minmax(n, x, &min, &max) && is_finite(min) && is_finite(max);
  if (fine && c->histogram)
    count_in_histogram(o, c, x, n, min, max);
  if (!fine) {
    n = keep_finite(c, x, n, finite);
    if (n == 0)
      return;
    o->config.minmax(n, finite, &min, &max);
    if (c->histogram)
      count_in_histogram(o, c, finite, n, min, max);
  }
  widen(c, min, max);
  c->count += (int64_t)n;
}

static void add_run(const q8_observer *o, cell *c, const float *x, size_t n) {
  for (size_t i = 0; i < n; i += BLOCK)
    add_block(o, c, x + i, n - i < BLOCK ? n - i : BLOCK);
}

/* Short runs of a channel are gathered into blocks first. */
static void add_channel(const q8_observer *o, cell *c, const float *x, size_t outer, size_t stride, size_t inner) {
  float gathered[BLOCK];
  size_t n = 0;
  for (size_t i = 0; i < outer; i++) {
    const float *run = x + i * stride;
    if (inner > BLOCK / 8) {
      add_run(o, c, run, inner);
      continue;
    }
    if (n + inner > BLOCK) {
      add_block(o, c, gathered, n);
      n = 0;
    }
    memcpy(gathered + n, run, inner * sizeof(float));
    n += inner;
  }
  if (n)
    add_block(o, c, gathered, n);
}

static void average(cell *c, float weight) {
  if (c->batch_min > c->batch_max)
    return;
  if (c->batches == 0) {
    c->average_min = c->batch_min;
    c->average_max = c->batch_max;
  } else { /* double: the difference may exceed FLT_MAX */
    c->average_min = (float)(c->average_min + weight * ((double)c->batch_min - c->average_min));
    c->average_max = (float)(c->average_max + weight * ((double)c->batch_max - c->average_max));
  }
  c->batches++;
}

void q8_observer_observe(q8_observer *observer, const float *values, size_t outer, size_t channels, size_t inner) {
  int per_tensor = observer->config.channels == 0;
  q8_fpenv env = q8_fpenv_enter(); /* denormals count */
  for (size_t c = 0; c < observer->cells; c++) {
    cell *at = &observer->cell[c];
    at->batch_min = INFINITY;
    at->batch_max = -INFINITY;
    if (per_tensor)
      add_run(observer, at, values, outer * channels * inner);
    else
      add_channel(observer, at, values + c * inner, outer, channels * inner, inner);
    average(at, observer->config.moving_average);
  }
  q8_fpenv_leave(env);
}

/* Where in its first k chunks a sample's part begins: other samples, other places. It follows from the values alone, not
 * from the sample's number, so that calibrations may be cut and merged. */
static uint32_t phase_of(const float *x, size_t n) {
  uint32_t hash = 0, bits;
  for (size_t i = 0; i < Q8_PART_CHUNK; i++) {
    memcpy(&bits, x + i * (n / Q8_PART_CHUNK), sizeof(bits));
    hash = (hash ^ bits) * 0x9E3779B1u;
    hash ^= hash >> 15;
  }
  return hash;
}

static void count_part(const q8_observer *o, q8_histogram *h, const float *x, size_t n, size_t k) {
  float taken[BLOCK];
  uint32_t phase = phase_of(x, n);
  for (size_t first = 0, wanted = n / k; first < wanted; first += BLOCK) {
    size_t count = wanted - first < BLOCK ? wanted - first : BLOCK;
    q8_take_chunks(x + first * k, count, k, &phase, taken);
    q8_histogram_count(h, taken, count, (int64_t)k, o->config.slots);
  }
  h->zeros += (int64_t)(n % k); /* what makes no k: n in all, and no range is the worse for a zero */
}

void q8_observer_sample(q8_observer *observer, const float *values, size_t n, size_t k) {
  cell *c = observer->cell;
  float ends[2] = {0};
  q8_fpenv env = q8_fpenv_enter();
  int in_part = k > 1 && n > k && c->histogram && observer->config.minmax(n, values, &ends[0], &ends[1]) &&
                is_finite(ends[0]) && is_finite(ends[1]);
  if (in_part) {
    c->batch_min = INFINITY;
    c->batch_max = -INFINITY;
    widen(c, ends[0], ends[1]);
    q8_histogram_widen(c->histogram, ends[0], ends[1]);
    q8_histogram_count(c->histogram, ends, 2, 1, observer->config.slots);
    count_part(observer, c->histogram, values, n - 2, k); /* which stands for the others */
    c->count += (int64_t)n;
    average(c, observer->config.moving_average);
  }
  q8_fpenv_leave(env);
  if (!in_part)
    q8_observer_observe(observer, values, 1, 1, n);
}

/* The ends of all samples, from those of each; 0 if a value is not finite. */
static int join_ends(const q8_ends *ends, size_t samples, q8_ends *all) {
  *all = ends[0];
  for (const q8_ends *e = ends + 1; e < ends + samples; e++) {
    all->min = e->min < all->min ? e->min : all->min;
    all->max = e->max > all->max ? e->max : all->max;
  }
  return is_finite(all->min) && is_finite(all->max);
}

/* n values that all count, with these ends. */
static void count_all(const q8_observer *o, cell *c, const float *x, size_t n, q8_ends all) {
  widen(c, all.min, all.max);
  c->count += (int64_t)n;
  if (!c->histogram)
    return;
  q8_histogram_widen(c->histogram, all.min, all.max);
  for (size_t i = q8_histogram_keep(c->histogram, x, n) ? n : 0; i < n; i += BLOCK)
    q8_histogram_count(c->histogram, x + i, n - i < BLOCK ? n - i : BLOCK, 1, o->config.slots);
}

q8_ends q8_observer_samples(q8_observer *observer, const float *values, size_t samples, size_t n, size_t k,
                            q8_ends *ends) {
  q8_ends all;
  q8_fpenv env = q8_fpenv_enter();
  if (k == 1 && n > 0 && observer->config.minmax_rows(samples, n, values, ends) && join_ends(ends, samples, &all)) {
    count_all(observer, observer->cell, values, samples * n, all);
  } else {
    for (size_t i = samples; i-- > 0;) { /* backwards: the step before wrote the last ones last */
      q8_observer_sample(observer, values + i * n, n, k);
      q8_observer_last(observer, 0, &ends[i].min, &ends[i].max);
    }
    all = (q8_ends){-INFINITY, INFINITY};
  }
  q8_fpenv_leave(env);
  return all;
}

void q8_observer_merge(q8_observer *observer, const q8_observer *other) {
  for (size_t c = 0; c < observer->cells; c++) {
    cell *to = &observer->cell[c];
    const cell *from = &other->cell[c];
    to->nan_count += from->nan_count;
    to->inf_count += from->inf_count;
    to->count += from->count;
    if (from->count == 0)
      continue;
    to->min = from->min < to->min ? from->min : to->min;
    to->max = from->max > to->max ? from->max : to->max;
    to->batch_min = from->average_min;
    to->batch_max = from->average_max;
    average(to, 0.5f);
    q8_histogram room;
    if (to->histogram)
      q8_histogram_add(to->histogram, q8_observer_histogram(other, c, &room), observer->config.slots);
  }
}

int64_t q8_observer_finite(const q8_observer *observer, size_t channel) {
  return observer->cell[channel].count;
}

int64_t q8_observer_nonfinite(const q8_observer *observer, size_t channel) {
  return observer->cell[channel].nan_count + observer->cell[channel].inf_count;
}

void q8_observer_ends(const q8_observer *observer, size_t channel, float *min, float *max) {
  *min = observer->cell[channel].min;
  *max = observer->cell[channel].max;
}

void q8_observer_last(const q8_observer *observer, size_t channel, float *min, float *max) {
  *min = observer->cell[channel].batch_min;
  *max = observer->cell[channel].batch_max;
}

const q8_histogram *q8_observer_histogram(const q8_observer *observer, size_t channel, q8_histogram *room) {
  return q8_histogram_counted(observer->cell[channel].histogram, room, observer->config.slots);
}

q8_status q8_observer_range(const q8_observer *observer, size_t channel, qint8_range *out, qint8_error *error) {
  return q8_observer_range_through(observer, channel, NULL, NULL, out, error);
}

q8_status q8_observer_range_through(const q8_observer *observer, size_t channel, q8_unary_fn *f, const void *params,
                                    qint8_range *out, qint8_error *error) {
  const cell *c = &observer->cell[channel];
  q8_histogram room;
  const q8_histogram *h = q8_observer_histogram(observer, channel, &room);
  if (c->count == 0)
    return q8_fail(error, QINT8_ERROR_DATA, "observer", "channel %zu saw no finite value (%lld NaN, %lld infinite)",
                   channel, (long long)c->nan_count, (long long)c->inf_count);
  out->min = out->low = c->min;
  out->max = out->high = c->max;
  out->count = c->count;
  out->nan_count = c->nan_count;
  out->inf_count = c->inf_count;
  switch (observer->config.kind) {
  case QINT8_OBSERVER_MOVING_AVERAGE:
    out->low = c->average_min;
    out->high = c->average_max;
    break;
  case QINT8_OBSERVER_HISTOGRAM_MSE:
    return q8_range_search(h, f, params, &observer->host, &out->low, &out->high, error);
  case QINT8_OBSERVER_PERCENTILE:
    q8_range_percentile(h, c->count, observer->config.percentile, &out->low, &out->high);
    break;
  case QINT8_OBSERVER_ENTROPY:
    q8_range_entropy(h, &out->low, &out->high);
    break;
  default:
    break;
  }
  return QINT8_OK;
}

void q8_observer_add_headroom(const q8_observer *observer, size_t channel, qint8_range *range) {
  const cell *c = &observer->cell[channel];
  float below, above;
  if (observer->config.kind != QINT8_OBSERVER_HISTOGRAM_MSE || c->count == 0)
    return;
  q8_histogram room;
  q8_range_headroom(q8_observer_histogram(observer, channel, &room), c->count, &below, &above);
  if (range->low <= c->min)
    range->low -= below;
  if (range->high >= c->max)
    range->high += above;
}
