/* wire.h - the protobuf wire format: a bounded reader over bytes in memory, a writer into a growing buffer. */
#ifndef Q8_ONNX_WIRE_H
#define Q8_ONNX_WIRE_H

#include "base/memory.h"

/* ---- Reading: every step checks the bounds; a reader never looks outside [at, end) ---- */

typedef struct q8_reader {
  const uint8_t *at, *end;
} q8_reader;

typedef enum q8_wire_type {
  Q8_WIRE_VARINT = 0,
  Q8_WIRE_FIXED64 = 1,
  Q8_WIRE_BYTES = 2,
  Q8_WIRE_FIXED32 = 5
} q8_wire_type;

typedef struct q8_field {
  uint32_t number;
  q8_wire_type type;
  uint64_t value;  /* VARINT, FIXED64, FIXED32 */
  q8_reader bytes; /* BYTES: strings, messages, packed arrays; empty for the other types */
} q8_field;

typedef enum q8_wire_result { Q8_WIRE_END = 0, Q8_WIRE_FIELD = 1, Q8_WIRE_BAD = -1 } q8_wire_result;

static inline q8_reader q8_reader_make(const void *bytes, size_t size) {
  return (q8_reader){bytes, size ? (const uint8_t *)bytes + size : bytes};
}
static inline size_t q8_reader_size(const q8_reader *reader) {
  return reader->at ? (size_t)(reader->end - reader->at) : 0;
}
/* The next field, END exactly at the end. BAD, and the reader stays there: truncated, a varint over 10 bytes or 64 bits, a length past the end,
 * field number 0 or over 2^29 - 1, a group, an unknown wire type. A caller skips a field by ignoring it. */
q8_wire_result q8_wire_next(q8_reader *reader, q8_field *field);
/* The next field of that number; 0 if there is none before the end or the first BAD one. */
int q8_wire_find(q8_reader *reader, uint32_t number, q8_field *field);

/* Elements of a repeated numeric field, which may be packed or not: call with each field of that number until it
 * returns END; `field` is consumed. `type` is the element's wire type. */
q8_wire_result q8_wire_number(q8_field *field, q8_wire_type type, uint64_t *value);

/* Elements in the field, without looking at their values: an upper bound for varints. */
size_t q8_wire_count(const q8_field *field, q8_wire_type type);

float q8_wire_float(uint64_t value);

/* ---- Writing ---- */

typedef struct q8_writer {
  const q8_host *host;
  uint8_t *bytes;
  size_t size, capacity;
  int failed; /* memory was refused or a message is over 2 GiB: everything after is ignored */
} q8_writer;

void q8_writer_init(q8_writer *writer, const q8_host *host);
void q8_writer_free(q8_writer *writer);
/* Bytes without a tag. */
void q8_write_raw(q8_writer *writer, const void *bytes, size_t size);
void q8_write_varint(q8_writer *writer, uint32_t number, uint64_t value);
void q8_write_float(q8_writer *writer, uint32_t number, float value);
void q8_write_bytes(q8_writer *writer, uint32_t number, const void *bytes, size_t size);
void q8_write_string(q8_writer *writer, uint32_t number, const char *text);
/* A message: fields written between begin and end become its content. */
size_t q8_write_begin(q8_writer *writer, uint32_t number);
void q8_write_end(q8_writer *writer, size_t mark);

#endif
