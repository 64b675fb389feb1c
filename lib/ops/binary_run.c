/* binary_run.c - running elementwise operators of two inputs: nested loops, rows by a kernel where there is one. */
#include <string.h>

#include "base/parallel.h"
#include "ops/binary_step.h"

typedef struct binary_run {
  const q8_binary_step *p;
  const char *a, *b;
  char *y;
} binary_run;

/* The last dimension runs through both inputs: always so for kernels. */
static int is_dense(const q8_loops *loops) {
  return loops->a[loops->shape.rank - 1] == 1 && loops->b[loops->shape.rank - 1] == 1;
}

/* rows x n dense values; strides in elements, a row of y is n long. */
static void dense_rows(const q8_binary_step *p, size_t rows, size_t n, const char *a, size_t sa, const char *b,
                       size_t sb, char *y) {
  const float *fa = (const float *)(const void *)a, *fb = (const float *)(const void *)b;
  float *fy = (float *)(void *)y;
  if (p->int8) {
    uint8_t *const bytes = (uint8_t *)y;
    p->int8(rows, n, (const uint8_t *)a, sa, (const uint8_t *)b, sb, &p->quant, bytes, n);
    if (p->table)
      p->look_up(rows * n, bytes, p->table, bytes);
  } else if (p->f32)
    p->f32(rows, n, fa, sa, fb, sb, fy, n);
  else
    for (; rows > 0; rows--, fa += sa, fb += sb, fy += n)
      p->row(n, fa, fb, fy);
}

/* One row of other strides. */
static void strided_row(const q8_binary_step *p, size_t n, const char *a, const char *b, char *y) {
  int32_t last = p->loops.shape.rank - 1;
  q8_strided_row(p->row, n, (const float *)(const void *)a, p->loops.a[last], (const float *)(const void *)b,
                 p->loops.b[last], (float *)(void *)y);
}

/* One dimension. */
static void line_part(const void *context, size_t first, size_t n, void *y) {
  const binary_run *run = context;
  const q8_binary_step *p = run->p;
  const char *a = run->a + (size_t)p->loops.a[0] * first * p->element;
  const char *b = run->b + (size_t)p->loops.b[0] * first * p->element;
  if (is_dense(&p->loops))
    dense_rows(p, 1, n, a, 0, b, 0, y);
  else
    strided_row(p, n, a, b, y);
}

#define REPEATED 512 /* elements of a short row repeated */

/* The same. A row of b that serves all of them is written out several times, so that as many short rows of a, one behind
 * the other, become a long one. */
static void short_rows(const q8_binary_step *p, size_t rows, size_t n, const char *a, size_t sa, const char *b,
                        size_t sb, char *y) {
  size_t times = sa == n && sb == 0 && n > 0 ? REPEATED / n : 1, size = n * p->element;
  times = times < rows ? times : rows;
  if (times <= 1) {
    dense_rows(p, rows, n, a, sa, b, sb, y);
    return;
  }
  _Alignas(64) char repeated[REPEATED * sizeof(float)];
  for (size_t i = 0; i < times; i++)
    memcpy(repeated + i * size, b, size);
  size_t done = rows / times * times;
  dense_rows(p, rows / times, times * n, a, times * n, repeated, 0, y);
  if (done < rows) /* fewer than `times` rows are left: one row */
    dense_rows(p, 1, (rows - done) * n, a + done * size, 0, repeated, 0, y + done * size);
}

/* Rows [r, end) to y, one behind the other: in runs along the last but one dimension. */
static void rows_between(const binary_run *run, size_t r, size_t end, char *y) {
  const q8_binary_step *p = run->p;
  const q8_loops *loops = &p->loops;
  int32_t last = loops->shape.rank - 1;
  size_t n = (size_t)loops->shape.dim[last], side = (size_t)loops->shape.dim[last - 1], e = p->element;
  while (r < end) {
    size_t rest = r, a_at = 0, b_at = 0, in_side = r % side;
    for (int32_t d = last; d-- > 0; rest /= (size_t)loops->shape.dim[d]) {
      size_t index = rest % (size_t)loops->shape.dim[d];
      a_at += index * (size_t)loops->a[d];
      b_at += index * (size_t)loops->b[d];
    }
    size_t rows = side - in_side < end - r ? side - in_side : end - r;
    size_t sa = (size_t)loops->a[last - 1], sb = (size_t)loops->b[last - 1];
    int dense = is_dense(loops);
    if (dense)
      short_rows(p, rows, n, run->a + a_at * e, sa, run->b + b_at * e, sb, y);
    for (size_t k = 0; !dense && k < rows; k++)
      strided_row(p, n, run->a + (a_at + k * sa) * e, run->b + (b_at + k * sb) * e, y + k * n * e);
    r += rows;
    y += rows * n * e;
  }
}

static void rows_task(void *argument, size_t i) {
  const binary_run *run = argument;
  const q8_binary_step *p = run->p;
  const size_t n = (size_t)p->loops.shape.dim[p->loops.shape.rank - 1], r = i * p->rows_per_task;
  const size_t end = p->rows - r < p->rows_per_task ? p->rows : r + p->rows_per_task;
  rows_between(run, r, end, run->y + r * n * p->element);
}

static void rows_part(const void *context, size_t first, size_t n, void *y) {
  const binary_run *run = context;
  rows_between(run, first / run->p->out.row, (first + n) / run->p->out.row, y);
}

void q8_binary_run(const q8_step_run *r) {
  const q8_binary_step *p = r->params;
  binary_run run = {.p = p, .y = r->out[0]};
  int next = 0;
  run.a = p->fixed[0] ? p->fixed[0] : r->in[next++];
  run.b = p->fixed[1] ? p->fixed[1] : r->in[next];
  if (p->loops.shape.rank == 1 || p->out.stride)
    q8_write_parts(&p->out, p->loops.shape.rank == 1 ? line_part : rows_part, &run, run.y, r->host);
  else
    q8_parallel(r->host, (p->rows + p->rows_per_task - 1) / p->rows_per_task, rows_task, &run);
}
