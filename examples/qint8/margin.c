#include "margin.h"

#include <math.h>

#define MOST_BLOCKS 16
#define LEAST_BLOCKS 4
#define BLOCK 4 /* samples, at least */

static outputs part_of(const outputs *y, size_t first, size_t count) {
  outputs part = *y;
  part.values += first * y->width;
  part.count = count;
  part.shape[0] = (int64_t)count;
  return part;
}

/* What is lost on samples first to first + count - 1. */
static double loss_of(const metric *m, const outputs *y, const outputs *exact, const truth *t, size_t first,
                      size_t count) {
  outputs got = part_of(y, first, count), want = part_of(exact, first, count);
  truth answers = *t;
  answers.labels = t->labels ? t->labels + first * t->label_width : NULL;
  answers.targets = t->targets ? t->targets + first * t->target_width : NULL;
  answers.reference = &want;
  return metric_value(m, &want, &answers) - metric_value(m, &got, &answers);
}

double loss_error(const metric *m, const outputs *y, const outputs *exact, const truth *t) {
  size_t blocks = y->count / BLOCK < MOST_BLOCKS ? y->count / BLOCK : MOST_BLOCKS;
  double sum = 0, squares = 0;
  if (blocks < LEAST_BLOCKS)
    return 0;
  for (size_t b = 0; b < blocks; b++) {
    size_t first = y->count * b / blocks, end = y->count * (b + 1) / blocks;
    double loss = loss_of(m, y, exact, t, first, end - first);
    sum += loss;
    squares += loss * loss;
  }
  double n = (double)blocks, variance = (squares - sum * sum / n) / (n - 1);
  return variance > 0 ? sqrt(variance / n) : 0; /* 0 also where a block is too small for the metric */
}
