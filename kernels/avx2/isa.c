/* isa.c - the AVX2 ISA: every family. Without -mavx2 -mfma the folder is empty. */
#include "kernel.h"

extern const q8_isa q8_isa_avx2;

#if defined(__AVX2__) && defined(__FMA__) && defined(__x86_64__)
#include "vec.h"

const q8_isa q8_isa_avx2 = {
    .name = "avx2",
    .needs = Q8_CPU_AVX2,
    .gemm = q8_avx2_gemm,
    .dwconv = q8_avx2_dwconv,
    .requant = q8_avx2_requant,
    .dequant_acc = q8_avx2_dequant_acc,
    .quantize = q8_avx2_quantize,
    .dequantize = q8_avx2_dequantize,
    .minmax = q8_avx2_minmax,
    .minmax_rows = q8_avx2_minmax_rows,
    .slots = q8_avx2_slots,
    .table = q8_avx2_table,
    .add = q8_avx2_add,
    .mul = q8_avx2_mul,
    .max_rows = q8_avx2_max_rows,
    .sum_rows = q8_avx2_sum_rows,
    .transpose8 = q8_avx2_transpose8,
    .transpose32 = q8_avx2_transpose32,
    .pack_pairs = q8_avx2_pack_pairs,
    .widen = q8_avx2_widen,
    .sgemm = q8_avx2_sgemm,
    .sdwconv = q8_avx2_sdwconv,
    .sunary = q8_avx2_sunary,
    .sadd = q8_avx2_sadd,
    .smul = q8_avx2_smul,
    .ssum_rows = q8_avx2_ssum_rows,
};
#elif defined(__x86_64__)
const q8_isa q8_isa_avx2 = {.name = "avx2", .needs = Q8_CPU_NONE};
#endif
