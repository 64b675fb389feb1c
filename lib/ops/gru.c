/* gru.c - GRU. Gates in the order update, reset, hidden. */
#include <math.h>
#include <string.h>

#include "ops/recurrent.h"

static void step(const q8_recurrent_step *s) {
  const q8_recurrent *r = s->r;
  const q8_recurrent_source *source = s->source;
  size_t n = r->hidden, size = 3 * n;
  source->hidden_gates(source->self, s->direction, 0, s->h, s->gates);
  memcpy(s->spare, s->h, r->batch * n * sizeof *s->h);
  for (size_t b = 0; b < r->batch; b++) {
    float *gates = s->gates + b * size;
    const float *x = s->x_gates[b];
    if (!x)
      continue;
    q8_recurrent_add(r, 2 * n, gates, x, gates);
    q8_gate_activate(s, 0, 2 * n, gates);
    if (!r->reset_after)
      q8_recurrent_mul(r, n, s->spare + b * n, gates + n, s->spare + b * n);
  }
  source->hidden_gates(source->self, s->direction, 1, s->spare, s->gates);
  for (size_t b = 0; b < r->batch; b++) {
    float *update = s->gates + b * size, *reset = update + n, *hidden = update + 2 * n, *h = s->h + b * n;
    const float *x = s->x_gates[b];
    if (!x)
      continue;
    if (r->reset_after)
      q8_recurrent_mul(r, n, reset, hidden, hidden);
    q8_recurrent_add(r, n, x + 2 * n, hidden, hidden);
    q8_gate_activate(s, 1, n, hidden);
    q8_recurrent_mul(r, n, update, h, h);
    for (size_t i = 0; i < n; i++)
      update[i] = 1 - update[i];
    q8_recurrent_mul(r, n, update, hidden, hidden);
    q8_recurrent_add(r, n, hidden, h, h);
  }
}

static const q8_recurrent_cell cell = {
    .gates = 3, .first_gates = 2, .activations = 2, .preset = {"sigmoid", "tanh"}, .step = step};

static const q8_attribute attributes[] = {
    Q8_RECURRENT_ATTRIBUTES,
    {"linear_before_reset", Q8_ATTR_INT, Q8_RECURRENT_AT(linear_before_reset), 0, 0, 0}};

const q8_op q8_op_gru = {
    .name = "GRU", Q8_OPSETS(7, 21), Q8_INPUTS(3, 6), Q8_OUTPUTS(1, 2),
    Q8_ATTRIBUTES(attributes), .params_size = sizeof(q8_recurrent_params), .quant = Q8_QUANT_RECURRENT,
    .family = &q8_recurrent_family, .variant = &cell};
