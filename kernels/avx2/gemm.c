/* gemm.c - int8 GEMM tiles with 16-bit operands: vpmaddwd multiplies pairs exactly, so nothing saturates and
 * every weight from -128 to 127 is served.
 *
 * A rows are int16 (widened by the driver), the B panel is int16 [k / 2][nr][2]: one 32-bit lane of a vector
 * holds the pair (2p, 2p + 1) of one column, and one 32-bit broadcast from a row holds the pair it meets.
 *
 * The multiplications are asm: compilers moved sums to other registers and back around and within the loop.
 * Sums are in ymm0 to ymm11, row by row; ymm12 is a broadcast, ymm13 and ymm15 are products, ymm14 is the
 * first vector of the panel. The others are memory operands: the loop is bound by the instructions it
 * decodes, four a cycle, as much as by the three ports. */
#include "kernel.h"

#if defined(__AVX2__) && defined(__FMA__) && defined(__x86_64__)
#include <stddef.h>

#include "vec.h"

typedef struct walk {
  const void *const *a;
  size_t a_step, taps;
  size_t k, whole; /* bytes of a row: all, and those of passes of four steps */
  const void *b;
  const char *next; /* where the next panel is fetched from in this pass, and what a pass adds */
  size_t next_step;
  const int32_t *bias;
  int32_t *sum; /* [mr][nr] */
} walk;

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

#define POINTERS_1 "mov (%%rsi), %%r8\n\t"
#define POINTERS_2 POINTERS_1 "mov 8(%%rsi), %%r9\n\t"
#define POINTERS_3 POINTERS_2 "mov 16(%%rsi), %%r10\n\t"
#define POINTERS_4 POINTERS_3 "mov 24(%%rsi), %%r11\n\t"
#define POINTERS_6 POINTERS_4 "mov 32(%%rsi), %%r13\n\tmov 40(%%rsi), %%r15\n\t"

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

/* The panel is fetched a little ahead into L1, where few panels fit whole, between the steps: all at once
 * would hold up their loads. */
#define LINE(at) "prefetcht0 512+" #at "(%%rdx)\n\t"
#define LINES_1(s) LINE(32 * s)
#define LINES_2(s) LINE(64 * s)
#define LINES_3(s) LINE(96 * s) LINE(96 * s + 64)
#define LINES_4(s) LINE(128 * s) LINE(128 * s + 64)
#define STEP_AND_LINES(mr, nv, s) STEP(mr, nv, s) LINES_##nv(s)

#define BIAS(c, at) "vmovdqu 32*" #at "(%%rax), %%ymm" #c "\n\t"
#define BIAS_1(s, row, c0, c1, c2, c3) BIAS(c0, 0)
#define BIAS_2(s, row, c0, c1, c2, c3) BIAS(c0, 0) BIAS(c1, 1)
#define BIAS_3(s, row, c0, c1, c2, c3) BIAS(c0, 0) BIAS(c1, 1) BIAS(c2, 2)
#define BIAS_4(s, row, c0, c1, c2, c3) BIAS(c0, 0) BIAS(c1, 1) BIAS(c2, 2) BIAS(c3, 3)
#define STORE(c) "vmovdqa %%ymm" #c ", 32*" #c "(%%rax)\n\t"
#define STORE_1(s, row, c0, c1, c2, c3) STORE(c0)
#define STORE_2(s, row, c0, c1, c2, c3) STORE(c0) STORE(c1)
#define STORE_3(s, row, c0, c1, c2, c3) STORE(c0) STORE(c1) STORE(c2)
#define STORE_4(s, row, c0, c1, c2, c3) STORE(c0) STORE(c1) STORE(c2) STORE(c3)

#define FIELD(name) [name] "i"(offsetof(walk, name))

/* One tile of mr rows and nv vectors, of taps from 0 up. */
#define MULTIPLY(mr, nv)                                                                                     \
  static Q8_NOINLINE void multiply_##mr##x##nv(walk *w) {                                                    \
    __asm__ volatile(                                                                                        \
        "mov %c[bias](%%rdi), %%rax\n\t" ROWS_##mr##x##nv(BIAS_##nv, 0) "mov %c[a](%%rdi), %%rsi\n\t"        \
                                                                        "mov %c[b](%%rdi), %%rdx\n\t"        \
                                                                        "mov %c[k](%%rdi), %%rcx\n\t"        \
                                                                        "mov %c[whole](%%rdi), %%rbx\n\t"    \
                                                                        "mov %c[next](%%rdi), %%r12\n\t"     \
                                                                        "mov %c[taps](%%rdi), %%r14\n\t"     \
                                                                        "jmp 5f\n"                           \
                                                                        "1:\n\t" POINTERS_##mr               \
        "add %c[a_step](%%rdi), %%rsi\n\t"                                                                   \
        "xor %%eax, %%eax\n\t"                                                                               \
        "test %%rbx, %%rbx\n\t"                                                                              \
        "jz 4f\n\t"                                                                                          \
        ".p2align 5\n"                                                                                       \
        "2:\n\t" STEP_AND_LINES(mr, nv, 0) STEP_AND_LINES(mr, nv, 1) STEP_AND_LINES(mr, nv, 2)               \
            STEP_AND_LINES(mr, nv, 3) "prefetcht1 (%%r12)\n\t"                                               \
                                      "add %c[next_step](%%rdi), %%r12\n\t"                                  \
                                      "add $128*" #nv ", %%rdx\n\t"                                          \
                                      "add $16, %%rax\n\t"                                                   \
                                      "cmp %%rbx, %%rax\n\t"                                                 \
                                      "jb 2b\n\t"                                                            \
                                      "jmp 4f\n"                                                             \
                                      "3:\n\t" STEP(mr, nv,                                                  \
                                                    0) "add $32*" #nv ", %%rdx\n\t"                          \
                                                       "add $4, %%rax\n"                                     \
                                                       "4:\n\t"                                              \
                                                       "cmp %%rcx, %%rax\n\t"                                \
                                                       "jb 3b\n"                                             \
                                                       "5:\n\t"                                              \
                                                       "dec %%r14\n\t"                                       \
                                                       "jns 1b\n\t"                                          \
                                                       "mov %%r12, %c[next](%%rdi)\n\t"                      \
                                                       "mov %c[sum](%%rdi), %%rax\n\t" ROWS_##mr##x##nv(     \
                                                           STORE_##nv, 0)                                    \
        :                                                                                                    \
        : "D"(w), FIELD(a), FIELD(a_step), FIELD(taps), FIELD(k), FIELD(whole), FIELD(b), FIELD(next),       \
          FIELD(next_step), FIELD(bias), FIELD(sum)                                                          \
        : "cc", "memory", "rax", "rbx", "rcx", "rdx", "rsi", "r8", "r9", "r10", "r11", "r12", "r13", "r14",  \
          "r15", "xmm0", "xmm1", "xmm2", "xmm3", "xmm4", "xmm5", "xmm6", "xmm7", "xmm8", "xmm9", "xmm10",    \
          "xmm11", "xmm12", "xmm13", "xmm14", "xmm15");                                                      \
  }
MULTIPLY(3, 4)
MULTIPLY(2, 4)
MULTIPLY(1, 4)
MULTIPLY(4, 3)
MULTIPLY(6, 2)
MULTIPLY(6, 1)

static walk walk_of(size_t taps, size_t k, const void *const *a, size_t a_stride, const void *b) {
  return (walk){.a = a,
                .a_step = a_stride * sizeof *a,
                .taps = taps,
                .k = 2 * k,
                .whole = k / 8 * 16,
                .b = b,
                .next = b};
}

/* ---- Tiles as bytes ---- */

typedef struct shape {
  void (*multiply)(walk *w), (*two)(walk *w); /* two: NULL, or the same for two rows */
  size_t mr, nr;
} shape;

typedef struct rounding {
  __m256 hi;                  /* minus the zero point */
  __m256i zero_point, lowest; /* int16, bytes */
} rounding;

/* Four vectors of sums. What is too low, or NaN, which vminps passes on, becomes INT32_MIN, then the lowest
 * byte. */
Q8_INLINE __m256i round32(const int32_t *sum, const float *scale, const rounding *r) {
  __m256i t[4];
  Q8_UNROLL
  for (size_t i = 0; i < 4; i++) {
    const __m256 x = _mm256_cvtepi32_ps(q8_avx2_load_i32(sum + 8 * i));
    t[i] = _mm256_cvtps_epi32(_mm256_min_ps(r->hi, _mm256_mul_ps(x, _mm256_loadu_ps(scale + 8 * i))));
  }
  const __m256i low = _mm256_add_epi16(_mm256_packs_epi32(t[0], t[1]), r->zero_point);
  const __m256i high = _mm256_add_epi16(_mm256_packs_epi32(t[2], t[3]), r->zero_point);
  const __m256i z = _mm256_max_epu8(_mm256_packus_epi16(low, high), r->lowest);
  return _mm256_permutevar8x32_epi32(z, _mm256_setr_epi32(0, 4, 1, 5, 2, 6, 3, 7));
}

/* One row, or those of the next `rows` that 32 bytes hold. */
Q8_INLINE void store_rows(__m256i z, size_t nr, size_t columns, size_t rows, uint8_t *y, size_t y_stride) {
  const __m128i low = _mm256_castsi256_si128(z), high = _mm256_extracti128_si256(z, 1);
  if (columns == 24) {
    _mm_storeu_si128((__m128i *)y, low);
    _mm_storel_epi64((__m128i *)(y + 16), high);
  } else if (columns == 16 && nr == 16) {
    _mm_storeu_si128((__m128i *)y, low);
    if (rows > 1)
      _mm_storeu_si128((__m128i *)(y + y_stride), high);
  } else {
    _Alignas(32) uint8_t bytes[32];
    _mm256_store_si256((__m256i *)bytes, z);
    for (size_t i = 0; i < rows && i < 32 / nr; i++, y += y_stride)
      memcpy(y, bytes + i * nr, columns);
  }
}

/* Four rows of 32 columns are done as two and two: one alone takes longer than its part. */
static Q8_NOINLINE void panel(const shape *s, const walk *job, const void *next, const q8_requant *rq,
                              size_t rows, size_t columns, uint8_t *y, size_t y_stride) {
  _Alignas(32) int32_t sum[4 * 24 + 8]; /* of 24 columns 32 are rounded */
  const rounding r = {_mm256_set1_ps((float)(rq->hi - rq->zero_point)),
                      _mm256_set1_epi16((int16_t)rq->zero_point), _mm256_set1_epi8((char)rq->lo)};
  const size_t mr = s->mr, nr = s->nr, at_once = 32 / nr;
  float scale[48];
  for (size_t i = 0; i < 32; i += nr)
    memcpy(scale + i, rq->scale, nr * sizeof *scale);
  walk w = *job;
  w.next = next;
  w.next_step = 16 * nr / ((rows + mr - 1) / mr);
  w.bias = rq->bias;
  w.sum = sum;
  for (size_t height; rows > 0; rows -= height, w.a += height, y += height * y_stride) {
    const int two = s->two && (rows <= 2 || rows == 4);
    (two ? s->two : s->multiply)(&w);
    height = two ? 2 : mr;
    height = rows < height ? rows : height;
    for (size_t i = 0; columns == 32 && i < height; i++)
      _mm256_storeu_si256((__m256i *)(y + i * y_stride), round32(sum + 32 * i, scale, &r));
    for (size_t i = 0; columns < 32 && i < height; i += at_once)
      store_rows(round32(sum + i * nr, scale, &r), nr, columns, height - i, y + i * y_stride, y_stride);
  }
}

#define SUMS(mr, nv, nr)                                                                                     \
  static void gemm_##mr##x##nr(size_t taps, size_t k, const void *const *a, size_t a_stride, const void *b,  \
                               int32_t *acc) {                                                               \
    static const int32_t zeros[nr];                                                                          \
    walk w = walk_of(taps, k, a, a_stride, b);                                                               \
    w.bias = zeros;                                                                                          \
    w.sum = acc;                                                                                             \
    multiply_##mr##x##nv(&w);                                                                                \
  }
#define BYTES(mr, nv, nr, two)                                                                               \
  static void gemm_u8_##mr##x##nr(size_t taps, size_t k, const void *const *a, size_t a_stride,              \
                                  const void *b, const void *next, const q8_requant *rq, size_t rows,        \
                                  size_t columns, uint8_t *y, size_t y_stride) {                             \
    static const shape tile = {multiply_##mr##x##nv, two, mr, nr};                                           \
    const walk w = walk_of(taps, k, a, a_stride, b);                                                         \
    panel(&tile, &w, next, rq, rows, columns, y, y_stride);                                                  \
  }
SUMS(3, 4, 32)
SUMS(2, 4, 32)
SUMS(1, 4, 32)
SUMS(4, 3, 24)
SUMS(6, 2, 16)
SUMS(6, 1, 8)
BYTES(3, 4, 32, multiply_2x4)
BYTES(1, 4, 32, NULL)
BYTES(4, 3, 24, NULL)
BYTES(6, 2, 16, NULL)
BYTES(6, 1, 8, NULL)

#define ROW_OF(mr, nr, run_u8)                                                                               \
  { "gemm_avx2_" #mr "x" #nr, Q8_CPU_AVX2, mr, nr, 2, 2, 2, 0, -128, gemm_##mr##x##nr, run_u8 }
#define ROW(mr, nr) ROW_OF(mr, nr, gemm_u8_##mr##x##nr)
const q8_gemm_kernel q8_avx2_gemm[] = {
    ROW(3, 32), ROW_OF(2, 32, gemm_u8_3x32), ROW(1, 32), ROW(4, 24), ROW(6, 16), ROW(6, 8), {0},
};
#endif
