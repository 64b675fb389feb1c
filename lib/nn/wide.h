/* wide.h - convolution with int16 weights: exact where imported weights have a zero point, so nine bits. Plain loops:
 * such models are rare, and run several times slower than with symmetric weights. */
#ifndef Q8_NN_WIDE_H
#define Q8_NN_WIDE_H

#include "nn/conv.h"

/* Products of one output that the int32 accumulator holds: 255 * 255 each. */
#define Q8_MAX_WIDE_DOT (Q8_MAX_DOT / 2)

typedef struct q8_wide {
  q8_conv_geometry g;
  int16_t *weights; /* [groups][r][s][c / groups][k / groups] */
} q8_wide;

/* As q8_conv_run. The epilogue's offset is the bias alone, or NULL. */
void q8_wide_run(const q8_wide *wide, const q8_kernels *kernels, const uint8_t *x, const int32_t *zero_points,
                 size_t zero_step, const q8_epilogue *epilogue, void *y, const q8_host *host);

#endif
