/* vnni.h - vpdpbusd on 256-bit registers, VEX encoded. The EVEX form does the same: a test compiles the
 * kernels of this folder with Q8_AVXVNNI_EVEX to run them on a CPU that has only that one. */
#ifndef Q8_AVXVNNI_VNNI_H
#define Q8_AVXVNNI_VNNI_H

#include <immintrin.h>
#include <string.h>

#include "kernel.h"

#define Q8_NEEDS_AVXVNNI (Q8_CPU_AVX2 | Q8_CPU_AVXVNNI)

extern const q8_gemm_kernel q8_avxvnni_gemm[];
extern const q8_dwconv_kernel q8_avxvnni_dwconv[];

#ifdef Q8_AVXVNNI_EVEX
#define q8_dpbusd _mm256_dpbusd_epi32
#define Q8_VPDPBUSD "%{evex%} vpdpbusd"
#else
#define q8_dpbusd _mm256_dpbusd_avx_epi32
#define Q8_VPDPBUSD "%{vex%} vpdpbusd"
#endif

#endif
