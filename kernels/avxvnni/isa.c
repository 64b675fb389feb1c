/* isa.c - the AVX-VNNI kernels: GEMM and depthwise. AVX2 serves the other families. Empty where the compiler
 * does not target AVX-VNNI. */
#include "kernel.h"

extern const q8_isa q8_isa_avxvnni;
#if defined(__AVXVNNI__) && defined(__AVX2__) && defined(__x86_64__)
#include "vnni.h"

const q8_isa q8_isa_avxvnni = {
    .name = "avxvnni",
    .needs = Q8_NEEDS_AVXVNNI,
    .gemm = q8_avxvnni_gemm,
    .dwconv = q8_avxvnni_dwconv,
};
#elif defined(__x86_64__)
const q8_isa q8_isa_avxvnni = {.name = "avxvnni", .needs = Q8_CPU_NONE};
#endif
