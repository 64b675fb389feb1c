/* The AVX-VNNI kernels, compiled here with the EVEX form of vpdpbusd, against the scalar ones: CPUs with
 * AVX512-VNNI and without AVX-VNNI run the same source. The two forms of the instruction compute the same. */
#include "test.h"

#if defined(__x86_64__)
#include <immintrin.h>
#include <string.h>

#include "kernel.h"

#define Q8_AVXVNNI_EVEX
#define q8_avxvnni_gemm evex_gemm
#define q8_avxvnni_dwconv evex_dwconv
#if defined(__clang__)
#pragma clang attribute push(                                                                                \
    __attribute__((target("avx2,fma,avx512f,avx512bw,avx512dq,avx512vl,avx512vnni"))), apply_to = function)
#else
#pragma GCC push_options
#pragma GCC target("avx2,fma,avx512f,avx512bw,avx512dq,avx512vl,avx512vnni")
#endif
#include "../../kernels/avxvnni/gemm.c"
#include "../../kernels/avxvnni/dwconv.c"
#if defined(__clang__)
#pragma clang attribute pop
#else
#pragma GCC pop_options
#endif

enum {
  MAX_K = 256,
  MAX_TAPS = 9,
  MAX_NR = 16,
  MAX_CHANNELS = 136,
  MAX_COLUMNS = 40,
  MAX_SIZE = 7,
  ROWS = 40
};

static uint8_t *rows[ROWS]; /* each ends at an unreadable page */

static void make_rows(size_t size) {
  for (size_t i = 0; i < ROWS; i++) {
    rows[i] = test_guard_alloc(size, 0);
    for (size_t c = 0; c < size; c++)
      rows[i][c] = (uint8_t)(i == 0 ? 255 : test_random());
  }
}

static void free_rows(size_t size) {
  for (size_t i = 0; i < ROWS; i++)
    test_guard_free(rows[i], size, 0);
}

static void gemm_case(const q8_gemm_kernel *g, size_t taps, size_t k) {
  static _Alignas(64) int8_t b[MAX_TAPS * MAX_K * MAX_NR];
  static _Alignas(64) int32_t acc[16 * MAX_NR];
  const void *a[MAX_TAPS * 16];
  make_rows(k);
  for (size_t i = 0; i < taps * g->mr; i++)
    a[i] = rows[test_random() % ROWS];
  for (size_t i = 0; i < taps * k * g->nr; i++)
    b[i] = (int8_t)(test_random() % 8 ? test_random() : 0x80);
  g->run(taps, k, a, g->mr, b, acc);
  for (size_t i = 0; i < g->mr; i++)
    for (size_t j = 0; j < g->nr; j++) {
      int32_t sum = 0;
      for (size_t t = 0; t < taps; t++)
        for (size_t e = 0; e < k; e++)
          sum += ((const uint8_t *)a[t * g->mr + i])[e] * b[t * k * g->nr + (e / 4 * g->nr + j) * 4 + e % 4];
      CHECK_MSG(acc[i * g->nr + j] == sum, "%s taps %zu k %zu at %zu %zu: %d, not %d", g->name, taps, k, i, j,
                acc[i * g->nr + j], sum);
    }
  free_rows(k);
}

/* The tiles of `count` rows as bytes, against the sums of each row requantized by the scalar kernel. */
static void gemm_u8_case(const q8_gemm_kernel *g, size_t k, size_t count, size_t columns) {
  static _Alignas(64) int8_t b[MAX_K * MAX_NR];
  static _Alignas(64) int32_t acc[16 * MAX_NR];
  static int32_t bias[64];
  static float scale[64];
  uint8_t got[ROWS * MAX_NR], want[MAX_NR];
  const void *a[ROWS];
  q8_requant rq = {bias, scale, test_random_int(0, 255), test_random_int(0, 60), test_random_int(60, 255)};
  q8_kernels scalar;
  q8_kernels_select(0, &scalar);
  make_rows(k);
  for (size_t i = 0; i < ROWS; i++)
    a[i] = rows[test_random() % ROWS];
  for (size_t i = 0; i < k * g->nr; i++)
    b[i] = (int8_t)test_random();
  for (size_t j = 0; j < 64; j++) {
    bias[j] = test_random_int(-30000, 30000);
    scale[j] = test_random_float(0.2f, 1.0f) / (64.0f * (float)k);
  }
  memset(got, 1, sizeof got);
  g->run_u8(1, k, a, ROWS, b, b, &rq, count, columns, got, MAX_NR);
  for (size_t i = 0; i < count; i++) {
    const void *same[16];
    for (size_t r = 0; r < g->mr; r++)
      same[r] = a[i];
    g->run(1, k, same, g->mr, b, acc);
    scalar.requant(1, columns, acc, g->nr, &rq, want, columns);
    CHECK_MSG(memcmp(got + i * MAX_NR, want, columns) == 0, "%s k %zu row %zu of %zu, %zu columns", g->name, k, i, count,
              columns);
  }
  for (size_t i = 0; i < ROWS * MAX_NR; i++)
    CHECK(got[i] == 1 || (i / MAX_NR < count && i % MAX_NR < columns));
  free_rows(k);
}

static void gemm(void) {
  for (const q8_gemm_kernel *g = evex_gemm; g->name; g++)
    for (size_t taps = 1; taps <= MAX_TAPS; taps += 4)
      for (size_t k = 4; k <= MAX_K; k += k < 32 ? 4 : 56)
        gemm_case(g, taps, k);
}

static void gemm_u8(void) {
  for (const q8_gemm_kernel *g = evex_gemm; g->name; g++)
    for (size_t count = 1; count <= ROWS - 6; count++)
      for (size_t k = 4; k <= 40; k += 12)
        gemm_u8_case(g, k, count, count % 3 ? g->nr : 1 + count % g->nr);
}

static void dwconv_case(const q8_dwconv_shape *p) {
  static int8_t w[MAX_SIZE * MAX_SIZE * MAX_CHANNELS];
  static _Alignas(64) int8_t packed[2][32 * 1024];
  static uint8_t y[2][MAX_COLUMNS * MAX_CHANNELS];
  static int32_t bias[MAX_CHANNELS + 64];
  static float scale[MAX_CHANNELS + 64];
  const uint8_t *cols[MAX_COLUMNS * MAX_SIZE];
  const q8_dwconv_kernel *scalar = q8_kernels_dwconv(0, p->r, p->s, -128);
  const size_t taps = p->r * p->s, size = p->q * p->channels;
  q8_requant rq = {bias, scale, test_random_int(0, 255), test_random_int(0, 60), test_random_int(60, 255)};
  make_rows(p->channels);
  for (size_t c = 0; c < p->channels; c++) {
    bias[c] = test_random_int(-30000, 30000);
    scale[c] = test_random_float(0.2f, 1.0f) / (64.0f * (float)taps);
  }
  for (size_t i = 0; i < taps * p->channels; i++)
    w[i] = (int8_t)test_random();
  for (size_t i = 0; i < ((p->q - 1) * p->col_step + (p->s - 1) * p->col_dilation + 1) * p->r; i++)
    cols[i] = (const uint8_t *)((uintptr_t)rows[test_random() % ROWS] - p->offset);
  CHECK(evex_dwconv->packed_size(p->channels, p->r, p->s) <= sizeof packed[0]);
  evex_dwconv->pack(p->channels, p->r, p->s, w, packed[0]);
  scalar->pack(p->channels, p->r, p->s, w, packed[1]);
  evex_dwconv->run(p, packed[0], &rq, cols, y[0], p->channels);
  scalar->run(p, packed[1], &rq, cols, y[1], p->channels);
  CHECK_MSG(memcmp(y[0], y[1], size) == 0, "%zux%zu channels %zu q %zu step %zu dilation %zu", p->r, p->s,
            p->channels, p->q, p->col_step, p->col_dilation);
  static int32_t sums[2][MAX_COLUMNS * MAX_CHANNELS];
  evex_dwconv->run_sums(p, packed[0], cols, sums[0], p->channels);
  scalar->run_sums(p, packed[1], cols, sums[1], p->channels);
  CHECK_MSG(memcmp(sums[0], sums[1], size * sizeof(int32_t)) == 0, "sums of %zux%zu channels %zu", p->r, p->s,
            p->channels);
  free_rows(p->channels);
}

static void depthwise(void) {
  for (size_t r = 1; r <= MAX_SIZE; r++)
    for (size_t s = 1; s <= MAX_SIZE; s++)
      for (size_t c = 1; c <= MAX_CHANNELS; c += r == s ? 1 + c % 3 : 13) {
        q8_dwconv_shape p = {c, r, s, 1 + test_random() % 9, 1 + test_random() % 3, 1 + test_random() % 2, test_random() % 3 * 5003};
        dwconv_case(&p);
      }
}

int main(int argc, char **argv) {
  TEST_BEGIN(argc, argv);
  if (!__builtin_cpu_supports("avx512vnni") || !__builtin_cpu_supports("avx512vl")) {
    test_skip("avxvnni_evex", "this CPU has no AVX512-VNNI");
    return TEST_END();
  }
  RUN(gemm);
  RUN(gemm_u8);
  RUN(depthwise);
  return TEST_END();
}
#else
int main(int argc, char **argv) {
  TEST_BEGIN(argc, argv);
  test_skip("avxvnni_evex", "not an x86 build");
  return TEST_END();
}
#endif
