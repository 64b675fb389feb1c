/* dwconv_3x3.c - 3 x 3 without dilation in one pass, in asm: weights, quads, sums and, with stride 2, bias and scales take all
 * registers, and compilers move one or the other to memory. Loads are what limits these loops. */
#if defined(__AVX512VNNI__) && defined(__AVX512BW__) && defined(__AVX512VL__) && defined(__AVX512DQ__) &&    \
    defined(__x86_64__)
#include "dwconv_row.h"

/* Pixels from the pointer `at`, and of another strip r10 bytes further on; results r11 further on. */
#define AT_64(at, z) PIXEL_64(at, z)
#define AT_32(at, z) PIXEL_32(at, at ", %%r10", z)
#define TO_64(z, y) STORE_64(z, y)
#define TO_32(z, y) STORE_32(z, y, "%%r11")
#define POINTER(i) "8*" #i "(%%rsi"

/* Quads to the sums zmm0-3, weights in registers or in step i. */
#define ADD_QUADS(w0, w1, w2, w3, q0, q1, q2, q3)                                                            \
  ADD("%%zmm" #w0, q0, 0) ADD("%%zmm" #w1, q1, 1) ADD("%%zmm" #w2, q2, 2) ADD("%%zmm" #w3, q3, 3)
#define ADD_STEP(i, q0, q1, q2, q3)                                                                          \
  ADD("256*" #i "(%%rbx)", q0, 0) ADD("256*" #i "+64(%%rbx)", q1, 1)                                         \
  ADD("256*" #i "+128(%%rbx)", q2, 2) ADD("256*" #i "+192(%%rbx)", q3, 3)

#define BEGIN                                                                                                \
  "mov %c[w](%%rdi), %%rbx\n\t"                                                                              \
  "vmovdqa64 %c[zero_point](%%rdi), %%zmm30\n\t"                                                             \
  "mov $0xf0, %%eax\n\tkmovw %%eax, %%k1\n\t"                                                                \
  "mov %c[first](%%rdi), %%rcx\n\t"                                                                          \
  "mov %c[skip](%%rdi), %%r10\n\tshl $3, %%r10\n\t"                                                          \
  "mov %c[across](%%rdi), %%r11\n\t"                                                                         \
  "mov %c[length](%%rdi), %%r9\n\t"
#define OPERANDS                                                                                             \
  "+S"(cols), "+d"(y)                                                                                        \
      : "D"(b), FIELD(w), FIELD(bias), FIELD(scale), FIELD(first), FIELD(skip), FIELD(across), FIELD(length), \
        FIELD(clamps), FIELD(y_stride), FIELD(row_stride), FIELD(pitch), FIELD(hi), BOUND(lo), BOUND(zero_point) \
      : "cc", "memory", "rax", "rbx", "rcx", "r8", "r9", "r10", "r11", "r12", "r13", "r14", "k1", ZMM

/* ---- Stride 1 ---- */

/* The next column, four rows or, of a single output row, three and the first again, whose weight is 0; its quads to four
 * registers. */
#define COLUMN(AT, q0, q1, q2, q3)                                                                           \
  AT(POINTER(0), q0) AT(POINTER(1), q1) AT(POINTER(2), q2) AT("(%%r13", q3)                                  \
  "add %%r12, %%rsi\n\tadd %%r12, %%r13\n\t"                                                                 \
  PAIRS("bw", q0, q1, 0, q0) PAIRS("bw", q2, q3, 1, q2)                                                      \
  UNPACK("h", "wd", q0, q2, q3) UNPACK("l", "wd", q0, q2, q2) PAIRS("wd", 0, 1, q0, q1)

#define FINISH_AND(store)                                                                                    \
  CONVERT(0, 0) CONVERT(1, 1) CONVERT(2, 2) CONVERT(3, 3)                                                    \
  SCALE("%c[scale](%%rdi)", 0) SCALE("64+%c[scale](%%rdi)", 1) SCALE("128+%c[scale](%%rdi)", 2)              \
  SCALE("192+%c[scale](%%rdi)", 3) WORDS(0, 1, 30) WORDS(2, 3, 30) BYTES(0, 2, 0) store

/* An output row, or two: for these the quads of four input rows serve. The weights of the lower one, whose taps are one byte
 * further on in every quad, lie three steps behind, and stay in memory. zmm4-7, 8-11 and 12-15 are quads of the last three
 * columns, 16-27 weights. */
#define ROW3X3(name, AT, TO)                                                                                 \
  static void name(const block *b, const uint8_t *const *cols, uint8_t *y) {                                 \
    __asm__ volatile(BEGIN LOAD_4("0(%%rbx)", 16, 17, 18, 19) LOAD_4("256(%%rbx)", 20, 21, 22, 23)           \
                     LOAD_4("512(%%rbx)", 24, 25, 26, 27)                                                    \
                     "mov %c[y_stride](%%rdi), %%r8\n\t"                                                     \
                     "mov %c[pitch](%%rdi), %%r12\n\tshl $3, %%r12\n\t"                                      \
                     "mov %c[row_stride](%%rdi), %%r14\n\t"                                                  \
                     "lea -8(%%rsi, %%r12), %%r13\n\t"                                                       \
                     "test %%r14, %%r14\n\t"                                                                 \
                     "cmovz %%rsi, %%r13\n\t" COLUMN(AT, 4, 5, 6, 7) COLUMN(AT, 8, 9, 10, 11)                \
                     "1:\n\t" COLUMN(AT, 12, 13, 14, 15) LOAD_4("%c[bias](%%rdi)", 0, 1, 2, 3)               \
                     ADD_QUADS(16, 17, 18, 19, 4, 5, 6, 7)                                                   \
                     ADD_QUADS(20, 21, 22, 23, 8, 9, 10, 11)                                                 \
                     ADD_QUADS(24, 25, 26, 27, 12, 13, 14, 15) FINISH_AND(TO(0, "%%rdx"))                    \
                     "test %%r14, %%r14\n\t"                                                                 \
                     "jz 2f\n\t" LOAD_4("%c[bias](%%rdi)", 0, 1, 2, 3) ADD_STEP(3, 4, 5, 6, 7)               \
                     ADD_STEP(4, 8, 9, 10, 11) ADD_STEP(5, 12, 13, 14, 15)                                   \
                     "lea (%%rdx, %%r14), %%rax\n\t" FINISH_AND(TO(0, "%%rax"))                              \
                     "2:\n\t"                                                                                \
                     "add %%r8, %%rdx\n\t" MOVE(8, 4) MOVE(9, 5) MOVE(10, 6) MOVE(11, 7)                     \
                     MOVE(12, 8) MOVE(13, 9) MOVE(14, 10) MOVE(15, 11)                                       \
                     "dec %%r9\n\t"                                                                          \
                     "jnz 1b\n\t"                                                                            \
                     : OPERANDS);                                                                            \
  }
ROW3X3(row3x3_64, AT_64, TO_64)
ROW3X3(row3x3_32, AT_32, TO_32)

/* ---- Stride 2 ---- */

/* A finished sum to whole numbers in zmm t; the next output's begins with its first column. */
#define FINISH(sum, quad, t, first, bias, scale)                                                             \
  CONVERT(sum, t) MOVE(bias, sum) ADD("%%zmm" #first, quad, sum) SCALE("%%zmm" #scale, t)

/* zmm0-3 sums, 10-13, 14-17 and 18-21 weights of the first, middle and last column, 22-25 bias, 26-29 scales.
 *
 * A pass ends an output with its middle column (m) and its last one (l), which is the first of the next. Pairs of rows 2 of l
 * and 0 of m serve both columns, two shuffles less: so the taps of m are those of the lower row of a pair, one byte further on.
 * The first pass begins at 2: with the row's first column as l; what it stores the second one overwrites. */
#define ROW3X3_2(name, AT, TO)                                                                               \
  static void name(const block *b, const uint8_t *const *cols, uint8_t *y) {                                 \
    __asm__ volatile(BEGIN LOAD_4("0(%%rbx)", 10, 11, 12, 13) LOAD_4("1024(%%rbx)", 14, 15, 16, 17)          \
                     LOAD_4("512(%%rbx)", 18, 19, 20, 21) LOAD_4("%c[bias](%%rdi)", 22, 23, 24, 25)          \
                     LOAD_4("%c[scale](%%rdi)", 26, 27, 28, 29)                                              \
                     "xor %%r8d, %%r8d\n\t"                                                                  \
                     "sub $24, %%rsi\n\t" AT(POINTER(5), 5) PAIRS("bw", 5, 5, 6, 5)                          \
                     "jmp 2f\n"                                                                              \
                     "1:\n\t" AT(POINTER(5), 5) AT(POINTER(0), 4) PAIRS("bw", 5, 4, 6, 5)                    \
                     AT(POINTER(1), 4) AT(POINTER(2), 7) PAIRS("bw", 4, 7, 8, 4)                             \
                     PAIRS("wd", 6, 8, 7, 8) PAIRS("wd", 5, 4, 9, 4)                                         \
                     ADD_QUADS(14, 15, 16, 17, 7, 8, 9, 4)                                                   \
                     "2:\n\t" AT(POINTER(3), 4) AT(POINTER(4), 7) PAIRS("bw", 4, 7, 8, 4)                    \
                     PAIRS("wd", 8, 6, 7, 8) PAIRS("wd", 4, 5, 9, 4)                                         \
                     ADD_QUADS(18, 19, 20, 21, 7, 8, 9, 4)                                                   \
                     FINISH(0, 7, 5, 10, 22, 26) FINISH(1, 8, 6, 11, 23, 27)                                 \
                     FINISH(2, 9, 31, 12, 24, 28) FINISH(3, 4, 7, 13, 25, 29)                                \
                     WORDS(5, 6, 30) WORDS(31, 7, 30) BYTES(5, 31, 5) TO(5, "%%rdx")                         \
                     "add $48, %%rsi\n\t"                                                                    \
                     "add %%r8, %%rdx\n\t"                                                                   \
                     "mov %c[y_stride](%%rdi), %%r8\n\t"                                                     \
                     "sub $1, %%r9\n\t"                                                                      \
                     "jnc 1b\n\t"                                                                            \
                     : OPERANDS);                                                                            \
  }
ROW3X3_2(row3x3_2_64, AT_64, TO_64)
ROW3X3_2(row3x3_2_32, AT_32, TO_32)

row_fn *q8_avx512vnni_dwconv_row3x3(const block *b) {
  if (b->channels == 64)
    return b->shape->col_step == 1 ? row3x3_64 : row3x3_2_64;
  return b->shape->col_step == 1 ? row3x3_32 : row3x3_2_32;
}
#endif
