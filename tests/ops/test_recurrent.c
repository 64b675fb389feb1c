/* LSTM, GRU and RNN: packed steps against the plain evaluation over random attributes; int8 has the same bytes on every
 * ISA and for every batch. */
#include "base/cpu.h"
#include "planned.h"

#define WEIGHTS 0xeu /* inputs W, R and B are constants */

typedef struct sizes {
  int steps, batch, input, hidden, directions, gates, layout;
} sizes;

static void random_f32(op_case *c, float range, int rank, const int *dims) {
  size_t count = 1;
  for (int i = 0; i < rank; i++)
    count *= (size_t)dims[i];
  float *data = malloc((count + 1) * sizeof *data);
  for (size_t i = 0; i < count; i++)
    data[i] = test_random_float(-range, range);
  case_f32(c, data, rank, dims);
  free(data);
}

/* X, W, R, B and, as `options` says, lengths, initial states and peepholes. */
static void add_inputs(op_case *c, const sizes *s, int options, int is_lstm) {
  int g = s->gates * s->hidden;
  random_f32(c, 2, DIMS(s->layout ? s->batch : s->steps, s->layout ? s->steps : s->batch, s->input));
  random_f32(c, 1, DIMS(s->directions, g, s->input));
  random_f32(c, 1, DIMS(s->directions, g, s->hidden));
  random_f32(c, 1, DIMS(s->directions, 2 * g));
  if (options & 1) {
    int32_t lengths[16];
    for (int i = 0; i < s->batch; i++)
      lengths[i] = test_random_int(0, s->steps);
    case_data(c, QINT8_DTYPE_S32, lengths, DIMS(s->batch));
  } else {
    case_none(c);
  }
  for (int i = 0; i < (is_lstm ? 2 : 1); i++) {
    if (options & 2)
      random_f32(c, 1, DIMS(s->layout ? s->batch : s->directions, s->layout ? s->directions : s->batch, s->hidden));
    else
      case_none(c);
  }
  if (is_lstm && (options & 4))
    random_f32(c, 1, DIMS(s->directions, 3 * s->hidden));
}

static op_case random_case(int kind, const sizes *s, int options, const char *direction) {
  static const char *const names[] = {"LSTM", "GRU", "RNN"};
  op_case c = case_new(names[kind], "");
  case_int(&c, "hidden_size", s->hidden);
  case_int(&c, "layout", s->layout);
  case_text(&c, "direction", direction);
  if (options & 8)
    case_float(&c, "clip", 0.7f);
  if ((options & 16) && kind == 0)
    case_int(&c, "input_forget", 1);
  if ((options & 16) && kind == 1)
    case_int(&c, "linear_before_reset", 1);
  add_inputs(&c, s, options, kind == 0);
  c.out_count = kind == 0 ? 3 : 2;
  return c;
}

static void packed_steps_match_the_evaluation(void) {
  static const char *const directions[] = {"forward", "reverse", "bidirectional"};
  for (int round = 0; round < 90; round++) {
    int kind = round % 3, way = test_random_int(0, 2);
    sizes s = {test_random_int(1, 7), test_random_int(1, 5), test_random_int(1, 20), test_random_int(1, 20),
               way == 2 ? 2 : 1, kind == 0 ? 4 : kind == 1 ? 3 : 1, test_random_int(0, 1)};
    op_case c = random_case(kind, &s, test_random_int(0, 31), directions[way]);
    case_compare(&c, WEIGHTS, 1e-5, c.op->name);
  }
}

/* h = affine(x w + h r + b) with one value: 2 (x + 0.5 h + 0.25) + 1. */
static void activations_take_alpha_and_beta(void) {
  op_case c = case_new("RNN", "");
  *(q8_floats *)case_field(&c, "activation_alpha") = (q8_floats){1, {2}};
  *(q8_floats *)case_field(&c, "activation_beta") = (q8_floats){1, {1}};
  case_text(&c, "activations", "Affine");
  case_f32(&c, F(1, -1), DIMS(2, 1, 1));
  case_f32(&c, F(1), DIMS(1, 1, 1));
  case_f32(&c, F(0.5f), DIMS(1, 1, 1));
  case_f32(&c, F(0.25f, 0), DIMS(1, 2));
  case_expect(&c, F(3.5f, 3.0f), 1e-6f, DIMS(2, 1, 1, 1));
}

/* Runs as dynamic int8 and returns the bytes of output 0. */
static float *run_dynamic(op_case *c, q8_cpu_mask mask) {
  CHECK_MSG(case_plan(c, WEIGHTS, QINT8_CONFIG_DYNAMIC, mask) == QINT8_OK, "%s", c->error.message);
  for (int i = 1; i < c->out_count; i++)
    free(c->out[i].data);
  for (int i = 1; i < CASE_OUTPUTS; i++)
    c->out[i].data = NULL;
  return c->out[0].data;
}

static void int8_is_the_same_on_every_isa(void) {
  q8_cpu_mask cpu = q8_cpu_detect();
  for (int kind = 0; kind < 3; kind++) {
    sizes s = {9, 5, 37, 45, 2, kind == 0 ? 4 : kind == 1 ? 3 : 1, 0};
    op_case c = random_case(kind, &s, kind == 0 ? 6 : 2, "bidirectional");
    CHECK_EQ(case_run(&c), QINT8_OK);
    q8_value reference = c.out[0];
    for (int i = 1; i < c.out_count; i++)
      free(c.out[i].data);
    float *scalar = run_dynamic(&c, 0);
    double distance = case_distance(&c.out[0], &reference);
    CHECK_MSG(distance > 0 && distance < 0.05, "%s: int8 differs from float by %g", c.op->name, distance);
    float *native = run_dynamic(&c, cpu);
    CHECK_MSG(!memcmp(scalar, native, c.out[0].count * sizeof *native), "%s: bytes differ", c.op->name);
    free(scalar);
    free(reference.data);
    case_free(&c);
  }
}

/* Sample b of a batch gives the bytes that it gives alone. */
static void int8_does_not_depend_on_the_batch(void) {
  sizes s = {6, 4, 30, 32, 1, 4, 1};
  op_case c = random_case(0, &s, 0, "forward");
  float *all = run_dynamic(&c, q8_cpu_detect());
  q8_value whole = c.in[0];
  size_t in = (size_t)(s.steps * s.input), out = (size_t)(s.steps * s.hidden);
  for (int b = 0; b < s.batch; b++) {
    c.in[0] = case_value(QINT8_DTYPE_F32, (const float *)whole.data + (size_t)b * in, DIMS(1, s.steps, s.input));
    float *one = run_dynamic(&c, q8_cpu_detect());
    CHECK(!memcmp(one, all + (size_t)b * out, out * sizeof *one));
    free(one);
    free(c.in[0].data);
  }
  c.in[0] = whole;
  c.out[0].data = all;
  case_free(&c);
}

static op_case small_lstm(void) {
  sizes s = {2, 1, 3, 4, 1, 4, 0};
  return random_case(0, &s, 0, "forward");
}

static void errors_say_what_does_not_fit(void) {
  op_case c = small_lstm();
  case_int(&c, "hidden_size", 5);
  case_expect_shape_error(&c, "hidden_size is 5");
  c = small_lstm();
  c.in[2].shape.dim[1] = 12;
  case_expect_shape_error(&c, "R has shape [1, 12, 4], expected [1, 16, 4]");
  c = small_lstm();
  case_text(&c, "direction", "sideways");
  CHECK_EQ(case_run(&c), QINT8_ERROR_UNSUPPORTED);
  CHECK_MSG(strstr(c.error.message, "sideways") && !strcmp(c.error.where, "node"), "%s", c.error.message);
  case_free(&c);
  c = small_lstm();
  case_text(&c, "activations", "Sigmoid,Tanh,Gauss");
  CHECK_EQ(case_run(&c), QINT8_ERROR_UNSUPPORTED);
  CHECK_MSG(strstr(c.error.message, "Gauss") != NULL, "%s", c.error.message);
  case_free(&c);
  c = small_lstm();
  c.in[4] = case_value(QINT8_DTYPE_S32, (const int32_t[]){3}, DIMS(1));
  CHECK_EQ(case_plan(&c, WEIGHTS, QINT8_CONFIG_FP32, q8_cpu_detect()), QINT8_ERROR_DATA);
  CHECK_MSG(strstr(c.error.message, "sequence_lens[0] is 3") != NULL, "%s", c.error.message);
  case_free(&c);
}

int main(int argc, char **argv) {
  TEST_BEGIN(argc, argv);
  RUN(packed_steps_match_the_evaluation);
  RUN(activations_take_alpha_and_beta);
  RUN(int8_is_the_same_on_every_isa);
  RUN(int8_does_not_depend_on_the_batch);
  RUN(errors_say_what_does_not_fit);
  return TEST_END();
}
