/* exec.h - compiling a graph and a recipe into a plan, and running it in a session. */
#ifndef Q8_EXEC_H
#define Q8_EXEC_H

#include "ops/plan.h"

/* ---- Plan: immutable, shareable between threads ---- */

typedef struct q8_plan q8_plan;

typedef struct q8_plan_config {
  q8_cpu_mask mask;        /* CPU bits that kernels may use */
  const char *isa;         /* its name, static storage */
  const q8_shape *inputs;  /* [graph->input_count], fully known */
} q8_plan_config;

/* `recipe` NULL: float. Neither graph nor recipe is needed afterwards. */
q8_status q8_plan_compile(const q8_graph *graph, const q8_recipe *recipe, const q8_plan_config *config,
                          const q8_host *host, q8_plan **out, qint8_error *error);
void q8_plan_free(q8_plan *plan);

/* Shapes of the inputs as declared, symbolic or unknown dimensions set to 1. `out` has graph->input_count entries. */
void q8_plan_default_shapes(const q8_graph *graph, q8_shape *out);

/* One tensor that a step of the plan leaves in memory: what a watcher may see. */
typedef struct q8_watched {
  const char *name;
  q8_id tensor;
  q8_shape shape;
} q8_watched;

/* ---- Session ---- */

typedef struct q8_session q8_session;

/* `arena` NULL: allocated through host. */
q8_status q8_session_open(const q8_plan *plan, void *arena, size_t arena_size, const q8_host *host, q8_session **out,
                          qint8_error *error);
void q8_session_close(q8_session *session);

/* data pointers in the order of the graph's inputs and outputs; shapes and types were checked by the caller. */
void q8_session_execute(q8_session *session, const void *const *inputs, void *const *outputs);

/* After each step that leaves a graph tensor: its number and values as f32 in the ONNX layout, or in any element order
 * if `any_order` (observers do not care, and no transposition is paid). Also the graph's inputs, first. */
typedef void (*q8_watch_fn)(void *user, q8_id tensor, const char *name, const q8_shape *shape, const float *values,
                            size_t count);
q8_status q8_session_watch(q8_session *session, q8_watch_fn watch, void *user, int any_order, qint8_error *error);

#endif
