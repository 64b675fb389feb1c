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
  int plain;               /* nothing merged, no memory shared: the same bytes, slower. For tests */
  size_t l2;               /* bytes of a core's L2 that steps are merged for; 0: this CPU's */
  const void *const *values; /* NULL, or [graph->input_count]: the data of an input known now, else NULL */
} q8_plan_config;

/* `recipe` NULL: float. Neither graph nor recipe is needed afterwards. */
q8_status q8_plan_compile(const q8_graph *graph, const q8_recipe *recipe, const q8_plan_config *config,
                          const q8_host *host, q8_plan **out, qint8_error *error);
void q8_plan_free(q8_plan *plan);

/* Shapes of the inputs as declared, symbolic or unknown dimensions set to 1. `out` has graph->input_count entries. */
void q8_plan_default_shapes(const q8_graph *graph, q8_shape *out);

/* What the API tells about a plan. */
typedef struct q8_plan_io {
  const char *name;
  int32_t dtype;
  q8_shape shape;
  const void *bound; /* the data that the plan was compiled for, or NULL */
} q8_plan_io;
size_t q8_plan_input_count(const q8_plan *plan);
size_t q8_plan_output_count(const q8_plan *plan);
const q8_plan_io *q8_plan_input_info(const q8_plan *plan, size_t index);
const q8_plan_io *q8_plan_output_info(const q8_plan *plan, size_t index);
size_t q8_plan_step_count(const q8_plan *plan);
/* The step, and the shape of what it produces. */
const q8_step *q8_plan_step_at(const q8_plan *plan, size_t index, q8_shape *shape);
const char *q8_plan_isa_name(const q8_plan *plan);
size_t q8_plan_arena_bytes(const q8_plan *plan);
size_t q8_plan_weight_bytes(const q8_plan *plan);

/* ---- Session ---- */

typedef struct q8_session q8_session;

/* `arena` NULL: allocated through host. */
q8_status q8_session_open(const q8_plan *plan, void *arena, size_t arena_size, const q8_host *host, q8_session **out,
                          qint8_error *error);
void q8_session_close(q8_session *session);

/* data pointers in the order of the graph's inputs and outputs; shapes and types were checked by the caller. */
q8_status q8_session_execute(q8_session *session, const void *const *inputs, void *const *outputs,
                             qint8_error *error);

/* After each step that leaves a graph tensor: its number and values as f32 in the ONNX layout, or in any element order
 * if `any_order` (observers do not care, and no transposition is paid). Also the graph's inputs, first. */
typedef void (*q8_watch_fn)(void *user, q8_id tensor, const char *name, const q8_shape *shape, const float *values,
                            size_t count);
q8_status q8_session_watch(q8_session *session, q8_watch_fn watch, void *user, int any_order, qint8_error *error);
/* While a watcher is called: Q8_CHANNELS_LAST if the values are [N][spatial...][C] (only with `any_order`), else
 * Q8_LINEAR. */
q8_layout q8_session_watch_layout(const q8_session *session);

/* After each step that leaves a graph tensor (after its watcher), with its values as f32 in the ONNX layout; non-zero if
 * the callback changed them: then the following steps see the changed ones, quantized where the tensor is int8. */
typedef int (*q8_replace_fn)(void *user, q8_id tensor, const char *name, const q8_shape *shape, float *values,
                             size_t count);
q8_status q8_session_replace(q8_session *session, q8_replace_fn replace, void *user, qint8_error *error);

/* Runs until `count` of the wanted tensors exist in the given form, and shows them as a watcher would see them. For
 * plain plans (see q8_plan_config): in others a merged tensor never exists. */
typedef struct q8_peek {
  const uint8_t *wanted; /* [tensor_count] */
  size_t count;          /* how many to wait for */
  q8_form_type form;
  q8_watch_fn show;
  void *user;
} q8_peek;
q8_status q8_session_peek(q8_session *session, const void *const *inputs, void *const *outputs, const q8_peek *peek,
                          qint8_error *error);
/* The same from step *step on, which becomes the step that a further call goes on with; what earlier steps left must be
 * there, also in the outputs. */
q8_status q8_session_peek_from(q8_session *session, const void *const *inputs, void *const *outputs,
                               const q8_peek *peek, size_t *step, qint8_error *error);
/* What the steps before `step` left for those from it on, in one piece: to go on later, in a session of this plan or of
 * one that differs from it in the values of constants alone. */
size_t q8_session_live_size(const q8_session *session, size_t step);
void q8_session_save(q8_session *session, size_t step, void *const *outputs, void *to);
void q8_session_restore(q8_session *session, size_t step, void *const *outputs, const void *from);

/* Times every step of later runs. */
q8_status q8_session_time_steps(q8_session *session, int enable, qint8_error *error);
double q8_session_step_us(const q8_session *session, size_t index);
const q8_plan *q8_session_plan(const q8_session *session);

#endif
