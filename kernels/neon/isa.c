#include "neon.h"

#if defined(__aarch64__)
const q8_isa q8_isa_neon = {
    .name = "neon",
    .needs = Q8_CPU_NEON,
    .gemm = q8_neon_gemm,
    .dwconv = q8_neon_dwconv,
    .requant = q8_neon_requant,
    .dequant_acc = q8_neon_dequant_acc,
    .quantize = q8_neon_quantize,
    .dequantize = q8_neon_dequantize,
    .minmax = q8_neon_minmax,
    .minmax_rows = q8_neon_minmax_rows,
    .slots = q8_neon_slots,
    .table = q8_neon_table,
    .add = q8_neon_add,
    .mul = q8_neon_mul,
    .max_rows = q8_neon_max_rows,
    .sum_rows = q8_neon_sum_rows,
    .transpose8 = q8_neon_transpose8,
    .transpose32 = q8_neon_transpose32,
    .sgemm = q8_neon_sgemm,
    .sdwconv = q8_neon_sdwconv,
    .sunary = q8_neon_sunary,
    .sadd = q8_neon_sadd,
    .smul = q8_neon_smul,
    .ssum_rows = q8_neon_ssum_rows,
};
#endif
