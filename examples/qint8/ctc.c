/* ctc.c - metrics of text lines: outputs are [N][columns][classes], read greedily (connectionist temporal
 * classification): the best class of each column, repeats merged, class 0 is no character. Spaces count for nothing on
 * either side, as in PaddleOCR's metric: where words end is the columns' accident. */
#include <stdlib.h>
#include <string.h>

#include "tool.h"

/* The characters of sample n: classes, or their code points with keys. Returns how many, at most a column each. */
static size_t decode(const outputs *y, const truth *t, size_t n, int32_t *line) {
  size_t columns = (size_t)y->shape[1], classes = (size_t)y->shape[2], length = 0, last = 0;
  for (size_t i = 0; i < columns; i++) {
    size_t best = arg_max(y->values + n * y->width + i * classes, classes);
    int space = t->keys && (best > t->key_count || t->keys[best - (best > 0)] == ' ');
    if (best && best != last && !space)
      line[length++] = t->keys ? t->keys[best - 1] : (int32_t)best;
    last = best;
  }
  return length;
}

static size_t label_of(const truth *t, size_t n, int32_t *line) {
  const float *label = t->labels + n * t->label_width;
  size_t length = 0;
  for (size_t i = 0; i < t->label_width && label[i] != 0; i++)
    if (!t->keys || label[i] != ' ')
      line[length++] = (int32_t)label[i];
  return length;
}

/* Levenshtein distance; row has lb + 1 entries. */
static size_t edit_distance(const int32_t *a, size_t la, const int32_t *b, size_t lb, size_t *row) {
  for (size_t j = 0; j <= lb; j++)
    row[j] = j;
  for (size_t i = 1; i <= la; i++) {
    size_t diagonal = row[0];
    row[0] = i;
    for (size_t j = 1; j <= lb; j++) {
      size_t best = diagonal + (a[i - 1] != b[j - 1]);
      diagonal = row[j];
      best = row[j] + 1 < best ? row[j] + 1 : best;
      row[j] = row[j - 1] + 1 < best ? row[j - 1] + 1 : best;
    }
  }
  return row[lb];
}

typedef struct tally {
  size_t exact, errors, characters;
} tally;

static tally read_lines(const outputs *y, const truth *t) {
  size_t columns = (size_t)y->shape[1];
  int32_t *got = allocate(columns + 1, sizeof *got), *want = allocate(t->label_width + 1, sizeof *want);
  size_t *row = allocate(t->label_width + 1, sizeof *row);
  tally sum = {0, 0, 0};
  for (size_t n = 0; n < y->count; n++) {
    size_t wanted = label_of(t, n, want), errors = edit_distance(got, decode(y, t, n, got), want, wanted, row);
    sum.exact += errors == 0;
    sum.errors += errors;
    sum.characters += wanted;
  }
  free(row);
  free(want);
  free(got);
  return sum;
}

double ctc_line_match(const outputs *y, const truth *t, double unused) {
  (void)unused;
  return (double)read_lines(y, t).exact / (double)y->count;
}

/* 1 - errors / characters over all lines. */
double ctc_character_accuracy(const outputs *y, const truth *t, double unused) {
  (void)unused;
  tally sum = read_lines(y, t);
  return 1 - (double)sum.errors / (double)sum.characters;
}
