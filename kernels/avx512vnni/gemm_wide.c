/* gemm_wide.c - the u8 x s8 tiles of 64 columns, whole in asm: compilers move accumulators to other registers and back when
 * a loop holds all 32, and addresses through vector registers, where they wait for the multiplications before them.
 *
 * Tiles of four to seven rows share their beginning and end, so that m rows are cut evenly: 49 into seven of 7, 16 into 6, 5
 * and 5. Row i of a tile has its sums in zmm 4 i .. 4 i + 3. The panel's four vectors are in zmm27 to zmm30, and of seven rows
 * the fourth stays in memory; zmm31 is a broadcast. */
#if defined(__AVX512VNNI__) && defined(__AVX512BW__) && defined(__AVX512VL__) && defined(__AVX512DQ__) &&    \
    defined(__x86_64__)
#include <stddef.h>

#include "vnni.h"

typedef struct {
  __m512i zero_point, lo, hi, order; /* at offsets 0, 64, 128, 192 */
  const void *const *a;
  const char *next;
  uint8_t *y;
  size_t tiles, height, rows; /* tiles to do, of a height; rows of them that are stored */
  size_t taps, a_step, k;
  size_t next_step; /* what is fetched of the next panel in two blocks of k */
  size_t y_stride;
  const uint8_t *b;
  const int32_t *bias;
  const float *scale; /* NULL: the sums are stored, 256 bytes a row */
  uint64_t mask;
  size_t partial; /* 0 where rows are whole and their bounds are those of bytes: a row is stored as it is */
} walk;

#define EACH4(row) row(0, r8, 0, 1, 2, 3) row(1, r9, 4, 5, 6, 7) row(2, r10, 8, 9, 10, 11) row(3, r11, 12, 13, 14, 15)
#define EACH5(row) EACH4(row) row(4, r12, 16, 17, 18, 19)
#define EACH6(row) EACH5(row) row(5, r13, 20, 21, 22, 23)
#define EACH7(row) EACH6(row) row(6, r14, 24, 25, 26, 27)

#define ADDRESS(i, row, c0, c1, c2, c3) "mov 8*" #i "(%%rsi), %%" #row "\n\t"
#define BEGIN(i, row, c0, c1, c2, c3)                                                                        \
  "vmovdqu64 (%%r9), %%zmm" #c0 "\n\t"                                                                       \
  "vmovdqu64 64(%%r9), %%zmm" #c1 "\n\t"                                                                    \
  "vmovdqu64 128(%%r9), %%zmm" #c2 "\n\t"                                                                   \
  "vmovdqu64 192(%%r9), %%zmm" #c3 "\n\t"

/* A block of k: its panel vectors, with those of four blocks on fetched, and the products of a row. */
#define FETCH(at) "prefetcht0 1024+" #at "(%%rdx)\n\t"
#define VECTORS3(at)                                                                                         \
  "vmovdqa64 " #at "(%%rdx), %%zmm28\n\t"                                                                    \
  "vmovdqa64 64+" #at "(%%rdx), %%zmm29\n\t"                                                                 \
  "vmovdqa64 128+" #at "(%%rdx), %%zmm30\n\t" FETCH(at) FETCH(64 + at) FETCH(128 + at) FETCH(192 + at)
#define VECTORS4(at) "vmovdqa64 192+" #at "(%%rdx), %%zmm27\n\t" VECTORS3(at)
#define PRODUCTS(at, row, c0, c1, c2, c3, fourth)                                                            \
  "vpbroadcastd " #at "(%%" #row ", %%rax), %%zmm31\n\t"                                                     \
  "vpdpbusd %%zmm28, %%zmm31, %%zmm" #c0 "\n\t"                                                              \
  "vpdpbusd %%zmm29, %%zmm31, %%zmm" #c1 "\n\t"                                                              \
  "vpdpbusd %%zmm30, %%zmm31, %%zmm" #c2 "\n\t"                                                              \
  "vpdpbusd " fourth ", %%zmm31, %%zmm" #c3 "\n\t"
#define EVEN(i, row, c0, c1, c2, c3) PRODUCTS(0, row, c0, c1, c2, c3, "%%zmm27")
#define ODD(i, row, c0, c1, c2, c3) PRODUCTS(4, row, c0, c1, c2, c3, "%%zmm27")
#define EVEN7(i, row, c0, c1, c2, c3) PRODUCTS(0, row, c0, c1, c2, c3, "192(%%rdx)")
#define ODD7(i, row, c0, c1, c2, c3) PRODUCTS(4, row, c0, c1, c2, c3, "448(%%rdx)")

/* All taps and k. A pass takes two blocks; where they are odd, the first one begins in the middle. */
#define MULTIPLY(each, even, odd, vectors)                                                                   \
  "1:\n\t" each(ADDRESS) "xor %%eax, %%eax\n\t"                                                              \
  "test $4, %%cl\n\t"                                                                                        \
  "jz 2f\n\t"                                                                                                \
  "sub $4, %%rax\n\t"                                                                                        \
  "sub $256, %%rdx\n\t"                                                                                      \
  "jmp 3f\n\t"                                                                                               \
  ".p2align 5\n"                                                                                             \
  "2:\n\t" vectors(0) each(even)                                                                             \
  "3:\n\t" vectors(256) each(odd)                                                                            \
  "prefetcht1 (%%rbx)\n\t"                                                                                   \
  "add %c[next_step](%%rdi), %%rbx\n\t"                                                                      \
  "add $512, %%rdx\n\t"                                                                                      \
  "add $8, %%rax\n\t"                                                                                        \
  "cmp %%rcx, %%rax\n\t"                                                                                     \
  "jb 2b\n\t"                                                                                                \
  "add %c[a_step](%%rdi), %%rsi\n\t"                                                                         \
  "dec %%r15\n\t"                                                                                            \
  "jnz 1b\n\t"

/* One row as bytes, in the order of narrow_plain; then, in both, the end if it is the last one. */
#define FINISH(i, row, c0, c1, c2, c3)                                                                       \
  "vcvtdq2ps %%zmm" #c0 ", %%zmm" #c0 "\n\t"                                                                 \
  "vcvtdq2ps %%zmm" #c1 ", %%zmm" #c1 "\n\t"                                                                 \
  "vcvtdq2ps %%zmm" #c2 ", %%zmm" #c2 "\n\t"                                                                 \
  "vcvtdq2ps %%zmm" #c3 ", %%zmm" #c3 "\n\t"                                                                 \
  "vmulps (%%rax), %%zmm" #c0 ", %%zmm" #c0 "\n\t"                                                           \
  "vmulps 64(%%rax), %%zmm" #c1 ", %%zmm" #c1 "\n\t"                                                         \
  "vmulps 128(%%rax), %%zmm" #c2 ", %%zmm" #c2 "\n\t"                                                        \
  "vmulps 192(%%rax), %%zmm" #c3 ", %%zmm" #c3 "\n\t"                                                        \
  "vcvtps2dq %%zmm" #c0 ", %%zmm" #c0 "\n\t"                                                                 \
  "vcvtps2dq %%zmm" #c1 ", %%zmm" #c1 "\n\t"                                                                 \
  "vcvtps2dq %%zmm" #c2 ", %%zmm" #c2 "\n\t"                                                                 \
  "vcvtps2dq %%zmm" #c3 ", %%zmm" #c3 "\n\t"                                                                 \
  "vpackssdw %%zmm" #c1 ", %%zmm" #c0 ", %%zmm" #c0 "\n\t"                                                   \
  "vpackssdw %%zmm" #c3 ", %%zmm" #c2 ", %%zmm" #c2 "\n\t"                                                   \
  "vpaddsw %%zmm28, %%zmm" #c0 ", %%zmm" #c0 "\n\t"                                                          \
  "vpaddsw %%zmm28, %%zmm" #c2 ", %%zmm" #c2 "\n\t"                                                          \
  "vpackuswb %%zmm" #c2 ", %%zmm" #c0 ", %%zmm" #c0 "\n\t"                                                   \
  "test %%r10, %%r10\n\t"                                                                                    \
  "jz 1f\n\t"                                                                                                \
  "vpmaxub %%zmm29, %%zmm" #c0 ", %%zmm" #c0 "\n\t"                                                          \
  "vpminub %%zmm30, %%zmm" #c0 ", %%zmm" #c0 "\n\t"                                                          \
  "vpermd %%zmm" #c0 ", %%zmm31, %%zmm" #c0 "\n\t"                                                           \
  "vmovdqu8 %%zmm" #c0 ", (%%rdx)%{%%k1%}\n\t"                                                               \
  "jmp 2f\n"                                                                                                \
  "1:\n\t"                                                                                                  \
  "vpermd %%zmm" #c0 ", %%zmm31, %%zmm" #c0 "\n\t"                                                           \
  "vmovdqu64 %%zmm" #c0 ", (%%rdx)\n"                                                                        \
  "2:\n\t"                                                                                                  \
  "add %%r9, %%rdx\n\t"                                                                                      \
  "dec %%rsi\n\t"                                                                                            \
  "jz 9f\n\t"
#define STORE(i, row, c0, c1, c2, c3)                                                                        \
  "vmovdqa64 %%zmm" #c0 ", 256*" #i "(%%rdx)\n\t"                                                            \
  "vmovdqa64 %%zmm" #c1 ", 256*" #i "+64(%%rdx)\n\t"                                                         \
  "vmovdqa64 %%zmm" #c2 ", 256*" #i "+128(%%rdx)\n\t"                                                        \
  "vmovdqa64 %%zmm" #c3 ", 256*" #i "+192(%%rdx)\n\t"                                                        \
  "dec %%rsi\n\t"                                                                                            \
  "jz 9f\n\t"

#define FIELD(name) [name] "i"(offsetof(walk, name))

static Q8_NOINLINE void run_tiles(walk *w) {
  __asm__ volatile("kmovq %c[mask](%%rdi), %%k1\n\t"
                   "mov %c[next](%%rdi), %%rbx\n"
                   "0:\n\t"
                   "mov %c[bias](%%rdi), %%r9\n\t" EACH6(BEGIN)
                   "mov %c[a](%%rdi), %%rsi\n\t"
                   "mov %c[b](%%rdi), %%rdx\n\t"
                   "mov %c[k](%%rdi), %%rcx\n\t"
                   "mov %c[height](%%rdi), %%rax\n\t"
                   "mov %c[taps](%%rdi), %%r15\n\t"
                   "lea (%%rsi, %%rax, 8), %%r8\n\t"
                   "mov %%r8, %c[a](%%rdi)\n\t"
                   "cmp $6, %%eax\n\t"
                   "je 16f\n\t"
                   "ja 17f\n\t"
                   "cmp $5, %%eax\n\t"
                   "je 15f\n\t"
                   MULTIPLY(EACH4, EVEN, ODD, VECTORS4) "jmp 8f\n"
                   "15:\n\t" MULTIPLY(EACH5, EVEN, ODD, VECTORS4) "jmp 8f\n"
                   "17:\n\t" BEGIN(6, r14, 24, 25, 26, 27) MULTIPLY(EACH7, EVEN7, ODD7, VECTORS3) "jmp 8f\n"
                   "16:\n\t" MULTIPLY(EACH6, EVEN, ODD, VECTORS4)
                   "8:\n\t"
                   "mov %c[y](%%rdi), %%rdx\n\t"
                   "mov %c[rows](%%rdi), %%rsi\n\t"
                   "mov %c[scale](%%rdi), %%rax\n\t"
                   "mov %c[y_stride](%%rdi), %%r9\n\t"
                   "mov %c[partial](%%rdi), %%r10\n\t"
                   "test %%rax, %%rax\n\t"
                   "jz 7f\n\t"
                   "vmovdqa64 (%%rdi), %%zmm28\n\t"
                   "vmovdqa64 64(%%rdi), %%zmm29\n\t"
                   "vmovdqa64 128(%%rdi), %%zmm30\n\t"
                   "vmovdqa64 192(%%rdi), %%zmm31\n\t" EACH7(FINISH)
                   "7:\n\t" EACH7(STORE)
                   "9:\n\t"
                   "mov %%rdx, %c[y](%%rdi)\n\t"
                   "decq %c[tiles](%%rdi)\n\t"
                   "jnz 0b\n\t"
                   "mov %%rbx, %c[next](%%rdi)\n\t"
                   :
                   : "D"(w), FIELD(a), FIELD(next), FIELD(y), FIELD(tiles), FIELD(height), FIELD(rows),
                     FIELD(taps), FIELD(a_step), FIELD(k), FIELD(next_step), FIELD(y_stride), FIELD(b),
                     FIELD(bias), FIELD(scale), FIELD(mask),
                     FIELD(partial)
                   : "cc", "memory", "rax", "rbx", "rcx", "rdx", "rsi", "r8", "r9", "r10", "r11", "r12",
                     "r13", "r14", "r15", "xmm0", "xmm1", "xmm2", "xmm3", "xmm4", "xmm5", "xmm6", "xmm7",
                     "xmm8", "xmm9", "xmm10", "xmm11", "xmm12", "xmm13", "xmm14", "xmm15", "xmm16", "xmm17",
                     "xmm18", "xmm19", "xmm20", "xmm21", "xmm22", "xmm23", "xmm24", "xmm25", "xmm26",
                     "xmm27", "xmm28", "xmm29", "xmm30", "xmm31", "k1");
}

_Alignas(64) const int32_t q8_avx512vnni_no_bias[64];

/* Tiles of m rows: of six, which are the fastest for each row, as evenly as that goes; or of seven, where more than one in
 * three would have five. */
static size_t count_tiles(size_t m) {
  const uint32_t rows = (uint32_t)m, six = (rows + 5) / 6;
  return 6 * six - rows > six / 3 ? (rows + 6) / 7 : six;
}

void q8_avx512vnni_wide(size_t taps, size_t k, const void *const *a, size_t a_stride, const void *b, const void *next,
                        const q8_requant *rq, size_t rows, size_t columns, void *y, size_t y_stride) {
  const size_t tiles = rows > 3 ? count_tiles(rows) : 1, height = rows > 3 ? rows / tiles : 4;
  const size_t taller = rows > 3 ? rows - height * tiles : 0;
  walk w = {.a = a, .next = next, .y = y, .taps = taps, .a_step = a_stride * sizeof *a, .k = k, .b = b, .bias = q8_avx512vnni_no_bias};
  w.next_step = 512 / (uint32_t)tiles;
  w.y_stride = y_stride;
  if (rq) {
    const requant_bounds bounds = bounds_of(rq->zero_point, rq->lo, rq->hi);
    w.zero_point = bounds.zero_point;
    w.lo = bounds.lo;
    w.hi = _mm512_set1_epi8((char)rq->hi);
    w.order = quad_index();
    w.bias = rq->bias;
    w.scale = rq->scale;
    w.mask = first64(columns);
    w.partial = columns < 64 || rq->lo > 0 || rq->hi < 255;
  }
  if (taller) {
    w.tiles = taller;
    w.height = w.rows = height + 1;
    run_tiles(&w);
  }
  w.tiles = tiles - taller;
  w.height = height;
  w.rows = rows > 3 ? height : rows;
  run_tiles(&w);
}
#endif
