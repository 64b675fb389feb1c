/* recurrent_run.c - the walk over time, and its plain form for weights that are not constant. */
#include <inttypes.h>
#include <math.h>
#include <string.h>

#include "ops/recurrent.h"

void q8_recurrent_add(const q8_recurrent *r, size_t n, const float *a, const float *b, float *y) {
  r->kernels->sadd(1, n, a, 0, b, 0, y, 0);
}

void q8_recurrent_mul(const q8_recurrent *r, size_t n, const float *a, const float *b, float *y) {
  r->kernels->smul(1, n, a, 0, b, 0, y, 0);
}

void q8_recurrent_activate(const q8_recurrent *r, const q8_activation *a, size_t n, float *x) {
  if (a->run)
    a->run(n, a->f.alpha, a->f.beta, x);
  else
    r->kernels->sunary(n, &a->f, x, x);
}

void q8_gate_activate(const q8_recurrent_step *step, int32_t which, size_t n, float *x) {
  const q8_recurrent *r = step->r;
  const q8_activation *a = &r->activation[step->direction][which];
  for (size_t i = 0; i < n && r->clip < INFINITY; i++) {
    x[i] = x[i] < -r->clip ? -r->clip : x[i];
    x[i] = x[i] > r->clip ? r->clip : x[i];
  }
  q8_recurrent_activate(r, a, n, x);
}

typedef struct walk {
  const q8_recurrent *r;
  const q8_recurrent_io *io;
  q8_recurrent_step step;
  const float **x_gates;
} walk;

size_t q8_recurrent_work(const q8_recurrent *r) {
  return q8_round_up(r->batch * sizeof(float *), Q8_ALIGN) +
         r->batch * (q8_gates_size(r) + 3 * r->hidden) * sizeof(float) + Q8_ALIGN;
}

static size_t length_of(const walk *w, size_t b) {
  const void *lengths = w->io->data[Q8_RNN_LENGTHS];
  if (!lengths)
    return w->r->steps;
  return (size_t)(w->r->lengths_are_s64 ? ((const int64_t *)lengths)[b] : ((const int32_t *)lengths)[b]);
}

/* Where the state of sample b lies in initial_h, y_h and the like. */
static size_t state_at(const q8_recurrent *r, size_t direction, size_t b) {
  return (r->batch_first ? b * r->directions + direction : direction * r->batch + b) * r->hidden;
}

static size_t y_at(const q8_recurrent *r, size_t direction, size_t t, size_t b) {
  size_t row = r->batch_first ? (b * r->steps + t) * r->directions + direction
                              : (t * r->directions + direction) * r->batch + b;
  return row * r->hidden;
}

static void load_state(const walk *w, size_t direction, int32_t input, float *state) {
  const q8_recurrent *r = w->r;
  const float *from = w->io->data[input];
  for (size_t b = 0; b < r->batch; b++) {
    if (from)
      memcpy(state + b * r->hidden, from + state_at(r, direction, b), r->hidden * sizeof *state);
    else
      memset(state + b * r->hidden, 0, r->hidden * sizeof *state);
  }
}

static void store_state(const walk *w, size_t direction, const float *state, float *to) {
  const q8_recurrent *r = w->r;
  for (size_t b = 0; to && b < r->batch; b++)
    memcpy(to + state_at(r, direction, b), state + b * r->hidden, r->hidden * sizeof *to);
}

/* A backward direction begins at the end of each sample, not of the longest one. */
static void run_direction(walk *w, size_t direction) {
  const q8_recurrent *r = w->r;
  q8_recurrent_step *s = &w->step;
  int backward = direction == 1 || r->reverse;
  float *y = w->io->outputs[0];
  s->direction = direction;
  s->peepholes = w->io->data[Q8_RNN_P] ? (const float *)w->io->data[Q8_RNN_P] + direction * 3 * r->hidden : NULL;
  load_state(w, direction, Q8_RNN_H, s->h);
  load_state(w, direction, Q8_RNN_C, s->c);
  for (size_t i = 0; i < r->steps; i++) {
    for (size_t b = 0; b < r->batch; b++) {
      size_t length = length_of(w, b), t = backward ? length - 1 - i : i;
      w->x_gates[b] = i < length ? s->source->input_gates(s->source->self, direction, t, b) : NULL;
    }
    r->cell->step(s);
    for (size_t b = 0; y && b < r->batch; b++) {
      size_t length = length_of(w, b), t = i >= length ? i : backward ? length - 1 - i : i;
      if (i < length)
        memcpy(y + y_at(r, direction, t, b), s->h + b * r->hidden, r->hidden * sizeof *y);
      else
        memset(y + y_at(r, direction, t, b), 0, r->hidden * sizeof *y);
    }
  }
  store_state(w, direction, s->h, w->io->outputs[1]);
  store_state(w, direction, s->c, w->io->outputs[2]);
}

q8_status q8_recurrent_run(const q8_recurrent *r, const q8_recurrent_io *io, const q8_recurrent_source *source, void *work) {
  size_t states = r->batch * r->hidden;
  walk w = {.r = r, .io = io, .x_gates = work};
  w.step = (q8_recurrent_step){.r = r, .source = source, .x_gates = w.x_gates};
  w.step.gates = (float *)(void *)((char *)work + q8_round_up(r->batch * sizeof(float *), Q8_ALIGN));
  w.step.h = w.step.gates + r->batch * q8_gates_size(r);
  w.step.c = w.step.h + states;
  w.step.spare = w.step.c + states;
  for (size_t b = 0; b < r->batch; b++)
    if (length_of(&w, b) > r->steps)
      return q8_fail(io->error, QINT8_ERROR_DATA, io->name, "sequence_lens[%zu] is %" PRId64 ", the input has %zu steps", b,
                     (int64_t)length_of(&w, b), r->steps);
  for (size_t d = 0; d < r->directions; d++)
    run_direction(&w, d);
  return QINT8_OK;
}

/* ---- Plain products ---- */

typedef struct plain {
  const q8_recurrent *r;
  const void *const *data;
  float *rows; /* [batch][gates][hidden] */
} plain;

static float dot(size_t n, const float *a, const float *b) {
  float sum = 0;
  for (size_t i = 0; i < n; i++)
    sum += a[i] * b[i];
  return sum;
}

/* The bias of h R' goes with x W', but for the gate that GRU resets after the product. */
static const float *plain_input(void *self, size_t direction, size_t t, size_t b) {
  const plain *p = self;
  const q8_recurrent *r = p->r;
  size_t g = q8_gates_size(r), apart = r->reset_after ? r->cell->first_gates * r->hidden : g;
  const float *x = (const float *)p->data[Q8_RNN_X] + q8_time_row(r, t, b) * r->input;
  const float *w = (const float *)p->data[Q8_RNN_W] + direction * g * r->input;
  const float *bias = p->data[Q8_RNN_B] ? (const float *)p->data[Q8_RNN_B] + direction * 2 * g : NULL;
  float *out = p->rows + b * g;
  for (size_t i = 0; i < g; i++)
    out[i] = dot(r->input, x, w + i * r->input) + (bias ? bias[i] + (i < apart ? bias[g + i] : 0) : 0);
  return out;
}

static void plain_hidden(void *self, size_t direction, int part, const float *h, float *gates) {
  const plain *p = self;
  const q8_recurrent *r = p->r;
  size_t g = q8_gates_size(r), middle = r->cell->first_gates * r->hidden;
  const float *weights = (const float *)p->data[Q8_RNN_R] + direction * g * r->hidden;
  const float *bias = part && r->reset_after && p->data[Q8_RNN_B]
                          ? (const float *)p->data[Q8_RNN_B] + direction * 2 * g + g
                          : NULL;
  for (size_t b = 0; b < r->batch; b++)
    for (size_t i = part ? middle : 0; i < (part ? g : middle); i++)
      gates[b * g + i] = dot(r->hidden, h + b * r->hidden, weights + i * r->hidden) + (bias ? bias[i] : 0);
}

size_t q8_recurrent_plain_size(const q8_recurrent *r) {
  return q8_round_up(r->batch * q8_gates_size(r) * sizeof(float), Q8_ALIGN) + q8_recurrent_work(r);
}

q8_status q8_recurrent_run_plain(const q8_recurrent *r, const q8_recurrent_io *io, void *work) {
  plain p = {r, io->data, work};
  q8_recurrent_source source = {plain_input, plain_hidden, &p};
  return q8_recurrent_run(r, io, &source, (char *)work + q8_recurrent_plain_size(r) - q8_recurrent_work(r));
}

#define EVAL_WORK 65536 /* bytes on the stack; only nodes without variable inputs are evaluated, larger ones do not occur */

q8_status q8_recurrent_eval(const q8_op_io *io) {
  q8_recurrent r;
  q8_kernels kernels;
  q8_recurrent_io run = {.name = io->node->name, .error = io->error};
  _Alignas(Q8_ALIGN) unsigned char work[EVAL_WORK];
  Q8_TRY(q8_recurrent_of(io, &r));
  q8_kernels_select(0, &kernels);
  r.kernels = &kernels;
  if (q8_recurrent_plain_size(&r) > sizeof work)
    return q8_fail(io->error, QINT8_ERROR_LIMIT, io->node->name, "a batch of %zu with %zu hidden values is not folded",
                   r.batch, r.hidden);
  for (int32_t i = 0; i < io->node->input_count; i++)
    run.data[i] = io->inputs[i] ? io->inputs[i]->data : NULL;
  for (int32_t i = 0; i < io->node->output_count; i++)
    run.outputs[i] = io->outputs[i].data;
  return q8_recurrent_run_plain(&r, &run, work);
}
