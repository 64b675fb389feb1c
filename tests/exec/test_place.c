/* Steps that write into the result of Concat: the same bytes as a plan that merges nothing, for any threads and batch, in an
 * arena that is exact. */
#include <stdlib.h>
#include <string.h>

#include "base/cpu.h"
#include "exec/exec.h"
#include "ops/hooks.h"
#include "ptq/decide.h"
#include "test.h"

enum { CHANNELS = 8, HEIGHT = 11, WIDTH = 13, BATCH = 5, SAMPLE = CHANNELS * HEIGHT * WIDTH, LAST = 5 };
enum { RESULT = LAST * HEIGHT * WIDTH };

static q8_host host;
static q8_cpu_mask mask; /* of the plans */
static q8_kernels kernels;
static q8_graph *graph;
static q8_recipe *recipe;

static q8_id constant(const char *name, q8_shape shape) {
  size_t count = q8_shape_count(&shape, NULL);
  float *data = q8_pool_alloc(&graph->pool, count, sizeof *data);
  q8_id id;
  for (size_t i = 0; i < count; i++)
    data[i] = test_random_float(-0.2f, 0.2f);
  CHECK(q8_graph_add_tensor(graph, name, QINT8_DTYPE_F32, &shape, data, &id, NULL) == QINT8_OK);
  return id;
}

static int64_t group = 1; /* of the next convolution */

/* kernel: 0, or the side of a window that keeps the size. */
static q8_id node(const char *op_name, const char *output, int64_t kernel, int count, const q8_id *inputs) {
  const q8_op *op = q8_op_find(op_name, "");
  q8_shape shape = {.rank = -1};
  q8_id out;
  void *params = calloc(1, op->params_size + 1);
  q8_op_defaults(op, params);
  const q8_attribute *size = q8_op_attribute(op, "kernel_shape"), *pads = q8_op_attribute(op, "pads");
  const q8_attribute *axis = q8_op_attribute(op, "axis");
  const q8_attribute *groups = q8_op_attribute(op, "group");
  int64_t pad = kernel / 2;
  if (groups)
    *(int64_t *)(void *)((char *)params + groups->offset) = group;
  if (kernel) {
    *(q8_ints *)(void *)((char *)params + size->offset) = (q8_ints){2, {kernel, kernel}};
    *(q8_ints *)(void *)((char *)params + pads->offset) = (q8_ints){4, {pad, pad, pad, pad}};
  }
  if (axis)
    *(int64_t *)(void *)((char *)params + axis->offset) = 1;
  CHECK(q8_graph_add_tensor(graph, output, QINT8_DTYPE_F32, &shape, NULL, &out, NULL) == QINT8_OK);
  CHECK(q8_graph_add_node(graph, output, op, params, op->params_size, inputs, count, &out, 1, NULL) == QINT8_OK);
  free(params);
  return out;
}

static q8_id grouped(const char *name, q8_id x, int64_t inputs, int64_t outputs, int64_t kernel, int64_t groups) {
  char w[32];
  snprintf(w, sizeof w, "%s.w", name);
  q8_id both[2] = {x, constant(w, (q8_shape){.rank = 4, .dim = {outputs, inputs / groups, kernel, kernel}})};
  group = groups;
  q8_id y = node("Conv", name, kernel, 2, both);
  group = 1;
  return y;
}

static q8_id conv(const char *name, q8_id x, int64_t inputs, int64_t outputs, int64_t kernel) {
  return grouped(name, x, inputs, outputs, kernel, 1);
}

enum { PARTS = 9, WIDE = 24, JOINED = 19 + 3 * WIDE + 5 * CHANNELS };

/* Side by side: a matrix, taps with a function, a sum as second stage, a maximum, depthwise with a function, a function of
 * a tensor with other readers, a product with one factor per channel, a sum of its own; then a tensor with other readers,
 * which must be copied. */
static void build(int config) {
  q8_shape shape = {.rank = 4, .dim = {-1, CHANNELS, HEIGHT, WIDTH}};
  q8_ranges *ranges;
  q8_id x, parts[PARTS];
  qint8_error error = QINT8_ERROR_INIT;
  CHECK(q8_graph_create(&host, &graph, NULL) == QINT8_OK);
  CHECK(q8_graph_add_tensor(graph, "x", QINT8_DTYPE_F32, &shape, NULL, &x, NULL) == QINT8_OK);
  CHECK(q8_graph_set_inputs(graph, &x, 1, NULL) == QINT8_OK);
  q8_id start = conv("start", x, CHANNELS, CHANNELS, 3), b = conv("b", start, CHANNELS, 24, 3);
  parts[0] = conv("a", start, CHANNELS, 19, 1);
  parts[1] = node("HardSwish", "h", 0, 1, &b);
  q8_id summands[2] = {conv("c", start, CHANNELS, CHANNELS, 1), start};
  parts[2] = node("Add", "s", 0, 2, summands);
  parts[3] = node("MaxPool", "m", 3, 1, &start);
  q8_id wide = conv("wide", start, CHANNELS, WIDE, 1), deep = grouped("deep", wide, WIDE, WIDE, 3, WIDE);
  parts[4] = node("HardSwish", "d", 0, 1, &deep);
  parts[5] = node("Sigmoid", "f", 0, 1, &start);
  q8_id mean = node("GlobalAveragePool", "mean", 0, 1, &start), gate = conv("gate", mean, CHANNELS, CHANNELS, 1);
  parts[6] = node("Mul", "g", 0, 2, (q8_id[]){start, gate});
  q8_id plain = grouped("plain", wide, WIDE, WIDE, 5, WIDE), least = node("Tanh", "least", 0, 1, &plain);
  parts[7] = node("Add", "t", 0, 2, (q8_id[]){least, wide});
  parts[8] = start;
  q8_id joined = node("Concat", "joined", 0, PARTS, parts);
  q8_id y = conv("y", joined, JOINED, LAST, 1);
  CHECK(q8_graph_set_outputs(graph, &y, 1, NULL) == QINT8_OK);
  CHECK(q8_graph_freeze(graph, NULL) == QINT8_OK);
  q8_observer_config observer = {.kind = QINT8_OBSERVER_MINMAX, .moving_average = 0.1f, .minmax = kernels.minmax,
                                 .slots = kernels.slots};
  CHECK(q8_ranges_new(graph, &observer, &host, &ranges, NULL) == QINT8_OK);
  for (size_t t = 0; t < graph->tensor_count; t++)
    if (ranges->observers[t])
      q8_observer_observe(ranges->observers[t], (const float[]){-1, 2}, 1, 1, 2);
  CHECK_MSG(q8_decide(graph, ranges, config, QINT8_DTYPE_U8, 1, &host, &recipe, &error) == QINT8_OK, "%s", error.message);
  q8_ranges_free(ranges);
}

static void tasks(void *user, size_t count, void (*task)(void *, size_t), void *argument) {
  (void)user;
  while (count-- > 0)
    task(argument, count);
}

static q8_plan *compile(int plain, int64_t batch, int32_t threads, q8_host *used) {
  q8_shape shape = {.rank = 4, .dim = {batch, CHANNELS, HEIGHT, WIDTH}};
  q8_plan_config config = {.mask = mask, .isa = "", .inputs = &shape, .plain = plain};
  qint8_host given = {.struct_size = sizeof given, .threads = threads, .parallel_for = threads > 1 ? tasks : NULL};
  qint8_error error = QINT8_ERROR_INIT;
  q8_plan *plan = NULL;
  CHECK(q8_host_init(used, &given, NULL) == QINT8_OK);
  CHECK_MSG(q8_plan_compile(graph, recipe, &config, used, &plan, &error) == QINT8_OK, "%s", error.message);
  return plan;
}

static void run(int plain, int64_t batch, int32_t threads, const float *x, float *y) {
  q8_host used;
  q8_plan *plan = compile(plain, batch, threads, &used);
  size_t size = q8_plan_arena_bytes(plan);
  void *arena = aligned_alloc(64, q8_round_up(size, 64) + 64), *outputs[] = {y};
  const void *inputs[] = {x};
  q8_session *session;
  CHECK(q8_session_open(plan, arena, size - 1, &used, &session, NULL) == QINT8_ERROR_ARGUMENT);
  CHECK(q8_session_open(plan, arena, size, &used, &session, NULL) == QINT8_OK);
  memset(arena, 0x7F, size);
  CHECK(q8_session_execute(session, inputs, outputs, NULL) == QINT8_OK);
  q8_session_close(session);
  free(arena);
  q8_plan_free(plan);
}

/* Inputs of the step that copies what could not be placed; -1 without one. */
static int32_t copied(int plain) {
  q8_host used;
  q8_plan *plan = compile(plain, 1, 1, &used);
  int32_t count = -1;
  q8_shape shape;
  for (size_t i = 0; i < q8_plan_step_count(plan); i++)
    if (!strcmp(q8_plan_step_at(plan, i, &shape)->kind, "concat"))
      count = q8_plan_step_at(plan, i, &shape)->in_count;
  q8_plan_free(plan);
  return count;
}

/* ---- Watching ---- */

enum { SEEN_NAMES = 8 };
static const char *const seen_names[SEEN_NAMES] = {"a", "s", "m", "d", "f", "g", "t", "joined"};

typedef struct seen {
  float *values[SEEN_NAMES];
  size_t count[SEEN_NAMES];
  int times[SEEN_NAMES], replace; /* which of them to negate, or -1 */
} seen;

static void watch(void *user, q8_id tensor, const char *name, const q8_shape *shape, const float *values, size_t count) {
  seen *s = user;
  (void)tensor;
  CHECK_EQ(q8_shape_count(shape, NULL), count);
  for (int i = 0; i < SEEN_NAMES; i++) {
    if (strcmp(seen_names[i], name))
      continue;
    free(s->values[i]);
    s->values[i] = malloc(count * sizeof *values);
    memcpy(s->values[i], values, count * sizeof *values);
    s->count[i] = count;
    s->times[i]++;
  }
}

static int negate(void *user, q8_id tensor, const char *name, const q8_shape *shape, float *values, size_t count) {
  const seen *s = user;
  (void)tensor, (void)shape;
  if (s->replace < 0 || strcmp(seen_names[s->replace], name))
    return 0;
  for (size_t i = 0; i < count; i++)
    values[i] = -values[i];
  return 1;
}

static void run_watched(int plain, int replace, const float *x, float *y, seen *out) {
  q8_host used;
  q8_plan *plan = compile(plain, BATCH, 1, &used);
  q8_session *session;
  void *outputs[] = {y};
  const void *inputs[] = {x};
  *out = (seen){.replace = replace};
  CHECK(q8_session_open(plan, NULL, 0, &used, &session, NULL) == QINT8_OK);
  CHECK(q8_session_watch(session, watch, out, 0, NULL) == QINT8_OK);
  CHECK(q8_session_replace(session, negate, out, NULL) == QINT8_OK);
  CHECK(q8_session_execute(session, inputs, outputs, NULL) == QINT8_OK);
  q8_session_close(session);
  q8_plan_free(plan);
}

static void free_seen(seen *s) {
  for (int i = 0; i < SEEN_NAMES; i++)
    free(s->values[i]);
}

/* Parts of the concatenated tensor and itself are seen once each and as in a plan without places; a part that is replaced
 * is what later steps see. */
static void check_watched(const float *x) {
  static float want[BATCH * RESULT], got[BATCH * RESULT];
  for (int replace = -1; replace < SEEN_NAMES - 1; replace++) {
    seen plain, placed;
    run_watched(1, replace, x, want, &plain);
    run_watched(0, replace, x, got, &placed);
    CHECK_MSG(!memcmp(want, got, sizeof got), "other bytes after replacing %d", replace);
    for (int i = 0; i < SEEN_NAMES; i++) {
      CHECK_EQ(placed.times[i], 1);
      CHECK_EQ(placed.count[i], plain.count[i]);
      CHECK_MSG(placed.count[i] && !memcmp(plain.values[i], placed.values[i], placed.count[i] * sizeof(float)),
                "%s is seen with other values", seen_names[i]);
    }
    free_seen(&plain);
    free_seen(&placed);
  }
}

static void check_config(int config, int32_t copies) {
  static float x[BATCH * SAMPLE], want[BATCH * RESULT], got[BATCH * RESULT];
  static const int32_t threads[] = {1, 2, 3, 7};
  build(config);
  for (size_t i = 0; i < BATCH * SAMPLE; i++)
    x[i] = test_random_float(-1, 2);
  CHECK_EQ(copied(1), PARTS);
  CHECK_EQ(copied(0), copies);
  for (size_t k = 0; k < q8_isa_count; k++) {
    mask = q8_isa_list[k]->needs;
    if (mask & ~q8_cpu_detect())
      continue;
    run(1, BATCH, 1, x, want);
    for (int i = 0; i < 4; i++) {
      run(0, BATCH, threads[i], x, got);
      CHECK_MSG(!memcmp(want, got, sizeof got), "%s: other bytes on %d threads", q8_isa_list[k]->name, (int)threads[i]);
    }
    for (size_t i = 0; i < BATCH; i++) {
      run(0, 1, 1, x + i * SAMPLE, got);
      CHECK_MSG(!memcmp(want + i * RESULT, got, RESULT * sizeof *got), "%s: other bytes for sample %zu alone",
                q8_isa_list[k]->name, i);
    }
    check_watched(x);
  }
  q8_recipe_free(recipe);
  q8_graph_destroy(graph);
}

static void int8_results_are_placed(void) {
  check_config(QINT8_CONFIG_STATIC_PER_CHANNEL, 1);
}

static void float_results_are_placed(void) {
  check_config(QINT8_CONFIG_FP32, 1);
}

static void dynamic_results_are_placed(void) {
  check_config(QINT8_CONFIG_DYNAMIC, 1);
}

int main(int argc, char **argv) {
  TEST_BEGIN(argc, argv);
  mask = q8_cpu_detect();
  q8_kernels_select(mask, &kernels);
  CHECK(q8_host_init(&host, NULL, NULL) == QINT8_OK);
  RUN(int8_results_are_placed);
  RUN(float_results_are_placed);
  RUN(dynamic_results_are_placed);
  return TEST_END();
}
