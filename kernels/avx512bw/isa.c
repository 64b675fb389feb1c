/* isa.c - the AVX-512 kernels (F, BW, DQ, VL), or an empty set where the compiler does not target them. */
#include "kernel.h"

extern const q8_isa q8_isa_avx512bw;
#if defined(__AVX512F__) && defined(__AVX512BW__) && defined(__AVX512VL__) && defined(__AVX512DQ__)
#include "vec.h"

const q8_isa q8_isa_avx512bw = {
    .name = "avx512bw",
    .needs = Q8_NEEDS_AVX512,
    .gemm = q8_avx512bw_gemm,
    .dwconv = q8_avx512bw_dwconv,
    .requant = q8_avx512bw_requant,
    .dequant_acc = q8_avx512bw_dequant_acc,
    .quantize = q8_avx512bw_quantize,
    .dequantize = q8_avx512bw_dequantize,
    .minmax = q8_avx512bw_minmax,
    .slots = q8_avx512bw_slots,
    .table = q8_avx512bw_table,
    .add = q8_avx512bw_add,
    .mul = q8_avx512bw_mul,
    .max_rows = q8_avx512bw_max_rows,
    .sum_rows = q8_avx512bw_sum_rows,
    .transpose8 = q8_avx512bw_transpose8,
    .transpose32 = q8_avx512bw_transpose32,
    .pack_pairs = q8_avx512bw_pack_pairs,
    .widen = q8_avx512bw_widen,
    .sgemm = q8_avx512bw_sgemm,
    .sdwconv = q8_avx512bw_sdwconv,
    .sunary = q8_avx512bw_sunary,
    .sadd = q8_avx512bw_sadd,
    .smul = q8_avx512bw_smul,
    .ssum_rows = q8_avx512bw_ssum_rows,
};
#elif defined(__x86_64__)
const q8_isa q8_isa_avx512bw = {.name = "avx512bw", .needs = Q8_CPU_NONE};
#endif
