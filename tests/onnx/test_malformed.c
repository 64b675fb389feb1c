/* Tables of models that must be refused: each with its status, the part named, and the text. */

#include <stdio.h>

#include "onnx/import.h"
#include "one_node.h"
#include "qint8.h"
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
static void constant_without_first_output(builder *b) {
  build_begin(b, 13);
  build_node(b, "Constant", "void", "", "- c");
  relu_between(b, "c", "y");
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
    {unknown_operators, QINT8_ERROR_UNSUPPORTED, "f1",
     "operators that are not supported: Frobnicate (f1, f2), Scan (s1); export the model with a fixed number of steps, "
     "unrolled"},
    {unknown_attribute, QINT8_ERROR_UNSUPPORTED, "relu", "attribute mood of Relu is not supported"},
    {too_many_inputs, QINT8_ERROR_FORMAT, "relu", "Relu has 3 inputs, expected 1 to 1"},
    {input_left_out, QINT8_ERROR_FORMAT, "add", "input 0 of Add is left out"},
    {node_without_outputs, QINT8_ERROR_FORMAT, "mute", "Relu has no outputs"},
    {short_constant, QINT8_ERROR_FORMAT, "short", "tensor has 16 bytes, its dimensions say 24"},
    {claimed_gigabytes, QINT8_ERROR_FORMAT, "huge", "tensor has 4 bytes, its dimensions say 4398046511104"},
    {overflowing_dims, QINT8_ERROR_LIMIT, "huge", "the product of the dimensions overflows"},
    {negative_dim, QINT8_ERROR_FORMAT, "bad", "constant has dimension -3"},
    {nine_dims, QINT8_ERROR_LIMIT, "deep", "tensor has more than 8 dimensions"},
    {external_data, QINT8_ERROR_FORMAT, "far", "external data in \"\": not a relative path below the folder of the model"},
    {string_tensor, QINT8_ERROR_UNSUPPORTED, "text", "tensor has data type 8 (string)"},
    {raw_and_typed, QINT8_ERROR_FORMAT, "both", "tensor has values in two places"},
    {sequence_input, QINT8_ERROR_UNSUPPORTED, "list",
     "a sequence, map, optional or sparse value: only dense tensors are supported"},
    {constant_without_first_output, QINT8_ERROR_FORMAT, "c",
     "relu needs this tensor, but no node, constant or input gives it"},
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

/* A model of one node "n" (see one_node.h), refused when it is loaded or compiled. */
typedef struct bad_node {
  int opset;
  const char *op, *inputs, *attributes;
  qint8_status status;
  const char *where, *message;
} bad_node;

static const bad_node nodes[] = {
    {13, "MatMul", "2,3 4,5", "", QINT8_ERROR_SHAPE, "n", "[2, 3] times [4, 5]"},
    {13, "Gemm", "2,3 4,5", "", QINT8_ERROR_SHAPE, "n", "A [2, 3] times B [4, 5]"},
    {13, "Gemm", "2,3 3,5 2,2", "", QINT8_ERROR_SHAPE, "n", "shapes [2, 2] and [2, 5] cannot be broadcast"},
    {13, "Add", "2,3 4", "", QINT8_ERROR_SHAPE, "n", "shapes [2, 3] and [4] cannot be broadcast"},
    {13, "Conv", "1,3,8,8 4,5,3,3", "", QINT8_ERROR_SHAPE, "n",
     "input [1, 3, 8, 8], weight [4, 5, 3, 3] and 1 groups do not fit"},
    {13, "Conv", "1,3,2,2 4,3,3,3", "", QINT8_ERROR_SHAPE, "n",
     "spatial dimension 0: the kernel reaches over 3 values, the input has 2 with its pads"},
    {13, "Conv", "1,4,8,8 6,1,3,3", "group=4", QINT8_ERROR_SHAPE, "n",
     "input [1, 4, 8, 8], weight [6, 1, 3, 3] and 4 groups do not fit"},
    {13, "Conv", "1,3,8,8 4,3,3,3", "pads=1,1", QINT8_ERROR_SHAPE, "n", "pads has 2 values, expected 4"},
    {13, "Conv", "1,3,8,8 4,3,3,3", "strides=0,1", QINT8_ERROR_SHAPE, "n",
     "spatial dimension 0: size 8, kernel 3, stride 0, dilation 1 or pads 0 and 0 out of range"},
    {13, "MaxPool", "1,3,8,8", "", QINT8_ERROR_FORMAT, "n", "attribute kernel_shape of MaxPool is missing"},
    {13, "Concat", "2,3 2,4", "axis=0", QINT8_ERROR_SHAPE, "n",
     "inputs of shapes [2, 3] and [2, 4] (types 1 and 1) cannot be joined along axis 0"},
    {13, "Concat", "2,3 2,4", "", QINT8_ERROR_FORMAT, "n", "attribute axis of Concat is missing"},
    {13, "Concat", "2,3 2,4", "axis=2", QINT8_ERROR_SHAPE, "n", "axis 2 of shape [2, 3] is out of range"},
    {13, "Transpose", "2,3", "perm=0,0", QINT8_ERROR_SHAPE, "n",
     "perm is not a permutation of the axes of shape [2, 3]"},
    {13, "Reshape", "2,3 =4,2", "", QINT8_ERROR_SHAPE, "n", "input of shape [2, 3] cannot be reshaped to [4, 2]"},
    {13, "Reshape", "2,3 =-1,-1", "", QINT8_ERROR_SHAPE, "n", "input of shape [2, 3] cannot be reshaped to [-1, -1]"},
    {13, "Squeeze", "2,3 =0", "", QINT8_ERROR_SHAPE, "n", "axis 0 of shape [2, 3] is not of size 1"},
    {13, "Unsqueeze", "2,3 =1,1", "", QINT8_ERROR_SHAPE, "n", "axis 1 is given twice"},
    {13, "Softmax", "2,3", "axis=2", QINT8_ERROR_SHAPE, "n", "axis 2 of shape [2, 3] is out of range"},
    {13, "Split", "7,3 =3,3", "", QINT8_ERROR_SHAPE, "n", "shape [7, 3] cannot be split along axis 0 as asked"},
    {13, "Expand", "2,3 =2,4", "", QINT8_ERROR_SHAPE, "n", "shapes [2, 3] and [2, 4] cannot be broadcast"},
    {13, "Slice", "4 =0,1 =2", "", QINT8_ERROR_SHAPE, "n", "starts, ends, axes and steps have different lengths"},
    {13, "Slice", "4 =0 =2 =0 =0", "", QINT8_ERROR_SHAPE, "n", "step 0 of axis 0 is out of range"},
    {13, "Pad", "2,3 =1,1", "", QINT8_ERROR_SHAPE, "n", "pads has 2 values, expected 4"},
    {13, "Pad", "2,3 =1,1,1,1", "mode:mirror", QINT8_ERROR_UNSUPPORTED, "n",
     "mode mirror is not constant, edge, reflect or wrap"},
    {13, "Resize", "1,1,4,4 - - =1,1,8,8", "mode:lanczos", QINT8_ERROR_UNSUPPORTED, "n",
     "mode lanczos is not nearest, linear or cubic"},
    {13, "Gather", "4,3 2", "", QINT8_ERROR_UNSUPPORTED, "n", "indices are float32, expected int32 or int64"},
    {13, "DepthToSpace", "1,6,2,2", "blocksize=2", QINT8_ERROR_SHAPE, "n", "blocks of 2 do not divide shape [1, 6, 2, 2]"},
    {13, "Einsum", "2,3 3,4", "equation:ij,jk,kl->il", QINT8_ERROR_SHAPE, "n",
     "equation \"ij,jk,kl->il\": more terms than operands"},
    {13, "Cast", "2,3", "to=8", QINT8_ERROR_UNSUPPORTED, "n", "cast to element type 8 (string)"},
    {13, "LSTM", "3,1,4 1,20,4 1,20,6", "hidden_size=5", QINT8_ERROR_SHAPE, "n", "hidden_size is 5, R has shape [1, 20, 6]"},
    {13, "And", "2,3 2,3", "", QINT8_ERROR_UNSUPPORTED, "n", "input 0 is float32, expected bool"},
    {13, "TopK", "2,3 =5", "", QINT8_ERROR_SHAPE, "n", "k = 5 is out of range for axis 1 of shape [2, 3]"},
    {9, "Upsample", "1,1,4,4 4", "", QINT8_ERROR_SHAPE, "n", "scales has 4 values, expected 4 constant ones"},
    {13, "Upsample", "1,1,4,4 4", "", QINT8_ERROR_UNSUPPORTED, "n", "Upsample of opset 13, supported are 7 to 9"},
    {13, "Det", "2,3", "", QINT8_ERROR_SHAPE, "n", "Det of shape [2, 3], expected square matrices"},
    {13, "Unique", "4", "", QINT8_ERROR_UNSUPPORTED, "n",
     "the shape of the result depends on the values of input 0, which must be constant or bound when the plan is compiled"},
    {13, "NonMaxSuppression", "1,6,4 1,1,6 =3", "", QINT8_ERROR_UNSUPPORTED, "n",
     "how many boxes remain depends on the values of input 0, which must be constant or bound when the plan is compiled; "
     "end the exported model before NonMaxSuppression"},
    {13, "Softmax", "2,3", "axis:1", QINT8_ERROR_FORMAT, "n", "attribute axis is string, expected int"},
};

static void every_bad_node_is_named(void) {
  for (size_t i = 0; i < sizeof nodes / sizeof nodes[0]; i++) {
    const bad_node *bad = &nodes[i];
    builder b;
    qint8_model *model = NULL;
    qint8_plan *plan = NULL;
    qint8_error error = QINT8_ERROR_INIT;
    build_one_node(&b, bad->opset, bad->op, bad->inputs, bad->attributes);
    qint8_status status = qint8_model_load_memory(b.w.bytes, b.w.size, NULL, &model, &error);
    if (status == QINT8_OK)
      status = qint8_plan_create(model, NULL, NULL, NULL, &plan, &error);
    CHECK_MSG(status == bad->status, "%s %s: %s, expected %s", bad->op, bad->inputs, qint8_status_name(status),
              qint8_status_name(bad->status));
    CHECK_MSG(!strcmp(error.where, bad->where) && !strcmp(error.message, bad->message), "%s %s: %s: %s", bad->op,
              bad->inputs, error.where, error.message);
    qint8_plan_destroy(plan);
    qint8_model_destroy(model);
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
  size_t named = 0; /* the others end behind a field */
  for (size_t size = 0; size < b.w.size; size++) {
    uint8_t *bytes = test_guard_alloc(size, 0);
    memcpy(bytes, b.w.bytes, size);
    q8_graph *graph;
    qint8_error error = QINT8_ERROR_INIT;
    q8_status status = q8_onnx_import(bytes, size, &b.host, &graph, NULL, &error);
    CHECK_MSG(status != QINT8_OK && error.message[0] && !graph, "the first %zu bytes were taken for a model", size);
    size_t at = size + 1, of = 0;
    if (strstr(error.message, "malformed")) {
      CHECK_MSG(sscanf(error.message, "truncated or malformed: at byte %zu of %zu", &at, &of) == 2 && at < size && of == size,
                "of the first %zu bytes: %s", size, error.message);
      named++;
    }
    test_guard_free(bytes, size, 0);
  }
  CHECK_MSG(named + 8 > b.w.size, "%zu of %zu", named, b.w.size);
  q8_writer_free(&b.w);
}

int main(int argc, char **argv) {
  TEST_BEGIN(argc, argv);
  RUN(every_bad_model_is_named);
  RUN(every_bad_node_is_named);
  RUN(truncated_anywhere);
  return TEST_END();
}
