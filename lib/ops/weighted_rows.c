/* weighted_rows.c - convolutions that make some rows of their result at a time. */
#include "ops/weighted_step.h"

static void run_rows(const q8_step_run *r, const q8_row_range *range) {
  const q8_weighted_step *p = r->params;
  q8_epilogue epilogue = p->epilogue;
  epilogue.residual = p->sum;
  epilogue.other = p->sum ? r->in[1] : NULL;
  q8_conv_run_rows(&p->conv, p->kernels, r->in[0], p->zero_point, &epilogue, r->out[0], range, r->scratch, r->host);
}

static size_t scratch_of(const void *params, size_t rows) {
  const q8_weighted_step *p = params;
  return q8_conv_rows_scratch(&p->conv, rows);
}

const q8_step_rows *q8_weighted_rows(q8_weighted_step *step) {
  const q8_conv_geometry *g = &step->conv.g;
  const size_t in = step->conv.element, out = step->epilogue.kind == Q8_EPILOGUE_REQUANT ? 1 : sizeof(float);
  if (step->wide.weights || !q8_conv_has_rows(&step->conv))
    return NULL;
  step->rows = (q8_step_rows){.run = run_rows,
                               .scratch = scratch_of,
                               .images = g->n,
                               .rows = g->p,
                               .in_rows = g->h,
                               .columns = g->q,
                               .row_size = g->q * g->k * out,
                               .in_row_size = g->w * g->c * in,
                               .extent = (g->r - 1) * g->dilation_h + 1,
                               .stride = g->stride_h,
                               .pad = g->pad_top,
                               .weights = g->k * g->r * g->s * (g->c / g->groups) * in};
  return &step->rows;
}
