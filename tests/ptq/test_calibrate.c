/* The calibrator: what it sees is what a plain evaluation gives, however the samples are batched. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/cpu.h"
#include "ops/op.h"
#include "ptq/calibrate.h"
#include "test.h"

static long live_bytes, largest_bytes;

/* Sizes are kept in front, so that what is in use can be counted. */
static void *counting_allocate(void *user, size_t size, size_t alignment) {
  (void)user;
  (void)alignment;
  char *memory = aligned_alloc(64, (size + 127) / 64 * 64);
  if (!memory)
    return NULL;
  *(size_t *)(void *)memory = size;
  live_bytes += (long)size;
  largest_bytes = live_bytes > largest_bytes ? live_bytes : largest_bytes;
  return memory + 64;
}
static void counting_release(void *user, void *memory) {
  (void)user;
  char *begin = (char *)memory - 64;
  live_bytes -= (long)*(size_t *)(void *)begin;
  free(begin);
}

static q8_host host;
static q8_graph *graph;

/* x [N, 6] -> Relu -> r -> Sigmoid -> y: an input, an inner tensor and an output. */
static void build(void) {
  q8_shape shape = {.rank = 2, .dim = {-1, 6}};
  q8_id x, r, y;
  CHECK(q8_graph_create(&host, &graph, NULL) == QINT8_OK);
  CHECK(q8_graph_add_tensor(graph, "x", QINT8_DTYPE_F32, &shape, NULL, &x, NULL) == QINT8_OK);
  CHECK(q8_graph_add_tensor(graph, "r", QINT8_DTYPE_F32, &shape, NULL, &r, NULL) == QINT8_OK);
  CHECK(q8_graph_add_tensor(graph, "y", QINT8_DTYPE_F32, &shape, NULL, &y, NULL) == QINT8_OK);
  const q8_op *relu = q8_op_find("Relu", ""), *sigmoid = q8_op_find("Sigmoid", "");
  char params[2][256] = {{0}};
  CHECK(relu && sigmoid && relu->params_size <= 256 && sigmoid->params_size <= 256);
  q8_op_defaults(relu, params[0]);
  q8_op_defaults(sigmoid, params[1]);
  CHECK(q8_graph_add_node(graph, "relu", relu, params[0], relu->params_size, &x, 1, &r, 1, NULL) == QINT8_OK);
  CHECK(q8_graph_add_node(graph, "sigmoid", sigmoid, params[1], sigmoid->params_size, &r, 1, &y, 1, NULL) == QINT8_OK);
  CHECK(q8_graph_set_inputs(graph, &x, 1, NULL) == QINT8_OK);
  CHECK(q8_graph_set_outputs(graph, &y, 1, NULL) == QINT8_OK);
  CHECK(q8_graph_freeze(graph, NULL) == QINT8_OK);
}

static q8_calibrator *make(void) {
  q8_calibrator_config config = {.observer = QINT8_OBSERVER_HISTOGRAM_MSE,
                                 .moving_average = 0.1f,
                                 .mask = q8_cpu_detect(),
                                 .isa = "best"};
  q8_calibrator *calibrator = NULL;
  CHECK(q8_calibrator_new(graph, &config, &host, &calibrator, NULL) == QINT8_OK);
  return calibrator;
}

static q8_status feed(q8_calibrator *calibrator, const float *x, int64_t samples, qint8_error *error) {
  q8_shape shape = {.rank = 2, .dim = {samples, 6}};
  const void *inputs[] = {x};
  return q8_calibrator_feed(calibrator, &shape, inputs, error);
}

enum { SAMPLES = 60 };
static float values[SAMPLES * 6];

static void fill(void) {
  for (int i = 0; i < SAMPLES * 6; i++)
    values[i] = test_random_float(-3, 2);
}

static void sees_every_tensor(void) {
  build();
  fill();
  q8_calibrator *calibrator = make();
  q8_ranges *ranges;
  CHECK_EQ(q8_calibrator_ranges(calibrator, &ranges, NULL), QINT8_ERROR_STATE);
  CHECK(ranges == NULL);
  CHECK_EQ(feed(calibrator, values, SAMPLES, NULL), QINT8_OK);
  CHECK_EQ(q8_calibrator_ranges(calibrator, &ranges, NULL), QINT8_OK);
  CHECK_EQ(q8_ranges_count(ranges), 3);
  float low = INFINITY, high = -INFINITY;
  for (int i = 0; i < SAMPLES * 6; i++) {
    low = fminf(low, values[i]);
    high = fmaxf(high, values[i]);
  }
  for (size_t i = 0; i < q8_ranges_count(ranges); i++) {
    const char *name;
    qint8_range range = QINT8_RANGE_INIT;
    CHECK_EQ(q8_ranges_get(ranges, i, &name, &range, NULL), QINT8_OK);
    CHECK_EQ(range.count, SAMPLES * 6);
    if (!strcmp(name, "x"))
      CHECK(range.min == low && range.max == high);
    else if (!strcmp(name, "r"))
      CHECK(range.min == 0 && range.max == high);
    else
      CHECK(range.min == 0.5f && fabsf(range.max - 1 / (1 + expf(-high))) < 1e-5f);
  }
  const char *name;
  qint8_range range = QINT8_RANGE_INIT;
  CHECK_EQ(q8_ranges_get(ranges, 3, &name, &range, NULL), QINT8_ERROR_ARGUMENT);
  q8_ranges_free(ranges);
  q8_calibrator_free(calibrator);
  q8_graph_destroy(graph);
  CHECK_EQ(live_bytes, 0);
}

static void batches_do_not_matter(void) {
  build();
  fill();
  q8_calibrator *whole = make(), *parts = make();
  CHECK_EQ(feed(whole, values, SAMPLES, NULL), QINT8_OK);
  for (int i = 0; i < SAMPLES;) {
    int n = test_random_int(1, 7);
    n = n < SAMPLES - i ? n : SAMPLES - i;
    CHECK_EQ(feed(parts, values + i * 6, n, NULL), QINT8_OK);
    i += n;
  }
  q8_ranges *a, *b;
  CHECK_EQ(q8_calibrator_ranges(whole, &a, NULL), QINT8_OK);
  CHECK_EQ(q8_calibrator_ranges(parts, &b, NULL), QINT8_OK);
  for (size_t i = 0; i < 3; i++) {
    const char *name;
    qint8_range x = QINT8_RANGE_INIT, y = QINT8_RANGE_INIT;
    CHECK_EQ(q8_ranges_get(a, i, &name, &x, NULL), QINT8_OK);
    CHECK_EQ(q8_ranges_get(b, i, &name, &y, NULL), QINT8_OK);
    CHECK_MSG(memcmp(&x, &y, sizeof(x)) == 0, "%s", name);
  }
  q8_ranges_free(a);
  q8_ranges_free(b);
  q8_calibrator_free(whole);
  q8_calibrator_free(parts);
  q8_graph_destroy(graph);
}

static void memory_does_not_grow(void) {
  build();
  fill();
  q8_calibrator *calibrator = make();
  for (int i = 0; i < 10; i++)
    CHECK_EQ(feed(calibrator, values, 1 + i % 2, NULL), QINT8_OK);
  long after_ten = largest_bytes;
  for (int i = 0; i < 1000; i++)
    CHECK_EQ(feed(calibrator, values, 1 + i % 2, NULL), QINT8_OK);
  CHECK_EQ(largest_bytes, after_ten);
  q8_calibrator_free(calibrator);
  q8_graph_destroy(graph);
  CHECK_EQ(live_bytes, 0);
}

static void bad_inputs_are_named(void) {
  build();
  fill();
  q8_calibrator *calibrator = make();
  values[7] = NAN;
  qint8_error error = QINT8_ERROR_INIT;
  CHECK_EQ(feed(calibrator, values, 2, &error), QINT8_ERROR_DATA);
  CHECK(strcmp(error.where, "x") == 0 && strstr(error.message, "element 7") != NULL);
  q8_ranges *ranges;
  CHECK_EQ(q8_calibrator_ranges(calibrator, &ranges, NULL), QINT8_ERROR_STATE); /* nothing of it was seen */
  CHECK_EQ(feed(calibrator, values + 12, 2, &error), QINT8_OK);
  q8_calibrator_free(calibrator);
  q8_graph_destroy(graph);
}

int main(int argc, char **argv) {
  TEST_BEGIN(argc, argv);
  qint8_host given = QINT8_HOST_INIT;
  given.allocate = counting_allocate;
  given.release = counting_release;
  CHECK(q8_host_init(&host, &given, NULL) == QINT8_OK);
  RUN(sees_every_tensor);
  RUN(batches_do_not_matter);
  RUN(memory_does_not_grow);
  RUN(bad_inputs_are_named);
  return TEST_END();
}
