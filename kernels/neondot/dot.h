/* dot.h - tables of this folder. The kernels multiply signed by signed (a_shift 128): sdot adds four products a lane
 * in 32 bits, exact for every weight. */
#ifndef Q8_NEONDOT_H
#define Q8_NEONDOT_H

#include "kernel.h"

#if defined(__aarch64__) && defined(__ARM_FEATURE_DOTPROD)
#include "neon/neon.h"

#define Q8_NEEDS_NEONDOT (Q8_CPU_NEON | Q8_CPU_NEONDOT)

extern const q8_gemm_kernel q8_neondot_gemm[];
extern const q8_dwconv_kernel q8_neondot_dwconv[];

/* Bytes less 128, as signed ones. */
Q8_INLINE int8x16_t dot_signed(uint8x16_t x) {
  return vreinterpretq_s8_u8(veorq_u8(x, vdupq_n_u8(0x80)));
}

#endif
#endif
