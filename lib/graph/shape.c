#include <inttypes.h>
#include <stdio.h>

#include "graph/graph.h"

size_t q8_shape_count(const q8_shape *shape, int *ok) {
  size_t count = 1;
  int fine = shape->rank >= 0;
  for (int i = 0; i < shape->rank && fine; i++)
    fine = shape->dim[i] >= 0 && q8_mul(count, (size_t)shape->dim[i], &count);
  if (ok)
    *ok = fine;
  return fine ? count : 0;
}

size_t q8_shape_inner(const q8_shape *shape, int32_t from) {
  size_t inner = 1;
  for (int32_t i = from; i < shape->rank; i++)
    inner *= (size_t)shape->dim[i];
  return inner;
}

int q8_shape_equal(const q8_shape *a, const q8_shape *b) {
  if (a->rank != b->rank)
    return 0;
  for (int i = 0; i < a->rank; i++)
    if (a->dim[i] != b->dim[i])
      return 0;
  return 1;
}

const char *q8_shape_text(const q8_shape *shape, char *text, size_t size) {
  if (shape->rank < 0) {
    snprintf(text, size, "[unknown]");
    return text;
  }
  size_t at = (size_t)snprintf(text, size, "[");
  for (int i = 0; i < shape->rank && at < size; i++)
    at += (size_t)snprintf(text + at, size - at, i ? ", %" PRId64 : "%" PRId64, shape->dim[i]);
  if (at < size)
    snprintf(text + at, size - at, "]");
  return text;
}
