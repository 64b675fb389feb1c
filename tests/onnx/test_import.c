/* Constants of every type and encoding, declarations, Constant nodes, optional inputs. */
#include "base/element.h"
#include "builder.h"
#include "onnx/import.h"
#include "test.h"

static q8_graph *load(builder *b) {
  q8_graph *graph;
  qint8_error error = QINT8_ERROR_INIT;
  q8_status status = q8_onnx_import(b->w.bytes, b->w.size, &b->host, &graph, NULL, &error);
  CHECK_MSG(status == QINT8_OK, "%s: %s", error.where, error.message);
  return graph;
}

static void begin_relu(builder *b) {
  build_begin(b, 13);
  build_value(b, Q8_GRAPH_INPUT, "x", DIMS(-1, 3));
  build_value(b, Q8_GRAPH_OUTPUT, "y", DIMS(-1, 3));
  build_node(b, "Relu", "relu", "x", "y");
}

typedef struct constant_case {
  const char *what;
  int32_t dtype;
  uint32_t typed;        /* 0: raw data */
  uint8_t bytes[24];     /* raw data or packed values */
  size_t size;
  double expected[3];
} constant_case;

static const constant_case constants[] = {
    {"f32 raw", QINT8_DTYPE_F32, 0, {0, 0, 0x80, 0x3f, 0, 0, 0, 0xc0, 0, 0, 0, 0}, 12, {1, -2, 0}},
    {"f32 typed", QINT8_DTYPE_F32, Q8_TENSOR_FLOATS,
     {0, 0, 0x80, 0x3f, 0, 0, 0, 0xc0, 0, 0, 0, 0}, 12, {1, -2, 0}},
    {"f64 raw", QINT8_DTYPE_F64, 0,
     {0, 0, 0, 0, 0, 0, 0xf0, 0x3f, 0, 0, 0, 0, 0, 0, 0, 0xc0, 0, 0, 0, 0, 0, 0, 0, 0}, 24, {1, -2, 0}},
    {"f64 typed", QINT8_DTYPE_F64, Q8_TENSOR_DOUBLES,
     {0, 0, 0, 0, 0, 0, 0xf0, 0x3f, 0, 0, 0, 0, 0, 0, 0, 0xc0, 0, 0, 0, 0, 0, 0, 0, 0}, 24, {1, -2, 0}},
    {"f16 raw", QINT8_DTYPE_F16, 0, {0, 0x3c, 1, 0x80, 0xff, 0x7b}, 6, {1, -0x1p-24, 65504}},
    {"f16 typed", QINT8_DTYPE_F16, Q8_TENSOR_INT32S, {0x80, 0x78, 0x81, 0x80, 0x02, 0xff, 0xf7, 0x01}, 8,
     {1, -0x1p-24, 65504}},
    {"bf16 raw", QINT8_DTYPE_BF16, 0, {0x80, 0x3f, 0, 0xc0, 0x40, 0x40}, 6, {1, -2, 3}},
    {"u8 raw", QINT8_DTYPE_U8, 0, {0, 128, 255}, 3, {0, 128, 255}},
    {"u8 typed", QINT8_DTYPE_U8, Q8_TENSOR_INT32S, {0, 0x80, 1, 0xff, 1}, 5, {0, 128, 255}},
    {"s8 raw", QINT8_DTYPE_S8, 0, {0x80, 0xff, 0x7f}, 3, {-128, -1, 127}},
    {"s8 typed", QINT8_DTYPE_S8, Q8_TENSOR_INT32S,
     {0x80, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1, 0, 0x7f}, 12, {-128, 0, 127}},
    {"u16 raw", QINT8_DTYPE_U16, 0, {0, 0, 0xff, 0xff, 1, 0}, 6, {0, 65535, 1}},
    {"s16 raw", QINT8_DTYPE_S16, 0, {0, 0x80, 0xff, 0xff, 1, 0}, 6, {-32768, -1, 1}},
    {"s32 raw", QINT8_DTYPE_S32, 0, {0, 0, 0, 0x80, 0xff, 0xff, 0xff, 0xff, 7, 0, 0, 0}, 12,
     {-2147483648.0, -1, 7}},
    {"s64 raw", QINT8_DTYPE_S64, 0,
     {0, 0, 0, 0, 0, 1, 0, 0, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 7, 0, 0, 0, 0, 0, 0, 0}, 24,
     {0x1p40, -1, 7}},
    {"s64 typed", QINT8_DTYPE_S64, Q8_TENSOR_INT64S,
     {1, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1, 7}, 12, {1, -1, 7}},
    {"u32 typed", QINT8_DTYPE_U32, Q8_TENSOR_UINT64S, {1, 0xff, 0xff, 0xff, 0xff, 0x0f, 7}, 7,
     {1, 4294967295.0, 7}},
    {"bool raw", QINT8_DTYPE_BOOL, 0, {0, 1, 2}, 3, {0, 1, 1}},
};

static void constants_of_every_type(void) {
  for (size_t i = 0; i < sizeof constants / sizeof constants[0]; i++) {
    const constant_case *c = &constants[i];
    builder b;
    begin_relu(&b);
    size_t mark = q8_write_begin(&b.w, Q8_GRAPH_INITIALIZER);
    q8_write_varint(&b.w, Q8_TENSOR_DIMS, 3);
    q8_write_varint(&b.w, Q8_TENSOR_TYPE, (uint64_t)c->dtype);
    q8_write_string(&b.w, Q8_TENSOR_NAME, "c");
    q8_write_bytes(&b.w, c->typed ? c->typed : Q8_TENSOR_RAW, c->bytes, c->size);
    q8_write_end(&b.w, mark);
    build_end(&b);
    q8_graph *graph = load(&b);
    q8_id id = graph ? q8_graph_find(graph, "c") : Q8_NONE;
    CHECK_MSG(id != Q8_NONE && graph->tensors[id].dtype == c->dtype, "%s: wrong type", c->what);
    for (size_t j = 0; id != Q8_NONE && j < 3; j++) {
      double value = q8_element_double(c->dtype, graph->tensors[id].data, j);
      CHECK_MSG(value == c->expected[j], "%s: element %zu is %g, expected %g", c->what, j, value, c->expected[j]);
    }
    q8_graph_destroy(graph);
    q8_writer_free(&b.w);
  }
}

static void declarations_and_symbols(void) {
  builder b;
  begin_relu(&b);
  build_value(&b, Q8_GRAPH_VALUE_INFO, "unused", DIMS(3));
  build_end(&b);
  q8_graph *graph = load(&b);
  CHECK_EQ(graph->opset, 13);
  CHECK_EQ(graph->input_count, 1);
  const q8_tensor *x = &graph->tensors[graph->inputs[0]], *y = &graph->tensors[graph->outputs[0]];
  CHECK(!strcmp(x->name, "x") && !strcmp(y->name, "y"));
  CHECK(x->dtype == QINT8_DTYPE_F32 && x->shape.rank == 2 && x->shape.dim[0] == -1 && x->shape.dim[1] == 3);
  CHECK(x->dim_names && x->dim_names[0] && !strcmp(x->dim_names[0], "N") && !x->dim_names[1]);
  CHECK_EQ(graph->node_count, 1);
  CHECK(!strcmp(graph->nodes[0].name, "relu"));
  q8_graph_destroy(graph);
  q8_writer_free(&b.w);
}

/* An input with an initializer is a constant; a Constant node may stand behind its reader. */
static void constants_from_inputs_and_nodes(void) {
  static const float three[3] = {1, 2, 3};
  builder b;
  build_begin(&b, 13);
  build_value(&b, Q8_GRAPH_INPUT, "x", DIMS(3));
  build_value(&b, Q8_GRAPH_INPUT, "w", DIMS(3));
  build_value(&b, Q8_GRAPH_OUTPUT, "y", DIMS(3));
  build_node(&b, "Add", "first", "x w", "t");
  build_node(&b, "Add", "second", "t k", "y");
  build_constant(&b, "w", QINT8_DTYPE_F32, DIMS(3), three, 12);
  size_t node = build_open_node(&b, "Constant", "const", "", "k");
  size_t attribute = q8_write_begin(&b.w, Q8_NODE_ATTRIBUTE);
  q8_write_string(&b.w, Q8_ATTRIBUTE_NAME, "value_floats");
  q8_write_varint(&b.w, Q8_ATTRIBUTE_TYPE, Q8_TYPE_FLOATS);
  q8_write_bytes(&b.w, Q8_ATTRIBUTE_FLOATS, three, 12); /* packed */
  q8_write_end(&b.w, attribute);
  q8_write_end(&b.w, node);
  build_end(&b);
  q8_graph *graph = load(&b);
  CHECK_EQ(graph->input_count, 1);
  CHECK_EQ(graph->node_count, 2);
  const q8_tensor *k = &graph->tensors[q8_graph_find(graph, "k")];
  CHECK(k->data && k->shape.rank == 1 && k->shape.dim[0] == 3 && q8_element_double(k->dtype, k->data, 2) == 3);
  CHECK(graph->tensors[q8_graph_find(graph, "w")].data != NULL);
  q8_graph_destroy(graph);
  q8_writer_free(&b.w);
}

/* Nodes out of order are sorted; Clip's lower bound may be left out. */
static void order_and_optional_inputs(void) {
  static const float six = 6;
  builder b;
  build_begin(&b, 13);
  build_value(&b, Q8_GRAPH_INPUT, "x", DIMS(3));
  build_value(&b, Q8_GRAPH_OUTPUT, "y", DIMS(3));
  build_constant(&b, "six", QINT8_DTYPE_F32, NO_DIMS, &six, 4);
  build_node(&b, "Clip", "clip", "t - six", "y");
  build_node(&b, "Relu", "relu", "x", "t");
  build_end(&b);
  q8_graph *graph = load(&b);
  CHECK_EQ(graph->node_count, 2);
  CHECK(!strcmp(graph->nodes[0].name, "relu") && !strcmp(graph->nodes[1].name, "clip"));
  CHECK_EQ(graph->nodes[1].input_count, 3);
  CHECK_EQ(graph->nodes[1].inputs[1], Q8_NONE);
  q8_graph_destroy(graph);
  q8_writer_free(&b.w);
}

int main(int argc, char **argv) {
  TEST_BEGIN(argc, argv);
  RUN(constants_of_every_type);
  RUN(declarations_and_symbols);
  RUN(constants_from_inputs_and_nodes);
  RUN(order_and_optional_inputs);
  return TEST_END();
}
