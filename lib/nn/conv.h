/* conv.h - convolution over channels-last memory, int8 and fp32, on the linear driver and the depthwise
 * kernels.
 *
 * Four ways, chosen while packing:
 *   matrix     1x1, stride 1, no padding: the pixels are the rows of a matrix
 *   taps       in general: one pointer per output pixel and kernel position, padding points at a row of zero points
 *   rows       a kernel row of S * C contiguous values is one tap: for few input channels, so that K is not padded per
 *              position, the image being copied once with its padding; for others in int8, as pointers and the tiles'
 *              beginnings of rows are fewer; of these, and of floats, only what touches the padding is copied
 *   depthwise  one input and output channel per group: a kernel family of its own
 */
#ifndef Q8_NN_CONV_H
#define Q8_NN_CONV_H

#include "nn/linear.h"
#include "nn/rows.h"

typedef struct q8_conv_geometry {
  size_t n, h, w, c;      /* input */
  size_t k, groups, r, s; /* output channels, kernel */
  size_t stride_h, stride_w, dilation_h, dilation_w, pad_top, pad_left;
  size_t p, q; /* output */
} q8_conv_geometry;

typedef enum q8_conv_way { Q8_CONV_MATRIX, Q8_CONV_TAPS, Q8_CONV_ROWS, Q8_CONV_DEPTHWISE } q8_conv_way;

/* Packed weights and geometry: immutable. */
typedef struct q8_conv {
  q8_conv_geometry g;
  q8_conv_way way;
  q8_linear linear;               /* all ways but depthwise */
  const q8_dwconv_kernel *dwconv; /* depthwise, int8 */
  const void *dw_weights;         /* packed, or float [r][s][c] */
  int32_t *dw_sum;                /* [c] of the int8 weights */
  int dw_floats;                  /* depthwise, int8: the result is float */
  size_t element;                 /* bytes of an input value: 1 or 4 */
  size_t row_element;             /* of the rows that kernels read: 2 where the input is copied as int16 */
  size_t padded_h;                /* ROWS: lines of the copy */
  int whole_pixels;               /* ROWS, int8: channels fill blocks of k, nothing behind a row is read */
  size_t left, right;             /* ROWS: outputs of a line that read the copy, the others read the input */
  size_t y_stride; /* elements between pixels of y, or 0: k */
  int exact_x; /* set after packing by those whose x has no readable bytes behind its end */
  const char *kernel_name;
} q8_conv;

/* w: int8 [k][r][s][c / groups]. `requant` says that the result will be uint8, else float: a depthwise convolution keeps
 * its sums in scratch then. */
q8_status q8_conv_pack(const q8_kernels *kernels, const q8_conv_geometry *g, const int8_t *w, int requant,
                       q8_pool *pool, q8_conv *out, qint8_error *error);
/* The same for weights as ONNX orders them: [k][c / groups][r][s]. They may lie in a mapping, whose pages leave memory
 * as they are packed, else it is NULL. */
q8_status q8_conv_pack_mapped(const q8_kernels *kernels, const q8_conv_geometry *g, const int8_t *w,
                              const q8_mapping *mapping, int requant, q8_pool *pool, q8_conv *out, qint8_error *error);
q8_status q8_conv_pack_float(const q8_kernels *kernels, const q8_conv_geometry *g, const float *w,
                             q8_pool *pool, q8_conv *out, qint8_error *error);
/* As q8_linear_fold_bias; out has k entries. */
void q8_conv_fold_bias(const q8_conv *conv, const int32_t *bias, int32_t zero_point, int32_t *out);

/* The same convolution for images of another size or number; `other` differs from conv->g in n, h, w, p, q
 * only. */
void q8_conv_resize(const q8_conv *conv, const q8_conv_geometry *other, q8_conv *out);

size_t q8_conv_scratch(const q8_conv *conv, int32_t threads);

/* x: [n][h][w][c] uint8 or float; y: [n][p][q][k], see y_stride. zero_points: one per image if `zero_step` is 1, else one
 * for all; not read in fp32, whose padding is 0. x needs 64 readable bytes behind its end, unless exact_x. */
void q8_conv_run(const q8_conv *conv, const q8_kernels *kernels, const void *x, const int32_t *zero_points,
                 size_t zero_step, const q8_epilogue *epilogue, void *y, void *scratch, const q8_host *host);

/* The same for some rows of the result, `x` and `y` beginning as the range says, with one zero point for all images:
 * matrix and depthwise only. A `host` of one thread gets by with q8_conv_rows_scratch bytes for that many rows or
 * fewer. */
int q8_conv_has_rows(const q8_conv *conv);
size_t q8_conv_rows_scratch(const q8_conv *conv, size_t rows);
void q8_conv_run_rows(const q8_conv *conv, const q8_kernels *kernels, const void *x, int32_t zero_point,
                      const q8_epilogue *epilogue, void *y, const q8_row_range *range, void *scratch,
                      const q8_host *host);

#endif
