/* gemm.c - u8 x s8 tiles with vpdpbusd: four products a lane, 16 columns a register. */
#if defined(__AVX512VNNI__) && defined(__AVX512BW__) && defined(__AVX512VL__) && defined(__AVX512DQ__) &&    \
    defined(__x86_64__)
#include "avx512bw/tiles.h"
#include "vnni.h"

enum { KR = 4, A_BYTES = 1, PASS = 8 };

/* Two blocks of k in a pass share the loop's own instructions, as each of these may take a port from vpdpbusd. Where blocks
 * are odd, the first pass begins in the middle. */
#define PAIRS(even, odd, block)                                                                              \
  "xor %eax, %eax\n\t"                                                                                       \
  "test $4, %cl\n\t"                                                                                         \
  "jz 2f\n\t"                                                                                                \
  "sub $4, %rax\n\t"                                                                                         \
  "sub " block ", %rdx\n\t"                                                                                  \
  "jmp 3f\n\t"                                                                                               \
  ".p2align 5\n"                                                                                             \
  "2:\n\t" even "3:\n\t" odd

#define BYTES(at, row) "vpbroadcastd " #at "(%" #row ", %rax), %zmm31\n\t"
#define ADD(vector, sum) "vpdpbusd %zmm" #vector ", %zmm31, %zmm" #sum "\n\t"
#define ROW_1(at, row, c0) BYTES(at, row) ADD(28, c0)
#define ROW_2(at, row, c0, c1) ROW_1(at, row, c0) ADD(29, c1)
/* A line of the panel is fetched behind every other row; of 64 columns, which have more of them, behind each of the last. */
#define ROW_3(at, i, row, c0, c1, c2) ROW_2(at, row, c0, c1) ADD(30, c2) LINE_3_##i(at * 48)
#define LINE_3_0(at)
#define LINE_3_1(at) Q8_LINE(at)
#define LINE_3_2(at)
#define LINE_3_3(at) Q8_LINE(64 + at)
#define LINE_3_4(at)
#define LINE_3_5(at) Q8_LINE(128 + at)
#define LINE_3_6(at)
#define LINE_3_7(at)
#define ROW_4(at, i, row, c0, c1, c2, c3) ROW_2(at, row, c0, c1) ADD(30, c2) ADD(27, c3) LINE_4_##i(at * 64)
#define LINE_4_0(at) Q8_LINE(at)
#define LINE_4_1(at) Q8_LINE(64 + at)
#define LINE_4_2(at) Q8_LINE(128 + at)
#define LINE_4_3(at) Q8_LINE(192 + at)
#define LINE_4_4(at)
#define LINE_4_5(at)

/* Tiles of six rows have a loop of their own, as they are what most rows are cut into. */
#define SIX(at) Q8_VECTORS_4(at * 64) Q8_ROWS_4(ROW_4, at) Q8_ROW_4(ROW_4, at) Q8_ROW_5(ROW_4, at)
#define FOUR_OR_FIVE(at)                                                                                     \
  Q8_VECTORS_4(at * 64) Q8_ROWS_4(ROW_4, at) "test %r14d, %r14d\n\tjz 4f\n\t" Q8_ROW_4(ROW_4, at) "4:\n\t"
Q8_PRODUCTS(products_64,
            "mov " Q8_HEIGHT ", %r14\n\t"
            "cmp $6, %r14d\n\t"
            "je 1f\n\t"
            "sub $4, %r14d\n\t"
            PAIRS(FOUR_OR_FIVE(0), FOUR_OR_FIVE(4), "$256") "add $512, %rdx\n\t" Q8_NEXT Q8_LOOP(8)
            "ret\n"
            "1:\n\t" PAIRS(SIX(0), SIX(4), "$256") "add $512, %rdx\n\t" Q8_NEXT Q8_LOOP(8))
Q8_PRODUCTS(products_48, PAIRS(Q8_VECTORS_3(0) Q8_ROWS_3(ROW_3, 0), Q8_VECTORS_3(192) Q8_ROWS_3(ROW_3, 4), "$192")
            "add $384, %rdx\n\t" Q8_NEXT Q8_LOOP(8))
Q8_PRODUCTS(products_32, PAIRS(Q8_VECTORS_2(0) Q8_ROWS_2(ROW_2, 0), Q8_VECTORS_2(128) Q8_ROWS_2(ROW_2, 4), "$128")
            "sub $-256, %rdx\n\t" Q8_LOOP(8))
Q8_PRODUCTS(products_16, PAIRS(Q8_VECTORS_1(0) Q8_ROWS_1(ROW_1, 0), Q8_VECTORS_1(64) Q8_ROWS_1(ROW_1, 4), "$64")
            "sub $-128, %rdx\n\t" Q8_LOOP(8))

/* One row has sums of its own for odd blocks, as each multiplication waits five cycles for its sum. */
#define VECTOR(v, panel, sum) "vpdpbusd 64*" #v panel ", %zmm31, %zmm" #sum "\n\t"
#define BEGIN_ODD(v, panel, odd) "vpxord %zmm" #odd ", %zmm" #odd ", %zmm" #odd "\n\t"
#define END_ODD(sum, panel, odd) "vpaddd %zmm" #odd ", %zmm" #sum ", %zmm" #sum "\n\t"
#define ROW_OF(n)                                                                                            \
  Q8_OF_##n(BEGIN_ODD, , 4, 5, 6, 7)                                                                         \
  PAIRS(BYTES(0, r8) Q8_OF_##n(VECTOR, "(%rdx)", 0, 1, 2, 3),                                                \
        BYTES(4, r8) Q8_OF_##n(VECTOR, "+64*" #n "(%rdx)", 4, 5, 6, 7), "$64*" #n)                           \
  "add $128*" #n ", %rdx\n\t" Q8_LOOP(8) Q8_OF_##n(END_ODD, , 4, 5, 6, 7)
Q8_PRODUCTS(products_of_row, Q8_EACH_WIDTH(ROW_OF))

#define ROW(mr, nr)                                                                                          \
  { "gemm_avx512vnni_" #mr "x" #nr, Q8_NEEDS_AVX512VNNI, mr, nr, KR, A_BYTES, 1, 0, -128, sums_##mr##x##nr, bytes_##nr }

Q8_TILES

const q8_gemm_kernel q8_avx512vnni_gemm[] = {
    ROW(6, 64), ROW(4, 64), ROW(1, 64), ROW(8, 48), ROW(1, 48), ROW(8, 32), ROW(1, 32), ROW(8, 16), ROW(1, 16), {0},
};
#endif
