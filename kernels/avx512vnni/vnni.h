/* vnni.h - the tables of this folder; everything else comes from avx512bw. */
#ifndef Q8_AVX512VNNI_H
#define Q8_AVX512VNNI_H

#include "avx512bw/vec.h"

#define Q8_NEEDS_AVX512VNNI (Q8_NEEDS_AVX512 | Q8_CPU_AVX512VNNI)

extern const q8_gemm_kernel q8_avx512vnni_gemm[];
extern const q8_dwconv_kernel q8_avx512vnni_dwconv[];

#endif
