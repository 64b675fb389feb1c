/* npz.c - uncompressed .npz archives: a zip file of .npy members. Only the central directory is trusted for sizes. */
#include <stdlib.h>
#include <string.h>

#include "tool.h"

static uint32_t le16(const uint8_t *p) {
  return p[0] | (uint32_t)p[1] << 8;
}
static uint32_t le32(const uint8_t *p) {
  return le16(p) | le16(p + 2) << 16;
}
static uint64_t le64(const uint8_t *p) {
  return le32(p) | (uint64_t)le32(p + 4) << 32;
}

typedef struct member {
  const uint8_t *name;
  size_t name_length;
  uint32_t method;
  uint64_t size, packed, header; /* header: offset of the local header */
} member;

/* The end of an archive, with its central directory. */
#define TAIL ((size_t)1 << 18)
typedef struct archive {
  FILE *file;
  uint64_t size, base; /* of the file; where the tail begins in it */
  uint8_t *tail;
  size_t tail_size;
} archive;

static void archive_close(archive *a) {
  if (a->file)
    fclose(a->file);
  free(a->tail);
  *a = (archive){0};
}

static int archive_open(const char *path, archive *a) {
  long size;
  *a = (archive){.file = open_file(path, &size)};
  if (!a->file)
    return EXIT_FAILED;
  a->size = (uint64_t)size;
  a->tail_size = a->size < TAIL ? (size_t)a->size : TAIL;
  a->base = a->size - a->tail_size;
  a->tail = allocate(a->tail_size + 1, 1);
  if (!fseek(a->file, (long)a->base, SEEK_SET) && fread(a->tail, 1, a->tail_size, a->file) == a->tail_size)
    return 0;
  archive_close(a);
  return fail("%s: cannot be read", path);
}

/* `bytes` of the tail from that place in the file on, or NULL if they are not there. */
static const uint8_t *in_tail(const archive *a, uint64_t at, size_t bytes) {
  if (at < a->base || a->tail_size < bytes || at - a->base > a->tail_size - bytes)
    return NULL;
  return a->tail + (at - a->base);
}

/* Offset of the central directory and number of entries, zip64 included. */
static int find_directory(const archive *a, uint64_t *offset, uint64_t *entries) {
  for (size_t back = 22; back <= a->tail_size && back < 22 + 65536; back++) {
    const uint8_t *end = a->tail + a->tail_size - back;
    if (le32(end) != 0x06054b50)
      continue;
    *entries = le16(end + 10);
    *offset = le32(end + 16);
    if (back + 20 <= a->tail_size && le32(end - 20) == 0x07064b50) {
      const uint8_t *wide = in_tail(a, le64(end - 20 + 8), 56);
      if (!wide || le32(wide) != 0x06064b50)
        return 0;
      *entries = le64(wide + 32);
      *offset = le64(wide + 48);
    }
    return *offset >= a->base && *offset <= a->size;
  }
  return 0;
}

/* The entry at *at; moves on. Sizes of 0xFFFFFFFF are in the zip64 extra field, in order. */
static int next_member(const archive *a, uint64_t *at, member *m) {
  const uint8_t *p = in_tail(a, *at, 46);
  if (!p || le32(p) != 0x02014b50)
    return 0;
  size_t name = le16(p + 28), extra = le16(p + 30), comment = le16(p + 32);
  if (!in_tail(a, *at + 46, name + extra + comment))
    return 0;
  *m = (member){p + 46, name, le16(p + 10), le32(p + 24), le32(p + 20), le32(p + 42)};
  const uint8_t *field = p + 46 + name, *end = field + extra;
  while (end - field >= 4) {
    size_t length = le16(field + 2);
    const uint8_t *value = field + 4;
    if (length > (size_t)(end - value))
      break;
    if (le16(field) == 1) {
      uint64_t *wide[] = {&m->size, &m->packed, &m->header};
      for (int i = 0; i < 3; i++)
        if (*wide[i] == 0xFFFFFFFF && value + 8 <= field + 4 + length) {
          *wide[i] = le64(value);
          value += 8;
        }
    }
    field += 4 + length;
  }
  *at += 46 + name + extra + comment;
  return 1;
}

static int is_key(const member *m, const char *key) {
  size_t length = strlen(key);
  return m->name_length == length + 4 && !memcmp(m->name, key, length) && !memcmp(m->name + length, ".npy", 4);
}

static int open_member(archive *a, const member *m, const char *where, array_file *out) {
  uint8_t local[30];
  if (m->method)
    return fail("%s: compressed; save with numpy.savez, not savez_compressed", where);
  if (a->size < 30 || m->header > a->size - 30 || fseek(a->file, (long)m->header, SEEK_SET) ||
      fread(local, 1, 30, a->file) != 30 || le32(local) != 0x04034b50)
    return fail("%s: the archive is damaged: no local header", where);
  uint64_t data = m->header + 30 + le16(local + 26) + le16(local + 28);
  if (data > a->size || m->size > a->size - data)
    return fail("%s: the archive is truncated", where);
  FILE *file = a->file;
  a->file = NULL;
  return npy_open(file, (int64_t)data, m->size, where, out);
}

/* 0 found, 1 absent, EXIT_FAILED + 1 after a message. */
static int open_key(const char *path, const char *key, array_file *out, int quiet) {
  archive a;
  if (archive_open(path, &a))
    return 2;
  uint64_t at, entries;
  char where[1024], keys[512] = "";
  snprintf(where, sizeof where, "%s:%s", path, key);
  int status = 1;
  if (!find_directory(&a, &at, &entries)) {
    fail("%s: not a .npz archive, or a truncated one", path);
    status = 2;
  }
  member m;
  for (uint64_t i = 0; status == 1 && i < entries && next_member(&a, &at, &m); i++) {
    if (is_key(&m, key)) {
      status = open_member(&a, &m, where, out) ? 2 : 0;
      break;
    }
    if (m.name_length > 4 && strlen(keys) + m.name_length < sizeof keys)
      snprintf(keys + strlen(keys), sizeof keys - strlen(keys), " %.*s", (int)m.name_length - 4, (const char *)m.name);
  }
  if (status == 1 && !quiet)
    fail("%s: no array of that name; there are:%s", where, keys);
  archive_close(&a);
  return status;
}

static int read_all(array_file *file, array *out) {
  *out = file->head;
  out->data = allocate(out->count * qint8_dtype_size((qint8_dtype)out->dtype) + 8, 1);
  int status = array_read(file, 0, out->count, out->data);
  array_close(file);
  if (status)
    array_free(out);
  return status;
}

int npz_try(const char *path, const char *key, array *out) {
  array_file file;
  return open_key(path, key, &file, 1) || read_all(&file, out);
}

int is_npz(const char *path) {
  size_t length = strlen(path);
  return length > 4 && !strcmp(path + length - 4, ".npz");
}

static int refuse_text(const char *where, array_file *out) {
  int32_t width = out->head.text;
  if (!width)
    return 0;
  array_close(out);
  return fail("%s: element type <U%d is text, which serves as labels only", where, width);
}

int npz_open(const char *path, const char *key, array_file *out) {
  *out = (array_file){0};
  return open_key(path, key, out, 0) ? EXIT_FAILED : refuse_text(key, out);
}

static int open_any(const char *spec, array_file *out) {
  *out = (array_file){0};
  const char *colon = strrchr(spec, ':');
  if (colon && colon[1]) {
    char path[1024];
    snprintf(path, sizeof path, "%.*s", (int)(colon - spec), spec);
    return open_key(path, colon + 1, out, 0) ? EXIT_FAILED : 0;
  }
  if (is_npz(spec))
    return fail("%s: which array? Write %s:KEY", spec, spec);
  long size;
  FILE *file = open_file(spec, &size);
  return file ? npy_open(file, 0, (uint64_t)size, spec, out) : EXIT_FAILED;
}

int array_open(const char *spec, array_file *out) {
  return open_any(spec, out) ? EXIT_FAILED : refuse_text(spec, out);
}

int array_load_text(const char *spec, array *out) {
  array_file file;
  *out = (array){0};
  return open_any(spec, &file) || read_all(&file, out) ? EXIT_FAILED : 0;
}

int array_load(const char *spec, array *out) {
  array_file file;
  *out = (array){0};
  return array_open(spec, &file) || read_all(&file, out) ? EXIT_FAILED : 0;
}

static uint32_t crc32_of(const uint8_t *bytes, size_t size) {
  uint32_t crc = ~0u;
  for (size_t i = 0; i < size; i++) {
    crc ^= bytes[i];
    for (int b = 0; b < 8; b++)
      crc = crc >> 1 ^ (crc & 1 ? 0xEDB88320u : 0);
  }
  return ~crc;
}

static void put(uint8_t **at, uint64_t value, int bytes) {
  for (int i = 0; i < bytes; i++)
    *(*at)++ = (uint8_t)(value >> (8 * i));
}

/* The fields that local and central headers share. */
static void put_common(uint8_t **at, uint32_t crc, size_t size, size_t name) {
  put(at, 0, 2);    /* flags */
  put(at, 0, 2);    /* stored */
  put(at, 0, 2);    /* time */
  put(at, 0x21, 2); /* date: 1980-01-01 */
  put(at, crc, 4);
  put(at, size, 4);
  put(at, size, 4);
  put(at, name, 2);
  put(at, 0, 2);
}

int npz_save(const char *path, const char *const *keys, const array *arrays, int count) {
  FILE *file = fopen(path, "wb");
  if (!file)
    return fail("%s: cannot be opened for writing", path);
  uint8_t *directory = allocate((size_t)count * 512 + 64, 1), *entry = directory;
  size_t offset = 0;
  int fine = 1;
  for (int i = 0; i < count; i++) {
    char name[300];
    int length = snprintf(name, sizeof name, "%.250s.npy", keys[i]);
    size_t size;
    uint8_t *bytes = npy_format(&arrays[i], &size), head[64], *at = head;
    if (size > 0xFFFFFFFE || offset > 0xFFFFFFFE - size) {
      free(bytes);
      free(directory);
      fclose(file);
      return fail("%s: more than 4 GiB", path);
    }
    uint32_t crc = crc32_of(bytes, size);
    put(&at, 0x04034b50, 4);
    put(&at, 20, 2);
    put_common(&at, crc, size, (size_t)length);
    fine &= fwrite(head, 1, 30, file) == 30 && fwrite(name, 1, (size_t)length, file) == (size_t)length &&
            fwrite(bytes, 1, size, file) == size;
    put(&entry, 0x02014b50, 4);
    put(&entry, 20, 2);
    put(&entry, 20, 2);
    put_common(&entry, crc, size, (size_t)length);
    put(&entry, 0, 2 + 2 + 2 + 4); /* comment, disk, attributes */
    put(&entry, offset, 4);
    memcpy(entry, name, (size_t)length);
    entry += length;
    offset += 30 + (size_t)length + size;
    free(bytes);
  }
  size_t directory_size = (size_t)(entry - directory);
  put(&entry, 0x06054b50, 4);
  put(&entry, 0, 4);
  put(&entry, (uint64_t)count, 2);
  put(&entry, (uint64_t)count, 2);
  put(&entry, directory_size, 4);
  put(&entry, offset, 4);
  put(&entry, 0, 2);
  fine &= fwrite(directory, 1, (size_t)(entry - directory), file) == (size_t)(entry - directory);
  free(directory);
  if (fclose(file) || !fine)
    return fail("%s: could not be written whole", path);
  return 0;
}
