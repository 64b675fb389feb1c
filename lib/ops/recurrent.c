/* recurrent.c - attributes and shapes of RNN, GRU and LSTM. */
#include "ops/recurrent.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

/* Alphas and betas are taken, in order, by the functions that have one. */
static q8_status find_activations(const q8_op_io *io, q8_recurrent *r) {
  const q8_recurrent_params *p = io->node->params;
  const char *at = p->activations;
  int32_t count = r->cell->activations, alphas = 0, betas = 0;
  for (int32_t i = 0; i < count * (int32_t)r->directions; i++) {
    const char *name = *p->activations ? at : r->cell->preset[i % count];
    size_t length = *p->activations ? strcspn(at, ",") : strlen(name);
    const q8_recurrent_function *f = q8_recurrent_function_of(name, length);
    if (!f)
      return q8_fail(io->error, QINT8_ERROR_UNSUPPORTED, io->node->name,
                     length ? "activation %.*s" : "%.*sfewer activations than gates need", (int)length, name);
    q8_activation *a = &r->activation[i / count][i % count];
    *a = f->activation;
    if (f->takes_alpha && alphas < p->alpha.count)
      a->f.alpha = p->alpha.v[alphas++];
    if (f->takes_beta && betas < p->beta.count)
      a->f.beta = p->beta.v[betas++];
    if (*p->activations)
      at += length + (at[length] == ',');
  }
  return QINT8_OK;
}

/* ---- Shapes ---- */

/* Every input has the dimensions that its letters stand for. */
static q8_status check_inputs(const q8_op_io *io, const q8_recurrent *r) {
  static const struct {
    char name[14], dims[4];
  } inputs[Q8_RNN_INPUTS] = {{"X", ""},  {"W", "dgi"}, {"R", "dgh"},         {"B", "dG"}, {"sequence_lens", "b"},
                             {"initial_h", "sth"}, {"initial_c", "sth"}, {"P", "dp"}};
  static const char letters[] = "dgGihpbst";
  const size_t g = q8_gates_size(r), d = r->directions, b = r->batch;
  const size_t values[] = {d, g, 2 * g, r->input, r->hidden, 3 * r->hidden, b, r->batch_first ? b : d, r->batch_first ? d : b};
  for (int32_t i = Q8_RNN_W; i < Q8_RNN_INPUTS; i++) {
    const q8_value *v = q8_input(io, i);
    q8_shape expected = {.rank = 0};
    if (!v)
      continue;
    for (const char *at = inputs[i].dims; *at; at++)
      expected.dim[expected.rank++] = (int64_t)values[strchr(letters, *at) - letters];
    if (!q8_shape_equal(&v->shape, &expected))
      return q8_op_fail(io, QINT8_ERROR_SHAPE, "%s has shape %p, expected %p", inputs[i].name, &v->shape, &expected);
    if (i != Q8_RNN_LENGTHS)
      Q8_TRY(q8_need_dtype(io, i, QINT8_DTYPE_F32));
    else if (v->dtype != QINT8_DTYPE_S32 && v->dtype != QINT8_DTYPE_S64)
      return q8_op_fail(io, QINT8_ERROR_UNSUPPORTED, "sequence_lens are not integers");
  }
  return QINT8_OK;
}

q8_status q8_recurrent_of(const q8_op_io *io, q8_recurrent *r) {
  const q8_recurrent_params *p = io->node->params;
  const q8_shape *x = &io->inputs[Q8_RNN_X]->shape, *weights = &io->inputs[Q8_RNN_R]->shape;
  Q8_TRY(q8_need_dtype(io, Q8_RNN_X, QINT8_DTYPE_F32));
  enum { FORWARD, REVERSE, BIDIRECTIONAL };
  int direction;
  Q8_TRY(q8_op_word(io, "direction", "forward, reverse or bidirectional", &direction));
  if (x->rank != 3 || weights->rank != 3 || weights->dim[2] < 1)
    return q8_op_fail(io, QINT8_ERROR_SHAPE, "X of shape %p, expected three dimensions",
                      x->rank != 3 ? x : weights);
  if (p->hidden_size && p->hidden_size != weights->dim[2])
    return q8_op_fail(io, QINT8_ERROR_SHAPE, "hidden_size is %lld, R has shape %p", (long long)p->hidden_size,
                      weights);
  if (p->layout != 0 && p->layout != 1)
    return q8_op_fail(io, QINT8_ERROR_UNSUPPORTED, "layout %lld", (long long)p->layout);
  *r = (q8_recurrent){.cell = io->node->op->variant,
                      .steps = (size_t)x->dim[p->layout == 1],
                      .batch = (size_t)x->dim[p->layout != 1],
                      .input = (size_t)x->dim[2],
                      .hidden = (size_t)weights->dim[2],
                      .directions = direction == BIDIRECTIONAL ? 2 : 1,
                      .batch_first = p->layout == 1,
                      .reverse = direction == REVERSE,
                      .input_forget = p->input_forget != 0,
                      .reset_after = p->linear_before_reset != 0,
                      .clip = p->clip > 0 ? p->clip : INFINITY};
  const q8_value *lengths = q8_input(io, Q8_RNN_LENGTHS);
  r->lengths_are_s64 = lengths && lengths->dtype == QINT8_DTYPE_S64;
  Q8_TRY(check_inputs(io, r));
  return find_activations(io, r);
}

static q8_status infer(const q8_op_io *io) {
  q8_recurrent r;
  Q8_TRY(q8_recurrent_of(io, &r));
  int64_t t = (int64_t)r.steps, d = (int64_t)r.directions, b = (int64_t)r.batch, h = (int64_t)r.hidden;
  q8_shape y = {.rank = 4, .dim = {t, d, b, h}}, state = {.rank = 3, .dim = {d, b, h}};
  if (r.batch_first) {
    y = (q8_shape){.rank = 4, .dim = {b, t, d, h}};
    state = (q8_shape){.rank = 3, .dim = {b, d, h}};
  }
  for (int32_t i = 0; i < io->node->output_count; i++)
    Q8_TRY(q8_infer_set(io, i, QINT8_DTYPE_F32, i ? &state : &y));
  return QINT8_OK;
}

static int32_t weight_axis(const q8_node *node) {
  (void)node;
  return 1;
}

const q8_op_family q8_recurrent_family = {
    .int8_obstacle = "only its products are int8, with a scale per row: its state needs the range of float",
    .infer = infer, .eval = q8_recurrent_eval, .plan = q8_recurrent_plan,
    .extras = &(const q8_op_extras){.weight_axis = weight_axis}};
