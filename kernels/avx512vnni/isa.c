/* isa.c - the kernels with 512-bit vpdpbusd: GEMM and depthwise. avx512bw serves the other families. Empty where the
 * compiler does not target it. */
#include "kernel.h"

extern const q8_isa q8_isa_avx512vnni;
#if defined(__AVX512VNNI__) && defined(__AVX512BW__) && defined(__AVX512VL__) && defined(__AVX512DQ__) &&    \
    defined(__x86_64__)
#include "vnni.h"

const q8_isa q8_isa_avx512vnni = {
    .name = "avx512vnni",
    .needs = Q8_NEEDS_AVX512VNNI,
    .gemm = q8_avx512vnni_gemm,
    .dwconv = q8_avx512vnni_dwconv,
};
#elif defined(__x86_64__)
const q8_isa q8_isa_avx512vnni = {.name = "avx512vnni", .needs = Q8_CPU_NONE};
#endif
