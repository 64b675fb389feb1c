/* bench.h - options, clock and report shared by the benches. Header only: each bench is one program. */
#ifndef Q8_BENCH_H
#define Q8_BENCH_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

typedef struct bench_options {
  const char *only; /* substring of the name, or NULL */
  const char *isa;  /* exact name, or NULL */
  double seconds;   /* per row */
  int csv;
} bench_options;

static inline void bench_usage(const char *program) {
  fprintf(stderr, "usage: %s [--csv] [--only TEXT] [--isa NAME] [--seconds S]\n", program);
  exit(2);
}

static inline bench_options bench_parse(int argc, char **argv) {
  bench_options options = {NULL, NULL, 0.03, 0};
  for (int i = 1; i < argc; i++) {
    if (!strcmp(argv[i], "--csv"))
      options.csv = 1;
    else if (i + 1 < argc && !strcmp(argv[i], "--only"))
      options.only = argv[++i];
    else if (i + 1 < argc && !strcmp(argv[i], "--isa"))
      options.isa = argv[++i];
    else if (i + 1 < argc && !strcmp(argv[i], "--seconds"))
      options.seconds = atof(argv[++i]);
    else
      bench_usage(argv[0]);
  }
  return options;
}

static inline double bench_now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

/* Something to time: run(context, count) does it count times. */
typedef struct bench_task {
  void (*run)(void *context, size_t count);
  void *context;
  size_t count; /* per sample, set by bench_measure */
  double best;  /* seconds of one, set by bench_measure */
} bench_task;

static inline double bench_sample(bench_task *task) {
  double start = bench_now();
  task->run(task->context, task->count);
  return bench_now() - start;
}

/* Times all tasks in turn, so that a change of clock frequency or a busy neighbour meets them alike; the best
 * sample counts. A sample lasts at least 0.2 ms. */
static inline void bench_measure(bench_task *tasks, size_t count, double seconds) {
  for (size_t i = 0; i < count; i++) {
    tasks[i].best = 1e30;
    for (tasks[i].count = 1; bench_sample(&tasks[i]) < 2e-4;)
      tasks[i].count *= 2;
  }
  double end = bench_now() + seconds;
  do
    for (size_t i = 0; i < count; i++) {
      double each = bench_sample(&tasks[i]) / (double)tasks[i].count;
      if (each < tasks[i].best)
        tasks[i].best = each;
    }
  while (bench_now() < end);
}

#endif
