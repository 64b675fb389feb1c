/* import_tensor.c - TensorProto to a dense array. Nothing is allocated before the file is known to hold the bytes. */
#include <inttypes.h>
#include <string.h>

#include "onnx/importer.h"

int32_t q8_import_dtype(int64_t type) {
  return type > 0 && type < 64 && qint8_dtype_size((qint8_dtype)type) ? (int32_t)type : QINT8_DTYPE_NONE;
}

/* Where the elements of a type lie if not in raw_data. */
static uint32_t typed_field(int32_t dtype) {
  switch (dtype) {
  case QINT8_DTYPE_F32:
    return Q8_TENSOR_FLOATS;
  case QINT8_DTYPE_F64:
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

static q8_wire_type wire_of(uint32_t field) {
  return field == Q8_TENSOR_FLOATS ? Q8_WIRE_FIXED32 : field == Q8_TENSOR_DOUBLES ? Q8_WIRE_FIXED64 : Q8_WIRE_VARINT;
}

/* One element: the low bytes of `bits`, the value as read, little-endian or as a varint. */
static void store(int32_t dtype, uint64_t bits, void *out, size_t i) {
  uint16_t two = (uint16_t)bits;
  uint32_t four = (uint32_t)bits;
  switch (qint8_dtype_size((qint8_dtype)dtype)) {
  case 1:
    ((uint8_t *)out)[i] = dtype == QINT8_DTYPE_BOOL ? bits != 0 : (uint8_t)bits;
    break;
  case 2:
    memcpy((char *)out + i * 2, &two, 2);
    break;
  case 4:
    memcpy((char *)out + i * 4, &four, 4);
    break;
  default:
    memcpy((char *)out + i * 8, &bits, 8);
  }
}

static uint64_t load(const uint8_t *at, size_t size) {
  uint64_t bits = 0;
  for (size_t i = 0; i < size; i++)
    bits |= (uint64_t)at[i] << (8 * i);
  return bits;
}

static int little_endian(void) {
  const uint16_t one = 1;
  uint8_t first;
  memcpy(&first, &one, 1);
  return first == 1;
}

/* `raw` may be `out`. */
static void decode_raw(int32_t dtype, const uint8_t *raw, size_t count, void *out) {
  size_t size = qint8_dtype_size((qint8_dtype)dtype);
  if (little_endian() && dtype != QINT8_DTYPE_BOOL) {
    if (count && raw != out)
      memcpy(out, raw, count * size);
    return;
  }
  for (size_t i = 0; i < count; i++)
    store(dtype, load(raw + i * size, size), out, i);
}

/* A first look at a TensorProto: everything but the elements. */
typedef struct tensor_head {
  int64_t onnx_type;
  size_t typed;        /* an upper bound of the elements in the typed field */
  uint32_t typed_field;
  int has_raw;
  q8_reader raw;
  size_t count;
  int is_external;
  q8_external external;
} tensor_head;

static q8_status read_dims(const q8_importer *importer, q8_field *field, const char *where, q8_shape *shape) {
  uint64_t dim;
  q8_wire_result result;
  while ((result = q8_wire_number(field, Q8_WIRE_VARINT, &dim)) == Q8_WIRE_FIELD) {
    if (shape->rank == Q8_MAX_RANK)
      return q8_fail(importer->error, QINT8_ERROR_LIMIT, where, "tensor has more than %d dimensions", Q8_MAX_RANK);
    if ((int64_t)dim < 0)
      return q8_fail(importer->error, QINT8_ERROR_FORMAT, where, "constant has dimension %" PRId64, (int64_t)dim);
    shape->dim[shape->rank++] = (int64_t)dim;
  }
  return result == Q8_WIRE_BAD ? q8_bad_wire(importer, field->bytes.at, where) : QINT8_OK;
}

static q8_status note_typed(const q8_importer *importer, tensor_head *head, const q8_field *field, const char *where) {
  switch (field->number) {
  case Q8_TENSOR_FLOATS:
  case Q8_TENSOR_INT32S:
  case Q8_TENSOR_INT64S:
  case Q8_TENSOR_DOUBLES:
  case Q8_TENSOR_UINT64S:
    break;
  default:
    return QINT8_OK;
  }
  size_t n = q8_wire_count(field, wire_of(field->number));
  if (n && head->typed && head->typed_field != field->number)
    return q8_fail(importer->error, QINT8_ERROR_FORMAT, where, "tensor has values of two types");
  if (n)
    head->typed_field = field->number;
  head->typed += n;
  return QINT8_OK;
}

static q8_status read_head(q8_importer *importer, q8_reader bytes, const char *where, q8_raw_tensor *out,
                           tensor_head *head) {
  q8_message m;
  q8_field field;
  Q8_TRY(q8_import_message(importer, bytes, where, m));
  Q8_TRY(q8_import_string(importer, &m[Q8_TENSOR_NAME], where, &out->name));
  where = *out->name ? out->name : where;
  head->onnx_type = (int64_t)m[Q8_TENSOR_TYPE].value;
  head->is_external = m[Q8_TENSOR_LOCATION].value == 1;
  head->has_raw = m[Q8_TENSOR_RAW].number && m[Q8_TENSOR_RAW].type == Q8_WIRE_BYTES;
  head->raw = m[Q8_TENSOR_RAW].bytes;
  while (q8_wire_next(&bytes, &field) == Q8_WIRE_FIELD) {
    if (field.number == Q8_TENSOR_DIMS)
      Q8_TRY(read_dims(importer, &field, where, &out->shape));
    else if (field.number == Q8_TENSOR_EXTERNAL)
      Q8_TRY(q8_external_entry(importer, field.bytes, where, &head->external));
    else
      Q8_TRY(note_typed(importer, head, &field, where));
  }
  return QINT8_OK;
}

static q8_status decode_typed(const q8_importer *importer, int32_t dtype, q8_reader bytes, const char *where,
                              size_t count, void *data) {
  const uint32_t number = typed_field(dtype);
  q8_field field;
  size_t at = 0;
  while (q8_wire_find(&bytes, number, &field)) {
    uint64_t bits;
    q8_wire_result result;
    while ((result = q8_wire_number(&field, wire_of(number), &bits)) == Q8_WIRE_FIELD) {
      if (at < count)
        store(dtype, bits, data, at);
      at++;
    }
    if (result == Q8_WIRE_BAD)
      return q8_bad_wire(importer, field.bytes.at, where);
  }
  if (at != count)
    return q8_fail(importer->error, QINT8_ERROR_FORMAT, where, "tensor has %zu values, its dimensions say %zu", at,
                   count);
  return QINT8_OK;
}

static q8_status check_size(const q8_importer *importer, int32_t dtype, const tensor_head *head, const char *where) {
  size_t size;
  if (!q8_mul(head->count, qint8_dtype_size((qint8_dtype)dtype), &size))
    return q8_fail(importer->error, QINT8_ERROR_LIMIT, where, "tensor size overflows");
  if (head->is_external) {
    if (head->external.length != size)
      return q8_fail(importer->error, QINT8_ERROR_FORMAT, where,
                     "tensor has %zu bytes in %.150s, its dimensions say %zu", head->external.length,
                     head->external.path, size);
  } else if (head->has_raw || head->count == 0 || !head->typed) {
    if (q8_reader_size(&head->raw) != size)
      return q8_fail(importer->error, QINT8_ERROR_FORMAT, where, "tensor has %zu bytes, its dimensions say %zu",
                     q8_reader_size(&head->raw), size);
  } else if (head->typed_field != typed_field(dtype)) {
    return q8_fail(importer->error, QINT8_ERROR_FORMAT, where, "tensor values do not have its data type %d",
                   (int)dtype);
  } else if (head->typed < head->count) {
    return q8_fail(importer->error, QINT8_ERROR_FORMAT, where, "tensor has %zu values, its dimensions say %zu",
                   head->typed, head->count);
  }
  return QINT8_OK;
}

/* The elements, in the graph's pool or where they lie in the file. */
static q8_status read_elements(q8_importer *importer, q8_reader bytes, int32_t dtype, tensor_head *head,
                               const char *where, void **data) {
  size_t size = head->count * qint8_dtype_size((qint8_dtype)dtype);
  if (importer->path && dtype == QINT8_DTYPE_S8 && head->raw.at && head->count) {
    *data = (void *)(uintptr_t)head->raw.at;
    importer->needs_bytes = 1;
    return QINT8_OK;
  }
  *data = q8_pool_reserve(&importer->graph->pool, size ? size : 1, 1);
  if (!*data)
    return q8_fail_memory(importer->error, where, size);
  if (head->typed)
    return decode_typed(importer, dtype, bytes, where, head->count, *data);
  if (head->external.file && fread(*data, 1, size, head->external.file) != size)
    return q8_fail(importer->error, QINT8_ERROR_FILE, where, "%.150s cannot be read", head->external.path);
  decode_raw(dtype, head->external.file ? *data : head->raw.at, head->count, *data);
  q8_unload(&importer->graph->mapping, head->raw.at, size);
  return QINT8_OK;
}

static q8_status read_tensor(q8_importer *importer, q8_reader bytes, const char *where, q8_raw_tensor *out,
                             tensor_head *head) {
  Q8_TRY(read_head(importer, bytes, where, out, head));
  if (*out->name)
    where = out->name;
  int32_t dtype = q8_import_dtype(head->onnx_type);
  if (!dtype)
    return q8_fail(importer->error, head->onnx_type ? QINT8_ERROR_UNSUPPORTED : QINT8_ERROR_FORMAT, where,
                   "tensor has data type %" PRId64 "%s", head->onnx_type,
                   head->onnx_type == Q8_ONNX_STRING ? " (string)" : "");
  int ok;
  out->dtype = dtype;
  head->count = q8_shape_count(&out->shape, &ok);
  if (!ok)
    return q8_fail(importer->error, QINT8_ERROR_LIMIT, where, "the product of the dimensions overflows");
  if ((head->has_raw && head->typed) || (head->is_external && (head->typed || q8_reader_size(&head->raw))))
    return q8_fail(importer->error, QINT8_ERROR_FORMAT, where, "tensor has values in two places");
  if (head->is_external) {
    head->raw.at = NULL;
    Q8_TRY(q8_external_open(importer, &head->external, where, &head->raw.at));
  }
  Q8_TRY(check_size(importer, dtype, head, where));
  return read_elements(importer, bytes, dtype, head, where, &out->data);
}

q8_status q8_import_tensor(q8_importer *importer, q8_reader bytes, const char *where, q8_raw_tensor *out) {
  *out = (q8_raw_tensor){.name = ""};
  tensor_head head = {0};
  q8_status status = read_tensor(importer, bytes, where, out, &head);
  if (head.external.file)
    fclose(head.external.file);
  return status;
}
