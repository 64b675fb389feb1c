/* Steps that run a band of rows at a time: on random networks of depthwise and 1x1 convolutions, int8 and float, the same
 * bytes as a plan that merges nothing, on every ISA, for any threads and batch, in an arena that is exact, without
 * allocations, also where they write into the result of Concat; and a watcher sees what lies between them. */
#include <stdlib.h>
#include <string.h>

#include "base/cpu.h"
#include "exec/plan_internal.h"
#include "models.h"
#include "ops/hooks.h"
#include "ptq/decide.h"
#include "test.h"

enum { NETWORKS = 24, BATCH = 5, MAX_TENSORS = 64 };

static q8_host host;
static q8_kernels kernels;
static counting_host counter;
static int merged[2][2]; /* steps that ran in bands: with a 1x1 convolution before the depthwise one, behind it */
static int joined[2];    /* those of them that wrote into the result of Concat: depthwise last, a 1x1 convolution last */

typedef struct network {
  q8_graph *graph;
  q8_recipe *recipe;
  q8_shape input; /* of one sample */
  size_t in_size, l2;
  int names;
} network;

static q8_id constant(network *n, q8_shape shape) {
  size_t count = q8_shape_count(&shape, NULL);
  float *data = q8_pool_alloc(&n->graph->pool, count, sizeof *data);
  char name[16];
  q8_id id;
  snprintf(name, sizeof name, "w%d", n->names++);
  for (size_t i = 0; i < count; i++)
    data[i] = test_random_float(-0.3f, 0.3f);
  CHECK(q8_graph_add_tensor(n->graph, name, QINT8_DTYPE_F32, &shape, data, &id, NULL) == QINT8_OK);
  return id;
}

static void set_ints(const q8_op *op, void *params, const char *name, int32_t count, int64_t value) {
  q8_ints *out = (q8_ints *)(void *)((char *)params + q8_op_attribute(op, name)->offset);
  out->count = count;
  for (int32_t i = 0; i < count; i++)
    out->v[i] = value;
}

typedef struct window {
  int64_t kernel, stride, pad, group;
} window;

static q8_id node(network *n, const char *op_name, const window *w, int count, const q8_id *inputs) {
  const q8_op *op = q8_op_find(op_name, "");
  q8_shape shape = {.rank = -1};
  char name[16];
  q8_id out;
  void *params = calloc(1, op->params_size + 1);
  q8_op_defaults(op, params);
  snprintf(name, sizeof name, "t%d", n->names++);
  if (w) {
    set_ints(op, params, "kernel_shape", 2, w->kernel);
    set_ints(op, params, "strides", 2, w->stride);
    set_ints(op, params, "pads", 4, w->pad);
    *(int64_t *)(void *)((char *)params + q8_op_attribute(op, "group")->offset) = w->group;
  }
  if (q8_op_attribute(op, "axis"))
    *(int64_t *)(void *)((char *)params + q8_op_attribute(op, "axis")->offset) = 1;
  CHECK(q8_graph_add_tensor(n->graph, name, QINT8_DTYPE_F32, &shape, NULL, &out, NULL) == QINT8_OK);
  CHECK(q8_graph_add_node(n->graph, name, op, params, op->params_size, inputs, count, &out, 1, NULL) == QINT8_OK);
  free(params);
  return out;
}

static q8_id conv(network *n, q8_id x, int64_t channels, int64_t outputs, window w) {
  q8_id both[2] = {x, constant(n, (q8_shape){.rank = 4, .dim = {outputs, channels / w.group, w.kernel, w.kernel}})};
  return node(n, "Conv", &w, 2, both);
}

/* Nothing, a clamp or a table. */
static q8_id function(network *n, q8_id x) {
  static const char *const functions[] = {NULL, "Relu", "HardSwish"};
  const char *name = functions[test_random_int(0, 2)];
  return name ? node(n, name, NULL, 1, &x) : x;
}

static void decide(network *n, int32_t dtype) {
  q8_observer_config observer = {.kind = QINT8_OBSERVER_MINMAX, .moving_average = 0.1f, .minmax = kernels.minmax,
                                 .slots = kernels.slots};
  q8_ranges *ranges;
  qint8_error error = QINT8_ERROR_INIT;
  CHECK(q8_ranges_new(n->graph, &observer, &host, &ranges, NULL) == QINT8_OK);
  for (size_t t = 0; t < n->graph->tensor_count; t++)
    if (ranges->observers[t])
      q8_observer_observe(ranges->observers[t], (const float[]){-1, 2}, 1, 1, 2);
  q8_status status = q8_decide(n->graph, ranges, QINT8_CONFIG_STATIC_PER_CHANNEL, dtype, 1, &host, &n->recipe, &error);
  CHECK_MSG(status == QINT8_OK, "%s", error.message);
  q8_ranges_free(ranges);
}

typedef enum joining { NO_CONCAT, PROJECTION_JOINS, DEPTHWISE_JOINS } joining;

/* Inverted residuals, with and without expansion, projection and sum, or a Concat in its place. */
static q8_id add_block(network *n, q8_id x, joining joins, int64_t *channels) {
  const window point = {1, 1, 0, 1};
  const q8_id from = x;
  const int64_t before = *channels, kernel = test_random_int(0, 1) ? 3 : 5;
  const int sums = !joins && test_random_int(0, 2) == 0, same = joins || sums;
  if (same || test_random_int(0, 3)) {
    *channels = test_random_int(20, 70);
    x = function(n, conv(n, x, before, *channels, point));
  }
  window depth = {kernel, same || test_random_int(0, 3) ? 1 : 2, same || test_random_int(0, 3) ? kernel / 2 : 0, *channels};
  x = function(n, conv(n, x, *channels, *channels, depth));
  if (joins ? joins == PROJECTION_JOINS : sums || test_random_int(0, 3)) {
    int64_t after = sums ? before : test_random_int(2, 24);
    x = conv(n, x, *channels, after, point);
    *channels = after;
  }
  if (joins) {
    const q8_id parts[2] = {function(n, x), from};
    *channels += before;
    return node(n, "Concat", NULL, 2, parts);
  }
  const q8_id both[2] = {x, from};
  return function(n, sums ? node(n, "Add", NULL, 2, both) : x);
}

static void build(network *n, joining joins, int floats) {
  int64_t channels = test_random_int(2, 24);
  q8_id x;
  *n = (network){.l2 = (size_t)(floats ? sizeof(float) : 1) << test_random_int(14, 17)};
  n->input = (q8_shape){.rank = 4, .dim = {1, channels, test_random_int(25, 50), test_random_int(17, 24)}};
  n->in_size = q8_shape_count(&n->input, NULL);
  q8_shape symbolic = n->input;
  symbolic.dim[0] = -1;
  CHECK(q8_graph_create(&host, &n->graph, NULL) == QINT8_OK);
  CHECK(q8_graph_add_tensor(n->graph, "x", QINT8_DTYPE_F32, &symbolic, NULL, &x, NULL) == QINT8_OK);
  CHECK(q8_graph_set_inputs(n->graph, &x, 1, NULL) == QINT8_OK);
  for (int block = 0; block < 3; block++)
    x = add_block(n, x, joins, &channels);
  CHECK(q8_graph_set_outputs(n->graph, &x, 1, NULL) == QINT8_OK);
  CHECK(q8_graph_freeze(n->graph, NULL) == QINT8_OK);
  if (!floats)
    decide(n, test_random_int(0, 1) ? QINT8_DTYPE_U8 : QINT8_DTYPE_S8);
}

/* ---- Running ---- */

typedef struct variant {
  int plain;
  int64_t batch;
  int32_t threads;
  q8_cpu_mask mask;
  q8_watch_fn watch;
  void *watch_user;
} variant;

/* Tasks run last to first: an order that a real pool may take. */
static void backwards(void *user, size_t count, void (*task)(void *, size_t), void *argument) {
  (void)user;
  while (count-- > 0)
    task(argument, count);
}

static q8_plan *compile(const network *n, const variant *v, q8_host *used) {
  q8_shape shape = n->input;
  shape.dim[0] = v->batch;
  q8_plan_config config = {.mask = v->mask, .isa = "", .inputs = &shape, .plain = v->plain, .l2 = n->l2};
  qint8_host given = counter.host;
  qint8_error error = QINT8_ERROR_INIT;
  q8_plan *plan = NULL;
  given.threads = v->threads;
  given.parallel_for = v->threads > 1 ? backwards : NULL;
  CHECK(q8_host_init(used, &given, NULL) == QINT8_OK);
  CHECK_MSG(q8_plan_compile(n->graph, n->recipe, &config, used, &plan, &error) == QINT8_OK, "%s", error.message);
  return plan;
}

static void count_merged(const q8_plan *plan) {
  q8_shape shape;
  for (size_t i = 0; i < q8_plan_step_count(plan); i++) {
    const q8_step *step = q8_plan_step_at(plan, i, &shape);
    if (!step->part_count)
      continue;
    const int point = !strcmp(step->parts[step->part_count - 1].kind, "conv");
    merged[!strcmp(step->parts[0].kind, "conv")][point]++;
    joined[point] += plan->buffers[step->out[0]].is_slice;
  }
}

/* The result (malloc), of *size bytes. */
static uint8_t *run(const network *n, const variant *v, const float *x, size_t *size) {
  q8_host used;
  q8_plan *plan = compile(n, v, &used);
  const q8_shape *shape = &q8_plan_output_info(plan, 0)->shape;
  size_t arena_size = q8_plan_arena_bytes(plan);
  *size = q8_shape_count(shape, NULL) * sizeof(float);
  uint8_t *y = calloc(*size, 1);
  uint8_t *arena = aligned_alloc(64, q8_round_up(arena_size, 64) + 64);
  const void *inputs[] = {x};
  void *outputs[] = {y};
  q8_session *session;
  memset(arena, 0x7F, arena_size);
  memset(arena + arena_size, 0xA5, 64);
  CHECK(q8_session_open(plan, arena, arena_size - 1, &used, &session, NULL) == QINT8_ERROR_ARGUMENT);
  CHECK(q8_session_open(plan, arena, arena_size, &used, &session, NULL) == QINT8_OK);
  if (v->watch)
    CHECK(q8_session_watch(session, v->watch, v->watch_user, 0, NULL) == QINT8_OK);
  long before = counter.allocations;
  CHECK(q8_session_execute(session, inputs, outputs, NULL) == QINT8_OK);
  CHECK_EQ(counter.allocations, before);
  for (size_t i = 0; i < 64; i++)
    CHECK_MSG(arena[arena_size + i] == 0xA5, "byte %zu behind the arena was written", i);
  count_merged(plan);
  q8_session_close(session);
  q8_plan_free(plan);
  free(arena);
  return y;
}

static void expect(const network *n, const variant *v, const float *x, const uint8_t *want, size_t want_size) {
  size_t size;
  uint8_t *got = run(n, v, x, &size);
  CHECK_EQ(size, want_size);
  CHECK_MSG(!memcmp(got, want, want_size), "other bytes: batch %d, %d threads, mask %llx", (int)v->batch, (int)v->threads,
            (unsigned long long)v->mask);
  free(got);
}

static float *random_input(const network *n) {
  float *x = malloc(BATCH * n->in_size * sizeof *x);
  for (size_t i = 0; i < BATCH * n->in_size; i++)
    x[i] = test_random_float(-1, 2);
  return x;
}

static void check_network(const network *n) {
  static const int32_t threads[] = {1, 2, 3, 7};
  size_t size;
  float *x = random_input(n);
  variant v = {.plain = 1, .batch = BATCH, .threads = 1, .mask = q8_cpu_detect()};
  uint8_t *want = run(n, &v, x, &size);
  v.plain = 0;
  for (int t = 0; t < 4; t++) {
    v.threads = threads[t];
    expect(n, &v, x, want, size);
  }
  v.batch = 1;
  for (size_t s = 0; s < BATCH; s++) {
    v.threads = threads[s % 4];
    expect(n, &v, x + s * n->in_size, want + s * (size / BATCH), size / BATCH);
  }
  for (size_t k = 0; k < q8_isa_count; k++) {
    v.mask = q8_isa_list[k]->needs;
    if (!(v.mask & ~q8_cpu_detect()))
      expect(n, &v, x, want, size / BATCH);
  }
  free(want);
  free(x);
}

static void check_networks(int concat, int floats) {
  memset(merged, 0, sizeof merged);
  memset(joined, 0, sizeof joined);
  for (int i = 0; i < NETWORKS; i++) {
    network n;
    build(&n, concat ? (joining)(1 + i % 2) : NO_CONCAT, floats);
    check_network(&n);
    q8_recipe_free(n.recipe);
    q8_graph_destroy(n.graph);
  }
  CHECK_EQ(counter.live, 0);
}

static void same_bytes(int floats) {
  check_networks(0, floats);
  CHECK_MSG(merged[0][1] > 20 && merged[1][0] > 20 && merged[1][1] > 20, "merged: %d before, %d behind, %d around",
            merged[1][0], merged[0][1], merged[1][1]);
}

static void same_bytes_into_concat(int floats) {
  check_networks(1, floats);
  CHECK_MSG(joined[0] + joined[1] > 40 && (floats || joined[0] > 20), "merged: %d that end with depthwise, %d with 1x1", joined[0], joined[1]);
}

static void int8_bands(void) {
  same_bytes(0);
}
static void float_bands(void) {
  same_bytes(1);
}
static void int8_bands_in_concat(void) {
  same_bytes_into_concat(0);
}
static void float_bands_in_concat(void) {
  same_bytes_into_concat(1);
}

/* ---- Watching ---- */

typedef struct seen {
  float *values[MAX_TENSORS];
  size_t count[MAX_TENSORS];
} seen;

static void keep(void *user, q8_id tensor, const char *name, const q8_shape *shape, const float *values, size_t count) {
  seen *s = user;
  (void)shape;
  CHECK_MSG(tensor < MAX_TENSORS && !s->values[tensor], "%s is shown twice", name);
  s->values[tensor] = malloc(count * sizeof *values);
  s->count[tensor] = count;
  memcpy(s->values[tensor], values, count * sizeof *values);
}

/* What a watcher of the plan with bands sees is what one of a plan for a large L2, which has none, sees. */
static void watchers_see_all(void) {
  for (int i = 0; i < NETWORKS / 2; i++) {
    network n;
    seen all[2];
    uint8_t *y[2];
    size_t size = 0;
    memset(all, 0, sizeof all);
    build(&n, (joining)(i % 3), i % 2);
    float *x = random_input(&n);
    variant v = {.batch = 2, .threads = 2, .mask = q8_cpu_detect(), .watch = keep};
    for (int bands = 0; bands < 2; bands++) {
      size_t l2 = n.l2;
      n.l2 = bands ? l2 : (size_t)1 << 40;
      v.watch_user = &all[bands];
      y[bands] = run(&n, &v, x, &size);
      n.l2 = l2;
    }
    CHECK(!memcmp(y[0], y[1], size));
    for (size_t t = 0; t < MAX_TENSORS; t++) {
      const float *want = all[0].values[t], *got = all[1].values[t];
      CHECK_MSG(!want == !got, "tensor %zu is seen without bands: %d, with: %d", t, want != NULL, got != NULL);
      if (want && got)
        CHECK_MSG(!memcmp(want, got, all[0].count[t] * sizeof *got), "tensor %zu differs", t);
      free(all[0].values[t]);
      free(all[1].values[t]);
    }
    free(y[0]);
    free(y[1]);
    free(x);
    q8_recipe_free(n.recipe);
    q8_graph_destroy(n.graph);
  }
}

int main(int argc, char **argv) {
  TEST_BEGIN(argc, argv);
  q8_kernels_select(q8_cpu_detect(), &kernels);
  CHECK(q8_host_init(&host, NULL, NULL) == QINT8_OK);
  counting_host_init(&counter);
  RUN(int8_bands);
  RUN(float_bands);
  RUN(int8_bands_in_concat);
  RUN(float_bands_in_concat);
  RUN(watchers_see_all);
  return TEST_END();
}
