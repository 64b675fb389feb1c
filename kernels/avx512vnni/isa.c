/* isa.c - the AVX512-VNNI kernels, or an empty set where the compiler does not target it. */
#include "kernel.h"

extern const q8_isa q8_isa_avx512vnni;
#if defined(__AVX512VNNI__) && defined(__AVX512BW__) && defined(__AVX512VL__) && defined(__AVX512DQ__)
#include "vec.h"

const q8_isa q8_isa_avx512vnni = {
    .name = "avx512vnni",
    .needs = Q8_NEEDS_AVX512VNNI,
    .gemm = q8_avx512vnni_gemm,
    .dwconv = q8_avx512vnni_dwconv,
    .requant = q8_avx512vnni_requant,
    .dequant_acc = q8_avx512vnni_dequant_acc,
    .quantize = q8_avx512vnni_quantize,
    .dequantize = q8_avx512vnni_dequantize,
    .minmax = q8_avx512vnni_minmax,
    .table = q8_avx512vnni_table,
    .add = q8_avx512vnni_add,
    .mul = q8_avx512vnni_mul,
    .max_rows = q8_avx512vnni_max_rows,
    .sum_rows = q8_avx512vnni_sum_rows,
    .transpose8 = q8_avx512vnni_transpose8,
    .transpose32 = q8_avx512vnni_transpose32,
    .sgemm = q8_avx512vnni_sgemm,
    .sdwconv = q8_avx512vnni_sdwconv,
    .sbias = q8_avx512vnni_sbias,
};
#else
const q8_isa q8_isa_avx512vnni = {.name = "avx512vnni"};
#endif
