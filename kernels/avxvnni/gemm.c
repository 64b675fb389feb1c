/* gemm.c - u8 x s8 tiles with vpdpbusd: four products a lane, 8 columns a register. The multiplications are asm, and all
 * around them is that of avx2. ymm12 and ymm13 are vectors of the panel, ymm14 is a broadcast. */
#if (defined(__AVXVNNI__) && defined(__AVX2__) && defined(__x86_64__)) || defined(Q8_AVXVNNI_EVEX)
#include "avx2/gemm.h"
#include "vnni.h"

/* A row's pointer and the sums of its even and odd blocks of k: where registers are left, they are not the same, as a
 * multiplication waits four cycles or five for the one before it. */
#define ROWS_6(row)                                                                                          \
  row(r8, 0, 1, 0, 1) row(r9, 2, 3, 2, 3) row(r10, 4, 5, 4, 5) row(r11, 6, 7, 6, 7) row(r13, 8, 9, 8, 9)     \
      row(r15, 10, 11, 10, 11)
#define ROWS_5(row)                                                                                          \
  row(r8, 0, 1, 10, 11) row(r9, 2, 3, 2, 3) row(r10, 4, 5, 4, 5) row(r11, 6, 7, 6, 7) row(r13, 8, 9, 8, 9)
#define ROWS_4(row) row(r8, 0, 1, 8, 9) row(r9, 2, 3, 10, 11) row(r10, 4, 5, 4, 5) row(r11, 6, 7, 6, 7)
#define ROWS_8(row)                                                                                          \
  row(r8, 0, , 1, ) row(r9, 2, , 3, ) row(r10, 4, , 5, ) row(r11, 6, , 7, ) row(r13, 8, , 9, )               \
      row(r15, 10, , 11, )

#define PANEL(at, v) "vmovdqa " #at "(%%rdx), %%ymm" #v "\n\t"
#define BROADCAST(s, row) "vpbroadcastd 4*" #s "(%%" #row ", %%rax), %%ymm14\n\t"
#define ADD(w, c) Q8_VPDPBUSD " " w ", %%ymm14, %%ymm" #c "\n\t"
#define ZERO(c) "vpxor %%xmm" #c ", %%xmm" #c ", %%xmm" #c "\n\t"
#define MERGE(x, y, to) "vpaddd %%ymm" #x ", %%ymm" #y ", %%ymm" #to "\n\t"

#define EVEN(row, c0, c1, c2, c3) BROADCAST(0, row) ADD("%%ymm12", c0) ADD("%%ymm13", c1)
#define ODD(row, c0, c1, c2, c3) BROADCAST(1, row) ADD("%%ymm12", c2) ADD("%%ymm13", c3)
#define EVEN_STEP(mr) PANEL(0, 12) PANEL(32, 13) ROWS_##mr(EVEN)
#define MULTIPLY(mr)                                                                                         \
  Q8_AVX2_MULTIPLY(mr, 2, 2, EVEN_STEP(mr) LINE(0) PANEL(64, 12) PANEL(96, 13) ROWS_##mr(ODD) LINE(64),      \
                   EVEN_STEP(mr))
#define MULTIPLY_5 ZERO(10) ZERO(11) MULTIPLY(5) MERGE(0, 10, 0) MERGE(1, 11, 1)
#define MULTIPLY_4                                                                                           \
  ZERO(8) ZERO(9) ZERO(10) ZERO(11) MULTIPLY(4) MERGE(0, 8, 0) MERGE(1, 9, 1) MERGE(2, 10, 2) MERGE(3, 11, 3)

#define EVEN_8(row, c0, c1, c2, c3) BROADCAST(0, row) ADD("%%ymm12", c0)
#define ODD_8(row, c0, c1, c2, c3) BROADCAST(1, row) ADD("%%ymm13", c2)
#define ZERO_8(row, c0, c1, c2, c3) ZERO(c2)
#define MULTIPLY_8                                                                                           \
  ROWS_8(ZERO_8)                                                                                             \
  Q8_AVX2_MULTIPLY(6, 1, 2, PANEL(0, 12) ROWS_8(EVEN_8) LINE(0) PANEL(32, 13) ROWS_8(ODD_8),                 \
                   PANEL(0, 12) ROWS_8(EVEN_8))                                                              \
  MERGE(0, 1, 0) MERGE(2, 3, 1) MERGE(4, 5, 2) MERGE(6, 7, 3) MERGE(8, 9, 4) MERGE(10, 11, 5)

/* A row alone has four sums of each vector, loads four of its blocks at once, as it waits for its loads, and fetches all of
 * the next panel. */
#define NEXT(at) "prefetcht1 " #at "(%%r12)\n\t"
#define BLOCK(s) "vpshufd $0x55*" #s ", %%ymm12, %%ymm14\n\t"
#define ROW_STEP(s, c0, c1) ADD("64*" #s "(%%rdx)", c0) ADD("64*" #s "+32(%%rdx)", c1)
#define MULTIPLY_1                                                                                           \
  ZERO(2) ZERO(3) ZERO(4) ZERO(5) ZERO(6) ZERO(7)                                                            \
  Q8_AVX2_MULTIPLY(1, 2, 4,                                                                                  \
                   "vbroadcasti128 (%%r8, %%rax), %%ymm12\n\t" BLOCK(0) ROW_STEP(0, 0, 1) NEXT(64)           \
                       BLOCK(1) ROW_STEP(1, 2, 3) NEXT(128) BLOCK(2) ROW_STEP(2, 4, 5) NEXT(192)             \
                           BLOCK(3) ROW_STEP(3, 6, 7),                                                       \
                   BROADCAST(0, r8) ROW_STEP(0, 0, 1))                                                       \
  MERGE(2, 0, 0) MERGE(3, 1, 1) MERGE(4, 6, 6) MERGE(5, 7, 7) MERGE(6, 0, 0) MERGE(7, 1, 1)

enum { TILE_6x16, TILE_5x16, TILE_4x16, TILE_1x16, TILE_6x8 };
Q8_AVX2_TILE(run_tile, 2,
             "je 11f\n\t"
             "ja 12f\n\t" MULTIPLY(6) "jmp 8f\n"
             "11:\n\t" MULTIPLY_5 "jmp 8f\n"
             "12:\n\t"
             "cmp $3, %%eax\n\t"
             "je 13f\n\t"
             "ja 14f\n\t" MULTIPLY_4 "jmp 8f\n"
             "13:\n\t" MULTIPLY_1 "jmp 8f\n"
             "14:\n\t" MULTIPLY_8)

#define SUMS(mr, nr) Q8_AVX2_SUMS(mr, nr, 1)
#define BYTES(mr, nr) Q8_AVX2_BYTES(mr, nr, 1)
/* Eight rows are done as four and four: two are done one by one. */
static const q8_avx2_tiles tiles_6x16 = {
    run_tile,
    {{0, 0}, {TILE_1x16, 1}, {TILE_1x16, 1}, {TILE_4x16, 3}, {TILE_4x16, 4}, {TILE_5x16, 5}, {TILE_6x16, 6}, {TILE_6x16, 6},
     {TILE_4x16, 4}},
    6, 16, 2, 2};
static const q8_avx2_tiles tiles_4x16 = {run_tile, Q8_AVX2_UP_TO_4(TILE_4x16), 4, 16, 2, 2};
static const q8_avx2_tiles tiles_1x16 = {
    run_tile, {{0, 0}, {TILE_1x16, 1}, {TILE_1x16, 1}, {TILE_1x16, 1}}, 1, 16, 2, 4};
static const q8_avx2_tiles tiles_6x8 = {run_tile, Q8_AVX2_UP_TO_6(TILE_6x8), 6, 8, 2, 2};
SUMS(6, 16)
SUMS(4, 16)
SUMS(1, 16)
SUMS(6, 8)
BYTES(6, 16)
BYTES(1, 16)
BYTES(6, 8)

#define ROW_OF(mr, nr, run_u8)                                                                               \
  { "gemm_avxvnni_" #mr "x" #nr, Q8_NEEDS_AVXVNNI, mr, nr, 4, 1, 1, 0, -128, gemm_##mr##x##nr, run_u8 }
#define ROW(mr, nr) ROW_OF(mr, nr, gemm_u8_##mr##x##nr)
const q8_gemm_kernel q8_avxvnni_gemm[] = {ROW(6, 16), ROW_OF(4, 16, gemm_u8_6x16), ROW(1, 16), ROW(6, 8), {0}};
#undef ROW_OF
#undef ROW
#endif
