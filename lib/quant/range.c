/* range.c - the range with the least mean square error, searched on a histogram.
 *
 * Measure, for y = f(x) (identity without f) and a range of 255 steps of s:
 *   values inside    (slope of f in their bin)^2 * s^2 / 12 each; zeros cost nothing, they are exact
 *   values outside   (f(x) - f(end))^2, x uniform in its bin
 * All sums come from prefix sums over the bins, so that one candidate range costs a few operations. Candidates are the
 * edges of the bins, both ends: first a coarse grid over pairs, then each end in turn over every edge.
 */
#include <math.h>

#include "quant/observer.h"

#define COARSE 40 /* candidates per end in the first grid */

/* Prefix sums over bins 0..i-1 of the range: of counts, count * f, count * f^2, count * slope^2. */
typedef struct sums {
  double edge[Q8_BINS + 1]; /* bin i is [edge[i], edge[i + 1]]; the first and last end at min and max */
  double f[Q8_BINS + 1];    /* at the edges */
  double n[Q8_BINS + 1], y[Q8_BINS + 1], yy[Q8_BINS + 1], gain[Q8_BINS + 1];
  int bins;
  int last_low, first_high; /* low ends are edges 0..last_low, high ends first_high..bins: those beside zero */
} sums;

static double apply(q8_unary_fn *f, const void *params, double x) {
  return f ? (double)f(params, (float)x) : x;
}

static void sum_up(const q8_histogram *h, q8_unary_fn *f, const void *params, sums *s) {
  int32_t first = q8_histogram_bin(h, h->min);
  s->bins = q8_histogram_bin(h, h->max) - first + 1;
  s->n[0] = s->y[0] = s->yy[0] = s->gain[0] = 0;
  s->last_low = 0;
  s->first_high = s->bins;
  for (int i = 0; i <= s->bins; i++) {
    double x = ldexp((double)(first + i), h->exponent);
    s->edge[i] = i == 0 ? (double)h->min : i == s->bins ? (double)h->max : x;
    s->f[i] = apply(f, params, s->edge[i]);
    if (s->edge[i] <= 0)
      s->last_low = i;
  }
  for (int i = s->bins; i >= 0 && s->edge[i] >= 0; i--)
    s->first_high = i;
  for (int i = 0; i < s->bins; i++) {
    double c = (double)h->count[q8_histogram_slot(first + i)];
    double width = s->edge[i + 1] - s->edge[i], rise = s->f[i + 1] - s->f[i];
    double slope = width > 0 ? rise / width : 0, mid = 0.5 * (s->f[i] + s->f[i + 1]);
    s->n[i + 1] = s->n[i] + c;
    s->y[i + 1] = s->y[i] + c * mid;
    s->yy[i + 1] = s->yy[i] + c * (mid * mid + rise * rise / 12);
    s->gain[i + 1] = s->gain[i] + c * slope * slope;
  }
}

/* The summed error of the range from edge `low` to edge `high`. */
static double error_of(const sums *s, int low, int high) {
  double lo = s->edge[low] < 0 ? s->edge[low] : 0, hi = s->edge[high] > 0 ? s->edge[high] : 0;
  double step = (hi - lo) / 255, error = (s->gain[high] - s->gain[low]) * step * step / 12;
  double n = s->n[low], end = s->f[low];
  error += s->yy[low] - 2 * end * s->y[low] + end * end * n;
  n = s->n[s->bins] - s->n[high];
  end = s->f[high];
  error += s->yy[s->bins] - s->yy[high] - 2 * end * (s->y[s->bins] - s->y[high]) + end * end * n;
  return error;
}

/* The best of the candidates low, low + stride, ... and high, high - stride, ...; keeps the given pair on a tie. */
static double search_grid(const sums *s, int low_stride, int high_stride, int *low, int *high) {
  double best = error_of(s, *low, *high);
  for (int i = 0; i <= s->last_low; i += low_stride)
    for (int j = s->bins; j >= s->first_high && j >= i; j -= high_stride) {
      double error = error_of(s, i, j);
      if (error < best) {
        best = error;
        *low = i;
        *high = j;
      }
    }
  return best;
}

/* Each end in turn over all its edges, until neither moves. */
static double search_ends(const sums *s, double best, int *low, int *high) {
  for (int moved = 1; moved;) {
    moved = 0;
    for (int i = 0; i <= s->last_low && i <= *high; i++) {
      double error = error_of(s, i, *high);
      if (error < best) {
        best = error;
        *low = i;
        moved = 1;
      }
    }
    for (int j = s->bins; j >= s->first_high && j >= *low; j--) {
      double error = error_of(s, *low, j);
      if (error < best) {
        best = error;
        *high = j;
        moved = 1;
      }
    }
  }
  return best;
}

q8_status q8_range_search(const q8_histogram *h, q8_unary_fn *f, const void *params, const q8_host *host, float *low,
                          float *high, qint8_error *error) {
  sums *s = q8_alloc(host, 1, sizeof(*s));
  if (!s)
    return q8_fail_memory(error, "observer", sizeof(*s));
  sum_up(h, f, params, s);
  int i = 0, j = s->bins;
  double best = search_grid(s, s->last_low / COARSE + 1, (s->bins - s->first_high) / COARSE + 1, &i, &j);
  search_ends(s, best, &i, &j);
  *low = (float)s->edge[i];
  *high = (float)s->edge[j];
  q8_free(host, s);
  return QINT8_OK;
}

q8_status q8_range_error(const q8_histogram *h, q8_unary_fn *f, const void *params, const q8_host *host, float low,
                         float high, double *out, qint8_error *error) {
  sums *s = q8_alloc(host, 1, sizeof(*s));
  if (!s)
    return q8_fail_memory(error, "observer", sizeof(*s));
  sum_up(h, f, params, s);
  int i = 0, j = s->bins;
  while (i < s->last_low && s->edge[i + 1] <= low)
    i++;
  while (j > s->first_high && s->edge[j - 1] >= high)
    j--;
  *out = error_of(s, i, j);
  q8_free(host, s);
  return QINT8_OK;
}
