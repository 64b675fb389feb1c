/* dwconv_3x3.c - 3 x 3 without dilation in one pass, in asm: weights, quads, sums and, with stride 2, bias and scales take all
 * registers, and compilers move one or the other to memory. Loads are what limits these loops. */
#if defined(__AVX512VNNI__) && defined(__AVX512BW__) && defined(__AVX512VL__) && defined(__AVX512DQ__) &&    \
    defined(__x86_64__)
#include <stddef.h>

#include "dwconv.h"

/* ---- Pixels: 64 channels, or 32 of one of each strip ---- */

/* From the pointer `at`, to zmm z. Of the second strip merged under a mask while loading, which keeps the insertion from the
 * ports that can shuffle; its pointer lies r10 bytes further on, its result r11. */
#define PIXEL_64(at, z) "mov " at "), %%rax\n\tvmovdqu64 (%%rax, %%rcx), %%zmm" #z "\n\t"
#define PIXEL_32(at, z)                                                                                      \
  "mov " at "), %%rax\n\tvmovdqu64 (%%rax, %%rcx), %%ymm" #z "\n\t"                                          \
  "mov " at ", %%r10), %%rax\n\tvbroadcasti64x4 (%%rax, %%rcx), %%zmm" #z "%{%%k1%}\n\t"
#define STORE_64(z, y) "vmovdqu64 %%zmm" #z ", (" y ")\n\t"
#define STORE_32(z, y) "vmovdqu64 %%ymm" #z ", (" y ")\n\tvextracti64x4 $1, %%zmm" #z ", (" y ", %%r11)\n\t"
#define POINTER(i) "8*" #i "(%%rsi"

/* ---- Quads and sums ---- */

/* Bytes or words of x and y by turns. y may be lo or hi, x hi. */
#define PAIRS(unit, x, y, lo, hi)                                                                            \
  "vpunpckl" unit " %%zmm" #y ", %%zmm" #x ", %%zmm" #lo "\n\tvpunpckh" unit " %%zmm" #y ", %%zmm" #x ", %%zmm" #hi "\n\t"
#define LOAD(from, z0, z1, z2, z3)                                                                           \
  "vmovdqa64 " from ", %%zmm" #z0 "\n\tvmovdqa64 64+" from ", %%zmm" #z1 "\n\t"                              \
  "vmovdqa64 128+" from ", %%zmm" #z2 "\n\tvmovdqa64 192+" from ", %%zmm" #z3 "\n\t"
#define MOVE(from, to) "vmovdqa64 %%zmm" #from ", %%zmm" #to "\n\t"
/* To the sums zmm0-3. */
#define ADD(w0, w1, w2, w3, q0, q1, q2, q3)                                                                  \
  "vpdpbusd " w0 ", %%zmm" #q0 ", %%zmm0\n\tvpdpbusd " w1 ", %%zmm" #q1 ", %%zmm1\n\t"                       \
  "vpdpbusd " w2 ", %%zmm" #q2 ", %%zmm2\n\tvpdpbusd " w3 ", %%zmm" #q3 ", %%zmm3\n\t"
#define IN_REGISTERS(a, b, c, d) "%%zmm" #a, "%%zmm" #b, "%%zmm" #c, "%%zmm" #d
#define IN_STEP(i) "256*" #i "(%%rbx)", "256*" #i "+64(%%rbx)", "256*" #i "+128(%%rbx)", "256*" #i "+192(%%rbx)"
#define ADD_TO(...) ADD(__VA_ARGS__)

/* Whole numbers in four registers to bytes in the first; a clamp to less than all bytes is at 9:, with its way back. */
#define NARROW(t0, t1, t2, t3)                                                                               \
  "vpackssdw %%zmm" #t1 ", %%zmm" #t0 ", %%zmm" #t0 "\n\tvpackssdw %%zmm" #t3 ", %%zmm" #t2 ", %%zmm" #t2 "\n\t" \
  "vpaddsw %%zmm30, %%zmm" #t0 ", %%zmm" #t0 "\n\tvpaddsw %%zmm30, %%zmm" #t2 ", %%zmm" #t2 "\n\t"           \
  "vpackuswb %%zmm" #t2 ", %%zmm" #t0 ", %%zmm" #t0 "\n\t"                                                   \
  "cmpl $0, %c[clamps](%%rdi)\n\t"                                                                           \
  "je 8f\n\t"                                                                                                \
  "vpmaxub %c[lo](%%rdi), %%zmm" #t0 ", %%zmm" #t0 "\n\tvpminub %c[hi](%%rdi), %%zmm" #t0 ", %%zmm" #t0 "\n" \
  "8:\n\t"

/* rdi: b, rsi: pointers of a column, rdx: y. */
#define FIELD(name) [name] "i"(offsetof(block, name))
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
      : "D"(b), FIELD(w), FIELD(bias), FIELD(scale), FIELD(first), FIELD(skip), FIELD(across), FIELD(length), FIELD(clamps),  \
        FIELD(y_stride), FIELD(row_stride), FIELD(pitch), FIELD(hi),                                         \
        [zero_point] "i"(offsetof(block, bounds.zero_point)), [lo] "i"(offsetof(block, bounds.lo))           \
      : "cc", "memory", "rax", "rbx", "rcx", "r8", "r9", "r10", "r11", "r12", "r13", "r14", "k1", "xmm0", "xmm1", "xmm2", "xmm3", \
        "xmm4", "xmm5", "xmm6", "xmm7", "xmm8", "xmm9", "xmm10", "xmm11", "xmm12", "xmm13", "xmm14", "xmm15", "xmm16",        \
        "xmm17", "xmm18", "xmm19", "xmm20", "xmm21", "xmm22", "xmm23", "xmm24", "xmm25", "xmm26", "xmm27", "xmm28",           \
        "xmm29", "xmm30", "xmm31"

/* ---- Stride 1 ---- */

/* The next column, four rows or, of a single output row, three and the first again, whose weight is 0; its quads to four
 * registers. */
#define COLUMN(PIXEL, q0, q1, q2, q3)                                                                        \
  PIXEL(POINTER(0), q0) PIXEL(POINTER(1), q1) PIXEL(POINTER(2), q2) PIXEL("(%%r13", q3)                       \
  "add %%r12, %%rsi\n\tadd %%r12, %%r13\n\t"                                                                \
  PAIRS("bw", q0, q1, 0, q0) PAIRS("bw", q2, q3, 1, q2) "vpunpckhwd %%zmm" #q2 ", %%zmm" #q0 ", %%zmm" #q3 "\n\t" \
  "vpunpcklwd %%zmm" #q2 ", %%zmm" #q0 ", %%zmm" #q2 "\n\t" PAIRS("wd", 0, 1, q0, q1)

#define ROUND                                                                                                \
  "vcvtdq2ps %%zmm0, %%zmm0\n\tvcvtdq2ps %%zmm1, %%zmm1\n\tvcvtdq2ps %%zmm2, %%zmm2\n\tvcvtdq2ps %%zmm3, %%zmm3\n\t" \
  "vmulps %c[scale](%%rdi), %%zmm0, %%zmm0\n\tvmulps 64+%c[scale](%%rdi), %%zmm1, %%zmm1\n\t"                \
  "vmulps 128+%c[scale](%%rdi), %%zmm2, %%zmm2\n\tvmulps 192+%c[scale](%%rdi), %%zmm3, %%zmm3\n\t"           \
  "vcvtps2dq %%zmm0, %%zmm0\n\tvcvtps2dq %%zmm1, %%zmm1\n\tvcvtps2dq %%zmm2, %%zmm2\n\tvcvtps2dq %%zmm3, %%zmm3\n\t"

/* An output row, or two: for these the quads of four input rows serve. The weights of the lower one, whose taps are one byte
 * further on in every quad, lie three steps behind, and stay in memory. zmm4-7, 8-11 and 12-15 are quads of the last three
 * columns, 16-27 weights. */
#define ROW3X3(name, PIXEL, STORE)                                                                           \
  static void name(const block *b, const uint8_t *const *cols, uint8_t *y) {                                 \
    __asm__ volatile(BEGIN LOAD("0(%%rbx)", 16, 17, 18, 19) LOAD("256(%%rbx)", 20, 21, 22, 23)               \
                     LOAD("512(%%rbx)", 24, 25, 26, 27)                                                      \
                     "mov %c[y_stride](%%rdi), %%r8\n\t"                                                     \
                     "mov %c[pitch](%%rdi), %%r12\n\tshl $3, %%r12\n\t"                                      \
                     "mov %c[row_stride](%%rdi), %%r14\n\t"                                                  \
                     "lea -8(%%rsi, %%r12), %%r13\n\t"                                                       \
                     "test %%r14, %%r14\n\t"                                                                 \
                     "cmovz %%rsi, %%r13\n\t" COLUMN(PIXEL, 4, 5, 6, 7) COLUMN(PIXEL, 8, 9, 10, 11)          \
                     "1:\n\t" COLUMN(PIXEL, 12, 13, 14, 15) LOAD("%c[bias](%%rdi)", 0, 1, 2, 3)              \
                     ADD_TO(IN_REGISTERS(16, 17, 18, 19), 4, 5, 6, 7)                                        \
                     ADD_TO(IN_REGISTERS(20, 21, 22, 23), 8, 9, 10, 11)                                      \
                     ADD_TO(IN_REGISTERS(24, 25, 26, 27), 12, 13, 14, 15) ROUND NARROW(0, 1, 2, 3) STORE(0, "%%rdx") \
                     "test %%r14, %%r14\n\t"                                                                 \
                     "jz 2f\n\t" LOAD("%c[bias](%%rdi)", 0, 1, 2, 3) ADD_TO(IN_STEP(3), 4, 5, 6, 7)          \
                     ADD_TO(IN_STEP(4), 8, 9, 10, 11) ADD_TO(IN_STEP(5), 12, 13, 14, 15)                     \
                     "lea (%%rdx, %%r14), %%rax\n\t" ROUND NARROW(0, 1, 2, 3) STORE(0, "%%rax")              \
                     "2:\n\t"                                                                                \
                     "add %%r8, %%rdx\n\t" MOVE(8, 4) MOVE(9, 5) MOVE(10, 6) MOVE(11, 7)                     \
                     MOVE(12, 8) MOVE(13, 9) MOVE(14, 10) MOVE(15, 11)                                       \
                     "dec %%r9\n\t"                                                                          \
                     "jnz 1b\n\t"                                                                            \
                     : OPERANDS);                                                                            \
  }
ROW3X3(row3x3_64, PIXEL_64, STORE_64)
ROW3X3(row3x3_32, PIXEL_32, STORE_32)

/* ---- Stride 2 ---- */

/* A finished sum to whole numbers in zmm t; the next output's begins with its first column. */
#define FINISH(sum, quad, t, first, bias, scale)                                                             \
  "vcvtdq2ps %%zmm" #sum ", %%zmm" #t "\n\t" MOVE(bias, sum)                                                 \
  "vpdpbusd %%zmm" #first ", %%zmm" #quad ", %%zmm" #sum "\n\t"                                              \
  "vmulps %%zmm" #scale ", %%zmm" #t ", %%zmm" #t "\n\tvcvtps2dq %%zmm" #t ", %%zmm" #t "\n\t"

/* zmm0-3 sums, 10-13, 14-17 and 18-21 weights of the first, middle and last column, 22-25 bias, 26-29 scales.
 *
 * A pass ends an output with its middle column (m) and its last one (l), which is the first of the next. Pairs of rows 2 of l
 * and 0 of m serve both columns, two shuffles less: so the taps of m are those of the lower row of a pair, one byte further on.
 * The first pass begins at 2: with the row's first column as l; what it stores the second one overwrites. */
#define ROW3X3_2(name, PIXEL, STORE)                                                                         \
  static void name(const block *b, const uint8_t *const *cols, uint8_t *y) {                                 \
    __asm__ volatile(BEGIN LOAD("0(%%rbx)", 10, 11, 12, 13) LOAD("1024(%%rbx)", 14, 15, 16, 17)              \
                     LOAD("512(%%rbx)", 18, 19, 20, 21) LOAD("%c[bias](%%rdi)", 22, 23, 24, 25)              \
                     LOAD("%c[scale](%%rdi)", 26, 27, 28, 29)                                                \
                     "xor %%r8d, %%r8d\n\t"                                                                  \
                     "sub $24, %%rsi\n\t" PIXEL(POINTER(5), 5) PAIRS("bw", 5, 5, 6, 5)                       \
                     "jmp 2f\n"                                                                              \
                     "1:\n\t" PIXEL(POINTER(5), 5) PIXEL(POINTER(0), 4) PAIRS("bw", 5, 4, 6, 5)              \
                     PIXEL(POINTER(1), 4) PIXEL(POINTER(2), 7) PAIRS("bw", 4, 7, 8, 4)                       \
                     PAIRS("wd", 6, 8, 7, 8) PAIRS("wd", 5, 4, 9, 4)                                         \
                     ADD_TO(IN_REGISTERS(14, 15, 16, 17), 7, 8, 9, 4)                                        \
                     "2:\n\t" PIXEL(POINTER(3), 4) PIXEL(POINTER(4), 7) PAIRS("bw", 4, 7, 8, 4)              \
                     PAIRS("wd", 8, 6, 7, 8) PAIRS("wd", 4, 5, 9, 4)                                         \
                     ADD_TO(IN_REGISTERS(18, 19, 20, 21), 7, 8, 9, 4)                                        \
                     FINISH(0, 7, 5, 10, 22, 26) FINISH(1, 8, 6, 11, 23, 27)                                 \
                     FINISH(2, 9, 31, 12, 24, 28) FINISH(3, 4, 7, 13, 25, 29)                                \
                     NARROW(5, 6, 31, 7) STORE(5, "%%rdx")                                                   \
                     "add $48, %%rsi\n\t"                                                                    \
                     "add %%r8, %%rdx\n\t"                                                                   \
                     "mov %c[y_stride](%%rdi), %%r8\n\t"                                                     \
                     "sub $1, %%r9\n\t"                                                                      \
                     "jnc 1b\n\t"                                                                            \
                     : OPERANDS);                                                                            \
  }
ROW3X3_2(row3x3_2_64, PIXEL_64, STORE_64)
ROW3X3_2(row3x3_2_32, PIXEL_32, STORE_32)

row_fn *q8_avx512vnni_dwconv_row3x3(const block *b) {
  if (b->channels == 64)
    return b->shape->col_step == 1 ? row3x3_64 : row3x3_2_64;
  return b->shape->col_step == 1 ? row3x3_32 : row3x3_2_32;
}
#endif
