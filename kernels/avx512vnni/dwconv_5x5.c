/* dwconv_5x5.c - 5 x 5 with horizontal stride 1 in one pass, in asm, 64 channels: first the low halves of all lanes, which become
 * words, then the high ones, which are packed with them to bytes. So weights and the quads of five columns stay in registers. */
#if defined(__AVX512VNNI__) && defined(__AVX512BW__) && defined(__AVX512VL__) && defined(__AVX512DQ__) &&    \
    defined(__x86_64__)
#include "dwconv_row.h"

enum { STRETCH = 128 }; /* outputs, whose words lie in L1 */

/* One half of quads of four pixels in zmm29-31, which are loaded by turns. */
#define QUADS(half, p0, p1, p2, p3, q0, q1)                                                                  \
  p0(29) p1(30) UNPACK(half, "bw", 29, 30, 29) p2(30) p3(31) UNPACK(half, "bw", 30, 31, 30) PAIRS("wd", 29, 30, q0, q1)
#define ROW_0(z) PIXEL_64("0(%%rsi", z)
#define ROW_1(z) PIXEL_64("8(%%rsi", z)
#define ROW_2(z) PIXEL_64("16(%%rsi", z)
#define ROW_3(z) PIXEL_64("24(%%rsi", z)
/* Of row 4, columns 0 to 3, the latter ones as far away as r12, r13 and r14 say. */
#define COLUMN_0(z) PIXEL_64("32(%%rsi", z)
#define COLUMN_1(z) PIXEL_64("32(%%rsi, %%r12", z)
#define COLUMN_2(z) PIXEL_64("32(%%rsi, %%r13", z)
#define COLUMN_3(z) PIXEL_64("32(%%rsi, %%r14", z)
/* The quads of the last five columns move on by one. */
#define NEXT(half)                                                                                           \
  MOVE(2, 0) MOVE(3, 1) MOVE(4, 2) MOVE(5, 3) MOVE(6, 4) MOVE(7, 5) MOVE(8, 6) MOVE(9, 7)                    \
  QUADS(half, ROW_0, ROW_1, ROW_2, ROW_3, 8, 9) "add $40, %%rsi\n\t"

/* zmm0-9 are quads of rows 0 to 3 of five columns, 10-19 their weights, 20 and 21 sums, 22 and 23 scales, 24 the zero point.
 * Row 4 has quads of four columns, of which the first is a multiple of 4: 25 and 26 of those where an output begins, 27 and 28 of
 * those where it ends; by weights for each x % 4, at r11. Past the end of the row the last column stands in for others, whose
 * weight is 0. r9 counts outputs, r15 those that these quads serve. */
#define HALF(name, half, offset, STORE)                                                                      \
  static void name(const block *b, const uint8_t *const *cols, void *y, size_t y_step, void *words, size_t n) { \
    register size_t step __asm__("r8") = y_step, outputs __asm__("r9") = n;                                  \
    register void *from __asm__("r10") = words;                                                              \
    __asm__ volatile("mov %c[w](%%rdi), %%rbx\n\t"                                                           \
                     "mov %c[first](%%rdi), %%rcx\n\t"                                                       \
                     "add $" #offset ", %%rbx\n\t" LOAD_2("0(%%rbx)", 10, 11) LOAD_2("256(%%rbx)", 12, 13)   \
                     LOAD_2("512(%%rbx)", 14, 15) LOAD_2("768(%%rbx)", 16, 17) LOAD_2("1024(%%rbx)", 18, 19) \
                     LOAD_2(#offset "+%c[scale](%%rdi)", 22, 23)                                             \
                     "vmovdqa64 %c[zero_point](%%rdi), %%zmm24\n\t"                                          \
                     "mov $40, %%r12d\n\tmov $80, %%r13d\n\tmov $120, %%r14d\n\t"                            \
                     QUADS(half, COLUMN_0, COLUMN_1, COLUMN_2, COLUMN_3, 27, 28)                             \
                     "mov $4, %%r15d\n"                                                                      \
                     "1:\n\t" NEXT(half)                                                                     \
                     "dec %%r15d\n\t"                                                                        \
                     "jnz 1b\n"                                                                              \
                     "2:\n\t"                                                                                \
                     "imul $40, %%r9, %%rax\n\t"                                                             \
                     "sub $40, %%rax\n\t"                                                                    \
                     "cmp %%r12, %%rax\n\tcmovb %%rax, %%r12\n\t"                                            \
                     "cmp %%r13, %%rax\n\tcmovb %%rax, %%r13\n\t"                                            \
                     "cmp %%r14, %%rax\n\tcmovb %%rax, %%r14\n\t" MOVE(27, 25) MOVE(28, 26)                  \
                     QUADS(half, COLUMN_0, COLUMN_1, COLUMN_2, COLUMN_3, 27, 28)                             \
                     "lea 1280(%%rbx), %%r11\n\t"                                                            \
                     "mov $4, %%r15d\n"                                                                      \
                     "3:\n\t" NEXT(half) LOAD_2(#offset "+%c[bias](%%rdi)", 20, 21)                          \
                     ADD("%%zmm10", 0, 20) ADD("%%zmm11", 1, 21) ADD("%%zmm12", 2, 20) ADD("%%zmm13", 3, 21) \
                     ADD("%%zmm14", 4, 20) ADD("%%zmm15", 5, 21) ADD("%%zmm16", 6, 20) ADD("%%zmm17", 7, 21) \
                     ADD("%%zmm18", 8, 20) ADD("%%zmm19", 9, 21)                                             \
                     ADD("(%%r11)", 25, 20) ADD("64(%%r11)", 26, 21)                                         \
                     ADD("256(%%r11)", 27, 20) ADD("256+64(%%r11)", 28, 21)                                  \
                     CONVERT(20, 20) CONVERT(21, 21) SCALE("%%zmm22", 20) SCALE("%%zmm23", 21)               \
                     WORDS(20, 21, 24) STORE                                                                 \
                     "add %%r8, %%rdx\n\t"                                                                   \
                     "add $512, %%r11\n\t"                                                                   \
                     "dec %%r9\n\t"                                                                          \
                     "jz 4f\n\t"                                                                             \
                     "dec %%r15d\n\t"                                                                        \
                     "jnz 3b\n\t"                                                                            \
                     "jmp 2b\n"                                                                              \
                     "4:\n\t"                                                                                \
                     : "+S"(cols), "+d"(y), "+r"(outputs), "+r"(from)                                        \
                     : "D"(b), "r"(step), FIELD(w), FIELD(bias), FIELD(scale), FIELD(first), FIELD(clamps), FIELD(hi), \
                       BOUND(lo), BOUND(zero_point)                                                          \
                     : "cc", "memory", "rax", "rbx", "rcx", "r11", "r12", "r13", "r14", "r15", ZMM);         \
  }
HALF(low_half, "l", 0, "vmovdqa64 %%zmm20, (%%rdx)\n\t")
HALF(high_half, "h", 128,
     "vmovdqa64 (%%r10), %%zmm21\n\tadd $64, %%r10\n\t" BYTES(21, 20, 20) "vmovdqu64 %%zmm20, (%%rdx)\n\t")

void q8_avx512vnni_dwconv_row5x5(const block *b, const uint8_t *const *cols, uint8_t *y) {
  _Alignas(64) int16_t words[STRETCH][32];
  for (size_t x = 0, n; x < b->length; x += n, cols += 5 * n, y += n * b->y_stride) {
    n = b->length - x < STRETCH ? b->length - x : STRETCH;
    low_half(b, cols, words, sizeof words[0], NULL, n);
    high_half(b, cols, y, b->y_stride, words, n);
  }
}
#endif
