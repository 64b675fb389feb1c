/* Where buffers lie, on random networks: those that live at the same time do not overlap, the arena ends with the last of
 * them and is never larger than first fit, largest first, makes it; on one that this order serves badly, it is as small as
 * it can be. */
#include <stdlib.h>
#include <string.h>

#include "base/cpu.h"
#include "exec/plan_internal.h"
#include "test.h"

enum { ROWS = 16, NETWORKS = 60, NODES = 24, MOST = 256 };

static q8_host host;
static q8_graph *graph;
static int64_t width[MOST]; /* of each tensor */

static void start(void) {
  q8_shape shape = {.rank = 2, .dim = {ROWS, 1}};
  q8_id x;
  CHECK(q8_graph_create(&host, &graph, NULL) == QINT8_OK);
  CHECK(q8_graph_add_tensor(graph, "x", QINT8_DTYPE_F32, &shape, NULL, &x, NULL) == QINT8_OK);
  CHECK(q8_graph_set_inputs(graph, &x, 1, NULL) == QINT8_OK);
  width[x] = 1;
}

/* x times a matrix with so many columns. */
static q8_id multiply(q8_id x, int64_t columns) {
  q8_shape shape = {.rank = 2, .dim = {width[x], columns}};
  const q8_op *op = q8_op_find("MatMul", "");
  float *data = q8_pool_alloc(&graph->pool, (size_t)(width[x] * columns), sizeof *data);
  void *params = calloc(1, op->params_size + 1);
  char name[2][16];
  q8_id in[2] = {x, 0}, out;
  snprintf(name[0], sizeof name[0], "w%zu", graph->tensor_count);
  snprintf(name[1], sizeof name[1], "y%zu", graph->tensor_count);
  CHECK(q8_graph_add_tensor(graph, name[0], QINT8_DTYPE_F32, &shape, data, &in[1], NULL) == QINT8_OK);
  shape.rank = -1;
  CHECK(q8_graph_add_tensor(graph, name[1], QINT8_DTYPE_F32, &shape, NULL, &out, NULL) == QINT8_OK);
  CHECK(q8_graph_add_node(graph, name[1], op, params, op->params_size, in, 2, &out, 1, NULL) == QINT8_OK);
  width[out] = columns;
  free(params);
  return out;
}

static q8_plan *finish(const q8_id *outputs, size_t count) {
  q8_shape shape = {.rank = 2, .dim = {ROWS, 1}};
  q8_plan_config config = {.mask = q8_cpu_detect(), .isa = "", .inputs = &shape};
  qint8_error error = QINT8_ERROR_INIT;
  q8_plan *plan = NULL;
  CHECK(q8_graph_set_outputs(graph, outputs, count, NULL) == QINT8_OK);
  CHECK(q8_graph_freeze(graph, NULL) == QINT8_OK);
  CHECK_MSG(q8_plan_compile(graph, NULL, &config, &host, &plan, &error) == QINT8_OK, "%s", error.message);
  return plan;
}

/* ---- What lies where ---- */

typedef struct range {
  size_t size, at; /* at: as the plan says, then as largest first would have it */
  int32_t first, last;
} range;

static size_t list(const q8_plan *plan, range *out) {
  size_t count = 0;
  for (size_t i = 0; i < plan->buffer_count && count < MOST; i++) {
    const plan_buffer *b = &plan->buffers[i];
    if (b->place == PLACE_ARENA && b->root == (q8_buffer)i && b->first >= 0)
      out[count++] = (range){q8_round_up(b->size + Q8_SLACK, Q8_ALIGN), b->offset, b->first, b->last};
  }
  return count;
}

static int together(const range *a, const range *b) {
  return a->first <= b->last && b->first <= a->last;
}

static int larger(const void *a, const void *b) {
  const range *x = a, *y = b;
  return (x->size < y->size) - (x->size > y->size);
}

/* Every multiple of the alignment is tried. */
static size_t largest_first(range *r, size_t count) {
  size_t size = 0;
  qsort(r, count, sizeof *r, larger);
  for (size_t i = 0; i < count; i++) {
    int free_here = 0;
    for (r[i].at = 0; !free_here; r[i].at += free_here ? 0 : Q8_ALIGN) {
      free_here = 1;
      for (size_t j = 0; j < i; j++)
        if (together(&r[i], &r[j]) && r[i].at < r[j].at + r[j].size && r[j].at < r[i].at + r[i].size)
          free_here = 0;
    }
    size = r[i].at + r[i].size > size ? r[i].at + r[i].size : size;
  }
  return size;
}

static size_t most_alive(const range *r, size_t count, size_t steps) {
  size_t most = 0;
  for (int32_t step = 0; step < (int32_t)steps; step++) {
    size_t alive = 0;
    for (size_t i = 0; i < count; i++)
      alive += r[i].first <= step && step <= r[i].last ? r[i].size : 0;
    most = alive > most ? alive : most;
  }
  return most;
}

/* The arena; what largest first and the least possible would be. */
static size_t check(const q8_plan *plan, size_t *simple, size_t *least) {
  range r[MOST];
  size_t count = list(plan, r), end = 0;
  for (size_t i = 0; i < count; i++) {
    end = r[i].at + r[i].size > end ? r[i].at + r[i].size : end;
    for (size_t j = 0; j < i; j++)
      CHECK(!together(&r[i], &r[j]) || r[i].at + r[i].size <= r[j].at || r[j].at + r[j].size <= r[i].at);
  }
  CHECK_EQ(plan->arena_size, end);
  *least = most_alive(r, count, plan->step_count);
  *simple = largest_first(r, count);
  CHECK_MSG(end <= *simple && end >= *least, "%zu bytes; largest first: %zu, alive: %zu", end, *simple, *least);
  return end;
}

static void random_networks(void) {
  size_t sum = 0, simple_sum = 0, least_sum = 0;
  for (int n = 0; n < NETWORKS; n++) {
    size_t simple, least;
    q8_id made[NODES + 1] = {0}, ends[4];
    start();
    for (int i = 1; i <= NODES; i++)
      made[i] = multiply(made[test_random_int(i > 5 ? i - 5 : 0, i - 1)], test_random_int(1, 90));
    for (int i = 0; i < 4; i++)
      ends[i] = multiply(made[NODES - i], 1);
    q8_plan *plan = finish(ends, 4);
    sum += check(plan, &simple, &least);
    simple_sum += simple;
    least_sum += least;
    q8_plan_free(plan);
    q8_graph_destroy(graph);
  }
  printf("     %zu bytes, largest first %zu, alive %zu\n", sum, simple_sum, least_sum);
  CHECK_MSG(sum < simple_sum, "no better than largest first");
}

/* Largest first puts q above p, and r, smaller than p, below q: for s, which lives with both, there is no room there. */
static void a_gap_is_avoided(void) {
  size_t simple, least;
  start();
  q8_id p = multiply(0, 100), q = multiply(p, 90), r = multiply(q, 80), s = multiply(q, 70);
  q8_id ends[2] = {multiply(r, 1), multiply(s, 1)};
  q8_plan *plan = finish(ends, 2);
  size_t size = check(plan, &simple, &least);
  CHECK_EQ(size, least);
  CHECK(least < simple);
  q8_plan_free(plan);
  q8_graph_destroy(graph);
}

int main(int argc, char **argv) {
  TEST_BEGIN(argc, argv);
  CHECK(q8_host_init(&host, NULL, NULL) == QINT8_OK);
  RUN(random_networks);
  RUN(a_gap_is_avoided);
  return TEST_END();
}
