/* Float rows: each record byte for byte like the scalar one, and that one near libm. */
#include <math.h>
#include <string.h>

#include "walk.h"

enum { MAX_ROWS = 7, MAX_N = 200, MAX_SIZE = 1 << 16 };

static walk_buffer input, other;

static const q8_isa *scalar(void) {
  return q8_isa_list[q8_isa_count - 1];
}

static const float special[] = {0.0f,    -0.0f,     INFINITY, -INFINITY, 1e-40f,    -1e-40f,    88.4f, -88.4f,
                                3e38f,   -3e38f,    0.625f,   -0.625f,   1.0f,      -1.0f,      4.0f,  -4.0f,
                                -87.7f,  3.0f,      -3.0f,    1e-20f,    0x1p-126f, 0x1.8p127f, 9.0f,  -9.0f};

static float *random_floats(const walk_buffer *buffer, size_t n, int with_special) {
  float *x = walk_place(buffer, n * sizeof *x, sizeof *x, 0);
  for (size_t i = 0; i < n; i++)
    x[i] = with_special && test_random() % 4 == 0 ? special[test_random() % COUNT_OF(special)]
                                                  : test_random_float(-10, 10);
  return x;
}

/* NaN may have other bits: both sides get the same. */
static void settle_nan(walk_output *out, size_t n) {
  for (size_t i = 0; i < n; i++) {
    float got, want;
    memcpy(&got, out->got + 4 * i, 4);
    memcpy(&want, out->want + 4 * i, 4);
    if (isnan(got) && isnan(want))
      memcpy(out->want + 4 * i, &got, 4);
  }
}

static void sunary_case(const q8_sunary_kernel *k, const q8_sunary *f, size_t n, int in_place) {
  walk_case("function %d n %zu%s", (int)f->function, n, in_place ? " in place" : "");
  const float *x = random_floats(&input, n, 1);
  walk_output out = walk_output_new(n * sizeof(float), sizeof(float));
  scalar()->sunary(n, f, x, (float *)(void *)out.want);
  if (in_place)
    memcpy(out.got, x, n * sizeof *x);
  k->run(n, f, in_place ? (float *)(void *)out.got : x, (float *)(void *)out.got);
  settle_nan(&out, n);
  walk_output_check(&out);
}

static void sunary_record(const void *record) {
  for (int function = 1; function < Q8_SUNARY_COUNT; function++)
    for (size_t n = 1; n <= MAX_N; n += n < 70 ? 1 : 13) {
      const q8_sunary f = {(q8_sunary_function)function, test_random_float(0.1f, 0.5f), test_random_float(0, 1)};
      sunary_case(record, &f, n, (int)(n & 1));
    }
}
static void sunary(void) {
  walk_buffer_init(&input, MAX_SIZE);
  WALK_FUNCTION(q8_sunary_kernel, sunary, sunary_record);
}

/* ---- The scalar functions against libm ---- */

static double sigmoid(double x) {
  return 1 / (1 + exp(-x));
}
static double silu(double x) {
  return x * sigmoid(x);
}
static double hard_sigmoid(double x) {
  return fmin(fmax((double)0.2f * x + 0.5, 0), 1);
}
static double hard_swish(double x) {
  return x * fmin(fmax(x / 6 + 0.5, 0), 1);
}
static double gelu(double x) {
  return 0.5 * x * erfc(-x / sqrt(2));
}
static double gelu_tanh(double x) {
  return 0.5 * x * (1 + tanh(sqrt(2 / acos(-1)) * (x + 0.044715 * x * x * x)));
}

/* Of the difference as rounded. */
static double exp_from(double x) {
  return exp((double)((float)x - 0.2f));
}

static double elu(double x) {
  return x < 0 ? (double)0.2f * expm1(x) : x;
}
static double log_of(double x) {
  return x < 0 ? NAN : log(x);
}
static double softplus(double x) {
  return fmax(x, 0) + log1p(exp(-fabs(x)));
}

/* The error allowed: `relative` times the result, plus `absolute` where sums cancel (1 + erf near -1 and the like). */
static void near_libm(void) {
  static const struct {
    q8_sunary_function function;
    double (*exact)(double);
    double relative, absolute;
  } rows[] = {{Q8_SUNARY_SIGMOID, sigmoid, 5e-7, 0},          {Q8_SUNARY_SILU, silu, 5e-7, 0},
              {Q8_SUNARY_HARD_SIGMOID, hard_sigmoid, 3e-7, 2e-7}, {Q8_SUNARY_HARD_SWISH, hard_swish, 3e-7, 4e-7},
              {Q8_SUNARY_TANH, tanh, 2.4e-7, 0},              {Q8_SUNARY_ERF, erf, 2.4e-7, 0},
              {Q8_SUNARY_GELU, gelu, 3e-7, 1e-6},             {Q8_SUNARY_GELU_TANH, gelu_tanh, 3e-7, 1e-6},
              {Q8_SUNARY_EXP, exp_from, 2.5e-7, 0},           {Q8_SUNARY_ELU, elu, 3e-7, 5e-8},
              {Q8_SUNARY_LOG, log_of, 2.5e-7, 0},             {Q8_SUNARY_SOFTPLUS, softplus, 4e-7, 0}};
  for (size_t r = 0; r < COUNT_OF(rows); r++)
    for (int i = -160000; i <= 160000; i++) {
      const q8_sunary f = {rows[r].function, 0.2f, 0.5f};
      float x = (float)i / 8192, y;
      scalar()->sunary(1, &f, &x, &y);
      double want = rows[r].exact((double)x), error = fabs((double)y - want);
      int is_near = error <= rows[r].relative * fabs(want) + rows[r].absolute || (double)y == want || (isnan(y) && isnan(want));
      CHECK_MSG(is_near, "function %d of %g is %.9g, not %.9g", (int)f.function, (double)x, (double)y, want);
      if (!is_near)
        break;
    }
}

/* As far as results are normal floats. */
static void exp_to_its_ends(void) {
  const q8_sunary f = {Q8_SUNARY_EXP, 0, 0};
  for (float x = -86.98f; x < 88.7228f; x += 0.0078f) {
    float y;
    scalar()->sunary(1, &f, &x, &y);
    double want = exp((double)x), error = fabs((double)y - want);
    CHECK_MSG(error <= 2.5e-7 * want, "exp(%.9g) is %.9g, not %.9g", (double)x, (double)y, want);
  }
  const float top = 88.722f, over = 88.73f, under = -87;
  float y[3];
  scalar()->sunary(1, &f, &top, y);
  scalar()->sunary(1, &f, &over, y + 1);
  scalar()->sunary(1, &f, &under, y + 2);
  CHECK_MSG(isfinite(y[0]) && isinf(y[1]) && y[2] == 0, "exp gives %g, %g, %g", (double)y[0], (double)y[1], (double)y[2]);
}

static void limits(void) {
  const struct {
    q8_sunary_function function;
    float x, y;
  } rows[] = {{Q8_SUNARY_SIGMOID, INFINITY, 1}, {Q8_SUNARY_SIGMOID, -INFINITY, 0}, {Q8_SUNARY_TANH, INFINITY, 1},
              {Q8_SUNARY_TANH, -INFINITY, -1},  {Q8_SUNARY_TANH, 0, 0},            {Q8_SUNARY_ERF, INFINITY, 1},
              {Q8_SUNARY_ERF, -INFINITY, -1},   {Q8_SUNARY_ERF, 0, 0},             {Q8_SUNARY_SILU, INFINITY, INFINITY},
              {Q8_SUNARY_SILU, 0, 0},           {Q8_SUNARY_HARD_SWISH, 100, 100},  {Q8_SUNARY_GELU, INFINITY, INFINITY},
              {Q8_SUNARY_EXP, INFINITY, INFINITY}, {Q8_SUNARY_EXP, -INFINITY, 0},  {Q8_SUNARY_ELU, INFINITY, INFINITY},
              {Q8_SUNARY_ELU, -INFINITY, -0.2f}, {Q8_SUNARY_ELU, 0, 0},         {Q8_SUNARY_LOG, 0, -INFINITY},
              {Q8_SUNARY_LOG, INFINITY, INFINITY}, {Q8_SUNARY_LOG, 1, 0},         {Q8_SUNARY_LOG, 0x1p-140f, -97.0406053f},
              {Q8_SUNARY_SOFTPLUS, INFINITY, INFINITY}, {Q8_SUNARY_SOFTPLUS, -INFINITY, 0}};
  for (size_t i = 0; i < COUNT_OF(rows); i++) {
    const q8_sunary f = {rows[i].function, 0.2f, 0.5f};
    float y, x = NAN;
    scalar()->sunary(1, &f, &rows[i].x, &y);
    CHECK_MSG(y == rows[i].y, "function %d of %g is %g", (int)f.function, (double)rows[i].x, (double)y);
    scalar()->sunary(1, &f, &x, &y);
    CHECK_MSG(isnan(y), "function %d of NaN is %g", (int)f.function, (double)y);
  }
}

/* ---- Two operands, sums ---- */

static void binary_case(q8_sbinary_fn *run, int multiply, size_t rows, size_t n) {
  size_t sa = n + test_random() % 3, sb = test_random() % 2 ? 0 : n, sy = n + test_random() % 4;
  walk_case("rows %zu n %zu", rows, n);
  const float *a = random_floats(&input, (rows - 1) * sa + n, 0), *b = random_floats(&other, (rows - 1) * sb + n, 0);
  walk_output out = walk_output_new(((rows - 1) * sy + n) * sizeof(float), sizeof(float));
  for (size_t r = 0; r < rows; r++)
    for (size_t i = 0; i < n; i++) {
      float x = a[r * sa + i], z = b[r * sb + i], y = multiply ? x * z : x + z;
      memcpy(out.want + (r * sy + i) * sizeof y, &y, sizeof y);
    }
  run(rows, n, a, sa, b, sb, (float *)(void *)out.got, sy);
  walk_output_check(&out);
}

static void add_record(const void *record) {
  for (size_t n = 1; n <= MAX_N; n++)
    binary_case(((const q8_sbinary_kernel *)record)->run, 0, 1 + n % MAX_ROWS, n);
}
static void multiply_record(const void *record) {
  for (size_t n = 1; n <= MAX_N; n++)
    binary_case(((const q8_sbinary_kernel *)record)->run, 1, 1 + n % MAX_ROWS, n);
}
static void sbinary(void) {
  walk_buffer_init(&input, MAX_SIZE);
  walk_buffer_init(&other, MAX_SIZE);
  WALK_FUNCTION(q8_sbinary_kernel, sadd, add_record);
  WALK_FUNCTION(q8_sbinary_kernel, smul, multiply_record);
}

static void sum_record(const void *record) {
  const q8_ssum_rows_kernel *kernel = record;
  for (size_t n = 1; n <= MAX_N; n++) {
    size_t count = test_random() % 20, stride = n + test_random() % 3;
    walk_case("rows %zu n %zu", count, n);
    const float *x = random_floats(&input, count ? (count - 1) * stride + n : 0, 0);
    walk_output out = walk_output_new(n * sizeof(float), sizeof(float));
    for (size_t i = 0; i < n; i++) {
      float sum = 0;
      for (size_t r = 0; r < count; r++)
        sum += x[r * stride + i];
      memcpy(out.want + i * sizeof sum, &sum, sizeof sum);
    }
    kernel->run(count, n, x, stride, (float *)(void *)out.got);
    walk_output_check(&out);
  }
}
static void ssum_rows(void) {
  walk_buffer_init(&input, MAX_SIZE);
  WALK_FUNCTION(q8_ssum_rows_kernel, ssum_rows, sum_record);
}

int main(int argc, char **argv) {
  TEST_BEGIN(argc, argv);
  RUN(sunary);
  RUN(near_libm);
  RUN(exp_to_its_ends);
  RUN(limits);
  RUN(sbinary);
  RUN(ssum_rows);
  return TEST_END();
}
