/* bench_kernels - every record of every ISA on operands in the first-level cache, checked before it is timed.
 *
 *   bench_kernels [--csv] [--only TEXT] [--isa NAME] [--seconds S]
 *
 * One row per kernel and case. GEMM and convolution rates count two operations per multiply-add and are
 * compared with the core's own peak, measured in turn with the kernel (peak.h); the other families count
 * elements. The checks use integers small enough for fp32 to be exact, so results are compared byte for byte
 * in every family.
 */
#include <stdint.h>

#include "base/cpu.h"
#include "bench.h"
#include "peak.h"

enum { SIZE = 1 << 16, MAX_ROWS = 4096 };

static bench_options options;
static int wrong;

static _Alignas(64) uint8_t bytes_a[SIZE], bytes_b[SIZE], table[256];
static _Alignas(64) int8_t small[SIZE];
static _Alignas(64) float floats[SIZE], odd[SIZE], scales[SIZE];
static _Alignas(64) int32_t accs[SIZE];
static _Alignas(64) unsigned char panel[1 << 20], got[SIZE * 4], want[SIZE * 4];
static const void *pointers[MAX_ROWS];

/* The same numbers on every machine. */
static uint32_t random_bits(void) {
  static uint32_t state = 1;
  state = state * 1664525u + 1013904223u;
  return state >> 8;
}

static void fill(void) {
  for (size_t i = 0; i < 256; i++)
    table[i] = (uint8_t)(255 - i);
  for (size_t i = 0; i < SIZE; i++) {
    bytes_a[i] = (uint8_t)random_bits();
    bytes_b[i] = (uint8_t)random_bits();
    small[i] = (int8_t)((int)(random_bits() % 255) - 127);
    floats[i] = (float)random_bits() * 0x1p-20f - 8;
    odd[i] = (float)(2 * (int)(random_bits() % 8) - 7); /* never 0: products have no negative zeros */
    scales[i] = 0.001f + (float)(random_bits() % 100) * 1e-5f;
    accs[i] = (int32_t)(random_bits() % 200000) - 100000;
  }
}

typedef void any_fn(void);

typedef struct job {
  const q8_isa *isa;
  const char *name;
  q8_cpu_mask needs;
  char text[40]; /* the case */
  double work;   /* operations or elements per call */
  int fp32;      /* which peak to compare with, -1 for none */
  void (*call)(const struct job *job, void *y);
  const void *record; /* of the families with a record of their own */
  any_fn *fn;         /* of the families of one function */
  size_t taps, k, r, s, n;
} job;

static int selected(const q8_isa *isa, const char *name, q8_cpu_mask needs) {
  return !((isa->needs | needs) & ~q8_cpu_detect()) && (!options.isa || !strcmp(options.isa, isa->name)) &&
         (!options.only || strstr(name, options.only));
}

/* Of a family of one function. */
static void function_name(char name[64], const char *family, const q8_isa *isa) {
  snprintf(name, 64, "%s_%s", family, isa->name);
}

static void run_job(void *context, size_t count) {
  const job *j = context;
  while (count--)
    j->call(j, got);
}

static void run_peak(void *context, size_t count) {
  ((const peak *)context)->run(count);
}

/* `size` bytes of the result are expected in `want`. */
static void report(job *j, size_t size) {
  const peak *top = j->fp32 < 0 ? NULL : peak_find(j->isa->needs | j->needs, j->fp32);
  bench_task tasks[2] = {{run_job, j, 0, 0}, {run_peak, (void *)(uintptr_t)top, 0, 0}};
  memset(got, 0xA5, size);
  j->call(j, got);
  if (memcmp(got, want, size)) {
    fprintf(stderr, "%s %s: result differs from the reference\n", j->name, j->text);
    wrong = 1;
    return;
  }
  bench_measure(tasks, top ? 2 : 1, options.seconds);
  double rate = j->work / tasks[0].best * 1e-9;
  const char *unit = j->fp32 < 0 ? "Gelem/s" : "GOP/s";
  char percent[16] = "";
  if (top)
    snprintf(percent, sizeof percent, "%.1f", 100 * rate / (top->operations / tasks[1].best * 1e-9));
  if (options.csv)
    printf("%s,%s,%s,%.4g,%s,%s\n", j->name, j->isa->name, j->text, rate, unit, percent);
  else
    printf("%-28s %-11s %-24s %9.2f %-8s %6s%s\n", j->name, j->isa->name, j->text, rate, unit, percent,
           top ? " %" : "");
  fflush(stdout);
}

/* ---- GEMM
 * ----------------------------------------------------------------------------------------------------- */

static void call_gemm(const job *j, void *y) {
  const q8_gemm_kernel *g = j->record;
  g->run(j->taps, j->k, pointers, g->mr, panel, y);
}

static void gemm_job(const q8_isa *isa, const q8_gemm_kernel *g, size_t k) {
  static _Alignas(64) int16_t wide[SIZE];
  job j = {isa, g->name, g->needs, "", 0, 0, call_gemm, g, NULL, 1, k, 0, 0, 0};
  int32_t *sums = (int32_t *)(void *)want;
  for (size_t i = 0; i < g->mr * k; i++)
    wide[i] = (int16_t)(bytes_a[i] - g->a_shift);
  for (size_t i = 0; i < g->mr; i++)
    pointers[i] = g->a_bytes == 2 ? (const void *)(wide + i * k) : (const void *)(bytes_a + i * k);
  for (size_t i = 0; i < k * g->nr;
       i++) /* any order is a valid panel: it is read back through the same formula */
    if (g->b_bytes == 2)
      ((int16_t *)(void *)panel)[i] = small[i];
    else
      ((int8_t *)panel)[i] = small[i];
  for (size_t i = 0; i < g->mr; i++)
    for (size_t c = 0; c < g->nr; c++) {
      int32_t sum = 0;
      for (size_t kk = 0; kk < k; kk++)
        sum += wide[i * k + kk] * small[(kk / g->kr * g->nr + c) * g->kr + kk % g->kr];
      sums[i * g->nr + c] = sum;
    }
  j.work = 2.0 * g->mr * g->nr * (double)k;
  snprintf(j.text, sizeof j.text, "k=%zu", k);
  report(&j, (size_t)g->mr * g->nr * 4);
}

static void call_sgemm(const job *j, void *y) {
  const q8_sgemm_kernel *g = j->record;
  g->run(j->taps, j->k, pointers, g->mr, (const float *)(const void *)panel, floats, -100, 1e30f, g->mr, g->nr, y, g->nr);
}

static void sgemm_job(const q8_isa *isa, const q8_sgemm_kernel *g, size_t k) {
  job j = {isa, g->name, g->needs, "", 0, 1, call_sgemm, g, NULL, 1, k, 0, 0, 0};
  float *sums = (float *)(void *)want;
  memcpy(panel, odd, k * g->nr * sizeof *odd);
  for (size_t i = 0; i < g->mr; i++)
    pointers[i] = odd + i * k;
  for (size_t i = 0; i < g->mr; i++)
    for (size_t c = 0; c < g->nr; c++) {
      float sum = 0;
      for (size_t kk = 0; kk < k; kk++)
        sum += odd[i * k + kk] * odd[kk * g->nr + c];
      sum += floats[c];
      sums[i * g->nr + c] = sum < -100 ? -100 : sum;
    }
  j.work = 2.0 * g->mr * g->nr * (double)k;
  snprintf(j.text, sizeof j.text, "k=%zu", k);
  report(&j, (size_t)g->mr * g->nr * 4);
}

static void gemms(void) {
  static const size_t depths[] = {16, 64, 256};
  for (size_t i = 0; i < q8_isa_count; i++) {
    for (const q8_gemm_kernel *g = q8_isa_list[i]->gemm; g && g->name; g++)
      for (size_t d = 0; d < 3 && selected(q8_isa_list[i], g->name, g->needs); d++)
        gemm_job(q8_isa_list[i], g, depths[d]);
    for (const q8_sgemm_kernel *g = q8_isa_list[i]->sgemm; g && g->name; g++)
      for (size_t d = 0; d < 3 && selected(q8_isa_list[i], g->name, g->needs); d++)
        sgemm_job(q8_isa_list[i], g, depths[d]);
  }
}

/* ---- Depthwise
 * ------------------------------------------------------------------------------------------------ */

enum { PIXELS = 14 };

static q8_requant requant_parameters(void) {
  return (q8_requant){accs, scales, 128, 0, 255};
}

static q8_dwconv_shape shape_of(const job *j) {
  return (q8_dwconv_shape){j->n, j->r, j->s, PIXELS, 1, 1, 0};
}

static void call_dwconv(const job *j, void *y) {
  const q8_dwconv_kernel *kernel = j->record;
  q8_dwconv_shape shape = shape_of(j);
  q8_requant rq = requant_parameters();
  kernel->run(&shape, panel, &rq, (const uint8_t *const *)pointers, y, j->n);
}

/* Both rows of a pair. */
static void call_pair(const job *j, void *y) {
  const q8_dwconv_kernel *kernel = j->record;
  q8_dwconv_shape shape = shape_of(j);
  q8_requant rq = requant_parameters();
  kernel->run_pair(&shape, panel, &rq, (const uint8_t *const *)pointers, y, j->n, PIXELS * j->n);
}

static void call_sums(const job *j, void *y) {
  const q8_dwconv_kernel *kernel = j->record;
  q8_dwconv_shape shape = shape_of(j);
  kernel->run_sums(&shape, panel, (const uint8_t *const *)pointers, y, j->n);
}

/* The scalar kernel takes A as it is; a kernel that subtracts a shift first gets the same sums through the
 * bias. */
static void expect_dwconv(const job *j, uint8_t *y) {
  const q8_dwconv_kernel *kernel = j->record, *scalar = q8_isa_find("scalar")->dwconv;
  q8_dwconv_shape shape = shape_of(j);
  static int32_t bias[SIZE];
  for (size_t c = 0; c < j->n; c++) {
    bias[c] = accs[c];
    for (size_t t = 0; t < j->r * j->s; t++)
      bias[c] -= (kernel->a_shift - scalar->a_shift) * small[t * j->n + c];
  }
  q8_requant rq = requant_parameters();
  rq.bias = bias;
  scalar->pack(j->n, j->r, j->s, small, panel);
  scalar->run(&shape, panel, &rq, (const uint8_t *const *)pointers, y, j->n);
}

static void expect_sums(const job *j) {
  const q8_dwconv_kernel *kernel = j->record;
  q8_dwconv_shape shape = shape_of(j);
  int32_t *y = (int32_t *)(void *)want;
  const q8_dwconv_kernel *scalar = q8_isa_find("scalar")->dwconv;
  scalar->pack(j->n, j->r, j->s, small, panel);
  scalar->run_sums(&shape, panel, (const uint8_t *const *)pointers, y, j->n);
  for (size_t x = 0; x < PIXELS; x++)
    for (size_t c = 0; c < j->n; c++)
      for (size_t t = 0; t < j->r * j->s; t++)
        y[x * j->n + c] -= kernel->a_shift * small[t * j->n + c];
}

/* Pointers to `rows` rows of every column. */
static void point_at_columns(size_t columns, size_t rows, size_t channels) {
  for (size_t i = 0; i < columns * rows; i++)
    pointers[i] = bytes_a + i * channels;
}

static void dwconv_job(const q8_isa *isa, const q8_dwconv_kernel *kernel, size_t size, size_t channels) {
  const size_t columns = PIXELS + size - 1;
  job j = {isa,    kernel->name, kernel->needs, "", 0,    0,    call_dwconv,
           kernel, NULL,         size * size,   0,  size, size, channels};
  point_at_columns(columns, size, channels);
  expect_dwconv(&j, want);
  kernel->pack(channels, size, size, small, panel);
  j.work = 2.0 * PIXELS * (double)(size * size * channels);
  snprintf(j.text, sizeof j.text, "%zux%zu c=%zu", size, size, channels);
  report(&j, PIXELS * channels);
  expect_sums(&j);
  kernel->pack(channels, size, size, small, panel);
  snprintf(j.text, sizeof j.text, "%zux%zu c=%zu sums", size, size, channels);
  j.call = call_sums;
  report(&j, PIXELS * channels * sizeof(int32_t));
  if (!kernel->run_pair)
    return;
  for (size_t row = 0; row < 2; row++) {
    for (size_t i = 0; i < columns * size; i++)
      pointers[i] = bytes_a + (i / size * (size + 1) + i % size + row) * channels;
    expect_dwconv(&j, want + row * PIXELS * channels);
  }
  point_at_columns(columns, size + 1, channels);
  kernel->pack(channels, size, size, small, panel);
  snprintf(j.text, sizeof j.text, "%zux%zu c=%zu pair", size, size, channels);
  j.call = call_pair, j.work *= 2;
  report(&j, 2 * PIXELS * channels);
}

static void call_sdwconv(const job *j, void *y) {
  q8_dwconv_shape shape = shape_of(j);
  ((q8_sdwconv_fn *)j->fn)(&shape, odd, odd, -1e30f, 1e30f, (const float *const *)pointers, y, j->n);
}

static void sdwconv_job(const q8_isa *isa, const char *name, size_t size, size_t channels) {
  job j = {isa, name, 0, "", 0, 1, call_sdwconv, NULL, NULL, size * size, 0, size, size, channels};
  for (size_t i = 0; i < (PIXELS + size - 1) * size; i++)
    pointers[i] = odd + i * channels;
  j.fn = (any_fn *)q8_isa_find("scalar")->sdwconv;
  call_sdwconv(&j, want);
  j.fn = (any_fn *)isa->sdwconv;
  j.work = 2.0 * PIXELS * (double)(size * size * channels);
  snprintf(j.text, sizeof j.text, "%zux%zu c=%zu", size, size, channels);
  report(&j, PIXELS * channels * sizeof(float));
}

static void dwconvs(void) {
  static const size_t sizes[] = {3, 5, 7};
  for (size_t i = 0; i < q8_isa_count; i++) {
    const q8_isa *isa = q8_isa_list[i];
    for (const q8_dwconv_kernel *d = isa->dwconv; d && d->name; d++)
      for (size_t s = 0; s < 3 && selected(isa, d->name, d->needs); s++)
        if (d->r == 0 || (d->r == sizes[s] && d->s == sizes[s]))
          dwconv_job(isa, d, sizes[s], 64);
    char name[64];
    function_name(name, "sdwconv", isa);
    for (size_t s = 0; s < 3 && isa->sdwconv && selected(isa, name, 0); s++)
      sdwconv_job(isa, name, sizes[s], 64);
  }
}

/* ---- Families of one function on rows
 * ------------------------------------------------------------------------- */

enum { ROWS = 32, COLS = 64, COUNT = ROWS * COLS, TAPS = 9 };

static void call_requant(const job *j, void *y) {
  q8_requant rq = requant_parameters();
  ((q8_requant_fn *)j->fn)(ROWS, COLS, accs, COLS, &rq, y, COLS);
}
static void call_dequant_acc(const job *j, void *y) {
  const float row_scale = 0.01f;
  q8_dequant dq = {accs, scales, floats, -100, 100, accs, 128, &row_scale, 0};
  ((q8_dequant_acc_fn *)j->fn)(ROWS, COLS, accs, COLS, &dq, y, COLS);
}
static void call_quantize(const job *j, void *y) {
  ((q8_quantize_fn *)j->fn)(COUNT, floats, 0.05f, 128, 0, y);
}
static void call_dequantize(const job *j, void *y) {
  ((q8_dequantize_fn *)j->fn)(COUNT, bytes_a, 0.05f, 128, 0, y);
}
static void call_minmax(const job *j, void *y) {
  ((q8_minmax_fn *)j->fn)(COUNT, floats, y, (float *)y + 1);
}
static void call_minmax_rows(const job *j, void *y) {
  ((q8_minmax_rows_fn *)j->fn)(ROWS, COLS, floats, y);
}
static void call_widen(const job *j, void *y) {
  ((q8_widen_fn *)j->fn)(COUNT, bytes_a, y);
}
static void call_table(const job *j, void *y) {
  ((q8_table_fn *)j->fn)(COUNT, bytes_a, table, y);
}
static void call_binary(const job *j, void *y) {
  q8_binary p = {0.02f, 0.03f, 0.04f, 120, 130, 128, 0, 255, NULL};
  ((q8_binary_fn *)j->fn)(ROWS, COLS, bytes_a, COLS, bytes_b, COLS, &p, y, COLS);
}
static void call_max_rows(const job *j, void *y) {
  for (size_t t = 0; t < TAPS; t++)
    pointers[t] = bytes_a + t * COLS;
  ((q8_max_rows_fn *)j->fn)(TAPS, COLS, (const uint8_t *const *)pointers, y);
}
static void call_sum_rows(const job *j, void *y) {
  ((q8_sum_rows_fn *)j->fn)(ROWS, COLS, bytes_a, COLS, y);
}
static void call_transpose8(const job *j, void *y) {
  ((q8_transpose_fn *)j->fn)(ROWS, COLS, bytes_a, COLS, y, ROWS);
}
static void call_transpose32(const job *j, void *y) {
  ((q8_transpose_fn *)j->fn)(ROWS, COLS, accs, COLS, y, ROWS);
}
static q8_sunary unary = {Q8_SUNARY_NONE, 0.2f, 0.5f};
static void call_sunary(const job *j, void *y) {
  ((q8_sunary_fn *)j->fn)(COUNT, &unary, floats, y);
}
static void call_sbinary(const job *j, void *y) {
  ((q8_sbinary_fn *)j->fn)(ROWS, COLS, floats, COLS, odd, COLS, y, COLS);
}
static void call_sbinary_row(const job *j, void *y) {
  ((q8_sbinary_fn *)j->fn)(ROWS, COLS, floats, COLS, odd, 0, y, COLS);
}
static void call_ssum_rows(const job *j, void *y) {
  ((q8_ssum_rows_fn *)j->fn)(ROWS, COLS, floats, COLS, y);
}

/* Work is counted in elements read; `size` bytes come out. */
static void row_job(const q8_isa *isa, const char *name, any_fn *fn, any_fn *scalar, void (*call)(const job *, void *), const char *text, size_t work, size_t size) {
  job j = {isa, name, 0, "", (double)work, -1, call, NULL, scalar, 0, 0, 0, 0, 0};
  snprintf(j.text, sizeof j.text, "%s", text);
  call(&j, want);
  j.fn = fn;
  report(&j, size);
}

#define FAMILY(family, call, text, work, size)                                                               \
  do {                                                                                                       \
    for (size_t i = 0; i < q8_isa_count; i++) {                                                              \
      const q8_isa *isa = q8_isa_list[i];                                                                    \
      char name[64];                                                                                         \
      function_name(name, #family, isa);                                                                     \
      if (isa->family && selected(isa, name, 0))                                                             \
        row_job(isa, name, (any_fn *)isa->family, (any_fn *)q8_isa_find("scalar")->family, call, text, work, \
                size);                                                                                       \
    }                                                                                                        \
  } while (0)

/* Rows of floats: the same operations on every ISA, so the same bytes. */
static void float_rows(void) {
  static const char *const names[] = {"", "hard_sigmoid", "hard_swish", "sigmoid", "silu", "tanh", "erf", "gelu", "gelu_tanh", "exp"};
  for (size_t f = Q8_SUNARY_HARD_SIGMOID; f <= Q8_SUNARY_EXP; f++) {
    unary.function = (q8_sunary_function)f;
    FAMILY(sunary, call_sunary, names[f], COUNT, COUNT * 4);
  }
  FAMILY(sadd, call_sbinary, "32x64", COUNT, COUNT * 4);
  FAMILY(smul, call_sbinary, "32x64", COUNT, COUNT * 4);
  FAMILY(smul, call_sbinary_row, "32x64 by a row", COUNT, COUNT * 4);
  FAMILY(ssum_rows, call_ssum_rows, "32x64", COUNT, COLS * 4);
}

static void rows(void) {
  FAMILY(requant, call_requant, "32x64", COUNT, COUNT);
  FAMILY(dequant_acc, call_dequant_acc, "32x64", COUNT, COUNT * 4);
  FAMILY(quantize, call_quantize, "n=2048", COUNT, COUNT);
  FAMILY(dequantize, call_dequantize, "n=2048", COUNT, COUNT * 4);
  FAMILY(minmax, call_minmax, "n=2048", COUNT, 8);
  FAMILY(minmax_rows, call_minmax_rows, "32x64", COUNT, ROWS * 8);
  FAMILY(table, call_table, "n=2048", COUNT, COUNT);
  FAMILY(widen, call_widen, "n=2048", COUNT, 2 * COUNT);
  FAMILY(add, call_binary, "32x64", COUNT, COUNT);
  FAMILY(mul, call_binary, "32x64", COUNT, COUNT);
  FAMILY(max_rows, call_max_rows, "taps=9 n=64", TAPS * COLS, COLS);
  FAMILY(sum_rows, call_sum_rows, "taps=32 n=64", COUNT, COLS * 4);
  FAMILY(transpose8, call_transpose8, "32x64", COUNT, COUNT);
  FAMILY(transpose32, call_transpose32, "32x64", COUNT, COUNT * 4);
}

/* ---- The core's own rates
 * ------------------------------------------------------------------------------------- */

static void report_peaks(void) {
  for (size_t i = 0; i < sizeof peaks / sizeof *peaks; i++) {
    if (!peaks[i].run || (peaks[i].needs & ~q8_cpu_detect()) || options.only)
      continue;
    bench_task task = {run_peak, (void *)(uintptr_t)&peaks[i], 0, 0};
    bench_measure(&task, 1, options.seconds);
    const double rate = peaks[i].operations / task.best * 1e-9;
    const char *unit = peaks[i].kind == PEAK_REQUANT ? "Gelem/s" : "GOP/s";
    if (options.csv)
      printf("peak,,%s,%.4g,%s,100\n", peaks[i].name, rate, unit);
    else
      printf("%-28s %-11s %-24s %9.2f %s\n", "peak", "", peaks[i].name, rate, unit);
  }
}

int main(int argc, char **argv) {
  options = bench_parse(argc, argv);
  fill();
  if (options.csv)
    printf("kernel,isa,case,rate,unit,percent_of_peak\n");
  else
    printf("%-28s %-11s %-24s %9s %-8s %8s\n", "kernel", "isa", "case", "rate", "unit", "of peak");
  report_peaks();
  gemms();
  dwconvs();
  rows();
  float_rows();
  return wrong;
}
