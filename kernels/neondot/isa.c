/* isa.c - the kernels with sdot: GEMM and depthwise. neon serves the other families. Empty where the compiler does not
 * target the dot product. */
#include "dot.h"

extern const q8_isa q8_isa_neondot;

#if defined(__aarch64__) && defined(__ARM_FEATURE_DOTPROD)
const q8_isa q8_isa_neondot = {
    .name = "neondot",
    .needs = Q8_NEEDS_NEONDOT,
    .gemm = q8_neondot_gemm,
    .dwconv = q8_neondot_dwconv,
};
#elif defined(__aarch64__)
const q8_isa q8_isa_neondot = {.name = "neondot", .needs = Q8_CPU_NONE};
#endif
