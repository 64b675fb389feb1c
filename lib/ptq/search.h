/* search.h - the cheapest way to quantize a graph that keeps a metric within a budget.
 *
 * Cheaper means: less expected time of the compiled plan (runs.h), then less to do while quantizing. Candidates are
 * tried in that order and the search ends with the first that meets the budget:
 *   static per-tensor, static per-channel, per-channel with each repair: all of these run at the same speed;
 *   dynamic: before them if its plan is expected to be faster (recurrent networks), else after them;
 *   mixed precision: see mixed_search.c. If dynamic met the budget, only mixtures that are faster than it are looked for.
 * What is decided uses calibration samples, what is accepted is measured on validation samples. */
#ifndef Q8_PTQ_SEARCH_H
#define Q8_PTQ_SEARCH_H

#include "ptq/runs.h"

/* The figure of merit of outputs for all validation samples; `reference` are those of the float graph. */
typedef double q8_metric_fn(void *user, const q8_outputs *outputs, const q8_outputs *reference);
/* Bytes of the file that graph and recipe make. */
typedef q8_status q8_size_fn(void *user, const q8_graph *graph, const q8_recipe *recipe, size_t *size,
                             qint8_error *error);

typedef struct q8_search_config {
  const q8_graph *graph;
  q8_batches calibration; /* count 0: dynamic only */
  q8_batches validation;
  q8_cpu_mask mask; /* as in q8_plan_config */
  const char *isa;
  int32_t activation_dtype, force; /* as in q8_decide */
  q8_metric_fn *metric;
  q8_size_fn *size;
  void *user; /* of metric and size */
  int32_t higher_is_better;
  double max_drop;
  size_t max_evaluations; /* 0: any number */
  double max_seconds;     /* 0: no limit; else what is found depends on the machine */
} q8_search_config;

typedef enum q8_repair {
  Q8_REPAIR_EQUALISE = 1, /* cross-layer equalisation, and scaling of inputs */
  Q8_REPAIR_ROUND = 2,    /* adaptive rounding */
  Q8_REPAIR_BIAS = 4      /* bias correction */
} q8_repair;

typedef struct q8_tried {
  int32_t config;     /* qint8_config */
  int32_t observer;   /* qint8_observer_kind of static configs */
  int32_t repairs;    /* q8_repair bits */
  int32_t mixed;      /* some nodes were returned to float */
  size_t float_nodes; /* multiplying nodes that run in float, see mixed.h */
  double metric, drop;
  size_t bytes;
  double us;      /* expected per sample */
  double seconds; /* to make and to evaluate it */
  int32_t met;
} q8_tried;

typedef struct q8_search {
  q8_host host;
  q8_tried *tried;
  size_t count, capacity;
  size_t best;      /* the cheapest that met the budget, else the one with the smallest drop */
  double reference; /* metric of the float graph */
  double float_us;  /* expected time of the float graph */
  q8_graph *graph;  /* of the best, or NULL: the one given */
  q8_recipe *recipe; /* of the best */
} q8_search;

/* CANCELLED by the host's progress callback; LIMIT if the bounds do not leave room for one candidate; what calibrating,
 * compiling and running may say. */
q8_status q8_search_run(const q8_search_config *config, const q8_host *host, q8_search **out, qint8_error *error);
void q8_search_free(q8_search *search);

#endif
