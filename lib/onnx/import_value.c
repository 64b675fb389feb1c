/* import_value.c - inputs, outputs and declared shapes (ValueInfoProto). */
#include <inttypes.h>
#include <string.h>

#include "onnx/importer.h"

typedef struct value_type {
  int64_t element;  /* 0: not declared */
  int32_t dtype;    /* the same, NONE if the library does not have it */
  int has_tensor, has_shape, too_deep;
  q8_shape shape;
  const char *symbol[Q8_MAX_RANK];
} value_type;

static q8_status read_dim(q8_importer *importer, q8_reader bytes, const char *where, value_type *out) {
  q8_message m;
  const char *symbol;
  Q8_TRY(q8_import_message(importer, bytes, where, m));
  Q8_TRY(q8_import_string(importer, &m[Q8_DIM_SYMBOL], where, &symbol));
  int64_t dim = m[Q8_DIM_VALUE].number && m[Q8_DIM_VALUE].type == Q8_WIRE_VARINT ? (int64_t)m[Q8_DIM_VALUE].value : -1;
  if (out->shape.rank == Q8_MAX_RANK) {
    out->too_deep = 1;
    return QINT8_OK;
  }
  out->symbol[out->shape.rank] = dim < 0 && *symbol ? symbol : NULL;
  out->shape.dim[out->shape.rank++] = dim < 0 ? -1 : dim;
  return QINT8_OK;
}

static q8_status read_type(q8_importer *importer, q8_reader bytes, const char *where, value_type *out) {
  q8_message m, shape;
  q8_field field;
  Q8_TRY(q8_import_message(importer, bytes, where, m));
  for (int other = 2; other <= 9; other++) /* sequence, map, sparse, optional; 6 is a denotation */
    if (other != 6 && m[other].number)
      return q8_fail(importer->error, QINT8_ERROR_UNSUPPORTED, where,
                     "a sequence, map, optional or sparse value: only dense tensors are supported");
  out->has_tensor = m[Q8_VALUE_TENSOR].number != 0;
  Q8_TRY(q8_import_message(importer, m[Q8_VALUE_TENSOR].bytes, where, m));
  out->element = (int64_t)m[Q8_TENSOR_TYPE_ELEMENT].value;
  out->dtype = q8_import_dtype(out->element);
  if (!m[Q8_TENSOR_TYPE_SHAPE].number)
    return QINT8_OK;
  out->has_shape = 1;
  out->shape.rank = 0;
  q8_reader dims = m[Q8_TENSOR_TYPE_SHAPE].bytes;
  Q8_TRY(q8_import_message(importer, dims, where, shape));
  while (q8_wire_find(&dims, Q8_SHAPE_DIM, &field))
    Q8_TRY(read_dim(importer, field.bytes, where, out));
  return QINT8_OK;
}

static q8_status append(q8_importer *importer, q8_id id, q8_id **list, size_t *count, size_t *capacity) {
  if (!q8_grow(&importer->pool.host, (void **)list, capacity, *count + 1, sizeof **list, *count))
    return q8_fail_memory(importer->error, "graph", *count * sizeof **list);
  (*list)[(*count)++] = id;
  return QINT8_OK;
}

static q8_status declare(q8_importer *importer, q8_id id, const value_type *type) {
  q8_graph *graph = importer->graph;
  q8_tensor *tensor = &graph->tensors[id];
  if (tensor->data) /* a constant says itself what it is */
    return QINT8_OK;
  if (type->dtype)
    tensor->dtype = type->dtype;
  if (!type->has_shape || type->too_deep)
    return QINT8_OK;
  tensor->shape = type->shape;
  return q8_graph_name_dims(graph, id, type->symbol, importer->error);
}

static q8_status check_input(const q8_importer *importer, const char *name, const value_type *type) {
  if (!type->has_tensor || type->element <= 0)
    return q8_fail(importer->error, QINT8_ERROR_FORMAT, name, "input has no declared tensor type");
  if (!type->dtype)
    return q8_fail(importer->error, QINT8_ERROR_UNSUPPORTED, name, "input has data type %" PRId64 "%s", type->element,
                   type->element == Q8_ONNX_STRING ? " (string): prepare text before the model" : "");
  if (type->too_deep)
    return q8_fail(importer->error, QINT8_ERROR_LIMIT, name, "input has more than %d dimensions", Q8_MAX_RANK);
  return QINT8_OK;
}

q8_status q8_import_value(q8_importer *importer, q8_reader bytes, uint32_t number) {
  const char *name;
  value_type type = {.shape.rank = -1};
  q8_message m;
  Q8_TRY(q8_import_message(importer, bytes, "graph", m));
  Q8_TRY(q8_import_string(importer, &m[Q8_INFO_NAME], "graph", &name));
  if (!*name)
    return number == Q8_GRAPH_VALUE_INFO
               ? QINT8_OK
               : q8_fail(importer->error, QINT8_ERROR_FORMAT, "graph", "an input or output has no name");
  q8_id id = q8_graph_find(importer->graph, name);
  if (number == Q8_GRAPH_VALUE_INFO && (id == Q8_NONE || importer->graph->tensors[id].shape.rank >= 0))
    return QINT8_OK;
  if (q8_graph_is_constant(importer->graph, id) && number == Q8_GRAPH_INPUT) /* an initializer with a declared type */
    return QINT8_OK;
  if (number == Q8_GRAPH_INPUT && id != Q8_NONE)
    return q8_fail(importer->error, QINT8_ERROR_FORMAT, name, "two inputs have this name");
  Q8_TRY(read_type(importer, m[Q8_INFO_TYPE].bytes, name, &type));
  if (number == Q8_GRAPH_INPUT)
    Q8_TRY(check_input(importer, name, &type));
  Q8_TRY(q8_import_reference(importer, name, &id));
  if (number == Q8_GRAPH_INPUT)
    Q8_TRY(append(importer, id, &importer->inputs, &importer->input_count, &importer->input_capacity));
  if (number == Q8_GRAPH_OUTPUT)
    Q8_TRY(append(importer, id, &importer->outputs, &importer->output_count, &importer->output_capacity));
  return declare(importer, id, &type);
}
