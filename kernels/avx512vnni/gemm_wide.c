/* gemm_wide.c - the u8 x s8 tiles of 64 columns, whole in asm: compilers move accumulators to other registers and back when
 * a loop holds all 32, and addresses through vector registers, where they wait for the multiplications before them.
 *
 * Tiles of four to seven rows share their end, in which the next tile begins, so that m rows are cut evenly: 49 into seven of
 * 7, 16 into 6, 5 and 5. Row i of a tile has its sums in zmm 4 i .. 4 i + 3. The panel's four vectors are in zmm27 to zmm30, and of seven rows
 * the fourth stays in memory; zmm31 is a broadcast. */
#if defined(__AVX512VNNI__) && defined(__AVX512BW__) && defined(__AVX512VL__) && defined(__AVX512DQ__) &&    \
    defined(__x86_64__)
#include <stddef.h>

#include "vnni.h"

#define PARTIAL_ROWS 0x80000000u /* with the height: rows have fewer than 64 columns, or other bounds than bytes */

typedef struct {
  __m512i zero_point, lo, hi, order; /* at offsets 0, 64, 128, 192 */
  const void *const *a;
  const char *next;
  uint8_t *y;
  size_t tiles, height, shorter; /* tiles to do, of a height, and then those of one row less */
  size_t taps, a_step, k;
  size_t next_step; /* what is fetched of the next panel in two blocks of k */
  size_t y_stride;
  const uint8_t *b;
  const int32_t *bias;
  const float *scale; /* NULL: the sums are stored, 256 bytes a row */
  uint64_t mask;
} walk;

#define EACH4(row) row(0, r8, 0, 1, 2, 3) row(1, r9, 4, 5, 6, 7) row(2, r10, 8, 9, 10, 11) row(3, r11, 12, 13, 14, 15)
#define EACH5(row) EACH4(row) row(4, r12, 16, 17, 18, 19)
#define EACH6(row) EACH5(row) row(5, r13, 20, 21, 22, 23)
#define EACH7(row) EACH6(row) row(6, r14, 24, 25, 26, 27)

#define ADDRESS(i, row, c0, c1, c2, c3) "mov 8*" #i "(%%rsi), %%" #row "\n\t"
/* The beginnings of the next tap's rows, into L1. */
#define FETCH_ROW(i, row, c0, c1, c2, c3) "mov 8*" #i "(%%rsi), %%rax\n\tprefetcht0 (%%rax)\n\t"
#define BEGIN(i, row, c0, c1, c2, c3)                                                                        \
  "vmovdqu64 (%%r15), %%zmm" #c0 "\n\t"                                                                      \
  "vmovdqu64 64(%%r15), %%zmm" #c1 "\n\t"                                                                   \
  "vmovdqu64 128(%%r15), %%zmm" #c2 "\n\t"                                                                  \
  "vmovdqu64 192(%%r15), %%zmm" #c3 "\n\t"

/* A block of k: its panel vectors, and the products of a row. The block four on is fetched into L1, a line behind each of the
 * first rows; in tiles of seven every other line, as the others take more of the decoder than they save. */
#define FETCH(at) "prefetcht0 1024+" #at "(%%rdx)\n\t"
#define LINE_0(at) FETCH(at)
#define LINE_1(at) FETCH(64 + at)
#define LINE_2(at) FETCH(128 + at)
#define LINE_3(at) FETCH(192 + at)
#define LINE_4(at)
#define LINE_5(at)
#define LINE7_0(at)
#define LINE7_1(at) LINE_1(at)
#define LINE7_2(at)
#define LINE7_3(at) LINE_3(at)
#define LINE7_4(at)
#define LINE7_5(at)
#define LINE7_6(at)
#define VECTORS3(at)                                                                                         \
  "vmovdqa64 " #at "(%%rdx), %%zmm28\n\t"                                                                    \
  "vmovdqa64 64+" #at "(%%rdx), %%zmm29\n\t"                                                                 \
  "vmovdqa64 128+" #at "(%%rdx), %%zmm30\n\t"
#define VECTORS4(at) "vmovdqa64 192+" #at "(%%rdx), %%zmm27\n\t" VECTORS3(at)
#define PRODUCTS(at, row, c0, c1, c2, c3, fourth)                                                            \
  "vpbroadcastd " #at "(%%" #row ", %%rax), %%zmm31\n\t"                                                     \
  "vpdpbusd %%zmm28, %%zmm31, %%zmm" #c0 "\n\t"                                                              \
  "vpdpbusd %%zmm29, %%zmm31, %%zmm" #c1 "\n\t"                                                              \
  "vpdpbusd %%zmm30, %%zmm31, %%zmm" #c2 "\n\t"                                                              \
  "vpdpbusd " fourth ", %%zmm31, %%zmm" #c3 "\n\t"
#define EVEN(i, row, c0, c1, c2, c3) PRODUCTS(0, row, c0, c1, c2, c3, "%%zmm27") LINE_##i(0)
#define ODD(i, row, c0, c1, c2, c3) PRODUCTS(4, row, c0, c1, c2, c3, "%%zmm27") LINE_##i(256)
#define EVEN7(i, row, c0, c1, c2, c3) PRODUCTS(0, row, c0, c1, c2, c3, "192(%%rdx)") LINE7_##i(0)
#define ODD7(i, row, c0, c1, c2, c3) PRODUCTS(4, row, c0, c1, c2, c3, "448(%%rdx)") LINE7_##i(256)

/* All taps and k. The pointers of the next tap are read only if there is one, then those of the next tile, or again of this
 * one if it is the last: before this one is finished, as the first products wait for them. A pass takes two blocks; where
 * they are odd, the first one begins in the middle. */
#define MULTIPLY(h, each, even, odd, vectors)                                                                \
  "1" h ":\n\t" each(ADDRESS)                                                                                \
  "2" h ":\n\t"                                                                                              \
  "add %c[a_step](%%rdi), %%rsi\n\t"                                                                         \
  "cmp $1, %%r15\n\t"                                                                                        \
  "je 4f\n\t" each(FETCH_ROW) "4:\n\t"                                                                       \
  "xor %%eax, %%eax\n\t"                                                                                     \
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
  "dec %%r15\n\t"                                                                                            \
  "jnz 1" h "b\n\t"                                                                                          \
  "mov %c[a](%%rdi), %%rsi\n\t"                                                                              \
  "lea 8*" h "(%%rsi), %%rax\n\t"                                                                            \
  "cmpq $1, %c[tiles](%%rdi)\n\t"                                                                            \
  "cmovne %%rax, %%rsi\n\t"                                                                                  \
  "mov %%rsi, %c[a](%%rdi)\n\t" each(ADDRESS)

/* One row as bytes, in the order of narrow_plain, and then the row of the next tile begun, which leaves the decoder no gap. */
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
  "vpermd %%zmm" #c0 ", %%zmm31, %%zmm" #c0 "\n\t"                                                           \
  "test %%esi, %%esi\n\t"                                                                                    \
  "jns 3f\n\t"                                                                                               \
  "vpmaxub 64(%%rdi), %%zmm" #c0 ", %%zmm" #c0 "\n\t"                                                        \
  "vpminub 128(%%rdi), %%zmm" #c0 ", %%zmm" #c0 "\n"                                                         \
  "3:\n\t"                                                                                                   \
  "vmovdqu8 %%zmm" #c0 ", (%%rdx)%{%%k1%}\n\t" BEGIN(i, row, c0, c1, c2, c3)                                 \
  "add %%rcx, %%rdx\n\t"
#define STORE(i, row, c0, c1, c2, c3)                                                                        \
  "vmovdqa64 %%zmm" #c0 ", 256*" #i "(%%rdx)\n\t"                                                            \
  "vmovdqa64 %%zmm" #c1 ", 256*" #i "+64(%%rdx)\n\t"                                                         \
  "vmovdqa64 %%zmm" #c2 ", 256*" #i "+128(%%rdx)\n\t"                                                        \
  "vmovdqa64 %%zmm" #c3 ", 256*" #i "+192(%%rdx)\n\t"
/* After rows 0 to 3, each other one if the tile has it. */
#define ROWS(row)                                                                                            \
  row(0, r8, 0, 1, 2, 3) row(1, r9, 4, 5, 6, 7) row(2, r10, 8, 9, 10, 11) row(3, r11, 12, 13, 14, 15)        \
  "cmp $4, %%sil\n\tje 9f\n\t" row(4, r12, 16, 17, 18, 19) "cmp $5, %%sil\n\tje 9f\n\t"                      \
  row(5, r13, 20, 21, 22, 23) "cmp $6, %%sil\n\tje 9f\n\t" row(6, r14, 24, 25, 26, 27)
/* What a tile reads anew, and the comparison that leads to the code of its height: to its beginning, or behind it if the
 * pointers are there. */
#define BY_HEIGHT                                                                                            \
  "mov %c[a](%%rdi), %%rsi\n\t"                                                                              \
  "mov %c[b](%%rdi), %%rdx\n\t"                                                                              \
  "mov %c[k](%%rdi), %%rcx\n\t"                                                                              \
  "mov %c[taps](%%rdi), %%r15\n\t"                                                                           \
  "movzbl %c[height](%%rdi), %%eax\n\t"                                                                      \
  "cmp $6, %%eax\n\t"

#define FIELD(name) [name] "i"(offsetof(walk, name))

static Q8_NOINLINE void run_tiles(walk *w) {
  __asm__ volatile("kmovq %c[mask](%%rdi), %%k1\n\t"
                   "mov %c[next](%%rdi), %%rbx\n\t"
                   "mov %c[bias](%%rdi), %%r15\n\t" EACH7(BEGIN) "0:\n\t" BY_HEIGHT
                   "je 16f\n\t"
                   "ja 17f\n\t"
                   "cmp $5, %%eax\n\t"
                   "je 15f\n\t"
                   MULTIPLY("4", EACH4, EVEN, ODD, VECTORS4) "jmp 8f\n"
                   MULTIPLY("5", EACH5, EVEN, ODD, VECTORS4) "jmp 8f\n"
                   MULTIPLY("7", EACH7, EVEN7, ODD7, VECTORS3) "jmp 8f\n"
                   MULTIPLY("6", EACH6, EVEN, ODD, VECTORS4)
                   "8:\n\t"
                   "mov %c[y](%%rdi), %%rdx\n\t"
                   "mov %c[height](%%rdi), %%esi\n\t"
                   "mov %c[scale](%%rdi), %%rax\n\t"
                   "mov %c[y_stride](%%rdi), %%rcx\n\t"
                   "mov %c[bias](%%rdi), %%r15\n\t"
                   "test %%rax, %%rax\n\t"
                   "jz 7f\n\t"
                   "vmovdqa64 (%%rdi), %%zmm28\n\t"
                   "vmovdqa64 192(%%rdi), %%zmm31\n\t" ROWS(FINISH)
                   "9:\n\t"
                   "mov %%rdx, %c[y](%%rdi)\n\t"
                   "decq %c[tiles](%%rdi)\n\t"
                   "jz 5f\n\t" BY_HEIGHT
                   "je 26b\n\t"
                   "ja 27b\n\t"
                   "cmp $5, %%eax\n\t"
                   "je 25b\n\t"
                   "jmp 24b\n"
                   "5:\n\t"
                   "mov %c[shorter](%%rdi), %%rax\n\t"
                   "test %%rax, %%rax\n\t"
                   "jz 6f\n\t"
                   "mov %%rax, %c[tiles](%%rdi)\n\t"
                   "movq $0, %c[shorter](%%rdi)\n\t"
                   "movzbl %%sil, %%esi\n\t"
                   "shl $3, %%esi\n\t"
                   "add %%rsi, %c[a](%%rdi)\n\t"
                   "decq %c[height](%%rdi)\n\t"
                   "jmp 0b\n"
                   "7:\n\t" ROWS(STORE)
                   "9:\n"
                   "6:\n\t"
                   "mov %%rbx, %c[next](%%rdi)\n\t"
                   :
                   : "D"(w), FIELD(a), FIELD(next), FIELD(y), FIELD(tiles), FIELD(height), FIELD(shorter),
                     FIELD(taps), FIELD(a_step), FIELD(k), FIELD(next_step), FIELD(y_stride), FIELD(b),
                     FIELD(bias), FIELD(scale), FIELD(mask)
                   : "cc", "memory", "rax", "rbx", "rcx", "rdx", "rsi", "r8", "r9", "r10", "r11", "r12",
                     "r13", "r14", "r15", "xmm0", "xmm1", "xmm2", "xmm3", "xmm4", "xmm5", "xmm6", "xmm7",
                     "xmm8", "xmm9", "xmm10", "xmm11", "xmm12", "xmm13", "xmm14", "xmm15", "xmm16", "xmm17",
                     "xmm18", "xmm19", "xmm20", "xmm21", "xmm22", "xmm23", "xmm24", "xmm25", "xmm26",
                     "xmm27", "xmm28", "xmm29", "xmm30", "xmm31", "k1");
}

_Alignas(64) const int32_t q8_avx512vnni_no_bias[64];

/* Four and more rows: tiles of six, which are the fastest for each row, as evenly as that goes; or of seven, where more than one
 * in three would have five. */
static void cut(uint32_t rows, walk *w) {
  uint32_t height = 6, tiles = (rows + 5) / 6, missing = 6 * tiles - rows;
  if (missing > tiles / 3) {
    height = 7;
    tiles = (rows + 6) / 7;
    missing = 7 * tiles - rows;
  }
  for (; missing >= tiles; missing -= tiles)
    height--;
  w->tiles = tiles - missing;
  w->height = height;
  w->shorter = missing;
  w->next_step = 512 / tiles;
}

void q8_avx512vnni_wide(size_t taps, size_t k, const void *const *a, size_t a_stride, const void *b, const void *next,
                        const q8_requant *rq, size_t rows, size_t columns, void *y, size_t y_stride) {
  _Alignas(64) uint8_t few[4 * 64];
  const int too_few = rq && rows < 4;
  walk w;
  w.a = a;
  w.next = next;
  w.y = too_few ? few : y;
  w.taps = taps;
  w.a_step = a_stride * sizeof *a;
  w.k = k;
  w.b = b;
  w.bias = q8_avx512vnni_no_bias;
  w.scale = NULL;
  w.y_stride = too_few ? 64 : y_stride;
  w.mask = 0;
  cut(rows < 4 ? 4 : (uint32_t)rows, &w);
  if (rq) {
    const requant_bounds bounds = bounds_of(rq->zero_point, rq->lo, rq->hi);
    w.zero_point = bounds.zero_point;
    w.lo = bounds.lo;
    w.hi = _mm512_set1_epi8((char)rq->hi);
    w.order = quad_index();
    w.bias = rq->bias;
    w.scale = rq->scale;
    w.mask = first64(columns);
    if (columns < 64 || rq->lo > 0 || rq->hi < 255)
      w.height |= PARTIAL_ROWS;
  }
  run_tiles(&w);
  for (size_t i = 0; too_few && i < rows; i++)
    memcpy((uint8_t *)y + i * y_stride, few + 64 * i, columns);
}
#endif
