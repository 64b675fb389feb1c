/* runs.h - a graph run on all samples, its outputs side by side: what search and sensitivity compare. */
#ifndef Q8_PTQ_RUNS_H
#define Q8_PTQ_RUNS_H

#include "exec/exec.h"
#include "ptq/batches.h"

/* Output i of the graph for all samples: dimension 0 counts them. */
typedef struct q8_output {
  int32_t dtype;
  q8_shape shape;
  size_t count; /* elements */
  void *data;
} q8_output;
typedef struct q8_outputs {
  q8_pool pool;
  size_t count;
  q8_output *v;
} q8_outputs;

/* `recipe` NULL: float. SHAPE if the samples give results of different shapes; what compiling and running may say. */
q8_status q8_run_all(const q8_graph *graph, const q8_recipe *recipe, const q8_runner *runner, q8_outputs **out,
                     qint8_error *error);
void q8_outputs_free(q8_outputs *outputs);

/* ||got - want|| / ||want|| over the values of float outputs; of several outputs the root of the mean square. */
double q8_outputs_rel_err(const q8_outputs *got, const q8_outputs *want);

/* The same of a recipe's outputs against `want`, those of the float graph. */
q8_status q8_run_error(const q8_graph *graph, const q8_recipe *recipe, const q8_runner *runner, const q8_outputs *want,
                       double *rel_err, qint8_error *error);

/* Microseconds that one run of the plan is expected to take, from a fixed model of a core (AVX512-VNNI, 2.5 GHz): not a
 * measurement, so that what is decided with it is decided the same way each time. Right to some ten per cent; what
 * counts is the difference between two recipes of one graph. */
double q8_estimate_us(const q8_plan *plan);
/* The same of the plan for one sample of the first batch. */
q8_status q8_estimate_recipe_us(const q8_graph *graph, const q8_recipe *recipe, const q8_runner *runner, double *us,
                                qint8_error *error);

#endif
