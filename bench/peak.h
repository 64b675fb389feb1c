/* peak.h - the arithmetic rate of this core: loops of multiply-adds on registers only, nothing loaded or
 * stored.
 *
 * Enough independent chains to cover the latency of the instruction. Written in assembly, so that the figure
 * depends on the CPU and not on the compiler. Accumulators start at zero and stay there: denormals or NaN
 * never slow the loop down.
 */
#ifndef Q8_PEAK_H
#define Q8_PEAK_H

#include "kernel.h"

enum { PEAK_INT8, PEAK_FP32, PEAK_REQUANT };

typedef struct peak {
  const char *name;
  q8_cpu_mask needs;
  int kind;
  double operations; /* per round: two for each multiply-add; outputs of the requantization */
  void (*run)(size_t rounds);
} peak;

#if defined(__x86_64__)

#define PEAK_X12(op)                                                                                         \
  op("0") op("1") op("2") op("3") op("4") op("5") op("6") op("7") op("8") op("9") op("10") op("11")
#define PEAK_VPDPBUSD_Z(i) "vpdpbusd %%zmm14, %%zmm15, %%zmm" i "\n\t"
#define PEAK_VPDPBUSD_Y(i) "%{vex%} vpdpbusd %%ymm14, %%ymm15, %%ymm" i "\n\t"
#define PEAK_VPMADDWD(i) "vpmaddwd %%ymm14, %%ymm15, %%ymm12\n\tvpaddd %%ymm12, %%ymm" i ", %%ymm" i "\n\t"
#define PEAK_VPMADDWD_Z(i) "vpmaddwd %%zmm14, %%zmm15, %%zmm12\n\tvpaddd %%zmm12, %%zmm" i ", %%zmm" i "\n\t"
#define PEAK_FMA_Z(i) "vfmadd231ps %%zmm14, %%zmm15, %%zmm" i "\n\t"
#define PEAK_FMA_Y(i) "vfmadd231ps %%ymm14, %%ymm15, %%ymm" i "\n\t"
/* What four registers of sums that have their bias take at least to become one register of bytes: conversion, scale, rounding,
 * and packs with the zero point between. */
#define PEAK_REQUANT_OF(r, i, j)                                                                             \
  "vcvtdq2ps %%" r "15, %%" r i "\n\tvmulps %%" r "14, %%" r i ", %%" r i "\n\t"                             \
  "vcvtps2dq %%" r i ", %%" r i "\n\tvcvtdq2ps %%" r "15, %%" r j "\n\t"                                     \
  "vmulps %%" r "14, %%" r j ", %%" r j "\n\tvcvtps2dq %%" r j ", %%" r j "\n\t"                             \
  "vpackssdw %%" r j ", %%" r i ", %%" r i "\n\tvpaddsw %%" r "13, %%" r i ", %%" r i "\n\t"
#define PEAK_BYTES(r)                                                                                        \
  PEAK_REQUANT_OF(r, "0", "1")                                                                               \
  PEAK_REQUANT_OF(r, "2", "3")                                                                               \
  "vpackuswb %%" r "2, %%" r "0, %%" r "0\n\tvpermd %%" r "0, %%" r "13, %%" r "0\n\t"
#define PEAK_LOOP_OF(name, body)                                                                             \
  static void name(size_t rounds) {                                                                          \
    __asm__ volatile("vzeroall\n\t"                                                                          \
                     "1:\n\t" body "dec %0\n\t"                                                              \
                     "jnz 1b\n\t"                                                                            \
                     "vzeroupper"                                                                            \
                     : "+r"(rounds)                                                                          \
                     :                                                                                       \
                     : "cc", "xmm0", "xmm1", "xmm2", "xmm3", "xmm4", "xmm5", "xmm6", "xmm7", "xmm8", "xmm9", \
                       "xmm10", "xmm11", "xmm12", "xmm13", "xmm14", "xmm15");                                \
  }
#define PEAK_LOOP(name, op) PEAK_LOOP_OF(name, PEAK_X12(op))
PEAK_LOOP(peak_vpdpbusd_z, PEAK_VPDPBUSD_Z)
PEAK_LOOP(peak_vpdpbusd_y, PEAK_VPDPBUSD_Y)
PEAK_LOOP(peak_vpmaddwd, PEAK_VPMADDWD)
PEAK_LOOP(peak_vpmaddwd_z, PEAK_VPMADDWD_Z)
PEAK_LOOP(peak_fma_z, PEAK_FMA_Z)
PEAK_LOOP(peak_fma_y, PEAK_FMA_Y)
PEAK_LOOP_OF(peak_requant_z, PEAK_BYTES("zmm"))
PEAK_LOOP_OF(peak_requant_y, PEAK_BYTES("ymm"))

static const peak peaks[] = {
    {"vpdpbusd zmm", Q8_CPU_AVX512VNNI, 0, 12 * 64 * 2, peak_vpdpbusd_z},
    {"vpmaddwd + vpaddd zmm", Q8_CPU_AVX512, 0, 12 * 32 * 2, peak_vpmaddwd_z},
    {"vpdpbusd ymm", Q8_CPU_AVXVNNI, 0, 12 * 32 * 2, peak_vpdpbusd_y},
    {"vpmaddwd + vpaddd ymm", Q8_CPU_AVX2, 0, 12 * 16 * 2, peak_vpmaddwd},
    {"vfmadd zmm", Q8_CPU_AVX512, 1, 12 * 16 * 2, peak_fma_z},
    {"vfmadd ymm", Q8_CPU_AVX2, 1, 12 * 8 * 2, peak_fma_y},
    {"requantization zmm", Q8_CPU_AVX512, PEAK_REQUANT, 64, peak_requant_z},
    {"requantization ymm", Q8_CPU_AVX2, PEAK_REQUANT, 32, peak_requant_y},
};

#elif defined(__aarch64__)

#define PEAK_X12(op)                                                                                         \
  op("0") op("1") op("2") op("3") op("4") op("5") op("6") op("7") op("16") op("17") op("18") op("19")
/* Two products in 16 bits, then a pairwise add to 32: what the 8-bit multiplies of the baseline allow at
 * best. */
#define PEAK_SMLAL(i)                                                                                        \
  "smull v20.8h, v30.8b, v31.8b\n\tsmlal2 v20.8h, v30.16b, v31.16b\n\tsadalp v" i ".4s, v20.8h\n\t"
#define PEAK_FMLA(i) "fmla v" i ".4s, v30.4s, v31.4s\n\t"
#define PEAK_ZERO(i) "movi v" i ".16b, #0\n\t"
#define PEAK_LOOP(name, op)                                                                                  \
  static void name(size_t rounds) {                                                                          \
    __asm__ volatile(PEAK_X12(PEAK_ZERO) PEAK_ZERO("30")                                                     \
                         PEAK_ZERO("31") "1:\n\t" PEAK_X12(op) "subs %0, %0, #1\n\t"                         \
                                                               "b.ne 1b"                                     \
                     : "+r"(rounds)                                                                          \
                     :                                                                                       \
                     : "cc", "v0", "v1", "v2", "v3", "v4", "v5", "v6", "v7", "v16", "v17", "v18", "v19",     \
                       "v20", "v30", "v31");                                                                 \
  }
PEAK_LOOP(peak_smlal, PEAK_SMLAL)
PEAK_LOOP(peak_fmla, PEAK_FMLA)

static const peak peaks[] = {
    {"smull + smlal2 + sadalp", Q8_CPU_NEON, 0, 12 * 16 * 2, peak_smlal},
    {"fmla", Q8_CPU_NEON, 1, 12 * 4 * 2, peak_fmla},
};

#else
static const peak peaks[] = {{NULL, ~(q8_cpu_mask)0, 0, 1, NULL}};
#endif

/* The first loop that needs nothing beyond `mask`; NULL where the kernels have no vector unit to be measured
 * by. */
static inline const peak *peak_find(q8_cpu_mask mask, int kind) {
  for (size_t i = 0; i < sizeof peaks / sizeof *peaks; i++)
    if (peaks[i].kind == kind && !(peaks[i].needs & ~mask))
      return &peaks[i];
  return NULL;
}

#endif
