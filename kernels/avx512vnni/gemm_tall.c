/* gemm_tall.c - the u8 x s8 tile of eight rows and 48 columns, in asm as those of gemm_wide.c. It reads a quarter less of the
 * panel for its products than six rows of 64 columns: for few rows, whose panels come from L3 for two tiles each.
 *
 * Row i has its sums in zmm 3 i .. 3 i + 2; the panel's vectors are in zmm28 to zmm30, and zmm31 is a broadcast. */
#if defined(__AVX512VNNI__) && defined(__AVX512BW__) && defined(__AVX512VL__) && defined(__AVX512DQ__) &&    \
    defined(__x86_64__)
#include <stddef.h>

#include "vnni.h"

enum { MR = 8, NR = 48 };

typedef struct {
  __m512i zero_point, lo, hi, order; /* at offsets 0, 64, 128, 192 */
  const void *const *a;
  const char *next;
  uint8_t *y;
  size_t tiles, taps, left; /* taps of this tile that are not done */
  size_t a_step, k;
  size_t next_step; /* what is fetched of the next panel in two blocks of k */
  size_t y_stride;
  const uint8_t *b;
  const int32_t *bias;
  const float *scale; /* NULL: the sums are stored */
  uint64_t mask;
} walk;

#define EACH(row)                                                                                            \
  row(0, r8, 0, 1, 2) row(1, r9, 3, 4, 5) row(2, r10, 6, 7, 8) row(3, r11, 9, 10, 11) row(4, r12, 12, 13, 14) \
      row(5, r13, 15, 16, 17) row(6, r14, 18, 19, 20) row(7, r15, 21, 22, 23)

#define ADDRESS(i, row, c0, c1, c2) "mov 8*" #i "(%%rsi), %%" #row "\n\t"
#define BEGIN(i, row, c0, c1, c2)                                                                            \
  "vmovdqu64 (%%rsi), %%zmm" #c0 "\n\t"                                                                      \
  "vmovdqu64 64(%%rsi), %%zmm" #c1 "\n\t"                                                                    \
  "vmovdqu64 128(%%rsi), %%zmm" #c2 "\n\t"

/* A block of k: the one five on is fetched into L1, a line behind every other row. */
#define FETCH(at) "prefetcht0 1024+" #at "(%%rdx)\n\t"
#define LINE_0(at)
#define LINE_1(at) FETCH(at)
#define LINE_2(at)
#define LINE_3(at) FETCH(64 + at)
#define LINE_4(at)
#define LINE_5(at) FETCH(128 + at)
#define LINE_6(at)
#define LINE_7(at)
#define VECTORS(at)                                                                                          \
  "vmovdqa64 " #at "(%%rdx), %%zmm28\n\t"                                                                    \
  "vmovdqa64 64+" #at "(%%rdx), %%zmm29\n\t"                                                                 \
  "vmovdqa64 128+" #at "(%%rdx), %%zmm30\n\t"
#define PRODUCTS(at, row, c0, c1, c2)                                                                        \
  "vpbroadcastd " #at "(%%" #row ", %%rax), %%zmm31\n\t"                                                     \
  "vpdpbusd %%zmm28, %%zmm31, %%zmm" #c0 "\n\t"                                                              \
  "vpdpbusd %%zmm29, %%zmm31, %%zmm" #c1 "\n\t"                                                              \
  "vpdpbusd %%zmm30, %%zmm31, %%zmm" #c2 "\n\t"
#define EVEN(i, row, c0, c1, c2) PRODUCTS(0, row, c0, c1, c2) LINE_##i(0)
#define ODD(i, row, c0, c1, c2) PRODUCTS(4, row, c0, c1, c2) LINE_##i(192)

/* One row as bytes, in the order of narrow_plain, and then the row of the next tile begun. */
#define FINISH(i, row, c0, c1, c2)                                                                           \
  "vcvtdq2ps %%zmm" #c0 ", %%zmm" #c0 "\n\t"                                                                 \
  "vcvtdq2ps %%zmm" #c1 ", %%zmm" #c1 "\n\t"                                                                 \
  "vcvtdq2ps %%zmm" #c2 ", %%zmm" #c2 "\n\t"                                                                 \
  "vmulps (%%rax), %%zmm" #c0 ", %%zmm" #c0 "\n\t"                                                           \
  "vmulps 64(%%rax), %%zmm" #c1 ", %%zmm" #c1 "\n\t"                                                         \
  "vmulps 128(%%rax), %%zmm" #c2 ", %%zmm" #c2 "\n\t"                                                        \
  "vcvtps2dq %%zmm" #c0 ", %%zmm" #c0 "\n\t"                                                                 \
  "vcvtps2dq %%zmm" #c1 ", %%zmm" #c1 "\n\t"                                                                 \
  "vcvtps2dq %%zmm" #c2 ", %%zmm" #c2 "\n\t"                                                                 \
  "vpackssdw %%zmm" #c1 ", %%zmm" #c0 ", %%zmm" #c0 "\n\t"                                                   \
  "vpackssdw %%zmm" #c2 ", %%zmm" #c2 ", %%zmm" #c2 "\n\t"                                                   \
  "vpaddsw %%zmm28, %%zmm" #c0 ", %%zmm" #c0 "\n\t"                                                          \
  "vpaddsw %%zmm28, %%zmm" #c2 ", %%zmm" #c2 "\n\t"                                                          \
  "vpackuswb %%zmm" #c2 ", %%zmm" #c0 ", %%zmm" #c0 "\n\t"                                                   \
  "vpermd %%zmm" #c0 ", %%zmm31, %%zmm" #c0 "\n\t"                                                           \
  "vpmaxub %%zmm29, %%zmm" #c0 ", %%zmm" #c0 "\n\t"                                                          \
  "vpminub %%zmm30, %%zmm" #c0 ", %%zmm" #c0 "\n\t"                                                          \
  "vmovdqu8 %%zmm" #c0 ", (%%rdx)%{%%k1%}\n\t" BEGIN(i, row, c0, c1, c2)                                     \
  "add %%rcx, %%rdx\n\t"
#define STORE(i, row, c0, c1, c2)                                                                            \
  "vmovdqa64 %%zmm" #c0 ", 192*" #i "(%%rdx)\n\t"                                                            \
  "vmovdqa64 %%zmm" #c1 ", 192*" #i "+64(%%rdx)\n\t"                                                         \
  "vmovdqa64 %%zmm" #c2 ", 192*" #i "+128(%%rdx)\n\t"

#define FIELD(name) [name] "i"(offsetof(walk, name))

/* The pointers of the next tap are read only if there is one, then those of the next tile, or again of this one if it is the
 * last: before this one is finished, as the first products wait for them. A pass takes two blocks; where they are odd, the
 * first one begins in the middle. */
static Q8_NOINLINE void run_tiles(walk *w) {
  __asm__ volatile("kmovq %c[mask](%%rdi), %%k1\n\t"
                   "mov %c[next](%%rdi), %%rbx\n\t"
                   "mov %c[bias](%%rdi), %%rsi\n\t" EACH(BEGIN)
                   "mov %c[a](%%rdi), %%rsi\n\t" EACH(ADDRESS)
                   "1:\n\t"
                   "mov %c[a](%%rdi), %%rsi\n\t"
                   "mov %c[b](%%rdi), %%rdx\n\t"
                   "mov %c[k](%%rdi), %%rcx\n\t"
                   "mov %c[taps](%%rdi), %%rax\n\t"
                   "mov %%rax, %c[left](%%rdi)\n\t"
                   "jmp 3f\n"
                   "2:\n\t" EACH(ADDRESS)
                   "3:\n\t"
                   "add %c[a_step](%%rdi), %%rsi\n\t"
                   "xor %%eax, %%eax\n\t"
                   "test $4, %%cl\n\t"
                   "jz 4f\n\t"
                   "sub $4, %%rax\n\t"
                   "sub $192, %%rdx\n\t"
                   "jmp 5f\n\t"
                   ".p2align 5\n"
                   "4:\n\t" VECTORS(0) EACH(EVEN)
                   "5:\n\t" VECTORS(192) EACH(ODD)
                   "prefetcht1 (%%rbx)\n\t"
                   "add %c[next_step](%%rdi), %%rbx\n\t"
                   "add $384, %%rdx\n\t"
                   "add $8, %%rax\n\t"
                   "cmp %%rcx, %%rax\n\t"
                   "jb 4b\n\t"
                   "decq %c[left](%%rdi)\n\t"
                   "jnz 2b\n\t"
                   "mov %c[a](%%rdi), %%rsi\n\t"
                   "lea 64(%%rsi), %%rax\n\t"
                   "cmpq $1, %c[tiles](%%rdi)\n\t"
                   "cmovne %%rax, %%rsi\n\t"
                   "mov %%rsi, %c[a](%%rdi)\n\t" EACH(ADDRESS)
                   "mov %c[y](%%rdi), %%rdx\n\t"
                   "mov %c[scale](%%rdi), %%rax\n\t"
                   "mov %c[y_stride](%%rdi), %%rcx\n\t"
                   "mov %c[bias](%%rdi), %%rsi\n\t"
                   "test %%rax, %%rax\n\t"
                   "jz 6f\n\t"
                   "vmovdqa64 (%%rdi), %%zmm28\n\t"
                   "vmovdqa64 64(%%rdi), %%zmm29\n\t"
                   "vmovdqa64 128(%%rdi), %%zmm30\n\t"
                   "vmovdqa64 192(%%rdi), %%zmm31\n\t" EACH(FINISH)
                   "mov %%rdx, %c[y](%%rdi)\n\t"
                   "decq %c[tiles](%%rdi)\n\t"
                   "jnz 1b\n\t"
                   "jmp 7f\n"
                   "6:\n\t" EACH(STORE)
                   "7:\n\t"
                   :
                   : "D"(w), FIELD(a), FIELD(next), FIELD(y), FIELD(tiles), FIELD(taps), FIELD(left), FIELD(a_step),
                     FIELD(k), FIELD(next_step), FIELD(y_stride), FIELD(b), FIELD(bias), FIELD(scale), FIELD(mask)
                   : "cc", "memory", "rax", "rbx", "rcx", "rdx", "rsi", "r8", "r9", "r10", "r11", "r12",
                     "r13", "r14", "r15", "xmm0", "xmm1", "xmm2", "xmm3", "xmm4", "xmm5", "xmm6", "xmm7",
                     "xmm8", "xmm9", "xmm10", "xmm11", "xmm12", "xmm13", "xmm14", "xmm15", "xmm16", "xmm17",
                     "xmm18", "xmm19", "xmm20", "xmm21", "xmm22", "xmm23", "xmm28", "xmm29", "xmm30", "xmm31", "k1");
}

void q8_avx512vnni_tall(size_t taps, size_t k, const void *const *a, size_t a_stride, const void *b, const void *next,
                        const q8_requant *rq, size_t rows, size_t columns, void *y, size_t y_stride) {
  _Alignas(64) uint8_t few[MR * 64];
  const size_t whole = rows / MR;
  walk w;
  w.a = a;
  w.next = next;
  w.y = y;
  w.tiles = whole;
  w.taps = taps;
  w.a_step = a_stride * sizeof *a;
  w.k = k;
  w.next_step = 2 * NR * 4 * MR / (rows + MR - 1);
  w.y_stride = y_stride;
  w.b = b;
  w.bias = q8_avx512vnni_no_bias;
  w.scale = NULL;
  w.mask = 0;
  if (rq) {
    const requant_bounds bounds = bounds_of(rq->zero_point, rq->lo, rq->hi);
    w.zero_point = bounds.zero_point;
    w.lo = bounds.lo;
    w.hi = _mm512_set1_epi8((char)rq->hi);
    w.order = quad_index();
    w.bias = rq->bias;
    w.scale = rq->scale;
    w.mask = first64(columns);
  }
  if (whole > 0)
    run_tiles(&w);
  if (whole * MR == rows)
    return;
  w.a = a + whole * MR;
  w.y = few;
  w.tiles = 1;
  w.y_stride = 64;
  run_tiles(&w);
  for (size_t i = whole * MR; i < rows; i++)
    memcpy((uint8_t *)y + i * y_stride, few + (i - whole * MR) * 64, columns);
}
#endif
