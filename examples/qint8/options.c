/* options.c - one table per command, read for parsing and for --help. */
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "tool.h"

static int print_help(const command_line *line) {
  printf("usage: %s\n\n%s\n\noptions:\n", line->usage, line->teaches);
  for (int i = 0; i < line->option_count; i++) {
    char left[64];
    snprintf(left, sizeof left, "%s%s%s", line->options[i].name, line->options[i].value ? " " : "",
             line->options[i].value ? line->options[i].value : "");
    printf("  %-28s %s\n", left, line->options[i].help);
  }
  printf("  %-28s %s\n", "--help", "this text");
  return 1 + EXIT_DONE;
}

static int usage_error(const command_line *line, const char *what, const char *word) {
  fprintf(stderr, "qint8: %s%s%s%s\nusage: %s\n", what, word ? " \"" : "", word ? word : "", word ? "\"" : "",
          line->usage);
  return 1 + EXIT_USAGE;
}

static const option *find(const command_line *line, const char *name) {
  for (int i = 0; i < line->option_count; i++)
    if (!strcmp(line->options[i].name, name))
      return &line->options[i];
  return NULL;
}

/* 0 if the text is not a value of the option's type. */
static int set(const option *o, const char *text) {
  char *end;
  errno = 0;
  switch (o->type) {
  case OPTION_TEXT:
    *(const char **)o->target = text;
    return 1;
  case OPTION_INT:
    *(long *)o->target = strtol(text, &end, 10);
    return *text && !*end && !errno && *(long *)o->target >= 0;
  case OPTION_FLOAT:
  case OPTION_ABOVE_ZERO:
    *(double *)o->target = strtod(text, &end);
    return *text && !*end && !errno && isfinite(*(double *)o->target) &&
           (o->type == OPTION_FLOAT || *(double *)o->target > 0);
  case OPTION_LIST: {
    text_list *list = o->target;
    if (list->count == MAX_LIST)
      return 0;
    list->v[list->count++] = text;
    return 1;
  }
  default:
    *(int *)o->target = 1;
    return 1;
  }
}

int parse_options(const command_line *line, int argc, char **argv, const char **words) {
  int count = 0;
  for (int i = 0; i < argc; i++)
    if (!strcmp(argv[i], "--help") || !strcmp(argv[i], "-h"))
      return print_help(line);
  for (int i = 0; i < argc; i++) {
    if (argv[i][0] != '-' || !argv[i][1]) {
      if (count == line->max_words)
        return usage_error(line, "one argument too many:", argv[i]);
      words[count++] = argv[i];
      continue;
    }
    const option *o = find(line, argv[i]);
    if (!o)
      return usage_error(line, "unknown option", argv[i]);
    if (o->type == OPTION_FLAG) {
      set(o, "");
      continue;
    }
    if (i + 1 == argc)
      return usage_error(line, "a value is missing behind", argv[i]);
    if (!set(o, argv[++i])) {
      char what[64];
      snprintf(what, sizeof what, "%s: not a usable value:", o->name);
      return usage_error(line, what, argv[i]);
    }
  }
  if (count < line->min_words)
    return usage_error(line, "an argument is missing", NULL);
  return 0;
}
