/* operator.c - GEMM and convolution with packed weights: both are a convolution inside, a matrix is M images of one
 * pixel. */
#include <stddef.h>

#include "api/api.h"
#include "nn/conv.h"
#include "quant/quantize.h"

#define MAX_SIZE ((int64_t)1 << 24) /* of any one dimension, stride, dilation or padding */

struct qint8_operator {
  q8_pool pool;
  q8_kernels kernels;
  q8_conv conv; /* for the smallest image; runs resize it */
  q8_epilogue epilogue;
  int32_t x_zero;        /* stored form */
  int32_t x_flip;        /* s8 input: copied with the top bit flipped */
  size_t pad_bottom, pad_right;
  int is_gemm;
};

static q8_status check_size(const char *name, int64_t value, int64_t least, qint8_error *error) {
  if (value < least || value > MAX_SIZE)
    return q8_fail(error, QINT8_ERROR_ARGUMENT, name, "%lld is outside %lld to %lld", (long long)value,
                   (long long)least, (long long)MAX_SIZE);
  return QINT8_OK;
}

static q8_status check_sizes(const qint8_conv_desc *d, qint8_error *error) {
#define FIELD(name, least) {#name, offsetof(qint8_conv_desc, name), least}
  static const struct {
    char name[12];
    uint16_t offset, least;
  } sizes[] = {FIELD(c, 1), FIELD(k, 1), FIELD(groups, 1), FIELD(r, 1), FIELD(s, 1), FIELD(stride_h, 1),
               FIELD(stride_w, 1), FIELD(dilation_h, 1), FIELD(dilation_w, 1), FIELD(pad_top, 0), FIELD(pad_left, 0),
               FIELD(pad_bottom, 0), FIELD(pad_right, 0)};
#undef FIELD
  for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++)
    Q8_TRY(check_size(sizes[i].name, *(const int64_t *)(const void *)((const char *)d + sizes[i].offset),
                      sizes[i].least, error));
  if (d->c % d->groups || d->k % d->groups)
    return q8_fail(error, QINT8_ERROR_ARGUMENT, "groups", "%lld groups do not divide %lld and %lld channels",
                   (long long)d->groups, (long long)d->c, (long long)d->k);
  if ((d->r - 1) * d->dilation_h >= MAX_SIZE || (d->s - 1) * d->dilation_w >= MAX_SIZE)
    return q8_fail(error, QINT8_ERROR_LIMIT, "dilation", "the kernel reaches over more than %lld pixels",
                   (long long)MAX_SIZE);
  return QINT8_OK;
}

static q8_status check(const qint8_conv_desc *d, qint8_error *error) {
  int low = d->y.dtype == QINT8_DTYPE_S8 ? -128 : 0;
  int64_t products = d->r * d->s; /* at most 2^48 */
  if (products <= Q8_MAX_DOT)
    products *= d->c / d->groups;
  Q8_TRY(q8_check_qparams(&d->x, 0, error));
  Q8_TRY(q8_check_qparams(&d->y, 0, error));
  if (!d->weights || !d->w_scale)
    return q8_fail(error, QINT8_ERROR_ARGUMENT, d->weights ? "w_scale" : "weights", "NULL");
  if (d->w_scale_count != 1 && d->w_scale_count != d->k)
    return q8_fail(error, QINT8_ERROR_ARGUMENT, "w_scale_count", "%lld scales for %lld output channels",
                   (long long)d->w_scale_count, (long long)d->k);
  if (d->clamp_low < low || d->clamp_high > low + 255 || d->clamp_low > d->clamp_high)
    return q8_fail(error, QINT8_ERROR_ARGUMENT, "clamp", "[%d, %d] is not a range inside [%d, %d]", (int)d->clamp_low,
                   (int)d->clamp_high, low, low + 255);
  if (products > Q8_MAX_DOT)
    return q8_fail(error, QINT8_ERROR_LIMIT, "weights", "%lld products per output, at most %d fit the accumulator",
                   (long long)products, Q8_MAX_DOT);
  return QINT8_OK;
}

static q8_status make_epilogue(qint8_operator *op, const qint8_conv_desc *d, qint8_error *error) {
  size_t k = op->conv.g.k;
  int32_t shift = d->y.dtype == QINT8_DTYPE_S8 ? 128 : 0;
  int whole = d->clamp_low == 0 && d->clamp_high == 0;
  int32_t *bias = q8_pool_alloc(&op->pool, k + 64, sizeof *bias);
  float *scale = q8_pool_alloc(&op->pool, k + 64, sizeof *scale);
  uint8_t *flip = q8_pool_alloc(&op->pool, 256, 1);
  Q8_TRY(q8_pool_check(&op->pool, "operator", error));
  q8_conv_fold_bias(&op->conv, d->bias, op->x_zero, bias);
  for (size_t i = 0; i < k; i++)
    if (!q8_requantize_multiplier(d->x.scale, d->w_scale[d->w_scale_count > 1 ? i : 0], d->y.scale, &scale[i]))
      return q8_fail(error, QINT8_ERROR_ARGUMENT, "w_scale", "the multiplier of output channel %zu is not finite", i);
  for (int i = 0; i < 256; i++)
    flip[i] = (uint8_t)(i ^ 0x80);
  op->epilogue.kind = Q8_EPILOGUE_REQUANT;
  op->epilogue.requant = (q8_requant){.bias = bias,
                                      .scale = scale,
                                      .zero_point = d->y.zero_point + shift,
                                      .lo = whole ? 0 : d->clamp_low + shift,
                                      .hi = whole ? 255 : d->clamp_high + shift};
  op->epilogue.table = shift ? flip : NULL;
  return QINT8_OK;
}

/* Outputs along one dimension of `in` values, padding included; 0 if the kernel does not fit. */
static size_t outputs(size_t in, size_t kernel, size_t dilation, size_t stride) {
  size_t reach = (kernel - 1) * dilation + 1;
  return in < reach ? 0 : (in - reach) / stride + 1;
}

static void set_image(const qint8_operator *op, size_t n, size_t h, size_t w, q8_conv_geometry *g) {
  g->n = n;
  g->h = h;
  g->w = w;
  g->p = outputs(h + g->pad_top + op->pad_bottom, g->r, g->dilation_h, g->stride_h);
  g->q = outputs(w + g->pad_left + op->pad_right, g->s, g->dilation_w, g->stride_w);
}

static q8_status build(qint8_operator *op, const qint8_conv_desc *d, qint8_error *error) {
  q8_cpu_mask mask;
  const char *name;
  Q8_TRY(q8_choose_isa(d->isa, &mask, &name, error));
  q8_kernels_select(mask, &op->kernels);
  op->x_flip = d->x.dtype == QINT8_DTYPE_S8;
  op->x_zero = d->x.zero_point + (op->x_flip ? 128 : 0);
  op->pad_bottom = (size_t)d->pad_bottom;
  op->pad_right = (size_t)d->pad_right;
  q8_conv_geometry g = {.c = (size_t)d->c,
                        .k = (size_t)d->k,
                        .groups = (size_t)d->groups,
                        .r = (size_t)d->r,
                        .s = (size_t)d->s,
                        .stride_h = (size_t)d->stride_h,
                        .stride_w = (size_t)d->stride_w,
                        .dilation_h = (size_t)d->dilation_h,
                        .dilation_w = (size_t)d->dilation_w,
                        .pad_top = (size_t)d->pad_top,
                        .pad_left = (size_t)d->pad_left};
  set_image(op, 1, (g.r - 1) * g.dilation_h + 1, (g.s - 1) * g.dilation_w + 1, &g);
  Q8_TRY(q8_conv_pack(&op->kernels, &g, d->weights, 1, &op->pool, &op->conv, error));
  op->conv.exact_x = !op->x_flip; /* the flipped copy has bytes behind it, the caller's memory may not */
  return make_epilogue(op, d, error);
}

static q8_status create(const qint8_conv_desc *d, int is_gemm, const qint8_host *host, qint8_operator **out,
                        qint8_error *error) {
  q8_status status;
  Q8_TRY(check_sizes(d, error));
  Q8_TRY(check(d, error));
  qint8_operator *op = q8_api_new(host, sizeof *op, "operator", &status, error);
  if (!op)
    return status;
  op->is_gemm = is_gemm;
  status = build(op, d, error);
  if (status != QINT8_OK) {
    qint8_operator_destroy(op);
    return status;
  }
  *out = op;
  return QINT8_OK;
}

qint8_status qint8_gemm_create(const qint8_gemm_desc *desc, const qint8_host *host, qint8_operator **out,
                               qint8_error *error) {
  Q8_REQUIRE(error, out);
  *out = NULL;
  Q8_REQUIRE(error, desc);
  Q8_REQUIRE_SIZE(error, desc);
  Q8_TRY(check_size("n", desc->n, 1, error));
  Q8_TRY(check_size("k", desc->k, 1, error));
  qint8_conv_desc d = {.c = desc->k,
                       .k = desc->n,
                       .groups = 1,
                       .r = 1,
                       .s = 1,
                       .stride_h = 1,
                       .stride_w = 1,
                       .dilation_h = 1,
                       .dilation_w = 1,
                       .weights = desc->weights,
                       .w_scale = desc->w_scale,
                       .w_scale_count = desc->w_scale_count,
                       .bias = desc->bias,
                       .x = desc->x,
                       .y = desc->y,
                       .clamp_low = desc->clamp_low,
                       .clamp_high = desc->clamp_high,
                       .isa = desc->isa};
  return create(&d, 1, host, out, error);
}

qint8_status qint8_conv_create(const qint8_conv_desc *desc, const qint8_host *host, qint8_operator **out,
                               qint8_error *error) {
  Q8_REQUIRE(error, out);
  *out = NULL;
  Q8_REQUIRE(error, desc);
  Q8_REQUIRE_SIZE(error, desc);
  return create(desc, 0, host, out, error);
}

void qint8_operator_destroy(qint8_operator *op) {
  q8_pool_delete(op);
}

/* The convolution for one input size. */
static q8_status resize(const qint8_operator *op, int64_t batch, int64_t height, int64_t width, q8_conv *out,
                        qint8_error *error) {
  q8_conv_geometry g = op->conv.g;
  if (op->is_gemm)
    height = width = 1;
  Q8_TRY(check_size("batch", batch, 1, error));
  Q8_TRY(check_size("height", height, 1, error));
  Q8_TRY(check_size("width", width, 1, error));
  set_image(op, (size_t)batch, (size_t)height, (size_t)width, &g);
  if (!g.p || !g.q)
    return q8_fail(error, QINT8_ERROR_SHAPE, "conv", "a %lld x %lld image is smaller than the kernel's reach",
                   (long long)height, (long long)width);
  size_t in, result;
  if (!q8_mul(g.n * g.h, g.w * g.c, &in) || !q8_mul(g.n * g.p, g.q * g.k, &result) || in > SIZE_MAX / 16 ||
      result > SIZE_MAX / 16)
    return q8_fail(error, QINT8_ERROR_LIMIT, "conv", "the input or output is too large");
  q8_conv_resize(&op->conv, &g, out);
  return QINT8_OK;
}

static size_t flipped_size(const qint8_operator *op, const q8_conv_geometry *g) {
  return op->x_flip ? q8_round_up(g->n * g->h * g->w * g->c + 64, Q8_ALIGN) : 0;
}

qint8_status qint8_operator_scratch_size(const qint8_operator *op, int64_t batch, int64_t height, int64_t width,
                                         size_t *size, qint8_error *error) {
  Q8_REQUIRE(error, size);
  *size = 0;
  Q8_REQUIRE(error, op);
  q8_conv conv;
  Q8_TRY(resize(op, batch, height, width, &conv, error));
  *size = flipped_size(op, &conv.g) + q8_conv_scratch(&conv, op->pool.host.threads);
  return QINT8_OK;
}

qint8_status qint8_operator_run(const qint8_operator *op, int64_t batch, int64_t height, int64_t width, const void *x,
                                void *y, void *scratch, size_t scratch_size, qint8_error *error) {
  Q8_REQUIRE(error, op);
  Q8_REQUIRE(error, x);
  Q8_REQUIRE(error, y);
  q8_conv conv;
  Q8_TRY(resize(op, batch, height, width, &conv, error));
  size_t head = flipped_size(op, &conv.g), needed = head + q8_conv_scratch(&conv, op->pool.host.threads);
  if (needed && (!scratch || scratch_size < needed || (uintptr_t)scratch % Q8_ALIGN))
    return q8_fail(error, QINT8_ERROR_ARGUMENT, "scratch", "%zu bytes aligned to %d are needed, got %zu at %p", needed,
                   Q8_ALIGN, scratch_size, scratch);
  if (op->x_flip) {
    uint8_t *copy = scratch;
    const uint8_t *from = x;
    size_t count = conv.g.n * conv.g.h * conv.g.w * conv.g.c;
    for (size_t i = 0; i < count; i++)
      copy[i] = from[i] ^ 0x80;
    x = scratch;
  }
  q8_conv_run(&conv, &op->kernels, x, &op->x_zero, 0, &op->epilogue, y, (uint8_t *)scratch + head, &op->pool.host);
  return QINT8_OK;
}
