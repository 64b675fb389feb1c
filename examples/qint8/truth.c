/* truth.c - labels, targets and keys: what outputs are compared with. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "tool.h"

/* Entries first to first + count - 1; *shape is the array without its values. */
static int load_floats(const char *spec, size_t first, size_t count, float **values, size_t *width, array *shape) {
  array a;
  if (array_load_text(spec, &a))
    return EXIT_FAILED;
  if (a.rank < 1 || (size_t)a.shape[0] < first + count) {
    int64_t entries = a.rank ? a.shape[0] : 1;
    array_free(&a);
    return fail("%s: %lld entries for %zu samples", spec, (long long)entries, first + count);
  }
  *width = a.count / (size_t)a.shape[0];
  *values = array_floats(&a);
  memmove(*values, *values + first * *width, count * *width * sizeof **values);
  *shape = a;
  array_free(&a);
  return 0;
}

/* One UTF-8 character; moves on. 0 at the end of a line or where the bytes are not UTF-8. */
static int32_t next_character(const uint8_t **at, const uint8_t *end) {
  uint32_t first = *at < end ? **at : 0;
  int more = first < 0x80 ? 0 : first >> 5 == 6 ? 1 : first >> 4 == 14 ? 2 : first >> 3 == 30 ? 3 : -1;
  if (!first || first == '\n' || first == '\r' || more < 0 || end - *at <= more)
    return 0;
  uint32_t character = more ? first & (0x3Fu >> more) : first;
  for (int i = 1; i <= more; i++) {
    if ((*at)[i] >> 6 != 2)
      return 0;
    character = character << 6 | ((*at)[i] & 0x3Fu);
  }
  *at += more + 1;
  return (int32_t)character;
}

static int load_keys(const char *path, truth *t) {
  size_t size;
  uint8_t *bytes = read_whole_file(path, &size);
  if (!bytes)
    return EXIT_FAILED;
  const uint8_t *at = bytes, *end = bytes + size;
  t->keys = allocate(size + 1, sizeof *t->keys);
  int status = 0;
  while (!status && at < end) {
    int32_t character = next_character(&at, end);
    at += at < end && *at == '\r';
    if (!character || (at < end && *at != '\n'))
      status = fail("%s: line %zu is not one character of UTF-8", path, t->key_count + 1);
    else
      t->keys[t->key_count++] = character;
    at++;
  }
  free(bytes);
  return status;
}

/* "A,B": two numbers, not below zero. */
static int parse_pair(const char *name, const char *text, double out[2]) {
  char *end;
  if (!text)
    return 0;
  out[0] = strtod(text, &end);
  int fine = end != text && *end == ',';
  if (fine) {
    const char *second = end + 1;
    out[1] = strtod(second, &end);
    fine = end != second && !*end && isfinite(out[0]) && isfinite(out[1]) && out[0] >= 0 && out[1] >= 0;
  }
  if (fine)
    return 0;
  fail("%s: not two numbers with a comma: \"%s\"", name, text);
  return EXIT_USAGE;
}

static int load_labels(truth *t, size_t first, size_t count) {
  array shape;
  if (load_floats(t->from.labels, first, count, &t->labels, &t->label_width, &shape))
    return EXIT_FAILED;
  if (shape.text && !t->from.keys)
    return fail("%s: text; --keys FILE names the character of each class", t->from.labels);
  if (!shape.text && t->from.keys)
    return fail("%s: numbers; --keys serves labels that are text", t->from.labels);
  return 0;
}

static int load_targets(truth *t, size_t first, size_t count, const double torso[2]) {
  array shape;
  if (load_floats(t->from.targets, first, count, &t->targets, &t->target_width, &shape))
    return EXIT_FAILED;
  if (shape.text)
    return fail("%s: text; targets are numbers", t->from.targets);
  int pose = shape.rank == 3 && shape.shape[2] == 2, asked = t->from.extent || t->from.torso;
  if (pose && torso[0] < (double)shape.shape[1] && torso[1] < (double)shape.shape[1]) {
    t->joints = (size_t)shape.shape[1];
    for (int i = 0; i < 2; i++)
      t->torso[i] = (size_t)torso[i];
  } else if (asked) {
    return fail("%s: not joints [N,J,2] with joints %g and %g", t->from.targets, torso[0], torso[1]);
  }
  return 0;
}

int truth_load(const truth_options *options, size_t first, size_t count, truth *out) {
  *out = (truth){.from = *options, .extent = {4, 2.4}};
  double torso[2] = {2, 12};
  int status = parse_pair("--extent", options->extent, out->extent);
  if (!status)
    status = parse_pair("--torso", options->torso, torso);
  if (!status && options->keys)
    status = load_keys(options->keys, out);
  if (!status && options->labels)
    status = load_labels(out, first, count);
  if (!status && options->targets)
    status = load_targets(out, first, count, torso);
  return status;
}

int truth_check(const truth *t, const outputs *y) {
  if (t->targets && t->target_width != y->width)
    return fail("%s: %zu values, the outputs have %zu", t->from.targets, t->target_width * y->count,
                y->count * y->width);
  if (t->labels && t->label_width > 1 && y->rank != 3)
    return fail("%s: lines of text need outputs [N,columns,classes]; these have rank %d", t->from.labels, y->rank);
  if (t->keys && t->key_count + 1 != (size_t)y->shape[2] && t->key_count + 2 != (size_t)y->shape[2])
    return fail("%s: %zu characters for %lld classes; a blank and a space come to them", t->from.keys, t->key_count,
                (long long)y->shape[2]);
  if (t->reference && t->reference->width != y->width)
    return fail("%s: %zu outputs per sample, the model has %zu", t->reference_path, t->reference->width, y->width);
  return 0;
}

void truth_free(truth *t) {
  free(t->labels);
  free(t->targets);
  free(t->keys);
  *t = (truth){0};
}
