/* bands_run.c - a band of rows of the last step's result at a time, from bands of the results before it. */
#include <string.h>

#include "base/parallel.h"
#include "exec/bands.h"

typedef struct job {
  const bands *b;
  const q8_step_run *run;
  q8_host host; /* one thread */
  size_t tasks;
} job;

/* Of one task. */
typedef struct work {
  const job *job;
  uint8_t *scratch;
  q8_row_range kept[Q8_STAGES]; /* which rows each band holds: [first, last) */
} work;

static void make(work *w, int32_t stage, size_t first, size_t last);

/* Lets the band of a stage hold rows [first, last), which never go back. */
static void advance(work *w, int32_t stage, size_t first, size_t last) {
  const size_t size = w->job->b->stages[stage].step->rows->row_size;
  uint8_t *band = w->scratch + w->job->b->stages[stage].band;
  q8_row_range *kept = &w->kept[stage];
  if (first < kept->last && first > kept->first)
    memmove(band, band + (first - kept->first) * size, (kept->last - first) * size);
  if (first >= kept->last)
    kept->last = first;
  kept->first = first;
  if (last > kept->last) {
    size_t from = kept->last;
    kept->last = last;
    make(w, stage, from, last);
  }
}

/* Rows [first, last) of a stage's result, of one image, from those of the stage before. */
static void make(work *w, int32_t stage, size_t first, size_t last) {
  const bands *b = w->job->b;
  const band_stage *s = &b->stages[stage];
  const q8_step_rows *rows = s->step->rows;
  const q8_step_run *run = w->job->run;
  const void *in[sizeof s->step->in / sizeof *s->step->in];
  void *out[Q8_STEP_OUTPUTS] = {run->out[0]};
  q8_row_range range = {first, last, 0, 0};
  in[0] = run->in[0];
  for (int32_t i = 1; i < s->step->in_count; i++)
    in[i] = run->in[s->extra + i - 1];
  if (stage > 0) {
    const size_t image = first / rows->rows, p = first % rows->rows, end = p + (last - first);
    const size_t begin = p * rows->stride, stop = (end - 1) * rows->stride + rows->extent;
    size_t from = begin > rows->pad ? begin - rows->pad : 0, to = stop > rows->pad ? stop - rows->pad : 0;
    to = to < rows->in_rows ? to : rows->in_rows;
    from = from < to ? from : to;
    advance(w, stage - 1, image * rows->in_rows + from, image * rows->in_rows + to);
    in[0] = w->scratch + b->stages[stage - 1].band;
    range.in_row = w->kept[stage - 1].first;
  }
  if (stage + 1 < b->count) {
    out[0] = w->scratch + s->band;
    range.out_row = w->kept[stage].first;
  }
  q8_step_run part = *run;
  part.params = s->step->params;
  part.in = in;
  part.out = out;
  part.scratch = w->scratch + b->scratch;
  part.host = &w->job->host;
  rows->run(&part, &range);
}

static void run_task(void *argument, size_t task) {
  const job *j = argument;
  const q8_step_rows *rows = j->b->stages[j->b->count - 1].step->rows;
  const size_t all = rows->images * rows->rows, stop = all * (task + 1) / j->tasks;
  work w = {.job = j, .scratch = (uint8_t *)j->run->scratch + task * j->b->task_size};
  for (size_t row = all * task / j->tasks, last; row < stop; row = last) {
    const size_t image = (row / rows->rows + 1) * rows->rows;
    last = row + j->b->rows;
    last = last < image ? last : image;
    last = last < stop ? last : stop;
    make(&w, j->b->count - 1, row, last);
  }
}

void q8_bands_run(const q8_step_run *run) {
  job j = {.b = run->params, .run = run, .host = *run->host};
  const q8_step_rows *rows = j.b->stages[j.b->count - 1].step->rows;
  j.tasks = q8_bands_tasks(rows, run->host->threads);
  j.host.threads = 1;
  q8_parallel(run->host, j.tasks, run_task, &j);
}
