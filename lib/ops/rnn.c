/* rnn.c - RNN: one gate. */
#include <math.h>
#include <string.h>

#include "ops/recurrent.h"

static void step(const q8_recurrent_step *s) {
  size_t n = s->r->hidden;
  s->source->hidden_gates(s->source->self, s->direction, 0, s->h, s->gates);
  for (size_t b = 0; b < s->r->batch; b++) {
    float *gates = s->gates + b * n;
    const float *x = s->x_gates[b];
    if (!x)
      continue;
    q8_recurrent_add(s->r, n, gates, x, gates);
    q8_gate_activate(s, 0, n, gates);
    memcpy(s->h + b * n, gates, n * sizeof *gates);
  }
}

static const q8_recurrent_cell cell = {.gates = 1, .first_gates = 1, .activations = 1, .preset = {"tanh"}, .step = step};

static const q8_attribute attributes[] = {Q8_RECURRENT_ATTRIBUTES};

const q8_op q8_op_rnn = {
    .name = "RNN", Q8_OPSETS(7, 21), Q8_INPUTS(3, 6), Q8_OUTPUTS(1, 2),
    Q8_ATTRIBUTES(attributes), .params_size = sizeof(q8_recurrent_params), .quant = Q8_QUANT_RECURRENT,
    .family = &q8_recurrent_family, .variant = &cell};
