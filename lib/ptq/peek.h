/* peek.h - running a graph on samples for the sake of tensors inside it. */
#ifndef Q8_PTQ_PEEK_H
#define Q8_PTQ_PEEK_H

#include "exec/exec.h"
#include "ptq/batches.h"

/* Where each batch stands, if runs go on from where the one before ended: then many runs, each as far as a later tensor,
 * cost one. Recipes may change in between, but only in constants of nodes that were not reached. */
typedef struct q8_frontier q8_frontier;

typedef struct q8_peek_run {
  const q8_graph *graph;
  const q8_recipe *recipe; /* NULL: float */
  const q8_runner *runner;
  q8_frontier *frontier; /* NULL: every run is whole */
} q8_peek_run;

/* For `batches` batches. What they leave for later steps is kept in at most `limit` bytes; those with no room start over
 * in each run. */
q8_status q8_frontier_new(size_t batches, size_t limit, const q8_host *host, q8_frontier **out, qint8_error *error);
void q8_frontier_free(q8_frontier *frontier);

/* Shows the wanted tensors ([tensor_count], `count` of them) of every batch: their float values in a float run, what
 * their integers stand for in an int8 run. What compiling and running may say. */
q8_status q8_peek_batches(const q8_peek_run *run, const uint8_t *wanted, size_t count, q8_watch_fn show, void *user,
                          qint8_error *error);

#endif
