/* gemm.h - what the int8 tiles of 256-bit registers share: a tile in asm from its bias to its bytes, and the rows of a panel
 * cut into tiles.
 *
 * Sums are in ymm0 to ymm11, row by row. Rows are in r8 to r11, r13 and r15, rdx is the panel, rax what is done of a row. */
#ifndef Q8_AVX2_GEMM_H
#define Q8_AVX2_GEMM_H

#include <immintrin.h>
#include <stddef.h>

#include "kernel.h"

typedef struct q8_avx2_walk {
  __m256i hi, order, zero_point, lowest; /* as float without the zero point, for vpermd, int16, bytes; first: see FINISH */
  const void *const *a;
  size_t a_step, taps;
  size_t k; /* bytes of a row */
  const void *b;
  const char *next; /* where the next panel is fetched from in this pass, and what a pass adds */
  size_t next_step;
  const int32_t *bias; /* of four vectors; `step` bytes on, those of the next four */
  const float *scale;  /* likewise; NULL: sums are stored */
  size_t step;
  void *out;                    /* sums, or bytes: */
  size_t half_step, whole_step; /* to the other half of four vectors, and to the next four */
  uint32_t tile, vectors;       /* which one, and how many vectors of sums it has */
  size_t tiles, a_tile;         /* how many of it, bytes from one to the next in a */
} q8_avx2_walk;

typedef void q8_avx2_tile_fn(q8_avx2_walk *w);

/* The tiles of a panel: which one is next and how many rows it takes, where so many are left, from 1 to two more than mr. */
typedef struct q8_avx2_tiles {
  q8_avx2_tile_fn *run;
  struct {
    uint8_t tile, rows;
  } next[9];
  uint8_t mr, nr;
  uint8_t period; /* of `run`: vectors after which it takes bias and scale from the beginning; a panel has as many or fewer */
  uint8_t steps;  /* blocks of k in a pass of the highest tile */
} q8_avx2_tiles;

#define Q8_AVX2_UP_TO_4(tile) {{0, 0}, {tile, 1}, {tile, 2}, {tile, 3}, {tile, 4}, {tile, 4}, {tile, 4}}
#define Q8_AVX2_UP_TO_6(tile)                                                                                \
  {{0, 0}, {tile, 1}, {tile, 2}, {tile, 3}, {tile, 4}, {tile, 5}, {tile, 6}, {tile, 6}, {tile, 6}}

/* q8_gemm_fn of the highest tile, and q8_gemm_u8_fn of all. k is in bytes of a row. */
void q8_avx2_sums(size_t taps, size_t k, const void *const *a, size_t a_stride, const void *b, int32_t *acc,
                  const q8_avx2_tiles *tiles);
void q8_avx2_bytes(size_t taps, size_t k, const void *const *a, size_t a_stride, const void *b, const void *next,
                   const q8_requant *rq, size_t rows, size_t columns, uint8_t *y, size_t y_stride,
                   const q8_avx2_tiles *tiles);

#define Q8_AVX2_SUMS(mr, nr, a_bytes)                                                                        \
  static void gemm_##mr##x##nr(size_t taps, size_t k, const void *const *a, size_t a_stride, const void *b,  \
                               int32_t *acc) {                                                               \
    q8_avx2_sums(taps, a_bytes *k, a, a_stride, b, acc, &tiles_##mr##x##nr);                                 \
  }
#define Q8_AVX2_BYTES(mr, nr, a_bytes)                                                                       \
  static void gemm_u8_##mr##x##nr(size_t taps, size_t k, const void *const *a, size_t a_stride,              \
                                  const void *b, const void *next, const q8_requant *rq, size_t rows,        \
                                  size_t columns, uint8_t *y, size_t y_stride) {                             \
    q8_avx2_bytes(taps, a_bytes *k, a, a_stride, b, next, rq, rows, columns, y, y_stride,                    \
                  &tiles_##mr##x##nr);                                                                       \
  }

#define POINTERS_1 "mov (%%rsi), %%r8\n\t"
#define POINTERS_2 POINTERS_1 "mov 8(%%rsi), %%r9\n\t"
#define POINTERS_3 POINTERS_2 "mov 16(%%rsi), %%r10\n\t"
#define POINTERS_4 POINTERS_3 "mov 24(%%rsi), %%r11\n\t"
#define POINTERS_5 POINTERS_4 "mov 32(%%rsi), %%r13\n\t"
#define POINTERS_6 POINTERS_5 "mov 40(%%rsi), %%r15\n\t"

/* The panel is fetched a little ahead into L1, where few panels fit whole, between the steps: all at once would hold up their
 * loads. */
#define LINE(at) "prefetcht0 512+" #at "(%%rdx)\n\t"

/* The products of a tile of mr rows and nv vectors, of taps from 0 up: `pass` does `steps` blocks of k, four bytes of a row
 * each, `step` one. */
#define Q8_AVX2_MULTIPLY(mr, nv, steps, pass, step)                                                          \
  "mov %%rcx, %%rbx\n\t"                                                                                     \
  "and $-4*" #steps ", %%rbx\n\t"                                                                            \
  "jmp 5f\n"                                                                                                 \
  "1:\n\t" POINTERS_##mr                                                                                     \
  "add %c[a_step](%%rdi), %%rsi\n\t"                                                                         \
  "xor %%eax, %%eax\n\t"                                                                                     \
  "test %%rbx, %%rbx\n\t"                                                                                    \
  "jz 4f\n\t"                                                                                                \
  ".p2align 5\n"                                                                                             \
  "2:\n\t" pass                                                                                              \
  "prefetcht1 (%%r12)\n\t"                                                                                   \
  "add %c[next_step](%%rdi), %%r12\n\t"                                                                      \
  "sub $-32*" #nv "*" #steps ", %%rdx\n\t"                                                                   \
  "add $4*" #steps ", %%rax\n\t"                                                                             \
  "cmp %%rbx, %%rax\n\t"                                                                                     \
  "jb 2b\n\t"                                                                                                \
  "jmp 4f\n"                                                                                                 \
  "3:\n\t" step                                                                                              \
  "sub $-32*" #nv ", %%rdx\n\t"                                                                              \
  "add $4, %%rax\n"                                                                                          \
  "4:\n\t"                                                                                                   \
  "cmp %%rcx, %%rax\n\t"                                                                                     \
  "jb 3b\n"                                                                                                  \
  "5:\n\t"                                                                                                   \
  "dec %%r14\n\t"                                                                                            \
  "jns 1b\n\t"

#define BEGIN_4(c0, c1, c2, c3)                                                                              \
  "vmovdqu (%%rax), %%ymm" #c0 "\n\t"                                                                        \
  "vmovdqu 32(%%rax), %%ymm" #c1 "\n\t"                                                                      \
  "vmovdqu 32*(2&%c[last])(%%rax), %%ymm" #c2 "\n\t"                                                         \
  "vmovdqu 32*(3&%c[last])(%%rax), %%ymm" #c3 "\n\t"                                                         \
  "add %%rsi, %%rax\n\t"
#define STORE_2(c0, c1)                                                                                      \
  "vmovdqa %%ymm" #c0 ", 32*" #c0 "(%%rdx)\n\t"                                                              \
  "vmovdqa %%ymm" #c1 ", 32*" #c1 "(%%rdx)\n\t"
#define STORE_LAST(c0, c1) STORE_2(c0, c1) "cmp $" #c1 "+1, %%eax\n\tje 10f\n\t"
/* Four vectors of sums as bytes. What is too low, or NaN, which vminps passes on, becomes INT32_MIN, then the lowest byte. */
#define FINISH_ONE(v, c)                                                                                     \
  "vcvtdq2ps %%ymm" #c ", %%ymm" #c "\n\t"                                                                   \
  "vmulps 32*(" #v "&%c[last])(%%rax), %%ymm" #c ", %%ymm" #c "\n\t"                                         \
  "vminps %%ymm" #c ", %%ymm12, %%ymm" #c "\n\t"                                                             \
  "vcvtps2dq %%ymm" #c ", %%ymm" #c "\n\t"
#define FINISH_4(c0, c1, c2, c3)                                                                             \
  FINISH_ONE(0, c0) FINISH_ONE(1, c1) FINISH_ONE(2, c2) FINISH_ONE(3, c3)                                    \
  "vpackssdw %%ymm" #c1 ", %%ymm" #c0 ", %%ymm" #c0 "\n\t"                                                   \
  "vpackssdw %%ymm" #c3 ", %%ymm" #c2 ", %%ymm" #c2 "\n\t"                                                   \
  "vpaddw %%ymm14, %%ymm" #c0 ", %%ymm" #c0 "\n\t"                                                           \
  "vpaddw %%ymm14, %%ymm" #c2 ", %%ymm" #c2 "\n\t"                                                           \
  "vpackuswb %%ymm" #c2 ", %%ymm" #c0 ", %%ymm" #c0 "\n\t"                                                   \
  "vpmaxub %%ymm15, %%ymm" #c0 ", %%ymm" #c0 "\n\t"                                                          \
  "vpermd %%ymm" #c0 ", %%ymm13, %%ymm" #c0 "\n\t"                                                           \
  "vmovdqu %%xmm" #c0 ", (%%rdx)\n\t"                                                                        \
  "vextracti128 $1, %%ymm" #c0 ", (%%rdx, %%rcx)\n\t"                                                        \
  "add %%rbx, %%rdx\n\t"                                                                                     \
  "add %%rsi, %%rax\n\t"

#define FIELD(name) [name] "i"(offsetof(q8_avx2_walk, name))

/* A function for tiles of several shapes, of which a run does as many as `tiles` says. `products` begins behind a comparison
 * of `tile` with 1, and ends at label 8. With more than four vectors of sums, twelve are stored as bytes. */
#define Q8_AVX2_TILE(name, period, products)                                                                 \
  static Q8_NOINLINE void name(q8_avx2_walk *w) {                                                            \
    __asm__ volatile("mov %c[next](%%rdi), %%r12\n"                                                          \
                     "0:\n\t"                                                                                \
                     "mov %c[bias](%%rdi), %%rax\n\t"                                                        \
                     "mov %c[step](%%rdi), %%rsi\n\t"                                                        \
                     BEGIN_4(0, 1, 2, 3) BEGIN_4(4, 5, 6, 7) BEGIN_4(8, 9, 10, 11)                           \
                     "mov %c[a](%%rdi), %%rsi\n\t"                                                           \
                     "mov %c[b](%%rdi), %%rdx\n\t"                                                           \
                     "mov %c[k](%%rdi), %%rcx\n\t"                                                           \
                     "mov %c[taps](%%rdi), %%r14\n\t"                                                        \
                     "mov %c[tile](%%rdi), %%eax\n\t"                                                        \
                     "cmp $1, %%eax\n\t"                                                                     \
                     products                                                                                \
                     "8:\n\t"                                                                                \
                     "mov %c[scale](%%rdi), %%rax\n\t"                                                       \
                     "mov %c[out](%%rdi), %%rdx\n\t"                                                         \
                     "test %%rax, %%rax\n\t"                                                                 \
                     "jz 9f\n\t"                                                                             \
                     "mov %c[step](%%rdi), %%rsi\n\t"                                                        \
                     "mov %c[half_step](%%rdi), %%rcx\n\t"                                                   \
                     "mov %c[whole_step](%%rdi), %%rbx\n\t"                                                  \
                     "vmovdqa (%%rdi), %%ymm12\n\t"                                                          \
                     "vmovdqa 32(%%rdi), %%ymm13\n\t"                                                        \
                     "vmovdqa 64(%%rdi), %%ymm14\n\t"                                                        \
                     "vmovdqa 96(%%rdi), %%ymm15\n\t"                                                        \
                     FINISH_4(0, 1, 2, 3)                                                                    \
                     "cmpl $4, %c[vectors](%%rdi)\n\t"                                                       \
                     "jbe 10f\n\t" FINISH_4(4, 5, 6, 7) FINISH_4(8, 9, 10, 11)                               \
                     "mov %%rdx, %c[out](%%rdi)\n\t"                                                         \
                     "mov %c[a_tile](%%rdi), %%rax\n\t"                                                      \
                     "add %%rax, %c[a](%%rdi)\n\t"                                                           \
                     "decq %c[tiles](%%rdi)\n\t"                                                             \
                     "jnz 0b\n\t"                                                                            \
                     "jmp 10f\n"                                                                             \
                     "9:\n\t"                                                                                \
                     "mov %c[vectors](%%rdi), %%eax\n\t" STORE_LAST(0, 1) STORE_LAST(2, 3) STORE_LAST(4, 5)  \
                         STORE_LAST(6, 7) STORE_2(8, 9) STORE_2(10, 11)                                      \
                     "10:\n\t"                                                                               \
                     "mov %%r12, %c[next](%%rdi)\n\t"                                                        \
                     :                                                                                       \
                     : "D"(w), FIELD(a), FIELD(a_step), FIELD(taps), FIELD(k), FIELD(b), FIELD(next),        \
                       FIELD(next_step), FIELD(bias), FIELD(scale), FIELD(step), FIELD(out),                 \
                       FIELD(half_step), FIELD(whole_step), FIELD(tile), FIELD(vectors), FIELD(tiles),       \
                       FIELD(a_tile), [last] "i"((period) - 1)                                               \
                     : "cc", "memory", "rax", "rbx", "rcx", "rdx", "rsi", "r8", "r9", "r10", "r11", "r12",   \
                       "r13", "r14", "r15", "xmm0", "xmm1", "xmm2", "xmm3", "xmm4", "xmm5", "xmm6", "xmm7",  \
                       "xmm8", "xmm9", "xmm10", "xmm11", "xmm12", "xmm13", "xmm14", "xmm15");                \
  }

#endif
