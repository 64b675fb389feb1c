/* Every int8 GEMM tile against a naive sum in int64: all counts of taps and k, extreme operands, guard pages.
 */
#include <string.h>

#include "reference.h"
#include "walk.h"

enum { ROW_COUNT = 24, MAX_K = 1024, MAX_TAPS = 49, MAX_TILE = 64 * 64, MAX_PANEL = 1 << 20 };

enum pattern { RANDOM, LOWEST, HIGHEST, ALTERNATE, PATTERNS };

static walk_buffer rows[ROW_COUNT], pointers, panel;
static int16_t weights[MAX_PANEL]; /* [taps * k][nr] */
static int64_t sums[MAX_TILE];

static int pick(enum pattern pattern, size_t i, int lo, int hi) {
  switch (pattern) {
  case LOWEST:
    return lo;
  case HIGHEST:
    return hi;
  case ALTERNATE:
    return i & 1 ? lo : hi;
  default:
    return test_random_int(lo, hi);
  }
}

static int a_value(const q8_gemm_kernel *g, const void *row, size_t i) {
  return g->a_bytes == 2 ? ((const int16_t *)row)[i] : ((const uint8_t *)row)[i] - g->a_shift;
}

/* Rows end at (or begin after) an unreadable page; taps and tile rows share them in random order. */
static void make_rows(const q8_gemm_kernel *g, size_t taps, size_t k, size_t a_stride, enum pattern pattern,
                      const void **a) {
  const void *place[ROW_COUNT];
  for (size_t r = 0; r < ROW_COUNT; r++) {
    void *p = walk_place(&rows[r], k * g->a_bytes, g->a_bytes, (int)(test_random() % 4 == 0));
    for (size_t i = 0; i < k; i++) {
      int value = pick(pattern, i + r, 0, 255);
      if (g->a_bytes == 2)
        ((int16_t *)p)[i] = (int16_t)(value - g->a_shift);
      else
        ((uint8_t *)p)[i] = (uint8_t)value;
    }
    place[r] = p;
  }
  for (size_t i = 0; i < taps * a_stride; i++)
    a[i] = i % a_stride < g->mr ? place[test_random() % ROW_COUNT] : NULL;
}

static const void *make_panel(const q8_gemm_kernel *g, size_t taps, size_t k, enum pattern pattern) {
  size_t count = taps * k * g->nr;
  void *b = walk_place(&panel, count * g->b_bytes, 64, 0);
  for (size_t i = 0; i < count; i++) {
    size_t in_block = i % g->kr, j = i / g->kr % g->nr, block = i / g->kr / g->nr;
    int value = pick(pattern, in_block, g->b_min, 127);
    weights[(block * g->kr + in_block) * g->nr + j] = (int16_t)value;
    if (g->b_bytes == 2)
      ((int16_t *)b)[i] = (int16_t)value;
    else
      ((int8_t *)b)[i] = (int8_t)value;
  }
  return b;
}

static void one_case(const q8_gemm_kernel *g, size_t taps, size_t k, enum pattern ap, enum pattern bp) {
  size_t a_stride = g->mr + test_random() % 3;
  walk_case("taps %zu k %zu a %d b %d", taps, k, ap, bp);
  const void **a = walk_place(&pointers, taps * a_stride * sizeof *a, sizeof *a, 0);
  make_rows(g, taps, k, a_stride, ap, a);
  const void *b = make_panel(g, taps, k, bp);
  size_t tile = (size_t)g->mr * g->nr;
  memset(sums, 0, tile * sizeof *sums);
  for (size_t t = 0; t < taps; t++)
    for (size_t i = 0; i < g->mr; i++)
      for (size_t kk = 0; kk < k; kk++) {
        const int16_t *w = weights + (t * k + kk) * g->nr;
        int64_t v = a_value(g, a[t * a_stride + i], kk);
        for (size_t j = 0; j < g->nr; j++)
          sums[i * g->nr + j] += v * w[j];
      }
  walk_output acc = walk_output_new(tile * sizeof(int32_t), 64);
  for (size_t i = 0; i < tile; i++)
    ((int32_t *)(void *)acc.want)[i] = (int32_t)sums[i];
  g->run(taps, k, a, a_stride, b, (int32_t *)(void *)acc.got);
  walk_output_check(&acc);
}

static void tile(const void *record) {
  const q8_gemm_kernel *g = record;
  static const size_t taps[] = {1, 2, 3, 4, 5, 9, 25, 49};
  CHECK(g->mr && g->nr && g->kr && (size_t)g->mr * g->nr <= MAX_TILE);
  CHECK(g->b_min == -128 || g->b_min == -127);
  for (size_t blocks = 1; blocks * g->kr <= 160; blocks += blocks < 10 ? 1 : 3)
    one_case(g, 1, blocks * g->kr, RANDOM, RANDOM);
  for (size_t t = 0; t < COUNT_OF(taps); t++)
    for (size_t blocks = 1; blocks <= 3; blocks++)
      one_case(g, taps[t], blocks * g->kr, RANDOM, RANDOM);
  static const size_t extreme_k[] = {1, 16, 528};
  for (int a = 0; a < PATTERNS; a++)
    for (int b = 0; b < PATTERNS; b++)
      for (size_t i = 0; i < COUNT_OF(extreme_k); i++)
        one_case(g, 1, (extreme_k[i] + g->kr - 1) / g->kr * g->kr, (enum pattern)a, (enum pattern)b);
  one_case(g, 9, 64 / g->kr * g->kr, HIGHEST, LOWEST);
}

/* ---- Tiles that end in uint8: against the sums requantized by the formula ---- */

/* Sums of any number of rows, which share the test's rows in random order. */
static void u8_case(const q8_gemm_kernel *g, size_t taps, size_t k, size_t count, size_t columns, int wild) {
  static int32_t bias[64];
  static float scale[64];
  size_t a_stride = (count + g->mr - 1) / g->mr * g->mr, y_stride = columns + test_random() % 3;
  walk_case("uint8: taps %zu k %zu rows %zu columns %zu wild %d", taps, k, count, columns, wild);
  const void **a = walk_place(&pointers, taps * a_stride * sizeof *a, sizeof *a, 0);
  q8_gemm_kernel any_rows = *g;
  any_rows.mr = (uint8_t)a_stride;
  make_rows(&any_rows, taps, k, a_stride, RANDOM, a);
  const void *b = make_panel(g, taps, k, RANDOM);
  int32_t lo = test_random() & 1 ? 0 : test_random_int(0, 100), hi = test_random() & 1 ? 255 : test_random_int(lo, 255);
  q8_requant rq = {bias, scale, test_random_int(0, 255), lo, hi};
  for (size_t j = 0; j < 64; j++) {
    bias[j] = wild ? (int32_t)(test_random() << 8) : test_random_int(-20000, 20000);
    scale[j] = wild ? test_random_float(0.0f, 4.0f) : test_random_float(0.25f, 1.0f) / (128.0f * (float)(taps * k));
  }
  walk_output out = walk_output_new((count - 1) * y_stride + columns, 1);
  for (size_t i = 0; i < count; i++)
    for (size_t j = 0; j < columns; j++) {
      int64_t sum = 0;
      for (size_t t = 0; t < taps; t++)
        for (size_t kk = 0; kk < k; kk++)
          sum += (int64_t)a_value(g, a[t * a_stride + i], kk) * weights[(t * k + kk) * g->nr + j];
      out.want[i * y_stride + j] = ref_requant(sum, &rq, j);
    }
  g->run_u8(taps, k, a, a_stride, b, b, &rq, count, columns, out.got, y_stride);
  walk_output_check(&out);
}

/* kernel.h: a row that shares its function with a taller one is called for its own rows only. */
static size_t most_rows(const q8_gemm_kernel *g, size_t count) {
  for (size_t i = 0; i < q8_isa_count; i++)
    for (const q8_gemm_kernel *h = q8_isa_list[i]->gemm; h && h->name; h++)
      if (h->run_u8 == g->run_u8 && h->mr > g->mr)
        return g->mr;
  return count;
}

static void tile_u8(const void *record) {
  const q8_gemm_kernel *g = record;
  if (!g->run_u8)
    return;
  for (size_t columns = 1; columns <= g->nr; columns++)
    u8_case(g, 1, 4 * g->kr, (size_t)test_random_int(1, (int)most_rows(g, 3 * g->mr)), columns,
            columns % 5 == 0);
  for (size_t count = 1; count <= most_rows(g, 2 * (size_t)g->mr + 1); count++)
    for (size_t k = g->kr; k <= 11 * (size_t)g->kr; k += g->kr)
      u8_case(g, 1 + k / g->kr % 3, k, count, g->nr, 0);
  u8_case(g, 1, 64, most_rows(g, 2), g->nr, 1);
}

static void gemm_record(const void *record) {
  tile(record);
  tile_u8(record);
}

static void gemm_tiles(void) {
  for (size_t i = 0; i < ROW_COUNT; i++)
    walk_buffer_init(&rows[i], MAX_K * 2);
  walk_buffer_init(&pointers, MAX_TAPS * 80 * sizeof(void *));
  walk_buffer_init(&panel, MAX_PANEL);
  WALK(q8_gemm_kernel, gemm, gemm_record);
}

/* kernel.h: the widest tile of a table first, narrower ones share its packing within a b_min class. */
static void gemm_tables(void) {
  for (size_t i = 0; i < q8_isa_count; i++) {
    const q8_gemm_kernel *first = q8_isa_list[i]->gemm;
    for (const q8_gemm_kernel *g = first; g && g->name; g++)
      for (const q8_gemm_kernel *h = first; h < g; h++)
        if (h->b_min == g->b_min && h->needs == g->needs) {
          CHECK_MSG(h->nr >= g->nr, "%s is wider than %s before it", g->name, h->name);
          CHECK_MSG(h->kr == g->kr && h->b_bytes == g->b_bytes && h->a_bytes == g->a_bytes &&
                        h->a_shift == g->a_shift,
                    "%s does not share the packing of %s", g->name, h->name);
        }
  }
}

int main(int argc, char **argv) {
  TEST_BEGIN(argc, argv);
  RUN(gemm_tables);
  RUN(gemm_tiles);
  return TEST_END();
}
