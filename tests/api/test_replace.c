/* qint8_session_replace: what the following steps see is what the callback left, in either form and layout. */
#include <stdlib.h>
#include <string.h>

#include "models.h"
#include "test.h"

static qint8_error failure = QINT8_ERROR_INIT;

typedef struct tensor_copy {
  char name[256];
  float *values;
  size_t count;
} tensor_copy;

#define MAX_COPIES 512
typedef struct copies {
  tensor_copy at[MAX_COPIES];
  int count, replaced;
  float factor; /* of the values put in place */
} copies;

static size_t count_of(const qint8_tensor *t) {
  size_t count = 1;
  for (int32_t d = 0; d < t->rank; d++)
    count *= (size_t)t->shape[d];
  return count;
}

static void keep(void *user, const char *name, const qint8_tensor *values) {
  copies *c = user;
  CHECK(c->count < MAX_COPIES);
  tensor_copy *to = &c->at[c->count++];
  strncpy(to->name, name, sizeof to->name - 1);
  to->count = count_of(values);
  to->values = malloc((to->count + 1) * sizeof(float));
  memcpy(to->values, values->data, to->count * sizeof(float));
}

static int32_t put(void *user, const char *name, const qint8_tensor *values) {
  copies *c = user;
  float *to = values->data;
  for (int i = 0; i < c->count; i++)
    if (!strcmp(c->at[i].name, name) && c->at[i].count == count_of(values)) {
      for (size_t k = 0; k < c->at[i].count; k++)
        to[k] = c->at[i].values[k] * c->factor;
      c->replaced++;
      return 1;
    }
  return 0;
}

static int32_t spoil_in_vain(void *user, const char *name, const qint8_tensor *values) {
  (void)name;
  (void)values;
  ++*(int *)user;
  return 0;
}

typedef struct bench {
  qint8_plan *plan;
  qint8_session *session;
  qint8_tensor in, out;
} bench;

static bench open_bench(const qint8_model *model, const qint8_recipe *recipe) {
  bench b = {.plan = test_plan(model, recipe, NULL, 2, NULL)};
  CHECK(b.plan && qint8_session_create(b.plan, NULL, 0, NULL, &b.session, &failure) == QINT8_OK);
  b.in = test_input(b.plan, 0);
  b.out = test_output(b.plan, 0);
  return b;
}

static void run(bench *b) {
  const qint8_tensor *in[] = {&b->in}, *out[] = {&b->out};
  CHECK(qint8_session_run(b->session, in, 1, out, 1, &failure) == QINT8_OK);
}

static void close_bench(bench *b) {
  qint8_session_destroy(b->session);
  qint8_plan_destroy(b->plan);
  free(b->in.data);
  free(b->out.data);
}

static void drop(copies *c) {
  for (int i = 0; i < c->count; i++)
    free(c->at[i].values);
  memset(c, 0, sizeof *c);
}

/* Own values put back, in all forms and layouts of a plan, change no byte; none put in place neither. */
static void own_values_change_nothing(void) {
  qint8_model *model = test_load("demo", NULL);
  qint8_recipe *recipe = test_recipe(model, QINT8_CONFIG_STATIC_PER_CHANNEL, NULL);
  for (int quantized = 0; quantized < 2; quantized++) {
    bench b = open_bench(model, quantized ? recipe : NULL);
    size_t size = count_of(&b.out) * sizeof(float);
    float *before = malloc(size);
    static copies seen;
    int calls = 0;
    CHECK(qint8_session_watch(b.session, keep, &seen, &failure) == QINT8_OK);
    run(&b);
    memcpy(before, b.out.data, size);
    CHECK(qint8_session_watch(b.session, NULL, NULL, &failure) == QINT8_OK);
    CHECK(qint8_session_replace(b.session, spoil_in_vain, &calls, &failure) == QINT8_OK);
    run(&b);
    CHECK(calls > 20 && !memcmp(before, b.out.data, size));
    seen.factor = 1;
    CHECK(qint8_session_replace(b.session, put, &seen, &failure) == QINT8_OK);
    run(&b);
    CHECK(seen.replaced > 20 && !memcmp(before, b.out.data, size));
    seen.factor = 0.5f;
    run(&b);
    CHECK(memcmp(before, b.out.data, size));
    CHECK(qint8_session_replace(b.session, NULL, NULL, &failure) == QINT8_OK);
    run(&b);
    CHECK(!memcmp(before, b.out.data, size));
    free(before);
    drop(&seen);
    close_bench(&b);
  }
  qint8_recipe_destroy(recipe);
  qint8_model_destroy(model);
}

/* The int8 run, given the float run's values after every step, ends in the float run's output. */
static void other_values_are_taken(void) {
  qint8_model *model = test_load("demo", NULL);
  qint8_recipe *recipe = test_recipe(model, QINT8_CONFIG_STATIC_PER_CHANNEL, NULL);
  bench f = open_bench(model, NULL), q = open_bench(model, recipe);
  static copies seen;
  size_t size = count_of(&f.out) * sizeof(float);
  memcpy(q.in.data, f.in.data, count_of(&f.in) * sizeof(float));
  CHECK(qint8_session_watch(f.session, keep, &seen, &failure) == QINT8_OK);
  run(&f);
  run(&q);
  CHECK(memcmp(f.out.data, q.out.data, size));
  seen.factor = 1;
  CHECK(qint8_session_replace(q.session, put, &seen, &failure) == QINT8_OK);
  run(&q);
  CHECK(!memcmp(f.out.data, q.out.data, size));
  CHECK_EQ(qint8_session_replace(NULL, put, &seen, &failure), QINT8_ERROR_ARGUMENT);
  drop(&seen);
  close_bench(&f);
  close_bench(&q);
  qint8_recipe_destroy(recipe);
  qint8_model_destroy(model);
}

int main(int argc, char **argv) {
  TEST_BEGIN(argc, argv);
  RUN(own_values_change_nothing);
  RUN(other_values_are_taken);
  return TEST_END();
}
