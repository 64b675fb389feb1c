/* peers - the layers of shapes.h on this library and on the other libraries that are installed, in turn.
 *
 *   peers [--fp32] [--isa NAME] [--only TEXT] [--seconds S] [--runs N]
 *
 * Every row is measured `runs` times over; in each run all libraries take samples by turns, and the best sample of each
 * counts. Printed: microseconds, GOP/s, per cent of the peak of the same run, the median over the runs of the ratio
 * to the fastest peer, and the ratio's extremes. Results are compared first: a peer may differ by one step where it
 * rounds otherwise; what differs by more is marked, for it does not do the same work (oneDNN saturates without VNNI).
 * --isa limits this library and oneDNN; the others cannot be limited and are left out. */
#include <math.h>
#include <unistd.h>

#include "bench.h"
#include "peak.h"
#include "peers.h"

enum { PEERS = 4, MAX_RUNS = 9, MIN_ROUNDS = 20 };
static const peer *const all[PEERS] = {&peer_ours, &peer_dnnl, &peer_xnnpack, &peer_ort};
static int usable[PEERS];

typedef struct figures {
  double us[PEERS], peak; /* GOP/s */
  int off[PEERS];         /* largest difference to ours */
} figures;

typedef struct options {
  const char *only;
  double seconds;
  int fp32, runs;
} options;

/* ---- Data ---- */

static uint32_t noise(void) {
  static uint32_t state = 1;
  state = state * 1664525u + 1013904223u;
  return state >> 8;
}

static void *array(size_t count, size_t size) {
  void *memory = aligned_alloc(64, (count * size + 191) / 64 * 64);
  if (!memory)
    exit(1);
  return memory;
}

static problem make_problem(const shape *s, int fp32) {
  const q8_conv_geometry *g = &s->g;
  const size_t filter = g->r * g->s * (g->c / g->groups);
  problem p = {.shape = s, .fp32 = fp32, .x_scale = 0.02f, .x_zero = 120, .y_zero = 131};
  p.x_count = g->n * g->h * g->w * g->c, p.w_count = g->k * filter, p.y_count = g->n * g->p * g->q * g->k;
  p.y_scale = p.x_scale * 0.01f * sqrtf((float)filter) * 5400.0f / 40.0f; /* results spread over 40 steps */
  uint8_t *x = array(p.x_count, 1);
  int8_t *w = array(p.w_count, 1);
  int32_t *bias = array(g->k, 4);
  float *scale = array(g->k, 4), *fx = array(p.x_count, 4), *fw = array(p.w_count, 4), *fbias = array(g->k, 4);
  for (size_t i = 0; i < p.x_count; i++)
    x[i] = (uint8_t)noise(), fx[i] = (float)x[i] / 128.0f - 1.0f;
  for (size_t i = 0; i < p.w_count; i++)
    w[i] = (int8_t)((int)(noise() % 255) - 127), fw[i] = (float)w[i] / 128.0f;
  for (size_t i = 0; i < g->k; i++) {
    bias[i] = g->h == 1 && g->w == 1 ? 0 : (int32_t)(noise() % 20000) - 10000;
    scale[i] = 0.005f + 0.01f * (float)(noise() % 100) / 100.0f;
    fbias[i] = (float)bias[i] / 10000.0f;
  }
  p.x = x, p.w = w, p.bias = bias, p.w_scale = scale, p.fx = fx, p.fw = fw, p.fbias = fbias;
  return p;
}

static void free_problem(const problem *p) {
  const void *const arrays[] = {p->x, p->w, p->bias, p->w_scale, p->fx, p->fw, p->fbias};
  for (size_t i = 0; i < sizeof arrays / sizeof *arrays; i++)
    free((void *)(uintptr_t)arrays[i]);
}

/* In steps of uint8, or for floats in 1e-4 of the largest value. */
static int difference(const problem *p, const void *a, const void *b) {
  double most = 0, largest = 1e-9;
  for (size_t i = 0; i < p->y_count; i++) {
    double u = p->fp32 ? (double)((const float *)a)[i] : ((const uint8_t *)a)[i],
           v = p->fp32 ? (double)((const float *)b)[i] : ((const uint8_t *)b)[i];
    most = fmax(most, fabs(u - v));
    largest = fmax(largest, fabs(u));
  }
  return (int)ceil(p->fp32 ? most / largest * 1e4 : most);
}

/* ---- Measuring ---- */

static figures measure(const problem *p, const options *o) {
  figures f = {.us = {0}};
  void *layer[PEERS];
  size_t count[PEERS];
  double best[PEERS + 1];
  const peak *top = peak_find(peers_mask(), p->fp32);
  void *want = array(p->y_count, 4), *got = array(p->y_count, 4);
  for (size_t i = 0; i <= PEERS; i++)
    best[i] = 1e30;
  for (size_t i = 0; i < PEERS; i++) {
    layer[i] = usable[i] ? all[i]->open(p) : NULL;
    if (!layer[i])
      continue;
    all[i]->run(layer[i], 1);
    if (all[i]->result(layer[i], i ? got : want) && i)
      f.off[i] = difference(p, want, got);
    for (count[i] = 1; all[i]->run(layer[i], count[i]) < 5e-4;)
      count[i] *= 2;
  }
  double end = bench_now() + o->seconds;
  for (int round = 0; round < MIN_ROUNDS || bench_now() < end; round++) {
    for (size_t i = 0; i < PEERS; i++)
      if (layer[i]) {
        all[i]->run(layer[i], 1); /* its weights into the caches again */
        best[i] = fmin(best[i], all[i]->run(layer[i], count[i]) / (double)count[i]);
      }
    if (top && top->run) {
      top->run(20000); /* wide registers are at full speed only after some use */
      double from = bench_now();
      top->run(20000);
      best[PEERS] = fmin(best[PEERS], (bench_now() - from) / 20000);
    }
  }
  for (size_t i = 0; i < PEERS; i++)
    if (layer[i]) {
      f.us[i] = (all[i]->best ? all[i]->best(layer[i]) : best[i]) * 1e6;
      all[i]->close(layer[i]);
    }
  f.peak = top && top->run ? top->operations / best[PEERS] * 1e-9 : 0;
  free(want);
  free(got);
  return f;
}

/* ---- Report ---- */

static int ascending(const void *a, const void *b) {
  const double x = *(const double *)a, y = *(const double *)b;
  return (x > y) - (x < y);
}

/* How many times faster than the fastest peer; 0 without peers. */
static double ratio(const figures *f) {
  double fastest = 1e30;
  for (size_t i = 1; i < PEERS; i++)
    if (f->us[i] > 0)
      fastest = fmin(fastest, f->us[i]);
  return fastest < 1e30 ? fastest / f->us[0] : 0;
}

/* Prints the run of the median ratio; returns that ratio. */
static double report(const shape *s, const figures *runs, int count) {
  double sorted[MAX_RUNS];
  const figures *f = runs;
  for (int i = 0; i < count; i++)
    sorted[i] = ratio(&runs[i]);
  qsort(sorted, (size_t)count, sizeof *sorted, ascending);
  for (int i = 0; i < count; i++)
    if (ratio(&runs[i]) == sorted[count / 2])
      f = &runs[i];
  printf("%-21s", s->name);
  for (size_t i = 0; i < PEERS; i++) {
    char note[16] = "";
    double gops = f->us[i] > 0 ? shape_operations(&s->g) / f->us[i] * 1e-3 : 0;
    if (f->us[i] <= 0) {
      printf(" |%25s", "-");
      continue;
    }
    if (f->off[i] > 1)
      snprintf(note, sizeof note, "!%d", f->off[i]);
    printf(" | %8.1f %6.0f %4.0f%% %2s", f->us[i], gops, f->peak > 0 ? 100 * gops / f->peak : 0, note);
  }
  printf(" | %5.2f  %.2f..%.2f\n", sorted[count / 2], sorted[0], sorted[count - 1]);
  fflush(stdout);
  return sorted[count / 2];
}

/* Each peer by itself, over all rows it can do. */
static void report_peers(figures runs[][MAX_RUNS], int count) {
  printf("libqint8 by itself against");
  for (size_t i = 1; i < PEERS; i++) {
    double logs = 0, least = 1e9;
    int rows = 0;
    for (size_t s = 0; s < SHAPE_COUNT; s++) {
      double sorted[MAX_RUNS];
      for (int r = 0; r < count; r++)
        sorted[r] = runs[s][r].us[0] > 0 ? runs[s][r].us[i] / runs[s][r].us[0] : 0;
      qsort(sorted, (size_t)count, sizeof *sorted, ascending);
      if (sorted[count / 2] > 0)
        logs += log(sorted[count / 2]), least = fmin(least, sorted[count / 2]), rows++;
    }
    if (rows)
      printf("  %s: %.2f, least %.2f", all[i]->name, exp(logs / rows), least);
  }
  printf("\n");
}

static void table(const options *o) {
  static const char *const kinds[] = {"gemm", "conv", "dw", "all"};
  static figures runs[SHAPE_COUNT][MAX_RUNS];
  double logs[4] = {0}, least[4] = {1e9, 1e9, 1e9, 1e9};
  int counts[4] = {0};
  for (int r = 0; r < o->runs; r++)
    for (size_t i = 0; i < SHAPE_COUNT; i++) {
      if (o->only && !strstr(shapes[i].name, o->only))
        continue;
      problem p = make_problem(&shapes[i], o->fp32);
      runs[i][r] = measure(&p, o);
      free_problem(&p);
      fprintf(stderr, "\rrun %d of %d: %-30s", r + 1, o->runs, shapes[i].name);
    }
  fprintf(stderr, "\r%60s\r", "");
  printf("%-21s", o->fp32 ? "fp32" : "int8");
  for (size_t i = 0; i < PEERS; i++)
    printf(" | %-9s us  GOPS  peak  ", all[i]->name);
  printf(" | ratio min..max\n");
  for (size_t i = 0; i < SHAPE_COUNT; i++) {
    if (o->only && !strstr(shapes[i].name, o->only))
      continue;
    double x = report(&shapes[i], runs[i], o->runs);
    size_t kind = !strncmp(shapes[i].name, "gemm", 4) ? 0 : !strncmp(shapes[i].name, "dw", 2) ? 2 : 1;
    for (size_t k = kind; x > 0 && k < 4; k += k == kind && kind < 3 ? 3 - kind : 1) {
      logs[k] += log(x), counts[k]++;
      least[k] = fmin(least[k], x);
    }
  }
  for (size_t k = 0; k < 4; k++)
    if (counts[k])
      printf("%-4s %2d rows: geometric mean %.2f, least %.2f\n", kinds[k], counts[k], exp(logs[k] / counts[k]),
             least[k]);
  report_peers(runs, o->runs);
}

int main(int argc, char **argv) {
  options o = {NULL, 0.4, 0, 3};
  if (!getenv("OMP_NUM_THREADS")) { /* read when the OpenMP runtime is loaded: before main */
    setenv("OMP_NUM_THREADS", "1", 1);
    execv(argv[0], argv);
  }
  for (int i = 1; i < argc; i++) {
    if (!strcmp(argv[i], "--fp32"))
      o.fp32 = 1;
    else if (i + 1 < argc && !strcmp(argv[i], "--only"))
      o.only = argv[++i];
    else if (i + 1 < argc && !strcmp(argv[i], "--isa"))
      peers_isa = argv[++i];
    else if (i + 1 < argc && !strcmp(argv[i], "--seconds"))
      o.seconds = atof(argv[++i]);
    else if (i + 1 < argc && !strcmp(argv[i], "--runs"))
      o.runs = atoi(argv[++i]);
    else {
      fprintf(stderr, "usage: %s [--fp32] [--isa NAME] [--only TEXT] [--seconds S] [--runs N]\n", argv[0]);
      return 2;
    }
  }
  if (o.runs < 1 || o.runs > MAX_RUNS || (peers_isa && !q8_isa_find(peers_isa))) {
    fprintf(stderr, "%s: 1 to %d runs; the ISA must be one of the build\n", argv[0], MAX_RUNS);
    return 2;
  }
  int found = 0;
  for (size_t i = 0; i < PEERS; i++) {
    const char *why = all[i]->start();
    usable[i] = !why;
    found += usable[i] && i > 0;
    if (why)
      printf("SKIP %s: %s\n", all[i]->name, why);
  }
  if (!found)
    printf("SKIP the comparison: no peer is installed\n");
  table(&o);
  for (size_t i = 0; i < PEERS; i++)
    if (usable[i])
      all[i]->stop();
  return 0;
}
