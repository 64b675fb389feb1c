/* import_external.c - tensor data in files beside the model ("external data").
 *
 * A model may come from anybody, so it names files of its own folder and those below only. */
#include <stdlib.h>
#include <string.h>

#include "onnx/importer.h"

struct q8_external_file {
  const char *path;
  q8_mapping *mapping;
  struct q8_external_file *next;
};

/* 0 unless the text is a decimal number that a file offset can be. */
static int parse_size(const char *text, size_t *out) {
  *out = 0;
  for (const char *c = text; *c; c++) {
    size_t digit = (size_t)(*c - '0');
    if (*c < '0' || *c > '9' || !q8_mul(*out, 10, out) || !q8_add(*out, digit, out))
      return 0;
  }
  return *text != 0 && *out <= SIZE_MAX / 2;
}

q8_status q8_external_entry(q8_importer *importer, q8_reader bytes, const char *where, q8_external *out) {
  const char *key, *value;
  Q8_TRY(q8_import_entry(importer, bytes, where, &key, &value));
  if (!strcmp(key, "location"))
    out->location = value;
  out->has_length |= !strcmp(key, "length");
  size_t *number = !strcmp(key, "offset") ? &out->offset : !strcmp(key, "length") ? &out->length : NULL;
  if (number && !parse_size(value, number))
    return q8_fail(importer->error, QINT8_ERROR_FORMAT, where, "external data has %s \"%.40s\"", key, value);
  return QINT8_OK;
}

/* Neither absolute, of any system, nor with "..". */
static int is_inside(const char *location) {
  if (!*location || strchr("/\\", *location) || location[1] == ':')
    return 0;
  for (; *location; location += *location != 0) {
    size_t length = strcspn(location, "/\\");
    if (length == 2 && !strncmp(location, "..", 2))
      return 0;
    location += length;
  }
  return 1;
}

/* location, seen from the folder of the model. */
static q8_status find_path(q8_importer *importer, q8_external *data, const char *where) {
  if (!data->location || !is_inside(data->location))
    return q8_fail(importer->error, QINT8_ERROR_FORMAT, where,
                   "external data in \"%.150s\": not a relative path below the folder of the model",
                   data->location ? data->location : "");
  if (!importer->path)
    return q8_fail(importer->error, QINT8_ERROR_UNSUPPORTED, where,
                   "its data lies in the file %.150s: load the model from its file, not from memory", data->location);
  const char *name = importer->path;
  for (const char *c = name; *c; c++)
    if (*c == '/' || *c == '\\')
      name = c + 1;
  size_t folder = (size_t)(name - importer->path), length = strlen(data->location);
  char *path = q8_import_alloc(importer, folder + length + 1, 1, where);
  if (!path)
    return QINT8_ERROR_MEMORY;
  memcpy(path, importer->path, folder);
  memcpy(path + folder, data->location, length);
  data->path = path;
  return QINT8_OK;
}

/* The mapping of the file, made where it is new; *out is NULL if files are read or it cannot be mapped. */
static q8_status map(q8_importer *importer, const q8_external *data, const q8_mapping **out, const char *where) {
  q8_mapping *first = &importer->graph->mapping, found;
  *out = NULL;
  for (const struct q8_external_file *f = importer->files; f && !*out; f = f->next)
    if (!strcmp(f->path, data->path))
      *out = f->mapping;
  if (*out || !first->size || !q8_map_file(data->path, &found))
    return QINT8_OK;
  struct q8_external_file *file = q8_pool_alloc(&importer->pool, 1, sizeof *file);
  q8_mapping *mapping = q8_pool_alloc(&importer->graph->pool, 1, sizeof *mapping);
  if (!file || !mapping) {
    q8_unmap(&found);
    return q8_fail_memory(importer->error, where, sizeof *file);
  }
  *mapping = (q8_mapping){found.at, found.size, first->next};
  *file = (struct q8_external_file){data->path, mapping, importer->files};
  first->next = mapping;
  importer->files = file;
  *out = mapping;
  return QINT8_OK;
}

q8_status q8_external_open(q8_importer *importer, q8_external *data, const char *where, const uint8_t **at) {
  const q8_mapping *mapping;
  Q8_TRY(find_path(importer, data, where));
  Q8_TRY(map(importer, data, &mapping, where));
  size_t size = mapping ? mapping->size : 0;
  const char *problem = mapping ? NULL : q8_open_file(data->path, &data->file, &size);
  if (problem)
    return q8_fail(importer->error, QINT8_ERROR_FILE, where, "external data in %.150s: %s", data->path, problem);
  size_t rest = data->offset <= size ? size - data->offset : 0;
  if (!data->has_length)
    data->length = rest;
  if (data->offset > size || data->length > rest)
    return q8_fail(importer->error, QINT8_ERROR_FORMAT, where,
                   "external data: %zu bytes at %zu of %.150s, which has %zu", data->length, data->offset, data->path,
                   size);
  if (mapping)
    *at = (const uint8_t *)mapping->at + data->offset;
  else if (fseek(data->file, (long)data->offset, SEEK_SET) != 0)
    return q8_fail(importer->error, QINT8_ERROR_FILE, where, "%.150s cannot be read", data->path);
  return QINT8_OK;
}
