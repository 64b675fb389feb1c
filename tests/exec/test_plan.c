/* What a plan promises, on every model: merging steps and sharing memory change no byte; nor do threads or the batch;
 * run allocates nothing; the arena is exact; packed weights are shared by sessions, on any number of host threads. */
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "api/api.h"
#include "models.h"
#include "test.h"

static const char *const more_models[] = {"tiny_vit", "pose_tcn", "pose_tcn_bn", "seq_lstm", "ocr_rec"};

/* Tasks run last to first: an order that a real pool may take. */
static void backwards(void *user, size_t count, void (*task)(void *, size_t), void *argument) {
  (void)user;
  while (count-- > 0)
    task(argument, count);
}

typedef struct subject {
  const char *name;
  qint8_model *model;
  qint8_recipe *recipe;
  counting_host host;
} subject;

static q8_plan *compile(const subject *s, int plain, int64_t batch, int32_t threads) {
  const q8_graph *graph = s->model->graph;
  q8_shape shapes[8];
  q8_plan_config config = {.inputs = shapes, .plain = plain};
  qint8_error error = QINT8_ERROR_INIT;
  qint8_host given = s->host.host;
  given.threads = threads;
  given.parallel_for = threads > 1 ? backwards : NULL;
  q8_host host;
  q8_plan *plan = NULL;
  q8_plan_default_shapes(graph, shapes);
  if (graph->tensors[graph->inputs[0]].shape.dim[0] < 0)
    shapes[0].dim[0] = batch;
  q8_status status = q8_host_init(&host, &given, &error);
  if (status == QINT8_OK)
    status = q8_choose_isa(NULL, &config.mask, &config.isa, &error);
  if (status == QINT8_OK)
    status = q8_plan_compile(graph, s->recipe->recipe, &config, &host, &plan, &error);
  CHECK_MSG(status == QINT8_OK, "%s: %s: %s", s->name, error.where, error.message);
  return plan;
}

static size_t bytes_of(const q8_plan_io *io) {
  return q8_shape_count(&io->shape, NULL) * qint8_dtype_size((qint8_dtype)io->dtype);
}

/* Reproducible inputs; sample i of a batch is the same in every batch. */
static float *make_input(const q8_plan *plan, size_t first_sample) {
  const q8_plan_io *io = q8_plan_input_info(plan, 0);
  size_t count = bytes_of(io) / sizeof(float), samples = (size_t)io->shape.dim[0];
  float *x = malloc(count * sizeof *x + 1);
  for (size_t n = 0; n < samples; n++) {
    uint32_t seed = (uint32_t)(first_sample + n) * 77u + 5u;
    for (size_t i = 0; i < count / samples; i++) {
      seed = seed * 1664525u + 1013904223u;
      x[n * (count / samples) + i] = (float)(seed >> 8) / 16777216.0f * 4.0f - 1.5f;
    }
  }
  return x;
}

/* Output 0 (malloc). `arena` as in q8_session_open. */
static uint8_t *run(const subject *s, const q8_plan *plan, size_t first_sample, void *arena, size_t arena_size) {
  q8_session *session;
  q8_host host;
  qint8_error error = QINT8_ERROR_INIT;
  float *x = make_input(plan, first_sample);
  uint8_t *y = calloc(bytes_of(q8_plan_output_info(plan, 0)) + 1, 1);
  qint8_host given = s->host.host;
  given.threads = 7; /* a session uses as many as its plan was made for */
  given.parallel_for = backwards;
  q8_status status = q8_host_init(&host, &given, &error);
  if (status == QINT8_OK)
    status = q8_session_open(plan, arena, arena_size, &host, &session, &error);
  if (status == QINT8_OK) {
    const void *inputs[] = {x};
    void *outputs[] = {y};
    long before = s->host.allocations;
    status = q8_session_execute(session, inputs, outputs, &error);
    CHECK_MSG(s->host.allocations == before, "%s: run allocated", s->name);
    q8_session_close(session);
  }
  CHECK_MSG(status == QINT8_OK, "%s: %s: %s", s->name, error.where, error.message);
  free(x);
  return y;
}

static void expect_same(const subject *s, const char *what, const uint8_t *want, const uint8_t *got, size_t size) {
  size_t wrong = 0;
  for (size_t i = 0; i < size; i++)
    wrong += want[i] != got[i];
  CHECK_MSG(wrong == 0, "%s, %s: %zu of %zu bytes differ", s->name, what, wrong, size);
}

static void check_variant(const subject *s, const char *what, int plain, int32_t threads, const uint8_t *want) {
  q8_plan *plan = compile(s, plain, 5, threads);
  if (!plan)
    return;
  uint8_t *got = run(s, plan, 0, NULL, 0);
  expect_same(s, what, want, got, bytes_of(q8_plan_output_info(plan, 0)));
  free(got);
  q8_plan_free(plan);
}

static void check_samples(const subject *s, const uint8_t *want, size_t size) {
  q8_plan *plan = compile(s, 0, 1, 1);
  size_t row = plan ? bytes_of(q8_plan_output_info(plan, 0)) : 0;
  for (size_t i = 0; plan && row * 5 == size && i < 5; i++) {
    uint8_t *got = run(s, plan, i, NULL, 0);
    expect_same(s, "alone", want + i * row, got, row);
    free(got);
  }
  q8_plan_free(plan);
}

/* The arena to the byte; what it held before does not show: zeros, large values, NaN in every float. */
static void check_arena(const subject *s, const q8_plan *plan, const uint8_t *want) {
  static const int held[] = {0, 0x7F, 0xFF};
  size_t size = q8_plan_arena_bytes(plan);
  uint8_t *arena = aligned_alloc(64, q8_round_up(size, 64) + 64);
  q8_session *session = NULL;
  qint8_error error = QINT8_ERROR_INIT;
  q8_host host;
  CHECK(q8_host_init(&host, &s->host.host, &error) == QINT8_OK);
  CHECK_MSG(size == 0 || q8_session_open(plan, arena, size - 1, &host, &session, &error) == QINT8_ERROR_ARGUMENT,
            "%s: an arena of %zu - 1 bytes was taken", s->name, size);
  memset(arena + size, 0xA5, 64);
  for (int i = 0; i < 3; i++) {
    memset(arena, held[i], size);
    uint8_t *got = run(s, plan, 0, arena, size);
    expect_same(s, "own arena", want, got, bytes_of(q8_plan_output_info(plan, 0)));
    free(got);
  }
  for (int i = 0; i < 64; i++)
    CHECK_MSG(arena[size + (size_t)i] == 0xA5, "%s: byte %d behind the arena was written", s->name, i);
  free(arena);
}

typedef struct worker {
  const subject *s;
  const q8_plan *plan;
  uint8_t *got[3];
} worker;

static void *work(void *argument) {
  worker *w = argument;
  const q8_plan *plan = w->plan;
  size_t size = bytes_of(q8_plan_output_info(plan, 0));
  q8_host host;
  q8_session *session = NULL;
  qint8_error error = QINT8_ERROR_INIT;
  float *x = make_input(plan, 0);
  if (q8_host_init(&host, NULL, &error) == QINT8_OK)
    q8_session_open(plan, NULL, 0, &host, &session, &error);
  for (size_t i = 0; session && i < 3; i++) {
    const void *inputs[] = {x};
    w->got[i] = calloc(size + 1, 1);
    void *outputs[] = {w->got[i]};
    q8_session_execute(session, inputs, outputs, &error);
  }
  q8_session_close(session);
  free(x);
  return NULL;
}

/* Sessions of one plan on several threads of the host at once; opening one adds an arena and tables, no weights. */
static void check_sharing(subject *s, const q8_plan *plan, const uint8_t *want) {
  enum { WORKERS = 4 };
  pthread_t threads[WORKERS];
  worker workers[WORKERS];
  size_t weights = q8_plan_weight_bytes(plan);
  for (int i = 0; i < WORKERS; i++) {
    workers[i] = (worker){.s = s, .plan = plan};
    CHECK(pthread_create(&threads[i], NULL, work, &workers[i]) == 0);
  }
  for (int i = 0; i < WORKERS; i++) {
    pthread_join(threads[i], NULL);
    for (int r = 0; r < 3; r++) {
      CHECK_MSG(workers[i].got[r], "%s: no session on thread %d", s->name, i);
      if (workers[i].got[r])
        expect_same(s, "many threads", want, workers[i].got[r], bytes_of(q8_plan_output_info(plan, 0)));
      free(workers[i].got[r]);
    }
  }
  CHECK_EQ(q8_plan_weight_bytes(plan), weights);
}

static void check_config(subject *s, qint8_config config) {
  static const int32_t threads[] = {2, 3, 7};
  s->recipe = test_recipe(s->model, config, &s->host.host);
  q8_plan *plan = s->recipe ? compile(s, 0, 5, 1) : NULL;
  if (plan) {
    uint8_t *want = run(s, plan, 0, NULL, 0);
    check_variant(s, "nothing merged", 1, 1, want);
    for (int i = 0; i < 3; i++)
      check_variant(s, "threads", 0, threads[i], want);
    check_samples(s, want, bytes_of(q8_plan_output_info(plan, 0)));
    check_arena(s, plan, want);
    check_sharing(s, plan, want);
    free(want);
  }
  q8_plan_free(plan);
  qint8_recipe_destroy(s->recipe);
}

static void check_model(const char *name) {
  subject s = {.name = name};
  counting_host_init(&s.host);
  s.model = test_load(name, &s.host.host);
  if (!s.model)
    return;
  check_config(&s, QINT8_CONFIG_STATIC_PER_CHANNEL);
  check_config(&s, QINT8_CONFIG_DYNAMIC);
  check_config(&s, QINT8_CONFIG_FP32);
  qint8_model_destroy(s.model);
  CHECK_MSG(s.host.live == 0, "%s: %ld allocations were not released", name, s.host.live);
}

/* A tensor between a convolution and its activation, which a float plan merges, gets its range too. */
static void calibration_sees_merged_tensors(void) {
  qint8_model *model = test_load("demo", NULL);
  qint8_recipe *recipe = model ? test_recipe(model, QINT8_CONFIG_STATIC_PER_CHANNEL, NULL) : NULL;
  size_t seen = 0;
  for (size_t i = 0; recipe && i < model->graph->node_count; i++) {
    const q8_node *n = &model->graph->nodes[i];
    if (n->op->quant != Q8_QUANT_WEIGHTED || q8_graph_is_output(model->graph, n->outputs[0]))
      continue;
    seen++;
    CHECK_MSG(q8_is_quantized(&recipe->recipe->tensors[n->outputs[0]]), "the output of %s has no parameters", n->name);
  }
  CHECK(seen > 10);
  qint8_recipe_destroy(recipe);
  qint8_model_destroy(model);
}

static void own_models(void) {
  check_model("demo");
  check_model("tiny");
}

/* Under a sanitizer, or where floats are multiplied one by one: .ci/run says so. */
static int is_slow(void) {
  const char *slow = getenv("SLOW");
  return slow && *slow;
}

static void full_set(void) {
  if (!test_models_dir())
    return;
  for (size_t i = 0; i < test_model_count; i++)
    check_model(test_model_names[i]);
  if (is_slow()) {
    test_skip("the larger models", "SLOW is set: a sanitizer, emulated instructions or scalar code");
    return;
  }
  for (size_t i = 0; i < sizeof more_models / sizeof *more_models; i++)
    check_model(more_models[i]);
}

int main(int argc, char **argv) {
  TEST_BEGIN(argc, argv);
  RUN(calibration_sees_merged_tensors);
  RUN(own_models);
  RUN(full_set);
  return TEST_END();
}
