/* vnni.h - the tables of this folder; everything else comes from avx512bw. */
#ifndef Q8_AVX512VNNI_H
#define Q8_AVX512VNNI_H

#include "avx512bw/vec.h"

#define Q8_NEEDS_AVX512VNNI (Q8_NEEDS_AVX512 | Q8_CPU_AVX512VNNI)

extern const q8_gemm_kernel q8_avx512vnni_gemm[];
extern const q8_dwconv_kernel q8_avx512vnni_dwconv[];

/* Written as asm, the sum stays in its register: from the intrinsic gcc 12 moves accumulators to other registers and back
 * in every pass of a loop, or to memory (its partial redundancy elimination), up to a third of the time. */
Q8_INLINE void add_products(__m512i *sum, __m512i u8, __m512i s8) {
  __asm__("vpdpbusd %2, %1, %0" : "+v"(*sum) : "v"(u8), "v"(s8));
}

#endif
