/* conv.c - the choice of way, packing, and running. */
#include "nn/conv_internal.h"

/* Few channels: padding K per tap to the kernel's kr would waste much of the multiplies. */
#define FEW_CHANNELS 8

/* Rows of int8 are a whole number of k blocks of every kernel where pixels are. */
#define K_BLOCK 8

static q8_conv_way choose_way(const q8_conv_geometry *g, size_t element) {
  if (g->groups == g->c && g->k == g->c && g->c > 1)
    return Q8_CONV_DEPTHWISE;
  int unpadded = g->pad_top == 0 && g->pad_left == 0 && g->p == g->h && g->q == g->w;
  if (g->r == 1 && g->s == 1 && g->stride_h == 1 && g->stride_w == 1 && unpadded)
    return Q8_CONV_MATRIX;
  if (g->groups == 1 && g->s > 1 && g->dilation_w == 1 &&
      (g->c <= FEW_CHANNELS || (element == 1 && g->c % K_BLOCK == 0)))
    return Q8_CONV_ROWS;
  return Q8_CONV_TAPS;
}

static void set_size(q8_conv *conv, const q8_conv_geometry *g) {
  conv->g = *g;
  conv->padded_h = (g->p - 1) * g->stride_h + (g->r - 1) * g->dilation_h + 1;
  q8_conv_set_edges(conv);
}

static void set_up(q8_conv *out, const q8_conv_geometry *g, size_t element) {
  *out = (q8_conv){.element = element, .row_element = element, .way = choose_way(g, element)};
  out->whole_pixels = out->way == Q8_CONV_ROWS && g->c > FEW_CHANNELS;
  set_size(out, g);
}

void q8_conv_resize(const q8_conv *conv, const q8_conv_geometry *other, q8_conv *out) {
  *out = *conv;
  set_size(out, other);
}

/* How [k][r][s][c / groups] weights are cut into taps. */
static q8_linear_desc describe(const q8_conv *conv, const void *w) {
  const q8_conv_geometry *g = &conv->g;
  size_t c = g->c / g->groups, n = g->k / g->groups, filter = g->r * g->s * c;
  q8_linear_desc d = {.groups = g->groups,
                      .taps = g->r * g->s,
                      .k = c,
                      .n = n,
                      .w = w,
                      .w_group = n * filter,
                      .w_out = filter,
                      .w_tap = c,
                      .w_in = 1,
                      .row_bytes = g->stride_h * g->stride_w * c * conv->element,
                      .rows = g->n * g->p * g->q};
  if (conv->whole_pixels) {
    d.joined = g->s;
  } else if (conv->way == Q8_CONV_ROWS) {
    d.taps = g->r;
    d.k = d.w_tap = g->s * c;
  }
  return d;
}

static q8_status pack_taps(const q8_kernels *kernels, const q8_linear_desc *d, q8_pool *pool, q8_conv *out,
                           qint8_error *error) {
  Q8_TRY(q8_linear_pack(kernels, d, pool, &out->linear, error));
  /* Rows that several taps read are widened once; those of a matrix block by block. */
  if (d->taps > 1)
    out->row_element = out->linear.a_bytes;
  q8_conv_set_edges(out);
  out->kernel_name = out->linear.kernel_name;
  return QINT8_OK;
}

q8_status q8_conv_pack(const q8_kernels *kernels, const q8_conv_geometry *g, const int8_t *w, int requant,
                       q8_pool *pool, q8_conv *out, qint8_error *error) {
  set_up(out, g, 1);
  out->dw_floats = !requant;
  if (out->way == Q8_CONV_DEPTHWISE)
    return q8_depthwise_pack(kernels, w, pool, out, error);
  q8_linear_desc d = describe(out, w);
  return pack_taps(kernels, &d, pool, out, error);
}

/* [k][c][r][s] to [k][r][s][c]. */
static void channels_last(const q8_kernels *kernels, const q8_conv_geometry *g, const int8_t *w, int8_t *out) {
  const size_t channels = g->c / g->groups, taps = g->r * g->s, filter = channels * taps;
  for (size_t k = 0; k < g->k; k++)
    kernels->transpose8(channels, taps, w + k * filter, taps, out + k * filter, channels);
}

q8_status q8_conv_pack_mapped(const q8_kernels *kernels, const q8_conv_geometry *g, const int8_t *w,
                              const q8_mapping *mapping, int requant, q8_pool *pool, q8_conv *out, qint8_error *error) {
  size_t channels = g->c / g->groups, taps = g->r * g->s;
  set_up(out, g, 1);
  if (out->way == Q8_CONV_DEPTHWISE)
    return q8_conv_pack(kernels, g, w, requant, pool, out, error);
  q8_linear_desc d = describe(out, w);
  d.mapping = mapping;
  if (taps == 1 || channels == 1) /* both orders are the same */
    return pack_taps(kernels, &d, pool, out, error);
  if (out->way != Q8_CONV_ROWS || out->whole_pixels) {
    d.w_tap = 1;
    d.w_in = taps;
    return pack_taps(kernels, &d, pool, out, error);
  }
  int8_t *ordered = q8_alloc(&pool->host, g->k, channels * taps);
  if (!ordered)
    return q8_fail_memory(error, "weights", g->k * channels * taps);
  channels_last(kernels, g, w, ordered);
  d.w = ordered;
  q8_status status = pack_taps(kernels, &d, pool, out, error);
  q8_free(&pool->host, ordered);
  return status;
}

q8_status q8_conv_pack_float(const q8_kernels *kernels, const q8_conv_geometry *g, const float *w,
                             q8_pool *pool, q8_conv *out, qint8_error *error) {
  set_up(out, g, sizeof(float));
  if (out->way == Q8_CONV_DEPTHWISE)
    return q8_depthwise_pack_float(w, pool, out, error);
  q8_linear_desc d = describe(out, w);
  Q8_TRY(q8_linear_pack_float(kernels, &d, pool, &out->linear, error));
  out->kernel_name = out->linear.kernel_name;
  return QINT8_OK;
}

void q8_conv_fold_bias(const q8_conv *conv, const int32_t *bias, int32_t zero_point, int32_t *out) {
  if (conv->way != Q8_CONV_DEPTHWISE) {
    q8_linear_fold_bias(&conv->linear, bias, zero_point, out);
    return;
  }
  uint32_t offset = (uint32_t)(zero_point - conv->dwconv->a_shift);
  for (size_t c = 0; c < conv->g.c; c++)
    out[c] = (int32_t)((bias ? (uint32_t)bias[c] : 0u) - offset * (uint32_t)conv->dw_sum[c]);
}

/* ---- Running ---- */

static size_t zeros_size(const q8_conv *conv) {
  return conv->way == Q8_CONV_TAPS || conv->way == Q8_CONV_DEPTHWISE ? conv->g.n * q8_zero_row_size(conv) : 0;
}

size_t q8_conv_scratch(const q8_conv *conv, int32_t threads) {
  const q8_conv_geometry *g = &conv->g;
  size_t head = q8_conv_copy_size(conv) + zeros_size(conv);
  if (conv->way == Q8_CONV_DEPTHWISE)
    return head + q8_depthwise_scratch(conv, threads);
  return head + q8_linear_scratch(&conv->linear, g->n * g->p * g->q, threads);
}

static void run_linear(const q8_conv *conv, const q8_kernels *kernels, const uint8_t *x,
                       const q8_image_rows *rows, const q8_epilogue *epilogue, void *y, void *scratch,
                       const q8_host *host) {
  const q8_conv_geometry *g = &conv->g;
  q8_matrix_rows matrix = {x, g->c * conv->element, g->c / g->groups * conv->element};
  q8_linear_run run = {.linear = &conv->linear,
                       .kernels = kernels,
                       .rows = conv->way == Q8_CONV_ROWS ? q8_line_rows : q8_tap_rows,
                       .source = rows,
                       .m = g->n * g->p * g->q,
                       .y_stride = conv->y_stride ? conv->y_stride : g->k,
                       .epilogue = epilogue,
                       .y = y,
                       .scratch = scratch,
                       .rows_are_wide = conv->row_element == 2};
  if (conv->way == Q8_CONV_MATRIX) {
    run.rows = q8_matrix_source;
    run.source = &matrix;
  }
  if (conv->exact_x && q8_conv_copy_size(conv) == 0) {
    run.x = x;
    run.x_size = g->n * g->h * g->w * g->c * conv->element;
  }
  q8_linear_execute(&run, host);
}

void q8_conv_run(const q8_conv *conv, const q8_kernels *kernels, const void *x, const int32_t *zero_points,
                 size_t zero_step, const q8_epilogue *epilogue, void *y, void *scratch, const q8_host *host) {
  const q8_conv_geometry *g = &conv->g;
  uint8_t *copy = scratch, *zeros = copy + q8_conv_copy_size(conv), *rest = zeros + zeros_size(conv);
  q8_image_rows rows = {conv, x, copy, zeros, zero_step ? q8_zero_row_size(conv) : 0, 0};
  if (zeros_size(conv))
    q8_fill_zero_rows(conv, zero_points, zero_step ? g->n : 1, zeros);
  if (q8_conv_copy_size(conv)) {
    q8_conv_copy(conv, x, zero_points, zero_step, copy, host);
    if (conv->way != Q8_CONV_ROWS)
      rows.x = copy;
  }
  if (conv->way == Q8_CONV_DEPTHWISE)
    q8_depthwise_run(conv, kernels, &rows, epilogue, y, rest, host);
  else
    run_linear(conv, kernels, x, &rows, epilogue, y, rest, host);
}

/* ---- Some rows ---- */

int q8_conv_has_rows(const q8_conv *conv) {
  return !conv->exact_x && (conv->way == Q8_CONV_MATRIX || conv->way == Q8_CONV_DEPTHWISE);
}

size_t q8_conv_rows_scratch(const q8_conv *conv, size_t rows) {
  size_t most = 0;
  if (conv->way == Q8_CONV_DEPTHWISE)
    return q8_zero_row_size(conv) + q8_depthwise_scratch(conv, 1);
  for (size_t i = 1; i <= rows; i++) {
    size_t size = q8_linear_scratch(&conv->linear, i * conv->g.q, 1);
    most = size > most ? size : most;
  }
  return most;
}

static void run_matrix_rows(const q8_conv *conv, const q8_kernels *kernels, const uint8_t *x, q8_epilogue epilogue,
                            uint8_t *y, const q8_row_range *range, void *scratch, const q8_host *host) {
  const q8_conv_geometry *g = &conv->g;
  const size_t row = g->w * g->c * conv->element, pixel = g->c * conv->element;
  const q8_matrix_rows matrix = {x + (range->first - range->in_row) * row, pixel, pixel / g->groups};
  const size_t stride = conv->y_stride ? conv->y_stride : g->k;
  const size_t element = epilogue.kind == Q8_EPILOGUE_REQUANT ? 1 : sizeof(float);
  if (epilogue.other)
    epilogue.other += range->first * g->q * g->k;
  q8_linear_run run = {.linear = &conv->linear,
                       .kernels = kernels,
                       .rows = q8_matrix_source,
                       .source = &matrix,
                       .m = (range->last - range->first) * g->q,
                       .y_stride = stride,
                       .epilogue = &epilogue,
                       .y = y + (range->first - range->out_row) * g->q * stride * element,
                       .scratch = scratch};
  q8_linear_execute(&run, host);
}

void q8_conv_run_rows(const q8_conv *conv, const q8_kernels *kernels, const void *x, int32_t zero_point,
                      const q8_epilogue *epilogue, void *y, const q8_row_range *range, void *scratch,
                      const q8_host *host) {
  if (conv->way == Q8_CONV_MATRIX) {
    run_matrix_rows(conv, kernels, x, *epilogue, y, range, scratch, host);
    return;
  }
  uint8_t *zeros = scratch;
  const q8_image_rows rows = {.conv = conv, .x = x, .zero_rows = zeros, .x_row = range->in_row};
  q8_fill_zero_rows(conv, &zero_point, 1, zeros);
  q8_depthwise_run_rows(conv, kernels, &rows, epilogue, y, range, zeros + q8_zero_row_size(conv));
}
