/* Warnings about calibration data: each is given where it is due, only there, and whatever the batches. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/cpu.h"
#include "ops/op.h"
#include "ptq/calibrate.h"
#include "ptq/warnings.h"
#include "test.h"

enum { SAMPLES = 64, WIDTH = 6, MAX_WARNINGS = 64, NAME_ROOM = 8 };
static q8_host host;
static q8_graph *graph;
static float values[SAMPLES * WIDTH];

static const q8_op *op_named(const char *name, char *params, size_t size) {
  const q8_op *op = q8_op_find(name, "");
  CHECK(op && op->params_size <= size);
  memset(params, 0, size);
  q8_op_defaults(op, params);
  return op;
}

/* x [N, 6] -> first -> r -> Sigmoid -> y. */
static void build(const char *first) {
  q8_shape shape = {.rank = 2, .dim = {-1, WIDTH}};
  char params[2][256];
  q8_id id[3];
  const char *names[] = {"x", "r", "y"};
  CHECK(q8_graph_create(&host, &graph, NULL) == QINT8_OK);
  for (int i = 0; i < 3; i++)
    CHECK(q8_graph_add_tensor(graph, names[i], QINT8_DTYPE_F32, &shape, NULL, &id[i], NULL) == QINT8_OK);
  const q8_op *ops[] = {op_named(first, params[0], 256), op_named("Sigmoid", params[1], 256)};
  for (int i = 0; i < 2; i++)
    CHECK(q8_graph_add_node(graph, ops[i]->name, ops[i], params[i], ops[i]->params_size, &id[i], 1, &id[i + 1], 1,
                            NULL) == QINT8_OK);
  CHECK(q8_graph_set_inputs(graph, &id[0], 1, NULL) == QINT8_OK);
  CHECK(q8_graph_set_outputs(graph, &id[2], 1, NULL) == QINT8_OK);
  CHECK(q8_graph_freeze(graph, NULL) == QINT8_OK);
}

static void fill(void) {
  for (int i = 0; i < SAMPLES * WIDTH; i++)
    values[i] = test_random_float(-3, 2);
}

/* Batches of 1 to most_per_batch. */
static q8_ranges *calibrate(int samples, int most_per_batch) {
  q8_calibrator_config config = {
      .observer = QINT8_OBSERVER_HISTOGRAM_MSE, .moving_average = 0.1f, .mask = q8_cpu_detect(), .isa = "best"};
  q8_calibrator *calibrator;
  q8_ranges *ranges;
  CHECK(q8_calibrator_new(graph, &config, &host, &calibrator, NULL) == QINT8_OK);
  for (int i = 0; i < samples;) {
    int n = test_random_int(1, most_per_batch);
    n = n < samples - i ? n : samples - i;
    q8_shape shape = {.rank = 2, .dim = {n, WIDTH}};
    const void *inputs[] = {values + i * WIDTH};
    CHECK_EQ(q8_calibrator_feed(calibrator, &shape, inputs, NULL), QINT8_OK);
    i += n;
  }
  CHECK_EQ(q8_calibrator_ranges(calibrator, &ranges, NULL), QINT8_OK);
  q8_calibrator_free(calibrator);
  return ranges;
}

typedef struct list {
  qint8_warning at[MAX_WARNINGS]; /* without their tensors' names, which belong to the ranges */
  char tensors[MAX_WARNINGS][NAME_ROOM];
  int count;
} list;

static int take(void *user, const qint8_warning *warning) {
  list *l = user;
  CHECK(l->count < MAX_WARNINGS && strlen(warning->message) > 30 && strlen(warning->tensor) < NAME_ROOM);
  strcpy(l->tensors[l->count], warning->tensor);
  l->at[l->count] = *warning;
  l->at[l->count++].tensor = NULL;
  return 0;
}

static list warnings(int samples) {
  list l = {.count = 0};
  q8_ranges *ranges = calibrate(samples, 9);
  q8_ranges_examine(ranges, NULL, take, &l);
  q8_ranges_free(ranges);
  return l;
}

static const qint8_warning *find(const list *l, int32_t code, const char *tensor) {
  for (int i = 0; i < l->count; i++)
    if (l->at[i].code == code && !strcmp(l->tensors[i], tensor))
      return &l->at[i];
  return NULL;
}

static void good_data_gives_none(void) {
  build("Relu");
  for (int round = 0; round < 20; round++) {
    fill();
    list l = warnings(SAMPLES);
    CHECK_MSG(l.count == 0, "%s: %s", l.tensors[0], l.at[0].message);
  }
  q8_graph_destroy(graph);
}

static void few_samples(void) {
  build("Relu");
  fill();
  list l = warnings(31), none = warnings(32);
  CHECK(find(&l, QINT8_WARNING_FEW_SAMPLES, "") && find(&l, QINT8_WARNING_FEW_SAMPLES, "")->count == 31);
  CHECK(!find(&none, QINT8_WARNING_FEW_SAMPLES, ""));
  q8_graph_destroy(graph);
}

static void outliers_are_named(void) {
  build("Relu");
  fill();
  for (int i = 0; i < WIDTH; i++)
    values[17 * WIDTH + i] *= 10;
  list l = warnings(SAMPLES);
  const qint8_warning *w = find(&l, QINT8_WARNING_OUTLIER, "x");
  CHECK(w && w->sample == 17 && w->amount > 3 && w->amount < 11 && w->count >= 1);
  CHECK(!find(&l, QINT8_WARNING_GROWING, "x"));
  for (int i = 0; i < WIDTH; i++)
    values[63 * WIDTH + i] *= 11; /* two that lie outside together, one at the end */
  l = warnings(SAMPLES);
  w = find(&l, QINT8_WARNING_OUTLIER, "x");
  CHECK(w && (w->sample == 17 || w->sample == 63) && strstr(w->message, "and 1 other"));
  q8_graph_destroy(graph);
}

static void growth(void) {
  build("Relu");
  fill();
  for (int i = 0; i < SAMPLES * WIDTH; i++)
    values[i] *= 1 + (float)(i / WIDTH) / 16;
  list l = warnings(SAMPLES);
  const qint8_warning *w = find(&l, QINT8_WARNING_GROWING, "x");
  if (!w)
    w = find(&l, QINT8_WARNING_GROWING, "r");
  CHECK(w && w->amount > 0.1 && w->amount < 1);
  CHECK(!find(&l, QINT8_WARNING_OUTLIER, "x"));
  q8_graph_destroy(graph);
}

static void channels(void) {
  build("Relu");
  fill();
  for (int i = 0; i < SAMPLES; i++) {
    values[i * WIDTH + 2] = -0.5f - test_random_float(0, 1);
    values[i * WIDTH + 4] = 0.25f;
  }
  list l = warnings(SAMPLES);
  const qint8_warning *dead = find(&l, QINT8_WARNING_DEAD_CHANNELS, "r");
  const qint8_warning *constant = find(&l, QINT8_WARNING_CONSTANT_CHANNELS, "x");
  CHECK(dead && dead->count == 1 && strstr(dead->message, "1 of 6") && strstr(dead->message, "is 2:"));
  CHECK(constant && constant->count == 1 && strstr(constant->message, "is 4, always 0.25"));
  CHECK(!find(&l, QINT8_WARNING_DEAD_CHANNELS, "x"));
  for (int i = 0; i < SAMPLES * WIDTH; i++)
    values[i] = -1;
  l = warnings(SAMPLES);
  CHECK(find(&l, QINT8_WARNING_CONSTANT_TENSOR, "r") && find(&l, QINT8_WARNING_CONSTANT_TENSOR, "x")->amount == -1);
  CHECK(!find(&l, QINT8_WARNING_CONSTANT_CHANNELS, "x"));
  q8_graph_destroy(graph);
}

static void overflow(void) {
  build("Exp");
  fill();
  values[5] = 200;
  list l = warnings(SAMPLES);
  CHECK(find(&l, QINT8_WARNING_NONFINITE, "r") && find(&l, QINT8_WARNING_NONFINITE, "r")->count == 1);
  CHECK(!find(&l, QINT8_WARNING_NONFINITE, "x"));
  q8_graph_destroy(graph);
}

static void other_data(void) {
  build("Relu");
  fill();
  list l = {.count = 0};
  q8_ranges *a = calibrate(SAMPLES, 9);
  fill();
  q8_ranges *alike = calibrate(SAMPLES, 9);
  q8_ranges_examine(a, alike, take, &l);
  CHECK_EQ(l.count, 0);
  for (int i = 0; i < SAMPLES * WIDTH; i++)
    values[i] = 2 * values[i] + 1;
  q8_ranges *wide = calibrate(SAMPLES, 9);
  q8_ranges_examine(a, wide, take, &l);
  const qint8_warning *w = find(&l, QINT8_WARNING_SHIFTED, "x");
  CHECK(w && w->amount > 0 && w->amount < 0.7);
  l.count = 0;
  for (int i = 0; i < SAMPLES * WIDTH; i++)
    values[i] = -2.9f + values[i] / 100; /* inside the range, but elsewhere */
  q8_ranges *narrow = calibrate(SAMPLES, 9);
  q8_ranges_examine(a, narrow, take, &l);
  w = find(&l, QINT8_WARNING_SHIFTED, "x");
  CHECK(w && w->amount < 0.1);
  q8_ranges_free(narrow);
  q8_ranges_free(wide);
  q8_ranges_free(alike);
  q8_ranges_free(a);
  q8_graph_destroy(graph);
}

static void overlap(void) {
  q8_histogram seen[2], rooms[2];
  q8_kernels kernels;
  q8_kernels_select(q8_cpu_detect(), &kernels);
  const float x[] = {-1, -0.5f, 0, 0, 0.25f, 0.75f, 1, 1}, y[] = {0, 0, 1, 1, 1e-3f, 2e-3f, 1000, -1000};
  for (int i = 0; i < 2; i++) {
    q8_histogram *h = &seen[i];
    q8_histogram_clear(h);
    q8_histogram_widen(h, i ? -1000 : -1, i ? 1000 : 1);
    CHECK(q8_histogram_count(h, i ? y : x, 8, 1, kernels.slots));
  }
  const q8_histogram *a = q8_histogram_counted(&seen[0], &rooms[0], kernels.slots);
  const q8_histogram *b = q8_histogram_counted(&seen[1], &rooms[1], kernels.slots);
  CHECK(fabs(q8_histogram_overlap(a, a) - 1) < 1e-12 && fabs(q8_histogram_overlap(b, b) - 1) < 1e-12);
  double ab = q8_histogram_overlap(a, b); /* zeros, and four of the values behind zero in one wide bin */
  CHECK(fabs(ab - 0.75) < 1e-12 && fabs(ab - q8_histogram_overlap(b, a)) < 1e-12);
}

/* All of it at once: the warnings of any split are the same bytes. */
static void batches_do_not_matter(void) {
  build("Relu");
  fill();
  for (int i = 0; i < SAMPLES; i++)
    values[i * WIDTH + 2] = -1;
  values[9 * WIDTH] = 40;
  for (int i = 50 * WIDTH; i < SAMPLES * WIDTH; i++)
    values[i] *= 1.3f;
  static list expected, got;
  for (int most = 1; most <= SAMPLES; most += 7) {
    q8_ranges *ranges = calibrate(SAMPLES, most);
    memset(&got, 0, sizeof got);
    q8_ranges_examine(ranges, NULL, take, &got);
    if (most == 1)
      expected = got;
    CHECK(got.count >= 2 && !memcmp(&expected, &got, sizeof got));
    q8_ranges_free(ranges);
  }
  q8_graph_destroy(graph);
}

int main(int argc, char **argv) {
  TEST_BEGIN(argc, argv);
  CHECK(q8_host_init(&host, NULL, NULL) == QINT8_OK);
  RUN(good_data_gives_none);
  RUN(few_samples);
  RUN(outliers_are_named);
  RUN(growth);
  RUN(channels);
  RUN(overflow);
  RUN(other_data);
  RUN(overlap);
  RUN(batches_do_not_matter);
  return TEST_END();
}
