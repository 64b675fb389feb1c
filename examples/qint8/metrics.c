/* metrics.c - figures of merit, in double. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "tool.h"

size_t arg_max(const float *x, size_t n) {
  size_t best = 0;
  for (size_t i = 1; i < n; i++)
    if (x[i] > x[best])
      best = i;
  return best;
}

static double top1(const outputs *y, const truth *t, double unused) {
  (void)unused;
  size_t right = 0;
  for (size_t i = 0; i < y->count; i++)
    right += arg_max(y->values + i * y->width, y->width) == (size_t)t->labels[i];
  return y->count ? (double)right / (double)y->count : NAN;
}

/* Mean over the classes that occur, in labels or answers, of 2 TP / (2 TP + FP + FN). */
static double macro_f1(const outputs *y, const truth *t, double unused) {
  (void)unused;
  size_t *hit = allocate(y->width * 3, sizeof *hit), *answered = hit + y->width, *labelled = answered + y->width;
  for (size_t i = 0; i < y->count; i++) {
    size_t answer = arg_max(y->values + i * y->width, y->width), label = (size_t)t->labels[i];
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

/* Pearson's linear correlation coefficient. */
static double correlation(const float *a, const float *b, size_t count) {
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

static double plcc(const outputs *y, const truth *t, double unused) {
  (void)unused;
  return correlation(y->values, t->targets, y->count * y->width);
}

static double plcc_ref(const outputs *y, const truth *t, double unused) {
  (void)unused;
  return correlation(y->values, t->reference->values, y->count * y->width);
}

static double mse(const outputs *y, const truth *t, double unused) {
  (void)unused;
  double sum = 0;
  size_t count = y->count * y->width;
  for (size_t i = 0; i < count; i++)
    sum += ((double)y->values[i] - (double)t->targets[i]) * ((double)y->values[i] - (double)t->targets[i]);
  return sum / (double)count;
}

static double rel_err(const outputs *y, const truth *t, double unused) {
  (void)unused;
  const float *got = y->values, *want = t->reference->values;
  double error = 0, norm = 0;
  for (size_t i = 0; i < y->count * y->width; i++) {
    error += ((double)got[i] - (double)want[i]) * ((double)got[i] - (double)want[i]);
    norm += (double)want[i] * (double)want[i];
  }
  return error == 0 ? 0 : sqrt(error / norm);
}

double sqnr_of(double relative) {
  return relative > 0 ? -20 * log10(relative) : 999;
}

static double sqnr_db(const outputs *y, const truth *t, double unused) {
  return sqnr_of(rel_err(y, t, unused));
}

static double top1_agreement(const outputs *y, const truth *t, double unused) {
  (void)unused;
  size_t same = 0;
  for (size_t i = 0; i < y->count; i++)
    same += arg_max(y->values + i * y->width, y->width) == arg_max(t->reference->values + i * y->width, y->width);
  return y->count ? (double)same / (double)y->count : NAN;
}

enum { CLASSES, LINES, VALUES, JOINTS, REFERENCE };
static const metric table[] = {
    {"top1", 1, CLASSES, top1, 0},
    {"macro_f1", 1, CLASSES, macro_f1, 0},
    {"line_match", 1, LINES, ctc_line_match, 0},
    {"character_accuracy", 1, LINES, ctc_character_accuracy, 0},
    {"plcc", 1, VALUES, plcc, 0},
    {"mse", -1, VALUES, mse, 0},
    {"pck@20", 1, JOINTS, pose_pck, 20},
    {"pck@50", 1, JOINTS, pose_pck, 50},
    {"mpjpe_mm", -1, JOINTS, pose_mpjpe_mm, 0},
    {"rel_err", -1, REFERENCE, rel_err, 0},
    {"plcc_ref", 1, REFERENCE, plcc_ref, 0},
    {"top1_agreement", 1, REFERENCE, top1_agreement, 0},
    {"sqnr_db", 1, REFERENCE, sqnr_db, 0},
};

const metric *metric_at(int i) {
  return i < COUNT(table) ? &table[i] : NULL;
}

const metric *metric_find(const char *name) {
  for (int i = 0; i < COUNT(table); i++)
    if (!strcmp(name, table[i].name))
      return &table[i];
  return NULL;
}

int metric_applies(const metric *m, const truth *t) {
  switch (m->needs) {
  case CLASSES:
    return t->labels && t->label_width == 1;
  case LINES:
    return t->labels && t->label_width > 1;
  case VALUES:
    return t->targets != NULL;
  case JOINTS:
    return t->joints > 0;
  default:
    return t->reference != NULL;
  }
}

double metric_value(const metric *m, const outputs *y, const truth *t) {
  return m->value(y, t, m->parameter);
}

uint64_t hash_bytes(const void *bytes, size_t size) {
  uint64_t hash = 14695981039346656037u;
  for (size_t i = 0; i < size; i++)
    hash = (hash ^ ((const uint8_t *)bytes)[i]) * 1099511628211u;
  return hash;
}
