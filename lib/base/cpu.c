#include "base/cpu.h"

#include <stdatomic.h>

#if defined(__x86_64__) || defined(__i386__)
#include <cpuid.h>

static uint64_t xgetbv0(void) {
  uint32_t low, high;
  __asm__ volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
  return ((uint64_t)high << 32) | low;
}

static q8_cpu_mask detect(void) {
  unsigned a, b, c, d, max = __get_cpuid_max(0, 0);
  if (max < 7)
    return 0;
  __cpuid(1, a, b, c, d);
  int osxsave = (c >> 27) & 1, avx = (c >> 28) & 1, fma = (c >> 12) & 1;
  if (!osxsave || !avx || !fma)
    return 0;
  uint64_t saved = xgetbv0();
  if ((saved & 0x6) != 0x6) /* XMM and YMM state */
    return 0;
  unsigned b7, c7, d7, subleaves;
  __cpuid_count(7, 0, subleaves, b7, c7, d7);
  (void)d7;
  if (!((b7 >> 5) & 1))
    return 0;
  q8_cpu_mask mask = Q8_CPU_AVX2;
  if (subleaves >= 1) {
    __cpuid_count(7, 1, a, b, c, d);
    if ((a >> 4) & 1)
      mask |= Q8_CPU_AVXVNNI;
  }
  const unsigned foundation = 1u << 16 | 1u << 17 | 1u << 30 | 1u << 31; /* F, DQ, BW, VL */
  if ((b7 & foundation) == foundation && (saved & 0xE6) == 0xE6) {
    mask |= Q8_CPU_AVX512;
    if ((c7 >> 11) & 1)
      mask |= Q8_CPU_AVX512VNNI;
    if ((c7 >> 1) & 1)
      mask |= Q8_CPU_AVX512VBMI;
  }
  return mask;
}

/* Walks a deterministic cache leaf (4 on Intel, 0x8000001D on AMD) for a data or unified cache of `level`. */
static size_t cache_size(unsigned level, size_t typical) {
  unsigned a, b, c, d;
  __cpuid(0, a, b, c, d);
  unsigned leaf = b == 0x68747541 /* "Auth" */ ? 0x8000001D : 4;
  if ((unsigned)__get_cpuid_max(leaf & 0x80000000, 0) < leaf)
    return typical;
  for (unsigned i = 0; i < 8; i++) {
    __cpuid_count(leaf, i, a, b, c, d);
    unsigned type = a & 31;
    if (type == 0)
      break;
    if (type != 2 && ((a >> 5) & 7) == level)
      return (size_t)((b >> 22) + 1) * (((b >> 12) & 0x3FF) + 1) * ((b & 0xFFF) + 1) * ((size_t)c + 1);
  }
  return typical;
}
static size_t l1_size(void) {
  return cache_size(1, 32768);
}
static size_t l2_size(void) {
  return cache_size(2, 524288);
}

#elif defined(__aarch64__)
#if defined(__linux__)
#include <sys/auxv.h>
static q8_cpu_mask detect(void) {
  q8_cpu_mask mask = Q8_CPU_NEON;
  if ((getauxval(AT_HWCAP) >> 20) & 1) /* HWCAP_ASIMDDP */
    mask |= Q8_CPU_NEONDOT;
  if ((getauxval(AT_HWCAP2) >> 13) & 1) /* HWCAP2_I8MM */
    mask |= Q8_CPU_NEONI8MM;
  return mask;
}
#elif defined(__APPLE__)
#include <sys/sysctl.h>
static int has(const char *name) {
  int value = 0;
  size_t size = sizeof value;
  return sysctlbyname(name, &value, &size, 0, 0) == 0 && value;
}
static q8_cpu_mask detect(void) {
  return Q8_CPU_NEON | (has("hw.optional.arm.FEAT_DotProd") ? Q8_CPU_NEONDOT : 0) |
         (has("hw.optional.arm.FEAT_I8MM") ? Q8_CPU_NEONI8MM : 0);
}
#else
static q8_cpu_mask detect(void) {
  return Q8_CPU_NEON;
}
#endif
static size_t l1_size(void) {
  return 32768;
}
static size_t l2_size(void) {
  return 524288;
}

#else
static q8_cpu_mask detect(void) {
  return 0;
}
static size_t l1_size(void) {
  return 32768;
}
static size_t l2_size(void) {
  return 262144;
}
#endif

/* cpuid traps in a virtual machine: tens of microseconds. The answers are constants of the machine, so they are kept;
 * threads that come first together compute the same values. */
q8_cpu_mask q8_cpu_detect(void) {
  static _Atomic uint64_t known; /* bit 32: computed */
  uint64_t value = atomic_load_explicit(&known, memory_order_relaxed);
  if (!value) {
    value = (uint64_t)1 << 32 | detect();
    atomic_store_explicit(&known, value, memory_order_relaxed);
  }
  return (q8_cpu_mask)value;
}

static size_t keep(_Atomic size_t *known, size_t (*compute)(void)) {
  size_t value = atomic_load_explicit(known, memory_order_relaxed);
  if (!value) {
    value = compute();
    atomic_store_explicit(known, value, memory_order_relaxed);
  }
  return value;
}

size_t q8_cpu_l1_size(void) {
  static _Atomic size_t known;
  return keep(&known, l1_size);
}

size_t q8_cpu_l2_size(void) {
  static _Atomic size_t known;
  return keep(&known, l2_size);
}
