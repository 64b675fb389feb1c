/* pose.c - metrics of keypoints: outputs and targets are [N][joints][2], x and y as fractions of an extent in
 * metres. */
#include <math.h>

#include "tool.h"

/* Metres between joint i of one set and joint k of another. */
static double distance(const truth *t, const float *a, size_t i, const float *b, size_t k) {
  double dx = ((double)a[2 * i] - (double)b[2 * k]) * t->extent[0];
  double dy = ((double)a[2 * i + 1] - (double)b[2 * k + 1]) * t->extent[1];
  return sqrt(dx * dx + dy * dy);
}

/* Percentage of correct keypoints: share of joints nearer to their target than `percent` % of that sample's
 * torso. */
double pose_pck(const outputs *y, const truth *t, double percent) {
  size_t near = 0;
  for (size_t n = 0; n < y->count; n++) {
    const float *got = y->values + n * y->width, *want = t->targets + n * y->width;
    double limit = percent / 100 * distance(t, want, t->torso[0], want, t->torso[1]);
    for (size_t i = 0; i < t->joints; i++)
      near += distance(t, got, i, want, i) < limit;
  }
  return (double)near / (double)(y->count * t->joints);
}

/* Mean per-joint position error. */
double pose_mpjpe_mm(const outputs *y, const truth *t, double unused) {
  (void)unused;
  double sum = 0;
  for (size_t n = 0; n < y->count; n++)
    for (size_t i = 0; i < t->joints; i++)
      sum += distance(t, y->values + n * y->width, i, t->targets + n * y->width, i);
  return 1000 * sum / (double)(y->count * t->joints);
}
