/* vnni.h - the tables of this folder; everything else comes from avx512bw. */
#ifndef Q8_AVX512VNNI_H
#define Q8_AVX512VNNI_H

#include "avx512bw/vec.h"

#define Q8_NEEDS_AVX512VNNI (Q8_NEEDS_AVX512 | Q8_CPU_AVX512VNNI)

extern const q8_gemm_kernel q8_avx512vnni_gemm[];
extern const q8_dwconv_kernel q8_avx512vnni_dwconv[];
extern const int32_t q8_avx512vnni_no_bias[64]; /* zeros */

/* Panels of 64 columns, as q8_gemm_u8_fn with scales below 1, in tiles of four to seven rows; three rows and less are done as
 * four, whose pointers are read. taps and k are not 0. Without rq, the sums of one such tile, to y. */
void q8_avx512vnni_wide(size_t taps, size_t k, const void *const *a, size_t a_stride, const void *b, const void *next,
                        const q8_requant *rq, size_t rows, size_t columns, void *y, size_t y_stride);

/* The same for panels of 48 columns, in tiles of eight rows; pointers to rows up to a multiple of eight are read. */
void q8_avx512vnni_tall(size_t taps, size_t k, const void *const *a, size_t a_stride, const void *b, const void *next,
                        const q8_requant *rq, size_t rows, size_t columns, void *y, size_t y_stride);

/* Written as asm, the sum stays in its register: from the intrinsic gcc 12 moves accumulators to other registers and back
 * in every pass of a loop, or to memory (its partial redundancy elimination), up to a third of the time. */
Q8_INLINE void add_products(__m512i *sum, __m512i u8, __m512i s8) {
  __asm__("vpdpbusd %2, %1, %0" : "+v"(*sum) : "v"(u8), "v"(s8));
}
/* With 64 bytes of a panel as memory operand, which saves the load an instruction. */
Q8_INLINE void add_products_at(__m512i *sum, __m512i u8, const int8_t *s8) {
  __asm__("vpdpbusd %2, %1, %0" : "+v"(*sum) : "v"(u8), "m"(*(const __m512i *)(const void *)s8));
}

#endif
