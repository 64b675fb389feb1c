/* The fp32 twins against sums in double, and against each other: every ISA gives the same bits. A dot product of n terms may be off by n u / (1 - n u) times the sum
 * of the magnitudes (reference.h); the bias is one more term. */
#include "nn.h"

typedef struct float_case {
  q8_conv_geometry g;
  float *x, *w, *bias, lo, hi;
  nn_block x_block;
} float_case;

static void fill(float *out, size_t count) {
  for (size_t i = 0; i < count; i++)
    out[i] = test_random_float(-2, 2);
}

static float_case case_new(nn_shape shape) {
  float_case c = {.g = nn_geometry(shape)};
  const q8_conv_geometry *g = &c.g;
  c.x = nn_alloc(&c.x_block, nn_x_count(g) * 4 + 64, 4);
  c.w = calloc(g->k * nn_filter(g), 4);
  c.bias = calloc(g->k + 64, 4);
  if (!c.w || !c.bias)
    abort();
  fill(c.x, nn_x_count(g));
  fill(c.w, g->k * nn_filter(g));
  fill(c.bias, g->k);
  c.lo = test_random() & 1 ? -INFINITY : 0;
  c.hi = test_random() & 1 ? INFINITY : 6;
  return c;
}

static void case_free(float_case *c) {
  nn_free(&c->x_block);
  free(c->w);
  free(c->bias);
}

static void check(const float_case *c, const q8_conv *conv, int32_t threads, const float *y) {
  const q8_conv_geometry *g = &c->g;
  size_t channels = g->c / g->groups;
  for (size_t i = 0; i < nn_rows(g) * g->k; i++) {
    size_t k = i % g->k;
    const float *w = c->w + k * nn_filter(g);
    double sum = (double)c->bias[k], magnitude = fabs(sum);
    for (size_t tap = 0; tap < g->r * g->s; tap++) {
      int64_t at = nn_x_index(g, i / g->k, k, tap);
      for (size_t j = 0; at >= 0 && j < channels; j++) {
        double product = (double)c->x[at + (int64_t)j] * (double)w[tap * channels + j];
        sum += product;
        magnitude += fabs(product);
      }
    }
    double want = sum < (double)c->lo ? (double)c->lo : sum > (double)c->hi ? (double)c->hi : sum;
    double error = fabs((double)y[i] - want), bound = ref_dot_bound(nn_filter(g) + 1, magnitude);
    CHECK_MSG(error <= bound, "%s, %d threads: %s: row %zu channel %zu is %g, not %g", conv->kernel_name,
              threads, nn_text(g), i / g->k, k, (double)y[i], want);
    if (!(error <= bound))
      return;
  }
}

/* Checks the result of one thread against the sums, and those of more threads and of other ISAs against that one, bit for
 * bit: `first` is filled by the first ISA. */
static void run_threads(const float_case *c, const q8_kernels *kernels, const q8_conv *conv, float *first, int is_first) {
  const q8_conv_geometry *g = &c->g;
  size_t size = nn_rows(g) * g->k * sizeof(float);
  q8_epilogue epilogue = {.kind = Q8_EPILOGUE_FLOAT, .bias = c->bias, .lo = c->lo, .hi = c->hi};
  for (size_t t = 0; t < sizeof nn_threads / sizeof *nn_threads; t++) {
    q8_host host = nn_host(nn_threads[t]);
    nn_block y_block, scratch_block;
    float *y = nn_alloc(&y_block, size, 4);
    void *scratch = nn_alloc(&scratch_block, q8_conv_scratch(conv, host.threads), 64);
    q8_conv_run(conv, kernels, c->x, NULL, 0, &epilogue, y, scratch, &host);
    if (t == 0)
      check(c, conv, host.threads, y);
    if (t == 0 && is_first)
      memcpy(first, y, size);
    CHECK_MSG(!memcmp(first, y, size), "%s: %s: other bits with %d threads", conv->kernel_name, nn_text(g),
              host.threads);
    nn_free(&y_block);
    nn_free(&scratch_block);
  }
}

static void run_case(const float_case *c) {
  q8_cpu_mask masks[NN_MAX_MASKS];
  size_t count = nn_masks(masks);
  q8_host host = nn_host(1);
  float *first = calloc(nn_rows(&c->g) * c->g.k, sizeof *first);
  for (size_t i = 0; first && i < count; i++) {
    q8_kernels kernels;
    q8_pool pool;
    q8_conv conv;
    q8_kernels_select(masks[i], &kernels);
    q8_pool_init(&pool, &host);
    q8_status status = q8_conv_pack_float(&kernels, &c->g, c->w, &pool, &conv, NULL);
    CHECK_EQ(status, QINT8_OK);
    if (status == QINT8_OK)
      run_threads(c, &kernels, &conv, first, i == 0);
    q8_pool_destroy(&pool);
  }
  CHECK(first != NULL);
  free(first);
}

static void run_cases(nn_shape shape, int count) {
  for (int i = 0; i < count && !test_failed_checks; i++) {
    float_case c = case_new(shape);
    run_case(&c);
    case_free(&c);
  }
}

static void matrix(void) {
  run_cases(NN_MATRIX, 20);
}
static void pointwise(void) {
  run_cases(NN_POINTWISE, 20);
}
static void taps(void) {
  run_cases(NN_TAPS, 30);
}
static void stem(void) {
  run_cases(NN_STEM, 30);
}
static void grouped(void) {
  run_cases(NN_GROUPED, 30);
}
static void depthwise(void) {
  run_cases(NN_DEPTHWISE, 40);
}

int main(int argc, char **argv) {
  TEST_BEGIN(argc, argv);
  RUN(matrix);
  RUN(pointwise);
  RUN(taps);
  RUN(stem);
  RUN(grouped);
  RUN(depthwise);
  return TEST_END();
}
