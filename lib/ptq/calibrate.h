/* calibrate.h - runs a graph in float and observes its tensors. */
#ifndef Q8_PTQ_CALIBRATE_H
#define Q8_PTQ_CALIBRATE_H

#include "exec/exec.h"
#include "ptq/ranges.h"

typedef struct q8_calibrator q8_calibrator;

typedef struct q8_calibrator_config {
  int32_t observer;     /* qint8_observer_kind */
  float moving_average, percentile; /* as in q8_observer_config */
  q8_cpu_mask mask;     /* as in q8_plan_config */
  const char *isa;
} q8_calibrator_config;

/* `graph` must outlive the calibrator. */
q8_status q8_calibrator_new(const q8_graph *graph, const q8_calibrator_config *config, const q8_host *host,
                            q8_calibrator **out, qint8_error *error);
void q8_calibrator_free(q8_calibrator *calibrator);
/* Runs one batch: a fully known shape and the values of every graph input. The plan is kept while shapes repeat.
 * DATA for a NaN or infinity in an input. */
q8_status q8_calibrator_feed(q8_calibrator *calibrator, const q8_shape *shapes, const void *const *inputs,
                             qint8_error *error);
/* A copy of what was seen so far. STATE if nothing was fed. */
q8_status q8_calibrator_ranges(const q8_calibrator *calibrator, q8_ranges **out, qint8_error *error);

#endif
