/* Tensor data in files beside the model: the same model as in one file, or a message that names tensor and file. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#if defined(__unix__)
#include <sys/stat.h>
#include <unistd.h>
#endif

#include "builder.h"
#include "models.h"
#include "qint8.h"
#include "test.h"

typedef qint8_status loader(const char *path, const qint8_host *host, qint8_model **out, qint8_error *error);
static loader *const loaders[] = {qint8_model_load_file, qint8_model_map_file};

static char folder[400];

static const char *path_of(const char *name) {
  static char path[512];
  snprintf(path, sizeof path, "%s/%s", folder, name);
  return path;
}

static void write_file(const char *name, const void *bytes, size_t size) {
  FILE *file = fopen(path_of(name), "wb");
  CHECK_MSG(file && fwrite(bytes, 1, size, file) == size, "%s cannot be written", name);
  if (file)
    fclose(file);
}

static void write_entry(builder *b, const char *key, const char *value) {
  size_t mark = q8_write_begin(&b->w, Q8_TENSOR_EXTERNAL);
  q8_write_string(&b->w, Q8_ENTRY_KEY, key);
  q8_write_string(&b->w, Q8_ENTRY_VALUE, value);
  q8_write_end(&b->w, mark);
}

/* A TensorProto. location NULL: with its data; offset, length NULL: without. */
typedef struct place {
  const char *location, *offset, *length;
} place;
static void build_far(builder *b, uint32_t number, const char *name, int32_t dtype, const int64_t *dims,
                      const void *data, size_t size, place at) {
  size_t mark = q8_write_begin(&b->w, number);
  build_tensor_fields(b, name, dtype, dims, data, at.location ? 0 : size);
  if (at.location) {
    write_entry(b, "location", at.location);
    if (at.offset)
      write_entry(b, "offset", at.offset);
    if (at.length)
      write_entry(b, "length", at.length);
    write_entry(b, "checksum", "0123");
    q8_write_varint(&b->w, Q8_TENSOR_LOCATION, 1);
  }
  q8_write_end(&b->w, mark);
}

/* y = (x * matrix, of int8 and a scale, + shift) * k; k is a Constant node. */
static const int8_t matrix[12] = {1, -2, 3, 4, -5, 6, 7, -8, 9, 10, -11, 12};
static const float shift[3] = {0.25f, -1.5f, 3}, factor[3] = {2, 0.5f, -1}, scale = 0.125f;

static void build_sum(builder *b, place at_matrix, place at_shift, place at_factor) {
  build_begin(b, 13);
  build_value(b, Q8_GRAPH_INPUT, "x", DIMS(-1, 4));
  build_value(b, Q8_GRAPH_OUTPUT, "y", DIMS(-1, 3));
  build_far(b, Q8_GRAPH_INITIALIZER, "matrix", QINT8_DTYPE_S8, DIMS(4, 3), matrix, sizeof matrix, at_matrix);
  build_far(b, Q8_GRAPH_INITIALIZER, "shift", QINT8_DTYPE_F32, DIMS(3), shift, sizeof shift, at_shift);
  build_constant(b, "scale", QINT8_DTYPE_F32, NO_DIMS, &scale, sizeof scale);
  size_t node = build_open_node(b, "Constant", "k", "", "k"), attribute = q8_write_begin(&b->w, Q8_NODE_ATTRIBUTE);
  q8_write_string(&b->w, Q8_ATTRIBUTE_NAME, "value");
  q8_write_varint(&b->w, Q8_ATTRIBUTE_TYPE, Q8_TYPE_TENSOR);
  build_far(b, Q8_ATTRIBUTE_T, "", QINT8_DTYPE_F32, DIMS(3), factor, sizeof factor, at_factor);
  q8_write_end(&b->w, attribute);
  q8_write_end(&b->w, node);
  build_node(b, "DequantizeLinear", "dq", "matrix scale", "w");
  build_node(b, "MatMul", "product", "x w", "p");
  build_node(b, "Add", "sum", "p shift", "s");
  build_node(b, "Mul", "end", "s k", "y");
  build_end(b);
}

static void write_model(const char *name, place at_matrix, place at_shift, place at_factor) {
  builder b;
  build_sum(&b, at_matrix, at_shift, at_factor);
  write_file(name, b.w.bytes, b.w.size);
  q8_writer_free(&b.w);
}

/* The model as one file. NULL: the message was checked. */
static void *saved(loader *load, const char *name, size_t *size) {
  qint8_model *model = NULL;
  qint8_error error = QINT8_ERROR_INIT;
  void *bytes = NULL;
  qint8_status status = load(path_of(name), NULL, &model, &error);
  CHECK_MSG(status == QINT8_OK, "%s: %s: %s", name, error.where, error.message);
  if (model)
    CHECK_EQ(qint8_model_save_memory(model, NULL, NULL, &bytes, size, &error), QINT8_OK);
  qint8_model_destroy(model);
  return bytes;
}

static void write_data(void) {
  uint8_t all[64];
  memset(all, 0xee, sizeof all);
  memcpy(all + 5, matrix, sizeof matrix);
  memcpy(all + 20, factor, sizeof factor);
  memcpy(all + 52, shift, sizeof shift);
  write_file("all.data", all, sizeof all);
  write_file("shift.data", shift, sizeof shift);
  write_file("factor.data", factor, sizeof factor);
}

static void same_as_one_file(void) {
  const struct {
    const char *name;
    place matrix, shift, factor;
  } models[] = {{.name = "near.onnx"},
                {"all.onnx", {"all.data", "5", "12"}, {"all.data", "52", NULL}, {"all.data", "20", "12"}},
                {"many.onnx", {.location = NULL}, {"shift.data", NULL, NULL}, {"./factor.data", "0", "12"}},
                {"mixed.onnx", {"all.data", "5", "12"}, {"shift.data", NULL, "12"}, {.location = NULL}}};
  size_t want_size = 0, size = 0;
  void *want = NULL;
  write_data();
  for (size_t i = 0; i < sizeof models / sizeof models[0]; i++) {
    write_model(models[i].name, models[i].matrix, models[i].shift, models[i].factor);
    for (size_t l = 0; l < 2; l++) {
      void *got = saved(loaders[l], models[i].name, &size);
      if (!want) {
        want = got;
        want_size = size;
        continue;
      }
      CHECK_MSG(got && size == want_size && memcmp(got, want, size) == 0,
                "%s, loader %zu: another model of %zu bytes, expected %zu", models[i].name, l, size, want_size);
      free(got);
    }
  }
  free(want);
}

/* Of the far tensor "shift" of 12 bytes, in files of 64 and 12. */
static const struct {
  place at;
  qint8_status status;
  const char *message; /* a part of it */
} refused[] = {
    {{"/etc/passwd", NULL, NULL}, QINT8_ERROR_FORMAT, "\"/etc/passwd\": not a relative path below the folder of the model"},
    {{"../all.data", NULL, NULL}, QINT8_ERROR_FORMAT, "\"../all.data\": not a relative path"},
    {{"a/../../all.data", NULL, NULL}, QINT8_ERROR_FORMAT, "not a relative path"},
    {{"a\\..\\all.data", NULL, NULL}, QINT8_ERROR_FORMAT, "not a relative path"},
    {{"..", NULL, NULL}, QINT8_ERROR_FORMAT, "not a relative path"},
    {{"C:all.data", NULL, NULL}, QINT8_ERROR_FORMAT, "not a relative path"},
    {{"", NULL, NULL}, QINT8_ERROR_FORMAT, "not a relative path"},
    {{"missing.data", NULL, NULL}, QINT8_ERROR_FILE, "missing.data: cannot be opened for reading"},
    {{".", NULL, NULL}, QINT8_ERROR_FILE, "not a readable regular file"},
    {{"all.data", NULL, NULL}, QINT8_ERROR_FORMAT, "all.data, its dimensions say 12"},
    {{"all.data", "0", "16"}, QINT8_ERROR_FORMAT, "tensor has 16 bytes in "},
    {{"all.data", "52", "13"}, QINT8_ERROR_FORMAT, "external data: 13 bytes at 52 of "},
    {{"all.data", "53", "12"}, QINT8_ERROR_FORMAT, "all.data, which has 64"},
    {{"all.data", "65", NULL}, QINT8_ERROR_FORMAT, "all.data, which has 64"},
    {{"all.data", "9223372036854775807", "12"}, QINT8_ERROR_FORMAT, "external data: 12 bytes at 9223372036854775807 of "},
    {{"all.data", "9223372036854775808", "12"}, QINT8_ERROR_FORMAT, "external data has offset \"9223372036854775808\""},
    {{"all.data", "99999999999999999999999", "12"}, QINT8_ERROR_FORMAT, "external data has offset"},
    {{"all.data", "52", "18446744073709551615"}, QINT8_ERROR_FORMAT, "external data has length"},
    {{"all.data", "-1", "12"}, QINT8_ERROR_FORMAT, "external data has offset \"-1\""},
    {{"all.data", "5x", "12"}, QINT8_ERROR_FORMAT, "external data has offset \"5x\""},
    {{"all.data", "", "12"}, QINT8_ERROR_FORMAT, "external data has offset \"\""},
    {{"empty.data", NULL, NULL}, QINT8_ERROR_FORMAT, "tensor has 0 bytes in "},
#if defined(__unix__)
    {{"pipe", NULL, NULL}, QINT8_ERROR_FILE, "pipe: not a readable regular file"},
#endif
};

static void refusals_name_tensor_and_file(void) {
  write_data();
  write_file("empty.data", "", 0);
#if defined(__unix__)
  CHECK(mkfifo(path_of("pipe"), 0600) == 0);
#endif
  for (size_t i = 0; i < sizeof refused / sizeof refused[0]; i++)
    for (size_t l = 0; l < 2; l++) {
      const place near = {NULL, NULL, NULL};
      qint8_model *model = (qint8_model *)&near;
      qint8_error error = QINT8_ERROR_INIT;
      write_model("bad.onnx", near, refused[i].at, near);
      qint8_status status = loaders[l](path_of("bad.onnx"), NULL, &model, &error);
      CHECK_MSG(status == refused[i].status && !model && !strcmp(error.where, "shift") &&
                    strstr(error.message, refused[i].message),
                "refusal %zu: %s: %s: %s", i, qint8_status_name(status), error.where, error.message);
    }
  remove(path_of("pipe"));
}

/* Data in two places; entries that another tool left behind when it moved the data into the model. */
static void two_places(void) {
  for (int far = 0; far < 2; far++) {
    builder b;
    qint8_model *model = NULL;
    qint8_error error = QINT8_ERROR_INIT;
    write_data();
    build_begin(&b, 13);
    build_value(&b, Q8_GRAPH_INPUT, "x", DIMS(-1, 3));
    build_value(&b, Q8_GRAPH_OUTPUT, "y", DIMS(-1, 3));
    size_t mark = q8_write_begin(&b.w, Q8_GRAPH_INITIALIZER);
    build_tensor_fields(&b, "shift", QINT8_DTYPE_F32, DIMS(3), shift, sizeof shift);
    write_entry(&b, "location", "shift.data");
    q8_write_varint(&b.w, Q8_TENSOR_LOCATION, (uint64_t)far);
    q8_write_end(&b.w, mark);
    build_node(&b, "Add", "sum", "x shift", "y");
    build_end(&b);
    write_file("two.onnx", b.w.bytes, b.w.size);
    qint8_status status = qint8_model_load_file(path_of("two.onnx"), NULL, &model, &error);
    CHECK_EQ(status, far ? QINT8_ERROR_FORMAT : QINT8_OK);
    CHECK(!far || !strcmp(error.message, "tensor has values in two places"));
    qint8_model_destroy(model);
    q8_writer_free(&b.w);
  }
}

static void memory_has_no_folder(void) {
  builder b;
  qint8_model *model = NULL;
  qint8_error error = QINT8_ERROR_INIT;
  build_sum(&b, (place){.location = NULL}, (place){"shift.data", NULL, NULL}, (place){.location = NULL});
  CHECK_EQ(qint8_model_load_memory(b.w.bytes, b.w.size, NULL, &model, &error), QINT8_ERROR_UNSUPPORTED);
  CHECK(!model && !strcmp(error.where, "shift"));
  CHECK_MSG(!strcmp(error.message, "its data lies in the file shift.data: load the model from its file, not from memory"),
            "%s", error.message);
  q8_writer_free(&b.w);
}

static void every_failing_allocation(void) {
  write_data();
  write_model("all.onnx", (place){"all.data", "5", "12"}, (place){"all.data", "52", "12"},
              (place){"factor.data", NULL, NULL});
  for (size_t l = 0; l < 2; l++) {
    qint8_status status = QINT8_ERROR_MEMORY;
    long k = 0;
    while (status == QINT8_ERROR_MEMORY && k < 100000) {
      counting_host counter;
      counting_host_init(&counter);
      counter.fail_at = ++k;
      qint8_error error = QINT8_ERROR_INIT;
      qint8_model *model = NULL;
      status = loaders[l](path_of("all.onnx"), &counter.host, &model, &error);
      qint8_model_destroy(model);
      CHECK_MSG(counter.live == 0, "allocation %ld failing leaked %ld", k, counter.live);
    }
    CHECK_EQ(status, QINT8_OK);
    CHECK(k > 10);
  }
}

#if defined(__unix__)
/* Files and mappings are closed, also where loading fails. */
static void nothing_stays_open(void) {
  int before = dup(0), after;
  close(before);
  same_as_one_file();
  refusals_name_tensor_and_file();
  after = dup(0);
  close(after);
  CHECK_EQ(after, before);
}
#endif

int main(int argc, char **argv) {
  TEST_BEGIN(argc, argv);
#if defined(__unix__)
  const char *tmp = getenv("TMPDIR");
  snprintf(folder, sizeof folder, "%.300s/qint8_external_XXXXXX", tmp ? tmp : "/tmp");
  if (!mkdtemp(folder))
    return 1;
#else
  strcpy(folder, ".");
#endif
  RUN(same_as_one_file);
  RUN(refusals_name_tensor_and_file);
  RUN(two_places);
  RUN(memory_has_no_folder);
  RUN(every_failing_allocation);
#if defined(__unix__)
  RUN(nothing_stays_open);
#endif
  static const char *const files[] = {"near.onnx", "all.onnx",  "many.onnx",  "mixed.onnx", "bad.onnx",
                                      "two.onnx",  "all.data", "shift.data", "factor.data", "empty.data"};
  for (size_t i = 0; i < sizeof files / sizeof files[0]; i++)
    remove(path_of(files[i]));
  remove(folder);
  return TEST_END();
}
