#include "onnx/wire.h"

#include <string.h>

/* At most 10 bytes, of which the last may hold one bit only. */
static int read_varint(q8_reader *reader, uint64_t *value) {
  uint64_t v = 0;
  for (int shift = 0; shift < 70; shift += 7) {
    if (reader->at == reader->end)
      return 0;
    uint8_t byte = *reader->at++;
    if (shift == 63 && byte > 1)
      return 0;
    v |= (uint64_t)(byte & 127) << shift;
    if (byte < 128) {
      *value = v;
      return 1;
    }
  }
  return 0;
}

static int read_fixed(q8_reader *reader, size_t size, uint64_t *value) {
  if (q8_reader_size(reader) < size)
    return 0;
  uint64_t v = 0;
  for (size_t i = 0; i < size; i++)
    v |= (uint64_t)reader->at[i] << (8 * i);
  reader->at += size;
  *value = v;
  return 1;
}

static int read_number(q8_reader *reader, q8_wire_type type, uint64_t *value) {
  if (type == Q8_WIRE_VARINT)
    return read_varint(reader, value);
  return read_fixed(reader, type == Q8_WIRE_FIXED64 ? 8 : 4, value);
}

q8_wire_result q8_wire_next(q8_reader *reader, q8_field *field) {
  q8_reader at = *reader;
  uint64_t tag, length;
  *field = (q8_field){.number = 0};
  if (q8_reader_size(reader) == 0)
    return Q8_WIRE_END;
  if (!read_varint(&at, &tag) || tag >> 3 == 0 || tag >> 32)
    return Q8_WIRE_BAD;
  field->number = (uint32_t)(tag >> 3);
  field->type = (q8_wire_type)(tag & 7);
  switch (field->type) {
  case Q8_WIRE_VARINT:
  case Q8_WIRE_FIXED64:
  case Q8_WIRE_FIXED32:
    if (!read_number(&at, field->type, &field->value))
      return Q8_WIRE_BAD;
    break;
  case Q8_WIRE_BYTES:
    if (!read_varint(&at, &length) || length > q8_reader_size(&at))
      return Q8_WIRE_BAD;
    field->bytes = (q8_reader){at.at, at.at + length};
    at.at += length;
    break;
  default:
    return Q8_WIRE_BAD;
  }
  *reader = at;
  return Q8_WIRE_FIELD;
}

int q8_wire_find(q8_reader *reader, uint32_t number, q8_field *field) {
  while (q8_wire_next(reader, field) == Q8_WIRE_FIELD)
    if (field->number == number)
      return 1;
  return 0;
}

q8_wire_result q8_wire_number(q8_field *field, q8_wire_type type, uint64_t *value) {
  if (field->type == Q8_WIRE_BYTES) {
    if (q8_reader_size(&field->bytes) == 0)
      return Q8_WIRE_END;
    return read_number(&field->bytes, type, value) ? Q8_WIRE_FIELD : Q8_WIRE_BAD;
  }
  if (field->type != type)
    return Q8_WIRE_BAD;
  if (field->bytes.at == field->bytes.end && field->bytes.at) /* the single element has been taken */
    return Q8_WIRE_END;
  static const uint8_t taken = 0;
  field->bytes = (q8_reader){&taken, &taken};
  *value = field->value;
  return Q8_WIRE_FIELD;
}

size_t q8_wire_count(const q8_field *field, q8_wire_type type) {
  if (field->type != Q8_WIRE_BYTES)
    return 1;
  size_t size = q8_reader_size(&field->bytes);
  return type == Q8_WIRE_VARINT ? size : size / (type == Q8_WIRE_FIXED64 ? 8 : 4);
}

float q8_wire_float(uint64_t value) {
  uint32_t bits = (uint32_t)value;
  float out;
  memcpy(&out, &bits, sizeof out);
  return out;
}

/* ---- Writing ---- */

void q8_writer_init(q8_writer *writer, const q8_host *host) {
  *writer = (q8_writer){.host = host};
}

void q8_writer_free(q8_writer *writer) {
  q8_free(writer->host, writer->bytes);
  *writer = (q8_writer){.host = writer->host};
}

void q8_write_raw(q8_writer *writer, const void *bytes, size_t size) {
  size_t needed;
  if (writer->failed || size == 0)
    return;
  if (!q8_add(writer->size, size, &needed) || needed > INT32_MAX ||
      !q8_grow(writer->host, (void **)&writer->bytes, &writer->capacity, needed, 1, writer->size)) {
    writer->failed = 1;
    return;
  }
  memcpy(writer->bytes + writer->size, bytes, size);
  writer->size = needed;
}

static size_t encode(uint64_t value, uint8_t bytes[10]) {
  size_t n = 0;
  for (; value > 127; value >>= 7)
    bytes[n++] = (uint8_t)(value | 128);
  bytes[n++] = (uint8_t)value;
  return n;
}

static void put_varint(q8_writer *writer, uint64_t value) {
  uint8_t bytes[10];
  q8_write_raw(writer, bytes, encode(value, bytes));
}

static void put_tag(q8_writer *writer, uint32_t number, q8_wire_type type) {
  put_varint(writer, (uint64_t)number << 3 | (uint64_t)type);
}

void q8_write_varint(q8_writer *writer, uint32_t number, uint64_t value) {
  put_tag(writer, number, Q8_WIRE_VARINT);
  put_varint(writer, value);
}

void q8_write_float(q8_writer *writer, uint32_t number, float value) {
  uint32_t bits;
  memcpy(&bits, &value, sizeof bits);
  uint8_t bytes[4] = {(uint8_t)bits, (uint8_t)(bits >> 8), (uint8_t)(bits >> 16), (uint8_t)(bits >> 24)};
  put_tag(writer, number, Q8_WIRE_FIXED32);
  q8_write_raw(writer, bytes, sizeof bytes);
}

void q8_write_bytes(q8_writer *writer, uint32_t number, const void *bytes, size_t size) {
  put_tag(writer, number, Q8_WIRE_BYTES);
  put_varint(writer, size);
  q8_write_raw(writer, bytes, size);
}

void q8_write_string(q8_writer *writer, uint32_t number, const char *text) {
  q8_write_bytes(writer, number, text, strlen(text));
}

/* The length goes in front once it is known. Five bytes are reserved and the content moved back by those unused, so
 * that lengths stay in their shortest form. */
#define LENGTH_ROOM 5

size_t q8_write_begin(q8_writer *writer, uint32_t number) {
  static const uint8_t room[LENGTH_ROOM];
  put_tag(writer, number, Q8_WIRE_BYTES);
  q8_write_raw(writer, room, sizeof room);
  return writer->size;
}

void q8_write_end(q8_writer *writer, size_t mark) {
  if (writer->failed)
    return;
  uint8_t length[10];
  size_t size = writer->size - mark, n = encode(size, length);
  memcpy(writer->bytes + mark - LENGTH_ROOM, length, n);
  memmove(writer->bytes + mark - LENGTH_ROOM + n, writer->bytes + mark, size);
  writer->size -= LENGTH_ROOM - n;
}
