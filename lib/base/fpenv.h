/* fpenv.h - the arithmetic the numeric contract needs: round to nearest even, denormals kept, whatever the host set. */
#ifndef Q8_BASE_FPENV_H
#define Q8_BASE_FPENV_H

#include <stdint.h>

#if defined(__x86_64__) || (defined(__i386__) && defined(__SSE2__))
#include <xmmintrin.h>
typedef uint32_t q8_fpenv;
/* Rounding (13, 14), flush to zero (15), denormals are zero (6): all cleared; masks and flags stay. */
static inline q8_fpenv q8_fpenv_enter(void) {
  uint32_t old = _mm_getcsr();
  if (old & 0xE040u)
    _mm_setcsr(old & ~0xE040u);
  return old;
}
static inline void q8_fpenv_leave(q8_fpenv old) {
  if (old & 0xE040u)
    _mm_setcsr(old);
}
#elif defined(__aarch64__)
typedef uint64_t q8_fpenv;
/* FPCR: rounding mode (22, 23), flush to zero (24), default NaN (25). */
static inline q8_fpenv q8_fpenv_enter(void) {
  uint64_t old;
  __asm__ volatile("mrs %0, fpcr" : "=r"(old));
  if (old & 0x3C00000u)
    __asm__ volatile("msr fpcr, %0" : : "r"(old & ~(uint64_t)0x3C00000u));
  return old;
}
static inline void q8_fpenv_leave(q8_fpenv old) {
  if (old & 0x3C00000u)
    __asm__ volatile("msr fpcr, %0" : : "r"(old));
}
#else
#include <fenv.h>
typedef int q8_fpenv;
static inline q8_fpenv q8_fpenv_enter(void) {
  int old = fegetround();
  if (old != FE_TONEAREST)
    fesetround(FE_TONEAREST);
  return old;
}
static inline void q8_fpenv_leave(q8_fpenv old) {
  if (old != FE_TONEAREST)
    fesetround(old);
}
#endif

#endif
