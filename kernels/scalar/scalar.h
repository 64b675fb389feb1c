/* scalar.h - the tables of this folder, and the two conversions that fix the rounding of all int8 kernels. */
#ifndef Q8_SCALAR_H
#define Q8_SCALAR_H

#include "kernel.h"
#include <math.h>

extern const q8_gemm_kernel q8_scalar_gemm[];
extern const q8_dwconv_kernel q8_scalar_dwconv[];
q8_requant_fn q8_scalar_requant;
q8_dequant_acc_fn q8_scalar_dequant_acc;
q8_quantize_fn q8_scalar_quantize;
q8_dequantize_fn q8_scalar_dequantize;
q8_minmax_fn q8_scalar_minmax;
q8_minmax_rows_fn q8_scalar_minmax_rows;
q8_slots_fn q8_scalar_slots;
q8_table_fn q8_scalar_table;
q8_binary_fn q8_scalar_add;
q8_binary_fn q8_scalar_mul;
q8_max_rows_fn q8_scalar_max_rows;
q8_sum_rows_fn q8_scalar_sum_rows;
q8_transpose_fn q8_scalar_transpose8;
q8_transpose_fn q8_scalar_transpose32;
q8_pack_pairs_fn q8_scalar_pack_pairs;
q8_widen_fn q8_scalar_widen;
extern const q8_sgemm_kernel q8_scalar_sgemm[];
q8_sdwconv_fn q8_scalar_sdwconv;
q8_sunary_fn q8_scalar_sunary;
q8_sbinary_fn q8_scalar_sadd;
q8_sbinary_fn q8_scalar_smul;
q8_ssum_rows_fn q8_scalar_ssum_rows;

/* clamp(rne(v) + zero_point, lo, hi). The bounds are whole numbers, so clamping first gives the same and
 * keeps infinities out of the conversion; the order of the comparison sends NaN to lo. lrintf rounds to
 * nearest even in the default floating-point environment, which the library establishes around every run. */
Q8_INLINE uint8_t q8_scalar_round(float v, int32_t zero_point, int32_t lo, int32_t hi) {
  float low = (float)(lo - zero_point), high = (float)(hi - zero_point);
  v = v > low ? v : low;
  v = v < high ? v : high;
  return (uint8_t)((int32_t)lrintf(v) + zero_point);
}

Q8_INLINE uint8_t q8_scalar_requantize(int32_t acc, size_t c, const q8_requant *rq) {
  int32_t sum = (int32_t)((uint32_t)acc + (uint32_t)rq->bias[c]);
  return q8_scalar_round((float)sum * rq->scale[c], rq->zero_point, rq->lo, rq->hi);
}

/* The clamp of the float results: NaN passes through. */
Q8_INLINE float q8_scalar_clamp(float v, float lo, float hi) {
  v = v < lo ? lo : v;
  return v > hi ? hi : v;
}

#endif
