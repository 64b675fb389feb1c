/* basics.c - messages, memory and the clock. */
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "tool.h"

static void say(const char *kind, const char *format, va_list ap) {
  fprintf(stderr, "qint8: %s", kind);
  vfprintf(stderr, format, ap);
  fprintf(stderr, "\n");
}

int fail(const char *format, ...) {
  va_list ap;
  va_start(ap, format);
  say("", format, ap);
  va_end(ap);
  return EXIT_FAILED;
}

void warn(const char *format, ...) {
  va_list ap;
  va_start(ap, format);
  say("warning: ", format, ap);
  va_end(ap);
}

int fail_error(const char *doing, qint8_status status, const qint8_error *error) {
  const char *message = error->message[0] ? error->message : qint8_status_name(status);
  if (error->where[0] && strcmp(error->where, doing))
    return fail("%s: %s: %s", doing, error->where, message);
  return fail("%s: %s", doing, message);
}

void *allocate(size_t count, size_t size) {
  void *memory = size && count > SIZE_MAX / size ? NULL : calloc(count ? count : 1, size ? size : 1);
  if (!memory) {
    fail("out of memory: %zu elements of %zu bytes", count, size);
    exit(EXIT_FAILED);
  }
  return memory;
}

double now_seconds(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}
