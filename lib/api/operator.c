/* operator.c - GEMM and convolution with packed weights: both are a convolution inside, a matrix is M images of one
 * pixel. */
#include <math.h>
#include <string.h>

#include "api/api.h"
#include "nn/conv.h"
#include "quant/quantize.h"

#define MAX_SIZE ((int64_t)1 << 24) /* of any one dimension, stride, dilation or padding */

struct qint8_operator {
  q8_host host;
  q8_pool pool;
  q8_kernels kernels;
  q8_conv conv; /* for the smallest image; runs resize it */
  q8_epilogue epilogue;
  int32_t x_zero;        /* stored form */
  int32_t x_flip;        /* s8 input: copied with the top bit flipped */
  int32_t pad_bottom, pad_right, is_gemm;
};

/* The two descriptions in one. */
typedef struct description {
  q8_conv_geometry g; /* of the smallest image */
  int64_t pad_bottom, pad_right;
  const int8_t *weights;
  const float *w_scale;
  int64_t w_scale_count;
  const int32_t *bias;
  qint8_qparams x, y;
  int32_t clamp_low, clamp_high;
  const char *isa;
  int32_t is_gemm;
} description;

static q8_status check_size(const char *name, int64_t value, int64_t least, qint8_error *error) {
  if (value < least || value > MAX_SIZE)
    return q8_fail(error, QINT8_ERROR_ARGUMENT, name, "%lld is outside %lld to %lld", (long long)value,
                   (long long)least, (long long)MAX_SIZE);
  return QINT8_OK;
}

static q8_status check_description(const description *d, qint8_error *error) {
  int64_t low = d->y.dtype == QINT8_DTYPE_S8 ? -128 : 0;
  Q8_TRY(q8_check_qparams(&d->x, 0, error));
  Q8_TRY(q8_check_qparams(&d->y, 0, error));
  if (!d->weights || !d->w_scale)
    return q8_fail(error, QINT8_ERROR_ARGUMENT, d->weights ? "w_scale" : "weights", "NULL");
  if (d->w_scale_count != 1 && d->w_scale_count != (int64_t)d->g.k)
    return q8_fail(error, QINT8_ERROR_ARGUMENT, "w_scale_count", "%lld scales for %zu output channels",
                   (long long)d->w_scale_count, d->g.k);
  if (d->clamp_low < low || d->clamp_high > low + 255 || d->clamp_low > d->clamp_high)
    return q8_fail(error, QINT8_ERROR_ARGUMENT, "clamp", "[%d, %d] is not a range inside [%lld, %lld]",
                   (int)d->clamp_low, (int)d->clamp_high, (long long)low, (long long)low + 255);
  if (d->g.r * d->g.s * (d->g.c / d->g.groups) > Q8_MAX_DOT)
    return q8_fail(error, QINT8_ERROR_LIMIT, "weights", "%zu products per output, at most %d fit the accumulator",
                   d->g.r * d->g.s * (d->g.c / d->g.groups), Q8_MAX_DOT);
  return QINT8_OK;
}

static q8_status make_epilogue(qint8_operator *op, const description *d, qint8_error *error) {
  size_t k = d->g.k;
  int32_t shift = d->y.dtype == QINT8_DTYPE_S8 ? 128 : 0;
  int whole = d->clamp_low == 0 && d->clamp_high == 0;
  int32_t *bias = q8_pool_alloc(&op->pool, k + 64, sizeof *bias);
  float *scale = q8_pool_alloc(&op->pool, k + 64, sizeof *scale);
  uint8_t *flip = q8_pool_alloc(&op->pool, 256, 1);
  if (!bias || !scale || !flip)
    return q8_fail_memory(error, "operator", k * 8);
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
                                      .hi = whole ? 255 : d->clamp_high + shift,
                                      .table = shift ? flip : NULL};
  return QINT8_OK;
}

static q8_status build(qint8_operator *op, const description *d, qint8_error *error) {
  q8_cpu_mask mask;
  const char *name;
  Q8_TRY(q8_choose_isa(d->isa, &mask, &name, error));
  q8_kernels_select(mask, &op->kernels);
  op->x_flip = d->x.dtype == QINT8_DTYPE_S8;
  op->x_zero = d->x.zero_point + (op->x_flip ? 128 : 0);
  op->pad_bottom = (int32_t)d->pad_bottom;
  op->pad_right = (int32_t)d->pad_right;
  op->is_gemm = d->is_gemm;
  Q8_TRY(q8_conv_pack(&op->kernels, &d->g, d->weights, 1, &op->pool, &op->conv, error));
  op->conv.exact_x = !op->x_flip; /* the flipped copy has bytes behind it, the caller's memory may not */
  return make_epilogue(op, d, error);
}

static q8_status create(const description *d, const qint8_host *host, qint8_operator **out, qint8_error *error) {
  Q8_TRY(check_description(d, error));
  q8_host inner;
  Q8_TRY(q8_host_init(&inner, host, error));
  qint8_operator *op = q8_calloc(&inner, 1, sizeof *op);
  if (!op)
    return q8_fail_memory(error, "operator", sizeof *op);
  op->host = inner;
  q8_pool_init(&op->pool, &inner);
  q8_status status = build(op, d, error);
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
  description d = {.g = {.n = 1, .h = 1, .w = 1, .c = (size_t)desc->k, .k = (size_t)desc->n, .groups = 1, .r = 1,
                         .s = 1, .stride_h = 1, .stride_w = 1, .dilation_h = 1, .dilation_w = 1, .p = 1, .q = 1},
                   .weights = desc->weights,
                   .w_scale = desc->w_scale,
                   .w_scale_count = desc->w_scale_count,
                   .bias = desc->bias,
                   .x = desc->x,
                   .y = desc->y,
                   .clamp_low = desc->clamp_low,
                   .clamp_high = desc->clamp_high,
                   .isa = desc->isa,
                   .is_gemm = 1};
  return create(&d, host, out, error);
}

static q8_status check_conv(const qint8_conv_desc *desc, qint8_error *error) {
  const struct {
    const char *name;
    int64_t value, least;
  } sizes[] = {{"c", desc->c, 1}, {"k", desc->k, 1}, {"groups", desc->groups, 1}, {"r", desc->r, 1}, {"s", desc->s, 1},
               {"stride_h", desc->stride_h, 1}, {"stride_w", desc->stride_w, 1}, {"dilation_h", desc->dilation_h, 1},
               {"dilation_w", desc->dilation_w, 1}, {"pad_top", desc->pad_top, 0}, {"pad_left", desc->pad_left, 0},
               {"pad_bottom", desc->pad_bottom, 0}, {"pad_right", desc->pad_right, 0}};
  for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++)
    Q8_TRY(check_size(sizes[i].name, sizes[i].value, sizes[i].least, error));
  if (desc->c % desc->groups || desc->k % desc->groups)
    return q8_fail(error, QINT8_ERROR_ARGUMENT, "groups", "%lld groups do not divide %lld and %lld channels",
                   (long long)desc->groups, (long long)desc->c, (long long)desc->k);
  if ((desc->r - 1) * desc->dilation_h >= MAX_SIZE || (desc->s - 1) * desc->dilation_w >= MAX_SIZE)
    return q8_fail(error, QINT8_ERROR_LIMIT, "dilation", "the kernel reaches over more than %lld pixels",
                   (long long)MAX_SIZE);
  return QINT8_OK;
}

/* Sizes of one dimension: the output, or 0 if the kernel does not fit. */
static int64_t output_size(int64_t in, int64_t pads, int64_t kernel, int64_t dilation, int64_t stride) {
  int64_t room = in + pads - ((kernel - 1) * dilation + 1);
  return room < 0 ? 0 : room / stride + 1;
}

qint8_status qint8_conv_create(const qint8_conv_desc *desc, const qint8_host *host, qint8_operator **out,
                               qint8_error *error) {
  Q8_REQUIRE(error, out);
  *out = NULL;
  Q8_REQUIRE(error, desc);
  Q8_REQUIRE_SIZE(error, desc);
  Q8_TRY(check_conv(desc, error));
  int64_t h = (desc->r - 1) * desc->dilation_h + 1, w = (desc->s - 1) * desc->dilation_w + 1;
  description d = {
      .g = {.n = 1,
            .h = (size_t)h,
            .w = (size_t)w,
            .c = (size_t)desc->c,
            .k = (size_t)desc->k,
            .groups = (size_t)desc->groups,
            .r = (size_t)desc->r,
            .s = (size_t)desc->s,
            .stride_h = (size_t)desc->stride_h,
            .stride_w = (size_t)desc->stride_w,
            .dilation_h = (size_t)desc->dilation_h,
            .dilation_w = (size_t)desc->dilation_w,
            .pad_top = (size_t)desc->pad_top,
            .pad_left = (size_t)desc->pad_left,
            .p = (size_t)output_size(h, desc->pad_top + desc->pad_bottom, desc->r, desc->dilation_h, desc->stride_h),
            .q = (size_t)output_size(w, desc->pad_left + desc->pad_right, desc->s, desc->dilation_w, desc->stride_w)},
      .pad_bottom = desc->pad_bottom,
      .pad_right = desc->pad_right,
      .weights = desc->weights,
      .w_scale = desc->w_scale,
      .w_scale_count = desc->w_scale_count,
      .bias = desc->bias,
      .x = desc->x,
      .y = desc->y,
      .clamp_low = desc->clamp_low,
      .clamp_high = desc->clamp_high,
      .isa = desc->isa};
  return create(&d, host, out, error);
}

void qint8_operator_destroy(qint8_operator *op) {
  if (!op)
    return;
  q8_pool_destroy(&op->pool);
  q8_free(&op->host, op);
}

/* The convolution for one input size. */
static q8_status resize(const qint8_operator *op, int64_t batch, int64_t height, int64_t width, q8_conv *out,
                        qint8_error *error) {
  q8_conv_geometry g = op->conv.g;
  Q8_TRY(check_size("batch", batch, 1, error));
  g.n = (size_t)batch;
  if (!op->is_gemm) {
    Q8_TRY(check_size("height", height, 1, error));
    Q8_TRY(check_size("width", width, 1, error));
    g.h = (size_t)height;
    g.w = (size_t)width;
    g.p = (size_t)output_size(height, (int64_t)g.pad_top + op->pad_bottom, (int64_t)g.r, (int64_t)g.dilation_h,
                              (int64_t)g.stride_h);
    g.q = (size_t)output_size(width, (int64_t)g.pad_left + op->pad_right, (int64_t)g.s, (int64_t)g.dilation_w,
                              (int64_t)g.stride_w);
    if (!g.p || !g.q)
      return q8_fail(error, QINT8_ERROR_SHAPE, "conv", "a %lld x %lld image is smaller than the kernel's reach",
                     (long long)height, (long long)width);
  }
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
  *size = flipped_size(op, &conv.g) + q8_conv_scratch(&conv, op->host.threads);
  return QINT8_OK;
}

qint8_status qint8_operator_run(const qint8_operator *op, int64_t batch, int64_t height, int64_t width, const void *x,
                                void *y, void *scratch, size_t scratch_size, qint8_error *error) {
  Q8_REQUIRE(error, op);
  Q8_REQUIRE(error, x);
  Q8_REQUIRE(error, y);
  q8_conv conv;
  Q8_TRY(resize(op, batch, height, width, &conv, error));
  size_t head = flipped_size(op, &conv.g), needed = head + q8_conv_scratch(&conv, op->host.threads);
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
  q8_conv_run(&conv, &op->kernels, x, &op->x_zero, 0, &op->epilogue, y, (uint8_t *)scratch + head, &op->host);
  return QINT8_OK;
}
