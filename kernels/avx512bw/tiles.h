/* tiles.h - what the GEMM tiles of both AVX-512 folders share: all of a tile but the multiplications (tiles.c), and the asm of
 * the latter, into which each folder puts its own instructions.
 *
 * A tile has 1 row of up to 64 columns, 4 to 6 rows of 64, or 8 rows of 48, 32 or 16. A pass of a multiplication takes four bytes
 * of each row, a lane of a register, and for every 16 columns 64 bytes of the panel. */
#ifndef Q8_AVX512BW_TILES_H
#define Q8_AVX512BW_TILES_H

#include "vec.h"

/* The products of one tap, as asm that keeps to the registers below. It adds to the sums, and moves rdx behind the panel's part. */
typedef void q8_avx512_products(void);

typedef struct q8_avx512_tiles {
  q8_avx512_products *tile, *row; /* of several rows, of one */
  uint32_t columns, pass; /* bytes of a row in a pass of the loop */
} q8_avx512_tiles;

/* q8_gemm_fn of a tile with its height and of a row, and q8_gemm_u8_fn for any number of rows. k counts bytes. */
void q8_avx512bw_tile(size_t taps, size_t k, const void *const *a, size_t a_stride, const void *b, int32_t *acc,
                      const q8_avx512_tiles *tiles, uint32_t height);
void q8_avx512bw_row(size_t taps, size_t k, const void *const *a, size_t a_stride, const void *b, int32_t *acc,
                     const q8_avx512_tiles *tiles);
void q8_avx512bw_bytes(size_t taps, size_t k, const void *const *a, size_t a_stride, const void *b, const void *next,
                       const q8_requant *rq, size_t rows, size_t columns, uint8_t *y, size_t y_stride,
                       const q8_avx512_tiles *tiles);

/* The registers of products:
 *   r8 .. r15     pointers to rows, of which tiles of 64 columns have six
 *   rcx           k, in bytes          rax   how many of them are done
 *   rdx           the panel            rbx   what is fetched of the next one
 *   rdi           q8_avx512_walk
 *   zmm0 .. 23    sums, row by row; of one row the first four
 * The others are free, but for rsi and k1. Products of a row leave those of the others' pointers and rbx as they are. */

/* What products read beyond registers, the beginning of what tiles.c keeps of a call. */
typedef struct q8_avx512_walk {
  size_t next_step; /* what is fetched of the next panel in a pass of the loop */
  size_t block;     /* bytes of the panel for a lane of a row */
  size_t height;
} q8_avx512_walk;
#define Q8_NEXT_STEP "(%rdi)"
#define Q8_BLOCK "8(%rdi)"
#define Q8_HEIGHT "16(%rdi)"

/* A function that is its asm and nothing else. */
#define Q8_PRODUCTS(name, body)                                                                              \
  __attribute__((naked)) static void name(void) {                                                            \
    __asm__(body "ret\n\t");                                                                                 \
  }

/* ---- Rows: `row(at, pointer, sums...)` for each, `at` being the byte of the pass's block ---- */

#define Q8_ROWS_3(row, at)                                                                                   \
  row(at, 0, r8, 0, 1, 2) row(at, 1, r9, 3, 4, 5) row(at, 2, r10, 6, 7, 8) row(at, 3, r11, 9, 10, 11)        \
      row(at, 4, r12, 12, 13, 14) row(at, 5, r13, 15, 16, 17) row(at, 6, r14, 18, 19, 20)                    \
          row(at, 7, r15, 21, 22, 23)
#define Q8_ROWS_2(row, at)                                                                                   \
  row(at, r8, 0, 1) row(at, r9, 2, 3) row(at, r10, 4, 5) row(at, r11, 6, 7) row(at, r12, 8, 9)               \
      row(at, r13, 10, 11) row(at, r14, 12, 13) row(at, r15, 14, 15)
#define Q8_ROWS_1(row, at)                                                                                   \
  row(at, r8, 0) row(at, r9, 1) row(at, r10, 2) row(at, r11, 3) row(at, r12, 4) row(at, r13, 5)              \
      row(at, r14, 6) row(at, r15, 7)
/* Four, and as many more of two as the tile has. */
#define Q8_ROWS_4(row, at)                                                                                   \
  row(at, 0, r8, 0, 1, 2, 3) row(at, 1, r9, 4, 5, 6, 7) row(at, 2, r10, 8, 9, 10, 11)                        \
      row(at, 3, r11, 12, 13, 14, 15)
#define Q8_ROW_4(row, at) row(at, 4, r12, 16, 17, 18, 19)
#define Q8_ROW_5(row, at) row(at, 5, r13, 20, 21, 22, 23)

/* One row: a loop for each width, `loop(n)` of n vectors. (Masks instead make reads slower, those from memory 1.5 times, and
 * branches in one loop the narrow widths.) And n of `vector(v, panel, sum)`. */
#define Q8_EACH_WIDTH(loop)                                                                                  \
  "cmpl $128, " Q8_BLOCK "\n\tjb 6f\n\tje 7f\n\t"                                                           \
  "cmpl $256, " Q8_BLOCK "\n\tje 8f\n\t" loop(3) "ret\n"                                                     \
  "6:\n\t" loop(1) "ret\n7:\n\t" loop(2) "ret\n8:\n\t" loop(4)
#define Q8_OF_1(vector, panel, c0, c1, c2, c3) vector(0, panel, c0)
#define Q8_OF_2(vector, panel, c0, c1, c2, c3) Q8_OF_1(vector, panel, c0, c1, c2, c3) vector(1, panel, c1)
#define Q8_OF_3(vector, panel, c0, c1, c2, c3) Q8_OF_2(vector, panel, c0, c1, c2, c3) vector(2, panel, c2)
#define Q8_OF_4(vector, panel, c0, c1, c2, c3) Q8_OF_3(vector, panel, c0, c1, c2, c3) vector(3, panel, c3)

/* The panel's vectors, and a line of what comes 1 KB behind them into L1. */
#define Q8_VECTORS_1(at) "vmovdqa64 " #at "(%rdx), %zmm28\n\t"
#define Q8_VECTORS_2(at) Q8_VECTORS_1(at) "vmovdqa64 64+" #at "(%rdx), %zmm29\n\t"
#define Q8_VECTORS_3(at) Q8_VECTORS_2(at) "vmovdqa64 128+" #at "(%rdx), %zmm30\n\t"
#define Q8_VECTORS_4(at) "vmovdqa64 192+" #at "(%rdx), %zmm27\n\t" Q8_VECTORS_3(at)
#define Q8_LINE(at) "prefetcht0 1024+" #at "(%rdx)\n\t"

/* A line of the next panel, into L2. */
#define Q8_NEXT "prefetcht1 (%rbx)\n\tadd " Q8_NEXT_STEP ", %rbx\n\t"
/* The end of a pass that took so many bytes of each row. */
#define Q8_LOOP(bytes)                                                                                       \
  "add $" #bytes ", %rax\n\t"                                                                                \
  "cmp %rcx, %rax\n\t"                                                                                       \
  "jb 2b\n\t"

/* ---- The functions of a folder's table, whose products are named so ---- */

#define Q8_TILES                                                                                             \
  Q8_TILES_OF(64) Q8_SUMS(6, 64) Q8_SUMS(4, 64) Q8_TILES_OF(48) Q8_SUMS(8, 48) Q8_TILES_OF(32)               \
  Q8_SUMS(8, 32) Q8_TILES_OF(16) Q8_SUMS(8, 16)
#define Q8_TILES_OF(nr)                                                                                      \
  static const q8_avx512_tiles tiles_##nr = {products_##nr, products_of_row, nr, PASS};                      \
  static void bytes_##nr(size_t taps, size_t k, const void *const *a, size_t a_stride, const void *b,        \
                         const void *next, const q8_requant *rq, size_t rows, size_t columns, uint8_t *y,    \
                         size_t y_stride) {                                                                  \
    q8_avx512bw_bytes(taps, A_BYTES * k, a, a_stride, b, next, rq, rows, columns, y, y_stride, &tiles_##nr); \
  }                                                                                                          \
  static void sums_1x##nr(size_t taps, size_t k, const void *const *a, size_t a_stride, const void *b,       \
                          int32_t *acc) {                                                                    \
    q8_avx512bw_row(taps, A_BYTES * k, a, a_stride, b, acc, &tiles_##nr);                                    \
  }
#define Q8_SUMS(mr, nr)                                                                                      \
  static void sums_##mr##x##nr(size_t taps, size_t k, const void *const *a, size_t a_stride, const void *b,  \
                               int32_t *acc) {                                                               \
    q8_avx512bw_tile(taps, A_BYTES * k, a, a_stride, b, acc, &tiles_##nr, mr);                               \
  }

#endif
