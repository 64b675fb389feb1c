/* npy.c - the .npy format (versions 1 to 3), little endian, C order. */
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "tool.h"

static const struct {
  const char *descr;
  int32_t dtype;
  size_t size; /* in the file */
} types[] = {
    {"<f4", QINT8_DTYPE_F32, 4}, {"<f8", QINT8_DTYPE_F64, 8}, {"|u1", QINT8_DTYPE_U8, 1},   {"|i1", QINT8_DTYPE_S8, 1},
    {"<i4", QINT8_DTYPE_S32, 4}, {"<i8", QINT8_DTYPE_S64, 8}, {"|b1", QINT8_DTYPE_BOOL, 1},
};

void array_free(array *a) {
  free(a->data);
  *a = (array){0};
}

/* The value behind 'key': in the header's Python dict literal. */
static const char *header_value(const char *header, const char *key) {
  const char *at = strstr(header, key);
  at = at ? strchr(at, ':') : NULL;
  if (!at)
    return NULL;
  at++;
  while (*at == ' ')
    at++;
  return at;
}

static int parse_shape(const char *text, array *out) {
  if (*text++ != '(')
    return 0;
  out->count = 1;
  while (*text != ')') {
    char *end;
    long long dim = strtoll(text, &end, 10);
    if (end == text || dim < 0 || out->rank == QINT8_MAX_RANK || (dim && out->count > (SIZE_MAX >> 8) / (size_t)dim))
      return 0;
    out->shape[out->rank++] = dim;
    out->count *= (size_t)dim;
    text = end;
    while (*text == ',' || *text == ' ' || *text == 'L')
      text++;
    if (!*text)
      return 0;
  }
  return 1;
}

/* "'<U27'": text of 27 code points of 4 bytes each, padded with 0. Becomes a last dimension of int32. */
static int text_width(const char *descr, array *out) {
  long width = strncmp(descr, "'<U", 3) ? 0 : strtol(descr + 3, NULL, 10);
  if (width < 1 || width > 1 << 20 || out->rank == QINT8_MAX_RANK || out->count > (SIZE_MAX >> 8) / (size_t)width)
    return 0;
  out->shape[out->rank++] = width;
  out->count *= (size_t)width;
  out->text = (int32_t)width;
  return 1;
}

/* What the header says; *dtype and *element as in the file. */
static int parse_header(const char *header, const char *where, array_file *out) {
  const char *descr = header_value(header, "'descr'"), *order = header_value(header, "'fortran_order'");
  const char *shape = header_value(header, "'shape'");
  array *head = &out->head;
  int known = 0;
  head->dtype = QINT8_DTYPE_S32; /* of text, which the table does not know */
  out->element = 4;
  for (int i = 0; descr && i < COUNT(types); i++)
    if (!strncmp(descr + 1, types[i].descr, 3)) {
      head->dtype = types[i].dtype == QINT8_DTYPE_F64 ? QINT8_DTYPE_F32 : types[i].dtype;
      out->element = types[i].size;
      known = 1;
    }
  if (!descr || !order || !shape || !parse_shape(shape, head))
    return fail("%s: a malformed header", where);
  if (!known && !text_width(descr, head))
    return fail("%s: element type %.*s is not f4, f8, u1, i1, i4, i8 or b1 (little endian)", where,
                (int)strcspn(descr + 1, "'\""), descr + 1);
  if (!strncmp(order, "True", 4) && head->rank > 1)
    return fail("%s: Fortran order; save numpy.ascontiguousarray(x) instead", where);
  out->is_double = known && head->dtype == QINT8_DTYPE_F32 && out->element == 8;
  return 0;
}

static int read_header(array_file *a, uint64_t size, const char *where) {
  uint8_t start[12] = {0};
  size_t got = fread(start, 1, size < 12 ? (size_t)size : 12, a->file);
  if (got < 10 || memcmp(start, "\x93NUMPY", 6))
    return fail("%s: not a .npy array", where);
  size_t head = start[6] == 1 ? 10 : 12, length = start[8] | (size_t)start[9] << 8;
  if (start[6] > 1)
    length |= (size_t)start[10] << 16 | (size_t)start[11] << 24;
  if (start[6] < 1 || start[6] > 3 || head > size || length > size - head)
    return fail("%s: version %d or a truncated header", where, start[6]);
  char *header = allocate(length + 1, 1);
  int status = fseek(a->file, (long)(a->offset + (int64_t)head), SEEK_SET) || fread(header, 1, length, a->file) != length
                   ? fail("%s: cannot be read", where)
                   : parse_header(header, where, a);
  free(header);
  a->offset += (int64_t)(head + length);
  size -= head + length;
  if (!status && a->head.count * a->element > size)
    status = fail("%s: truncated: %zu values need %zu bytes, %zu are there", where, a->head.count,
                  a->head.count * a->element, (size_t)size);
  return status;
}

int npy_open(FILE *file, int64_t offset, uint64_t size, const char *where, array_file *out) {
  *out = (array_file){.file = file, .offset = offset};
  int status = fseek(file, (long)offset, SEEK_SET) ? fail("%s: cannot be read", where) : read_header(out, size, where);
  if (status)
    array_close(out);
  return status;
}

void array_close(array_file *a) {
  if (a->file)
    fclose(a->file);
  *a = (array_file){0};
}

/* Doubles become floats in pieces. */
static int read_doubles(const array_file *a, size_t count, float *out) {
  double piece[512];
  for (size_t done = 0; done < count;) {
    size_t now = count - done < 512 ? count - done : 512;
    if (fread(piece, sizeof *piece, now, a->file) != now)
      return 0;
    for (size_t i = 0; i < now; i++)
      out[done + i] = (float)piece[i];
    done += now;
  }
  return 1;
}

int array_read(const array_file *a, size_t first, size_t count, void *out) {
  int fine = !fseek(a->file, (long)(a->offset + (int64_t)(first * a->element)), SEEK_SET);
  if (fine && a->is_double)
    fine = read_doubles(a, count, out);
  else if (fine)
    fine = fread(out, a->element, count, a->file) == count;
  return fine ? 0 : fail("the data file cannot be read any more");
}

uint8_t *npy_format(const array *a, size_t *size) {
  char header[256], shape[160] = "";
  const char *descr = "<f4";
  for (int i = 0; i < COUNT(types); i++)
    if (types[i].dtype == a->dtype)
      descr = types[i].descr;
  for (int i = 0; i < a->rank; i++)
    snprintf(shape + strlen(shape), sizeof shape - strlen(shape), "%lld,%s", (long long)a->shape[i],
             i + 1 < a->rank ? " " : "");
  int length =
      snprintf(header, sizeof header, "{'descr': '%s', 'fortran_order': False, 'shape': (%s), }", descr, shape);
  size_t total = (size_t)(10 + length + 1 + 63) / 64 * 64, bytes = a->count * qint8_dtype_size((qint8_dtype)a->dtype);
  uint8_t *out = allocate(total + bytes, 1);
  memset(out, ' ', total);
  memcpy(out, "\x93NUMPY\x01\x00", 8);
  out[8] = (uint8_t)(total - 10);
  out[9] = (uint8_t)((total - 10) >> 8);
  memcpy(out + 10, header, (size_t)length);
  out[total - 1] = '\n';
  memcpy(out + total, a->data, bytes);
  *size = total + bytes;
  return out;
}

static int write_file(const char *path, const uint8_t *bytes, size_t size) {
  FILE *file = fopen(path, "wb");
  if (!file)
    return fail("%s: cannot be opened for writing", path);
  int written = fwrite(bytes, 1, size, file) == size;
  if (fclose(file) || !written)
    return fail("%s: only part of %zu bytes could be written", path, size);
  return 0;
}

int npy_save(const char *path, const array *a) {
  size_t size;
  uint8_t *bytes = npy_format(a, &size);
  int status = write_file(path, bytes, size);
  free(bytes);
  return status;
}

FILE *open_file(const char *path, long *size) {
  FILE *file = fopen(path, "rb");
  if (!file) {
    fail("%s: cannot be opened for reading", path);
    return NULL;
  }
  *size = fseek(file, 0, SEEK_END) ? -1 : ftell(file);
  if (*size < 0 || *size == LONG_MAX || fseek(file, 0, SEEK_SET)) { /* LONG_MAX: a folder */
    fclose(file);
    fail("%s: not a readable regular file", path);
    return NULL;
  }
  return file;
}

uint8_t *read_whole_file(const char *path, size_t *size) {
  long length;
  FILE *file = open_file(path, &length);
  if (!file)
    return NULL;
  uint8_t *bytes = allocate((size_t)length + 1, 1);
  *size = fread(bytes, 1, (size_t)length, file);
  fclose(file);
  if (*size != (size_t)length) {
    free(bytes);
    fail("%s: only part of its %ld bytes could be read", path, length);
    return NULL;
  }
  return bytes;
}

float *array_floats(const array *a) {
  float *values = allocate(a->count + 1, sizeof *values);
  for (size_t i = 0; i < a->count; i++)
    switch (a->dtype) {
    case QINT8_DTYPE_F32:
      values[i] = ((const float *)a->data)[i];
      break;
    case QINT8_DTYPE_U8:
    case QINT8_DTYPE_BOOL:
      values[i] = ((const uint8_t *)a->data)[i];
      break;
    case QINT8_DTYPE_S8:
      values[i] = ((const int8_t *)a->data)[i];
      break;
    case QINT8_DTYPE_S32:
      values[i] = (float)((const int32_t *)a->data)[i];
      break;
    default:
      values[i] = (float)((const int64_t *)a->data)[i];
    }
  return values;
}

int is_integer(int32_t dtype) {
  return dtype == QINT8_DTYPE_U8 || dtype == QINT8_DTYPE_S8 || dtype == QINT8_DTYPE_S32 || dtype == QINT8_DTYPE_S64 ||
         dtype == QINT8_DTYPE_BOOL;
}

const char *dtype_text(int32_t dtype) {
  static const struct {
    int32_t dtype;
    const char *text;
  } names[] = {{QINT8_DTYPE_F32, "float32"}, {QINT8_DTYPE_F16, "float16"}, {QINT8_DTYPE_BF16, "bfloat16"},
               {QINT8_DTYPE_F64, "float64"}, {QINT8_DTYPE_U8, "uint8"},    {QINT8_DTYPE_S8, "int8"},
               {QINT8_DTYPE_S32, "int32"},   {QINT8_DTYPE_S64, "int64"},   {QINT8_DTYPE_BOOL, "bool"}};
  for (int i = 0; i < COUNT(names); i++)
    if (names[i].dtype == dtype)
      return names[i].text;
  return "another type of integers";
}

static int64_t integer_at(const array *a, size_t i) {
  switch (a->dtype) {
  case QINT8_DTYPE_U8:
  case QINT8_DTYPE_BOOL:
    return ((const uint8_t *)a->data)[i];
  case QINT8_DTYPE_S8:
    return ((const int8_t *)a->data)[i];
  case QINT8_DTYPE_S32:
    return ((const int32_t *)a->data)[i];
  default:
    return ((const int64_t *)a->data)[i];
  }
}

void array_integers(const array *a, int32_t dtype, void *out) {
  for (size_t i = 0; i < a->count; i++) {
    int64_t v = integer_at(a, i);
    if (dtype == QINT8_DTYPE_S64)
      ((int64_t *)out)[i] = v;
    else if (dtype == QINT8_DTYPE_S32)
      ((int32_t *)out)[i] = (int32_t)v;
    else
      ((uint8_t *)out)[i] = dtype == QINT8_DTYPE_BOOL ? v != 0 : (uint8_t)v;
  }
}
