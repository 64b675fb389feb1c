/* Every rewrite on a small graph: the operators that remain, and equal results before and after. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "ops/hooks.h"
#include "rewrite/rewrite.h"
#include "test.h"

#define MAX_TENSORS 64

static q8_host host;

static q8_graph *new_graph(void) {
  q8_graph *g = NULL;
  CHECK_EQ(q8_graph_create(&host, &g, NULL), QINT8_OK);
  return g;
}

#define SHAPE(...) ((q8_shape){(int)(sizeof((int64_t[]){__VA_ARGS__}) / 8), {__VA_ARGS__}})
static const q8_shape scalar = {0, {0}};

static q8_id add_tensor(q8_graph *g, const char *name, const q8_shape *shape, const void *data) {
  q8_id id;
  CHECK_EQ(q8_graph_add_tensor(g, name, QINT8_DTYPE_F32, shape, data, &id, NULL), QINT8_OK);
  return id;
}

static q8_id constant(q8_graph *g, const q8_shape *shape, const float *values) {
  size_t count = q8_shape_count(shape, NULL);
  float *data = q8_pool_alloc(&g->pool, count, sizeof *data);
  memcpy(data, values, count * sizeof *data);
  return add_tensor(g, q8_graph_fresh_name(g, "c"), shape, data);
}
static q8_id number(q8_graph *g, float value) {
  return constant(g, &scalar, &value);
}
static q8_id random_constant(q8_graph *g, q8_shape shape, float lo, float hi) {
  float values[256];
  for (size_t i = 0; i < q8_shape_count(&shape, NULL); i++)
    values[i] = test_random_float(lo, hi);
  return constant(g, &shape, values);
}

/* A node with default attributes; its output is called `out`. */
static q8_id node(q8_graph *g, const char *op_name, const char *out, int count, const q8_id *inputs) {
  const q8_op *op = q8_op_find(op_name, "");
  void *params = calloc(1, op->params_size + 1);
  q8_op_defaults(op, params);
  q8_id y = add_tensor(g, out, NULL, NULL);
  CHECK_EQ(q8_graph_add_node(g, out, op, params, op->params_size, inputs, count, &y, 1, NULL), QINT8_OK);
  free(params);
  return y;
}
#define NODE(g, op, out, ...)                                                                                \
  node(g, op, out, (int)(sizeof((q8_id[]){__VA_ARGS__}) / sizeof(q8_id)), (q8_id[]){__VA_ARGS__})

/* Sets a float attribute of the last node. */
static void set_float(q8_graph *g, const char *name, float value) {
  const q8_node *n = &g->nodes[g->node_count - 1];
  memcpy((char *)(uintptr_t)n->params + q8_op_attribute(n->op, name)->offset, &value, sizeof value);
}

static q8_id input(q8_graph *g, q8_shape shape) {
  return add_tensor(g, "x", &shape, NULL);
}

static void finish(q8_graph *g, q8_id x, q8_id y) {
  qint8_error error = QINT8_ERROR_INIT;
  CHECK_EQ(q8_graph_set_inputs(g, &x, 1, NULL), QINT8_OK);
  CHECK_EQ(q8_graph_set_outputs(g, &y, 1, NULL), QINT8_OK);
  CHECK_MSG(q8_graph_freeze(g, &error) == QINT8_OK, "%s", error.message);
}

/* The output of the graph for x, evaluated node by node; freed by the caller. */
static float *evaluate(const q8_graph *g, const float *x, size_t *count) {
  q8_value values[MAX_TENSORS] = {0};
  float *result = NULL;
  CHECK(g->tensor_count <= MAX_TENSORS);
  for (size_t i = 0; i < g->tensor_count; i++) {
    const q8_tensor *t = &g->tensors[i];
    int is_input = (q8_id)i == g->inputs[0];
    if (t->data || is_input)
      values[i] = (q8_value){t->dtype, t->shape, q8_shape_count(&t->shape, NULL),
                             (void *)(uintptr_t)(is_input ? (const void *)x : t->data)};
  }
  for (size_t i = 0; i < g->node_count; i++) {
    const q8_node *n = &g->nodes[i];
    const q8_value *in[8];
    q8_value out[1] = {{0}};
    for (int j = 0; j < n->input_count; j++)
      in[j] = n->inputs[j] == Q8_NONE ? NULL : &values[n->inputs[j]];
    qint8_error error = QINT8_ERROR_INIT;
    q8_op_io io = {n, in, out, &error};
    CHECK_MSG(q8_infer(&io) == QINT8_OK, "%s: %s", n->name, error.message);
    out[0].data = calloc(out[0].count + 1, 8);
    CHECK_EQ(n->op->family->eval(&io), QINT8_OK);
    values[n->outputs[0]] = out[0];
  }
  *count = values[g->outputs[0]].count;
  result = values[g->outputs[0]].data;
  for (size_t i = 0; i < g->node_count; i++)
    if (g->nodes[i].outputs[0] != g->outputs[0])
      free(values[g->nodes[i].outputs[0]].data);
  return result;
}

/* A copy after all passes. */
static q8_status rewrite(const q8_graph *g, q8_graph **out, qint8_error *error) {
  Q8_TRY(q8_graph_clone(g, out, error));
  return q8_rewrite_in_place(*out, error);
}

/* Rewrites, compares results on random inputs, and the operators that remain with `expected`, "A B C". Destroys g. */
static void expect(q8_graph *g, const char *expected) {
  q8_graph *after = NULL;
  qint8_error error = QINT8_ERROR_INIT;
  CHECK_MSG(rewrite(g, &after, &error) == QINT8_OK, "%s: %s", error.where, error.message);
  if (!after)
    return;
  char ops[256] = "";
  for (size_t i = 0; i < after->node_count; i++) {
    strcat(ops, i ? " " : "");
    strcat(ops, after->nodes[i].op->name);
  }
  CHECK_MSG(!strcmp(ops, expected), "\"%s\" remains, expected \"%s\"", ops, expected);
  CHECK(!strcmp(g->tensors[g->outputs[0]].name, after->tensors[after->outputs[0]].name));
  for (size_t i = 0; i < g->tensor_count; i++)
    CHECK(!strcmp(g->tensors[i].name, after->tensors[i].name));
  float x[256];
  for (int i = 0; i < 256; i++)
    x[i] = test_random_float(-8, 8);
  size_t n = 0, m = 0;
  float *a = evaluate(g, x, &n), *b = evaluate(after, x, &m);
  CHECK_EQ(n, m);
  for (size_t i = 0; i < n && n == m; i++)
    CHECK_MSG(fabsf(a[i] - b[i]) <= 2e-5f * (1 + fabsf(a[i])), "element %zu: %g before, %g after", i, (double)a[i],
              (double)b[i]);
  free(a);
  free(b);
  q8_graph_destroy(g);
  q8_graph_destroy(after);
}

static void folds_constants(void) {
  q8_graph *g = new_graph();
  q8_id x = input(g, SHAPE(2, 3));
  q8_id sum = NODE(g, "Add", "sum", number(g, 1), number(g, 2));
  q8_id root = NODE(g, "Sqrt", "root", sum);
  q8_id y = NODE(g, "Mul", "y", x, root);
  finish(g, x, y);
  expect(g, "Mul");
}

static void removes_identity(void) {
  q8_graph *g = new_graph();
  q8_id x = input(g, SHAPE(2, 3));
  q8_id a = NODE(g, "Identity", "a", x), b = NODE(g, "Dropout", "b", a);
  finish(g, x, NODE(g, "Tanh", "y", b));
  expect(g, "Tanh");
  g = new_graph(); /* an output keeps its name */
  x = input(g, SHAPE(2, 3));
  finish(g, x, NODE(g, "Identity", "y", NODE(g, "Tanh", "t", x)));
  expect(g, "Tanh Identity");
}

/* x * Clip(x + 3, 0, 6) / 6: `order` turns operands around, `spelling` chooses where the division is. */
static void hard_swish_case(int order, int spelling) {
  q8_graph *g = new_graph();
  q8_id x = input(g, SHAPE(4, 16)), three = number(g, 3);
  q8_id sum = order & 1 ? NODE(g, "Add", "sum", three, x) : NODE(g, "Add", "sum", x, three);
  q8_id t = NODE(g, "Clip", "clip", sum, number(g, 0), number(g, 6)), y;
  if (spelling < 2) { /* product, then a sixth of it */
    q8_id p = order & 2 ? NODE(g, "Mul", "p", t, x) : NODE(g, "Mul", "p", x, t);
    y = spelling ? NODE(g, "Mul", "y", p, number(g, 1.0f / 6)) : NODE(g, "Div", "y", p, number(g, 6));
  } else {
    q8_id s = spelling == 2 ? NODE(g, "Div", "s", t, number(g, 6)) : NODE(g, "Mul", "s", number(g, 1.0f / 6), t);
    y = order & 2 ? NODE(g, "Mul", "y", s, x) : NODE(g, "Mul", "y", x, s);
  }
  finish(g, x, y);
  expect(g, "HardSwish");
}

static void recognises_hard_swish(void) {
  for (int order = 0; order < 4; order++)
    for (int spelling = 0; spelling < 4; spelling++)
      hard_swish_case(order, spelling);
  q8_graph *g = new_graph();
  q8_id x = input(g, SHAPE(4, 16)), s = NODE(g, "HardSigmoid", "s", x);
  set_float(g, "alpha", 1.0f / 6);
  finish(g, x, NODE(g, "Mul", "y", s, x));
  expect(g, "HardSwish");
}

/* Look-alikes stay: another slope, another bound, another factor, another operand. */
static void leaves_look_alikes(void) {
  q8_graph *g = new_graph();
  q8_id x = input(g, SHAPE(4, 16));
  finish(g, x, NODE(g, "Mul", "y", NODE(g, "HardSigmoid", "s", x), x));
  expect(g, "HardSigmoid Mul");
  g = new_graph();
  x = input(g, SHAPE(4, 16));
  q8_id t = NODE(g, "Clip", "t", NODE(g, "Add", "a", x, number(g, 3)), number(g, 0), number(g, 5));
  finish(g, x, NODE(g, "Div", "y", t, number(g, 6)));
  expect(g, "Add Clip Div");
  g = new_graph();
  x = input(g, SHAPE(4, 16));
  t = NODE(g, "Clip", "t", NODE(g, "Add", "a", x, number(g, 3)), number(g, 0), number(g, 6));
  finish(g, x, NODE(g, "Div", "y", number(g, 6), NODE(g, "Add", "b", t, number(g, 1))));
  expect(g, "Add Clip Add Div");
  g = new_graph();
  x = input(g, SHAPE(4, 16));
  finish(g, x, NODE(g, "Mul", "y", NODE(g, "Sigmoid", "s", x), NODE(g, "Abs", "z", x)));
  expect(g, "Sigmoid Abs Mul");
}

static void recognises_hard_sigmoid(void) {
  q8_graph *g = new_graph();
  q8_id x = input(g, SHAPE(4, 16));
  q8_id t = NODE(g, "Clip", "t", NODE(g, "Add", "a", x, number(g, 3)), number(g, 0), number(g, 6));
  finish(g, x, NODE(g, "Div", "y", t, number(g, 6)));
  expect(g, "HardSigmoid");
}

static void recognises_silu(void) {
  for (int order = 0; order < 2; order++) {
    q8_graph *g = new_graph();
    q8_id x = input(g, SHAPE(4, 16)), s = NODE(g, "Sigmoid", "s", x);
    finish(g, x, order ? NODE(g, "Mul", "y", s, x) : NODE(g, "Mul", "y", x, s));
    expect(g, "Silu");
  }
}

static void recognises_gelu(void) {
  for (int spelling = 0; spelling < 4; spelling++) {
    q8_graph *g = new_graph();
    q8_id x = input(g, SHAPE(4, 16)), half = number(g, 0.5f), y;
    q8_id z = spelling == 3 ? NODE(g, "Mul", "z", x, number(g, 0.70710678f))
                            : NODE(g, "Div", "z", x, number(g, 1.41421356f));
    q8_id e = NODE(g, "Add", "e", NODE(g, "Erf", "erf", z), number(g, 1));
    if (spelling == 1)
      y = NODE(g, "Mul", "y", NODE(g, "Mul", "h", half, x), e);
    else if (spelling == 2)
      y = NODE(g, "Mul", "y", x, NODE(g, "Mul", "h", e, half));
    else
      y = NODE(g, "Mul", "y", NODE(g, "Mul", "h", x, e), half);
    finish(g, x, y);
    expect(g, "Gelu");
  }
}

/* An integer list attribute of one value, of the last node. */
static void set_axis(q8_graph *g, int64_t axis) {
  const q8_node *n = &g->nodes[g->node_count - 1];
  *(q8_ints *)(void *)((char *)(uintptr_t)n->params + q8_op_attribute(n->op, "axes")->offset) = (q8_ints){1, {axis}};
}

static q8_id mean(q8_graph *g, const char *out, q8_id x, int64_t axis) {
  q8_id y = NODE(g, "ReduceMean", out, x);
  set_axis(g, axis);
  return y;
}

/* `axis`: -1, or 1, the same for two dimensions; 0 is another mean. */
static q8_graph *spelled_layer_norm(int squares, int64_t axis) {
  q8_graph *g = new_graph();
  q8_id x = input(g, SHAPE(4, 16)), d = NODE(g, "Sub", "d", x, mean(g, "mean", x, axis));
  q8_id square = squares ? NODE(g, "Mul", "square", d, d) : NODE(g, "Pow", "square", d, number(g, 2));
  q8_id root = NODE(g, "Sqrt", "root", NODE(g, "Add", "sum", mean(g, "variance", square, axis), number(g, 1e-4f)));
  q8_id scaled = NODE(g, "Mul", "scaled", NODE(g, "Div", "ratio", d, root), random_constant(g, SHAPE(16), -1, 1));
  finish(g, x, NODE(g, "Add", "y", random_constant(g, SHAPE(16), -1, 1), scaled));
  return g;
}

static void recognises_layer_norm(void) {
  expect(spelled_layer_norm(0, -1), "LayerNormalization");
  expect(spelled_layer_norm(1, 1), "LayerNormalization");
  expect(spelled_layer_norm(0, 0), "ReduceMean Sub Pow ReduceMean Add Sqrt Div Mul Add");
}

/* ---- After Conv and Gemm ---- */

static q8_id conv(q8_graph *g, q8_id x, int bias) {
  q8_id w = random_constant(g, SHAPE(4, 3, 3, 3), -1, 1);
  return bias ? NODE(g, "Conv", "conv", x, w, random_constant(g, SHAPE(4), -1, 1)) : NODE(g, "Conv", "conv", x, w);
}

static q8_id batch_norm(q8_graph *g, q8_id x, const char *out) {
  return NODE(g, "BatchNormalization", out, x, random_constant(g, SHAPE(4), 0.5f, 2),
              random_constant(g, SHAPE(4), -1, 1), random_constant(g, SHAPE(4), -1, 1),
              random_constant(g, SHAPE(4), 0.1f, 3));
}

static void folds_batch_norm_into_conv(void) {
  for (int bias = 0; bias < 2; bias++) {
    q8_graph *g = new_graph();
    q8_id x = input(g, SHAPE(2, 3, 5, 5));
    finish(g, x, NODE(g, "Relu", "y", batch_norm(g, conv(g, x, bias), "bn")));
    expect(g, "Conv");
  }
  q8_graph *g = new_graph(); /* the convolution has another reader */
  q8_id x = input(g, SHAPE(2, 3, 5, 5)), c = conv(g, x, 1);
  finish(g, x, NODE(g, "Add", "y", batch_norm(g, c, "bn"), c));
  expect(g, "Conv BatchNormalization Add");
}

static void folds_constants_per_channel_into_conv(void) {
  static const char *const ops[4] = {"Mul", "Div", "Add", "Sub"};
  for (int i = 0; i < 8; i++) {
    q8_graph *g = new_graph();
    q8_id x = input(g, SHAPE(2, 3, 5, 5)), c = conv(g, x, i & 1);
    q8_id k = i & 2 ? number(g, 1.5f) : random_constant(g, SHAPE(4, 1, 1), 0.5f, 2);
    finish(g, x, NODE(g, ops[i / 2], "y", c, k));
    expect(g, "Conv");
  }
  q8_graph *g = new_graph(); /* per column, not per channel */
  q8_id x = input(g, SHAPE(2, 3, 5, 5)), c = conv(g, x, 1);
  finish(g, x, NODE(g, "Mul", "y", c, random_constant(g, SHAPE(3), 0.5f, 2)));
  expect(g, "Conv Mul");
  g = new_graph(); /* constant minus, constant over */
  x = input(g, SHAPE(2, 3, 5, 5));
  c = conv(g, x, 1);
  finish(g, x, NODE(g, "Sub", "y", number(g, 1), c));
  expect(g, "Conv Sub");
}

static void folds_into_gemm(void) {
  for (int i = 0; i < 4; i++) {
    q8_graph *g = new_graph();
    q8_id x = input(g, SHAPE(2, 3)), w = random_constant(g, SHAPE(3, 4), -1, 1), y;
    if (i & 1)
      y = NODE(g, "Gemm", "gemm", x, w, random_constant(g, SHAPE(4), -1, 1));
    else
      y = NODE(g, "Gemm", "gemm", x, w);
    set_float(g, "alpha", 0.5f);
    set_float(g, "beta", 3);
    if (i & 2)
      y = batch_norm(g, y, "bn");
    else
      y = NODE(g, "Add", "sum", y, random_constant(g, SHAPE(4), -1, 1));
    finish(g, x, NODE(g, "Relu", "y", y));
    expect(g, "Gemm");
  }
}

static void merges_clamps(void) {
  q8_graph *g = new_graph();
  q8_id x = input(g, SHAPE(2, 3, 5, 5)), c = conv(g, x, 1);
  finish(g, x, NODE(g, "Clip", "y", c, number(g, -1), NODE(g, "Add", "six", number(g, 2), number(g, 4))));
  q8_graph *after = NULL;
  float lo, hi;
  CHECK_EQ(rewrite(g, &after, NULL), QINT8_OK);
  CHECK(after->node_count == 1 && q8_node_clamp(&after->nodes[0], &lo, &hi) && lo == -1 && hi == 6);
  CHECK(!strcmp(after->nodes[0].name, "conv"));
  q8_graph_destroy(after);
  expect(g, "Conv");
  g = new_graph(); /* a second activation stays, and so does one whose input is read elsewhere */
  x = input(g, SHAPE(2, 3, 5, 5));
  c = NODE(g, "Relu", "r", conv(g, x, 1));
  finish(g, x, NODE(g, "Clip", "y", c, number(g, 1), number(g, 2)));
  expect(g, "Conv Clip");
  g = new_graph();
  x = input(g, SHAPE(2, 3, 5, 5));
  c = conv(g, x, 1);
  finish(g, x, NODE(g, "Add", "y", NODE(g, "Relu", "r", c), c));
  expect(g, "Conv Relu Add");
}

/* The pattern of x + 3 is not taken apart by folding the 3 into the convolution's bias. */
static void hard_swish_after_conv(void) {
  q8_graph *g = new_graph();
  q8_id x = input(g, SHAPE(2, 3, 5, 5)), c = conv(g, x, 1);
  q8_id t = NODE(g, "Clip", "t", NODE(g, "Add", "a", c, number(g, 3)), number(g, 0), number(g, 6));
  finish(g, x, NODE(g, "Div", "y", NODE(g, "Mul", "p", c, t), number(g, 6)));
  expect(g, "Conv HardSwish");
  g = new_graph();
  x = input(g, SHAPE(2, 3, 5, 5));
  c = conv(g, x, 1);
  t = NODE(g, "Clip", "t", NODE(g, "Add", "a", c, number(g, 3)), number(g, 0), number(g, 6));
  finish(g, x, NODE(g, "Div", "y", t, number(g, 6)));
  expect(g, "Conv HardSigmoid");
}

static q8_id mean_over(q8_graph *g, const char *out, q8_id x, int64_t keep, int count, int64_t first) {
  q8_id y = NODE(g, "ReduceMean", out, x);
  const q8_node *n = &g->nodes[g->node_count - 1];
  char *params = (char *)(uintptr_t)n->params;
  q8_ints axes = {.count = count};
  for (int i = 0; i < count; i++)
    axes.v[i] = first + i;
  memcpy(params + q8_op_attribute(n->op, "axes")->offset, &axes, sizeof axes);
  memcpy(params + q8_op_attribute(n->op, "keepdims")->offset, &keep, sizeof keep);
  return y;
}

static void recognises_global_means(void) {
  q8_graph *g = new_graph();
  q8_id x = input(g, SHAPE(2, 3, 5, 5));
  finish(g, x, mean_over(g, "y", NODE(g, "Relu", "r", conv(g, x, 1)), 1, 2, 2));
  expect(g, "Conv GlobalAveragePool");
  g = new_graph();
  x = input(g, SHAPE(2, 3, 5, 5));
  q8_id c = conv(g, x, 1);
  finish(g, x, mean_over(g, "y", NODE(g, "Add", "a", c, NODE(g, "Sigmoid", "s", c)), 0, 2, -2));
  expect(g, "Conv Sigmoid Add GlobalAveragePool Flatten");
  g = new_graph(); /* over channels, and over one axis only: no pooling */
  x = input(g, SHAPE(2, 3, 5, 5));
  finish(g, x, mean_over(g, "y", conv(g, x, 1), 1, 2, 1));
  expect(g, "Conv ReduceMean");
  g = new_graph();
  x = input(g, SHAPE(2, 3, 5, 5));
  finish(g, x, mean_over(g, "y", conv(g, x, 1), 1, 1, -1));
  expect(g, "Conv ReduceMean");
}

int main(int argc, char **argv) {
  TEST_BEGIN(argc, argv);
  CHECK_EQ(q8_host_init(&host, NULL, NULL), QINT8_OK);
  RUN(folds_constants);
  RUN(removes_identity);
  RUN(recognises_hard_sigmoid);
  RUN(recognises_hard_swish);
  RUN(recognises_silu);
  RUN(recognises_gelu);
  RUN(recognises_layer_norm);
  RUN(recognises_global_means);
  RUN(leaves_look_alikes);
  RUN(folds_batch_norm_into_conv);
  RUN(folds_constants_per_channel_into_conv);
  RUN(folds_into_gemm);
  RUN(merges_clamps);
  RUN(hard_swish_after_conv);
  return TEST_END();
}
