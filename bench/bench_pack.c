/* Packing of int8 weights as files hold them, in GB of weights per second: into memory that was used before, and with
 * memory from the system, whose page faults loading pays once. */
#include "base/cpu.h"
#include "bench.h"
#include "shapes.h"

/* An allocator that gives the same memory again. */
typedef struct block {
  uint8_t *memory;
  size_t size, used;
} block;

static void *take(void *user, size_t size, size_t alignment) {
  block *b = user;
  size_t at = q8_round_up(b->used, alignment);
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
  q8_host host;
  block *again; /* behind the host, or NULL */
  const char *kernel;
} job;

static void run(void *context, size_t count) {
  job *j = context;
  for (size_t i = 0; i < count; i++) {
    q8_pool pool;
    q8_conv conv;
    if (j->again)
      j->again->used = 0;
    q8_pool_init(&pool, &j->host);
    if (q8_conv_pack_onnx(&j->kernels, j->g, j->w, 1, &pool, &conv, NULL) != QINT8_OK)
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
  b.memory = aligned_alloc(Q8_ALIGN, q8_round_up(b.size, Q8_ALIGN));
  if (!w || !b.memory)
    exit(1);
  for (size_t i = 0; i < count; i++)
    w[i] = (int8_t)(i * 2654435761u % 255 - 127);
  q8_kernels_select(isa->needs, &warm.kernels);
  warm.w = w;
  job fresh = warm;
  qint8_host host = QINT8_HOST_INIT;
  q8_host_init(&fresh.host, NULL, NULL);
  host.user = warm.again = &b;
  host.allocate = take;
  host.release = leave;
  q8_host_init(&warm.host, &host, NULL);
  bench_task tasks[2] = {{run, &warm, 0, 0}, {run, &fresh, 0, 0}};
  bench_measure(tasks, 2, options->seconds);
  double gb = 1e-9 * (double)count;
  printf(options->csv ? "%s,%s,%s,%zu,%.4g,%.4g\n" : "%-22s %-11s %-26s %9zu bytes %6.2f GB/s %6.2f GB/s fresh\n", s->name,
         isa->name, warm.kernel, count, gb / tasks[0].best, gb / tasks[1].best);
  fflush(stdout);
  free(w);
  free(b.memory);
}

int main(int argc, char **argv) {
  bench_options options = bench_parse(argc, argv);
  if (options.csv)
    printf("shape,isa,kernel,bytes,gb_per_second,gb_per_second_fresh\n");
  for (size_t i = 0; i < q8_isa_count; i++) {
    const q8_isa *isa = q8_isa_list[i];
    if (!isa->gemm || (isa->needs & ~q8_cpu_detect()) || (options.isa && strcmp(options.isa, isa->name)))
      continue;
    for (size_t s = 0; s < SHAPE_COUNT; s++)
      if (!options.only || strstr(shapes[s].name, options.only))
        report(&options, isa, &shapes[s]);
  }
  return 0;
}
