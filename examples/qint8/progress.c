/* progress.c - a bar on stderr if that is a terminal. */
#define _POSIX_C_SOURCE 200809L
#include <unistd.h>

#include "tool.h"

void progress(const char *what, size_t done, size_t total) {
  static double last;
  if (!isatty(2) || total == 0)
    return;
  double now = now_seconds();
  if (done < total && now - last < 0.1)
    return;
  last = now;
  enum { WIDTH = 30 };
  int filled = (int)(done * WIDTH / total);
  fprintf(stderr, "\r%-12s [%.*s%*s] %zu/%zu", what, filled, "##############################", WIDTH - filled, "", done,
          total);
  if (done >= total)
    fputc('\n', stderr);
}

int32_t progress_of_host(void *user, const char *what, size_t done, size_t total) {
  (void)user;
  progress(what, done, total);
  return 0;
}
