/* int8 convolution and matrix product against sums in int64, byte for byte: every kernel mask, several
 * threads. */
#include "nn.h"

typedef struct int8_case {
  q8_conv_geometry g;
  uint8_t *x;
  nn_block x_block;
  int8_t *w;
  int32_t *bias, *zero_points; /* one zero point per image, all the same unless `dynamic` */
  float *scale, *float_bias, *sample_scale;
  q8_epilogue_kind kind;
  int dynamic, exact_x; /* exact_x: nothing behind x may be read */
  q8_requant requant;   /* with the bias that is not folded */
  float lo, hi;
  const uint8_t *table; /* or NULL */
  uint8_t entries[256], *other;
  int has_sum;
  q8_binary sum; /* with `other` */
  int32_t *acc; /* [rows][k]: the exact sums, modulo 2^32 */
} int8_case;

static void *array(size_t count, size_t size) {
  void *memory = calloc(count + 64, size);
  if (!memory)
    abort();
  return memory;
}

/* Random values, or the extremes that overflow anything but an exact int32 sum. */
static void fill_operands(int8_case *c) {
  size_t x_count = nn_x_count(&c->g), w_count = c->g.k * nn_filter(&c->g);
  uint32_t kind = test_random() % 4;
  int lowest = test_random() & 1 ? -128 : -127;
  for (size_t i = 0; i < x_count; i++)
    c->x[i] = kind == 0 ? 255 : (uint8_t)test_random();
  for (size_t i = 0; i < w_count; i++)
    c->w[i] = (int8_t)(kind == 0 ? 127 : kind == 1 ? lowest : test_random_int(lowest, 127));
}

static void fill_epilogue(int8_case *c) {
  const q8_conv_geometry *g = &c->g;
  int32_t zero_point = test_random_int(0, 255);
  for (size_t n = 0; n < g->n; n++) {
    c->zero_points[n] = c->dynamic ? test_random_int(0, 255) : zero_point;
    c->sample_scale[n] = test_random_float(0.01f, 2.0f);
  }
  for (size_t k = 0; k < g->k; k++) {
    c->bias[k] = test_random_int(-30000, 30000);
    c->scale[k] = test_random_float(0.1f, 1.0f) / (32.0f * (float)nn_filter(g));
    c->float_bias[k] = test_random_float(-3, 3);
  }
  for (int i = 0; i < 256; i++)
    c->entries[i] = (uint8_t)(i * 7 + 3);
  c->table = test_random() % 3 ? NULL : c->entries;
  int32_t lo = test_random() & 1 ? 0 : test_random_int(0, 100),
          hi = test_random() & 1 ? 255 : test_random_int(lo, 255);
  c->requant = (q8_requant){c->bias, c->scale, test_random_int(0, 255), lo, hi};
  c->lo = test_random() & 1 ? -INFINITY : -1.0f;
  c->hi = test_random() & 1 ? INFINITY : 6.0f;
}

static void fill_sum(int8_case *c) {
  c->has_sum = test_random() & 1;
  for (size_t i = 0; i < nn_rows(&c->g) * c->g.k; i++)
    c->other[i] = (uint8_t)test_random();
  c->sum = (q8_binary){0.03f, 0.02f, 0.04f, test_random_int(0, 255), test_random_int(0, 255), test_random_int(0, 255), 0, 255, NULL};
}

static int32_t exact_sum(const int8_case *c, size_t row, size_t k) {
  const q8_conv_geometry *g = &c->g;
  const int8_t *w = c->w + k * nn_filter(g);
  size_t channels = g->c / g->groups;
  int32_t zero_point = c->zero_points[row / (g->p * g->q)];
  int64_t sum = 0;
  for (size_t tap = 0; tap < g->r * g->s; tap++) {
    int64_t at = nn_x_index(g, row, k, tap);
    for (size_t i = 0; at >= 0 && i < channels; i++)
      sum += (int64_t)(c->x[at + (int64_t)i] - zero_point) * w[tap * channels + i];
  }
  return (int32_t)(uint32_t)(uint64_t)sum;
}

static int8_case case_new(nn_shape shape, q8_epilogue_kind kind, int dynamic) {
  int8_case c = {.g = nn_geometry(shape), .kind = kind, .dynamic = dynamic, .exact_x = test_random() & 1};
  const q8_conv_geometry *g = &c.g;
  c.x = nn_alloc(&c.x_block, nn_x_count(g) + (c.exact_x ? 0 : 64), 1);
  c.w = array(g->k * nn_filter(g), 1);
  c.bias = array(g->k, 4);
  c.scale = array(g->k, 4);
  c.float_bias = array(g->k, 4);
  c.zero_points = array(g->n, 4);
  c.sample_scale = array(g->n, 4);
  c.acc = array(nn_rows(g) * g->k, 4);
  c.other = array(nn_rows(g) * g->k, 1);
  fill_operands(&c);
  fill_epilogue(&c);
  fill_sum(&c);
  for (size_t row = 0; row < nn_rows(g); row++)
    for (size_t k = 0; k < g->k; k++)
      c.acc[row * g->k + k] = exact_sum(&c, row, k);
  return c;
}

static void case_free(int8_case *c) {
  nn_free(&c->x_block);
  free(c->w);
  free(c->bias);
  free(c->scale);
  free(c->float_bias);
  free(c->zero_points);
  free(c->sample_scale);
  free(c->acc);
  free(c->other);
}

/* The second stage: depthwise convolutions have none. */
static int adds(const int8_case *c, const q8_conv *conv) {
  return c->has_sum && conv->way != Q8_CONV_DEPTHWISE;
}

static void check_bytes(const int8_case *c, const q8_conv *conv, int32_t threads, const uint8_t *y) {
  const q8_conv_geometry *g = &c->g;
  for (size_t i = 0; i < nn_rows(g) * g->k; i++) {
    uint8_t want = ref_requant(c->acc[i], &c->requant, i % g->k);
    if (adds(c, conv))
      want = ref_binary(&c->sum, want, c->other[i], 0);
    want = c->table ? c->table[want] : want;
    CHECK_MSG(y[i] == want, "%s, %d threads: %s: row %zu channel %zu is %d, not %d", conv->kernel_name,
              threads, nn_text(g), i / g->k, i % g->k, y[i], want);
    if (y[i] != want)
      return;
  }
}

static void check_floats(const int8_case *c, const q8_conv *conv, int32_t threads, const float *y) {
  const q8_conv_geometry *g = &c->g;
  for (size_t i = 0; i < nn_rows(g) * g->k; i++) {
    size_t k = i % g->k, n = i / g->k / (g->p * g->q);
    int32_t sum = c->dynamic ? c->acc[i] : (int32_t)((uint32_t)c->acc[i] + (uint32_t)c->bias[k]);
    float scale = (c->dynamic ? c->sample_scale[n] : 1.0f) * c->scale[k];
    float want = ref_clampf((float)sum * scale + c->float_bias[k], c->lo, c->hi);
    CHECK_MSG(y[i] == want, "%s, %d threads: %s: row %zu channel %zu is %g, not %g", conv->kernel_name,
              threads, nn_text(g), i / g->k, k, (double)y[i], (double)want);
    if (y[i] != want)
      return;
  }
}

static q8_epilogue make_epilogue(const int8_case *c, const q8_conv *conv, int32_t *folded) {
  q8_epilogue e = {.kind = c->kind, .lo = c->lo, .hi = c->hi, .scale = c->scale, .bias = c->float_bias};
  q8_conv_fold_bias(conv, c->bias, c->zero_points[0], folded);
  e.requant = c->requant;
  e.requant.bias = folded;
  e.table = c->table;
  e.residual = adds(c, conv) ? &c->sum : NULL;
  e.other = c->other;
  e.offset = c->dynamic ? NULL : folded;
  if (c->dynamic) {
    e.sample_scale = c->sample_scale;
    e.sample_zero = c->zero_points;
    e.rows_per_sample = c->g.p * c->g.q;
  }
  return e;
}

static void check_result(const int8_case *c, const q8_conv *conv, int32_t threads, const void *y) {
  if (c->kind == Q8_EPILOGUE_REQUANT)
    check_bytes(c, conv, threads, y);
  else
    check_floats(c, conv, threads, y);
}

/* Small products of one row have a function of their own, for which a copy's panels are made. */
static void run_row(const int8_case *c, const q8_kernels *kernels, const q8_conv *conv, const q8_epilogue *epilogue) {
  if (c->dynamic || c->exact_x || conv->way != Q8_CONV_MATRIX)
    return;
  const size_t element = c->kind == Q8_EPILOGUE_REQUANT ? 1 : 4, panels = conv->linear.panel_count;
  q8_linear row = conv->linear;
  row.panels = array(panels, sizeof *row.panels);
  memcpy(row.panels, conv->linear.panels, panels * sizeof *row.panels);
  if (q8_linear_for_row(&row, nn_rows(&c->g))) {
    nn_block block;
    void *y = nn_alloc(&block, c->g.k * element, element);
    q8_linear_row(&row, kernels, c->x, epilogue, y);
    check_result(c, conv, 1, y);
    nn_free(&block);
  }
  free(row.panels);
}

static void run_threads(const int8_case *c, const q8_kernels *kernels, const q8_conv *conv) {
  const q8_conv_geometry *g = &c->g;
  int32_t *folded = array(g->k, 4);
  q8_epilogue epilogue = make_epilogue(c, conv, folded);
  size_t element = c->kind == Q8_EPILOGUE_REQUANT ? 1 : 4, with_fewer = 0;
  for (size_t t = 0; t < sizeof nn_threads / sizeof *nn_threads; t++) {
    q8_host host = nn_host(nn_threads[t]);
    nn_block y_block, scratch_block;
    void *y = nn_alloc(&y_block, nn_rows(g) * g->k * element, element);
    size_t size = q8_conv_scratch(conv, host.threads);
    CHECK_MSG(size >= with_fewer, "%s: scratch of %d threads does not serve fewer", nn_text(g), host.threads);
    with_fewer = size;
    void *scratch = nn_alloc(&scratch_block, size, 64);
    q8_conv_run(conv, kernels, c->x, c->zero_points, (size_t)c->dynamic, &epilogue, y, scratch, &host);
    check_result(c, conv, host.threads, y);
    nn_free(&y_block);
    nn_free(&scratch_block);
  }
  run_row(c, kernels, conv, &epilogue);
  free(folded);
}

/* In either order of the weights, by chance. */
static q8_status pack_case(const int8_case *c, const q8_kernels *kernels, const q8_conv_geometry *g, q8_pool *pool,
                           q8_conv *out) {
  int requant = c->kind == Q8_EPILOGUE_REQUANT;
  if (test_random() % 2)
    return q8_conv_pack(kernels, g, c->w, requant, pool, out, NULL);
  size_t channels = g->c / g->groups, taps = g->r * g->s;
  int8_t *w = array(g->k * channels * taps, 1);
  for (size_t k = 0; k < g->k; k++)
    for (size_t i = 0; i < channels * taps; i++)
      w[(k * channels + i % channels) * taps + i / channels] = c->w[k * channels * taps + i];
  q8_status status = q8_conv_pack_mapped(kernels, g, w, NULL, requant, pool, out, NULL);
  free(w);
  return status;
}

static void run_case(int8_case *c) {
  q8_cpu_mask masks[NN_MAX_MASKS];
  size_t count = nn_masks(masks);
  q8_host host = nn_host(1);
  for (size_t i = 0; i < count; i++) {
    q8_kernels kernels;
    q8_pool pool;
    q8_conv packed, conv;
    q8_conv_geometry other = c->g; /* weights packed for another number of images serve */
    other.n += test_random() % 3;
    q8_kernels_select(masks[i], &kernels);
    q8_pool_init(&pool, &host);
    q8_status status = pack_case(c, &kernels, &other, &pool, &packed);
    CHECK_EQ(status, QINT8_OK);
    if (status == QINT8_OK) {
      q8_conv_resize(&packed, &c->g, &conv);
      conv.exact_x = c->exact_x;
      run_threads(c, &kernels, &conv);
    }
    q8_pool_destroy(&pool);
  }
}

static void run_cases(nn_shape shape, int count) {
  for (int i = 0; i < count && !test_failed_checks; i++) {
    int mode = i % 4; /* twice as many of the usual kind */
    int8_case c = case_new(shape, mode < 2 ? Q8_EPILOGUE_REQUANT : Q8_EPILOGUE_DEQUANT, mode == 3);
    run_case(&c);
    case_free(&c);
  }
}

static void matrix(void) {
  run_cases(NN_MATRIX, 120);
}
static void few_rows(void) {
  run_cases(NN_FEW_ROWS, 8);
}
static void pointwise(void) {
  run_cases(NN_POINTWISE, 40);
}
static void taps(void) {
  run_cases(NN_TAPS, 120);
}
static void stem(void) {
  run_cases(NN_STEM, 120);
}
static void lines(void) {
  run_cases(NN_LINES, 120);
}
static void grouped(void) {
  run_cases(NN_GROUPED, 120);
}
static void depthwise(void) {
  run_cases(NN_DEPTHWISE, 80);
}

/* Sums at the limit of int32 are exact; one product more is refused. */
static void longest_sum(void) {
  q8_kernels kernels;
  q8_host host = nn_host(1);
  q8_pool pool;
  q8_conv conv;
  int8_t *w = array(Q8_MAX_DOT + 1, 1);
  uint8_t *x = array(Q8_MAX_DOT, 1);
  int32_t zero = 0, offset[64] = {0};
  float scale[65] = {1.0f}, bias[65] = {0}, y;
  q8_conv_geometry g = {1, 1, 1, Q8_MAX_DOT, 1, 1, 1, 1, 1, 1, 1, 1, 0, 0, 1, 1};
  memset(w, -128, Q8_MAX_DOT + 1);
  memset(x, 255, Q8_MAX_DOT);
  q8_kernels_select(q8_cpu_detect(), &kernels);
  q8_pool_init(&pool, &host);
  CHECK_EQ(q8_conv_pack(&kernels, &g, w, 0, &pool, &conv, NULL), QINT8_OK);
  q8_conv_fold_bias(&conv, NULL, zero, offset);
  q8_epilogue e = {.kind = Q8_EPILOGUE_DEQUANT,
                   .offset = offset,
                   .scale = scale,
                   .bias = bias,
                   .lo = -INFINITY,
                   .hi = INFINITY};
  void *scratch = q8_alloc(&host, q8_conv_scratch(&conv, 1), 1);
  q8_conv_run(&conv, &kernels, x, &zero, 0, &e, &y, scratch, &host);
  CHECK(y == (float)(-128.0 * 255 * Q8_MAX_DOT));
  g.c = Q8_MAX_DOT + 1;
  CHECK_EQ(q8_conv_pack(&kernels, &g, w, 0, &pool, &conv, NULL), QINT8_ERROR_LIMIT);
  q8_free(&host, scratch);
  q8_pool_destroy(&pool);
  free(w);
  free(x);
}

int main(int argc, char **argv) {
  TEST_BEGIN(argc, argv);
  RUN(matrix);
  RUN(few_rows);
  RUN(pointwise);
  RUN(taps);
  RUN(stem);
  RUN(lines);
  RUN(grouped);
  RUN(depthwise);
  RUN(longest_sum);
  return TEST_END();
}
