/* If and Loop: bodies become part of the graph, one branch runs, loops are unrolled. */
#include <stdlib.h>

#include "base/cpu.h"
#include "builder.h"
#include "exec/exec.h"
#include "onnx/import.h"
#include "rewrite/rewrite.h"
#include "test.h"

/* ---- Building ---- */

static size_t open_body(builder *b, const char *attribute, size_t *outer) {
  *outer = q8_write_begin(&b->w, Q8_NODE_ATTRIBUTE);
  q8_write_string(&b->w, Q8_ATTRIBUTE_NAME, attribute);
  q8_write_varint(&b->w, Q8_ATTRIBUTE_TYPE, 5);
  return q8_write_begin(&b->w, Q8_ATTRIBUTE_G);
}

static void close_body(builder *b, size_t body, size_t outer) {
  q8_write_end(&b->w, body);
  q8_write_end(&b->w, outer);
}

/* A branch of one node: y = op(inputs). */
static void build_branch(builder *b, const char *attribute, const char *op, const char *inputs) {
  size_t outer, body = open_body(b, attribute, &outer);
  build_node(b, op, op, inputs, "y");
  build_value(b, Q8_GRAPH_OUTPUT, "y", NO_DIMS);
  close_body(b, body, outer);
}

static void build_model_ends(builder *b, const int64_t *in, const char *out) {
  build_value(b, Q8_GRAPH_INPUT, "x", in);
  build_value(b, Q8_GRAPH_OUTPUT, out, NO_DIMS);
}

static void build_bool(builder *b, const char *name, uint8_t value) {
  build_constant(b, name, QINT8_DTYPE_BOOL, NO_DIMS, &value, 1);
}
static void build_int64(builder *b, const char *name, int64_t value) {
  build_constant(b, name, QINT8_DTYPE_S64, NO_DIMS, &value, sizeof value);
}

/* ---- Running ---- */

typedef struct result {
  q8_status status;
  qint8_error error;
  size_t nodes; /* of the graph after rewrites */
  q8_shape shape;
  float y[64];
} result;

static q8_status compile_and_run(const q8_graph *graph, const q8_host *host, const q8_shape *shape, const float *x,
                                 result *r) {
  q8_plan *plan = NULL;
  q8_session *session = NULL;
  q8_plan_config config = {.mask = q8_cpu_detect(), .isa = "test", .inputs = shape};
  q8_status status = q8_plan_compile(graph, NULL, &config, host, &plan, &r->error);
  if (status == QINT8_OK)
    status = q8_session_open(plan, NULL, 0, host, &session, &r->error);
  if (status == QINT8_OK) {
    r->shape = q8_plan_output_info(plan, 0)->shape;
    const void *in[1] = {x};
    void *out[1] = {r->y};
    CHECK(q8_shape_count(&r->shape, NULL) <= 64);
    status = q8_session_execute(session, in, out, &r->error);
  }
  q8_session_close(session);
  q8_plan_free(plan);
  return status;
}

static result run(builder *b, q8_shape shape, const float *x) {
  result r = {.error = QINT8_ERROR_INIT};
  q8_graph *graph = NULL;
  build_end(b);
  r.status = q8_onnx_import(b->w.bytes, b->w.size, &b->host, &graph, NULL, &r.error);
  if (r.status == QINT8_OK)
    r.status = q8_rewrite_in_place(graph, &r.error);
  if (r.status == QINT8_OK) {
    r.nodes = graph->node_count;
    r.status = compile_and_run(graph, &b->host, &shape, x, &r);
  }
  q8_graph_destroy(graph);
  q8_writer_free(&b->w);
  return r;
}

static const float x4[4] = {1, -2, 3, -4};
#define VECTOR ((q8_shape){1, {4}})

static void expect4(const result *r, float a, float b, float c, float d) {
  CHECK_MSG(r->status == QINT8_OK, "%s: %s", r->error.where, r->error.message);
  CHECK(r->y[0] == a && r->y[1] == b && r->y[2] == c && r->y[3] == d);
}

/* ---- If ---- */

static void a_constant_condition_leaves_one_branch(void) {
  for (uint8_t condition = 0; condition < 2; condition++) {
    builder b;
    build_begin(&b, 13);
    build_bool(&b, "c", condition);
    size_t node = build_open_node(&b, "If", "choice", "c", "out");
    build_branch(&b, "then_branch", "Relu", "x");
    build_branch(&b, "else_branch", condition ? "Frobnicate" : "Neg", "x"); /* the other one may hold anything */
    q8_write_end(&b.w, node);
    build_model_ends(&b, DIMS(4), "out");
    result r = run(&b, VECTOR, x4);
    CHECK_EQ(r.nodes, 2); /* the branch, and an Identity that gives the output its name */
    if (condition)
      expect4(&r, 1, 0, 3, 0);
    else
      expect4(&r, -1, 2, -3, 4);
  }
}

/* Size(x) == 4 ? x reshaped to [2, 2] : Neg(x): known once the input's shape is; the Reshape fails for other sizes. */
static void a_condition_on_shapes_is_known_when_they_are(void) {
  static const int64_t square[2] = {2, 2};
  for (int n = 3; n <= 4; n++) {
    builder b;
    build_begin(&b, 13);
    build_int64(&b, "four", 4);
    build_constant(&b, "square", QINT8_DTYPE_S64, DIMS(2), square, sizeof square);
    build_node(&b, "Size", "size", "x", "n");
    build_node(&b, "Equal", "equal", "n four", "c");
    size_t node = build_open_node(&b, "If", "choice", "c", "picked");
    build_branch(&b, "then_branch", "Reshape", "x square");
    build_branch(&b, "else_branch", "Neg", "x");
    q8_write_end(&b.w, node);
    build_node(&b, "Relu", "relu", "picked", "out");
    build_model_ends(&b, DIMS(-1), "out");
    result r = run(&b, (q8_shape){1, {n}}, x4);
    CHECK_MSG(r.status == QINT8_OK, "%s: %s", r.error.where, r.error.message);
    CHECK_EQ(r.shape.rank, n == 4 ? 2 : 1);
    CHECK(r.y[0] == (n == 4 ? 1 : 0) && r.y[1] == (n == 4 ? 0 : 2));
  }
}

/* A failure in the branch that is taken names its node. */
static void the_taken_branch_must_work(void) {
  static const int64_t wrong[2] = {3, 2};
  builder b;
  build_begin(&b, 13);
  build_int64(&b, "four", 4);
  build_constant(&b, "wrong", QINT8_DTYPE_S64, DIMS(2), wrong, sizeof wrong);
  build_node(&b, "Size", "size", "x", "n");
  build_node(&b, "Equal", "equal", "n four", "c");
  size_t node = build_open_node(&b, "If", "choice", "c", "out");
  build_branch(&b, "then_branch", "Reshape", "x wrong");
  build_branch(&b, "else_branch", "Neg", "x");
  q8_write_end(&b.w, node);
  build_model_ends(&b, DIMS(4), "out");
  result r = run(&b, VECTOR, x4);
  CHECK_EQ(r.status, QINT8_ERROR_SHAPE);
  CHECK_MSG(!strcmp(r.error.where, "Reshape"), "%s: %s", r.error.where, r.error.message);
}

/* sum(x) > 0 ? Relu(x) : Neg(x), chosen while running. */
static void a_computed_condition_chooses_while_running(void) {
  for (int sign = -1; sign <= 1; sign += 2) {
    float x[4] = {1, -2, 3, -4 + 10 * (float)(sign > 0)};
    const float zero = 0;
    builder b;
    build_begin(&b, 13);
    build_constant(&b, "zero", QINT8_DTYPE_F32, NO_DIMS, &zero, sizeof zero);
    size_t sum = build_open_node(&b, "ReduceSum", "sum", "x", "s");
    build_int(&b, "keepdims", 0);
    q8_write_end(&b.w, sum);
    build_node(&b, "Greater", "greater", "s zero", "c");
    size_t node = build_open_node(&b, "If", "choice", "c", "out");
    build_branch(&b, "then_branch", "Relu", "x");
    build_branch(&b, "else_branch", "Neg", "x");
    q8_write_end(&b.w, node);
    build_model_ends(&b, DIMS(4), "out");
    result r = run(&b, VECTOR, x);
    if (sign > 0)
      expect4(&r, 1, 0, 3, 6);
    else
      expect4(&r, -1, 2, -3, 4);
  }
}

/* ---- Loop ---- */

/* v <- v + v, inside names hide those outside; every round also gives the new v. */
static void build_doubling(builder *b, const char *inputs, const char *condition) {
  size_t node = build_open_node(b, "Loop", "loop", inputs, "last all"), outer, body = open_body(b, "body", &outer);
  build_value(b, Q8_GRAPH_INPUT, "i", NO_DIMS);
  build_value(b, Q8_GRAPH_INPUT, "c", NO_DIMS);
  build_value(b, Q8_GRAPH_INPUT, "v", NO_DIMS);
  build_node(b, "Add", "double", "v v", "x");
  build_node(b, "Identity", "keep", condition, "again");
  build_node(b, "Identity", "copy", "x", "scanned");
  build_value(b, Q8_GRAPH_OUTPUT, "again", NO_DIMS);
  build_value(b, Q8_GRAPH_OUTPUT, "x", NO_DIMS);
  build_value(b, Q8_GRAPH_OUTPUT, "scanned", NO_DIMS);
  close_body(b, body, outer);
  q8_write_end(&b->w, node);
}

static void loops_are_unrolled(void) {
  builder b;
  build_begin(&b, 13);
  build_int64(&b, "n", 3);
  build_doubling(&b, "n - x", "c");
  build_model_ends(&b, DIMS(4), "last");
  build_value(&b, Q8_GRAPH_OUTPUT, "all", NO_DIMS);
  build_end(&b);
  result r = {.error = QINT8_ERROR_INIT};
  q8_graph *graph;
  r.status = q8_onnx_import(b.w.bytes, b.w.size, &b.host, &graph, NULL, &r.error);
  CHECK_MSG(r.status == QINT8_OK, "%s: %s", r.error.where, r.error.message);
  if (r.status == QINT8_OK) {
    q8_plan *plan;
    q8_session *session;
    q8_plan_config config = {.isa = "test", .inputs = &VECTOR};
    float last[4], all[12];
    void *out[2] = {last, all};
    const void *in[1] = {x4};
    CHECK_EQ(q8_plan_compile(graph, NULL, &config, &b.host, &plan, &r.error), QINT8_OK);
    CHECK_EQ(q8_session_open(plan, NULL, 0, &b.host, &session, NULL), QINT8_OK);
    CHECK_EQ(q8_plan_output_info(plan, 1)->shape.dim[0], 3);
    CHECK_EQ(q8_session_execute(session, in, out, NULL), QINT8_OK);
    for (int i = 0; i < 4; i++)
      CHECK(last[i] == 8 * x4[i] && all[i] == 2 * x4[i] && all[4 + i] == 4 * x4[i] && all[8 + i] == 8 * x4[i]);
    q8_session_close(session);
    q8_plan_free(plan);
  }
  q8_graph_destroy(graph);
  q8_writer_free(&b.w);
}

static void a_false_condition_ends_the_loop(void) {
  builder b;
  build_begin(&b, 13);
  build_int64(&b, "n", 5);
  build_bool(&b, "stop", 0);
  build_doubling(&b, "n - x", "stop");
  build_model_ends(&b, DIMS(4), "last");
  result r = run(&b, VECTOR, x4);
  expect4(&r, 2, -4, 6, -8);
}

static void computed_loops_are_refused(void) {
  builder b;
  build_begin(&b, 13);
  build_node(&b, "Size", "size", "x", "n");
  build_doubling(&b, "n - x", "c");
  build_model_ends(&b, DIMS(4), "last");
  result r = run(&b, VECTOR, x4);
  CHECK_EQ(r.status, QINT8_ERROR_UNSUPPORTED);
  CHECK_MSG(!strcmp(r.error.where, "loop") && strstr(r.error.message, "must be constants"), "%s: %s", r.error.where,
            r.error.message);
  build_begin(&b, 13);
  build_int64(&b, "n", 1 << 20);
  build_doubling(&b, "n - x", "c");
  build_model_ends(&b, DIMS(4), "last");
  r = run(&b, VECTOR, x4);
  CHECK_EQ(r.status, QINT8_ERROR_UNSUPPORTED);
  CHECK_MSG(strstr(r.error.message, "more than 1024 rounds") != NULL, "%s", r.error.message);
}

/* Branches within branches, deeper than anything reads. */
static void depth_is_limited(void) {
  builder b;
  size_t nodes[20], outers[20], bodies[20];
  build_begin(&b, 13);
  build_bool(&b, "c", 1);
  for (int i = 0; i < 20; i++) {
    nodes[i] = build_open_node(&b, "If", "deep", "c", i ? "y" : "out");
    bodies[i] = open_body(&b, "then_branch", &outers[i]);
  }
  build_node(&b, "Neg", "neg", "x", "y");
  for (int i = 20; i-- > 0;) {
    build_value(&b, Q8_GRAPH_OUTPUT, "y", NO_DIMS);
    close_body(&b, bodies[i], outers[i]);
    q8_write_end(&b.w, nodes[i]);
  }
  build_model_ends(&b, DIMS(4), "out");
  result r = run(&b, VECTOR, x4);
  CHECK_EQ(r.status, QINT8_ERROR_LIMIT);
  CHECK_MSG(strstr(r.error.message, "deep") != NULL, "%s", r.error.message);
}

int main(int argc, char **argv) {
  TEST_BEGIN(argc, argv);
  RUN(a_constant_condition_leaves_one_branch);
  RUN(a_condition_on_shapes_is_known_when_they_are);
  RUN(the_taken_branch_must_work);
  RUN(a_computed_condition_chooses_while_running);
  RUN(loops_are_unrolled);
  RUN(a_false_condition_ends_the_loop);
  RUN(computed_loops_are_refused);
  RUN(depth_is_limited);
  return TEST_END();
}
