/* cpu.h - what this CPU can run. */
#ifndef Q8_BASE_CPU_H
#define Q8_BASE_CPU_H

#include "kernel.h"

/* The CPU bits that kernels may need, as far as CPU and operating system support them. Thread safe, no state. */
q8_cpu_mask q8_cpu_detect(void);
/* Bytes of one core's L1 data cache and L2 cache; typical values where the CPU does not tell. */
size_t q8_cpu_l1_size(void);
size_t q8_cpu_l2_size(void);

#endif
