/* builder.h - small models in memory, written field by field, so that each test can bend one of them. */
#ifndef Q8_TEST_ONNX_BUILDER_H
#define Q8_TEST_ONNX_BUILDER_H

#include <string.h>

#include "graph/graph.h"
#include "onnx/proto.h"
#include "onnx/wire.h"

typedef struct builder {
  q8_host host;
  q8_writer w;
  size_t graph; /* mark of the open GraphProto */
} builder;

static inline void build_begin(builder *b, int64_t opset) {
  q8_host_init(&b->host, NULL, NULL);
  q8_writer_init(&b->w, &b->host);
  q8_write_varint(&b->w, Q8_MODEL_IR_VERSION, 8);
  size_t mark = q8_write_begin(&b->w, Q8_MODEL_OPSET);
  q8_write_varint(&b->w, Q8_OPSET_VERSION, (uint64_t)opset);
  q8_write_end(&b->w, mark);
  b->graph = q8_write_begin(&b->w, Q8_MODEL_GRAPH);
}

static inline void build_end(builder *b) {
  q8_write_end(&b->w, b->graph);
}

/* A value of that element type; dims end with -2, -1 is the symbol "N". */
static inline void build_typed_value(builder *b, uint32_t number, const char *name, int32_t dtype, const int64_t *dims) {
  size_t value = q8_write_begin(&b->w, number);
  q8_write_string(&b->w, Q8_INFO_NAME, name);
  size_t type = q8_write_begin(&b->w, Q8_INFO_TYPE), tensor = q8_write_begin(&b->w, Q8_VALUE_TENSOR);
  q8_write_varint(&b->w, Q8_TENSOR_TYPE_ELEMENT, (uint64_t)dtype);
  size_t shape = q8_write_begin(&b->w, Q8_TENSOR_TYPE_SHAPE);
  for (; *dims != -2; dims++) {
    size_t dim = q8_write_begin(&b->w, Q8_SHAPE_DIM);
    if (*dims < 0)
      q8_write_string(&b->w, Q8_DIM_SYMBOL, "N");
    else
      q8_write_varint(&b->w, Q8_DIM_VALUE, (uint64_t)*dims);
    q8_write_end(&b->w, dim);
  }
  q8_write_end(&b->w, shape);
  q8_write_end(&b->w, tensor);
  q8_write_end(&b->w, type);
  q8_write_end(&b->w, value);
}
/* A float value. */
static inline void build_value(builder *b, uint32_t number, const char *name, const int64_t *dims) {
  build_typed_value(b, number, name, QINT8_DTYPE_F32, dims);
}
#define DIMS(...) ((const int64_t[]){__VA_ARGS__, -2})
#define NO_DIMS ((const int64_t[]){-2})

/* The fields of a TensorProto with raw data of `size` bytes. */
static inline void build_tensor_fields(builder *b, const char *name, int32_t type, const int64_t *dims,
                                       const void *data, size_t size) {
  for (; *dims != -2; dims++)
    q8_write_varint(&b->w, Q8_TENSOR_DIMS, (uint64_t)*dims);
  q8_write_varint(&b->w, Q8_TENSOR_TYPE, (uint64_t)type);
  q8_write_string(&b->w, Q8_TENSOR_NAME, name);
  q8_write_bytes(&b->w, Q8_TENSOR_RAW, data, size);
}

static inline void build_constant(builder *b, const char *name, int32_t type, const int64_t *dims, const void *data,
                                  size_t size) {
  size_t mark = q8_write_begin(&b->w, Q8_GRAPH_INITIALIZER);
  build_tensor_fields(b, name, type, dims, data, size);
  q8_write_end(&b->w, mark);
}

/* Inputs and outputs as words separated by spaces, "-" for one left out. The node stays open: close it with
 * q8_write_end after adding attributes. */
static inline void build_words(builder *b, uint32_t number, const char *words) {
  while (*words) {
    size_t length = strcspn(words, " ");
    q8_write_bytes(&b->w, number, words, length == 1 && *words == '-' ? 0 : length);
    words += length + (words[length] == ' ');
  }
}

static inline size_t build_open_node(builder *b, const char *op, const char *name, const char *inputs,
                                     const char *outputs) {
  size_t mark = q8_write_begin(&b->w, Q8_GRAPH_NODE);
  build_words(b, Q8_NODE_INPUT, inputs);
  build_words(b, Q8_NODE_OUTPUT, outputs);
  q8_write_string(&b->w, Q8_NODE_NAME, name);
  q8_write_string(&b->w, Q8_NODE_OP, op);
  return mark;
}

static inline void build_node(builder *b, const char *op, const char *name, const char *inputs, const char *outputs) {
  q8_write_end(&b->w, build_open_node(b, op, name, inputs, outputs));
}

/* A model of input x and output y, with the constants sx, zx, sy, zy for their scales and zero points, 128 and 3. */
static inline void build_quantized(builder *b, const int64_t *in, float sx, const int64_t *out, float sy) {
  const uint8_t zx = 128, zy = 3;
  build_begin(b, 13);
  build_value(b, Q8_GRAPH_INPUT, "x", in);
  build_value(b, Q8_GRAPH_OUTPUT, "y", out);
  build_constant(b, "sx", QINT8_DTYPE_F32, NO_DIMS, &sx, 4);
  build_constant(b, "zx", QINT8_DTYPE_U8, NO_DIMS, &zx, 1);
  build_constant(b, "sy", QINT8_DTYPE_F32, NO_DIMS, &sy, 4);
  build_constant(b, "zy", QINT8_DTYPE_U8, NO_DIMS, &zy, 1);
}

/* The values of a float constant, which from now on has them; NULL without memory. */
static inline const float *floats_of(q8_graph *graph, q8_id id) {
  return q8_graph_expand(graph, id, NULL) == QINT8_OK ? graph->tensors[id].data : NULL;
}

static inline void build_int(builder *b, const char *name, int64_t value) {
  size_t mark = q8_write_begin(&b->w, Q8_NODE_ATTRIBUTE);
  q8_write_string(&b->w, Q8_ATTRIBUTE_NAME, name);
  q8_write_varint(&b->w, Q8_ATTRIBUTE_TYPE, Q8_TYPE_INT);
  q8_write_varint(&b->w, Q8_ATTRIBUTE_I, (uint64_t)value);
  q8_write_end(&b->w, mark);
}

#endif
