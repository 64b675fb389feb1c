/* Means of convolutions, which bias correction takes from sums per tap, against all positions computed. */
#include "base/memory.h"
#include "case.h"

#define MOST 4096

static void fill(float *x, size_t count) {
  for (size_t i = 0; i < count; i++)
    x[i] = test_random_float(-1, 1);
}

/* One sample of 1-D to 3-D with random kernel, stride, dilation, padding and groups. */
static op_case random_conv(int rank) {
  float x[MOST], w[MOST];
  int groups = test_random_int(1, 3), in = test_random_int(1, 3), out = test_random_int(1, 3);
  int x_dims[5] = {1, groups * in}, w_dims[5] = {groups * out, in};
  op_case c = case_new("Conv", "");
  q8_ints *strides = case_field(&c, "strides"), *dilations = case_field(&c, "dilations"), *pads = case_field(&c, "pads");
  strides->count = dilations->count = rank;
  pads->count = 2 * rank;
  for (int d = 0; d < rank; d++) {
    x_dims[2 + d] = test_random_int(5, 7);
    w_dims[2 + d] = test_random_int(1, 3);
    strides->v[d] = test_random_int(1, 3);
    dilations->v[d] = test_random_int(1, 2);
    pads->v[d] = test_random_int(0, 2);
    pads->v[rank + d] = test_random_int(0, 2);
  }
  case_int(&c, "group", groups);
  fill(x, MOST);
  fill(w, MOST);
  case_f32(&c, x, 2 + rank, x_dims);
  case_f32(&c, w, 2 + rank, w_dims);
  return c;
}

static void means_are_those_of_all_positions(void) {
  for (int round = 0; round < 300; round++) {
    op_case c = random_conv(1 + round % 3);
    double mean[16] = {0};
    q8_host host;
    CHECK_EQ(q8_host_init(&host, NULL, NULL), QINT8_OK);
    CHECK_EQ(case_run(&c), QINT8_OK);
    q8_id ids[2] = {0};
    q8_node node = {.name = "node", .op = c.op, .params = c.params, .input_count = 2, .inputs = ids};
    const q8_value *inputs[2] = {&c.in[0], &c.in[1]};
    q8_op_io io = {&node, inputs, c.out, &c.error};
    CHECK_EQ(q8_extras(c.op)->add_means(&io, &host, -2, mean), QINT8_OK);
    size_t channels = (size_t)c.out[0].shape.dim[1], positions = c.out[0].count / channels;
    for (size_t k = 0; k < channels; k++) {
      double sum = 0;
      for (size_t i = 0; i < positions; i++)
        sum += (double)((const float *)c.out[0].data)[k * positions + i];
      CHECK_MSG(fabs(mean[k] + 2 * sum / (double)positions) < 1e-5, "round %d, channel %zu: %g for %g", round, k, mean[k],
                -2 * sum / (double)positions);
    }
    case_free(&c);
  }
}

int main(int argc, char **argv) {
  TEST_BEGIN(argc, argv);
  RUN(means_are_those_of_all_positions);
  return TEST_END();
}
