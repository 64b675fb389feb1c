/* conv_internal.h - the parts of convolution: row sources and copies (conv_rows.c), depthwise (depthwise.c).
 */
#ifndef Q8_NN_CONV_INTERNAL_H
#define Q8_NN_CONV_INTERNAL_H

#include "nn/conv.h"

/* One run's view of the input. Image i's padding points at zero_rows + i * zero_stride. */
typedef struct q8_image_rows {
  const q8_conv *conv;
  const uint8_t *x;
  const uint8_t *copy; /* ROWS */
  const uint8_t *zero_rows;
  size_t zero_stride;
  size_t x_row; /* DEPTHWISE: the line that x begins with, counted over all images */
} q8_image_rows;

/* Rows of real 0, one per image where each has its own zero point. */
size_t q8_zero_row_size(const q8_conv *conv);
void q8_fill_zero_rows(const q8_conv *conv, const int32_t *zero_points, size_t count, uint8_t *out);

q8_row_source q8_tap_rows;  /* TAPS */
q8_row_source q8_line_rows; /* ROWS */
/* Which outputs of a line read the copy: those that touch the padding, or all where rows are not as in the input. */
void q8_conv_set_edges(q8_conv *conv);

/* The copy of the input that ROWS and int16 rows need; size 0 where the input serves as it is. */
size_t q8_conv_copy_size(const q8_conv *conv);
void q8_conv_copy(const q8_conv *conv, const uint8_t *x, const int32_t *zero_points, size_t zero_step,
                  uint8_t *out, const q8_host *host);

q8_status q8_depthwise_pack(const q8_kernels *kernels, const int8_t *w, q8_pool *pool, q8_conv *out,
                            qint8_error *error);
q8_status q8_depthwise_pack_float(const float *w, q8_pool *pool, q8_conv *out, qint8_error *error);
size_t q8_depthwise_scratch(const q8_conv *conv, int32_t threads);
void q8_depthwise_run(const q8_conv *conv, const q8_kernels *kernels, const q8_image_rows *rows,
                      const q8_epilogue *epilogue, void *y, void *scratch, const q8_host *host);
/* Rows of the range, on the calling thread. */
void q8_depthwise_run_rows(const q8_conv *conv, const q8_kernels *kernels, const q8_image_rows *rows,
                           const q8_epilogue *epilogue, void *y, const q8_row_range *range, void *scratch);

#endif
