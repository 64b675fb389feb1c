/* Conv, Gemm and MatMul as planned, in float, static and dynamic int8, against their own `eval`: on the
 * values themselves, or on values rounded as the recipe says. `eval` on magnitudes gives the bound of the
 * rounding errors. */
#include <stdlib.h>
#include <string.h>

#include "base/cpu.h"
#include "exec/exec.h"
#include "ops/hooks.h"
#include "reference.h"
#include "test.h"

enum { INPUTS = 3, MAX_VALUES = 1 << 14 };

static q8_host host;

typedef struct net {
  q8_graph *graph;
  q8_recipe *recipe;
  const q8_node *node;
  q8_value in[INPUTS], out; /* of the node: the float values */
  int activations;          /* inputs that are not constant */
  size_t channels, filter, samples;
  int32_t weight_axis;
} net;

#define SHAPE(...) ((q8_shape){(int)(sizeof((int64_t[]){__VA_ARGS__}) / 8), {__VA_ARGS__}})

static void *field(const q8_op *op, void *params, const char *name) {
  return (char *)params + q8_op_attribute(op, name)->offset;
}

static float *random_values(size_t count) {
  float *v = calloc(count + 1, sizeof *v);
  for (size_t i = 0; v && i < count; i++)
    v[i] = test_random_float(-2, 2);
  return v;
}

/* `params` NULL: defaults. Inputs from `activations` on are constants. */
static net net_new(const char *op_name, const void *params, int count, const q8_shape *shapes,
                   int activations) {
  net n = {.activations = activations};
  const q8_op *op = q8_op_find(op_name, "");
  q8_id ids[INPUTS + 1];
  CHECK_EQ(q8_graph_create(&host, &n.graph, NULL), QINT8_OK);
  static const char *const names[INPUTS] = {"x", "w", "b"};
  for (int i = 0; i < count; i++) {
    size_t size = q8_shape_count(&shapes[i], NULL);
    n.in[i] = (q8_value){QINT8_DTYPE_F32, shapes[i], size, random_values(size)};
    float *data = NULL;
    if (i >= activations) {
      data = q8_pool_alloc(&n.graph->pool, size, sizeof *data);
      memcpy(data, n.in[i].data, size * sizeof *data);
    }
    CHECK_EQ(q8_graph_add_tensor(n.graph, names[i], QINT8_DTYPE_F32, &shapes[i], data, &ids[i], NULL),
             QINT8_OK);
  }
  CHECK_EQ(q8_graph_add_tensor(n.graph, "y", QINT8_DTYPE_F32, NULL, NULL, &ids[count], NULL), QINT8_OK);
  CHECK_EQ(q8_graph_add_node(n.graph, op_name, op, params, op->params_size, ids, count, &ids[count], 1, NULL),
           QINT8_OK);
  CHECK_EQ(q8_graph_set_inputs(n.graph, ids, (size_t)activations, NULL), QINT8_OK);
  CHECK_EQ(q8_graph_set_outputs(n.graph, &ids[count], 1, NULL), QINT8_OK);
  CHECK_EQ(q8_graph_freeze(n.graph, NULL), QINT8_OK);
  n.node = &n.graph->nodes[0];
  return n;
}

static void net_free(net *n) {
  for (int i = 0; i < INPUTS; i++)
    free(n->in[i].data);
  free(n->out.data);
  q8_recipe_free(n->recipe);
  q8_graph_destroy(n->graph);
}

/* eval on these inputs; magnitudes: on their absolute values, without the clamp. */
static float *evaluate(const net *n, const q8_value *inputs, int magnitudes, size_t *count) {
  const q8_value *in[INPUTS];
  q8_value values[INPUTS], out = {0};
  q8_node node = *n->node;
  void *params = calloc(1, node.op->params_size + 1);
  if (node.op->params_size)
    memcpy(params, node.params, node.op->params_size);
  if (magnitudes && q8_op_attribute(node.op, "activation_lo")) {
    *(float *)field(node.op, params, "activation_lo") = -INFINITY;
    *(float *)field(node.op, params, "activation_hi") = INFINITY;
  }
  node.params = params;
  for (int i = 0; i < node.input_count; i++) {
    values[i] = inputs[i];
    values[i].data = malloc((inputs[i].count + 1) * sizeof(float));
    for (size_t j = 0; j < inputs[i].count; j++) {
      float v = ((const float *)inputs[i].data)[j];
      ((float *)values[i].data)[j] = magnitudes ? fabsf(v) : v;
    }
    in[i] = &values[i];
  }
  q8_op_io io = {&node, in, &out, NULL};
  CHECK_EQ(q8_infer(&io), QINT8_OK);
  out.data = calloc(out.count + 1, sizeof(float));
  CHECK_EQ(node.op->family->eval(&io), QINT8_OK);
  for (int i = 0; i < node.input_count; i++)
    free(values[i].data);
  free(params);
  *count = out.count;
  return out.data;
}

/* The planned node on every ISA and for 1 and 3 threads; `precision` says which step must have run it. */
static void check_plans(const net *n, const char *precision, const float *want, const float *bound,
                        size_t count) {
  for (size_t i = 0; i < q8_isa_count * 2; i++) {
    const q8_isa *isa = q8_isa_list[i / 2];
    if (isa->needs & ~q8_cpu_detect())
      continue;
    q8_host threads = host;
    threads.threads = i % 2 ? 3 : 1;
    q8_shape shapes[INPUTS] = {n->in[0].shape, n->in[1].shape};
    q8_plan_config config = {.mask = isa->needs, .isa = isa->name, .inputs = shapes};
    q8_plan *plan = NULL;
    q8_session *session = NULL;
    CHECK_EQ(q8_plan_compile(n->graph, n->recipe, &config, &threads, &plan, NULL), QINT8_OK);
    CHECK_EQ(q8_session_open(plan, NULL, 0, &threads, &session, NULL), QINT8_OK);
    float *y = calloc(count + 1, sizeof *y);
    const void *in[INPUTS] = {n->in[0].data, n->in[1].data};
    void *out[1] = {y};
    CHECK_EQ(q8_session_execute(session, in, out, NULL), QINT8_OK);
    for (size_t j = 0; j < count; j++)
      CHECK_MSG(fabsf(y[j] - want[j]) <= bound[j], "%s %s on %s, element %zu: %g, expected %g",
                n->node->op->name, precision, isa->name, j, (double)y[j], (double)want[j]);
    for (size_t j = 0; j < q8_plan_step_count(plan); j++) {
      q8_shape shape;
      const q8_step *s = q8_plan_step_at(plan, j, &shape);
      if (s->macs)
        CHECK_MSG(!strcmp(s->precision, precision), "%s: %s, expected %s", n->node->op->name, s->precision,
                  precision);
    }
    free(y);
    q8_session_close(session);
    q8_plan_free(plan);
  }
}

static void check(const net *n, const char *precision, const q8_value *rounded, float step) {
  size_t count, terms = n->filter + 6; /* products, bias, and the roundings of a dequantized result */
  float *want = evaluate(n, rounded, 0, &count), *bound = evaluate(n, rounded, 1, &count);
  for (size_t i = 0; i < count; i++) {
    bound[i] = (float)(2.01 * ref_dot_bound(terms, (double)bound[i])) + step * 1.001f;
    if (step > 0)
      want[i] = ref_clampf(rintf(want[i] / step), -128, 127) * step;
  }
  check_plans(n, precision, want, bound, count);
  free(want);
  free(bound);
}

/* Symmetric s8, one scale per output channel; `values` are rounded to it. */
static void quantize_weight(net *n, float *values) {
  float scale[64];
  int32_t zero[64] = {0};
  size_t inner = n->weight_axis == 0 ? n->in[1].count / n->channels : 1;
  for (size_t k = 0; k < n->channels; k++)
    scale[k] = test_random_float(0.012f, 0.02f);
  for (size_t i = 0; i < n->in[1].count; i++) {
    float s = scale[i / inner % n->channels];
    values[i] = ref_clampf(rintf(values[i] / s), -128, 127) * s;
  }
  CHECK_EQ(q8_recipe_assign(n->recipe, n->node->inputs[1], QINT8_DTYPE_S8, n->weight_axis,
                            (int32_t)n->channels, scale, zero, NULL),
           QINT8_OK);
}

/* As ONNX DynamicQuantizeLinear, for each sample. */
static void round_samples(const net *n, float *x) {
  size_t size = n->in[0].count / n->samples;
  for (size_t i = 0; i < n->in[0].count; i += size) {
    float lo = 0, hi = 0;
    for (size_t j = 0; j < size; j++) {
      lo = x[i + j] < lo ? x[i + j] : lo;
      hi = x[i + j] > hi ? x[i + j] : hi;
    }
    float scale = (hi - lo) / 255.0f, zero = rintf(-lo / scale);
    for (size_t j = 0; j < size; j++)
      x[i + j] = (ref_clampf(rintf(x[i + j] / scale) + zero, 0, 255) - zero) * scale;
  }
}

static void check_int8(net *n, q8_mode mode) {
  const float x_scale = 0.0157f, y_scale = 0.11f;
  const int32_t zero = 128;
  q8_value rounded[INPUTS];
  CHECK_EQ(q8_recipe_new(&host, n->graph->tensor_count, n->graph->node_count, &n->recipe, NULL), QINT8_OK);
  n->recipe->modes[0] = (uint8_t)mode;
  for (int i = 0; i < n->node->input_count; i++) {
    rounded[i] = n->in[i];
    rounded[i].data = malloc((n->in[i].count + 1) * sizeof(float));
    memcpy(rounded[i].data, n->in[i].data, n->in[i].count * sizeof(float));
  }
  quantize_weight(n, rounded[1].data);
  if (mode == Q8_MODE_DYNAMIC) {
    round_samples(n, rounded[0].data);
  } else {
    float *x = rounded[0].data;
    for (size_t i = 0; i < n->in[0].count; i++)
      x[i] = ref_clampf(rintf(x[i] / x_scale), -128, 127) * x_scale;
    CHECK_EQ(q8_recipe_assign(n->recipe, n->node->inputs[0], QINT8_DTYPE_U8, -1, 1, &x_scale, &zero, NULL),
             QINT8_OK);
    CHECK_EQ(q8_recipe_assign(n->recipe, n->node->outputs[0], QINT8_DTYPE_U8, -1, 1, &y_scale, &zero, NULL),
             QINT8_OK);
  }
  /* A static result may round the other way at a boundary: one step. */
  check(n, mode == Q8_MODE_STATIC ? "int8" : "dynamic", rounded, mode == Q8_MODE_STATIC ? y_scale : 0);
  for (int i = 0; i < n->node->input_count; i++)
    free(rounded[i].data);
}

static void in_all_modes(const char *op, const void *params, int count, const q8_shape *shapes,
                         size_t channels, size_t filter, size_t samples, int32_t weight_axis, int dynamic) {
  for (int mode = Q8_MODE_FLOAT; mode <= (dynamic ? Q8_MODE_DYNAMIC : Q8_MODE_STATIC); mode++) {
    net n = net_new(op, params, count, shapes, 1);
    n.channels = channels;
    n.filter = filter;
    n.samples = samples;
    n.weight_axis = weight_axis;
    if (mode == Q8_MODE_FLOAT)
      check(&n, "fp32", n.in, 0);
    else
      check_int8(&n, (q8_mode)mode);
    net_free(&n);
  }
}

static void *defaults(const char *name) {
  const q8_op *op = q8_op_find(name, "");
  void *params = calloc(1, op->params_size + 1);
  q8_op_defaults(op, params);
  return params;
}

static void conv_2d(void) {
  const q8_op *op = q8_op_find("Conv", "");
  for (int i = 0; i < 4; i++) { /* plain; relu and pads; strides and clip; groups */
    void *p = defaults("Conv");
    int64_t groups = i == 3 ? 3 : 1;
    if (i == 1)
      *(q8_ints *)field(op, p, "pads") = (q8_ints){4, {1, 0, 2, 1}};
    if (i == 2)
      *(q8_ints *)field(op, p, "strides") = (q8_ints){2, {2, 1}};
    if (i > 0)
      *(float *)field(op, p, "activation_lo") = 0;
    if (i > 1)
      *(float *)field(op, p, "activation_hi") = 6;
    *(int64_t *)field(op, p, "group") = groups;
    q8_shape shapes[] = {SHAPE(2, 12, 7, 6), SHAPE(21, 12 / groups, 3, 2), SHAPE(21)};
    in_all_modes("Conv", p, 2 + i % 2, shapes, 21, (size_t)(12 / groups) * 6, 2, 0, i < 3);
    free(p);
  }
}

/* Planes that are convolved one by one; depth alone. */
static void conv_3d_flat(void) {
  const q8_op *op = q8_op_find("Conv", "");
  for (int depth = 0; depth < 2; depth++)
    for (int64_t groups = 1; groups <= 12; groups *= 12) {
      void *p = defaults("Conv");
      *(q8_ints *)field(op, p, "pads") = depth ? (q8_ints){6, {1, 0, 0, 2, 0, 0}} : (q8_ints){6, {0, 1, 0, 0, 2, 1}};
      *(q8_ints *)field(op, p, "strides") = depth ? (q8_ints){3, {2, 1, 1}} : (q8_ints){3, {1, 2, 1}};
      *(int64_t *)field(op, p, "group") = groups;
      q8_shape shapes[] = {SHAPE(2, 12, 5, 4, 6), depth ? SHAPE(12, 12 / groups, 3, 1, 1) : SHAPE(12, 12 / groups, 1, 3, 2),
                           SHAPE(12)};
      in_all_modes("Conv", p, 3, shapes, 12, (size_t)(12 / groups) * (depth ? 3 : 6), 2, 0, depth && groups == 1);
      free(p);
    }
}

static void conv_1d_same(void) {
  void *p = defaults("Conv");
  strcpy(field(q8_op_find("Conv", ""), p, "auto_pad"), "SAME_UPPER");
  q8_shape shapes[] = {SHAPE(2, 5, 17), SHAPE(9, 5, 4), SHAPE(9)};
  in_all_modes("Conv", p, 3, shapes, 9, 20, 2, 0, 1);
  free(p);
}

static void gemm(void) {
  const q8_op *op = q8_op_find("Gemm", "");
  for (int transposed = 0; transposed < 2; transposed++) {
    void *p = defaults("Gemm");
    *(int64_t *)field(op, p, "transB") = transposed;
    *(float *)field(op, p, "activation_lo") = 0;
    q8_shape shapes[] = {SHAPE(5, 33), transposed ? SHAPE(20, 33) : SHAPE(33, 20), SHAPE(20)};
    in_all_modes("Gemm", p, 3, shapes, 20, 33, 5, transposed ? 0 : 1, 1);
    free(p);
  }
}

static void matmul_constant(void) {
  q8_shape shapes[] = {SHAPE(2, 3, 31), SHAPE(31, 18)};
  in_all_modes("MatMul", "", 2, shapes, 18, 31, 6, 1, 1);
}

static void matmul_of_activations(void) {
  q8_shape shapes[][2] = {{SHAPE(2, 3, 9, 17), SHAPE(2, 3, 17, 50)},
                          {SHAPE(2, 1, 9, 17), SHAPE(3, 17, 5)},
                          {SHAPE(17), SHAPE(4, 17, 70)},
                          {SHAPE(2, 7, 17), SHAPE(17)}};
  for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++) {
    net n = net_new("MatMul", "", 2, shapes[i], 2);
    n.filter = 17;
    check(&n, "fp32", n.in, 0);
    net_free(&n);
  }
}

int main(int argc, char **argv) {
  TEST_BEGIN(argc, argv);
  q8_host_init(&host, NULL, NULL);
  RUN(conv_2d);
  RUN(conv_3d_flat);
  RUN(conv_1d_same);
  RUN(gemm);
  RUN(matmul_constant);
  RUN(matmul_of_activations);
  return TEST_END();
}
