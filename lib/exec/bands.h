/* bands.h - what a step that runs others band by band consists of. */
#ifndef Q8_EXEC_BANDS_H
#define Q8_EXEC_BANDS_H

#include "exec/plan_internal.h"

#define Q8_STAGES 3

typedef struct band_stage {
  const q8_step *step;
  int32_t extra; /* which input of the merged step is this one's second */
  size_t band;   /* where a task keeps rows of this stage's result: bytes from the start of its scratch */
  size_t rows;   /* as many as fit there; of the last stage: rows of a band */
} band_stage;

/* Each task makes a range of rows of the last stage's result, `rows` at a time. A stage keeps the rows that the next one will
 * read again, so that no row is made twice but where tasks meet. */
typedef struct bands {
  int32_t count;
  band_stage stages[Q8_STAGES];
  size_t rows;
  size_t scratch;   /* of the running stage: behind the bands */
  size_t task_size;
} bands;

q8_step_fn q8_bands_run;

static inline size_t q8_bands_tasks(const q8_step_rows *rows, int32_t threads) {
  const size_t all = rows->images * rows->rows, wanted = threads > 1 ? (size_t)threads : 1;
  return all < wanted ? all : wanted;
}

#endif
