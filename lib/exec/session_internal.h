/* session_internal.h - a session, and what its files share: session.c runs, session_watch.c shows and replaces values,
 * session_peek.c runs in parts. */
#ifndef Q8_EXEC_SESSION_INTERNAL_H
#define Q8_EXEC_SESSION_INTERNAL_H

#include "exec/plan_internal.h"

struct q8_session {
  q8_pool pool; /* of all that it owns */
  const q8_plan *plan;
  uint8_t *arena;
  void **address;         /* [buffer_count]; of inputs and outputs set by each run */
  q8_buffer *user_buffers; /* those among them */
  size_t user_count;
  const void **in;        /* scratch for one step's pointers */
  void **out;
  q8_watch_fn watch;
  void *watch_user;
  int watch_any_order;
  q8_layout watch_layout; /* of the values being shown */
  q8_replace_fn replace;
  void *replace_user;
  float *watch_values, *watch_ordered; /* [max_watch_count] each */
  uint8_t *bands;                      /* while watched: the buffers that steps in bands do without */
  double *microseconds;                /* [step_count]; NULL: never timed */
  int is_timed;
};

/* Inputs and outputs of a run get their addresses. */
void q8_session_bind(q8_session *session, const void *const *inputs, void *const *outputs);
/* A step, or a part of one. */
q8_status q8_session_run_step(q8_session *session, size_t index, const q8_step *step, qint8_error *error);

/* Calls the watcher with what `buffer` holds. */
void q8_session_show(q8_session *session, q8_buffer buffer);
/* Calls watcher and replacer, if there are any, with what the step left. */
void q8_session_show_results(q8_session *session, const q8_step *step);

#endif
