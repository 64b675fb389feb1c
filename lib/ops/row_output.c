/* row_output.c - results of elementwise steps, dense or as rows inside a larger tensor. */
#include <string.h>

#include "base/parallel.h"
#include "ops/common.h"

#define SHORT_ROW 128 /* bytes, which take less time than a call of memcpy */

void q8_copy_rows(size_t rows, size_t size, const void *from, void *to, size_t stride) {
  const char *x = from;
  char *y = to;
  for (size_t r = 0; r < rows && size; r++, x += size, y += stride) {
    size_t i = 0;
    for (; size <= SHORT_ROW && i + 16 <= size; i += 16)
      memcpy(y + i, x + i, 16);
    if (i < size)
      memcpy(y + i, x + i, size - i);
  }
}

typedef struct part_run {
  const q8_row_output *out;
  q8_part_fn *part;
  const void *context;
  char *y;
} part_run;

static size_t smaller(size_t a, size_t b) {
  return a < b ? a : b;
}

static void dense_task(void *argument, size_t i) {
  const part_run *run = argument;
  const size_t first = i * Q8_CHUNK;
  run->part(run->context, first, smaller(run->out->count - first, Q8_CHUNK), run->y + first * run->out->element);
}

static size_t rows_per_task(const q8_row_output *out) {
  return out->row < Q8_CHUNK ? Q8_CHUNK / out->row : 1;
}

/* Short rows go through a buffer in L1: functions of elements want more than a row. */
static void rows_task(void *argument, size_t i) {
  enum { BUFFER = 4096 };
  _Alignas(Q8_ALIGN) char buffer[BUFFER];
  const part_run *run = argument;
  const q8_row_output *out = run->out;
  const size_t size = out->row * out->element, stride = out->stride * out->element, together = BUFFER / 2 / size;
  const size_t first = i * rows_per_task(out), end = smaller(out->count / out->row, first + rows_per_task(out));
  for (size_t r = first, rows; r < end; r += rows) {
    char *y = run->y + r * stride;
    rows = together ? smaller(together, end - r) : 1;
    run->part(run->context, r * out->row, rows * out->row, together ? buffer : y);
    if (together)
      q8_copy_rows(rows, size, buffer, y, stride);
  }
}

void q8_write_parts(const q8_row_output *out, q8_part_fn *part, const void *context, void *y, const q8_host *host) {
  part_run run = {out, part, context, y};
  if (!out->stride)
    q8_parallel(host, (out->count + Q8_CHUNK - 1) / Q8_CHUNK, dense_task, &run);
  else if (out->count)
    q8_parallel(host, (out->count / out->row + rows_per_task(out) - 1) / rows_per_task(out), rows_task, &run);
}
