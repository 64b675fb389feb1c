#include "base/status.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static void copy_cut(char *out, size_t capacity, const char *text) {
  size_t n = text ? strlen(text) : 0;
  if (n >= capacity)
    n = capacity - 1;
  if (n)
    memcpy(out, text, n);
  out[n] = 0;
}

q8_status q8_fail(qint8_error *error, q8_status status, const char *where, const char *format, ...) {
  /* A caller compiled against another version may have a smaller record: leave it alone. */
  if (!error || error->struct_size < sizeof(qint8_error))
    return status;
  va_list arguments;
  va_start(arguments, format);
  error->status = status;
  copy_cut(error->where, sizeof error->where, where);
  vsnprintf(error->message, sizeof error->message, format, arguments);
  va_end(arguments);
  return status;
}

q8_status q8_fail_memory(qint8_error *error, const char *where, size_t size) {
  return q8_fail(error, QINT8_ERROR_MEMORY, where, "out of memory: %zu bytes were refused", size);
}
