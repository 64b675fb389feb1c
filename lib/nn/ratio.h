/* ratio.h - one factor in place of two scales and a quotient. */
#ifndef Q8_NN_RATIO_H
#define Q8_NN_RATIO_H

#include "kernel.h"

/* Looks for factors as q8_binary.ratio wants them, for the product p: 1 if there are. Each is tried on all bytes. */
int q8_find_ratios(const q8_kernels *kernels, const q8_binary *p, float ratio[256]);

#endif
