/* Models of the QOperator dialect: the same graph and recipe as their QDQ form, or a refusal that names the node. */
#include "builder.h"
#include "onnx/export.h"
#include "onnx/import.h"
#include "models.h"
#include "ops/op.h"
#include "test.h"

typedef struct loaded {
  q8_graph *graph;
  q8_onnx_quant *quant;
  q8_recipe *recipe;
  q8_status status;
  qint8_error error;
} loaded;

static loaded load_bytes(const void *bytes, size_t size, const q8_host *host) {
  loaded m = {.error = QINT8_ERROR_INIT};
  m.status = q8_onnx_import(bytes, size, host, &m.graph, &m.quant, &m.error);
  if (m.status == QINT8_OK && m.quant)
    m.status = q8_onnx_recipe(m.quant, m.graph, host, &m.recipe, &m.error);
  return m;
}

static loaded load(const builder *b) {
  return load_bytes(b->w.bytes, b->w.size, &b->host);
}

static void unload(loaded *m) {
  q8_recipe_free(m->recipe);
  q8_onnx_quant_destroy(m->quant);
  q8_graph_destroy(m->graph);
}

static const float sx = 0.25f, sy = 0.5f, sw[2] = {0.5f, 0.125f};
static const int8_t w[6] = {1, -2, 3, -128, 127, 0}, zw[2] = {0, 0};
static const int32_t bias[2] = {123456789, -7}; /* more bits than float holds */

static void build_start(builder *b, const int64_t *in, const int64_t *out) {
  build_quantized(b, in, sx, out, sy);
  build_constant(b, "sw", QINT8_DTYPE_F32, DIMS(2), sw, 8);
  build_constant(b, "zw", QINT8_DTYPE_S8, DIMS(2), zw, 2);
}

static size_t open_microsoft(builder *b, const char *op, const char *name, const char *inputs, const char *outputs) {
  size_t node = build_open_node(b, op, name, inputs, outputs);
  q8_write_string(&b->w, Q8_NODE_DOMAIN, "com.microsoft");
  return node;
}

static void check_quant(const loaded *m, q8_id id, float scale, int32_t zero) {
  const q8_tensor_quant *q = &m->recipe->tensors[id];
  CHECK(q->dtype == QINT8_DTYPE_U8 && q->count == 1 && q->scale[0] == scale && q->zero_point[0] == zero);
}

/* How often the word stands in the bytes, not as a part of a longer one. */
static int count_word(const void *bytes, size_t size, const char *word) {
  const char *at = bytes, *end = at + size;
  size_t length = strlen(word);
  int count = 0;
  for (; at + length + 1 < end; at++)
    count += !memcmp(at, word, length) && at[-1] == (char)length;
  return count;
}

/* Written in QOperator form and read again: the same operators and recipe, and then the same bytes. */
static void check_written(const loaded *m, const q8_host *host, const char *const *words, const int *counts) {
  qint8_error error = QINT8_ERROR_INIT;
  void *bytes, *again;
  size_t size, again_size;
  CHECK_EQ(q8_onnx_export(m->graph, m->recipe, QINT8_FORMAT_QOPERATOR, host, &bytes, &size, &error), QINT8_OK);
  for (; *words; words++, counts++)
    CHECK_MSG(count_word(bytes, size, *words) == *counts, "%s: %d times, expected %d", *words,
              count_word(bytes, size, *words), *counts);
  loaded back = load_bytes(bytes, size, host);
  CHECK_MSG(back.status == QINT8_OK && back.recipe, "%s: %s", back.error.where, back.error.message);
  for (size_t i = 0; back.recipe && i < m->graph->node_count; i++) {
    const q8_node *a = &m->graph->nodes[i], *b = &back.graph->nodes[i];
    CHECK(!strcmp(a->op->name, b->op->name) && back.recipe->modes[i] == m->recipe->modes[i]);
    for (int32_t j = 0; j < a->input_count; j++) {
      const q8_tensor_quant *x = &m->recipe->tensors[a->inputs[j]], *y = &back.recipe->tensors[b->inputs[j]];
      CHECK(x->dtype == y->dtype && x->count == y->count && x->axis == y->axis);
      for (int32_t c = 0; c < x->count && c < y->count; c++)
        CHECK(x->scale[c] == y->scale[c] && x->zero_point[c] == y->zero_point[c]);
      CHECK(!x->integers || !memcmp(x->integers, y->integers, x->integer_count * sizeof *x->integers));
      const q8_tensor *t = &m->graph->tensors[a->inputs[j]];
      if (q8_graph_is_constant(m->graph, a->inputs[j]))
        CHECK(!memcmp(floats_of(m->graph, a->inputs[j]), floats_of(back.graph, b->inputs[j]), 4 * q8_shape_count(&t->shape, NULL)));
    }
  }
  if (back.recipe) {
    q8_status status =
        q8_onnx_export(back.graph, back.recipe, QINT8_FORMAT_QOPERATOR, host, &again, &again_size, &error);
    CHECK_EQ(status, QINT8_OK);
    CHECK(again_size == size && !memcmp(again, bytes, size));
    q8_free(host, again);
  }
  q8_free(host, bytes);
  unload(&back);
}
#define WORDS(...) ((const char *const[]){__VA_ARGS__, NULL})
#define COUNTS(...) ((const int[]){__VA_ARGS__})

/* ONNX Runtime writes Gemm so; transB tells where the output channels are. */
static void build_gemm(builder *b) {
  build_start(b, DIMS(-1, 3), DIMS(-1, 2));
  build_constant(b, "w_quantized", QINT8_DTYPE_S8, DIMS(2, 3), w, 6);
  build_constant(b, "b_quantized", QINT8_DTYPE_S32, DIMS(2), bias, 8);
  build_node(b, "QuantizeLinear", "q", "x sx zx", "xq");
  size_t node = open_microsoft(b, "QGemm", "gemm", "xq sx zx w_quantized sw zw b_quantized sy zy", "y_quantized");
  build_int(b, "transB", 1);
  q8_write_end(&b->w, node);
  build_node(b, "DequantizeLinear", "d", "y_quantized sy zy", "y");
  build_end(b);
}

static void gemm(void) {
  builder b;
  build_gemm(&b);
  loaded m = load(&b);
  CHECK_MSG(m.status == QINT8_OK && m.recipe, "%s: %s", m.error.where, m.error.message);
  if (m.recipe) {
    const q8_node *node = &m.graph->nodes[0];
    CHECK_EQ(m.graph->node_count, 1);
    CHECK(!strcmp(node->op->name, "Gemm"));
    CHECK_EQ(m.recipe->modes[0], Q8_MODE_STATIC);
    CHECK_EQ(node->inputs[0], q8_graph_find(m.graph, "x"));
    CHECK_EQ(node->outputs[0], q8_graph_find(m.graph, "y"));
    check_quant(&m, node->inputs[0], sx, 128);
    check_quant(&m, node->outputs[0], sy, 3);
    const q8_tensor_quant *wq = &m.recipe->tensors[node->inputs[1]], *bq = &m.recipe->tensors[node->inputs[2]];
    CHECK(wq->dtype == QINT8_DTYPE_S8 && wq->count == 2 && wq->axis == 0 && wq->scale[1] == sw[1]);
    CHECK(bq->dtype == QINT8_DTYPE_S32 && bq->count == 2 && bq->scale[1] == sx * sw[1]);
    const float *wf = floats_of(m.graph, node->inputs[1]), *bf = m.graph->tensors[node->inputs[2]].data;
    for (int i = 0; i < 6; i++)
      CHECK(wf[i] == (float)w[i] * sw[i / 3]);
    CHECK(bf[0] == 123456789.0f * (sx * sw[0]) && bf[1] == -7 * (sx * sw[1]));
    CHECK(bq->integer_count == 2 && bq->integers[0] == bias[0] && bq->integers[1] == bias[1]);
    CHECK(!strcmp(m.graph->tensors[node->inputs[1]].name, "w"));
    check_written(&m, &b.host, WORDS("QGemm", "QuantizeLinear", "DequantizeLinear"), COUNTS(1, 1, 1));
  }
  unload(&m);
  q8_writer_free(&b.w);
}

/* Integers that are moved keep their parameters, however far, and wherever the nodes stand in the file. */
static void build_moves(builder *b) {
  static const int64_t shape[2] = {1, -1};
  build_start(b, DIMS(1, 2, 4, 4), DIMS(1, 8));
  build_constant(b, "shape", QINT8_DTYPE_S64, DIMS(2), shape, 16);
  build_node(b, "DequantizeLinear", "d", "sum sy zy", "y");
  build_node(b, "Reshape", "reshape", "pooled shape", "flat");
  size_t node = build_open_node(b, "MaxPool", "pool", "xq", "pooled");
  size_t kernel = q8_write_begin(&b->w, Q8_NODE_ATTRIBUTE);
  q8_write_string(&b->w, Q8_ATTRIBUTE_NAME, "kernel_shape");
  q8_write_varint(&b->w, Q8_ATTRIBUTE_TYPE, Q8_TYPE_INTS);
  q8_write_varint(&b->w, Q8_ATTRIBUTE_INTS, 2);
  q8_write_varint(&b->w, Q8_ATTRIBUTE_INTS, 2);
  q8_write_end(&b->w, kernel);
  q8_write_end(&b->w, node);
  q8_write_end(&b->w, open_microsoft(b, "QLinearAdd", "add", "flat sx zx flat sx zx sy zy", "sum"));
  build_node(b, "QuantizeLinear", "q", "x sx zx", "xq");
  build_end(b);
}

static void moves(void) {
  builder b;
  build_moves(&b);
  loaded m = load(&b);
  CHECK_MSG(m.status == QINT8_OK && m.recipe, "%s: %s", m.error.where, m.error.message);
  if (m.recipe) {
    static const char *const ops[] = {"MaxPool", "Reshape", "Add"};
    CHECK_EQ(m.graph->node_count, 3);
    for (size_t i = 0; i < 3 && i < m.graph->node_count; i++) {
      CHECK_MSG(!strcmp(m.graph->nodes[i].op->name, ops[i]), "%s in place of %s", m.graph->nodes[i].op->name, ops[i]);
      CHECK_EQ(m.recipe->modes[i], Q8_MODE_STATIC);
      check_quant(&m, m.graph->nodes[i].inputs[0], sx, 128);
    }
    check_quant(&m, m.graph->outputs[0], sy, 3);
    check_written(&m, &b.host, WORDS("MaxPool", "Reshape", "QLinearAdd", "QuantizeLinear", "DequantizeLinear"),
                  COUNTS(1, 1, 1, 1, 1));
  }
  unload(&m);
  q8_writer_free(&b.w);
}

/* `scales`: the operator behind the Cast. */
static void build_dynamic(builder *b, const char *scales) {
  build_start(b, DIMS(-1, 3), DIMS(-1, 2));
  build_constant(b, "wq", QINT8_DTYPE_S8, DIMS(3, 2), w, 6);
  build_node(b, "DynamicQuantizeLinear", "q", "x", "xq xs xz");
  build_node(b, "MatMulInteger", "product", "xq wq xz zw", "sum");
  build_node(b, "Mul", "both", "xs sw", "scale");
  size_t node = build_open_node(b, "Cast", "cast", "sum", "float");
  build_int(b, "to", 1);
  q8_write_end(&b->w, node);
  build_node(b, scales, "last", "float scale", "y");
  build_end(b);
}

static void dynamic(void) {
  builder b;
  build_dynamic(&b, "Mul");
  loaded m = load(&b);
  CHECK_MSG(m.status == QINT8_OK && m.recipe, "%s: %s", m.error.where, m.error.message);
  if (m.recipe) {
    CHECK_EQ(m.graph->node_count, 1);
    CHECK(!strcmp(m.graph->nodes[0].op->name, "MatMul"));
    CHECK_EQ(m.recipe->modes[0], Q8_MODE_DYNAMIC);
    const q8_tensor_quant *q = &m.recipe->tensors[m.graph->nodes[0].inputs[1]];
    CHECK(q->dtype == QINT8_DTYPE_S8 && q->count == 2 && q->axis == 1 && q->scale[1] == sw[1]);
  }
  unload(&m);
  q8_writer_free(&b.w);
}

static void check_refused(const builder *b, q8_status status, const char *where, const char *text) {
  loaded m = load(b);
  CHECK_EQ(m.status, status);
  CHECK_MSG(!strcmp(m.error.where, where) && strstr(m.error.message, text), "%s: %s", m.error.where, m.error.message);
  unload(&m);
}

static void refusals(void) {
  builder b;
  build_start(&b, DIMS(1, 2, 4, 4), DIMS(1, 2, 1, 1));
  build_node(&b, "QuantizeLinear", "q", "x sx zx", "xq");
  size_t node = open_microsoft(&b, "QLinearGlobalAveragePool", "mean", "xq sx zx sy zy", "yq");
  build_int(&b, "channels_last", 1);
  q8_write_end(&b.w, node);
  build_node(&b, "DequantizeLinear", "d", "yq sy zy", "y");
  build_end(&b);
  check_refused(&b, QINT8_ERROR_UNSUPPORTED, "mean", "channels_last = 1");
  q8_writer_free(&b.w);

  build_start(&b, DIMS(1, 3), DIMS(1, 2));
  build_node(&b, "QuantizeLinear", "q", "x sx zx", "xq");
  build_node(&b, "QLinearMatMul", "product", "xq sx zx - sw zw sy zy", "yq");
  build_node(&b, "DequantizeLinear", "d", "yq sy zy", "y");
  build_end(&b);
  check_refused(&b, QINT8_ERROR_FORMAT, "product", "input 3 of QLinearMatMul is left out");
  q8_writer_free(&b.w);

  build_start(&b, DIMS(1, 3), DIMS(1, 2));
  build_constant(&b, "w", QINT8_DTYPE_S8, DIMS(3, 2), w, 6);
  q8_write_end(&b.w, open_microsoft(&b, "DynamicQuantizeMatMul", "product", "x w", "y"));
  build_end(&b);
  check_refused(&b, QINT8_ERROR_UNSUPPORTED, "product", "the scale of a weight is not a constant");
  q8_writer_free(&b.w);
}

/* The operators of the graph, in order, as words. */
static void check_ops(const builder *b, const char *want) {
  char got[200] = "";
  loaded m = load(b);
  CHECK_MSG(m.status == QINT8_OK, "%s: %s", m.error.where, m.error.message);
  for (size_t i = 0; m.graph && i < m.graph->node_count; i++)
    snprintf(got + strlen(got), sizeof got - strlen(got), "%s%s", i ? " " : "", m.graph->nodes[i].op->name);
  CHECK_MSG(!strcmp(got, want), "%s, expected %s", got, want);
  unload(&m);
}

/* What does not fit the side table stays in the graph, on integer tensors. */
static void integers_as_values(void) {
  builder b;
  build_dynamic(&b, "Add"); /* not the scale of the product */
  check_ops(&b, "DynamicQuantizeLinear MatMulInteger Mul Cast Add");
  q8_writer_free(&b.w);

  build_start(&b, DIMS(4), DIMS(4)); /* a scale that is computed */
  build_value(&b, Q8_GRAPH_INPUT, "s", NO_DIMS);
  build_node(&b, "QuantizeLinear", "q", "x s zx", "xq");
  build_node(&b, "DequantizeLinear", "d", "xq s zx", "y");
  build_end(&b);
  check_ops(&b, "QuantizeLinear DequantizeLinear");
  q8_writer_free(&b.w);

  build_start(&b, DIMS(4), DIMS(4)); /* one tensor in two ways: the second stays */
  build_node(&b, "QuantizeLinear", "q", "x sx zx", "a");
  build_node(&b, "DequantizeLinear", "d", "a sx zx", "fa");
  build_node(&b, "QuantizeLinear", "q2", "fa sy zy", "b");
  build_node(&b, "DequantizeLinear", "d2", "b sy zy", "fb");
  build_node(&b, "Add", "add", "fa fb", "y");
  build_end(&b);
  check_ops(&b, "QuantizeLinear DequantizeLinear Add");
  q8_writer_free(&b.w);

  build_start(&b, DIMS(4), DIMS(4)); /* another scale on the way back */
  build_node(&b, "QuantizeLinear", "q", "x sx zx", "a");
  build_node(&b, "DequantizeLinear", "d", "a sy zx", "y");
  build_end(&b);
  check_ops(&b, "QuantizeLinear DequantizeLinear");
  q8_writer_free(&b.w);

  build_start(&b, DIMS(4), DIMS(4)); /* integers that leave the graph */
  build_value(&b, Q8_GRAPH_OUTPUT, "a", DIMS(4));
  build_node(&b, "QuantizeLinear", "q", "x sx zx", "a");
  build_node(&b, "DequantizeLinear", "d", "a sx zx", "y");
  build_end(&b);
  check_ops(&b, "QuantizeLinear DequantizeLinear");
  q8_writer_free(&b.w);
}

/* The product in front of integers that leave the graph runs on integers. */
static void integers_out(void) {
  builder b;
  build_start(&b, DIMS(1, 3), DIMS(1, 2));
  build_constant(&b, "wq", QINT8_DTYPE_S8, DIMS(3, 2), w, 6);
  build_node(&b, "QuantizeLinear", "q", "x sx zx", "xq");
  build_node(&b, "QLinearMatMul", "product", "xq sx zx wq sw zw sy zy", "y");
  build_end(&b);
  loaded m = load(&b);
  CHECK_MSG(m.status == QINT8_OK && m.recipe, "%s: %s", m.error.where, m.error.message);
  if (m.recipe) {
    CHECK_EQ(m.graph->node_count, 2);
    CHECK(!strcmp(m.graph->nodes[0].op->name, "MatMul") && !strcmp(m.graph->nodes[1].op->name, "QuantizeLinear"));
    CHECK_EQ(m.recipe->modes[0], Q8_MODE_STATIC);
    check_quant(&m, m.graph->nodes[0].outputs[0], sy, 3);
  }
  unload(&m);
  q8_writer_free(&b.w);
}

/* Every truncation and many damaged bytes: a status each. Sanitizers watch. */
static void damage(void) {
  builder b;
  build_gemm(&b);
  size_t size = b.w.size;
  for (size_t i = 0; i < size; i++) {
    b.w.size = i;
    loaded m = load(&b);
    CHECK(m.status != QINT8_OK || m.graph);
    unload(&m);
  }
  b.w.size = size;
  for (int i = 0; i < 4000; i++) {
    size_t at = (size_t)test_random_int(0, (int32_t)size - 1);
    uint8_t before = b.w.bytes[at];
    b.w.bytes[at] = (uint8_t)test_random();
    loaded m = load(&b);
    CHECK(m.status == QINT8_OK || m.error.message[0]);
    unload(&m);
    b.w.bytes[at] = before;
  }
  q8_writer_free(&b.w);
}

/* In and out again with allocation k failing, for every k. */
static void memory(void (*build)(builder *b)) {
  builder b;
  build(&b);
  long needed = 0;
  for (long k = 0; k <= needed; k++) {
    counting_host counter;
    q8_host host;
    void *bytes = NULL;
    size_t size;
    counting_host_init(&counter);
    counter.fail_at = k; /* 0: none, to know how many there are */
    CHECK_EQ(q8_host_init(&host, &counter.host, NULL), QINT8_OK);
    loaded m = load_bytes(b.w.bytes, b.w.size, &host);
    q8_status status = m.status;
    if (status == QINT8_OK)
      status = q8_onnx_export(m.graph, m.recipe, QINT8_FORMAT_QOPERATOR, &host, &bytes, &size, &m.error);
    CHECK_MSG(status == (k ? QINT8_ERROR_MEMORY : QINT8_OK), "allocation %ld fails: %s", k, qint8_status_name(status));
    needed = k ? needed : counter.allocations;
    q8_free(&host, bytes);
    unload(&m);
    CHECK_MSG(counter.live == 0, "allocation %ld fails: %ld are not released", k, counter.live);
  }
  q8_writer_free(&b.w);
}
static void build_dynamic_mul(builder *b) {
  build_dynamic(b, "Mul");
}
static void no_memory(void) {
  memory(build_gemm);
  memory(build_moves);
  memory(build_dynamic_mul);
}

int main(int argc, char **argv) {
  TEST_BEGIN(argc, argv);
  RUN(gemm);
  RUN(moves);
  RUN(dynamic);
  RUN(refusals);
  RUN(integers_as_values);
  RUN(integers_out);
  RUN(damage);
  RUN(no_memory);
  return TEST_END();
}
