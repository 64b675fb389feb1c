/* import_tensor.c - TensorProto to a dense array. Nothing is allocated before the file is known to hold the bytes. */
#include <inttypes.h>
#include <string.h>

#include "onnx/importer.h"

typedef struct source_type {
  int32_t onnx, dtype; /* of the file, of the graph */
  size_t size;         /* bytes in raw_data */
  uint32_t field;      /* of the typed alternative to raw_data */
  q8_wire_type wire;
} source_type;

/* Types the graph does not have widen to the next one that holds their values; f64 narrows, as operators are f32. */
static const source_type source_types[] = {
    {QINT8_DTYPE_F32, QINT8_DTYPE_F32, 4, Q8_TENSOR_FLOATS, Q8_WIRE_FIXED32},
    {QINT8_DTYPE_F64, QINT8_DTYPE_F32, 8, Q8_TENSOR_DOUBLES, Q8_WIRE_FIXED64},
    {Q8_ONNX_F16, QINT8_DTYPE_F32, 2, Q8_TENSOR_INT32S, Q8_WIRE_VARINT},
    {Q8_ONNX_BF16, QINT8_DTYPE_F32, 2, Q8_TENSOR_INT32S, Q8_WIRE_VARINT},
    {QINT8_DTYPE_U8, QINT8_DTYPE_U8, 1, Q8_TENSOR_INT32S, Q8_WIRE_VARINT},
    {QINT8_DTYPE_S8, QINT8_DTYPE_S8, 1, Q8_TENSOR_INT32S, Q8_WIRE_VARINT},
    {Q8_ONNX_U16, QINT8_DTYPE_S32, 2, Q8_TENSOR_INT32S, Q8_WIRE_VARINT},
    {Q8_ONNX_S16, QINT8_DTYPE_S32, 2, Q8_TENSOR_INT32S, Q8_WIRE_VARINT},
    {QINT8_DTYPE_S32, QINT8_DTYPE_S32, 4, Q8_TENSOR_INT32S, Q8_WIRE_VARINT},
    {Q8_ONNX_U32, QINT8_DTYPE_S64, 4, Q8_TENSOR_UINT64S, Q8_WIRE_VARINT},
    {Q8_ONNX_U64, QINT8_DTYPE_S64, 8, Q8_TENSOR_UINT64S, Q8_WIRE_VARINT},
    {QINT8_DTYPE_S64, QINT8_DTYPE_S64, 8, Q8_TENSOR_INT64S, Q8_WIRE_VARINT},
    {QINT8_DTYPE_BOOL, QINT8_DTYPE_BOOL, 1, Q8_TENSOR_INT32S, Q8_WIRE_VARINT},
};

static const source_type *find_type(int32_t onnx) {
  for (size_t i = 0; i < sizeof source_types / sizeof source_types[0]; i++)
    if (source_types[i].onnx == onnx)
      return &source_types[i];
  return NULL;
}

static float half_to_float(uint32_t bits) {
  uint32_t sign = (bits & 0x8000) << 16, exponent = bits >> 10 & 31, fraction = bits & 0x3ff;
  if (exponent == 0) {
    float tiny = (float)fraction * 0x1p-24f;
    return sign ? -tiny : tiny;
  }
  exponent = exponent == 31 ? 255 : exponent + 112;
  return q8_wire_float(sign | exponent << 23 | fraction << 13);
}

/* One element: `bits` is the value as read, little-endian or as a varint. */
static void store(const source_type *type, uint64_t bits, void *out, size_t i) {
  switch (type->onnx) {
  case QINT8_DTYPE_F32:
    ((float *)out)[i] = q8_wire_float(bits);
    break;
  case QINT8_DTYPE_F64:
    ((float *)out)[i] = (float)q8_wire_double(bits);
    break;
  case Q8_ONNX_F16:
    ((float *)out)[i] = half_to_float((uint32_t)bits & 0xffff);
    break;
  case Q8_ONNX_BF16:
    ((float *)out)[i] = q8_wire_float((bits & 0xffff) << 16);
    break;
  case Q8_ONNX_U16:
    ((int32_t *)out)[i] = (uint16_t)bits;
    break;
  case Q8_ONNX_S16:
    ((int32_t *)out)[i] = (int16_t)bits;
    break;
  case QINT8_DTYPE_S32:
    ((int32_t *)out)[i] = (int32_t)bits;
    break;
  case Q8_ONNX_U32:
    ((int64_t *)out)[i] = (uint32_t)bits;
    break;
  case QINT8_DTYPE_BOOL:
    ((uint8_t *)out)[i] = bits != 0;
    break;
  case QINT8_DTYPE_U8:
  case QINT8_DTYPE_S8:
    ((uint8_t *)out)[i] = (uint8_t)bits;
    break;
  default:
    ((int64_t *)out)[i] = (int64_t)bits;
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

static void decode_raw(const source_type *type, const uint8_t *raw, size_t count, void *out) {
  if (little_endian() && type->onnx == type->dtype && type->dtype != QINT8_DTYPE_BOOL) {
    if (count)
      memcpy(out, raw, count * type->size);
    return;
  }
  for (size_t i = 0; i < count; i++)
    store(type, load(raw + i * type->size, type->size), out, i);
}

/* A first look at a TensorProto: everything but the elements. */
typedef struct tensor_head {
  int64_t onnx_type;
  size_t typed;        /* an upper bound of the elements in the typed field */
  uint32_t typed_field;
  int has_raw;
  q8_reader raw;
  size_t count;
} tensor_head;

static q8_status read_dims(q8_field *field, const char *where, q8_shape *shape, qint8_error *error) {
  uint64_t dim;
  q8_wire_result result;
  while ((result = q8_wire_number(field, Q8_WIRE_VARINT, &dim)) == Q8_WIRE_FIELD) {
    if (shape->rank == Q8_MAX_RANK)
      return q8_fail(error, QINT8_ERROR_LIMIT, where, "tensor has more than %d dimensions", Q8_MAX_RANK);
    if ((int64_t)dim < 0)
      return q8_fail(error, QINT8_ERROR_FORMAT, where, "constant has dimension %" PRId64, (int64_t)dim);
    shape->dim[shape->rank++] = (int64_t)dim;
  }
  return result == Q8_WIRE_BAD ? q8_bad_wire(error, where, "dims") : QINT8_OK;
}

static q8_status note_typed(tensor_head *head, const q8_field *field, const char *where, qint8_error *error) {
  static const struct {
    uint32_t field;
    q8_wire_type wire;
  } lists[] = {{Q8_TENSOR_FLOATS, Q8_WIRE_FIXED32},  {Q8_TENSOR_INT32S, Q8_WIRE_VARINT},
               {Q8_TENSOR_INT64S, Q8_WIRE_VARINT},   {Q8_TENSOR_DOUBLES, Q8_WIRE_FIXED64},
               {Q8_TENSOR_UINT64S, Q8_WIRE_VARINT}};
  for (size_t i = 0; i < sizeof lists / sizeof lists[0]; i++) {
    if (lists[i].field != field->number)
      continue;
    size_t n = q8_wire_count(field, lists[i].wire);
    if (n && head->typed && head->typed_field != field->number)
      return q8_fail(error, QINT8_ERROR_FORMAT, where, "tensor has values of two types");
    if (n)
      head->typed_field = field->number;
    head->typed += n;
  }
  return QINT8_OK;
}

static q8_status read_head(q8_importer *importer, q8_reader bytes, const char *where, q8_raw_tensor *out,
                           tensor_head *head, qint8_error *error) {
  q8_field field;
  q8_wire_result result;
  int external = 0;
  while ((result = q8_wire_next(&bytes, &field)) == Q8_WIRE_FIELD) {
    if (field.number == Q8_TENSOR_NAME)
      Q8_TRY(q8_import_string(importer, &field, where, &out->name, error));
    else if (field.number == Q8_TENSOR_DIMS)
      Q8_TRY(read_dims(&field, *out->name ? out->name : where, &out->shape, error));
    else if (field.number == Q8_TENSOR_TYPE)
      head->onnx_type = (int64_t)field.value;
    else if (field.number == Q8_TENSOR_LOCATION)
      external |= field.value == 1;
    else if (field.number == Q8_TENSOR_EXTERNAL)
      external = 1;
    else if (field.number == Q8_TENSOR_RAW && field.type == Q8_WIRE_BYTES) {
      head->has_raw = 1;
      head->raw = field.bytes;
    } else
      Q8_TRY(note_typed(head, &field, where, error));
  }
  where = *out->name ? out->name : where;
  if (result == Q8_WIRE_BAD)
    return q8_bad_wire(error, where, "tensor");
  if (external)
    return q8_fail(error, QINT8_ERROR_UNSUPPORTED, where, "tensor data lies in another file (external data)");
  return QINT8_OK;
}

static q8_status decode_typed(const source_type *type, q8_reader bytes, const char *where, size_t count, void *data,
                              qint8_error *error) {
  q8_field field;
  size_t at = 0;
  while (q8_wire_next(&bytes, &field) == Q8_WIRE_FIELD) {
    uint64_t bits;
    q8_wire_result result = Q8_WIRE_END;
    if (field.number != type->field)
      continue;
    while ((result = q8_wire_number(&field, type->wire, &bits)) == Q8_WIRE_FIELD) {
      if (at < count)
        store(type, bits, data, at);
      at++;
    }
    if (result == Q8_WIRE_BAD)
      return q8_bad_wire(error, where, "tensor values");
  }
  if (at != count)
    return q8_fail(error, QINT8_ERROR_FORMAT, where, "tensor has %zu values, its dimensions say %zu", at, count);
  return QINT8_OK;
}

static q8_status check_size(const source_type *type, const tensor_head *head, const char *where, qint8_error *error) {
  size_t size;
  if (!q8_mul(head->count, type->size, &size))
    return q8_fail(error, QINT8_ERROR_LIMIT, where, "tensor size overflows");
  if (head->has_raw && head->typed)
    return q8_fail(error, QINT8_ERROR_FORMAT, where, "tensor has both raw and typed values");
  if (head->has_raw || head->count == 0 || !head->typed) {
    if (q8_reader_size(&head->raw) != size)
      return q8_fail(error, QINT8_ERROR_FORMAT, where, "tensor has %zu bytes, its dimensions say %zu",
                     q8_reader_size(&head->raw), size);
  } else if (head->typed_field != type->field) {
    return q8_fail(error, QINT8_ERROR_FORMAT, where, "tensor values do not have its data type %d", (int)type->onnx);
  } else if (head->typed < head->count) {
    return q8_fail(error, QINT8_ERROR_FORMAT, where, "tensor has %zu values, its dimensions say %zu", head->typed,
                   head->count);
  }
  return QINT8_OK;
}

q8_status q8_import_tensor(q8_importer *importer, q8_reader bytes, const char *where, q8_raw_tensor *out,
                           qint8_error *error) {
  *out = (q8_raw_tensor){.name = ""};
  tensor_head head = {0};
  Q8_TRY(read_head(importer, bytes, where, out, &head, error));
  if (*out->name)
    where = out->name;
  const source_type *type = head.onnx_type > 0 && head.onnx_type < 64 ? find_type((int32_t)head.onnx_type) : NULL;
  if (!type)
    return q8_fail(error, head.onnx_type ? QINT8_ERROR_UNSUPPORTED : QINT8_ERROR_FORMAT, where,
                   "tensor has data type %" PRId64 "%s", head.onnx_type,
                   head.onnx_type == Q8_ONNX_STRING ? " (string)" : "");
  int ok;
  head.count = q8_shape_count(&out->shape, &ok);
  if (!ok)
    return q8_fail(error, QINT8_ERROR_LIMIT, where, "the product of the dimensions overflows");
  Q8_TRY(check_size(type, &head, where, error));
  out->dtype = type->dtype;
  out->data = q8_pool_alloc(&importer->graph->pool, head.count ? head.count : 1,
                            qint8_dtype_size((qint8_dtype)type->dtype));
  if (!out->data)
    return q8_fail_memory(error, where, head.count * type->size);
  if (head.typed)
    return decode_typed(type, bytes, where, head.count, out->data, error);
  decode_raw(type, head.raw.at, head.count, out->data);
  return QINT8_OK;
}
