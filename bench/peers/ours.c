/* ours.c - this library among its peers: lib/nn as plans call it. */
#include "base/cpu.h"
#include "bench.h"
#include "peers.h"

typedef struct layer {
  const problem *p;
  q8_conv conv;
  q8_kernels kernels;
  q8_host host;
  q8_pool pool;
  q8_epilogue epilogue;
  void *y, *scratch;
} layer;

const char *peers_isa;

q8_cpu_mask peers_mask(void) {
  return peers_isa ? q8_isa_find(peers_isa)->needs : q8_cpu_detect();
}

static const char *start(void) {
  return NULL;
}

static void *array(q8_pool *pool, size_t count, size_t size) {
  void *memory = q8_pool_alloc(pool, count + 64, size);
  if (!memory)
    exit(1);
  return memory;
}

static void *open_layer(const problem *p) {
  layer *l = calloc(1, sizeof *l);
  const q8_conv_geometry *g = &p->shape->g;
  l->p = p;
  q8_host_init(&l->host, NULL, NULL);
  q8_pool_init(&l->pool, &l->host);
  q8_kernels_select(peers_mask(), &l->kernels);
  q8_status status = p->fp32 ? q8_conv_pack_float(&l->kernels, g, p->fw, &l->pool, &l->conv, NULL)
                             : q8_conv_pack(&l->kernels, g, p->w, 1, &l->pool, &l->conv, NULL);
  if (status != QINT8_OK)
    exit(1);
  l->y = array(&l->pool, p->y_count, p->fp32 ? 4 : 1);
  l->scratch = array(&l->pool, q8_conv_scratch(&l->conv, 1), 1);
  if (p->fp32) {
    l->epilogue =
        (q8_epilogue){.kind = Q8_EPILOGUE_FLOAT, .bias = p->fbias, .lo = -3.4e38f, .hi = 3.4e38f};
    return l;
  }
  int32_t *offset = array(&l->pool, g->k, 4);
  float *scale = array(&l->pool, g->k, 4);
  q8_conv_fold_bias(&l->conv, p->bias, p->x_zero, offset);
  for (size_t k = 0; k < g->k; k++)
    scale[k] = p->x_scale * p->w_scale[k] / p->y_scale;
  l->epilogue = (q8_epilogue){.kind = Q8_EPILOGUE_REQUANT,
                              .requant = {offset, scale, p->y_zero, 0, 255}};
  return l;
}

static double run(void *handle, size_t count) {
  layer *l = handle;
  double from = bench_now();
  for (size_t i = 0; i < count; i++)
    q8_conv_run(&l->conv, &l->kernels, l->p->fp32 ? (const void *)l->p->fx : l->p->x, &l->p->x_zero, 0, &l->epilogue,
                l->y, l->scratch, &l->host);
  return bench_now() - from;
}

static int result(void *handle, void *y) {
  layer *l = handle;
  memcpy(y, l->y, l->p->y_count * (l->p->fp32 ? 4 : 1));
  return 1;
}

static void close_layer(void *handle) {
  q8_pool_destroy(&((layer *)handle)->pool);
  free(handle);
}

static void stop(void) {
}

const peer peer_ours = {"libqint8", start, open_layer, run, NULL, result, close_layer, stop};
