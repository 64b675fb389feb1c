/* search_internal.h - the state of one search, shared by search.c and mixed_search.c only. */
#ifndef Q8_PTQ_SEARCH_INTERNAL_H
#define Q8_PTQ_SEARCH_INTERNAL_H

#include "ptq/search.h"

/* A recipe that mixtures start from: the static one, or the dynamic one, with the smallest drop so far. */
typedef struct q8_search_base {
  const q8_graph *graph; /* the one given, or the equalised one */
  q8_recipe *recipe;
  size_t row;
} q8_search_base;

typedef struct q8_searcher {
  const q8_search_config *config;
  q8_host host;
  q8_runner calibration, validation;
  q8_outputs *exact; /* of the float graph on the validation samples */
  q8_search *search;
  double start; /* seconds */
  q8_graph *equalised;     /* NULL: not made yet */
  size_t equalised_groups; /* of channels, inputs among them; 0: it is the one given */
  const q8_graph *best_graph;
  q8_search_base static_base, dynamic_base;
} q8_searcher;

double q8_search_seconds(void);
/* Whether another evaluation is within the bounds. */
int q8_search_may_go_on(const q8_searcher *s);
/* Measures a candidate on the validation samples, adds its row, and keeps it if it is the best so far. `row` says what
 * it is and when work on it began (in `seconds`); the rest is filled in. */
q8_status q8_search_evaluate(q8_searcher *s, const q8_graph *graph, const q8_recipe *recipe, q8_tried *row,
                             qint8_error *error);

/* The q8_repair bits of a recipe, on calibration samples. */
q8_status q8_search_repair(q8_searcher *s, const q8_graph *graph, int32_t repairs, q8_recipe *recipe,
                           qint8_error *error);

/* mixed_search.c: the fewest nodes of the base recipe in float, among mixtures expected to take less than `us`. */
q8_status q8_search_mixed(q8_searcher *s, const q8_search_base *base, double us, qint8_error *error);

#endif
