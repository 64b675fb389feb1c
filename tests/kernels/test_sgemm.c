/* The fp32 kernels byte for byte against their contract: one fused multiply-add after another, in the order of taps and k. */
#include <math.h>
#include <string.h>

#include "reference.h"
#include "scalar/fma.h"
#include "walk.h"

enum { ROW_COUNT = 24, MAX_K = 1024, MAX_PANEL = 1 << 18, MAX_SIZE = 1 << 16 };

static walk_buffer rows[ROW_COUNT], pointers, panel, bias_buffer, input;

static float *random_floats(const walk_buffer *buffer, size_t n, int front) {
  float *p = walk_place(buffer, n * sizeof(float), sizeof(float), front);
  for (size_t i = 0; i < n; i++)
    p[i] = test_random_float(-2, 2);
  return p;
}

static void expect(walk_output *out, size_t i, float value) {
  memcpy(out->want + i * sizeof value, &value, sizeof value);
}

static void sgemm_case(const q8_sgemm_kernel *g, size_t taps, size_t k) {
  size_t a_stride = g->mr + test_random() % 3;
  const void *place[ROW_COUNT];
  walk_case("taps %zu k %zu", taps, k);
  const void **a = walk_place(&pointers, taps * a_stride * sizeof *a, sizeof *a, 0);
  for (size_t r = 0; r < ROW_COUNT; r++)
    place[r] = random_floats(&rows[r], k, (int)(r & 1));
  for (size_t i = 0; i < taps * a_stride; i++)
    a[i] = i % a_stride < g->mr ? place[test_random() % ROW_COUNT] : NULL;
  size_t count = taps * k * g->nr;
  float *b = walk_place(&panel, count * sizeof(float), 64, 0);
  for (size_t i = 0; i < count; i++)
    b[i] = test_random_float(-2, 2);
  walk_output out = walk_output_new((size_t)g->mr * g->nr * sizeof(float), 64);
  g->run(taps, k, a, a_stride, b, (float *)(void *)out.got);
  for (size_t i = 0; i < g->mr; i++)
    for (size_t j = 0; j < g->nr; j++) {
      float sum = 0;
      for (size_t t = 0; t < taps * k; t++)
        sum = fmaf(((const float *)a[t / k * a_stride + i])[t % k], b[t * g->nr + j], sum);
      expect(&out, i * g->nr + j, sum);
    }
  walk_output_check(&out);
}

static void sgemm_tile(const void *record) {
  const q8_sgemm_kernel *g = record;
  CHECK(g->mr && g->nr);
  for (size_t k = 1; k <= 40; k += k < 20 ? 1 : 5)
    sgemm_case(g, 1, k);
  for (size_t taps = 2; taps <= 25; taps += 1 + taps / 3)
    for (size_t k = 1; k <= 9; k += 4)
      sgemm_case(g, taps, k);
  sgemm_case(g, 1, 300);
  sgemm_case(g, 1, 513);
}

/* Tiles with bias and clamp: the same as the accumulators of `run`, one addition and the clamp later. */
static void sgemm_y_case(const q8_sgemm_kernel *g, size_t taps, size_t k, size_t count, size_t columns) {
  static _Alignas(64) float acc[64 * 64];
  size_t a_stride = (count + g->mr - 1) / g->mr * g->mr, y_stride = columns + test_random() % 3;
  walk_case("y: taps %zu k %zu rows %zu columns %zu", taps, k, count, columns);
  const void **a = walk_place(&pointers, taps * a_stride * sizeof *a, sizeof *a, 0), *place[ROW_COUNT];
  for (size_t r = 0; r < ROW_COUNT; r++)
    place[r] = random_floats(&rows[r], k, (int)(r & 1));
  for (size_t i = 0; i < taps * a_stride; i++)
    a[i] = place[test_random() % ROW_COUNT];
  const float *b = random_floats(&panel, taps * k * g->nr, 0), *bias = random_floats(&bias_buffer, 64, 0);
  float lo = test_random() & 1 ? -INFINITY : -3.0f, hi = test_random() & 1 ? INFINITY : 3.0f;
  walk_output out = walk_output_new(((count - 1) * y_stride + columns) * sizeof(float), sizeof(float));
  for (size_t i = 0; i < count; i++) {
    if (i % g->mr == 0)
      g->run(taps, k, a + i, a_stride, b, acc);
    for (size_t j = 0; j < columns; j++) {
      float v = ref_clampf(acc[i % g->mr * g->nr + j] + bias[j], lo, hi);
      memcpy(out.want + (i * y_stride + j) * sizeof v, &v, sizeof v);
    }
  }
  g->run_y(taps, k, a, a_stride, b, bias, lo, hi, count, columns, (float *)(void *)out.got, y_stride);
  walk_output_check(&out);
}

static void sgemm_record(const void *record) {
  const q8_sgemm_kernel *g = record;
  sgemm_tile(g);
  for (size_t columns = 1; g->run_y && columns <= g->nr; columns++)
    sgemm_y_case(g, 1 + columns % 2, 1 + test_random() % 9, 1 + test_random() % (2 * g->mr + 1), columns);
  for (size_t count = 1; g->run_y && count <= 2 * (size_t)g->mr + 1; count++)
    sgemm_y_case(g, 1, 5, count, g->nr);
}

static void sgemm(void) {
  walk_buffer_init(&pointers, MAX_SIZE);
  for (size_t i = 0; i < ROW_COUNT; i++)
    walk_buffer_init(&rows[i], MAX_K * sizeof(float));
  walk_buffer_init(&panel, MAX_PANEL * sizeof(float));
  walk_buffer_init(&bias_buffer, MAX_SIZE);
  WALK(q8_sgemm_kernel, sgemm, sgemm_record);
}

static void sdwconv_case(const q8_sdwconv_kernel *kernel, const q8_dwconv_shape *s) {
  size_t columns = (s->q - 1) * s->col_step + (s->s - 1) * s->col_dilation + 1, c_count = s->channels;
  walk_case("%zux%zu channels %zu q %zu step %zu dilation %zu", s->r, s->s, c_count, s->q, s->col_step,
            s->col_dilation);
  const float *place[ROW_COUNT];
  for (size_t i = 0; i < ROW_COUNT; i++)
    place[i] = random_floats(&rows[i], c_count, (int)(i & 1));
  const float **cols = walk_place(&pointers, columns * s->r * sizeof *cols, sizeof *cols, 0);
  for (size_t i = 0; i < columns * s->r; i++)
    cols[i] = place[test_random() % ROW_COUNT];
  const float *w = random_floats(&panel, s->r * s->s * c_count, 0),
              *bias = random_floats(&bias_buffer, c_count, 0);
  int clamped = (int)(test_random() & 1);
  float lo = clamped ? 0.0f : -INFINITY, hi = clamped ? 3.0f : INFINITY;
  size_t stride = c_count + test_random() % 5;
  walk_output out = walk_output_new(((s->q - 1) * stride + c_count) * sizeof(float), sizeof(float));
  kernel->run(s, w, bias, lo, hi, (const float *const *)cols, (float *)(void *)out.got, stride);
  for (size_t x = 0; x < s->q; x++)
    for (size_t c = 0; c < c_count; c++) {
      float sum = bias[c];
      for (size_t i = 0; i < s->r; i++)
        for (size_t j = 0; j < s->s; j++)
          sum = fmaf(cols[(x * s->col_step + j * s->col_dilation) * s->r + i][c], w[(i * s->s + j) * c_count + c], sum);
      expect(&out, x * stride + c, ref_clampf(sum, lo, hi));
    }
  walk_output_check(&out);
}

static void sdwconv_record(const void *record) {
  static const size_t sizes[][2] = {{1, 1}, {1, 3}, {3, 1}, {3, 3}, {5, 5}, {2, 4}, {7, 7}};
  for (size_t i = 0; i < COUNT_OF(sizes); i++)
    for (size_t c = 1; c <= 70; c += c < 36 ? 1 : 7) {
      q8_dwconv_shape s = {c, sizes[i][0], sizes[i][1], 1 + test_random() % 6, 1 + c % 3, 1 + c / 3 % 2};
      sdwconv_case(record, &s);
    }
}

static void sdwconv(void) {
  walk_buffer_init(&pointers, MAX_SIZE);
  for (size_t i = 0; i < ROW_COUNT; i++)
    walk_buffer_init(&rows[i], MAX_K * sizeof(float));
  walk_buffer_init(&panel, MAX_PANEL * sizeof(float));
  walk_buffer_init(&bias_buffer, MAX_SIZE);
  WALK(q8_sdwconv_kernel, sdwconv, sdwconv_record);
}

/* One addition per value: no rounding to allow for. */
static void sbias_record(const void *record) {
  const q8_sbias_kernel *kernel = record;
  for (size_t n = 1; n <= 140; n++) {
    size_t rows_count = 1 + test_random() % 4, acc_stride = n + test_random() % 4,
           stride = n + test_random() % 4;
    float lo = n & 1 ? -INFINITY : -1.0f, hi = n & 2 ? INFINITY : 1.5f;
    walk_case("rows %zu n %zu", rows_count, n);
    const float *acc = random_floats(&input, (rows_count - 1) * acc_stride + n, 0);
    const float *bias = random_floats(&bias_buffer, (n + 63) / 64 * 64, 0);
    walk_output out = walk_output_new(((rows_count - 1) * stride + n) * sizeof(float), sizeof(float));
    for (size_t r = 0; r < rows_count; r++)
      for (size_t c = 0; c < n; c++) {
        float v = ref_clampf(acc[r * acc_stride + c] + bias[c], lo, hi);
        memcpy(out.want + (r * stride + c) * sizeof v, &v, sizeof v);
      }
    kernel->run(rows_count, n, acc, acc_stride, bias, lo, hi, (float *)(void *)out.got, stride);
    walk_output_check(&out);
  }
}

static void sbias(void) {
  walk_buffer_init(&input, MAX_SIZE);
  walk_buffer_init(&bias_buffer, MAX_SIZE);
  WALK(q8_sbias_kernel, sbias, sbias_record);
}

/* ---- The fused multiply-add of CPUs that have none ---- */

static float any_float(void) {
  uint32_t bits = test_random();
  float v;
  memcpy(&v, &bits, sizeof v);
  return v;
}

static void check_fma(float a, float b, float c) {
  float want = fmaf(a, b, c), got = q8_fma_emulated(a, b, c);
  CHECK_MSG((isnan(want) && isnan(got)) || !memcmp(&want, &got, sizeof got), "fma(%a, %a, %a) is %a, not %a", (double)a,
            (double)b, (double)c, (double)got, (double)want);
}

/* Sums that double cannot hold, next to the middle of two floats: c is half a unit of the last place of a * b, or a * b
 * of c, and a little more or less. */
static void near_the_middle(void) {
  for (int i = 0; i < 300000 && !test_failed_checks; i++) {
    float a = 1.0f + (float)(test_random() & 0xff) / 256.0f, b = ldexpf(test_random_float(-2, 2), (int)(test_random() % 80) - 60);
    float c = ldexpf((float)(int)(test_random() % 0x1000000) - 8388608.0f, (int)(test_random() % 100) - 80);
    check_fma(a, b, c);
    check_fma(ldexpf(a, -24), 1.0f + ldexpf(1, -(int)(test_random() % 24)), nextafterf(c, 0));
    check_fma(1.0f + ldexpf(1, -23), ldexpf(1.0f - ldexpf(1, -24), -25 - (int)(test_random() % 3)), a);
  }
}

static void emulated_fma(void) {
  static const float special[] = {0.0f, -0.0f, 1, -1, INFINITY, -INFINITY, NAN, 0x1p-149f, -0x1p-149f, 0x1p-126f,
                                  0x1.fffffep-127f, 0x1.fffffep127f, -0x1.fffffep127f, 0x1p-75f, 0x1p-74f, 0x1.8p-74f, 0x1p64f};
  for (size_t i = 0; i < COUNT_OF(special); i++)
    for (size_t j = 0; j < COUNT_OF(special); j++)
      for (size_t k = 0; k < COUNT_OF(special); k++)
        check_fma(special[i], special[j], special[k]);
  for (int i = 0; i < 500000 && !test_failed_checks; i++) {
    float a = any_float(), b = any_float(), c = any_float();
    check_fma(a, b, c);
    check_fma(a, b, -(a * b));                                  /* what the product lost */
    check_fma(a, ldexpf(b, -130), ldexpf(c, -130));             /* subnormal results */
    check_fma(test_random_float(-2, 2), test_random_float(-2, 2), test_random_float(-2, 2));
  }
  near_the_middle();
}

int main(int argc, char **argv) {
  TEST_BEGIN(argc, argv);
  RUN(emulated_fma);
  RUN(sgemm);
  RUN(sdwconv);
  RUN(sbias);
  return TEST_END();
}
