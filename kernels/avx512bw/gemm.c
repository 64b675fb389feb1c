/* gemm.c - int8 GEMM tiles for AVX-512 without VNNI: vpmaddwd multiplies pairs of int16 exactly, 16 columns a
 * register.
 *
 * As in avx2: A rows are int16, widened by the driver, and the B panel is int16 [k / 2][nr][2]. vpmaddubsw on
 * bytes is no way around: it saturates, and what makes it exact (vpsignb) has no 512-bit form and costs what
 * it saves. */
#if defined(__AVX512F__) && defined(__AVX512BW__) && defined(__AVX512VL__) && defined(__AVX512DQ__) &&       \
    defined(__x86_64__)
#include "tiles.h"

enum { KR = 2, A_BYTES = 2, PASS = 4 };

#define LOOP(block) "xor %eax, %eax\n\t.p2align 5\n2:\n\t" block
#define PAIR(row) "vpbroadcastd (%" #row ", %rax), %zmm31\n\t"
#define ADD(vector, sum)                                                                                     \
  "vpmaddwd %zmm" #vector ", %zmm31, %zmm26\n\t"                                                             \
  "vpaddd %zmm26, %zmm" #sum ", %zmm" #sum "\n\t"
#define ROW_1(at, row, c0) PAIR(row) ADD(28, c0)
#define ROW_2(at, row, c0, c1) ROW_1(at, row, c0) ADD(29, c1)
#define ROW_3(at, i, row, c0, c1, c2) ROW_2(at, row, c0, c1) ADD(30, c2) LINE_##i
#define ROW_4(at, i, row, c0, c1, c2, c3) ROW_2(at, row, c0, c1) ADD(30, c2) ADD(27, c3) LINE_##i
#define LINE_0 Q8_LINE(0)
#define LINE_1 Q8_LINE(64)
#define LINE_2 Q8_LINE(128)
#define LINE_3 Q8_LINE(192)
#define LINE_4
#define LINE_5
#define LINE_6
#define LINE_7

Q8_PRODUCTS(products_64,
            "mov " Q8_HEIGHT ", %r14\n\t"
            LOOP(Q8_VECTORS_4(0) Q8_ROWS_4(ROW_4, 0)
                 "cmp $5, %r14d\n\tjb 4f\n\t" Q8_ROW_4(ROW_4, 0) "je 4f\n\t" Q8_ROW_5(ROW_4, 0) "4:\n\t")
            "add $256, %rdx\n\t" Q8_NEXT Q8_LOOP(4))
Q8_PRODUCTS(products_48, LOOP(Q8_VECTORS_3(0) Q8_ROWS_3(ROW_3, 0)) "add $192, %rdx\n\t" Q8_NEXT Q8_LOOP(4))
Q8_PRODUCTS(products_32, LOOP(Q8_VECTORS_2(0) Q8_ROWS_2(ROW_2, 0)) "sub $-128, %rdx\n\t" Q8_LOOP(4))
Q8_PRODUCTS(products_16, LOOP(Q8_VECTORS_1(0) Q8_ROWS_1(ROW_1, 0)) "add $64, %rdx\n\t" Q8_LOOP(4))

#define VECTOR(v, panel, sum)                                                                                \
  "vpmaddwd 64*" #v panel ", %zmm31, %zmm26\n\t"                                                             \
  "vpaddd %zmm26, %zmm" #sum ", %zmm" #sum "\n\t"
#define ROW_OF(n)                                                                                            \
  LOOP(PAIR(r8) Q8_OF_##n(VECTOR, "(%rdx)", 0, 1, 2, 3)) "add $64*" #n ", %rdx\n\t" Q8_LOOP(4)
Q8_PRODUCTS(products_of_row, Q8_EACH_WIDTH(ROW_OF))

#define ROW(mr, nr)                                                                                          \
  { "gemm_avx512bw_" #mr "x" #nr, Q8_NEEDS_AVX512, mr, nr, KR, A_BYTES, 2, 0, -128, sums_##mr##x##nr, bytes_##nr }
Q8_TILES

const q8_gemm_kernel q8_avx512bw_gemm[] = {
    ROW(6, 64), ROW(4, 64), ROW(1, 64), ROW(8, 48), ROW(1, 48), ROW(8, 32), ROW(1, 32), ROW(8, 16), ROW(1, 16), {0},
};
#endif
