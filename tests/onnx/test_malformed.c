/* A table of models that must be refused: each with its status, the part named, and the text. */

#include "builder.h"
#include "onnx/import.h"
#include "test.h"

static const float one[4] = {1, 2, 3, 4};

/* x -> Relu -> y, to be spoiled. */
static void relu_between(builder *b, const char *input, const char *output) {
  build_value(b, Q8_GRAPH_INPUT, "x", DIMS(-1, 4));
  build_value(b, Q8_GRAPH_OUTPUT, "y", DIMS(-1, 4));
  build_node(b, "Relu", "relu", input, output);
}

static void no_graph(builder *b) { (void)b; }
static void old_opset(builder *b) {
  build_begin(b, 0);
  relu_between(b, "x", "y");
  build_end(b);
}
static void future_opset(builder *b) {
  build_begin(b, 22);
  relu_between(b, "x", "y");
  build_end(b);
}
static void two_graphs(builder *b) {
  build_begin(b, 13);
  relu_between(b, "x", "y");
  build_end(b);
  b->graph = q8_write_begin(&b->w, Q8_MODEL_GRAPH);
  relu_between(b, "x", "y");
  build_end(b);
}
static void missing_producer(builder *b) {
  build_begin(b, 13);
  relu_between(b, "nowhere", "y");
  build_end(b);
}
static void output_of_nobody(builder *b) {
  build_begin(b, 13);
  relu_between(b, "x", "z");
  build_end(b);
}
static void cycle(builder *b) {
  build_begin(b, 13);
  relu_between(b, "t", "y");
  build_node(b, "Relu", "back", "y", "t");
  build_end(b);
}
static void produced_twice(builder *b) {
  build_begin(b, 13);
  relu_between(b, "x", "y");
  build_node(b, "Relu", "again", "x", "y");
  build_end(b);
}
static void writes_an_input(builder *b) {
  build_begin(b, 13);
  relu_between(b, "x", "y");
  build_node(b, "Relu", "thief", "y", "x");
  build_end(b);
}
static void two_inputs_of_a_name(builder *b) {
  build_begin(b, 13);
  relu_between(b, "x", "y");
  build_value(b, Q8_GRAPH_INPUT, "x", DIMS(4));
  build_end(b);
}
static void two_constants_of_a_name(builder *b) {
  build_begin(b, 13);
  relu_between(b, "x", "y");
  build_constant(b, "c", QINT8_DTYPE_F32, DIMS(4), one, 16);
  build_constant(b, "c", QINT8_DTYPE_F32, DIMS(4), one, 16);
  build_end(b);
}
static void unknown_operators(builder *b) {
  build_begin(b, 13);
  relu_between(b, "x", "y");
  build_node(b, "Frobnicate", "f1", "x", "a");
  build_node(b, "Scan", "s1", "x", "b");
  build_node(b, "Frobnicate", "f2", "x", "c");
  build_end(b);
}
static void unknown_attribute(builder *b) {
  build_begin(b, 13);
  build_value(b, Q8_GRAPH_INPUT, "x", DIMS(4));
  build_value(b, Q8_GRAPH_OUTPUT, "y", DIMS(4));
  size_t node = build_open_node(b, "Relu", "relu", "x", "y");
  build_int(b, "mood", 3);
  q8_write_end(&b->w, node);
  build_end(b);
}
static void too_many_inputs(builder *b) {
  build_begin(b, 13);
  relu_between(b, "x x x", "y");
  build_end(b);
}
static void input_left_out(builder *b) {
  build_begin(b, 13);
  build_value(b, Q8_GRAPH_INPUT, "x", DIMS(4));
  build_value(b, Q8_GRAPH_OUTPUT, "y", DIMS(4));
  build_node(b, "Add", "add", "- x", "y");
  build_end(b);
}
static void node_without_outputs(builder *b) {
  build_begin(b, 13);
  relu_between(b, "x", "y");
  build_node(b, "Relu", "mute", "x", "");
  build_end(b);
}
static void short_constant(builder *b) {
  build_begin(b, 13);
  relu_between(b, "x", "y");
  build_constant(b, "short", QINT8_DTYPE_F32, DIMS(2, 3), one, 16);
  build_end(b);
}
static void claimed_gigabytes(builder *b) {
  build_begin(b, 13);
  relu_between(b, "x", "y");
  build_constant(b, "huge", QINT8_DTYPE_F32, DIMS(1 << 20, 1 << 20), one, 4);
  build_end(b);
}
static void overflowing_dims(builder *b) {
  build_begin(b, 13);
  relu_between(b, "x", "y");
  build_constant(b, "huge", QINT8_DTYPE_F32, DIMS(INT64_MAX, INT64_MAX), one, 4);
  build_end(b);
}
static void negative_dim(builder *b) {
  build_begin(b, 13);
  relu_between(b, "x", "y");
  size_t mark = q8_write_begin(&b->w, Q8_GRAPH_INITIALIZER);
  q8_write_string(&b->w, Q8_TENSOR_NAME, "bad");
  q8_write_varint(&b->w, Q8_TENSOR_DIMS, (uint64_t)-3);
  q8_write_end(&b->w, mark);
  build_end(b);
}
static void nine_dims(builder *b) {
  build_begin(b, 13);
  relu_between(b, "x", "y");
  size_t mark = q8_write_begin(&b->w, Q8_GRAPH_INITIALIZER);
  q8_write_string(&b->w, Q8_TENSOR_NAME, "deep");
  for (int i = 0; i < 9; i++)
    q8_write_varint(&b->w, Q8_TENSOR_DIMS, 1);
  q8_write_end(&b->w, mark);
  build_end(b);
}
static void external_data(builder *b) {
  build_begin(b, 13);
  relu_between(b, "x", "y");
  size_t mark = q8_write_begin(&b->w, Q8_GRAPH_INITIALIZER);
  build_tensor_fields(b, "far", QINT8_DTYPE_F32, DIMS(4), one, 0);
  q8_write_varint(&b->w, Q8_TENSOR_LOCATION, 1);
  q8_write_end(&b->w, mark);
  build_end(b);
}
static void string_tensor(builder *b) {
  build_begin(b, 13);
  relu_between(b, "x", "y");
  build_constant(b, "text", Q8_ONNX_STRING, DIMS(0), one, 0);
  build_end(b);
}
static void raw_and_typed(builder *b) {
  build_begin(b, 13);
  relu_between(b, "x", "y");
  size_t mark = q8_write_begin(&b->w, Q8_GRAPH_INITIALIZER);
  build_tensor_fields(b, "both", QINT8_DTYPE_F32, DIMS(1), one, 4);
  q8_write_float(&b->w, Q8_TENSOR_FLOATS, 1);
  q8_write_end(&b->w, mark);
  build_end(b);
}
static void sequence_input(builder *b) {
  build_begin(b, 13);
  relu_between(b, "x", "y");
  size_t value = q8_write_begin(&b->w, Q8_GRAPH_INPUT);
  q8_write_string(&b->w, Q8_INFO_NAME, "list");
  size_t type = q8_write_begin(&b->w, Q8_INFO_TYPE);
  q8_write_end(&b->w, q8_write_begin(&b->w, 4));
  q8_write_end(&b->w, type);
  q8_write_end(&b->w, value);
  build_end(b);
}
static void constant_without_value(builder *b) {
  build_begin(b, 13);
  relu_between(b, "x", "y");
  build_node(b, "Constant", "void", "", "c");
  build_end(b);
}
static void zero_scale(builder *b) {
  static const float zero = 0;
  build_begin(b, 13);
  build_value(b, Q8_GRAPH_INPUT, "x", DIMS(4));
  build_value(b, Q8_GRAPH_OUTPUT, "y", DIMS(4));
  build_constant(b, "s", QINT8_DTYPE_F32, NO_DIMS, &zero, 4);
  build_node(b, "QuantizeLinear", "quantize", "x s", "q");
  build_node(b, "DequantizeLinear", "dequantize", "q s", "y");
  build_end(b);
}
static void pair_cycle(builder *b) {
  build_begin(b, 13);
  build_value(b, Q8_GRAPH_INPUT, "x", DIMS(4));
  build_value(b, Q8_GRAPH_OUTPUT, "y", DIMS(4));
  build_constant(b, "s", QINT8_DTYPE_F32, NO_DIMS, one, 4);
  build_node(b, "QuantizeLinear", "q1", "f s", "a");
  build_node(b, "DequantizeLinear", "d1", "a s", "g");
  build_node(b, "QuantizeLinear", "q2", "g s", "b");
  build_node(b, "DequantizeLinear", "d2", "b s", "f");
  build_node(b, "Relu", "relu", "f", "y");
  build_end(b);
}

typedef struct bad_model {
  void (*build)(builder *b);
  qint8_status status;
  const char *where, *message;
} bad_model;

static const bad_model models[] = {
    {no_graph, QINT8_ERROR_FORMAT, "model", "the file is empty"},
    {old_opset, QINT8_ERROR_UNSUPPORTED, "opset_import", "opset 0, supported are 1 to 21"},
    {future_opset, QINT8_ERROR_UNSUPPORTED, "opset_import", "opset 22, supported are 1 to 21"},
    {two_graphs, QINT8_ERROR_FORMAT, "model", "the file has two graphs"},
    {missing_producer, QINT8_ERROR_FORMAT, "nowhere",
     "relu needs this tensor, but no node, constant or input gives it"},
    {output_of_nobody, QINT8_ERROR_FORMAT, "y",
     "the graph's output list needs this tensor, but no node, constant or input gives it"},
    {cycle, QINT8_ERROR_FORMAT, "relu", "the graph has a cycle through this node"},
    {produced_twice, QINT8_ERROR_FORMAT, "y", "node again produces a tensor that already has a value"},
    {writes_an_input, QINT8_ERROR_FORMAT, "x", "node thief produces a tensor that is an input of the graph"},
    {two_inputs_of_a_name, QINT8_ERROR_FORMAT, "x", "two inputs have this name"},
    {two_constants_of_a_name, QINT8_ERROR_FORMAT, "c", "two constants have this name"},
    {unknown_operators, QINT8_ERROR_UNSUPPORTED, "f1", "operators that are not supported: Frobnicate, Scan"},
    {unknown_attribute, QINT8_ERROR_UNSUPPORTED, "relu", "attribute mood of Relu is not supported"},
    {too_many_inputs, QINT8_ERROR_FORMAT, "relu", "Relu has 3 inputs, expected 1 to 1"},
    {input_left_out, QINT8_ERROR_FORMAT, "add", "input 0 of Add is left out"},
    {node_without_outputs, QINT8_ERROR_FORMAT, "mute", "Relu has no outputs"},
    {short_constant, QINT8_ERROR_FORMAT, "short", "tensor has 16 bytes, its dimensions say 24"},
    {claimed_gigabytes, QINT8_ERROR_FORMAT, "huge", "tensor has 4 bytes, its dimensions say 4398046511104"},
    {overflowing_dims, QINT8_ERROR_LIMIT, "huge", "the product of the dimensions overflows"},
    {negative_dim, QINT8_ERROR_FORMAT, "bad", "constant has dimension -3"},
    {nine_dims, QINT8_ERROR_LIMIT, "deep", "tensor has more than 8 dimensions"},
    {external_data, QINT8_ERROR_UNSUPPORTED, "far", "tensor data lies in another file (external data)"},
    {string_tensor, QINT8_ERROR_UNSUPPORTED, "text", "tensor has data type 8 (string)"},
    {raw_and_typed, QINT8_ERROR_FORMAT, "both", "tensor has both raw and typed values"},
    {sequence_input, QINT8_ERROR_UNSUPPORTED, "list", "value is not a dense tensor"},
    {constant_without_value, QINT8_ERROR_FORMAT, "void", "Constant has no value"},
    {zero_scale, QINT8_ERROR_FORMAT, "quantize", "scale 0 is not finite and above zero"},
    {pair_cycle, QINT8_ERROR_FORMAT, "f", "the graph has a cycle through this tensor"},
};

static void every_bad_model_is_named(void) {
  for (size_t i = 0; i < sizeof models / sizeof models[0]; i++) {
    builder b = {0};
    if (models[i].build != no_graph)
      models[i].build(&b);
    else
      build_begin(&b, 13);
    q8_graph *graph;
    q8_onnx_quant *quant;
    qint8_error error = QINT8_ERROR_INIT;
    size_t size = models[i].build == no_graph ? 0 : b.w.size;
    q8_status status = q8_onnx_import(b.w.bytes, size, &b.host, &graph, &quant, &error);
    CHECK_MSG(status == models[i].status && !graph && !quant, "model %zu: %s, expected %s", i,
              qint8_status_name(status), qint8_status_name(models[i].status));
    CHECK_MSG(!strcmp(error.where, models[i].where), "model %zu: where is \"%s\", expected \"%s\"", i, error.where,
              models[i].where);
    CHECK_MSG(!strcmp(error.message, models[i].message), "model %zu: message is \"%s\"", i, error.message);
    q8_graph_destroy(graph);
    q8_onnx_quant_destroy(quant);
    q8_writer_free(&b.w);
  }
}

/* Whatever is cut off, the rest is refused or is a smaller model: never read past the end. */
static void truncated_anywhere(void) {
  builder b;
  build_begin(&b, 13);
  relu_between(&b, "x", "y");
  build_constant(&b, "c", QINT8_DTYPE_F32, DIMS(4), one, 16);
  build_end(&b);
  for (size_t size = 0; size < b.w.size; size++) {
    uint8_t *bytes = test_guard_alloc(size, 0);
    memcpy(bytes, b.w.bytes, size);
    q8_graph *graph;
    qint8_error error = QINT8_ERROR_INIT;
    q8_status status = q8_onnx_import(bytes, size, &b.host, &graph, NULL, &error);
    CHECK_MSG(status != QINT8_OK && error.message[0] && !graph, "the first %zu bytes were taken for a model", size);
    test_guard_free(bytes, size, 0);
  }
  q8_writer_free(&b.w);
}

int main(int argc, char **argv) {
  TEST_BEGIN(argc, argv);
  RUN(every_bad_model_is_named);
  RUN(truncated_anywhere);
  return TEST_END();
}
