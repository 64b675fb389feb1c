#include "nn/wide.h"

#include <string.h>

#include "base/parallel.h"

#define COLUMNS 64 /* output channels at a time: what channel arrays have behind their end */

typedef struct job {
  const q8_wide *wide;
  const q8_kernels *kernels;
  const uint8_t *x;
  const int32_t *zero_points;
  size_t zero_step;
  const q8_epilogue *epilogue;
  void *y;
} job;

/* Padding holds the zero point, so it adds nothing. */
static void accumulate(const job *j, size_t n, size_t p, size_t q, size_t group, size_t column, size_t count,
                       int32_t *acc) {
  const q8_conv_geometry *g = &j->wide->g;
  size_t channels = g->c / g->groups, outputs = g->k / g->groups;
  int32_t zero = j->zero_points[n * j->zero_step];
  memset(acc, 0, COLUMNS * sizeof *acc);
  for (size_t i = 0; i < g->r; i++)
    for (size_t k = 0; k < g->s; k++) {
      size_t y = p * g->stride_h + i * g->dilation_h - g->pad_top;
      size_t z = q * g->stride_w + k * g->dilation_w - g->pad_left;
      if (y >= g->h || z >= g->w) /* positions before the image wrap to huge values */
        continue;
      const uint8_t *x = j->x + ((n * g->h + y) * g->w + z) * g->c + group * channels;
      const int16_t *w = j->wide->weights + ((group * g->r + i) * g->s + k) * channels * outputs + column;
      for (size_t c = 0; c < channels; c++, w += outputs) {
        const int32_t value = x[c] - zero;
        for (size_t o = 0; o < count; o++)
          acc[o] += value * w[o];
      }
    }
}

static void finish(const job *j, size_t n, size_t pixel, size_t column, size_t count, const int32_t *acc) {
  static const int32_t none[COLUMNS];
  const q8_epilogue *e = j->epilogue;
  size_t at = pixel * j->wide->g.k + column;
  if (e->kind == Q8_EPILOGUE_REQUANT) {
    q8_requant rq = e->requant;
    rq.bias += column;
    rq.scale += column;
    uint8_t *const y = (uint8_t *)j->y + at;
    j->kernels->requant(1, count, acc, COLUMNS, &rq, y, count);
    if (e->table)
      j->kernels->table(count, y, e->table, y);
    return;
  }
  q8_dequant dq = {.offset = e->offset ? e->offset + column : none,
                   .scale = e->scale + column,
                   .bias = e->bias + column,
                   .row_scale = e->sample_scale ? e->sample_scale + n : NULL,
                   .lo = e->lo,
                   .hi = e->hi};
  j->kernels->dequant_acc(1, count, acc, COLUMNS, &dq, (float *)j->y + at, count);
}

/* One row of one image. */
static void run_row(void *argument, size_t row) {
  const job *j = argument;
  const q8_conv_geometry *g = &j->wide->g;
  size_t n = row / g->p, p = row % g->p, outputs = g->k / g->groups;
  _Alignas(64) int32_t acc[COLUMNS];
  for (size_t q = 0; q < g->q; q++)
    for (size_t group = 0; group < g->groups; group++)
      for (size_t column = 0; column < outputs; column += COLUMNS) {
        size_t count = outputs - column < COLUMNS ? outputs - column : COLUMNS;
        accumulate(j, n, p, q, group, column, count, acc);
        finish(j, n, row * g->q + q, group * outputs + column, count, acc);
      }
}

void q8_wide_run(const q8_wide *wide, const q8_kernels *kernels, const uint8_t *x, const int32_t *zero_points,
                 size_t zero_step, const q8_epilogue *epilogue, void *y, const q8_host *host) {
  job j = {wide, kernels, x, zero_points, zero_step, epilogue, y};
  q8_parallel(host, wide->g.n * wide->g.p, run_row, &j);
}
