/* The protobuf reader at its edges, and what the writer writes read back. */
#include "onnx/wire.h"

#include <string.h>

#include "test.h"

static q8_wire_result read_one(const void *bytes, size_t size, q8_field *field) {
  q8_reader reader = q8_reader_make(bytes, size);
  return q8_wire_next(&reader, field);
}

static void every_malformed_start_is_refused(void) {
  static const struct {
    const char *what;
    uint8_t bytes[12];
    size_t size;
  } cases[] = {
      {"tag cut off", {0x88}, 1},
      {"varint cut off", {0x08, 0x80}, 2},
      {"varint missing", {0x08}, 1},
      {"varint of 11 bytes", {0x08, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x00}, 12},
      {"varint of 65 bits", {0x08, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x02}, 11},
      {"fixed32 cut off", {0x0d, 1, 2, 3}, 4},
      {"fixed64 cut off", {0x09, 1, 2, 3, 4, 5, 6, 7}, 8},
      {"length missing", {0x0a}, 1},
      {"length past the end", {0x0a, 3, 1, 2}, 4},
      {"length of 2^64 - 1", {0x0a, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01}, 11},
      {"group start", {0x0b, 0x0c}, 2},
      {"group end", {0x0c}, 1},
      {"wire type 6", {0x0e, 0}, 2},
      {"wire type 7", {0x0f, 0}, 2},
      {"field number 0", {0x00, 0}, 2},
      {"field number over 2^29 - 1", {0x80, 0x80, 0x80, 0x80, 0x10, 0}, 6},
  };
  for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
    q8_field field;
    uint8_t *guarded = test_guard_alloc(cases[i].size, 0); /* reading past the end would crash */
    memcpy(guarded, cases[i].bytes, cases[i].size);
    CHECK_MSG(read_one(guarded, cases[i].size, &field) == Q8_WIRE_BAD, "%s was accepted", cases[i].what);
    test_guard_free(guarded, cases[i].size, 0);
  }
}

static void end_and_largest_values(void) {
  q8_field field;
  CHECK(read_one("", 0, &field) == Q8_WIRE_END);
  static const uint8_t all_ones[] = {0x08, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01};
  CHECK(read_one(all_ones, sizeof all_ones, &field) == Q8_WIRE_FIELD);
  CHECK(field.value == UINT64_MAX && field.number == 1);
  static const uint8_t padded[] = {0x08, 0x81, 0x80, 0x00}; /* longer than needed, yet legal */
  CHECK(read_one(padded, sizeof padded, &field) == Q8_WIRE_FIELD && field.value == 1);
  static const uint8_t empty[] = {0x0a, 0};
  CHECK(read_one(empty, sizeof empty, &field) == Q8_WIRE_FIELD && q8_reader_size(&field.bytes) == 0);
}

static void packed_and_single_numbers(void) {
  static const uint8_t packed[] = {0x0a, 4, 1, 0xac, 0x02, 3}, cut[] = {0x0a, 2, 1, 0xac}, single[] = {0x08, 7};
  q8_field field;
  uint64_t v;
  CHECK(read_one(packed, sizeof packed, &field) == Q8_WIRE_FIELD);
  CHECK_EQ(q8_wire_number(&field, Q8_WIRE_VARINT, &v), Q8_WIRE_FIELD);
  CHECK_EQ(v, 1);
  CHECK_EQ(q8_wire_number(&field, Q8_WIRE_VARINT, &v), Q8_WIRE_FIELD);
  CHECK_EQ(v, 300);
  CHECK_EQ(q8_wire_number(&field, Q8_WIRE_VARINT, &v), Q8_WIRE_FIELD);
  CHECK_EQ(q8_wire_number(&field, Q8_WIRE_VARINT, &v), Q8_WIRE_END);
  CHECK(read_one(cut, sizeof cut, &field) == Q8_WIRE_FIELD);
  CHECK_EQ(q8_wire_number(&field, Q8_WIRE_VARINT, &v), Q8_WIRE_FIELD);
  CHECK_EQ(q8_wire_number(&field, Q8_WIRE_VARINT, &v), Q8_WIRE_BAD);
  CHECK(read_one(single, sizeof single, &field) == Q8_WIRE_FIELD);
  CHECK_EQ(q8_wire_number(&field, Q8_WIRE_VARINT, &v), Q8_WIRE_FIELD);
  CHECK_EQ(v, 7);
  CHECK_EQ(q8_wire_number(&field, Q8_WIRE_VARINT, &v), Q8_WIRE_END);
  CHECK(read_one(single, sizeof single, &field) == Q8_WIRE_FIELD);
  CHECK_EQ(q8_wire_number(&field, Q8_WIRE_FIXED32, &v), Q8_WIRE_BAD); /* an element of another wire type */
}

static void written_fields_read_back(void) {
  q8_host host;
  q8_host_init(&host, NULL, NULL);
  q8_writer w;
  q8_writer_init(&w, &host);
  uint64_t values[200];
  size_t outer = q8_write_begin(&w, 5);
  for (int i = 0; i < 200; i++) {
    values[i] = (uint64_t)test_random() << (test_random() % 33);
    q8_write_varint(&w, 1 + test_random() % 536870911u, values[i]);
  }
  q8_write_float(&w, 2, -1.5f);
  size_t inner = q8_write_begin(&w, 3);
  q8_write_string(&w, 4, "name");
  q8_write_end(&w, inner);
  q8_write_end(&w, outer);
  CHECK(!w.failed);
  q8_field field, nested;
  CHECK(read_one(w.bytes, w.size, &field) == Q8_WIRE_FIELD && field.number == 5);
  CHECK(field.bytes.end == w.bytes + w.size);
  q8_reader in = field.bytes;
  for (int i = 0; i < 200; i++)
    CHECK(q8_wire_next(&in, &nested) == Q8_WIRE_FIELD && nested.value == values[i]);
  CHECK(q8_wire_next(&in, &nested) == Q8_WIRE_FIELD && q8_wire_float(nested.value) == -1.5f);
  CHECK(q8_wire_next(&in, &nested) == Q8_WIRE_FIELD && nested.number == 3);
  CHECK(q8_wire_next(&nested.bytes, &field) == Q8_WIRE_FIELD && q8_reader_size(&field.bytes) == 4 &&
        memcmp(field.bytes.at, "name", 4) == 0);
  CHECK(q8_wire_next(&in, &nested) == Q8_WIRE_END);
  q8_writer_free(&w);
}

int main(int argc, char **argv) {
  TEST_BEGIN(argc, argv);
  RUN(every_malformed_start_is_refused);
  RUN(end_and_largest_values);
  RUN(packed_and_single_numbers);
  RUN(written_fields_read_back);
  return TEST_END();
}
