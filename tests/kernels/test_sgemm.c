/* The fp32 kernels byte for byte against their contract: one fused multiply-add after another, in the order of taps and k. */
#include <math.h>
#include <string.h>

#include "reference.h"
#include "scalar/fma.h"
#include "walk.h"

enum { ROW_COUNT = 24, MAX_K = 1024, MAX_PANEL = 1 << 18, MAX_SIZE = 1 << 16 };

static walk_buffer rows[ROW_COUNT], pointers, panel, bias_buffer;

static float *random_floats(const walk_buffer *buffer, size_t n, int front) {
  float *p = walk_place(buffer, n * sizeof(float), sizeof(float), front);
  for (size_t i = 0; i < n; i++)
    p[i] = test_random_float(-2, 2);
  return p;
}

static void expect(walk_output *out, size_t i, float value) {
  memcpy(out->want + i * sizeof value, &value, sizeof value);
}

static void sgemm_case(const q8_sgemm_kernel *g, size_t taps, size_t k, size_t count, size_t columns) {
  size_t a_stride = (count + g->mr - 1) / g->mr * g->mr + test_random() % 3, y_stride = columns + test_random() % 3;
  walk_case("taps %zu k %zu rows %zu columns %zu", taps, k, count, columns);
  const void **a = walk_place(&pointers, taps * a_stride * sizeof *a, sizeof *a, 0), *place[ROW_COUNT];
  for (size_t r = 0; r < ROW_COUNT; r++)
    place[r] = random_floats(&rows[r], k, (int)(r & 1));
  for (size_t i = 0; i < taps * a_stride; i++)
    a[i] = i % a_stride < (count + g->mr - 1) / g->mr * g->mr ? place[test_random() % ROW_COUNT] : NULL;
  float *b = walk_place(&panel, taps * k * g->nr * sizeof *b, 64, 0);
  for (size_t i = 0; i < taps * k * g->nr; i++)
    b[i] = test_random_float(-2, 2);
  const float *bias = random_floats(&bias_buffer, 64, 0);
  float lo = test_random() & 1 ? -INFINITY : -3.0f, hi = test_random() & 1 ? INFINITY : 3.0f;
  walk_output out = walk_output_new(((count - 1) * y_stride + columns) * sizeof(float), sizeof(float));
  g->run(taps, k, a, a_stride, b, bias, lo, hi, count, columns, (float *)(void *)out.got, y_stride);
  for (size_t i = 0; i < count; i++)
    for (size_t j = 0; j < columns; j++) {
      float sum = 0;
      for (size_t t = 0; t < taps * k; t++)
        sum = fmaf(((const float *)a[t / k * a_stride + i])[t % k], b[t * g->nr + j], sum);
      expect(&out, i * y_stride + j, ref_clampf(sum + bias[j], lo, hi));
    }
  walk_output_check(&out);
}

static void sgemm_record(const void *record) {
  const q8_sgemm_kernel *g = record;
  CHECK(g->mr && g->nr);
  for (size_t k = 1; k <= 40; k += k < 20 ? 1 : 5)
    sgemm_case(g, 1, k, g->mr, g->nr);
  for (size_t taps = 2; taps <= 25; taps += 1 + taps / 3)
    for (size_t k = 1; k <= 9; k += 4)
      sgemm_case(g, taps, k, g->mr, g->nr);
  sgemm_case(g, 1, 300, g->mr, g->nr);
  sgemm_case(g, 1, 513, g->mr, g->nr);
  for (size_t columns = 1; columns <= g->nr; columns++)
    sgemm_case(g, 1 + columns % 2, 1 + test_random() % 9, 1 + test_random() % (2 * g->mr + 1), columns);
  for (size_t count = 1; count <= 2 * (size_t)g->mr + 1; count++)
    sgemm_case(g, 1, 5, count, g->nr);
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
  const size_t columns = q8_sdwconv_columns(s), c_count = s->channels;
  walk_case("%zux%zu channels %zu q %zu step %zu dilation %zu", s->r, s->s, c_count, s->q, s->col_step,
            s->col_dilation);
  const float *place[ROW_COUNT];
  for (size_t i = 0; i < ROW_COUNT; i++)
    place[i] = random_floats(&rows[i], c_count, (int)(i & 1));
  const float **cols = walk_place(&pointers, columns * s->r * sizeof *cols, sizeof *cols, 0);
  for (size_t i = 0; i < columns * s->r; i++)
    cols[i] = (const float *)((uintptr_t)place[test_random() % ROW_COUNT] - s->offset * sizeof(float));
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
          sum = fmaf(cols[i * columns + x * s->col_step + j * s->col_dilation][s->offset + c], w[(i * s->s + j) * c_count + c], sum);
      expect(&out, x * stride + c, ref_clampf(sum, lo, hi));
    }
  walk_output_check(&out);
}

static void sdwconv_record(const void *record) {
  static const size_t sizes[][2] = {{1, 1}, {1, 3}, {3, 1}, {3, 3}, {5, 5}, {2, 4}, {7, 7}, {1, 13}};
  for (size_t i = 0; i < COUNT_OF(sizes); i++) {
    sdwconv_case(record, &(q8_dwconv_shape){64, sizes[i][0], sizes[i][1], 20, 1, 1, 0});
    for (size_t c = 1; c <= 70; c += c < 36 ? 1 : 7) {
      q8_dwconv_shape s = {c, sizes[i][0], sizes[i][1], 1 + test_random() % 16, 1 + c % 3, 1 + c / 3 % 2, test_random() % 3 * 5003};
      sdwconv_case(record, &s);
    }
  }
}

static void sdwconv(void) {
  walk_buffer_init(&pointers, MAX_SIZE);
  for (size_t i = 0; i < ROW_COUNT; i++)
    walk_buffer_init(&rows[i], MAX_K * sizeof(float));
  walk_buffer_init(&panel, MAX_PANEL * sizeof(float));
  walk_buffer_init(&bias_buffer, MAX_SIZE);
  WALK_FUNCTION(q8_sdwconv_kernel, sdwconv, sdwconv_record);
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
  return TEST_END();
}
