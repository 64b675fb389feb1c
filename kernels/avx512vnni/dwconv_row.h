/* dwconv_row.h - pieces of the depthwise kernel's asm loops. rdi is the block, rsi points at the pointers of a column, rdx at y,
 * rcx is what is added to pointers to pixels. */
#ifndef Q8_AVX512VNNI_DWCONV_ROW_H
#define Q8_AVX512VNNI_DWCONV_ROW_H

#include <stddef.h>

#include "dwconv.h"

#define FIELD(name) [name] "i"(offsetof(block, name))
#define BOUND(name) [name] "i"(offsetof(block, bounds.name))
#define ZMM                                                                                                  \
  "xmm0", "xmm1", "xmm2", "xmm3", "xmm4", "xmm5", "xmm6", "xmm7", "xmm8", "xmm9", "xmm10", "xmm11", "xmm12", "xmm13", \
      "xmm14", "xmm15", "xmm16", "xmm17", "xmm18", "xmm19", "xmm20", "xmm21", "xmm22", "xmm23", "xmm24", "xmm25", "xmm26", \
      "xmm27", "xmm28", "xmm29", "xmm30", "xmm31"

#define MOVE(from, to) "vmovdqa64 %%zmm" #from ", %%zmm" #to "\n\t"
#define LOAD_2(from, z0, z1) "vmovdqa64 " from ", %%zmm" #z0 "\n\tvmovdqa64 64+" from ", %%zmm" #z1 "\n\t"
#define LOAD_4(from, z0, z1, z2, z3) LOAD_2(from, z0, z1) LOAD_2("128+" from, z2, z3)
/* 64 channels of a pixel, whose pointer lies there. */
#define PIXEL_64(at, z) "mov " at "), %%rax\n\tvmovdqu64 (%%rax, %%rcx), %%zmm" #z "\n\t"
/* 32 channels of a pixel of each strip, merged under the mask k1 while loading, which keeps the insertion from the ports that can
 * shuffle. */
#define PIXEL_32(at, other, z)                                                                               \
  "mov " at "), %%rax\n\tvmovdqu64 (%%rax, %%rcx), %%ymm" #z "\n\t"                                          \
  "mov " other "), %%rax\n\tvbroadcasti64x4 (%%rax, %%rcx), %%zmm" #z "%{%%k1%}\n\t"
#define STORE_64(z, y) "vmovdqu64 %%zmm" #z ", (" y ")\n\t"
#define STORE_32(z, y, across)                                                                               \
  "vmovdqu64 %%ymm" #z ", (" y ")\n\tvextracti64x4 $1, %%zmm" #z ", (" y ", " across ")\n\t"
/* The low or high ("l", "h") halves of all lanes of x and y, bytes or words by turns. */
#define UNPACK(half, unit, x, y, z) "vpunpck" half unit " %%zmm" #y ", %%zmm" #x ", %%zmm" #z "\n\t"
/* Both; y may be lo or hi, x hi. */
#define PAIRS(unit, x, y, lo, hi) UNPACK("l", unit, x, y, lo) UNPACK("h", unit, x, y, hi)
#define ADD(w, quad, sum) "vpdpbusd " w ", %%zmm" #quad ", %%zmm" #sum "\n\t"
#define CONVERT(sum, t) "vcvtdq2ps %%zmm" #sum ", %%zmm" #t "\n\t"
#define SCALE(scale, t) "vmulps " scale ", %%zmm" #t ", %%zmm" #t "\n\tvcvtps2dq %%zmm" #t ", %%zmm" #t "\n\t"
/* To words in x, zero point added. */
#define WORDS(x, y, zero_point)                                                                              \
  "vpackssdw %%zmm" #y ", %%zmm" #x ", %%zmm" #x "\n\tvpaddsw %%zmm" #zero_point ", %%zmm" #x ", %%zmm" #x "\n\t"
/* Two registers of these to bytes in z, clamped. */
#define BYTES(x, y, z)                                                                                       \
  "vpackuswb %%zmm" #y ", %%zmm" #x ", %%zmm" #z "\n\t"                                                      \
  "cmpl $0, %c[clamps](%%rdi)\n\t"                                                                           \
  "je 8f\n\t"                                                                                                \
  "vpmaxub %c[lo](%%rdi), %%zmm" #z ", %%zmm" #z "\n\tvpminub %c[hi](%%rdi), %%zmm" #z ", %%zmm" #z "\n"     \
  "8:\n\t"

#endif
