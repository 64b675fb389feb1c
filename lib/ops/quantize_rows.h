/* quantize_rows.h - rows that are quantized while running, each with its own range. */
#ifndef Q8_OPS_QUANTIZE_ROWS_H
#define Q8_OPS_QUANTIZE_ROWS_H

#include "kernel.h"
#include "base/memory.h"

typedef struct q8_quantized_rows {
  float *scale;
  int32_t *zero_point;
  uint8_t *data; /* [rows][n], 64 bytes are readable behind */
} q8_quantized_rows;

/* Bytes of scratch. */
size_t q8_quantized_rows_size(size_t rows, size_t n);
q8_quantized_rows q8_quantize_rows(const q8_kernels *kernels, const q8_host *host, size_t rows, size_t n,
                                   const float *x, void *scratch);

#endif
