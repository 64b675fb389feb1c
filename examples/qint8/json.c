/* json.c - a JSON value written as it comes. */
#include <math.h>

#include "tool.h"

void json_begin(json *j, FILE *file) {
  *j = (json){.file = file, .first = 1};
}

static void newline(json *j) {
  fputc('\n', j->file);
  for (int i = 0; i < j->depth; i++)
    fputs("  ", j->file);
}

static void put_text(json *j, const char *text) {
  fputc('"', j->file);
  for (const unsigned char *c = (const unsigned char *)(text ? text : ""); *c; c++) {
    if (*c == '"' || *c == '\\')
      fprintf(j->file, "\\%c", *c);
    else if (*c < 0x20)
      fprintf(j->file, "\\u%04x", *c);
    else
      fputc(*c, j->file);
  }
  fputc('"', j->file);
}

static void begin_value(json *j, const char *key) {
  if (!j->first)
    fputc(',', j->file);
  if (j->depth)
    newline(j);
  j->first = 0;
  if (key) {
    put_text(j, key);
    fputs(": ", j->file);
  }
}

void json_open(json *j, const char *key, char bracket) {
  begin_value(j, key);
  fputc(bracket, j->file);
  j->depth++;
  j->first = 1;
}

void json_close(json *j, char bracket) {
  j->depth--;
  if (!j->first)
    newline(j);
  fputc(bracket, j->file);
  j->first = 0;
}

void json_text(json *j, const char *key, const char *value) {
  begin_value(j, key);
  if (value)
    put_text(j, value);
  else
    fputs("null", j->file);
}

void json_number(json *j, const char *key, double value) {
  begin_value(j, key);
  if (isfinite(value))
    fprintf(j->file, "%.9g", value);
  else
    fputs("null", j->file); /* JSON has no NaN */
}

void json_integer(json *j, const char *key, long long value) {
  begin_value(j, key);
  fprintf(j->file, "%lld", value);
}

void json_end(json *j) {
  fputc('\n', j->file);
}
