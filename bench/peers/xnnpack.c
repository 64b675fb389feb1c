/* xnnpack.c - XNNPACK (Debian libxnnpack-dev): its int8 convolution with a scale per channel, which serves matrices
 * too; signed activations, so the bytes come and go with the top bit flipped. */
#include "bench.h"
#include "peers.h"

#if __has_include(<xnnpack.h>) && __has_include(<pthreadpool.h>)
#include <xnnpack.h>

typedef struct layer {
  const problem *p;
  xnn_operator_t op;
  void *x, *y;
} layer;

static const char *start(void) {
  if (peers_isa)
    return "cannot be limited to an ISA";
  return xnn_initialize(NULL) == xnn_status_success ? NULL : "XNNPACK does not support this CPU";
}

static int create(const problem *p, layer *l) {
  const q8_conv_geometry *g = &p->shape->g;
  const uint32_t top = (uint32_t)g->pad_top, left = (uint32_t)g->pad_left,
                 bottom = (uint32_t)shape_padding(g->p, g->stride_h, g->r, g->h, g->pad_top),
                 right = (uint32_t)shape_padding(g->q, g->stride_w, g->s, g->w, g->pad_left);
  if (p->fp32)
    return xnn_create_convolution2d_nhwc_f32(
               top, right, bottom, left, (uint32_t)g->r, (uint32_t)g->s, (uint32_t)g->stride_h, (uint32_t)g->stride_w,
               1, 1, (uint32_t)g->groups, g->c / g->groups, g->k / g->groups, g->c, g->k, p->fw, p->fbias, -3.4e38f,
               3.4e38f, 0, &l->op) == xnn_status_success &&
           xnn_setup_convolution2d_nhwc_f32(l->op, g->n, g->h, g->w, l->x, l->y, NULL) == xnn_status_success;
  return xnn_create_convolution2d_nhwc_qc8(
             top, right, bottom, left, (uint32_t)g->r, (uint32_t)g->s, (uint32_t)g->stride_h, (uint32_t)g->stride_w, 1,
             1, (uint32_t)g->groups, g->c / g->groups, g->k / g->groups, g->c, g->k, (int8_t)(p->x_zero - 128),
             p->x_scale, p->w_scale, p->w, p->bias, (int8_t)(p->y_zero - 128), p->y_scale, -128, 127, 0,
             &l->op) == xnn_status_success &&
         xnn_setup_convolution2d_nhwc_qc8(l->op, g->n, g->h, g->w, l->x, l->y, NULL) == xnn_status_success;
}

static void *open_layer(const problem *p) {
  layer *l = calloc(1, sizeof *l);
  size_t element = p->fp32 ? 4 : 1;
  l->p = p;
  l->x = calloc(p->x_count + 64, element); /* XNNPACK reads up to XNN_EXTRA_BYTES beyond the end */
  l->y = calloc(p->y_count + 64, element);
  if (p->fp32)
    memcpy(l->x, p->fx, p->x_count * 4);
  else
    for (size_t i = 0; i < p->x_count; i++)
      ((uint8_t *)l->x)[i] = p->x[i] ^ 0x80;
  return create(p, l) ? l : NULL;
}

static double run(void *handle, size_t count) {
  layer *l = handle;
  double from = bench_now();
  for (size_t i = 0; i < count; i++)
    xnn_run_operator(l->op, NULL);
  return bench_now() - from;
}

static int result(void *handle, void *y) {
  layer *l = handle;
  memcpy(y, l->y, l->p->y_count * (l->p->fp32 ? 4 : 1));
  for (size_t i = 0; !l->p->fp32 && i < l->p->y_count; i++)
    ((uint8_t *)y)[i] ^= 0x80;
  return 1;
}

static void close_layer(void *handle) {
  layer *l = handle;
  xnn_delete_operator(l->op);
  free(l->x);
  free(l->y);
  free(l);
}

static void stop(void) {
  xnn_deinitialize();
}

const peer peer_xnnpack = {"XNNPACK", start, open_layer, run, NULL, result, close_layer, stop};
#else
static const char *start(void) {
  return "built without XNNPACK (Debian: libxnnpack-dev, libpthreadpool-dev)";
}
const peer peer_xnnpack = {"XNNPACK", start, NULL, NULL, NULL, NULL, NULL, NULL};
#endif
