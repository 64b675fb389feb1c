/* lstm.c - LSTM. Gates in the order input, output, forget, cell. */
#include <math.h>
#include <string.h>

#include "ops/recurrent.h"

/* gates of sample b: sums are complete but for the peepholes. */
static void update(const q8_recurrent_step *s, float *gates, float *c, float *h) {
  size_t n = s->r->hidden;
  float *in = gates, *out = gates + n, *forget = gates + 2 * n, *cell = gates + 3 * n;
  const float *p = s->peepholes;
  for (size_t i = 0; p && i < n; i++) {
    in[i] += p[i] * c[i];
    forget[i] += p[2 * n + i] * c[i];
  }
  q8_gate_activate(s, 0, n, in);
  if (s->r->input_forget)
    for (size_t i = 0; i < n; i++)
      forget[i] = 1 - in[i];
  else
    q8_gate_activate(s, 0, n, forget);
  q8_gate_activate(s, 1, n, cell);
  q8_recurrent_mul(s->r, n, forget, c, c);
  q8_recurrent_mul(s->r, n, in, cell, cell);
  q8_recurrent_add(s->r, n, c, cell, c);
  for (size_t i = 0; p && i < n; i++)
    out[i] += p[n + i] * c[i];
  q8_gate_activate(s, 0, n, out);
  memcpy(h, c, n * sizeof *h);
  q8_recurrent_activate(s->r, &s->r->activation[s->direction][2], n, h);
  q8_recurrent_mul(s->r, n, h, out, h);
}

static void step(const q8_recurrent_step *s) {
  size_t n = s->r->hidden, size = 4 * n;
  s->source->hidden_gates(s->source->self, s->direction, 0, s->h, s->gates);
  for (size_t b = 0; b < s->r->batch; b++) {
    float *gates = s->gates + b * size;
    const float *x = s->x_gates[b];
    if (!x)
      continue;
    q8_recurrent_add(s->r, size, gates, x, gates);
    update(s, gates, s->c + b * n, s->h + b * n);
  }
}

static const q8_recurrent_cell cell = {
    .gates = 4, .first_gates = 4, .activations = 3, .preset = {"sigmoid", "tanh", "tanh"}, .has_cell_state = 1,
    .step = step};

static const q8_attribute attributes[] = {
    Q8_RECURRENT_ATTRIBUTES, {"input_forget", Q8_ATTR_INT, Q8_RECURRENT_AT(input_forget), 0, 0, 0}};

const q8_op q8_op_lstm = {
    .name = "LSTM", Q8_OPSETS(7, 21), Q8_INPUTS(3, 8), Q8_OUTPUTS(1, 3),
    Q8_ATTRIBUTES(attributes), .params_size = sizeof(q8_recurrent_params), .quant = Q8_QUANT_RECURRENT,
    .family = &q8_recurrent_family, .variant = &cell};
