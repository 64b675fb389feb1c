/* bench.c - qint8 bench: latency, throughput, memory; two models in turn; the plan step by step. */
#ifdef __linux__
#include <malloc.h> /* malloc_trim, of glibc */
#endif
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "tool.h"

typedef struct contestant {
  const char *path;
  qint8_model *model;
  qint8_recipe *recipe;
  engine e;
  sample_tensors inputs;
  float *output;
  double *ms, load_ms; /* load: from the file's name to a session */
  int runs;
} contestant;

typedef struct job {
  contestant one, other;
  const char *isa;
  long batch, length, threads, runs;
  double seconds;
  int as_json, with_plan;
} job;

static int by_value(const void *a, const void *b) {
  double x = *(const double *)a, y = *(const double *)b;
  return x < y ? -1 : x > y;
}

/* Of the sorted times. */
static double percentile(const contestant *c, double share) {
  int i = (int)(share * (c->runs - 1) + 0.5);
  return c->ms[i];
}

static void close_model(contestant *c) {
  qint8_recipe_destroy(c->recipe);
  qint8_model_destroy(c->model);
  c->recipe = NULL;
  c->model = NULL;
}

/* Shapes as the model declares them, the first dimension `batch` and others `length` where they are free. */
static int make_inputs(const qint8_model *model, const char *path, int64_t batch, int64_t length, sample_tensors *out) {
  qint8_tensor_info info = QINT8_TENSOR_INFO_INIT;
  *out = (sample_tensors){0};
  if (qint8_model_input_count(model) > MAX_INPUTS)
    return fail("%s has %zu inputs, at most %d are served", path, qint8_model_input_count(model), MAX_INPUTS);
  for (; qint8_model_input(model, out->count, &info) == QINT8_OK; out->count++) {
    qint8_tensor *t = &out->tensor[out->count];
    *t = (qint8_tensor)QINT8_TENSOR_INIT;
    t->dtype = info.dtype ? info.dtype : QINT8_DTYPE_F32;
    t->rank = info.rank < 0 ? 0 : info.rank;
    for (int d = 0; d < t->rank; d++)
      t->shape[d] = info.shape[d] >= 0 ? info.shape[d] : d ? length : batch;
    out->inputs[out->count] = t;
  }
  return 0;
}

/* Random floats; integers, which may be indices, are 0. */
static void fill_inputs(sample_tensors *t) {
  uint32_t seed = 1;
  tensors_allocate(t);
  for (size_t i = 0; i < t->count; i++) {
    size_t count = t->tensor[i].dtype == QINT8_DTYPE_F32;
    for (int d = 0; d < t->tensor[i].rank; d++)
      count *= (size_t)t->tensor[i].shape[d];
    for (size_t k = 0; k < count; k++) {
      seed = seed * 1664525u + 1013904223u;
      ((float *)t->tensor[i].data)[k] = (float)(seed >> 8) / 8388608.0f - 1.0f;
    }
  }
}

static int open_contestant(contestant *c, const job *j, const qint8_host *host) {
  double start = now_seconds();
  if (model_map(c->path, host, &c->model, &c->recipe))
    return EXIT_FAILED;
  int64_t n = batch_for(c->model, j->batch);
  if (make_inputs(c->model, c->path, n, j->length > 0 ? j->length : 1, &c->inputs) ||
      engine_open(c->path, c->model, c->recipe, &c->inputs, n, j->isa, host, &c->e))
    return EXIT_FAILED;
  c->load_ms = (now_seconds() - start) * 1e3;
  close_model(c); /* the plan needs it no longer */
#ifdef __GLIBC__
  malloc_trim(0); /* back to the system with it: what is left of it lies between blocks in use */
#endif
  fill_inputs(&c->inputs);
  c->output = allocate(c->e.output_count + 1, sizeof *c->output);
  return 0;
}

static void close_contestant(contestant *c) {
  engine_close(&c->e);
  close_model(c);
  tensors_free(&c->inputs);
  free(c->output);
  free(c->ms);
}

static int time_once(contestant *c) {
  double start = now_seconds();
  int status = engine_run(&c->e, c->inputs.inputs, c->inputs.count, c->output);
  c->ms[c->runs++] = (now_seconds() - start) * 1e3;
  return status;
}

#define MAX_RUNS 1000000

/* The two in turn, so that a machine that drifts drifts for both. */
static int measure(job *j) {
  int both = j->other.path != NULL;
  j->one.ms = allocate(MAX_RUNS, sizeof(double));
  j->other.ms = allocate(both ? MAX_RUNS : 1, sizeof(double));
  for (int warm = 0; warm < 3; warm++)
    if (time_once(&j->one) || (both && time_once(&j->other)))
      return EXIT_FAILED;
  j->one.runs = j->other.runs = 0;
  double end = now_seconds() + j->seconds;
  while (j->one.runs < MAX_RUNS && (j->runs ? j->one.runs < j->runs : now_seconds() < end || j->one.runs < 5))
    if (time_once(&j->one) || (both && time_once(&j->other)))
      return EXIT_FAILED;
  qsort(j->one.ms, (size_t)j->one.runs, sizeof(double), by_value);
  if (both)
    qsort(j->other.ms, (size_t)j->other.runs, sizeof(double), by_value);
  return 0;
}

static double gops(const contestant *c) {
  return 2e-6 * (double)qint8_plan_macs(c->e.plan) / percentile(c, 0.5);
}

/* The most memory that this process held at a time, in bytes; 0 where the system does not say. */
static long long peak_memory(void) {
  char line[128];
  long long kilobytes = 0;
  FILE *file = fopen("/proc/self/status", "r");
  while (file && fgets(line, sizeof line, file))
    sscanf(line, "VmHWM: %lld", &kilobytes);
  if (file)
    fclose(file);
  return kilobytes * 1024;
}

static void print_text(const contestant *c) {
  printf("%s: batch %lld, %s, %d runs\n", c->path, (long long)c->e.batch, qint8_plan_isa(c->e.plan), c->runs);
  printf("  ms      min %.4f  median %.4f  p90 %.4f  p99 %.4f\n", percentile(c, 0), percentile(c, 0.5),
         percentile(c, 0.9), percentile(c, 0.99));
  printf("  GOPS    %.2f (2 x %lld multiply-accumulates)\n", gops(c), (long long)qint8_plan_macs(c->e.plan));
  printf("  load    %.2f ms, file to session\n", c->load_ms);
  printf("  memory  arena %zu bytes, plan with packed weights %zu bytes\n", qint8_plan_arena_size(c->e.plan),
         qint8_plan_weight_size(c->e.plan));
}

static void put_json(json *out, const char *key, const contestant *c) {
  json_open(out, key, '{');
  json_text(out, "model", c->path);
  json_integer(out, "batch", c->e.batch);
  json_text(out, "isa", qint8_plan_isa(c->e.plan));
  json_integer(out, "runs", c->runs);
  json_number(out, "load_ms", c->load_ms);
  json_number(out, "ms_min", percentile(c, 0));
  json_number(out, "ms_median", percentile(c, 0.5));
  json_number(out, "ms_p90", percentile(c, 0.9));
  json_number(out, "ms_p99", percentile(c, 0.99));
  json_number(out, "gops", gops(c));
  json_integer(out, "macs", qint8_plan_macs(c->e.plan));
  json_integer(out, "arena_bytes", (long long)qint8_plan_arena_size(c->e.plan));
  json_integer(out, "weight_bytes", (long long)qint8_plan_weight_size(c->e.plan));
}

/* The shortest time of every step over a few profiled runs: steps are short, and whatever interrupts one makes it
 * longer. */
static double *profile(contestant *c) {
  enum { RUNS = 31 };
  size_t steps = qint8_plan_step_count(c->e.plan);
  double *shortest = allocate(steps + 1, sizeof *shortest);
  qint8_session_profile(c->e.session, 1, NULL);
  for (int r = 0; r < RUNS; r++) {
    engine_run(&c->e, c->inputs.inputs, c->inputs.count, c->output);
    for (size_t i = 0; i < steps; i++) {
      double us = qint8_session_step_microseconds(c->e.session, i);
      shortest[i] = r && shortest[i] < us ? shortest[i] : us;
    }
  }
  qint8_session_profile(c->e.session, 0, NULL);
  return shortest;
}

/* Multiply-accumulates per microsecond of a large int8 product: what a step with enough work could reach. 0 if it cannot
 * be had. */
static double product_rate(const char *isa) {
  enum { M = 252, N = 768, K = 768, RUNS = 15 };
  int8_t *weights = allocate(N, K);
  uint8_t *x = allocate(M, K), *y = allocate(M, N);
  for (int i = 0; i < N * K; i++)
    weights[i] = (int8_t)(i % 255 - 127);
  float scale = 1e-4f;
  qint8_gemm_desc desc = {.struct_size = sizeof desc, .n = N, .k = K, .weights = weights, .w_scale = &scale,
                          .w_scale_count = 1, .isa = isa};
  desc.x = desc.y = (qint8_qparams){sizeof desc.x, QINT8_DTYPE_U8, 1.0f, 128};
  qint8_operator *op = NULL;
  size_t size = 0;
  double shortest = INFINITY;
  if (qint8_gemm_create(&desc, NULL, &op, NULL) == QINT8_OK &&
      qint8_operator_scratch_size(op, M, 1, 1, &size, NULL) == QINT8_OK) {
    char *memory = allocate(size + 64, 1), *scratch = memory + (64 - (uintptr_t)memory % 64) % 64;
    for (int r = 0; r < RUNS; r++) {
      double start = now_seconds();
      if (qint8_operator_run(op, M, 1, 1, x, y, scratch, size, NULL) != QINT8_OK)
        break;
      double us = (now_seconds() - start) * 1e6;
      shortest = us < shortest ? us : shortest;
    }
    free(memory);
  }
  qint8_operator_destroy(op);
  free(weights);
  free(x);
  free(y);
  return isfinite(shortest) ? (double)M * N * K / shortest : 0;
}

static void print_plan(contestant *c, const char *isa) {
  double *us = profile(c), total = 0, longest = 0, peak = product_rate(isa);
  size_t steps = qint8_plan_step_count(c->e.plan);
  for (size_t i = 0; i < steps; i++) {
    total += us[i];
    longest = us[i] > longest ? us[i] : longest;
  }
  printf("\n%4s %-16s %-8s %-22s %-20s %12s %10s %9s %6s %6s\n", "step", "kind", "type", "kernel", "output", "MACs",
         "bytes", "us", "share", "rate");
  for (size_t i = 0; i < steps; i++) {
    qint8_step_info s = QINT8_STEP_INFO_INIT;
    char shape[64] = "", rate[16] = "";
    qint8_plan_step(c->e.plan, i, &s);
    for (int d = 0; d < s.output_rank; d++)
      snprintf(shape + strlen(shape), sizeof shape - strlen(shape), "%s%lld", d ? "x" : "", (long long)s.output_shape[d]);
    if (s.macs && peak > 0 && strcmp(s.precision, "fp32"))
      snprintf(rate, sizeof rate, "%.0f%%", 100 * (double)s.macs / us[i] / peak);
    int several = strlen(s.kernel) > 22; /* of steps that run together */
    printf("%4zu %-16s %-8s %-22s %-20s %12lld %10lld %9.2f %5.1f%% %6s %-16.*s %s%s%s%s%s\n", i, s.kind, s.precision,
           several ? "in bands" : s.kernel, shape, (long long)s.macs, (long long)s.bytes, us[i], 100 * us[i] / total, rate,
           longest > 0 ? (int)(16 * us[i] / longest) : 0, "################", s.name, s.note[0] ? "  " : "", s.note,
           several ? "  " : "", several ? s.kernel : "");
  }
  printf("%90s %20.2f us\n", "total", total);
  if (peak > 0)
    printf("rate: per cent of an int8 product of 252x768x768 in this run, %.0f GOPS; steps: shortest of 31 runs\n",
           2e-3 * peak);
  free(us);
}

static void put_plan(json *out, contestant *c) {
  double *us = profile(c);
  json_open(out, "steps", '[');
  for (size_t i = 0; i < qint8_plan_step_count(c->e.plan); i++) {
    qint8_step_info s = QINT8_STEP_INFO_INIT;
    qint8_plan_step(c->e.plan, i, &s);
    json_open(out, NULL, '{');
    json_text(out, "name", s.name);
    json_text(out, "kind", s.kind);
    json_text(out, "precision", s.precision);
    json_text(out, "kernel", s.kernel);
    json_text(out, "note", s.note);
    json_integer(out, "macs", s.macs);
    json_integer(out, "bytes", s.bytes);
    json_number(out, "us", us[i]);
    json_close(out, '}');
  }
  json_close(out, ']');
  free(us);
}

static void print_result(job *j) {
  double ratio = j->other.path ? percentile(&j->other, 0.5) / percentile(&j->one, 0.5) : NAN;
  if (!j->as_json) {
    print_text(&j->one);
    if (j->other.path) {
      print_text(&j->other);
      printf("  %s is %.2f times as fast as %s (medians, interleaved)\n", j->one.path, ratio, j->other.path);
    }
    if (j->with_plan)
      print_plan(&j->one, j->isa);
    return;
  }
  json out;
  json_begin(&out, stdout);
  put_json(&out, NULL, &j->one);
  if (j->other.path) {
    put_json(&out, "compared_with", &j->other);
    json_close(&out, '}');
    json_number(&out, "times_as_fast", ratio);
  }
  json_integer(&out, "peak_process_bytes", peak_memory());
  if (j->with_plan)
    put_plan(&out, &j->one);
  json_close(&out, '}');
  json_end(&out);
}

int command_bench(int argc, char **argv) {
  job j = {.batch = 1, .threads = 1, .seconds = 1.0};
  const char *words[1];
  const option options[] = {
      {"--batch", "N", "samples per run (1)", OPTION_INT, &j.batch},
      {"--length", "N", "free dimensions but the first: heights, widths, lengths (1)", OPTION_INT, &j.length},
      {"--threads", "N", "threads (1)", OPTION_INT, &j.threads},
      {"--isa", "NAME", "scalar, avx2, avxvnni, avx512vnni, neon, ...", OPTION_TEXT, &j.isa},
      {"--compare", "OTHER.onnx", "run both in turn and print the ratio of medians", OPTION_TEXT, &j.other.path},
      {"--seconds", "S", "how long (1)", OPTION_ABOVE_ZERO, &j.seconds},
      {"--runs", "N", "how many runs, instead of --seconds", OPTION_INT, &j.runs},
      {"--plan", NULL, "the steps: kernel, precision, shape, MACs, bytes, microseconds", OPTION_FLAG, &j.with_plan},
      {"--json", NULL, "one JSON object on stdout", OPTION_FLAG, &j.as_json}};
  const command_line line = {
      "qint8 bench MODEL [--batch N] [--length N] [--threads N] [--isa NAME] [--compare OTHER.onnx] [--plan] [--json]",
      "Times the model on random inputs, after three warm-up runs. Compare models with --compare, never by two\n"
      "calls: machines drift.\n\n"
      "example: qint8 bench net8.onnx --compare net.onnx --plan",
      options, COUNT(options), 1, 1};
  int stop = parse_options(&line, argc, argv, words);
  if (stop)
    return stop - 1;
  j.one.path = words[0];
  if (j.runs > MAX_RUNS)
    j.runs = MAX_RUNS;
  qint8_host host;
  thread_pool *pool;
  host_open(&host, j.threads, &pool);
  int status = open_contestant(&j.one, &j, &host);
  if (!status && j.other.path)
    status = open_contestant(&j.other, &j, &host);
  if (!status)
    status = measure(&j);
  if (!status)
    print_result(&j);
  close_contestant(&j.one);
  close_contestant(&j.other);
  host_close(pool);
  return status;
}
