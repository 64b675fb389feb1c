/* gemm.c - int8 GEMM tiles with 16-bit operands: vpmaddwd multiplies pairs exactly, so nothing saturates and
 * every weight from -128 to 127 is served.
 *
 * A rows are int16 (widened by the driver), the B panel is int16 [k / 2][nr][2]: one 32-bit lane of a vector
 * holds the pair (2p, 2p + 1) of one column, and one 32-bit broadcast from a row holds the pair it meets.
 *
 * The multiplications are asm: compilers moved sums to other registers and back around and within the loop.
 * ymm12 is a broadcast, ymm13 and ymm15 are products, ymm14 is the first vector of the panel. The others are memory
 * operands: the loop is bound by the instructions it decodes, four a cycle, as much as by the three ports. */
#include "kernel.h"

#if defined(__AVX2__) && defined(__FMA__) && defined(__x86_64__)
#include "gemm.h"
#include "vec.h"

enum { MAX_SUMS = 96 };

/* A row's pointer and sums, in tiles of so many rows and vectors of columns. */
#define ROWS_1x4(row, s) row(s, r8, 0, 1, 2, 3)
#define ROWS_2x4(row, s) ROWS_1x4(row, s) row(s, r9, 4, 5, 6, 7)
#define ROWS_3x4(row, s) ROWS_2x4(row, s) row(s, r10, 8, 9, 10, 11)
#define ROWS_4x3(row, s)                                                                                     \
  row(s, r8, 0, 1, 2, ) row(s, r9, 3, 4, 5, ) row(s, r10, 6, 7, 8, ) row(s, r11, 9, 10, 11, )
#define ROWS_6x2(row, s)                                                                                     \
  row(s, r8, 0, 1, , ) row(s, r9, 2, 3, , ) row(s, r10, 4, 5, , ) row(s, r11, 6, 7, , )                      \
      row(s, r13, 8, 9, , ) row(s, r15, 10, 11, , )
#define ROWS_6x1(row, s)                                                                                     \
  row(s, r8, 0, , , ) row(s, r9, 1, , , ) row(s, r10, 2, , , ) row(s, r11, 3, , , ) row(s, r13, 4, , , )     \
      row(s, r15, 5, , , )

/* Step s of a pass, one pair of k. Two products, then their sums: the ports are shared out better than one by
 * one. */
#define BROADCAST(s, row) "vpbroadcastd 4*" #s "(%%" #row ", %%rax), %%ymm12\n\t"
#define FIRST "vpmaddwd %%ymm14, %%ymm12, %%ymm13\n\t"
#define PRODUCT(v, to) "vpmaddwd 32*(" #v ")(%%rdx), %%ymm12, %%ymm" #to "\n\t"
#define SUM(product, c) "vpaddd %%ymm" #product ", %%ymm" #c ", %%ymm" #c "\n\t"
#define PRODUCTS_1(s, row, c0, c1, c2, c3) BROADCAST(s, row) FIRST SUM(13, c0)
#define PRODUCTS_2(s, row, c0, c1, c2, c3)                                                                   \
  BROADCAST(s, row) FIRST PRODUCT(2 * s + 1, 15) SUM(13, c0) SUM(15, c1)
#define PRODUCTS_3(s, row, c0, c1, c2, c3)                                                                   \
  BROADCAST(s, row) FIRST PRODUCT(3 * s + 1, 15) SUM(13, c0) SUM(15, c1) PRODUCT(3 * s + 2, 13) SUM(13, c2)
#define PRODUCTS_4(s, row, c0, c1, c2, c3)                                                                   \
  BROADCAST(s, row)                                                                                          \
  FIRST PRODUCT(4 * s + 1, 15) SUM(13, c0) SUM(15, c1) PRODUCT(4 * s + 2, 13) PRODUCT(4 * s + 3, 15)         \
      SUM(13, c2) SUM(15, c3)
#define STEP(mr, nv, s) "vmovdqa 32*" #nv "*" #s "(%%rdx), %%ymm14\n\t" ROWS_##mr##x##nv(PRODUCTS_##nv, s)

#define LINES_1(s) LINE(32 * s)
#define LINES_2(s) LINE(64 * s)
#define LINES_3(s) LINE(96 * s) LINE(96 * s + 64)
#define LINES_4(s) LINE(128 * s) LINE(128 * s + 64)
#define STEP_AND_LINES(mr, nv, s) STEP(mr, nv, s) LINES_##nv(s)

#define MULTIPLY(mr, nv)                                                                                     \
  Q8_AVX2_MULTIPLY(mr, nv, 4,                                                                                \
                   STEP_AND_LINES(mr, nv, 0) STEP_AND_LINES(mr, nv, 1) STEP_AND_LINES(mr, nv, 2)             \
                       STEP_AND_LINES(mr, nv, 3),                                                            \
                   STEP(mr, nv, 0))                                                                          \
  "jmp 8f\n"
enum { TILE_3x32, TILE_2x32, TILE_4x24, TILE_6x16, TILE_6x8, TILE_1x32 };
Q8_AVX2_TILE(run_tile, 4,
             "je 11f\n\t"
             "ja 12f\n\t" MULTIPLY(3, 4)
             "11:\n\t" MULTIPLY(2, 4)
             "12:\n\t"
             "cmp $3, %%eax\n\t"
             "je 13f\n\t"
             "ja 14f\n\t" MULTIPLY(4, 3)
             "13:\n\t" MULTIPLY(6, 2)
             "14:\n\t"
             "cmp $4, %%eax\n\t"
             "ja 15f\n\t" MULTIPLY(6, 1)
             "15:\n\t" MULTIPLY(1, 4))

/* ---- Around a tile ---- */

static void begin_walk(q8_avx2_walk *w, size_t taps, size_t k, const void *const *a, size_t a_stride, const void *b,
                       const q8_avx2_tiles *t) {
  w->a = a;
  w->a_step = a_stride * sizeof *a;
  w->taps = taps;
  w->k = k;
  w->b = b;
  w->tile = t->next[t->mr].tile;
  w->vectors = t->mr * t->nr / 8u;
}

Q8_NOINLINE void q8_avx2_sums(size_t taps, size_t k, const void *const *a, size_t a_stride, const void *b, int32_t *acc,
                              const q8_avx2_tiles *t) {
  static const int32_t zeros[32];
  q8_avx2_walk w;
  begin_walk(&w, taps, k, a, a_stride, b, t);
  w.next = b;
  w.next_step = 0;
  w.bias = zeros;
  w.scale = NULL;
  w.step = 0;
  w.out = acc;
  t->run(&w);
}

/* Eight bytes at a time, of which the last overlap. */
static void copy_rows(size_t rows, size_t nr, size_t columns, const uint8_t *from, uint8_t *y, size_t y_stride) {
  for (; rows > 0; rows--, from += nr, y += y_stride) {
    size_t j = 0;
    for (; j + 8 < columns; j += 8)
      memcpy(y + j, from + j, 8);
    if (j > 0 || columns == 8)
      memcpy(y + columns - 8, from + columns - 8, 8);
    else
      for (; j < columns; j++)
        y[j] = from[j];
  }
}

/* Whole tiles are stored where they belong, if their rows fill halves or wholes of a vector; the last ones, and others, go
 * through memory. */
Q8_NOINLINE void q8_avx2_bytes(size_t taps, size_t k, const void *const *a, size_t a_stride, const void *b,
                               const void *next, const q8_requant *rq, size_t rows, size_t columns, uint8_t *y,
                               size_t y_stride, const q8_avx2_tiles *t) {
  _Alignas(32) uint8_t bytes[MAX_SUMS];
  int32_t bias[MAX_SUMS];
  float scale[MAX_SUMS];
  const uint32_t mr = t->mr, nr = t->nr, all = nr == 24 ? MAX_SUMS : 8u * t->period;
  const uint32_t tiles = ((uint32_t)rows + mr - 1) / mr, last = (uint32_t)rows - (tiles - 1) * mr;
  const size_t whole = last == mr ? tiles : tiles > 2 ? tiles - 2 : 0;
  q8_avx2_walk w;
  begin_walk(&w, taps, k, a, a_stride, b, t);
  w.hi = _mm256_castps_si256(_mm256_set1_ps((float)(rq->hi - rq->zero_point)));
  w.order = _mm256_setr_epi32(0, 4, 1, 5, 2, 6, 3, 7);
  w.zero_point = _mm256_set1_epi16((int16_t)rq->zero_point);
  w.lowest = _mm256_set1_epi8((char)rq->lo);
  w.next = next;
  w.next_step = 4u * t->steps * nr / tiles;
  w.bias = rq->bias;
  w.scale = rq->scale;
  w.step = all == MAX_SUMS ? 128 : 0;
  if (nr < all) {
    w.bias = bias;
    w.scale = scale;
    for (size_t i = 0, j = 0; i < all; i += 8, j = j + 8 < nr ? j + 8 : 0) {
      _mm256_storeu_si256((__m256i *)(bias + i), q8_avx2_load_i32(rq->bias + j));
      _mm256_storeu_ps(scale + i, _mm256_loadu_ps(rq->scale + j));
    }
  }
  if (whole > 0 && columns == nr && mr * nr == MAX_SUMS && nr != 24) {
    w.out = y;
    w.half_step = nr == 32 ? 16 : y_stride;
    w.whole_step = nr == 32 ? y_stride : 2 * y_stride;
    w.a_tile = mr * sizeof *a;
    w.tiles = whole;
    t->run(&w);
    y += whole * mr * y_stride;
    rows -= whole * mr;
  }
  w.half_step = 16;
  w.whole_step = 32;
  w.a_tile = 0;
  for (size_t height; rows > 0; rows -= height, w.a += height, y += height * y_stride) {
    const size_t left = rows > mr + 2 ? mr : rows;
    height = t->next[left].rows;
    w.tile = t->next[left].tile;
    w.out = bytes;
    w.tiles = 1;
    t->run(&w);
    copy_rows(height, nr, columns, bytes, y, y_stride);
  }
}

#define SUMS(mr, nr) Q8_AVX2_SUMS(mr, nr, 2)
#define BYTES(mr, nr) Q8_AVX2_BYTES(mr, nr, 2)

/* Four rows are done as two and two: one alone takes longer than its part. */
static const q8_avx2_tiles tiles_3x32 = {
    run_tile, {{0, 0}, {TILE_2x32, 1}, {TILE_2x32, 2}, {TILE_3x32, 3}, {TILE_2x32, 2}, {TILE_3x32, 3}}, 3, 32, 4, 4};
static const q8_avx2_tiles tiles_2x32 = {
    run_tile, {{0, 0}, {TILE_2x32, 1}, {TILE_2x32, 2}, {TILE_2x32, 2}, {TILE_2x32, 2}}, 2, 32, 4, 4};
static const q8_avx2_tiles tiles_1x32 = {
    run_tile, {{0, 0}, {TILE_1x32, 1}, {TILE_1x32, 1}, {TILE_1x32, 1}}, 1, 32, 4, 4};
static const q8_avx2_tiles tiles_4x24 = {run_tile, Q8_AVX2_UP_TO_4(TILE_4x24), 4, 24, 4, 4};
static const q8_avx2_tiles tiles_6x16 = {run_tile, Q8_AVX2_UP_TO_6(TILE_6x16), 6, 16, 4, 4};
static const q8_avx2_tiles tiles_6x8 = {run_tile, Q8_AVX2_UP_TO_6(TILE_6x8), 6, 8, 4, 4};
SUMS(3, 32)
SUMS(2, 32)
SUMS(1, 32)
SUMS(4, 24)
SUMS(6, 16)
SUMS(6, 8)
BYTES(3, 32)
BYTES(1, 32)
BYTES(4, 24)
BYTES(6, 16)
BYTES(6, 8)

#define ROW_OF(mr, nr, run_u8)                                                                               \
  { "gemm_avx2_" #mr "x" #nr, Q8_CPU_AVX2, mr, nr, 2, 2, 2, 0, -128, gemm_##mr##x##nr, run_u8 }
#define ROW(mr, nr) ROW_OF(mr, nr, gemm_u8_##mr##x##nr)
const q8_gemm_kernel q8_avx2_gemm[] = {
    ROW(3, 32), ROW_OF(2, 32, gemm_u8_3x32), ROW(1, 32), ROW(4, 24), ROW(6, 16), ROW(6, 8), {0},
};
#endif
