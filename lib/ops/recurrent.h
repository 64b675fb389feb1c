/* recurrent.h - what RNN, GRU and LSTM share: attributes, shapes, activations, the walk over time.
 *
 * A cell has `gates` gates of `hidden` values. Each gate is x W' + h R' + biases; the products with R come in two parts,
 * since GRU needs its reset gate before the product of its last gate. Layout of a row of gates: [gates][hidden].
 */
#ifndef Q8_OPS_RECURRENT_H
#define Q8_OPS_RECURRENT_H

#include "ops/common.h"

typedef struct q8_recurrent_params {
  int64_t hidden_size, layout, input_forget, linear_before_reset;
  float clip;
  q8_floats alpha, beta;
  char direction[32], activations[Q8_TEXT_SIZE];
} q8_recurrent_params;

#define Q8_RECURRENT_AT(field) offsetof(q8_recurrent_params, field)
#define Q8_RECURRENT_ATTRIBUTES                                                                                      \
  {"activation_alpha", Q8_ATTR_FLOATS, Q8_RECURRENT_AT(alpha), 0, 0, 0},                                            \
      {"activation_beta", Q8_ATTR_FLOATS, Q8_RECURRENT_AT(beta), 0, 0, 0},                                          \
      {"activations", Q8_ATTR_STRINGS, Q8_RECURRENT_AT(activations), 0, 0, 0},                                      \
      {"clip", Q8_ATTR_FLOAT, Q8_RECURRENT_AT(clip), 0, 0, (double)INFINITY},                                       \
      {Q8_NAME_AND_TEXT("direction", "forward"), Q8_ATTR_STRING, Q8_RECURRENT_AT(direction), 0, 0, 0},              \
      {"hidden_size", Q8_ATTR_INT, Q8_RECURRENT_AT(hidden_size), 0, 0, 0},                                          \
      {"layout", Q8_ATTR_INT, Q8_RECURRENT_AT(layout), 0, 0, 0}

enum { Q8_RNN_X, Q8_RNN_W, Q8_RNN_R, Q8_RNN_B, Q8_RNN_LENGTHS, Q8_RNN_H, Q8_RNN_C, Q8_RNN_P, Q8_RNN_INPUTS };

/* x = f(x) for n values. */
typedef void q8_activation_fn(size_t n, float alpha, float beta, float *x);
typedef struct q8_activation {
  q8_activation_fn *run; /* NULL: the kernels' f */
  q8_sunary f;
} q8_activation;

typedef struct q8_recurrent_function {
  const char *name;
  q8_activation activation; /* with default alpha and beta */
  int takes_alpha, takes_beta;
} q8_recurrent_function;
/* NULL if unknown. `name` need not be zero-terminated; case does not matter. */
const q8_recurrent_function *q8_recurrent_function_of(const char *name, size_t length);

struct q8_recurrent_step;
typedef struct q8_recurrent_cell {
  size_t gates, first_gates; /* all; those of the first product with R */
  int32_t activations;       /* per direction */
  const char *preset[3];
  int has_cell_state;
  void (*step)(const struct q8_recurrent_step *step);
} q8_recurrent_cell;

/* A checked node with bound shapes. */
typedef struct q8_recurrent {
  const q8_recurrent_cell *cell;
  size_t steps, batch, input, hidden, directions;
  int batch_first, reverse; /* reverse: direction 0 runs backwards (direction 1 always does) */
  int input_forget, reset_after, lengths_are_s64;
  float clip;
  const q8_kernels *kernels; /* of float rows */
  q8_activation activation[2][3];
} q8_recurrent;

static inline size_t q8_gates_size(const q8_recurrent *r) {
  return r->cell->gates * r->hidden;
}
/* Row of x, and of y without its direction, at time t for sample b. */
static inline size_t q8_time_row(const q8_recurrent *r, size_t t, size_t b) {
  return r->batch_first ? b * r->steps + t : t * r->batch + b;
}

q8_status q8_recurrent_of(const q8_op_io *io, q8_recurrent *out);
/* The family of RNN, GRU and LSTM, whose variant is their cell. */
extern const q8_op_family q8_recurrent_family;
q8_status q8_recurrent_eval(const q8_op_io *io);
q8_status q8_recurrent_plan(q8_planner *planner, q8_id node);

/* ---- One run ---- */

/* Where products come from: packed weights, or plain loops. */
typedef struct q8_recurrent_source {
  /* x W' + bias of sample b at time t: [gates][hidden], valid until the next call for the same b. */
  const float *(*input_gates)(void *self, size_t direction, size_t t, size_t b);
  /* Part `part` of h R' for all samples into rows of `gates`; h is [batch][hidden]. */
  void (*hidden_gates)(void *self, size_t direction, int part, const float *h, float *gates);
  void *self;
} q8_recurrent_source;

/* One time step of all samples: updates h and c of the samples that have not ended. */
typedef struct q8_recurrent_step {
  const q8_recurrent *r;
  size_t direction;
  const q8_recurrent_source *source;
  const float *const *x_gates; /* [batch], NULL for a sample that has ended */
  const float *peepholes;      /* [3][hidden] of this direction, or NULL */
  float *gates;                /* [batch][gates][hidden] */
  float *h, *c, *spare;        /* [batch][hidden] */
} q8_recurrent_step;

/* x = f(x) for n values. */
void q8_recurrent_activate(const q8_recurrent *r, const q8_activation *a, size_t n, float *x);
/* y = a + b and y = a * b for n values; y may be a or b. */
void q8_recurrent_add(const q8_recurrent *r, size_t n, const float *a, const float *b, float *y);
void q8_recurrent_mul(const q8_recurrent *r, size_t n, const float *a, const float *b, float *y);
/* Values clamped to the attribute `clip`, then the activation. */
void q8_gate_activate(const q8_recurrent_step *step, int32_t which, size_t n, float *x);

/* What a run reads and writes: data[i] is input i or NULL; y, y_h, y_c may be NULL. */
typedef struct q8_recurrent_io {
  const void *data[Q8_RNN_INPUTS];
  float *outputs[3];
  const char *name; /* of the node */
  qint8_error *error;
} q8_recurrent_io;
/* work: q8_recurrent_work bytes. DATA if a length is too long. */
size_t q8_recurrent_work(const q8_recurrent *r);
q8_status q8_recurrent_run(const q8_recurrent *r, const q8_recurrent_io *io, const q8_recurrent_source *source, void *work);
/* The same with plain loops over weights that need not be constant. work: q8_recurrent_plain_size bytes. */
size_t q8_recurrent_plain_size(const q8_recurrent *r);
q8_status q8_recurrent_run_plain(const q8_recurrent *r, const q8_recurrent_io *io, void *work);

#endif
