/* isa.c - the scalar ISA: every family, on every CPU. */
#include "scalar.h"

extern const q8_isa q8_isa_scalar;
const q8_isa q8_isa_scalar = {
    .name = "scalar",
    .gemm = q8_scalar_gemm,
    .dwconv = q8_scalar_dwconv,
    .requant = q8_scalar_requant,
    .dequant_acc = q8_scalar_dequant_acc,
    .quantize = q8_scalar_quantize,
    .dequantize = q8_scalar_dequantize,
    .minmax = q8_scalar_minmax,
    .minmax_rows = q8_scalar_minmax_rows,
    .slots = q8_scalar_slots,
    .table = q8_scalar_table,
    .add = q8_scalar_add,
    .mul = q8_scalar_mul,
    .max_rows = q8_scalar_max_rows,
    .sum_rows = q8_scalar_sum_rows,
    .transpose8 = q8_scalar_transpose8,
    .transpose32 = q8_scalar_transpose32,
    .pack_pairs = q8_scalar_pack_pairs,
    .widen = q8_scalar_widen,
    .sgemm = q8_scalar_sgemm,
    .sdwconv = q8_scalar_sdwconv,
    .sunary = q8_scalar_sunary,
    .sadd = q8_scalar_sadd,
    .smul = q8_scalar_smul,
    .ssum_rows = q8_scalar_ssum_rows,
};
