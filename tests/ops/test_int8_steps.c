/* Int8 steps of elementwise, pooling and moving operators against the QDQ definition: every node in float on rounded
 * inputs, its result rounded. In both layouts (a MaxPool of one position gives channels-last), on every ISA. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/cpu.h"
#include "exec/exec.h"
#include "ops/hooks.h"
#include "quant/quantize.h"
#include "test.h"

#define MAX_TENSORS 16

static q8_host host;

typedef struct net {
  q8_graph *graph;
  q8_recipe *recipe;
  qint8_qparams params[MAX_TENSORS];
} net;

#define SHAPE(...) ((q8_shape){(int)(sizeof((int64_t[]){__VA_ARGS__}) / 8), {__VA_ARGS__}})

static net net_new(void) {
  net n = {0};
  CHECK_EQ(q8_graph_create(&host, &n.graph, NULL), QINT8_OK);
  return n;
}

static q8_id tensor(net *n, const char *name, const q8_shape *shape, const void *data, float scale, int32_t zero) {
  q8_id id;
  CHECK_EQ(q8_graph_add_tensor(n->graph, name, QINT8_DTYPE_F32, shape, data, &id, NULL), QINT8_OK);
  n->params[id] = (qint8_qparams){sizeof(qint8_qparams), QINT8_DTYPE_U8, scale, zero};
  return id;
}

static q8_id constant(net *n, const char *name, q8_shape shape, float scale, int32_t zero) {
  size_t count = q8_shape_count(&shape, NULL);
  float *data = q8_pool_alloc(&n->graph->pool, count, sizeof *data);
  for (size_t i = 0; i < count; i++)
    data[i] = test_random_float(-2, 2);
  return tensor(n, name, &shape, data, scale, zero);
}

/* A 1-D constant of int64: indices, axes. */
static q8_id integers(net *n, const char *name, const int64_t *values, int64_t count) {
  q8_shape shape = SHAPE(count);
  int64_t *data = q8_pool_alloc(&n->graph->pool, (size_t)count, sizeof *data);
  q8_id id;
  memcpy(data, values, (size_t)count * sizeof *data);
  CHECK_EQ(q8_graph_add_tensor(n->graph, name, QINT8_DTYPE_S64, &shape, data, &id, NULL), QINT8_OK);
  return id;
}
#define INTEGERS(n, name, ...)                                                                               \
  integers(n, name, (const int64_t[]){__VA_ARGS__}, sizeof((int64_t[]){__VA_ARGS__}) / sizeof(int64_t))

static q8_id node(net *n, const char *name, const char *out, float scale, int32_t zero, int count, const q8_id *inputs) {
  const q8_op *op = q8_op_find(name, "");
  void *params = calloc(1, op->params_size + 1);
  q8_op_defaults(op, params);
  const q8_attribute *kernel = q8_op_attribute(op, "kernel_shape"), *axis = q8_op_attribute(op, "axis");
  const q8_attribute *block = q8_op_attribute(op, "blocksize");
  if (kernel) /* "one": a window of one position */
    *(q8_ints *)(void *)((char *)params + kernel->offset) = (q8_ints){2, {*out == '1' ? 1 : 3, *out == '1' ? 1 : 2}};
  if (axis)
    *(int64_t *)(void *)((char *)params + axis->offset) = 1;
  if (block)
    *(int64_t *)(void *)((char *)params + block->offset) = 2;
  q8_id y = tensor(n, out, NULL, NULL, scale, zero);
  CHECK_EQ(q8_graph_add_node(n->graph, out, op, params, op->params_size, inputs, count, &y, 1, NULL), QINT8_OK);
  free(params);
  return y;
}
#define NODE(n, op, out, scale, zero, ...)                                                                   \
  node(n, op, out, scale, zero, (int)(sizeof((q8_id[]){__VA_ARGS__}) / sizeof(q8_id)), (q8_id[]){__VA_ARGS__})

static void make_recipe(net *n, q8_id y) {
  q8_id x = 0;
  const q8_graph *g = n->graph;
  CHECK_EQ(q8_graph_set_inputs(n->graph, &x, 1, NULL), QINT8_OK);
  CHECK_EQ(q8_graph_set_outputs(n->graph, &y, 1, NULL), QINT8_OK);
  CHECK_EQ(q8_graph_freeze(n->graph, NULL), QINT8_OK);
  CHECK_EQ(q8_recipe_new(&host, g->tensor_count, g->node_count, &n->recipe, NULL), QINT8_OK);
  for (size_t i = 0; i < g->tensor_count; i++)
    if (g->tensors[i].dtype == QINT8_DTYPE_F32)
      CHECK_EQ(q8_recipe_assign(n->recipe, (int32_t)i, QINT8_DTYPE_U8, -1, 1, &n->params[i].scale,
                              &n->params[i].zero_point, NULL), QINT8_OK);
  memset(n->recipe->modes, Q8_MODE_STATIC, g->node_count);
}

static float *rounded(const net *n, q8_id id, const float *values, size_t count) {
  q8_kernels kernels;
  q8_kernels_select(0, &kernels);
  float *out = malloc((count + 1) * sizeof *out);
  q8_fake_quantize(&kernels, values, count, &n->params[id], out);
  return out;
}

static float *reference(const net *n, const float *x, size_t *count) {
  const q8_graph *g = n->graph;
  q8_value values[MAX_TENSORS] = {0};
  for (size_t i = 0; i < g->tensor_count; i++) {
    const q8_tensor *t = &g->tensors[i];
    size_t size = q8_shape_count(&t->shape, NULL);
    if (t->data || i == 0)
      values[i] = (q8_value){t->dtype, t->shape, size,
                             t->dtype == QINT8_DTYPE_S64 ? memcpy(malloc(size * 8), t->data, size * 8)
                                                         : (void *)rounded(n, (q8_id)i, i ? t->data : x, size)};
  }
  for (size_t i = 0; i < g->node_count; i++) {
    const q8_node *node_i = &g->nodes[i];
    const q8_value *in[5];
    q8_value out = {0};
    for (int j = 0; j < node_i->input_count; j++)
      in[j] = &values[node_i->inputs[j]];
    q8_op_io io = {node_i, in, &out, NULL};
    CHECK_EQ(q8_infer(&io), QINT8_OK);
    out.data = malloc(out.count * sizeof(float));
    CHECK_EQ(node_i->op->family->eval(&io), QINT8_OK);
    values[node_i->outputs[0]] = out;
    values[node_i->outputs[0]].data = rounded(n, node_i->outputs[0], out.data, out.count);
    free(out.data);
  }
  float *result = values[g->outputs[0]].data;
  *count = values[g->outputs[0]].count;
  for (size_t i = 0; i < g->tensor_count; i++)
    if ((q8_id)i != g->outputs[0])
      free(values[i].data);
  return result;
}

/* `exact`: the definition to the bit; else one step of the result's scale, where sums are rounded in another order. */
static void compare_on(const net *n, const q8_isa *isa, const float *x, const float *expected, size_t count, int exact) {
  const q8_graph *g = n->graph;
  qint8_error error = QINT8_ERROR_INIT;
  q8_plan_config config = {.mask = isa->needs, .isa = isa->name, .inputs = &g->tensors[0].shape};
  q8_plan *plan = NULL;
  q8_session *session = NULL;
  CHECK_MSG(q8_plan_compile(g, n->recipe, &config, &host, &plan, &error) == QINT8_OK, "%s", error.message);
  CHECK_EQ(q8_session_open(plan, NULL, 0, &host, &session, NULL), QINT8_OK);
  float *y = malloc(count * sizeof *y);
  const void *in[1] = {x};
  void *out[1] = {y};
  CHECK_EQ(q8_session_execute(session, in, out, NULL), QINT8_OK);
  float step = exact ? 0 : n->params[g->outputs[0]].scale * 1.001f;
  for (size_t i = 0; i < count; i++)
    CHECK_MSG(fabsf(y[i] - expected[i]) <= step, "%s, %s, element %zu: %g, expected %g", g->tensors[g->outputs[0]].name,
              isa->name, i, (double)y[i], (double)expected[i]);
  for (size_t i = 0; i < q8_plan_step_count(plan); i++) {
    q8_shape shape;
    const q8_step *s = q8_plan_step_at(plan, i, &shape);
    CHECK_MSG(s->tensor == Q8_NONE || !strcmp(s->precision, "int8"), "step %s is %s", s->name, s->precision);
  }
  free(y);
  q8_session_close(session);
  q8_plan_free(plan);
}

static void check(net *n, q8_id y, int exact) {
  make_recipe(n, y);
  size_t count = 0, inputs = q8_shape_count(&n->graph->tensors[0].shape, NULL);
  float *x = malloc(inputs * sizeof *x);
  for (size_t i = 0; i < inputs; i++)
    x[i] = test_random_float(-3, 3);
  float *expected = reference(n, x, &count);
  for (size_t i = 0; i < q8_isa_count; i++)
    if (!(q8_isa_list[i]->needs & ~q8_cpu_detect()))
      compare_on(n, q8_isa_list[i], x, expected, count, exact);
  free(x);
  free(expected);
  q8_recipe_free(n->recipe);
  q8_graph_destroy(n->graph);
}

/* The input, or the input passed through a window of one position, which leaves it in channels-last order. */
static q8_id start(net *n, q8_shape shape, int last) {
  q8_id x = tensor(n, "x", &shape, NULL, 0.025f, 120);
  return last ? NODE(n, "MaxPool", "1", 0.025f, 120, x) : x;
}

static void binary_shapes(void) {
  static const char *const ops[3] = {"Add", "Sub", "Mul"};
  q8_shape shapes[5] = {SHAPE(2, 19, 4, 5), SHAPE(1, 19, 1, 1), SHAPE(19, 1, 1), {0, {0}}, SHAPE(2, 19, 1, 1)};
  for (int i = 0; i < 30; i++) {
    net n = net_new();
    q8_id a = start(&n, SHAPE(2, 19, 4, 5), i & 1), b = constant(&n, "b", shapes[i / 6], 0.017f, 131);
    check(&n, NODE(&n, ops[i / 2 % 3], ops[i / 2 % 3], 0.04f, 128, a, b), 1);
  }
}

/* Scale and shift by vectors along the last axis, as in transformers: linear order only. */
static void binary_last_axis(void) {
  net n = net_new();
  q8_id a = start(&n, SHAPE(3, 7, 33), 0), b = constant(&n, "b", SHAPE(33), 0.017f, 131);
  check(&n, NODE(&n, "Mul", "y", 0.04f, 128, b, a), 1);
}

static void squeeze_excite(void) {
  for (int last = 0; last < 2; last++) {
    net n = net_new();
    q8_id a = start(&n, SHAPE(2, 70, 3, 5), last), s = NODE(&n, "GlobalMaxPool", "s", 0.025f, 120, a);
    check(&n, NODE(&n, "Mul", "y", 0.05f, 100, s, a), 1);
  }
}

static void pools(void) {
  for (int last = 0; last < 2; last++) {
    static const char *const ops[3] = {"MaxPool", "AveragePool", "GlobalAveragePool"};
    for (int i = 0; i < 3; i++) {
      net n = net_new();
      q8_id a = start(&n, SHAPE(2, 70, 5, 6), last);
      check(&n, NODE(&n, ops[i], "y", i ? 0.01f : 0.025f, i ? 130 : 120, a), i == 0);
    }
  }
}

static void tables(void) {
  static const char *const ops[5] = {"HardSwish", "Sigmoid", "Relu", "Tanh", "Exp"};
  for (int i = 0; i < 10; i++) {
    net n = net_new();
    q8_id a = start(&n, SHAPE(2, 19, 4, 5), i & 1);
    check(&n, NODE(&n, ops[i / 2], "y", 0.011f, 90, a), 0);
  }
}

/* Tables that are merged into the step before them. */
static void merged_tables(void) {
  static const char *const ops[3] = {"Add", "Sub", "Mul"};
  q8_shape shapes[3] = {SHAPE(2, 19, 8, 9), SHAPE(1, 19, 1, 1), SHAPE(2, 19, 1, 1)};
  for (int i = 0; i < 18; i++) {
    net n = net_new();
    q8_id a = start(&n, SHAPE(2, 19, 8, 9), i & 1), b = constant(&n, "b", shapes[i / 6], 0.017f, 131);
    check(&n, NODE(&n, "Relu", "y", 0.02f, 7, NODE(&n, ops[i / 2 % 3], "s", 0.04f, 128, a, b)), 1);
  }
}

static void moving_operators(void) {
  for (int last = 0; last < 2; last++) {
    net n = net_new();
    q8_id a = start(&n, SHAPE(2, 19, 4, 5), last), b = constant(&n, "b", SHAPE(2, 3, 4, 5), 0.025f, 120);
    q8_id c = NODE(&n, "Concat", "c", 0.025f, 120, a, b);
    check(&n, NODE(&n, "Flatten", "y", 0.025f, 120, NODE(&n, "Transpose", "t", 0.025f, 120, c)), 1);
  }
}

/* Pools write into the result of Concat; a constant is copied, and so is what others read too. */
static void joined_results(void) {
  for (int last = 0; last < 2; last++) {
    net n = net_new();
    q8_id a = start(&n, SHAPE(2, 19, 4, 5), last), b = constant(&n, "b", SHAPE(2, 3, 2, 4), 0.025f, 120);
    q8_id p = NODE(&n, "MaxPool", "p", 0.025f, 120, a), q = NODE(&n, "MaxPool", "q", 0.025f, 120, a);
    q8_id r = NODE(&n, "MaxPool", "r", 0.025f, 120, a);
    q8_id c = NODE(&n, "Concat", "c", 0.025f, 120, p, b, q, r);
    check(&n, NODE(&n, "Concat", "y", 0.025f, 120, NODE(&n, "Relu", "s", 0.025f, 120, c), r), 1);
  }
}

static void selecting_operators(void) {
  for (int last = 0; last < 2; last++) {
    net n = net_new();
    q8_id a = start(&n, SHAPE(2, 19, 4, 6), last), at = INTEGERS(&n, "at", 3, -1, 0, 7), from = INTEGERS(&n, "from", 1, 4);
    q8_id to = INTEGERS(&n, "to", 3, 1), axes = INTEGERS(&n, "axes", 2, -1), steps = INTEGERS(&n, "steps", 1, -1);
    q8_id g = NODE(&n, "Gather", "g", 0.025f, 120, a, at);
    q8_id s = NODE(&n, "Slice", "s", 0.025f, 120, g, from, to, axes, steps);
    check(&n, NODE(&n, "DepthToSpace", "y", 0.025f, 120, NODE(&n, "Split", "t", 0.025f, 120, s)), 1);
  }
}

int main(int argc, char **argv) {
  TEST_BEGIN(argc, argv);
  CHECK_EQ(q8_host_init(&host, NULL, NULL), QINT8_OK);
  RUN(binary_shapes);
  RUN(binary_last_axis);
  RUN(squeeze_excite);
  RUN(pools);
  RUN(tables);
  RUN(merged_tables);
  RUN(moving_operators);
  RUN(joined_results);
  RUN(selecting_operators);
  return TEST_END();
}
