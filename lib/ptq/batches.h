/* batches.h - samples that a graph is run on. */
#ifndef Q8_PTQ_BATCHES_H
#define Q8_PTQ_BATCHES_H

#include "graph/graph.h"
#include "kernel.h"

/* Shapes and data of batch b, input i of the graph at [b * input_count + i]. */
typedef struct q8_batches {
  size_t count;
  const q8_shape *shapes;
  const void *const *data;
} q8_batches;

/* How and on what to run. */
typedef struct q8_runner {
  const q8_batches *batches;
  q8_cpu_mask mask; /* as in q8_plan_config */
  const char *isa;
  const q8_host *host;
} q8_runner;

/* The first batches that hold together at most `values` input values, at least one. */
q8_batches q8_first_batches(const q8_graph *graph, const q8_batches *batches, size_t values);

/* The end of the run of batches from `first` on that have the same shapes, and so share a plan. */
size_t q8_batches_alike(const q8_graph *graph, const q8_batches *batches, size_t first);

#endif
