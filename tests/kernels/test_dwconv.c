/* Every depthwise kernel against a naive sum and the plain requantization formula. */
#include <string.h>

#include "reference.h"
#include "walk.h"

enum {
  ROW_COUNT = 32,
  MAX_CHANNELS = 256,
  MAX_KERNEL = 13,
  MAX_WEIGHTS = MAX_KERNEL * MAX_KERNEL * MAX_CHANNELS,
  MAX_COLUMNS = 512,
  MAX_SIZE = 1 << 18
};

enum operands { RANDOM, LOW_LOW, HIGH_LOW, HIGH_HIGH, LOW_HIGH, OPERANDS };

static walk_buffer rows[ROW_COUNT], columns_buffer, weights_buffer, packed, bias_buffer, scale_buffer;
static int8_t *weights; /* [r][s][channels], up to an unreadable page */

/* Accumulators spread over and beyond the output range, so that rounding and clamps both happen. */
static void make_requant(q8_requant *rq, size_t channels, size_t taps) {
  size_t n = (channels + 63) / 64 * 64;
  int32_t *bias = walk_place(&bias_buffer, n * sizeof *bias, 4, 0);
  float *scale = walk_place(&scale_buffer, n * sizeof *scale, 4, 0);
  for (size_t c = 0; c < n; c++) {
    bias[c] = test_random_int(-20000, 20000);
    scale[c] = test_random_float(0.25f, 1.0f) / (64.0f * (float)taps);
    if (test_random() % 512 == 0)
      scale[c] *= 1e4f; /* from 1 up, which some kernels treat apart */
  }
  int32_t lo = test_random() & 1 ? 0 : test_random_int(0, 100),
          hi = test_random() & 1 ? 255 : test_random_int(lo, 255);
  *rq = (q8_requant){bias, scale, test_random_int(0, 255), lo, hi};
}

static void fill(uint8_t *p, size_t n, enum operands kind) {
  for (size_t i = 0; i < n; i++)
    p[i] = kind == RANDOM ? (uint8_t)test_random() : kind == LOW_LOW || kind == LOW_HIGH ? 0 : 255;
}

static int8_t weight(const q8_dwconv_kernel *kernel, enum operands kind) {
  if (kind == RANDOM)
    return (int8_t)test_random_int(kernel->b_min, 127);
  return kind == LOW_LOW || kind == HIGH_LOW ? kernel->b_min : 127;
}

static int64_t naive(const q8_dwconv_shape *s, const uint8_t *const *cols, int a_shift, size_t x, size_t c) {
  int64_t sum = 0;
  for (size_t i = 0; i < s->r; i++)
    for (size_t j = 0; j < s->s; j++)
      sum += (int64_t)(cols[(x * s->col_step + j * s->col_dilation) * s->r + i][s->offset + c] - a_shift) *
             weights[(i * s->s + j) * s->channels + c];
  return sum;
}

/* Whether the pair of output rows serves the shape. */
static int is_paired(const q8_dwconv_kernel *kernel, const q8_dwconv_shape *s) {
  return kernel->run_pair && s->col_step == 1 && s->col_dilation == 1;
}

/* Both rows of a pair; cols has one more pointer per column. */
static void check_pair(const q8_dwconv_kernel *kernel, const q8_dwconv_shape *s, const void *w, const q8_requant *rq,
                       const uint8_t *const *cols, size_t stride) {
  const size_t n = s->channels, columns = s->q - 1 + s->s, row_stride = s->q * stride + test_random() % 3;
  const uint8_t *one[MAX_COLUMNS * 4];
  walk_output out = walk_output_new(row_stride + (s->q - 1) * stride + n, 1);
  for (size_t row = 0; row < 2; row++) {
    for (size_t i = 0; i < columns * s->r; i++)
      one[i] = cols[i / s->r * (s->r + 1) + i % s->r + row];
    for (size_t x = 0; x < s->q; x++)
      for (size_t c = 0; c < n; c++)
        out.want[row * row_stride + x * stride + c] =
            ref_requant(naive(s, one, kernel->a_shift, x, c), rq, c);
  }
  kernel->run_pair(s, w, rq, cols, out.got, stride, row_stride);
  walk_output_check(&out);
}

static void check_sums(const q8_dwconv_kernel *kernel, const q8_dwconv_shape *s, const void *w,
                       const uint8_t *const *cols, size_t stride) {
  const size_t n = s->channels;
  walk_output out = walk_output_new(((s->q - 1) * stride + n) * sizeof(int32_t), sizeof(int32_t));
  int32_t *want = (int32_t *)(void *)out.want;
  for (size_t x = 0; x < s->q; x++)
    for (size_t c = 0; c < n; c++)
      want[x * stride + c] = (int32_t)naive(s, cols, kernel->a_shift, x, c);
  kernel->run_sums(s, w, cols, (int32_t *)(void *)out.got, stride);
  walk_output_check(&out);
}

static void one_case(const q8_dwconv_kernel *kernel, const q8_dwconv_shape *s, enum operands kind) {
  const uint8_t *place[ROW_COUNT];
  size_t columns = (s->q - 1) * s->col_step + (s->s - 1) * s->col_dilation + 1, n = s->channels;
  walk_case("%zux%zu channels %zu q %zu step %zu dilation %zu operands %d", s->r, s->s, n, s->q, s->col_step,
            s->col_dilation, kind);
  for (size_t i = 0; i < ROW_COUNT; i++) {
    uint8_t *p = walk_place(&rows[i], n, 1, (int)(i & 1));
    fill(p, n, kind);
    place[i] = p;
  }
  const size_t pointers = columns * (s->r + (is_paired(kernel, s) ? 1 : 0));
  const uint8_t **cols = walk_place(&columns_buffer, pointers * sizeof *cols, sizeof *cols, 0);
  for (size_t i = 0; i < pointers; i++)
    cols[i] = (const uint8_t *)((uintptr_t)place[test_random() % ROW_COUNT] - s->offset);
  weights = walk_place(&weights_buffer, s->r * s->s * n, 1, 0);
  for (size_t i = 0; i < s->r * s->s * n; i++)
    weights[i] = weight(kernel, kind);
  void *w = walk_place(&packed, kernel->packed_size(n, s->r, s->s), 64, 0);
  kernel->pack(n, s->r, s->s, weights, w);
  q8_requant rq;
  make_requant(&rq, n, s->r * s->s);
  size_t stride = n + test_random() % 5;
  walk_output out = walk_output_new((s->q - 1) * stride + n, 1);
  for (size_t x = 0; x < s->q; x++)
    for (size_t c = 0; c < n; c++)
      out.want[x * stride + c] =
          ref_requant(naive(s, (const uint8_t *const *)cols, kernel->a_shift, x, c), &rq, c);
  kernel->run(s, w, &rq, (const uint8_t *const *)cols, out.got, stride);
  walk_output_check(&out);
  check_sums(kernel, s, w, (const uint8_t *const *)cols, stride);
  if (is_paired(kernel, s))
    check_pair(kernel, s, w, &rq, (const uint8_t *const *)cols, stride);
}

/* All channel counts up to 130 for one kernel size, strides 1 to 3 and dilations 1 and 2 in turn. */
static void one_size(const q8_dwconv_kernel *kernel, size_t r, size_t s, size_t channel_step) {
  for (size_t c = 1; c <= 130; c += channel_step) {
    q8_dwconv_shape shape = {c, r, s, 1 + test_random() % 9, 1 + c % 3, 1 + c / 3 % 2, test_random() % 3 * 5003};
    one_case(kernel, &shape, RANDOM);
  }
  for (int kind = RANDOM; kind < OPERANDS; kind++)
    for (size_t step = 1; step <= 3; step++)
      for (size_t dilation = 1; dilation <= 2; dilation++) {
        q8_dwconv_shape shape = {(size_t)test_random_int(1, 100), r,    s,
                                 1 + test_random() % 9,           step, dilation, test_random() % 3 * 5003};
        one_case(kernel, &shape, (enum operands)kind);
      }
}

/* Rows long enough to be worked on in stretches. */
static void long_rows(const q8_dwconv_kernel *kernel, size_t r, size_t s) {
  for (size_t q = 10; q <= 130; q += 7) {
    q8_dwconv_shape shape = {(size_t)test_random_int(1, 130), r, s, q, 1 + q % 3, 1 + q / 2 % 2, test_random() % 3 * 5003};
    one_case(kernel, &shape, RANDOM);
  }
}

/* All channel counts up to 130, each with short and long rows. */
static void pairs(const q8_dwconv_kernel *kernel) {
  for (size_t c = 1; c <= 130; c++)
    for (size_t most = 5; most <= 40; most += 35) {
      q8_dwconv_shape shape = {c, kernel->r, kernel->s, 1 + test_random() % most, 1, 1, test_random() % 3 * 5003};
      one_case(kernel, &shape, (enum operands)(c % OPERANDS));
    }
}

static void dwconv_record(const void *record) {
  const q8_dwconv_kernel *kernel = record;
  CHECK((kernel->r == 0) == (kernel->s == 0));
  if (kernel->run_pair)
    pairs(kernel);
  if (kernel->r) {
    one_size(kernel, kernel->r, kernel->s, 1);
    long_rows(kernel, kernel->r, kernel->s);
    return;
  }
  for (size_t r = 1; r <= 7; r++)
    for (size_t s = 1; s <= 7; s++)
      one_size(kernel, r, s, (r == 3 || r == 5) && s == r ? 1 : 11);
  static const size_t more[][2] = {{3, 3}, {5, 5}, {7, 7}, {1, 9}, {9, 1}, {4, 10}, {9, 9}, {13, 13}};
  for (size_t i = 0; i < COUNT_OF(more); i++)
    long_rows(kernel, more[i][0], more[i][1]);
}

static void dwconv(void) {
  for (size_t i = 0; i < ROW_COUNT; i++)
    walk_buffer_init(&rows[i], MAX_CHANNELS);
  walk_buffer_init(&columns_buffer, MAX_COLUMNS * (MAX_KERNEL + 1) * sizeof(void *));
  walk_buffer_init(&weights_buffer, MAX_WEIGHTS);
  walk_buffer_init(&packed, MAX_SIZE);
  walk_buffer_init(&bias_buffer, MAX_CHANNELS * 4);
  walk_buffer_init(&scale_buffer, MAX_CHANNELS * 4);
  WALK(q8_dwconv_kernel, dwconv, dwconv_record);
}

/* Selection is per kernel size: whatever the mask, a record of that size or of any size, exact for the
 * weights. */
static void dwconv_selection(void) {
  for (size_t i = 0; i <= q8_isa_count; i++)
    for (size_t r = 1; r <= 7; r++)
      for (int w_min = -128; w_min <= -127; w_min++) {
        q8_cpu_mask mask = i < q8_isa_count ? q8_isa_list[i]->needs : 0;
        const q8_dwconv_kernel *kernel = q8_kernels_dwconv(mask, r, r, w_min);
        CHECK(kernel != NULL);
        if (kernel) {
          CHECK(kernel->r == 0 || (kernel->r == r && kernel->s == r));
          CHECK((kernel->needs & ~mask) == 0);
          CHECK(kernel->b_min <= w_min);
        }
      }
}

int main(int argc, char **argv) {
  TEST_BEGIN(argc, argv);
  RUN(dwconv);
  RUN(dwconv_selection);
  return TEST_END();
}
