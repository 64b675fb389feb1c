/* Convolution with nine-bit weights against a sum written out, static and with a zero point per sample, any threads. */
#include <math.h>

#include "nn.h"
#include "nn/wide.h"

typedef struct wide_case {
  q8_wide wide;
  q8_conv_geometry g;
  uint8_t *x;
  int16_t *w; /* [k][r][s][c / groups] */
  int32_t *bias, *zero_points;
  float *scale, *float_bias, *sample_scale;
} wide_case;

static wide_case make(void) {
  wide_case c = {.g = nn_geometry((nn_shape)test_random_int(0, NN_SHAPES - 1))};
  size_t filter = nn_filter(&c.g), outputs = c.g.k / c.g.groups;
  c.x = calloc(nn_x_count(&c.g) + 64, 1);
  c.w = calloc(c.g.k * filter, sizeof *c.w);
  c.wide = (q8_wide){.g = c.g, .weights = calloc(c.g.k * filter, sizeof *c.w)};
  c.bias = calloc(c.g.k + 64, sizeof *c.bias);
  c.scale = calloc(c.g.k + 64, sizeof *c.scale);
  c.float_bias = calloc(c.g.k + 64, sizeof *c.float_bias);
  c.zero_points = calloc(c.g.n, sizeof *c.zero_points);
  c.sample_scale = calloc(c.g.n, sizeof *c.sample_scale);
  for (size_t i = 0; i < nn_x_count(&c.g); i++)
    c.x[i] = (uint8_t)test_random();
  for (size_t k = 0; k < c.g.k; k++) {
    for (size_t i = 0; i < filter; i++) {
      c.w[k * filter + i] = (int16_t)test_random_int(-255, 255);
      c.wide.weights[(k / outputs * filter + i) * outputs + k % outputs] = c.w[k * filter + i];
    }
    c.bias[k] = test_random_int(-100000, 100000);
    c.scale[k] = test_random_float(1e-6f, 1e-4f);
    c.float_bias[k] = test_random_float(-1, 1);
  }
  for (size_t n = 0; n < c.g.n; n++) {
    c.zero_points[n] = test_random_int(0, 255);
    c.sample_scale[n] = test_random_float(0.1f, 2);
  }
  return c;
}

static void release(wide_case *c) {
  free(c->x);
  free(c->w);
  free(c->wide.weights);
  free(c->bias);
  free(c->scale);
  free(c->float_bias);
  free(c->zero_points);
  free(c->sample_scale);
}

static int32_t sum(const wide_case *c, size_t row, size_t k, int32_t zero) {
  size_t channels = c->g.c / c->g.groups, filter = nn_filter(&c->g);
  int32_t total = 0;
  for (size_t tap = 0; tap < c->g.r * c->g.s; tap++) {
    int64_t at = nn_x_index(&c->g, row, k, tap);
    for (size_t i = 0; at >= 0 && i < channels; i++)
      total += (c->x[(size_t)at + i] - zero) * c->w[k * filter + tap * channels + i];
  }
  return total;
}

static void static_run(void) {
  q8_kernels kernels;
  q8_kernels_select(q8_cpu_detect(), &kernels);
  for (int i = 0; i < 60; i++) {
    wide_case c = make();
    uint8_t *y = calloc(nn_rows(&c.g) * c.g.k + 64, 1), table[256];
    q8_epilogue e = {.kind = Q8_EPILOGUE_REQUANT, .requant = {c.bias, c.scale, 77, 3, 250}, .table = i % 3 ? NULL : table};
    for (int t = 0; t < 256; t++)
      table[t] = (uint8_t)(t * 5 + 1);
    q8_host host = nn_host(nn_threads[i % 4]);
    q8_wide_run(&c.wide, &kernels, c.x, c.zero_points, 0, &e, y, &host);
    for (size_t row = 0; row < nn_rows(&c.g); row++)
      for (size_t k = 0; k < c.g.k; k++) {
        int32_t acc = sum(&c, row, k, c.zero_points[0]) + c.bias[k];
        float t = nearbyintf((float)acc * c.scale[k]) + 77;
        uint8_t want = (uint8_t)(t < 3 ? 3 : t > 250 ? 250 : t);
        want = e.table ? table[want] : want;
        CHECK_MSG(y[row * c.g.k + k] == want, "%s: row %zu channel %zu is %d, expected %d", nn_text(&c.g), row, k,
                  y[row * c.g.k + k], want);
      }
    free(y);
    release(&c);
  }
}

static void dynamic_run(void) {
  q8_kernels kernels;
  q8_kernels_select(q8_cpu_detect(), &kernels);
  for (int i = 0; i < 60; i++) {
    wide_case c = make();
    float *y = calloc(nn_rows(&c.g) * c.g.k + 64, sizeof *y);
    q8_epilogue e = {.kind = Q8_EPILOGUE_DEQUANT,
                     .scale = c.scale,
                     .bias = c.float_bias,
                     .lo = -INFINITY,
                     .hi = INFINITY,
                     .sample_scale = c.sample_scale,
                     .sample_zero = c.zero_points,
                     .rows_per_sample = c.g.p * c.g.q};
    q8_host host = nn_host(nn_threads[i % 4]);
    q8_wide_run(&c.wide, &kernels, c.x, c.zero_points, 1, &e, y, &host);
    for (size_t row = 0; row < nn_rows(&c.g); row++)
      for (size_t k = 0; k < c.g.k; k++) {
        size_t n = row / (c.g.p * c.g.q);
        float scaled = (float)sum(&c, row, k, c.zero_points[n]) * (c.sample_scale[n] * c.scale[k]);
        CHECK_MSG(y[row * c.g.k + k] == scaled + c.float_bias[k], "%s: row %zu channel %zu is %g, expected %g",
                  nn_text(&c.g), row, k, (double)y[row * c.g.k + k], (double)(scaled + c.float_bias[k]));
      }
    free(y);
    release(&c);
  }
}

int main(int argc, char **argv) {
  TEST_BEGIN(argc, argv);
  RUN(static_run);
  RUN(dynamic_run);
  return TEST_END();
}
