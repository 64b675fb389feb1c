/* Real models, cut off and with single bytes changed: each gives a status with a message, or loads and compiles; none
 * crashes, leaks, or asks for absurd memory. Run it under ASan and UBSan to see reads past the end as well. */
#define _DEFAULT_SOURCE
#include <dirent.h>
#include <stdlib.h>
#include <string.h>

#include "models.h"
#include "onnx/proto.h"
#include "onnx/wire.h"
#include "qint8.h"
#include "test.h"

#define CUTS 200
#define FLIPS 2000
/* Big models take their time: the number of flips shrinks so that about this many bytes are read for each. */
#define BYTE_BUDGET ((size_t)600 << 20)

/* ---- A host that counts and refuses single blocks over 256 MiB ---- */

static long live;

static void *allocate(void *user, size_t size, size_t alignment) {
  (void)user;
  if (size > (size_t)256 << 20)
    return NULL;
  void *memory = aligned_alloc(alignment, (size + alignment - 1) / alignment * alignment);
  live += memory != NULL;
  return memory;
}

static void release(void *user, void *memory) {
  (void)user;
  live -= memory != NULL;
  free(memory);
}

static const qint8_host host = {.struct_size = sizeof(qint8_host), .allocate = allocate, .release = release,
                                .threads = 1};

/* ---- One corrupted file ---- */

static void compile(const qint8_model *model, const char *what) {
  qint8_recipe *recipe = NULL;
  qint8_plan *plan = NULL;
  qint8_error error = QINT8_ERROR_INIT;
  qint8_status status = qint8_model_recipe(model, &recipe, &error);
  CHECK_MSG(status == QINT8_OK || status == QINT8_ERROR_STATE || status == QINT8_ERROR_MEMORY, "%s: recipe: %s", what,
            qint8_status_name(status));
  error = (qint8_error)QINT8_ERROR_INIT;
  status = qint8_plan_create(model, recipe, NULL, &host, &plan, &error);
  CHECK_MSG(status == QINT8_OK || error.message[0], "%s: plan failed with %s and no message", what,
            qint8_status_name(status));
  CHECK_MSG(status != QINT8_ERROR_INTERNAL, "%s: plan: %s: %s", what, error.where, error.message);
  qint8_plan_destroy(plan);
  qint8_recipe_destroy(recipe);
}

static qint8_status try_load(const void *bytes, size_t size, const char *what) {
  qint8_model *model = NULL;
  qint8_error error = QINT8_ERROR_INIT;
  qint8_status status = qint8_model_load_memory(bytes, size, &host, &model, &error);
  CHECK_MSG(status == QINT8_OK || (!model && error.message[0] && error.status == (int32_t)status),
            "%s: load failed with %s and no message", what, qint8_status_name(status));
  CHECK_MSG(status != QINT8_ERROR_INTERNAL, "%s: load: %s: %s", what, error.where, error.message);
  if (status == QINT8_OK)
    compile(model, what);
  qint8_model_destroy(model);
  CHECK_MSG(live == 0, "%s: %ld blocks leaked", what, live);
  live = 0;
  return status;
}

/* ---- Where to strike: the payload of tensors is most of a file and the least of its structure ---- */

typedef struct span {
  size_t begin, end;
} span;

/* Marks the long byte fields of a message, down to tensors: they hold no structure. */
static size_t find_payload(const uint8_t *base, q8_reader bytes, int depth, span *spans, size_t count, size_t room) {
  q8_field field;
  while (q8_wire_next(&bytes, &field) == Q8_WIRE_FIELD && count < room) {
    size_t size = q8_reader_size(&field.bytes);
    int is_raw = depth >= 2 && field.number == Q8_TENSOR_RAW && size >= 64;
    if (is_raw)
      spans[count++] = (span){(size_t)(field.bytes.at - base), (size_t)(field.bytes.end - base)};
    else if (size >= 64 && depth < 5)
      count = find_payload(base, field.bytes, depth + 1, spans, count, room);
  }
  return count;
}

static size_t choose(size_t size, const span *spans, size_t count, int anywhere) {
  for (int tries = 0; tries < 1000; tries++) {
    size_t at = (size_t)(((uint64_t)test_random() << 32 | test_random()) % size);
    int inside = 0;
    for (size_t i = 0; i < count && !inside; i++)
      inside = at >= spans[i].begin && at < spans[i].end;
    if (!inside || anywhere)
      return at;
  }
  return 0;
}

static void corrupt(const char *name, uint8_t *bytes, size_t size) {
  static span spans[4096];
  char what[300];
  size_t count = find_payload(bytes, q8_reader_make(bytes, size), 0, spans, 0, 4096), loaded = 0;
  snprintf(what, sizeof what, "%s as it is", name);
  qint8_status status = try_load(bytes, size, what); /* a whole file may hold an operator that is not there yet */
  CHECK_MSG(status == QINT8_OK || status == QINT8_ERROR_UNSUPPORTED, "%s: %s", what, qint8_status_name(status));
  if (status != QINT8_OK)
    printf("     %s has operators that are not supported\n", name);
  for (size_t i = 0; i < CUTS; i++) {
    size_t cut = size / CUTS * i + (size_t)test_random_int(0, (int32_t)(size / CUTS));
    uint8_t *part = malloc(cut ? cut : 1); /* its own block, so that ASan sees its end */
    memcpy(part, bytes, cut);
    snprintf(what, sizeof what, "%s cut to %zu bytes", name, cut);
    loaded += try_load(part, cut, what) == QINT8_OK;
    free(part);
  }
  size_t flips = BYTE_BUDGET / size < FLIPS ? BYTE_BUDGET / size : FLIPS;
  for (size_t i = 0; i < flips; i++) {
    size_t at = choose(size, spans, count, i % 8 == 0);
    uint8_t old = bytes[at];
    bytes[at] = i & 1 ? (uint8_t)test_random() : (uint8_t)(old ^ (1 << test_random_int(0, 7)));
    snprintf(what, sizeof what, "%s with byte %zu changed from 0x%02x to 0x%02x", name, at, old, bytes[at]);
    loaded += try_load(bytes, size, what) == QINT8_OK;
    bytes[at] = old;
  }
  printf("     %s: %zu of %zu corrupted files still load\n", name, loaded, flips + CUTS);
}

/* ---- Which models ---- */

static uint8_t *read_file(const char *path, size_t *size) {
  FILE *file = fopen(path, "rb");
  if (!file)
    return NULL;
  fseek(file, 0, SEEK_END);
  *size = (size_t)ftell(file);
  rewind(file);
  uint8_t *bytes = malloc(*size + 1);
  if (fread(bytes, 1, *size, file) != *size) {
    free(bytes);
    bytes = NULL;
  }
  fclose(file);
  return bytes;
}

/* The model as this library writes it, int8 weights and pairs or integer operators included. */
static void corrupt_exported(const char *name, const uint8_t *bytes, size_t size, qint8_config config,
                             qint8_format format) {
  char label[300];
  snprintf(label, sizeof label, "%s as %s%s", name, qint8_config_name(config),
           format == QINT8_FORMAT_QOPERATOR ? " in QOperator form" : "");
  qint8_save_options options = QINT8_SAVE_OPTIONS_INIT;
  options.format = format;
  qint8_model *model = NULL;
  qint8_error error = QINT8_ERROR_INIT;
  CHECK_EQ(qint8_model_load_memory(bytes, size, NULL, &model, &error), QINT8_OK);
  qint8_recipe *recipe = model ? test_recipe(model, config, NULL) : NULL;
  void *out = NULL;
  size_t out_size = 0;
  if (recipe && qint8_model_export_memory(model, recipe, &options, NULL, &out, &out_size, &error) == QINT8_OK)
    corrupt(label, out, out_size);
  else
    CHECK_MSG(0, "%s: %s: %s", label, error.where, error.message);
  free(out);
  qint8_recipe_destroy(recipe);
  qint8_model_destroy(model);
}

static void corrupt_folder(const char *folder) {
  DIR *dir = opendir(folder);
  CHECK_MSG(dir != NULL, "%s cannot be read", folder);
  for (struct dirent *entry; dir && (entry = readdir(dir));) {
    char path[1200];
    size_t length = strlen(entry->d_name), size;
    if (length < 5 || strcmp(entry->d_name + length - 5, ".onnx") != 0)
      continue;
    snprintf(path, sizeof path, "%s/%s", folder, entry->d_name);
    uint8_t *bytes = read_file(path, &size);
    CHECK_MSG(bytes != NULL, "%s cannot be read", path);
    if (bytes) {
      corrupt(entry->d_name, bytes, size);
      if (size < 100000) {
        corrupt_exported(entry->d_name, bytes, size, QINT8_CONFIG_STATIC_PER_CHANNEL, QINT8_FORMAT_QDQ);
        corrupt_exported(entry->d_name, bytes, size, QINT8_CONFIG_STATIC_PER_CHANNEL, QINT8_FORMAT_QOPERATOR);
        corrupt_exported(entry->d_name, bytes, size, QINT8_CONFIG_DYNAMIC, QINT8_FORMAT_QDQ);
      }
    }
    free(bytes);
  }
  if (dir)
    closedir(dir);
}

static void models_of_the_repository(void) {
  corrupt_folder("examples/data");
}

static void models_of_the_full_set(void) {
  const char *dir = test_models_dir();
  char folder[1000];
  if (!dir)
    return;
  snprintf(folder, sizeof folder, "%s/models", dir);
  corrupt_folder(folder);
}

int main(int argc, char **argv) {
  TEST_BEGIN(argc, argv);
  RUN(models_of_the_repository);
  RUN(models_of_the_full_set);
  return TEST_END();
}
