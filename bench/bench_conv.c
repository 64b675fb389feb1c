/* Matrix products and convolutions of lib/nn with everything around the micro-kernels: pointers, padding,
 * requantization. Shapes of ResNet-50, MobileNet and transformers at batch 1, one thread, for every ISA of
 * this CPU.
 *
 * Beside the per cent of the peak stands what the row could reach at most: its multiplications at the peak and its outputs
 * requantized by the instructions of peak.h, on registers, one after the other as they share their ports; or its weights read
 * once from where they lie, if that takes longer. All rates are measured in turn with the row. */
#include "base/cpu.h"
#include "bench.h"
#include "peak.h"
#include "shapes.h"

typedef struct job {
  q8_conv conv;
  q8_kernels kernels;
  q8_host host;
  q8_epilogue epilogue;
  void *x, *y, *scratch;
} job;

static const int32_t zero_point = 128;

static volatile uint64_t read_sum; /* that compilers keep the reading */

static size_t weight_bytes(const job *j) {
  return j->conv.linear.groups * j->conv.linear.group_size;
}

static void run(void *context, size_t count) {
  const job *j = context;
  for (size_t i = 0; i < count; i++)
    q8_conv_run(&j->conv, &j->kernels, j->x, &zero_point, 0, &j->epilogue, j->y, j->scratch, &j->host);
}

static void run_peak(void *context, size_t count) {
  ((const peak *)context)->run(count);
}

/* Brings every line of the packed weights into the core. */
static void run_read(void *context, size_t count) {
  enum { LINE = 64 };
  const job *j = context;
  const uint8_t *end = j->conv.linear.weights + weight_bytes(j);
  uint64_t sum = 0;
  while (count--)
    for (const uint8_t *line = j->conv.linear.weights; line < end; line += LINE) {
      uint64_t word;
      memcpy(&word, line, sizeof word);
      sum += word;
    }
  read_sum = sum;
}

static void *array(q8_pool *pool, size_t count, size_t size) {
  void *memory = q8_pool_alloc(pool, count + 64, size);
  if (!memory)
    exit(1);
  return memory;
}

static void fill(uint8_t *out, size_t count) {
  for (size_t i = 0; i < count; i++)
    out[i] = (uint8_t)(i * 2654435761u >> 13);
}

static void set_up(job *j, const q8_conv_geometry *g, int fp32, q8_pool *pool) {
  size_t weights = g->k * g->r * g->s * (g->c / g->groups), element = fp32 ? 4 : 1;
  void *w = array(pool, weights, element);
  float *scale = array(pool, g->k, 4);
  int32_t *offset = array(pool, g->k, 4);
  j->x = array(pool, g->n * g->h * g->w * g->c, element);
  j->y = array(pool, g->n * g->p * g->q * g->k, element);
  if (!fp32) {
    fill(j->x, g->n * g->h * g->w * g->c);
    fill(w, weights);
  }
  for (size_t k = 0; k < g->k; k++)
    scale[k] = 1e-4f;
  q8_status status = fp32 ? q8_conv_pack_float(&j->kernels, g, w, pool, &j->conv, NULL)
                          : q8_conv_pack(&j->kernels, g, w, 1, pool, &j->conv, NULL);
  if (status != QINT8_OK)
    exit(1);
  if (!fp32)
    q8_conv_fold_bias(&j->conv, NULL, zero_point, offset);
  j->epilogue = (q8_epilogue){.kind = fp32 ? Q8_EPILOGUE_FLOAT : Q8_EPILOGUE_REQUANT, .bias = scale, .hi = 6};
  j->epilogue.requant = (q8_requant){offset, scale, 3, 0, 255};
  j->scratch = array(pool, q8_conv_scratch(&j->conv, 1), 1);
}

/* Of the peak, where outputs take their requantization too and weights are read once. */
static double most_percent(const shape *s, double multiply, double requant, double read) {
  const q8_conv_geometry *g = &s->g;
  const double work = multiply + requant * (double)(g->n * g->p * g->q * g->k);
  return 100 * multiply / (read > work ? read : work);
}

static void report(const bench_options *options, const q8_isa *isa, const shape *s, int fp32) {
  job j;
  q8_pool pool;
  q8_host_init(&j.host, NULL, NULL);
  q8_pool_init(&pool, &j.host);
  q8_kernels_select(isa->needs, &j.kernels);
  set_up(&j, &s->g, fp32, &pool);
  const peak *limit = peak_find(isa->needs, fp32), *requant = fp32 ? NULL : peak_find(isa->needs, PEAK_REQUANT);
  bench_task tasks[4] = {{run, &j, 0, 0}};
  bench_task *last = tasks, *peak_task = NULL, *requant_task = NULL, *read_task = NULL;
  if (limit && limit->run)
    *(peak_task = ++last) = (bench_task){run_peak, (void *)(uintptr_t)limit, 0, 0};
  if (requant && requant->run)
    *(requant_task = ++last) = (bench_task){run_peak, (void *)(uintptr_t)requant, 0, 0};
  if (weight_bytes(&j))
    *(read_task = ++last) = (bench_task){run_read, &j, 0, 0};
  bench_measure(tasks, (size_t)(last - tasks) + 1, options->seconds);
  const double operations = shape_operations(&s->g), gops = operations / tasks[0].best * 1e-9;
  double percent = 0, most = 0;
  if (peak_task) {
    const double multiply = operations / limit->operations * peak_task->best;
    percent = 100 * multiply / tasks[0].best;
    most = most_percent(s, multiply, requant_task ? requant_task->best / requant->operations : 0,
                        read_task ? read_task->best : 0);
  }
  if (options->csv)
    printf("%s,%s,%s,%s,%.4g,%.4g,%.3g,%.3g\n", s->name, isa->name, fp32 ? "fp32" : "int8", j.conv.kernel_name,
           tasks[0].best * 1e6, gops, percent, most);
  else
    printf("%-22s %-11s %-5s %-26s %10.1f us %8.1f GOP/s %5.1f%% of %5.1f%%\n", s->name, isa->name,
           fp32 ? "fp32" : "int8", j.conv.kernel_name, tasks[0].best * 1e6, gops, percent, most);
  fflush(stdout);
  q8_pool_destroy(&pool);
}

int main(int argc, char **argv) {
  bench_options options = bench_parse(argc, argv);
  if (options.csv)
    printf("shape,isa,precision,kernel,microseconds,gops,percent_of_peak,percent_at_most\n");
  for (size_t i = 0; i < q8_isa_count; i++) {
    const q8_isa *isa = q8_isa_list[i];
    if (!isa->gemm || (isa->needs & ~q8_cpu_detect()) || (options.isa && strcmp(options.isa, isa->name)))
      continue;
    for (int fp32 = 0; fp32 < 2; fp32++)
      for (size_t s = 0; s < SHAPE_COUNT; s++)
        if (!options.only || strstr(shapes[s].name, options.only))
          report(&options, isa, &shapes[s], fp32);
  }
  return 0;
}
