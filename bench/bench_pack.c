/* Packing of int8 weights as files hold them, in GB of weights per second: into memory that was used before, and with
 * memory from the system, whose page faults loading pays once. And whole models, whose names (*.onnx) follow the options:
 * reading the file, and compiling, of which packing is the most. */
#include "base/cpu.h"
#include "bench.h"
#include "qint8.h"
#include "shapes.h"

/* An allocator that gives the same memory again. */
typedef struct block {
  uint8_t *memory;
  size_t size, used;
} block;

static void *take(void *user, size_t size, size_t alignment) {
  block *b = user;
  size_t at = (b->used + alignment - 1) & ~(alignment - 1);
  if (at + size > b->size)
    return NULL;
  b->used = at + size;
  return b->memory + at;
}

static void leave(void *user, void *memory) {
  (void)user, (void)memory;
}

typedef struct job {
  const q8_conv_geometry *g;
  q8_kernels kernels;
  const int8_t *w;
  q8_pool empty;
  block *again; /* behind the pool's host, or NULL */
  const char *kernel;
} job;

static void run(void *context, size_t count) {
  job *j = context;
  for (size_t i = 0; i < count; i++) {
    q8_pool pool = j->empty;
    q8_conv conv;
    if (j->again)
      j->again->used = 0;
    if (q8_conv_pack_mapped(&j->kernels, j->g, j->w, NULL, 1, &pool, &conv, NULL) != QINT8_OK)
      exit(1);
    j->kernel = conv.kernel_name;
    q8_pool_destroy(&pool);
  }
}

static void report(const bench_options *options, const q8_isa *isa, const shape *s) {
  const q8_conv_geometry *g = &s->g;
  size_t count = g->k * g->r * g->s * (g->c / g->groups);
  job warm = {.g = g};
  block b = {.size = 4 * count + ((size_t)1 << 20)};
  int8_t *w = malloc(count);
  job fresh = warm;
  qint8_host host = QINT8_HOST_INIT;
  q8_host_init(&fresh.empty.host, NULL, NULL);
  b.memory = q8_alloc(&fresh.empty.host, b.size, 1);
  if (!w || !b.memory)
    exit(1);
  for (size_t i = 0; i < count; i++)
    w[i] = (int8_t)(i * 2654435761u % 255 - 127);
  q8_kernels_select(isa->needs, &warm.kernels);
  warm.w = w;
  fresh.kernels = warm.kernels;
  fresh.w = w;
  host.user = warm.again = &b;
  host.allocate = take;
  host.release = leave;
  q8_host_init(&warm.empty.host, &host, NULL);
  bench_task tasks[2] = {{run, &warm, 0, 0}, {run, &fresh, 0, 0}};
  bench_measure(tasks, 2, options->seconds);
  double gb = 1e-9 * (double)count;
  printf(options->csv ? "%s,%s,%s,%zu,%.4g,%.4g\n" : "%-22s %-11s %-26s %9zu bytes %6.2f GB/s %6.2f GB/s fresh\n", s->name,
         isa->name, warm.kernel, count, gb / tasks[0].best, gb / tasks[1].best);
  fflush(stdout);
  free(w);
  q8_free(&fresh.empty.host, b.memory);
}

typedef struct compiled {
  const char *path, *isa;
  qint8_model *model;
  qint8_recipe *recipe;
  size_t weights; /* bytes */
} compiled;

static void check(qint8_status status, const char *path, const qint8_error *error) {
  if (status == QINT8_OK)
    return;
  fprintf(stderr, "%s: %s\n", path, error->message);
  exit(1);
}

static void load(void *context, size_t count) {
  compiled *c = context;
  qint8_error error = QINT8_ERROR_INIT;
  for (size_t i = 0; i < count; i++) {
    qint8_recipe_destroy(c->recipe);
    qint8_model_destroy(c->model);
    c->model = NULL;
    c->recipe = NULL;
    check(qint8_model_load_file(c->path, NULL, &c->model, &error), c->path, &error);
    check(qint8_model_recipe(c->model, &c->recipe, &error), c->path, &error);
  }
}

static void compile(void *context, size_t count) {
  compiled *c = context;
  qint8_plan_options options = QINT8_PLAN_OPTIONS_INIT;
  qint8_error error = QINT8_ERROR_INIT;
  options.isa = c->isa;
  for (size_t i = 0; i < count; i++) {
    qint8_plan *plan;
    check(qint8_plan_create(c->model, c->recipe, &options, NULL, &plan, &error), c->path, &error);
    c->weights = qint8_plan_weight_size(plan);
    qint8_plan_destroy(plan);
  }
}

static void report_model(const bench_options *options, const q8_isa *isa, const char *path) {
  compiled c = {.path = path, .isa = isa->name};
  bench_task tasks[2] = {{load, &c, 0, 0}, {compile, &c, 0, 0}};
  const char *name = strrchr(path, '/');
  bench_measure(tasks, 2, 10 * options->seconds);
  name = name ? name + 1 : path;
  const double compile_gb = 1e-9 * (double)c.weights / tasks[1].best;
  printf(options->csv ? "%s,%s,load and compile,%zu,%.4g,%.4g\n"
                      : "%-34s %-11s %10zu bytes packed, compiled at %.2f GB/s in %.3f ms, read in %.3f ms\n",
         name, isa->name, c.weights, compile_gb, options->csv ? compile_gb : 1e3 * tasks[1].best, 1e3 * tasks[0].best);
  fflush(stdout);
  qint8_recipe_destroy(c.recipe);
  qint8_model_destroy(c.model);
}

static int is_model(const char *name) {
  const size_t length = strlen(name);
  return length > 5 && strcmp(name + length - 5, ".onnx") == 0;
}

int main(int argc, char **argv) {
  int end = argc;
  while (end > 1 && is_model(argv[end - 1]))
    end--;
  const bench_options options = bench_parse(end, argv);
  if (options.csv)
    printf("shape,isa,kernel,bytes,gb_per_second,gb_per_second_fresh\n");
  for (size_t i = 0; i < q8_isa_count; i++) {
    const q8_isa *isa = q8_isa_list[i];
    if (!isa->gemm || (isa->needs & ~q8_cpu_detect()) || (options.isa && strcmp(options.isa, isa->name)))
      continue;
    for (size_t s = 0; s < SHAPE_COUNT; s++)
      if (!options.only || strstr(shapes[s].name, options.only))
        report(&options, isa, &shapes[s]);
    for (int m = end; m < argc; m++)
      report_model(&options, isa, argv[m]);
  }
  return 0;
}
