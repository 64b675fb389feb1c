/* Kernels on rows of values against the plain formulas, byte for byte. */
#include <float.h>
#include <math.h>
#include <string.h>

#include "reference.h"
#include "walk.h"

enum { MAX_SIZE = 1 << 18, MAX_TAPS = 64 };

static walk_buffer x_buffer, b_buffer, pointers, row_buffers[MAX_TAPS];

static void init(void) {
  walk_buffer_init(&x_buffer, MAX_SIZE);
  walk_buffer_init(&b_buffer, MAX_SIZE);
  walk_buffer_init(&pointers, MAX_TAPS * sizeof(void *));
  for (size_t i = 0; i < MAX_TAPS; i++)
    walk_buffer_init(&row_buffers[i], 4096);
}

static uint8_t *random_bytes(const walk_buffer *buffer, size_t n, int front) {
  uint8_t *p = walk_place(buffer, n, 1, front);
  for (size_t i = 0; i < n; i++)
    p[i] = (uint8_t)test_random();
  return p;
}

/* Every length up to 140, then some long ones. */
static size_t next_length(size_t n) {
  return n < 140 ? n + 1 : n + 317;
}

/* Ties, both infinities, NaN, zeros of both signs, denormals, values beyond int32, values inside the range.
 */
static float some_float(float scale) {
  static const float fixed[] = {NAN,     -NAN,    INFINITY, -INFINITY, 0.0f, -0.0f, 1e-45f,
                                -1e-45f, FLT_MIN, FLT_MAX,  -FLT_MAX,  3e9f, -3e9f};
  switch (test_random() % 4) {
  case 0:
    return fixed[test_random() % COUNT_OF(fixed)];
  case 1:
    return ((float)test_random_int(-300, 300) + 0.5f) * scale;
  default:
    return test_random_float(-300, 300) * scale;
  }
}

static void quantize_record(const void *record) {
  const q8_quantize_kernel *kernel = record;
  static const float scales[] = {1.0f, 0.5f, 0.0123f, 0x1p-126f, 1e-45f, 1e30f, FLT_MAX};
  for (size_t n = 0; n < 1000; n = next_length(n))
    for (int flip = 0; flip <= 0x80; flip += 0x80) {
      float scale = scales[test_random() % COUNT_OF(scales)];
      int32_t zero = test_random_int(0, 255);
      walk_case("n %zu scale %g zero %d flip %d", n, (double)scale, zero, flip);
      float *x = walk_place(&x_buffer, n * sizeof *x, 4, 0);
      walk_output out = walk_output_new(n, 1);
      for (size_t i = 0; i < n; i++) {
        x[i] = some_float(scale);
        out.want[i] = (uint8_t)((isnan(x[i]) ? 0 : ref_round_clamp(x[i] / scale, zero, 0, 255)) ^ flip);
      }
      kernel->run(n, x, scale, zero, (uint8_t)flip, out.got);
      walk_output_check(&out);
    }
}

static void dequantize_record(const void *record) {
  const q8_dequantize_kernel *kernel = record;
  for (size_t n = 0; n < 1000; n = next_length(n))
    for (int flip = 0; flip <= 0x80; flip += 0x80) {
      float scale = test_random_float(1e-4f, 0.1f);
      int32_t zero = test_random_int(0, 255);
      walk_case("n %zu scale %g zero %d flip %d", n, (double)scale, zero, flip);
      const uint8_t *x = random_bytes(&x_buffer, n, 0);
      walk_output out = walk_output_new(n * sizeof(float), 4);
      for (size_t i = 0; i < n; i++) {
        float y = (float)((x[i] ^ flip) - zero) * scale;
        memcpy(out.want + i * sizeof y, &y, sizeof y);
      }
      kernel->run(n, x, scale, zero, (uint8_t)flip, (float *)(void *)out.got);
      walk_output_check(&out);
    }
}

static void minmax_record(const void *record) {
  const q8_minmax_kernel *kernel = record;
  for (size_t n = 0; n < 1000; n = next_length(n))
    for (int kind = 0; kind < 6; kind++) {
      float want_min = INFINITY, want_max = -INFINITY, min = 7, max = 7;
      int fine = 1, only = kind == 4 && n > 0 ? test_random_int(0, (int)n - 1) : -1;
      walk_case("n %zu kind %d", n, kind);
      float *x = walk_place(&x_buffer, n * sizeof *x, 4, 0);
      for (size_t i = 0; i < n; i++) {
        int is_nan = kind == 3 || (kind == 2 && test_random() % 2) || (int)i == only;
        x[i] = is_nan ? NAN : kind == 1 ? some_float(1.0f) : kind == 5 ? -0.0f : test_random_float(-5, 5);
        fine &= !isnan(x[i]);
        want_min = x[i] < want_min ? x[i] : want_min;
        want_max = x[i] > want_max ? x[i] : want_max;
      }
      if (kernel->run(n, x, &min, &max) != fine || !(min == want_min && max == want_max) ||
          (kind == 5 && n && (signbit(min) || signbit(max))))
        walk_failed("%g .. %g, expected %g .. %g, and %s NaN", (double)min, (double)max, (double)want_min,
                    (double)want_max, fine ? "no" : "a");
    }
}

static void minmax_rows_record(const void *record) {
  const q8_minmax_rows_kernel *kernel = record;
  for (size_t n = 0; n < 300; n = next_length(n))
    for (size_t rows = 0; rows < 20; rows++) {
      int fine = 1, kind = test_random_int(0, 3);
      walk_case("%zu rows of %zu, kind %d", rows, n, kind);
      float *x = walk_place(&x_buffer, rows * n * sizeof *x, 4, 0);
      walk_output out = walk_output_new(rows * 2 * sizeof(float), 4);
      for (size_t i = 0; i < rows * n; i++) {
        x[i] = kind == 1 ? some_float(1.0f) : kind == 2 ? -0.0f : test_random_float(-5, 5);
        if (kind == 3 && test_random() % 20 == 0)
          x[i] = NAN;
      }
      for (size_t r = 0; r < rows; r++) {
        q8_ends ends = {INFINITY, -INFINITY};
        for (size_t i = 0; i < n; i++) {
          float v = x[r * n + i];
          fine &= !isnan(v);
          ends.min = v < ends.min ? v : ends.min;
          ends.max = v > ends.max ? v : ends.max;
        }
        ends.min += 0.0f; /* no -0 */
        ends.max += 0.0f;
        memcpy(out.want + r * sizeof ends, &ends, sizeof ends);
      }
      if (kernel->run(rows, n, x, (q8_ends *)(void *)out.got) != fine)
        walk_failed("expected to be told %s NaN", fine ? "no" : "a");
      walk_output_check(&out);
    }
}

static void slots_record(const void *record) {
  const q8_slots_kernel *kernel = record;
  for (size_t n = 0; n < 1000; n = next_length(n))
    for (int kind = 0; kind < 5; kind++) {
      float inverse = kind == 1 ? 65536.0f : kind == 2 ? 0x1p-20f : 16.0f;
      int fine = 1;
      size_t kept = 0;
      walk_case("n %zu kind %d", n, kind);
      float *x = walk_place(&x_buffer, n * sizeof *x, 4, 0);
      uint16_t got[1000 + Q8_SLOTS_SLACK], want[1000];
      for (size_t i = 0; i < n; i++) {
        x[i] = test_random_float(-60, 60);
        if (kind >= 2 && test_random() % 2 == 0) /* exact bounds of bins, zeros of both signs, denormals */
          x[i] = test_random() % 2 ? (float)test_random_int(-64, 64) / 16 : test_random() % 2 ? -0.0f : -1e-42f;
        if (kind == 4 && test_random() % 50 == 0)
          x[i] = NAN;
        fine &= !isnan(x[i]);
        if (fine && x[i] != 0)
          want[kept++] = (uint16_t)((uint32_t)(int32_t)floorf(x[i] * inverse) % Q8_SLOTS);
      }
      size_t count = kernel->run(n, x, inverse, got);
      if (count != (fine ? kept : Q8_NAN))
        walk_failed("%zu slots, expected %zu", count, fine ? kept : Q8_NAN);
      for (size_t i = 0; fine && i < kept; i++)
        if (got[i] != want[i])
          walk_failed("slot %zu is %d, expected %d", i, got[i], want[i]);
    }
}

static void table_record(const void *record) {
  const q8_table_kernel *kernel = record;
  uint8_t *table = walk_place(&b_buffer, 256, 1, 0);
  for (size_t n = 0; n < 1000; n = next_length(n))
    for (int in_place = 0; in_place < 2; in_place++) {
      walk_case("n %zu in place %d", n, in_place);
      for (size_t i = 0; i < 256; i++)
        table[i] = (uint8_t)test_random();
      uint8_t *x = random_bytes(&x_buffer, n, 0);
      walk_output out = walk_output_new(n, 1);
      for (size_t i = 0; i < n; i++)
        out.want[i] = table[x[i]];
      if (in_place)
        memcpy(out.got, x, n);
      kernel->run(n, in_place ? out.got : x, table, out.got);
      walk_output_check(&out);
    }
}

static float binary_scale(void) {
  static const float fixed[] = {1.0f, 0.5f, 0.25f, 2.0f};
  return test_random() & 1 ? fixed[test_random() % COUNT_OF(fixed)] : test_random_float(0.003f, 0.3f);
}

/* Scales that are powers of two make every product exact. */
static const float *exact_ratios(q8_binary *p, float *ratio) {
  static const float scales[] = {0.0625f, 0.25f, 0.5f, 1.0f, 2.0f};
  p->a_scale = scales[test_random() % COUNT_OF(scales)];
  p->b_scale = scales[test_random() % COUNT_OF(scales)];
  p->y_scale = scales[test_random() % COUNT_OF(scales)];
  for (int b = 0; b < 256; b++)
    ratio[b] = (float)(b - p->b_zero) * p->b_scale * p->a_scale / p->y_scale;
  return ratio;
}

static void binary_case(const q8_binary_kernel *kernel, size_t n, int multiply) {
  int32_t lo = test_random() & 1 ? 0 : test_random_int(0, 200),
          hi = test_random() & 1 ? 255 : test_random_int(lo, 255);
  q8_binary p = {binary_scale(),
                 binary_scale(),
                 binary_scale(),
                 test_random_int(0, 255),
                 test_random_int(0, 255),
                 test_random_int(0, 255),
                 lo,
                 hi,
                 NULL};
  float ratio[256];
  if (test_random() % 8 == 0)
    p.y_scale = 1e-38f; /* the quotient leaves the range of int32, or of float */
  else if (multiply && test_random() & 1)
    p.ratio = exact_ratios(&p, ratio);
  size_t rows = 1 + test_random() % 4, a_stride = test_random() % 4 ? n + test_random() % 4 : 0;
  size_t b_stride = test_random() & 1 ? n + test_random() % 4 : 0, y_stride = n + test_random() % 4;
  int in_place = a_stride && (int)(test_random() & 1);
  if (in_place)
    a_stride = y_stride;
  walk_case("rows %zu n %zu strides %zu %zu %zu in place %d", rows, n, a_stride, b_stride, y_stride,
            in_place);
  uint8_t *a = random_bytes(&x_buffer, (rows - 1) * a_stride + n, 0);
  const uint8_t *b = random_bytes(&b_buffer, (rows - 1) * b_stride + n, 0);
  walk_output out = walk_output_new((rows - 1) * y_stride + n, 1);
  if (in_place) {
    memcpy(out.got, a, out.size);
    memcpy(out.want, a, out.size);
  }
  for (size_t r = 0; r < rows; r++)
    for (size_t c = 0; c < n; c++)
      out.want[r * y_stride + c] = ref_binary(&p, a[r * a_stride + c], b[r * b_stride + c], multiply);
  kernel->run(rows, n, in_place ? out.got : a, a_stride, b, b_stride, &p, out.got, y_stride);
  walk_output_check(&out);
}

static void add_record(const void *record) {
  for (size_t n = 1; n < 1000; n = next_length(n))
    for (size_t i = 0; i < 4; i++)
      binary_case(record, n, 0);
}

static void mul_record(const void *record) {
  for (size_t n = 1; n < 1000; n = next_length(n))
    for (size_t i = 0; i < 4; i++)
      binary_case(record, n, 1);
}

static void max_rows_record(const void *record) {
  const q8_max_rows_kernel *kernel = record;
  for (size_t n = 1; n < 1000; n = next_length(n)) {
    size_t taps = n % 3 ? 1 + test_random() % 12 : 1 + test_random() % MAX_TAPS;
    walk_case("taps %zu n %zu", taps, n);
    const uint8_t **a = walk_place(&pointers, taps * sizeof *a, sizeof *a, 0);
    for (size_t t = 0; t < taps; t++)
      a[t] = random_bytes(&row_buffers[t], n, (int)(t & 1));
    walk_output out = walk_output_new(n, 1);
    for (size_t c = 0; c < n; c++) {
      out.want[c] = 0;
      for (size_t t = 0; t < taps; t++)
        if (a[t][c] > out.want[c])
          out.want[c] = a[t][c];
    }
    kernel->run(taps, n, (const uint8_t *const *)a, out.got);
    walk_output_check(&out);
  }
}

static void sum_rows_case(const q8_sum_rows_kernel *kernel, size_t taps, size_t n, int all_ones) {
  size_t stride = n + test_random() % 5;
  walk_case("taps %zu n %zu stride %zu all 255 %d", taps, n, stride, all_ones);
  uint8_t *a = random_bytes(&x_buffer, (taps - 1) * stride + n, 0);
  if (all_ones)
    memset(a, 255, (taps - 1) * stride + n);
  walk_output out = walk_output_new(n * sizeof(int32_t), 4);
  for (size_t c = 0; c < n; c++) {
    int32_t sum = 0;
    for (size_t t = 0; t < taps; t++)
      sum += a[t * stride + c];
    memcpy(out.want + c * sizeof sum, &sum, sizeof sum);
  }
  kernel->run(taps, n, a, stride, (int32_t *)(void *)out.got);
  walk_output_check(&out);
}

static void sum_rows_record(const void *record) {
  for (size_t n = 1; n < 1000; n = next_length(n))
    sum_rows_case(record, 1 + test_random() % 60, n, 0);
  /* 257 and 258 taps of 255 are the last sum that fits in 16 bits and the first that does not. */
  static const size_t taps[] = {128, 129, 255, 256, 257, 258, 512, 1000};
  for (size_t i = 0; i < COUNT_OF(taps); i++)
    for (size_t n = 1; n <= 70; n += 23)
      sum_rows_case(record, taps[i], n, 1);
}

/* Strides are up to `gap` elements more than what lies there. */
static void transpose_case(const q8_transpose_kernel *kernel, size_t rows, size_t cols, size_t size, size_t gap) {
  size_t x_stride = cols + test_random() % (gap + 1), y_stride = rows + test_random() % (gap + 1);
  walk_case("%zu x %zu strides %zu %zu", rows, cols, x_stride, y_stride);
  size_t bytes = ((rows - 1) * x_stride + cols) * size;
  uint8_t *x = walk_place(&x_buffer, bytes, size, 0);
  for (size_t i = 0; i < bytes; i++)
    x[i] = (uint8_t)test_random();
  walk_output out = walk_output_new(((cols - 1) * y_stride + rows) * size, size);
  for (size_t r = 0; r < rows; r++)
    for (size_t c = 0; c < cols; c++)
      memcpy(out.want + (c * y_stride + r) * size, x + (r * x_stride + c) * size, size);
  kernel->run(rows, cols, x, x_stride, out.got, y_stride);
  walk_output_check(&out);
}

static void transposes(const q8_transpose_kernel *kernel, size_t size) {
  for (size_t rows = 1; rows <= 40; rows += 1 + rows / 9)
    for (size_t cols = 1; cols <= 40; cols += 1 + cols / 9)
      for (size_t gap = 0; gap <= 3; gap += 3)
        transpose_case(kernel, rows, cols, size, gap);
  transpose_case(kernel, 3, 500, size, 3);
  transpose_case(kernel, 500, 3, size, 3);
  transpose_case(kernel, 129, 67, size, 3);
}

static void pack_pairs_case(const q8_pack_pairs_kernel *kernel, size_t rows, size_t pairs) {
  size_t x_stride = 2 * pairs + test_random() % 4, y_stride = rows + test_random() % 4;
  walk_case("%zu x %zu pairs strides %zu %zu", rows, pairs, x_stride, y_stride);
  int8_t *x = walk_place(&x_buffer, (rows - 1) * x_stride + 2 * pairs, 1, 0);
  for (size_t i = 0; i < (rows - 1) * x_stride + 2 * pairs; i++)
    x[i] = (int8_t)(test_random() & 255);
  walk_output out = walk_output_new(((pairs - 1) * y_stride + rows) * 4, 2);
  for (size_t r = 0; r < rows; r++)
    for (size_t i = 0; i < 2 * pairs; i++) {
      int16_t value = x[r * x_stride + i];
      memcpy(out.want + ((i / 2 * y_stride + r) * 2 + i % 2) * 2, &value, 2);
    }
  kernel->run(rows, pairs, x, x_stride, (int16_t *)(void *)out.got, y_stride);
  walk_output_check(&out);
}

static void pack_pairs_record(const void *record) {
  for (size_t rows = 1; rows <= 40; rows += 1 + rows / 9)
    for (size_t pairs = 1; pairs <= 40; pairs += 1 + pairs / 9)
      pack_pairs_case(record, rows, pairs);
  pack_pairs_case(record, 24, 333);
}

static void widen_record(const void *record) {
  const q8_widen_kernel *kernel = record;
  for (size_t n = 0; n < 1000; n = next_length(n)) {
    walk_case("n %zu", n);
    const uint8_t *x = random_bytes(&x_buffer, n, 0);
    walk_output out = walk_output_new(2 * n, 2);
    for (size_t i = 0; i < n; i++) {
      const int16_t value = x[i];
      memcpy(out.want + 2 * i, &value, 2);
    }
    kernel->run(n, x, (int16_t *)(void *)out.got);
    walk_output_check(&out);
  }
}

static void transpose8_record(const void *record) {
  transposes(record, 1);
}
static void transpose32_record(const void *record) {
  transposes(record, 4);
}

static void quantize(void) {
  WALK_FUNCTION(q8_quantize_kernel, quantize, quantize_record);
}
static void dequantize(void) {
  WALK_FUNCTION(q8_dequantize_kernel, dequantize, dequantize_record);
}
static void minmax(void) {
  WALK_FUNCTION(q8_minmax_kernel, minmax, minmax_record);
}
static void minmax_rows(void) {
  WALK_FUNCTION(q8_minmax_rows_kernel, minmax_rows, minmax_rows_record);
}
static void slots(void) {
  WALK_FUNCTION(q8_slots_kernel, slots, slots_record);
}
static void table(void) {
  WALK_FUNCTION(q8_table_kernel, table, table_record);
}
static void add(void) {
  WALK_FUNCTION(q8_binary_kernel, add, add_record);
}
static void mul(void) {
  WALK_FUNCTION(q8_binary_kernel, mul, mul_record);
}
static void max_rows(void) {
  WALK_FUNCTION(q8_max_rows_kernel, max_rows, max_rows_record);
}
static void sum_rows(void) {
  WALK_FUNCTION(q8_sum_rows_kernel, sum_rows, sum_rows_record);
}
static void transpose8(void) {
  WALK_FUNCTION(q8_transpose_kernel, transpose8, transpose8_record);
}
static void pack_pairs(void) {
  WALK_FUNCTION(q8_pack_pairs_kernel, pack_pairs, pack_pairs_record);
}
static void widen(void) {
  WALK_FUNCTION(q8_widen_kernel, widen, widen_record);
}
static void transpose32(void) {
  WALK_FUNCTION(q8_transpose_kernel, transpose32, transpose32_record);
}

int main(int argc, char **argv) {
  TEST_BEGIN(argc, argv);
  init();
  RUN(quantize);
  RUN(dequantize);
  RUN(minmax);
  RUN(minmax_rows);
  RUN(slots);
  RUN(table);
  RUN(add);
  RUN(mul);
  RUN(max_rows);
  RUN(sum_rows);
  RUN(transpose8);
  RUN(transpose32);
  RUN(pack_pairs);
  RUN(widen);
  return TEST_END();
}
