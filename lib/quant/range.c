/* range.c - the range with the least square error, searched on a histogram.
 *
 * Measure: every occupied bin is quantized at its middle with the parameters of the range, and the error is taken
 * after f. So the measure sees where a frequent value (a background, a saturated activation) falls on the grid: the
 * error of such a value is the same everywhere and does not average out in the sums that follow. Neither does the
 * error of clipped values, which all move the same way; it counts CLIP_WEIGHT times. Weights from 3 to 100,000 were
 * compared on the calibration samples 256 to 1,023 of the Fashion-MNIST models, which had no part in the ranges: below
 * 300 the output error is up to 2.4 times larger, from 300 on it moves by 10 per cent, 3,000 being the best.
 */
#include <math.h>

#include "quant/loops.h"
#include "quant/observer.h"
#include "quant/qparams.h"

#define CLIP_WEIGHT 3000.0
#define TAIL 16 /* values */
#define CANDIDATES 120 /* per end: from the whole end down to 1/16 of it, in steps of 1/128 */

static void collect(const q8_histogram *h, q8_unary_fn *f, const void *params, q8_points *p) {
  int32_t last = q8_histogram_bin(h, h->max);
  p->count = 0;
  for (int32_t bin = q8_histogram_bin(h, h->min); bin <= last; bin++) {
    int64_t n = h->count[q8_histogram_slot(bin)];
    if (n == 0)
      continue;
    double low = ldexp((double)bin, h->exponent), high = ldexp((double)bin + 1, h->exponent);
    low = low < h->min ? (double)h->min : low;
    high = high > h->max ? (double)h->max : high;
    double x = 0.5 * (low + high);
    p->x[p->count] = x;
    p->fx[p->count] = f ? (double)f(params, (float)x) : x;
    p->n[p->count++] = (double)n;
  }
}

/* The summed error of the range, or of its first points if that is `enough`; zeros have none. */
static double error_of(const q8_points *p, q8_unary_fn *f, const void *params, float low, float high, double enough) {
  qint8_qparams q = q8_qparams_affine(low, high, QINT8_DTYPE_U8);
  return q8_points_error(p, f, params, &q, CLIP_WEIGHT, enough);
}

/* Shortens one end, `end` being *low or *high, to its best candidate; the whole end wins a tie. */
static double search_end(const q8_points *p, q8_unary_fn *f, const void *params, float *low, float *high, float *end,
                         float whole, double least) {
  float best = *end;
  for (int i = 0; i < CANDIDATES && whole != 0; i++) {
    *end = whole * (1.0f - (float)i / 128);
    double error = error_of(p, f, params, *low, *high, least);
    if (error < least) {
      least = error;
      best = *end;
    }
  }
  *end = best;
  return least;
}

q8_status q8_range_search(const q8_histogram *h, q8_unary_fn *f, const void *params, const q8_host *host, float *low,
                          float *high, qint8_error *error) {
  q8_points *p = q8_alloc(host, 1, sizeof(*p));
  if (!p)
    return q8_fail_memory(error, "observer", sizeof(*p));
  collect(h, f, params, p);
  float min = h->min < 0 ? h->min : 0, max = h->max > 0 ? h->max : 0, lo = min, hi = max;
  double least = error_of(p, f, params, lo, hi, INFINITY);
  for (int round = 0; round < 2; round++) {
    least = search_end(p, f, params, &lo, &hi, &lo, min, least);
    least = search_end(p, f, params, &lo, &hi, &hi, max, least);
  }
  *low = h->min > 0 ? h->min : lo;
  *high = h->max < 0 ? h->max : hi;
  q8_free(host, p);
  return QINT8_OK;
}

/* The middle of the bin where `rank` values lie at or beyond it, from one end. */
static double value_from_end(const q8_histogram *h, int from_top, int64_t rank) {
  int32_t first = q8_histogram_bin(h, h->min), last = q8_histogram_bin(h, h->max);
  int32_t bin = from_top ? last : first, step = from_top ? -1 : 1;
  for (; bin >= first && bin <= last; bin += step) {
    rank -= h->count[q8_histogram_slot(bin)];
    if (rank <= 0)
      break;
  }
  return ldexp((double)bin + 0.5, h->exponent);
}

static float headroom(double end, double tail, double share) {
  double gap = fabs(end - tail), extra = fabs(end) * share;
  return end * (end - tail) <= 0 ? 0 : (float)(gap < extra ? gap : extra); /* an end at or across zero has none */
}

void q8_range_headroom(const q8_histogram *h, int64_t count, float *below, float *above) {
  double share = 0.5 * log(8.0) / (2 * log((double)count + 10));
  *below = h->min < 0 ? headroom((double)h->min, value_from_end(h, 0, TAIL), share) : 0;
  *above = h->max > 0 ? headroom((double)h->max, value_from_end(h, 1, TAIL), share) : 0;
}
