/* isa.c - GEMM tiles with the 8-bit matrix multiply. neondot and neon serve the other families. Empty where the compiler
 * does not target it. */
#include "kernel.h"

extern const q8_isa q8_isa_neoni8mm;
#define NEEDS (Q8_CPU_NEON | Q8_CPU_NEONDOT | Q8_CPU_NEONI8MM)

#if defined(__aarch64__) && defined(__ARM_FEATURE_MATMUL_INT8)
extern const q8_gemm_kernel q8_neoni8mm_gemm[];
const q8_isa q8_isa_neoni8mm = {.name = "neoni8mm", .needs = NEEDS, .gemm = q8_neoni8mm_gemm};
#elif defined(__aarch64__)
const q8_isa q8_isa_neoni8mm = {.name = "neoni8mm", .needs = Q8_CPU_NONE};
#endif
