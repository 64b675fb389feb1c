/* sensitivity.h - which int8 nodes damage the result, and what it costs to run them in float.
 *
 * Errors are rel_err of the outputs (see runs.h) against the float graph on the given samples. For n int8 nodes that
 * takes 2 n runs of the samples, of which n mostly in float. */
#ifndef Q8_PTQ_SENSITIVITY_H
#define Q8_PTQ_SENSITIVITY_H

#include "ptq/mixed.h"
#include "ptq/runs.h"

typedef struct q8_damage {
  q8_id node;
  double alone;   /* rel_err with this node in int8 and all others in float */
  double without; /* rel_err with this node in float and all others as in the recipe */
  double us;      /* expected to be lost by running it in float; can be below 0 */
} q8_damage;

typedef struct q8_sensitivity {
  q8_host host;
  q8_damage *rows; /* [count], in execution order: the mixable nodes (mixed.h) */
  size_t count;
  double error; /* of the recipe as it is */
  double us;    /* expected time of the recipe as it is */
} q8_sensitivity;

/* CANCELLED by the host's progress callback; else as q8_run_all. */
q8_status q8_measure_sensitivity(const q8_graph *graph, const q8_recipe *recipe, const q8_runner *runner,
                                 q8_sensitivity **out, qint8_error *error);
void q8_sensitivity_free(q8_sensitivity *sensitivity);

/* The part of the squared error that goes away with the node. */
double q8_damage_of(const q8_sensitivity *sensitivity, const q8_damage *row);

#endif
