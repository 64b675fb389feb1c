/* dwconv_5x5.c - 5 x 5 with horizontal stride 1 in one pass, in asm: first the low halves of all lanes, which become words, then the
 * high ones, which are packed with them to bytes. So weights and the quads of five columns stay in registers. */
#if defined(__AVX512VNNI__) && defined(__AVX512BW__) && defined(__AVX512VL__) && defined(__AVX512DQ__) &&    \
    defined(__x86_64__)
#include "dwconv_row.h"

enum { STRETCH = 128 }; /* outputs, whose words lie in L1 */

/* Row or column of pixels from the column pointers at rsi on, and for 32 channels of another strip at r8. */
#define AT_64(offset, index, z) PIXEL_64(offset "(%%rsi" index, z)
#define AT_32(offset, index, z) PIXEL_32(offset "(%%rsi" index, offset "(%%r8" index, z)
#define ROW_0(AT, z) AT("0", "", z)
#define ROW_1(AT, z) AT("8", "", z)
#define ROW_2(AT, z) AT("16", "", z)
#define ROW_3(AT, z) AT("24", "", z)
/* Of row 4, columns 0 to 3, the latter ones as far away as r12, r13 and r14 say. */
#define COLUMN_0(AT, z) AT("32", "", z)
#define COLUMN_1(AT, z) AT("32", ", %%r12", z)
#define COLUMN_2(AT, z) AT("32", ", %%r13", z)
#define COLUMN_3(AT, z) AT("32", ", %%r14", z)
/* One half of quads of four pixels. */
#define QUADS(AT, half, p0, p1, p2, p3, q0, q1)                                                              \
  p0(AT, 29) p1(AT, 30) UNPACK(half, "bw", 29, 30, 29)                                                       \
  p2(AT, 30) p3(AT, 31) UNPACK(half, "bw", 30, 31, 30) PAIRS("wd", 29, 30, q0, q1)
/* The quads of the last five columns move on by one. */
#define NEXT(AT, half)                                                                                       \
  MOVE(2, 0) MOVE(3, 1) MOVE(4, 2) MOVE(5, 3) MOVE(6, 4) MOVE(7, 5) MOVE(8, 6) MOVE(9, 7)                    \
  QUADS(AT, half, ROW_0, ROW_1, ROW_2, ROW_3, 8, 9) "add $40, %%rsi\n\tadd $40, %%r8\n\t"

/* zmm0-9 are quads of rows 0 to 3 of five columns, 10-19 their weights, 20 and 21 sums, 22 and 23 scales, 24 the zero point.
 * Row 4 has quads of four columns, of which the first is a multiple of 4: 25 and 26 of those where an output begins, 27 and 28 of
 * those where it ends; by weights for each x % 4, at r11. Past the end of the row the last column stands in for others, whose
 * weight is 0. r9 counts outputs, r15 those that these quads serve. */
#define HALF(name, AT, half, offset, STORE)                                                                  \
  static void name(const block *b, const uint8_t *const *cols, void *y, void *words, size_t n) {             \
    register size_t outputs __asm__("r9") = n;                                                               \
    register void *from __asm__("r10") = words;                                                              \
    __asm__ volatile("mov %c[w](%%rdi), %%rbx\n\t"                                                           \
                     "mov %c[first](%%rdi), %%rcx\n\t"                                                       \
                     "mov %c[skip](%%rdi), %%r8\n\tlea (%%rsi, %%r8, 8), %%r8\n\t"                           \
                     "mov $0xf0, %%eax\n\tkmovw %%eax, %%k1\n\t"                                             \
                     "add $" #offset ", %%rbx\n\t" LOAD_2("0(%%rbx)", 10, 11) LOAD_2("256(%%rbx)", 12, 13)   \
                     LOAD_2("512(%%rbx)", 14, 15) LOAD_2("768(%%rbx)", 16, 17) LOAD_2("1024(%%rbx)", 18, 19) \
                     LOAD_2(#offset "+%c[scale](%%rdi)", 22, 23)                                             \
                     "vmovdqa64 %c[zero_point](%%rdi), %%zmm24\n\t"                                          \
                     "mov $40, %%r12d\n\tmov $80, %%r13d\n\tmov $120, %%r14d\n\t"                            \
                     QUADS(AT, half, COLUMN_0, COLUMN_1, COLUMN_2, COLUMN_3, 27, 28)                         \
                     "mov $4, %%r15d\n"                                                                      \
                     "1:\n\t" NEXT(AT, half)                                                                 \
                     "dec %%r15d\n\t"                                                                        \
                     "jnz 1b\n"                                                                              \
                     "2:\n\t"                                                                                \
                     "imul $40, %%r9, %%rax\n\t"                                                             \
                     "sub $40, %%rax\n\t"                                                                    \
                     "cmp %%r12, %%rax\n\tcmovb %%rax, %%r12\n\t"                                            \
                     "cmp %%r13, %%rax\n\tcmovb %%rax, %%r13\n\t"                                            \
                     "cmp %%r14, %%rax\n\tcmovb %%rax, %%r14\n\t" MOVE(27, 25) MOVE(28, 26)                  \
                     QUADS(AT, half, COLUMN_0, COLUMN_1, COLUMN_2, COLUMN_3, 27, 28)                         \
                     "lea 1280(%%rbx), %%r11\n\t"                                                            \
                     "mov $4, %%r15d\n"                                                                      \
                     "3:\n\t" NEXT(AT, half) LOAD_2(#offset "+%c[bias](%%rdi)", 20, 21)                      \
                     ADD("%%zmm10", 0, 20) ADD("%%zmm11", 1, 21) ADD("%%zmm12", 2, 20) ADD("%%zmm13", 3, 21) \
                     ADD("%%zmm14", 4, 20) ADD("%%zmm15", 5, 21) ADD("%%zmm16", 6, 20) ADD("%%zmm17", 7, 21) \
                     ADD("%%zmm18", 8, 20) ADD("%%zmm19", 9, 21)                                             \
                     ADD("(%%r11)", 25, 20) ADD("64(%%r11)", 26, 21)                                         \
                     ADD("256(%%r11)", 27, 20) ADD("256+64(%%r11)", 28, 21)                                  \
                     CONVERT(20, 20) CONVERT(21, 21) SCALE("%%zmm22", 20) SCALE("%%zmm23", 21)               \
                     WORDS(20, 21, 24) STORE                                                                 \
                     "add $512, %%r11\n\t"                                                                   \
                     "dec %%r9\n\t"                                                                          \
                     "jz 4f\n\t"                                                                             \
                     "dec %%r15d\n\t"                                                                        \
                     "jnz 3b\n\t"                                                                            \
                     "jmp 2b\n"                                                                              \
                     "4:\n\t"                                                                                \
                     : "+S"(cols), "+d"(y), "+r"(outputs), "+r"(from)                                        \
                     : "D"(b), FIELD(w), FIELD(bias), FIELD(scale), FIELD(first), FIELD(skip), FIELD(across), \
                       FIELD(y_stride), FIELD(clamps), FIELD(hi), BOUND(lo), BOUND(zero_point)               \
                     : "cc", "memory", "rax", "rbx", "rcx", "r8", "r11", "r12", "r13", "r14", "r15", "k1", ZMM); \
  }
#define STORE_WORDS "vmovdqa64 %%zmm20, (%%rdx)\n\tadd $64, %%rdx\n\t"
#define STORE_BYTES(store)                                                                                   \
  "vmovdqa64 (%%r10), %%zmm21\n\tadd $64, %%r10\n\t" BYTES(21, 20, 20) store "add %c[y_stride](%%rdi), %%rdx\n\t"
HALF(low_64, AT_64, "l", 0, STORE_WORDS)
HALF(low_32, AT_32, "l", 0, STORE_WORDS)
HALF(high_64, AT_64, "h", 128, STORE_BYTES(STORE_64(20, "%%rdx")))
HALF(high_32, AT_32, "h", 128, STORE_BYTES("mov %c[across](%%rdi), %%rax\n\t" STORE_32(20, "%%rdx", "%%rax")))

void q8_avx512vnni_dwconv_row5x5(const block *b, const uint8_t *const *cols, uint8_t *y) {
  _Alignas(64) int16_t words[STRETCH][32];
  for (size_t x = 0, n; x < b->length; x += n, cols += 5 * n, y += n * b->y_stride) {
    n = b->length - x < STRETCH ? b->length - x : STRETCH;
    (b->channels == 64 ? low_64 : low_32)(b, cols, words, NULL, n);
    (b->channels == 64 ? high_64 : high_32)(b, cols, y, words, n);
  }
}
#endif
