/* Thresholds were set on a dozen models (convolutional, transformer, recurrent, regression): 256 samples of their own
 * calibration data give no warning of an outlier, and of growth for one model; 16 give it for the three that profit from
 * more. */
#include "ptq/warnings.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define FEW_SAMPLES 32
#define FAR 3.0          /* times the range of the rest */
#define MAX_OUTLIERS 3   /* samples that lie outside together */
#define REST 16          /* samples needed per outlier to call it one */
#define GROWTH 0.1       /* of the range, in the last quarter */
#define GROWING_SHARE 5  /* one tensor in so many grows that much */
#define MAX_REPORTED 8   /* outlying samples told of */
#define REACH 1.5        /* range of the validation data at an input, in ranges of the calibration; inside: FAR */
#define LEAST_OVERLAP 0.7
#define OVERLAP_BINS 64

typedef struct examination {
  const q8_ranges *ranges, *validation;
  q8_warning_fn tell;
  void *user;
  int stopped;
} examination;

static void tell(examination *e, int32_t code, size_t tensor, int64_t sample, int64_t count, double amount,
                 const char *format, ...) __attribute__((format(printf, 7, 8)));

static void tell(examination *e, int32_t code, size_t tensor, int64_t sample, int64_t count, double amount,
                 const char *format, ...) {
  qint8_warning w = QINT8_WARNING_INIT;
  if (e->stopped)
    return;
  w.code = code;
  w.tensor = tensor < e->ranges->tensor_count ? e->ranges->names[tensor] : "";
  w.sample = sample;
  w.count = count;
  w.amount = amount;
  va_list ap;
  va_start(ap, format);
  vsnprintf(w.message, sizeof w.message, format, ap);
  va_end(ap);
  e->stopped = e->tell(e->user, &w) != 0;
}

#define NOWHERE ((size_t)-1) /* all of the calibration */

/* ", as in 3 other tensors", or nothing. */
static const char *others(char *text, size_t size, size_t tensors) {
  text[0] = 0;
  if (tensors > 1)
    snprintf(text, size, ", as in %zu other tensor%s", tensors - 1, tensors > 2 ? "s" : "");
  return text;
}

static int is_input(const q8_ranges *ranges, size_t tensor) {
  return ranges->is_input[tensor];
}

/* A range as it is quantized: with zero inside. */
static double span(double min, double max) {
  return (max > 0 ? max : 0) - (min < 0 ? min : 0);
}

/* NULL if nothing can be said of the tensor's samples. */
static const q8_tensor_quality *samples_of(const q8_ranges *ranges, size_t tensor) {
  const q8_observer *o = ranges->observers[tensor];
  const q8_tensor_quality *q = &ranges->quality->tensors[tensor];
  return o && q8_observer_finite(o, 0) && !q8_observer_nonfinite(o, 0) && q->samples > 0 ? q : NULL;
}

/* ---- Samples far outside the rest ---- */

typedef struct outlier {
  int64_t sample[MAX_OUTLIERS];
  int count; /* 0: none */
  double times;
} outlier;

static int is_left_out(const outlier *o, int64_t sample) {
  for (int i = 0; i < o->count; i++)
    if (o->sample[i] == sample)
      return 1;
  return 0;
}

/* The farthest value without the samples left out. */
static double end_of(const q8_extreme *list, const outlier *o) {
  for (int i = 0; i < Q8_EXTREMES; i++)
    if (!is_left_out(o, list[i].sample))
      return isfinite(list[i].value) ? (double)list[i].value : 0;
  return 0;
}

/* Leaves out, one after the other, the sample whose absence shrinks the range most. */
static outlier find_outlier(const q8_tensor_quality *q) {
  outlier o = {.count = 0};
  double whole = span((double)q->low[0].value, (double)q->high[0].value);
  while (o.count < MAX_OUTLIERS && (o.count + 1) * REST <= q->samples) {
    outlier best = o;
    for (int end = 0; end < 2; end++) {
      const q8_extreme *list = end ? q->high : q->low;
      int first = 0;
      while (first < Q8_EXTREMES - 1 && is_left_out(&o, list[first].sample))
        first++;
      outlier with = o;
      with.sample[with.count++] = list[first].sample;
      double rest = span(end_of(q->low, &with), end_of(q->high, &with));
      with.times = rest > 0 ? whole / rest : 0;
      if (with.times > best.times || best.count == o.count)
        best = with;
    }
    o = best;
    if (o.times >= FAR)
      return o;
  }
  o.count = 0;
  return o;
}

static int is_told(const int64_t *told, int count, int64_t sample) {
  for (int i = 0; i < count; i++)
    if (told[i] == sample)
      return 1;
  return 0;
}

/* The worst outlier not yet told, inputs before all else, since what follows comes from them. */
static outlier worst_outlier(const q8_ranges *ranges, const int64_t *told, int told_count, size_t *where) {
  outlier worst = {.count = 0};
  for (size_t t = 0; t < ranges->tensor_count; t++) {
    const q8_tensor_quality *q = samples_of(ranges, t);
    outlier o = q ? find_outlier(q) : (outlier){.count = 0};
    if (!o.count || is_told(told, told_count, o.sample[0]))
      continue;
    int better = is_input(ranges, t) - (worst.count && is_input(ranges, *where));
    if (!worst.count || better > 0 || (better == 0 && o.times > worst.times)) {
      worst = o;
      *where = t;
    }
  }
  return worst;
}

static void examine_outliers(examination *e) {
  int64_t told[MAX_REPORTED];
  for (int n = 0; n < MAX_REPORTED; n++) {
    size_t where = 0, tensors = 0;
    outlier o = worst_outlier(e->ranges, told, n, &where);
    if (!o.count)
      return;
    told[n] = o.sample[0];
    for (size_t t = 0; t < e->ranges->tensor_count; t++) {
      const q8_tensor_quality *q = samples_of(e->ranges, t);
      outlier other = q ? find_outlier(q) : (outlier){.count = 0};
      tensors += other.count && other.sample[0] == o.sample[0];
    }
    char also[64], more[64] = "";
    if (o.count > 1)
      snprintf(more, sizeof more, " and %d other%s", o.count - 1, o.count > 2 ? "s" : "");
    tell(e, QINT8_WARNING_OUTLIER, where, o.sample[0], (int64_t)tensors, o.times,
         "sample %lld%s reach%s %.1f times as far as all others together%s: look at it, and leave it out if it is not "
         "what the model will see",
         (long long)o.sample[0], more, o.count > 1 ? "" : "es", o.times, others(also, sizeof also, tensors));
  }
}

/* ---- Ranges that still grow ---- */

/* By how much the samples after the first three quarters widened the range. */
static double growth_of(const q8_tensor_quality *q) {
  int at = (int)(q->samples * 3 / 4 / q->stride) - 1;
  if (q->samples < REST || at < 0 || find_outlier(q).count)
    return 0;
  double was = span((double)q->past_min[at], (double)q->past_max[at]);
  double is = span((double)q->low[0].value, (double)q->high[0].value);
  return was > 0 ? is / was - 1 : 0;
}

double q8_ranges_growth(const q8_ranges *ranges, size_t tensor) {
  const q8_tensor_quality *q = samples_of(ranges, tensor);
  return q ? growth_of(q) : 0;
}

int q8_ranges_grow(const q8_ranges *ranges, size_t *tensors, size_t *where) {
  size_t all = 0;
  *tensors = *where = 0;
  for (size_t t = 0; t < ranges->tensor_count; t++) {
    double growth = q8_ranges_growth(ranges, t);
    all += samples_of(ranges, t) != NULL;
    *tensors += growth > GROWTH;
    if (growth > q8_ranges_growth(ranges, *where))
      *where = t;
  }
  return *tensors && *tensors * GROWING_SHARE >= all;
}

static void examine_growth(examination *e) {
  size_t tensors, where;
  char also[64];
  if (!q8_ranges_grow(e->ranges, &tensors, &where))
    return;
  double most = q8_ranges_growth(e->ranges, where);
  tell(e, QINT8_WARNING_GROWING, where, -1, (int64_t)tensors, most,
       "the last quarter of the samples widened the range by %.0f %%%s: calibrate on more samples", most * 100,
       others(also, sizeof also, tensors));
}

/* ---- Tensors and channels ---- */

static void examine_channels(examination *e, size_t t) {
  const q8_tensor_quality *q = &e->ranges->quality->tensors[t];
  q8_constant first_constant = {0}, first_dead = {0};
  int64_t constant = 0, dead = 0;
  for (size_t i = q->constant_count; i-- > 0;) {
    int is_dead = q->constants[i].value == 0 && e->ranges->quality->activation[t];
    *(is_dead ? &first_dead : &first_constant) = q->constants[i];
    *(is_dead ? &dead : &constant) += 1;
  }
  if (dead)
    tell(e, QINT8_WARNING_DEAD_CHANNELS, t, -1, dead, (double)dead / (double)q->channels,
         "%lld of %lld channels are always 0, the first is %lld: add samples that activate them, or prune them from the "
         "model",
         (long long)dead, (long long)q->channels, (long long)first_dead.channel);
  if (constant)
    tell(e, QINT8_WARNING_CONSTANT_CHANNELS, t, -1, constant, (double)constant / (double)q->channels,
         "%lld of %lld channels never change, the first is %lld, always %g: add samples that differ there, or fold the "
         "channels into the bias that follows",
         (long long)constant, (long long)q->channels, (long long)first_constant.channel,
         (double)first_constant.value);
}

static void examine_tensor(examination *e, size_t t) {
  const q8_observer *o = e->ranges->observers[t];
  float min, max;
  if (o && q8_observer_nonfinite(o, 0)) {
    tell(e, QINT8_WARNING_NONFINITE, t, -1, q8_observer_nonfinite(o, 0), 0,
         "%lld values were NaN or infinite and are left out: unless a mask makes them, the model fails on these samples in "
         "float; mend it or them first",
         (long long)q8_observer_nonfinite(o, 0));
  } else if (o && q8_observer_finite(o, 0)) {
    q8_observer_ends(o, 0, &min, &max);
    if (min == max)
      tell(e, QINT8_WARNING_CONSTANT_TENSOR, t, -1, 1, (double)min,
           "always %g: no sample exercises this part of the model; add some that do", (double)min);
    else
      examine_channels(e, t);
  }
}

/* ---- Calibration against validation ---- */

/* Bins of a joint width, at most OVERLAP_BINS, the last one for zeros. */
static void share_out(const q8_histogram *h, int32_t exponent, int32_t first, double *share) {
  int64_t total = h->zeros;
  memset(share, 0, (OVERLAP_BINS + 1) * sizeof *share);
  int32_t last = q8_histogram_bin(h, h->max), shift = exponent - h->exponent;
  for (int32_t bin = q8_histogram_bin(h, h->min); bin <= last; bin++) {
    int64_t n = h->count[q8_histogram_slot(bin)];
    int32_t joint = shift > 30 ? (bin < 0 ? -1 : 0) : bin >= 0 ? bin >> shift : -((-bin - 1) >> shift) - 1; /* floor */
    share[joint - first] += (double)n;
    total += n;
  }
  share[OVERLAP_BINS] = (double)h->zeros;
  for (int i = 0; i <= OVERLAP_BINS; i++)
    share[i] /= (double)total;
}

double q8_histogram_overlap(const q8_histogram *a, const q8_histogram *b) {
  double min = a->min < b->min ? (double)a->min : (double)b->min, max = a->max > b->max ? (double)a->max : (double)b->max;
  int32_t exponent = a->exponent > b->exponent ? a->exponent : b->exponent;
  while (floor(ldexp(max, -exponent)) - floor(ldexp(min, -exponent)) >= OVERLAP_BINS)
    exponent++;
  double x[OVERLAP_BINS + 1], y[OVERLAP_BINS + 1], common = 0;
  int32_t first = (int32_t)floor(ldexp(min, -exponent));
  share_out(a, exponent, first, x);
  share_out(b, exponent, first, y);
  for (int i = 0; i <= OVERLAP_BINS; i++)
    common += x[i] < y[i] ? x[i] : y[i];
  return common;
}

typedef struct shift {
  double reach, overlap; /* overlap is 1 where there is no histogram */
} shift;

/* Inner tensors have long tails, whose reach says little. */
static int is_shifted(const shift *s, int input) {
  return s->reach > (input ? REACH : FAR) || s->overlap < LEAST_OVERLAP;
}

static shift shift_of(const q8_observer *a, const q8_observer *b) {
  shift s = {1, 1};
  if (!a || !b || q8_observer_finite(a, 0) == 0 || q8_observer_finite(b, 0) == 0)
    return s;
  float min, max;
  q8_observer_ends(a, 0, &min, &max);
  double was = span((double)min, (double)max);
  q8_observer_ends(b, 0, &min, &max);
  s.reach = was > 0 ? span((double)min, (double)max) / was : 1;
  q8_histogram rooms[2];
  const q8_histogram *h = q8_observer_histogram(a, 0, &rooms[0]), *other = q8_observer_histogram(b, 0, &rooms[1]);
  if (h && other)
    s.overlap = q8_histogram_overlap(h, other);
  return s;
}

static void examine_shift(examination *e) {
  size_t tensors = 0, where = 0;
  shift worst = {1, 1};
  for (size_t t = 0; t < e->ranges->tensor_count; t++) {
    shift s = shift_of(e->ranges->observers[t], e->validation->observers[t]);
    if (!is_shifted(&s, is_input(e->ranges, t)))
      continue;
    int better = is_input(e->ranges, t) - (tensors && is_input(e->ranges, where));
    if (!tensors++ || better > 0 || (better == 0 && s.overlap / s.reach < worst.overlap / worst.reach)) {
      worst = s;
      where = t;
    }
  }
  char also[64];
  if (tensors)
    tell(e, QINT8_WARNING_SHIFTED, where, -1, (int64_t)tensors, worst.overlap,
         "the validation data reaches %.2f times as far and shares %.0f %% of its distribution with the calibration "
         "data%s: calibrate on samples drawn like it",
         worst.reach, worst.overlap * 100, others(also, sizeof also, tensors));
}

void q8_ranges_examine(const q8_ranges *ranges, const q8_ranges *validation, q8_warning_fn fn, void *user) {
  examination e = {ranges, validation, fn, user, 0};
  if (ranges->samples < FEW_SAMPLES)
    tell(&e, QINT8_WARNING_FEW_SAMPLES, NOWHERE, -1, ranges->samples, 0,
         "%lld sample%s: so few leave the ranges to chance; calibrate on 100 to 500 that show what the model will see",
         (long long)ranges->samples, ranges->samples == 1 ? "" : "s");
  examine_outliers(&e);
  examine_growth(&e);
  if (validation)
    examine_shift(&e);
  for (size_t t = 0; t < ranges->tensor_count && !e.stopped; t++)
    examine_tensor(&e, t);
}
