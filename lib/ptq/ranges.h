/* ranges.h - what the calibrator saw: one observer per tensor that may be quantized. */
#ifndef Q8_PTQ_RANGES_H
#define Q8_PTQ_RANGES_H

#include <stdatomic.h>

#include "ptq/quality.h"
#include "quant/observer.h"

typedef struct q8_ranges {
  q8_pool pool;
  atomic_int holders; /* those who will free it; nobody writes to it while they are several */
  size_t tensor_count; /* of the graph */
  const char **names;  /* [tensor_count] */
  q8_observer **observers; /* [tensor_count]; NULL: not a tensor that may be quantized */
  uint8_t *is_input;       /* [tensor_count] of the graph */
  q8_quality *quality;     /* of the tensors that have observers */
  int64_t samples;         /* fed, by the first dimension of the first input */
} q8_ranges;

/* Observers for the tensors that some recipe may quantize. */
q8_status q8_ranges_new(const q8_graph *graph, const q8_observer_config *config, const q8_host *host,
                        q8_ranges **out, qint8_error *error);
/* Ends when all holders have freed it. */
void q8_ranges_free(q8_ranges *ranges);
q8_ranges *q8_ranges_share(q8_ranges *ranges);
/* Before it is written: makes *ranges a copy of its own if there are other holders. */
q8_status q8_ranges_own(q8_ranges **ranges, qint8_error *error);
/* 1 if the ranges belong to this graph. */
int q8_ranges_fit(const q8_ranges *ranges, const q8_graph *graph);
/* 1 if both belong to one graph. */
int q8_ranges_alike(const q8_ranges *a, const q8_ranges *b);

/* The observer if it saw any value, finite or not; else NULL. */
const q8_observer *q8_ranges_seen(const q8_ranges *ranges, q8_id tensor);

/* Those that saw a finite value, numbered from 0. */
size_t q8_ranges_count(const q8_ranges *ranges);
q8_status q8_ranges_get(const q8_ranges *ranges, size_t index, const char **name, qint8_range *out,
                        qint8_error *error);

/* The observer of range `index`, or NULL past the last; *name (may be NULL) is the tensor. */
const q8_observer *q8_ranges_observer(const q8_ranges *ranges, size_t index, const char **name);

/* Whether the node takes its input `index` as an activation in its int8 form. */
int q8_takes_activation(const q8_graph *graph, const q8_node *node, int32_t index);

#endif
