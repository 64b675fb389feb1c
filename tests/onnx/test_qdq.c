/* Models with QuantizeLinear / DequantizeLinear: what becomes of the pairs, and that export writes them back. */
#include "builder.h"
#include "onnx/export.h"
#include "onnx/import.h"
#include "ops/op.h"
#include "test.h"

typedef struct loaded {
  q8_graph *graph;
  q8_onnx_quant *quant;
  q8_recipe *recipe;
} loaded;

static loaded load(const void *bytes, size_t size, const q8_host *host) {
  loaded m = {0};
  qint8_error error = QINT8_ERROR_INIT;
  q8_status status = q8_onnx_import(bytes, size, host, &m.graph, &m.quant, &error);
  CHECK_MSG(status == QINT8_OK, "%s: %s", error.where, error.message);
  if (status == QINT8_OK && m.quant)
    CHECK_EQ(q8_onnx_recipe(m.quant, m.graph, host, &m.recipe, &error), QINT8_OK);
  return m;
}

static void unload(loaded *m) {
  q8_recipe_free(m->recipe);
  q8_onnx_quant_destroy(m->quant);
  q8_graph_destroy(m->graph);
}

static const q8_tensor_quant *quant_of(const loaded *m, const char *name) {
  q8_id id = q8_graph_find(m->graph, name);
  CHECK_MSG(id != Q8_NONE, "no tensor %s", name);
  return &m->recipe->tensors[id < 0 ? 0 : id];
}

static const float sx = 0.25f, sy = 0.5f, sw[2] = {0.5f, 0.125f}, sb[2] = {0.125f, 0.03125f};
static const uint8_t zx = 128, zy = 3;
static const int8_t w[6] = {1, -2, 3, -128, 127, 0}, zw[2] = {0, 0};
static const int32_t bias[2] = {1000, -7};

static void build_pair(builder *b, const char *from, const char *quantized, const char *scale, const char *zero,
                       const char *to) {
  char inputs[64];
  snprintf(inputs, sizeof inputs, "%s %s %s", from, scale, zero);
  build_node(b, "QuantizeLinear", quantized, inputs, quantized);
  snprintf(inputs, sizeof inputs, "%s %s %s", quantized, scale, zero);
  build_node(b, "DequantizeLinear", to, inputs, to);
}

/* x -> QDQ -> Gemm(w s8 per channel, bias s32) -> QDQ -> y */
static void build_gemm(builder *b) {
  build_begin(b, 13);
  build_value(b, Q8_GRAPH_INPUT, "x", DIMS(-1, 3));
  build_value(b, Q8_GRAPH_OUTPUT, "y", DIMS(-1, 2));
  build_constant(b, "sx", QINT8_DTYPE_F32, NO_DIMS, &sx, 4);
  build_constant(b, "zx", QINT8_DTYPE_U8, NO_DIMS, &zx, 1);
  build_constant(b, "sy", QINT8_DTYPE_F32, NO_DIMS, &sy, 4);
  build_constant(b, "zy", QINT8_DTYPE_U8, NO_DIMS, &zy, 1);
  build_constant(b, "wq", QINT8_DTYPE_S8, DIMS(2, 3), w, 6);
  build_constant(b, "sw", QINT8_DTYPE_F32, DIMS(2), sw, 8);
  build_constant(b, "zw", QINT8_DTYPE_S8, DIMS(2), zw, 2);
  build_constant(b, "bq", QINT8_DTYPE_S32, DIMS(2), bias, 8);
  build_constant(b, "sb", QINT8_DTYPE_F32, DIMS(2), sb, 8);
  build_pair(b, "x", "xq", "sx", "zx", "xd");
  size_t node = build_open_node(b, "DequantizeLinear", "w_node", "wq sw zw", "w");
  build_int(b, "axis", 0);
  q8_write_end(&b->w, node);
  node = build_open_node(b, "DequantizeLinear", "b_node", "bq sb", "b");
  build_int(b, "axis", 0);
  q8_write_end(&b->w, node);
  node = build_open_node(b, "Gemm", "gemm", "xd w b", "g");
  build_int(b, "transB", 1);
  q8_write_end(&b->w, node);
  build_pair(b, "g", "gq", "sy", "zy", "y");
  build_end(b);
}

static void static_gemm(void) {
  builder b;
  build_gemm(&b);
  loaded m = load(b.w.bytes, b.w.size, &b.host);
  CHECK(m.recipe != NULL);
  CHECK_EQ(m.graph->node_count, 1);
  CHECK_EQ(m.recipe->modes[0], Q8_MODE_STATIC);
  CHECK_EQ(m.recipe->config, QINT8_CONFIG_STATIC_PER_CHANNEL);
  CHECK_EQ(m.graph->nodes[0].inputs[0], q8_graph_find(m.graph, "x"));
  CHECK_EQ(m.graph->nodes[0].outputs[0], q8_graph_find(m.graph, "y"));
  const q8_tensor_quant *x = quant_of(&m, "x"), *y = quant_of(&m, "y");
  const q8_tensor_quant *wq = quant_of(&m, "w"), *bq = quant_of(&m, "b");
  CHECK(x->dtype == QINT8_DTYPE_U8 && x->count == 1 && x->scale[0] == sx && x->zero_point[0] == 128);
  CHECK(y->dtype == QINT8_DTYPE_U8 && y->scale[0] == sy && y->zero_point[0] == 3);
  CHECK(wq->dtype == QINT8_DTYPE_S8 && wq->count == 2 && wq->axis == 0 && wq->scale[1] == sw[1]);
  CHECK(bq->dtype == QINT8_DTYPE_S32 && bq->count == 2 && bq->scale[0] == sb[0]);
  const q8_int8_values *kept = m.graph->tensors[q8_graph_find(m.graph, "w")].integers;
  CHECK(kept && !memcmp(kept->values, w, 6) && kept->count == 2 && kept->axis == 0 && kept->scale[1] == sw[1]);
  const float *wf = floats_of(m.graph, q8_graph_find(m.graph, "w"));
  for (int i = 0; i < 6; i++)
    CHECK(wf[i] == (float)w[i] * sw[i / 3]);
  const float *bf = m.graph->tensors[q8_graph_find(m.graph, "b")].data;
  CHECK(bf[0] == 125.0f && bf[1] == -7 * 0.03125f);
  unload(&m);
  q8_writer_free(&b.w);
}

/* Export of what was imported, imported again: the same names, values, recipe; and from then on the same bytes. */
static void check_round_trip(const loaded *m, const q8_host *host) {
  qint8_error error = QINT8_ERROR_INIT;
  void *bytes, *again;
  size_t size, again_size;
  CHECK_EQ(q8_onnx_export(m->graph, m->recipe, QINT8_FORMAT_QDQ, host, &bytes, &size, &error), QINT8_OK);
  loaded back = load(bytes, size, host);
  CHECK_EQ(back.graph->node_count, m->graph->node_count);
  CHECK_EQ(back.recipe->config, m->recipe->config);
  for (size_t i = 0; i < m->graph->node_count; i++) {
    CHECK(!strcmp(back.graph->nodes[i].op->name, m->graph->nodes[i].op->name));
    CHECK_EQ(back.recipe->modes[i], m->recipe->modes[i]);
  }
  for (size_t i = 0; i < m->graph->tensor_count; i++) {
    const q8_tensor *t = &m->graph->tensors[i];
    const q8_tensor_quant *q = &m->recipe->tensors[i];
    if (t->uses == 0)
      continue;
    q8_id id = q8_graph_find(back.graph, t->name);
    CHECK_MSG(id != Q8_NONE, "%s is lost", t->name);
    if (id == Q8_NONE)
      continue;
    const q8_tensor_quant *r = &back.recipe->tensors[id];
    CHECK_MSG(r->dtype == q->dtype && r->count == q->count, "%s: other parameters", t->name);
    for (int32_t c = 0; q->dtype && c < q->count && c < r->count; c++)
      CHECK_MSG(r->scale[c] == q->scale[c] && r->zero_point[c] == q->zero_point[c], "%s: channel %d differs", t->name,
                (int)c);
    if (q8_graph_is_constant(m->graph, (q8_id)i) && t->dtype == QINT8_DTYPE_F32)
      CHECK_MSG(!memcmp(floats_of(back.graph, id), floats_of(m->graph, (q8_id)i), 4 * q8_shape_count(&t->shape, NULL)), "%s: other values",
                t->name);
  }
  CHECK_EQ(q8_onnx_export(back.graph, back.recipe, QINT8_FORMAT_QDQ, host, &again, &again_size, &error), QINT8_OK);
  CHECK(again_size == size && !memcmp(again, bytes, size));
  q8_free(host, again);
  q8_free(host, bytes);
  unload(&back);
}

static void static_gemm_round_trip(void) {
  builder b;
  build_gemm(&b);
  loaded m = load(b.w.bytes, b.w.size, &b.host);
  check_round_trip(&m, &b.host);
  /* A node that the user keeps float stays so, though all its tensors are quantized. */
  m.recipe->modes[0] = Q8_MODE_FLOAT;
  qint8_error error = QINT8_ERROR_INIT;
  void *bytes;
  size_t size;
  CHECK_EQ(q8_onnx_export(m.graph, m.recipe, QINT8_FORMAT_QDQ, &b.host, &bytes, &size, &error), QINT8_OK);
  loaded back = load(bytes, size, &b.host);
  CHECK(!back.recipe || back.recipe->modes[0] == Q8_MODE_FLOAT);
  unload(&back);
  q8_free(&b.host, bytes);
  unload(&m);
  q8_writer_free(&b.w);
}

static void dynamic_gemm(void) {
  builder b;
  build_begin(&b, 13);
  build_value(&b, Q8_GRAPH_INPUT, "x", DIMS(-1, 3));
  build_value(&b, Q8_GRAPH_OUTPUT, "y", DIMS(-1, 2));
  build_constant(&b, "wq", QINT8_DTYPE_S8, DIMS(3, 2), w, 6);
  build_constant(&b, "s", QINT8_DTYPE_F32, NO_DIMS, sw, 4);
  build_node(&b, "DynamicQuantizeLinear", "dynamic", "x", "q qs qz");
  build_node(&b, "DequantizeLinear", "d", "q qs qz", "xd");
  build_node(&b, "DequantizeLinear", "dw", "wq s", "w");
  build_node(&b, "Gemm", "gemm", "xd w", "y");
  build_end(&b);
  loaded m = load(b.w.bytes, b.w.size, &b.host);
  CHECK_EQ(m.graph->node_count, 1);
  CHECK_EQ(m.recipe->modes[0], Q8_MODE_DYNAMIC);
  CHECK_EQ(m.recipe->config, QINT8_CONFIG_DYNAMIC);
  CHECK_EQ(m.graph->nodes[0].inputs[0], m.graph->inputs[0]);
  CHECK_EQ(quant_of(&m, "x")->dtype, QINT8_DTYPE_NONE);
  check_round_trip(&m, &b.host);
  unload(&m);
  q8_writer_free(&b.w);
}

/* x -> QDQ -> Relu -> QDQ -> both an output and the input of an Add with the rounded x. */
static void pairs_with_several_readers(void) {
  builder b;
  build_begin(&b, 13);
  build_value(&b, Q8_GRAPH_INPUT, "x", DIMS(-1, 3));
  build_value(&b, Q8_GRAPH_OUTPUT, "y", DIMS(-1, 3));
  build_value(&b, Q8_GRAPH_OUTPUT, "z", DIMS(-1, 3));
  build_constant(&b, "sx", QINT8_DTYPE_F32, NO_DIMS, &sx, 4);
  build_constant(&b, "zx", QINT8_DTYPE_U8, NO_DIMS, &zx, 1);
  build_constant(&b, "sy", QINT8_DTYPE_F32, NO_DIMS, &sy, 4);
  build_constant(&b, "zy", QINT8_DTYPE_U8, NO_DIMS, &zy, 1);
  build_pair(&b, "x", "xq", "sx", "zx", "xd");
  build_node(&b, "Sigmoid", "sigmoid", "xd", "r");
  build_pair(&b, "r", "rq", "sy", "zy", "y");
  build_node(&b, "Add", "add", "xd y", "a");
  build_pair(&b, "a", "aq", "sx", "zx", "z");
  build_end(&b);
  loaded m = load(b.w.bytes, b.w.size, &b.host);
  CHECK_EQ(m.graph->node_count, 2);
  CHECK_EQ(m.recipe->modes[0], Q8_MODE_STATIC);
  CHECK_EQ(m.recipe->modes[1], Q8_MODE_STATIC);
  CHECK_EQ(m.graph->nodes[1].inputs[0], q8_graph_find(m.graph, "x"));
  CHECK_EQ(m.graph->nodes[1].inputs[1], q8_graph_find(m.graph, "y"));
  CHECK(quant_of(&m, "y")->scale && quant_of(&m, "y")->scale[0] == sy);
  check_round_trip(&m, &b.host);
  unload(&m);
  q8_writer_free(&b.w);
}

/* An output that is merely the rounded input: the value needs a node, as both names must exist. */
static void rounded_input_as_output(void) {
  builder b;
  build_begin(&b, 13);
  build_value(&b, Q8_GRAPH_INPUT, "x", DIMS(3));
  build_value(&b, Q8_GRAPH_OUTPUT, "y", DIMS(3));
  build_constant(&b, "sx", QINT8_DTYPE_F32, NO_DIMS, &sx, 4);
  build_constant(&b, "zx", QINT8_DTYPE_U8, NO_DIMS, &zx, 1);
  build_pair(&b, "x", "xq", "sx", "zx", "y");
  build_end(&b);
  loaded m = load(b.w.bytes, b.w.size, &b.host);
  CHECK_EQ(m.graph->node_count, 1);
  CHECK(!strcmp(m.graph->nodes[0].op->name, "Identity"));
  CHECK_EQ(m.recipe->modes[0], Q8_MODE_STATIC);
  check_round_trip(&m, &b.host);
  unload(&m);
  q8_writer_free(&b.w);
}

/* Weights as float -> Q -> DQ (training exporters) and as u8 around 128 become s8 around 0. */
/* Unrolled loops and rewrites leave nodes of one name, and so do some exporters. */
static void nodes_get_names_of_their_own(void) {
  builder b;
  build_begin(&b, 13);
  build_value(&b, Q8_GRAPH_INPUT, "x", DIMS(2));
  build_value(&b, Q8_GRAPH_OUTPUT, "y", DIMS(2));
  build_node(&b, "Neg", "same", "x", "a");
  build_node(&b, "Exp", "same", "a", "b");
  build_node(&b, "Neg", "same_1", "b", "c");
  build_node(&b, "Exp", "same", "c", "y");
  build_end(&b);
  loaded m = load(b.w.bytes, b.w.size, &b.host);
  void *bytes;
  size_t size;
  CHECK_EQ(q8_onnx_export(m.graph, NULL, QINT8_FORMAT_QDQ, &b.host, &bytes, &size, NULL), QINT8_OK);
  loaded back = load(bytes, size, &b.host);
  CHECK_EQ(back.graph->node_count, 4);
  for (size_t i = 0; i < back.graph->node_count; i++)
    for (size_t j = 0; j < i; j++)
      CHECK_MSG(strcmp(back.graph->nodes[i].name, back.graph->nodes[j].name), "two nodes %s", back.graph->nodes[i].name);
  CHECK(!strcmp(back.graph->nodes[0].name, "same"));
  unload(&back);
  q8_free(&b.host, bytes);
  unload(&m);
  q8_writer_free(&b.w);
}

static void other_spellings_of_weights(void) {
  static const float wf[2] = {0.6f, -0.4f};
  static const uint8_t wu[2] = {129, 0}, middle = 128;
  builder b;
  build_begin(&b, 13);
  build_value(&b, Q8_GRAPH_INPUT, "x", DIMS(2));
  build_value(&b, Q8_GRAPH_OUTPUT, "y", DIMS(2));
  build_constant(&b, "s", QINT8_DTYPE_F32, NO_DIMS, &sx, 4);
  build_constant(&b, "zs", QINT8_DTYPE_S8, NO_DIMS, zw, 1);
  build_constant(&b, "zu", QINT8_DTYPE_U8, NO_DIMS, &middle, 1);
  build_constant(&b, "wf", QINT8_DTYPE_F32, DIMS(2), wf, 8);
  build_constant(&b, "wu", QINT8_DTYPE_U8, DIMS(2), wu, 2);
  build_pair(&b, "wf", "wfq", "s", "zs", "w1");
  build_node(&b, "DequantizeLinear", "dq", "wu s zu", "w2");
  build_node(&b, "Add", "add1", "x w1", "t");
  build_node(&b, "Add", "add2", "t w2", "y");
  build_end(&b);
  loaded m = load(b.w.bytes, b.w.size, &b.host);
  const float *w1 = m.graph->tensors[q8_graph_find(m.graph, "w1")].data;
  const float *w2 = m.graph->tensors[q8_graph_find(m.graph, "w2")].data;
  CHECK(w1 && w1[0] == 0.5f && w1[1] == -0.5f); /* 2.4 and -1.6 steps of 0.25 */
  CHECK(w2 && w2[0] == 0.25f && w2[1] == -32.0f);
  CHECK_EQ(quant_of(&m, "w2")->dtype, QINT8_DTYPE_S8);
  CHECK_EQ(quant_of(&m, "w2")->zero_point[0], 0);
  CHECK_EQ(m.recipe->modes[0], Q8_MODE_FLOAT);
  unload(&m);
  q8_writer_free(&b.w);
}

/* Weights that another operator reads too are floats: it knows nothing else. */
static void weights_read_elsewhere(void) {
  builder b;
  build_begin(&b, 13);
  build_value(&b, Q8_GRAPH_INPUT, "x", DIMS(2, 3));
  build_value(&b, Q8_GRAPH_OUTPUT, "y", DIMS(2, 3));
  build_constant(&b, "sx", QINT8_DTYPE_F32, NO_DIMS, &sx, 4);
  build_constant(&b, "zx", QINT8_DTYPE_U8, NO_DIMS, &zx, 1);
  build_constant(&b, "wq", QINT8_DTYPE_S8, DIMS(2, 3), w, 6);
  build_constant(&b, "sw", QINT8_DTYPE_F32, DIMS(2), sw, 8);
  build_constant(&b, "zw", QINT8_DTYPE_S8, DIMS(2), zw, 2);
  build_pair(&b, "x", "xq", "sx", "zx", "xd");
  size_t node = build_open_node(&b, "DequantizeLinear", "dq", "wq sw zw", "w");
  build_int(&b, "axis", 0);
  q8_write_end(&b.w, node);
  node = build_open_node(&b, "Gemm", "gemm", "xd w", "t");
  build_int(&b, "transB", 1);
  q8_write_end(&b.w, node);
  build_node(&b, "MatMul", "product", "t w", "u");
  build_node(&b, "Add", "add", "u w", "y");
  build_end(&b);
  loaded m = load(b.w.bytes, b.w.size, &b.host);
  const q8_tensor *t = &m.graph->tensors[q8_graph_find(m.graph, "w")];
  CHECK(t->data && !t->integers && ((const float *)t->data)[3] == -128 * sw[1]);
  unload(&m);
  q8_writer_free(&b.w);
}

int main(int argc, char **argv) {
  TEST_BEGIN(argc, argv);
  RUN(static_gemm);
  RUN(static_gemm_round_trip);
  RUN(dynamic_gemm);
  RUN(pairs_with_several_readers);
  RUN(rounded_input_as_output);
  RUN(nodes_get_names_of_their_own);
  RUN(other_spellings_of_weights);
  RUN(weights_read_elsewhere);
  return TEST_END();
}
