/* Pad before Conv: folded where it adds zeros around the positions, with the same result; left alone elsewhere. */
#include <stdlib.h>
#include <string.h>

#include "exec/exec.h"
#include "ops/op.h"
#include "rewrite/rewrite.h"
#include "test.h"

static q8_host host;

#define SHAPE(...) ((q8_shape){(int)(sizeof((int64_t[]){__VA_ARGS__}) / 8), {__VA_ARGS__}})

static q8_id add_tensor(q8_graph *g, const char *name, int32_t dtype, q8_shape shape, const void *data, size_t size) {
  q8_id id = Q8_NONE;
  void *copy = data ? q8_pool_alloc(&g->pool, size, 1) : NULL;
  if (data)
    memcpy(copy, data, size);
  CHECK_EQ(q8_graph_add_tensor(g, name, dtype, shape.rank ? &shape : NULL, copy, &id, NULL), QINT8_OK);
  return id;
}

static q8_id add_node(q8_graph *g, const char *name, const char *out, const void *params, const q8_id *inputs, int count) {
  const q8_op *op = q8_op_find(name, "");
  q8_id y = add_tensor(g, out, QINT8_DTYPE_F32, (q8_shape){0}, NULL, 0);
  CHECK_EQ(q8_graph_add_node(g, out, op, params, op->params_size, inputs, count, &y, 1, NULL), QINT8_OK);
  return y;
}

/* x [1, 2, 5, 6] -> Pad -> Conv 3x3 with pads 1, 0, 0, 1 and stride 2. */
static q8_graph *build(const int64_t pads[8], float value, const char *mode) {
  q8_graph *g = NULL;
  CHECK_EQ(q8_graph_create(&host, &g, NULL), QINT8_OK);
  float weights[3 * 2 * 9];
  for (size_t i = 0; i < sizeof weights / sizeof *weights; i++)
    weights[i] = test_random_float(-1, 1);
  const q8_op *pad = q8_op_find("Pad", ""), *conv = q8_op_find("Conv", "");
  char *pad_params = calloc(1, pad->params_size), *conv_params = calloc(1, conv->params_size);
  q8_op_defaults(pad, pad_params);
  q8_op_defaults(conv, conv_params);
  for Q8_EACH_ATTRIBUTE(a, pad)
    if (!strcmp(a->name, "mode"))
      strcpy(pad_params + a->offset, mode);
  for Q8_EACH_ATTRIBUTE(a, conv) {
    if (!strcmp(a->name, "pads"))
      *(q8_ints *)(void *)(conv_params + a->offset) = (q8_ints){4, {1, 0, 0, 1}};
    if (!strcmp(a->name, "strides"))
      *(q8_ints *)(void *)(conv_params + a->offset) = (q8_ints){2, {2, 2}};
  }
  q8_id x = add_tensor(g, "x", QINT8_DTYPE_F32, SHAPE(1, 2, 5, 6), NULL, 0);
  q8_id p = add_tensor(g, "pads", QINT8_DTYPE_S64, SHAPE(8), pads, 8 * sizeof *pads);
  q8_id v = add_tensor(g, "value", QINT8_DTYPE_F32, SHAPE(1), &value, sizeof value);
  q8_id w = add_tensor(g, "w", QINT8_DTYPE_F32, SHAPE(3, 2, 3, 3), weights, sizeof weights);
  q8_id padded = add_node(g, "Pad", "padded", pad_params, (q8_id[]){x, p, v}, 3);
  q8_id y = add_node(g, "Conv", "y", conv_params, (q8_id[]){padded, w}, 2);
  free(pad_params);
  free(conv_params);
  CHECK_EQ(q8_graph_set_inputs(g, &x, 1, NULL), QINT8_OK);
  CHECK_EQ(q8_graph_set_outputs(g, &y, 1, NULL), QINT8_OK);
  CHECK_EQ(q8_graph_freeze(g, NULL), QINT8_OK);
  return g;
}

static size_t run(const q8_graph *g, float y[256]) {
  qint8_error error = QINT8_ERROR_INIT;
  q8_shape shape = SHAPE(1, 2, 5, 6);
  q8_plan_config config = {.inputs = &shape, .isa = "scalar"};
  q8_plan *plan = NULL;
  q8_session *session = NULL;
  float x[60];
  for (int i = 0; i < 60; i++)
    x[i] = (float)(i % 13) - 6;
  const void *inputs[] = {x};
  void *outputs[] = {y};
  size_t count = 0;
  CHECK_MSG(q8_plan_compile(g, NULL, &config, &host, &plan, &error) == QINT8_OK, "%s", error.message);
  if (plan && q8_session_open(plan, NULL, 0, &host, &session, &error) == QINT8_OK) {
    CHECK_EQ(q8_session_execute(session, inputs, outputs, &error), QINT8_OK);
    count = q8_shape_count(&q8_plan_output_info(plan, 0)->shape, NULL);
  }
  q8_session_close(session);
  q8_plan_free(plan);
  return count;
}

static void expect(const int64_t pads[8], float value, const char *mode, size_t nodes) {
  q8_graph *g = build(pads, value, mode);
  float before[256], after[256];
  size_t n = run(g, before);
  CHECK_EQ(q8_rewrite_pads(g, NULL), QINT8_OK);
  CHECK_EQ(g->node_count, nodes);
  CHECK_EQ(run(g, after), n);
  CHECK(n > 0 && memcmp(before, after, n * sizeof *before) == 0);
  q8_graph_destroy(g);
}

static void folds_zeros(void) {
  expect((int64_t[]){0, 0, 1, 2, 0, 0, 3, 0}, 0, "constant", 1);
  expect((int64_t[]){0, 0, 0, 0, 0, 0, 0, 1}, 0, "constant", 1);
}

static void leaves_others(void) {
  expect((int64_t[]){0, 0, 1, 1, 0, 0, 1, 1}, 0.5f, "constant", 2);
  expect((int64_t[]){0, 0, 1, 1, 0, 0, 1, 1}, 0, "reflect", 2);
  expect((int64_t[]){0, 0, -1, 0, 0, 0, 2, 0}, 0, "constant", 2);
  expect((int64_t[]){1, 0, 1, 1, 0, 0, 1, 1}, 0, "constant", 2);
}

int main(int argc, char **argv) {
  TEST_BEGIN(argc, argv);
  CHECK_EQ(q8_host_init(&host, NULL, NULL), QINT8_OK);
  RUN(folds_zeros);
  RUN(leaves_others);
  return TEST_END();
}
