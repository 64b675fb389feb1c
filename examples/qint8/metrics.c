/* metrics.c - figures of merit, in double. */
#include <math.h>
#include <stdlib.h>

#include "tool.h"

static size_t arg_max(const float *x, size_t n) {
  size_t best = 0;
  for (size_t i = 1; i < n; i++)
    if (x[i] > x[best])
      best = i;
  return best;
}

double metric_top1(const outputs *y, const float *labels) {
  size_t right = 0;
  for (size_t i = 0; i < y->count; i++)
    right += arg_max(y->values + i * y->width, y->width) == (size_t)labels[i];
  return y->count ? (double)right / (double)y->count : NAN;
}

/* Mean over the classes that occur, in labels or answers, of 2 TP / (2 TP + FP + FN). */
double metric_macro_f1(const outputs *y, const float *labels) {
  size_t *hit = allocate(y->width * 3, sizeof *hit), *answered = hit + y->width, *labelled = answered + y->width;
  for (size_t i = 0; i < y->count; i++) {
    size_t answer = arg_max(y->values + i * y->width, y->width), label = (size_t)labels[i];
    answered[answer]++;
    if (label < y->width) {
      labelled[label]++;
      hit[label] += answer == label;
    }
  }
  double sum = 0;
  size_t classes = 0;
  for (size_t c = 0; c < y->width; c++)
    if (answered[c] + labelled[c]) {
      sum += 2.0 * (double)hit[c] / (double)(answered[c] + labelled[c]);
      classes++;
    }
  free(hit);
  return classes ? sum / (double)classes : NAN;
}

double metric_plcc(const float *a, const float *b, size_t count) {
  double ma = 0, mb = 0, ab = 0, aa = 0, bb = 0;
  for (size_t i = 0; i < count; i++) {
    ma += (double)a[i];
    mb += (double)b[i];
  }
  ma /= (double)count;
  mb /= (double)count;
  for (size_t i = 0; i < count; i++) {
    double x = (double)a[i] - ma, y = (double)b[i] - mb;
    ab += x * y;
    aa += x * x;
    bb += y * y;
  }
  return ab / sqrt(aa * bb);
}

double metric_mse(const float *a, const float *b, size_t count) {
  double sum = 0;
  for (size_t i = 0; i < count; i++)
    sum += ((double)a[i] - (double)b[i]) * ((double)a[i] - (double)b[i]);
  return sum / (double)count;
}

double metric_rel_err(const float *got, const float *want, size_t count) {
  double error = 0, norm = 0;
  for (size_t i = 0; i < count; i++) {
    error += ((double)got[i] - (double)want[i]) * ((double)got[i] - (double)want[i]);
    norm += (double)want[i] * (double)want[i];
  }
  return error == 0 ? 0 : sqrt(error / norm);
}

double metric_cosine(const float *a, const float *b, size_t count) {
  double ab = 0, aa = 0, bb = 0;
  for (size_t i = 0; i < count; i++) {
    ab += (double)a[i] * (double)b[i];
    aa += (double)a[i] * (double)a[i];
    bb += (double)b[i] * (double)b[i];
  }
  return aa == bb && ab == aa ? 1 : ab / sqrt(aa * bb);
}

double sqnr_of(double rel_err) {
  return rel_err > 0 ? -20 * log10(rel_err) : 999;
}

double metric_top1_agreement(const outputs *a, const outputs *b) {
  size_t same = 0;
  for (size_t i = 0; i < a->count; i++)
    same += arg_max(a->values + i * a->width, a->width) == arg_max(b->values + i * b->width, b->width);
  return a->count ? (double)same / (double)a->count : NAN;
}

uint64_t hash_bytes(const void *bytes, size_t size) {
  uint64_t hash = 14695981039346656037u;
  for (size_t i = 0; i < size; i++)
    hash = (hash ^ ((const uint8_t *)bytes)[i]) * 1099511628211u;
  return hash;
}
