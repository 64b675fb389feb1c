/* pb.c - TensorProto files, by the library's own wire reader. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "nodes.h"
#include "onnx/proto.h"
#include "onnx/wire.h"

void *node_read_file(const char *path, size_t *size) {
  FILE *file = fopen(path, "rb");
  if (!file)
    return NULL;
  size_t capacity = 65536;
  unsigned char *bytes = malloc(capacity);
  *size = 0;
  for (size_t n; bytes && (n = fread(bytes + *size, 1, capacity - *size, file)) > 0;) {
    *size += n;
    if (*size == capacity) {
      unsigned char *larger = realloc(bytes, capacity *= 2);
      if (!larger)
        free(bytes);
      bytes = larger;
    }
  }
  fclose(file);
  return bytes;
}

/* The typed field of a data type, and how its elements lie there. */
static uint32_t typed_field(int32_t dtype, q8_wire_type *wire) {
  *wire = Q8_WIRE_VARINT;
  switch (dtype) {
  case QINT8_DTYPE_F32:
    *wire = Q8_WIRE_FIXED32;
    return Q8_TENSOR_FLOATS;
  case QINT8_DTYPE_F64:
    *wire = Q8_WIRE_FIXED64;
    return Q8_TENSOR_DOUBLES;
  case QINT8_DTYPE_S64:
    return Q8_TENSOR_INT64S;
  case QINT8_DTYPE_U32:
  case QINT8_DTYPE_U64:
    return Q8_TENSOR_UINT64S;
  default:
    return Q8_TENSOR_INT32S;
  }
}

static int read_head(q8_reader bytes, qint8_tensor *out, q8_reader *raw, char *reason, size_t reason_size) {
  q8_field field;
  q8_wire_result result;
  uint64_t dim;
  while ((result = q8_wire_next(&bytes, &field)) == Q8_WIRE_FIELD) {
    if (field.number == Q8_TENSOR_TYPE)
      out->dtype = (int32_t)field.value;
    if (field.number == Q8_TENSOR_RAW)
      *raw = field.bytes;
    while (field.number == Q8_TENSOR_DIMS && q8_wire_number(&field, Q8_WIRE_VARINT, &dim) == Q8_WIRE_FIELD) {
      if (out->rank == QINT8_MAX_RANK)
        return snprintf(reason, reason_size, "a tensor of more than %d dimensions", QINT8_MAX_RANK), 0;
      out->shape[out->rank++] = (int64_t)dim;
    }
  }
  if (result == Q8_WIRE_BAD || qint8_dtype_size((qint8_dtype)out->dtype) == 0)
    return snprintf(reason, reason_size, "data that is not a dense tensor of numbers (type %d)", (int)out->dtype), 0;
  return 1;
}

/* Little-endian hosts only, like the files. */
static void copy_typed(q8_reader bytes, qint8_tensor *out, size_t count) {
  size_t size = qint8_dtype_size((qint8_dtype)out->dtype), at = 0;
  q8_wire_type wire;
  uint32_t number = typed_field(out->dtype, &wire);
  q8_field field;
  uint64_t bits;
  while (q8_wire_next(&bytes, &field) == Q8_WIRE_FIELD)
    while (field.number == number && at < count && q8_wire_number(&field, wire, &bits) == Q8_WIRE_FIELD)
      memcpy((char *)out->data + size * at++, &bits, size);
}

int node_read_tensor(const char *path, qint8_tensor *out, char *reason, size_t reason_size) {
  size_t size, count = 1;
  void *file = node_read_file(path, &size);
  q8_reader bytes = q8_reader_make(file, file ? size : 0), raw = {0};
  *out = (qint8_tensor)QINT8_TENSOR_INIT;
  if (!file)
    return snprintf(reason, reason_size, "%s cannot be read", path), 0;
  if (!read_head(bytes, out, &raw, reason, reason_size)) {
    free(file);
    return 0;
  }
  for (int i = 0; i < out->rank; i++)
    count *= (size_t)out->shape[i];
  size_t data_size = count * qint8_dtype_size((qint8_dtype)out->dtype);
  out->data = calloc(data_size + 1, 1);
  if (raw.at && q8_reader_size(&raw) == data_size)
    memcpy(out->data, raw.at, data_size);
  else
    copy_typed(bytes, out, count);
  free(file);
  return 1;
}

void node_read_op(const char *path, char *op, size_t op_size) {
  size_t size;
  void *file = node_read_file(path, &size);
  snprintf(op, op_size, "?");
  q8_reader model = q8_reader_make(file, file ? size : 0), graph, node;
  q8_field field;
  int count = 0;
  while (q8_wire_next(&model, &field) == Q8_WIRE_FIELD)
    if (field.number == Q8_MODEL_GRAPH)
      for (graph = field.bytes; q8_wire_next(&graph, &field) == Q8_WIRE_FIELD;)
        if (field.number == Q8_GRAPH_NODE && ++count == 1)
          for (node = field.bytes; q8_wire_next(&node, &field) == Q8_WIRE_FIELD;)
            if (field.number == Q8_NODE_OP)
              snprintf(op, op_size, "%.*s", (int)q8_reader_size(&field.bytes), (const char *)field.bytes.at);
  if (count > 1)
    snprintf(op, op_size, "(several)");
  free(file);
}
