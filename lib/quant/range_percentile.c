/* range_percentile.c - the range that leaves out a share of the values: half of it at each end. */
#include <math.h>

#include "quant/observer.h"

/* The value that `rank` values lie beyond, from one end, taken as spread evenly over their bin. Zeros lie between bin -1
 * and bin 0. */
static float value_beyond(const q8_histogram *h, int from_top, double rank) {
  int32_t first = q8_histogram_bin(h, h->min), last = q8_histogram_bin(h, h->max), step = from_top ? -1 : 1;
  double zeros = (double)h->zeros;
  for (int32_t bin = from_top ? last : first; bin >= first && bin <= last; bin += step) {
    if (bin == (from_top ? -1 : 0) && rank < zeros)
      return 0;
    rank -= bin == (from_top ? -1 : 0) ? zeros : 0;
    double n = (double)h->count[q8_histogram_slot(bin)];
    if (rank < n) {
      double share = from_top ? 1 - rank / n : rank / n;
      float value = (float)ldexp((double)bin + share, h->exponent);
      return value < h->min ? h->min : value > h->max ? h->max : value;
    }
    rank -= n;
  }
  return 0;
}

void q8_range_percentile(const q8_histogram *h, int64_t count, float percentile, float *low, float *high) {
  double beyond = (double)count * (100 - (double)percentile) / 200;
  *low = value_beyond(h, 0, beyond);
  *high = value_beyond(h, 1, beyond);
  *high = *high < *low ? *low : *high; /* both in one bin, by rounding */
}
