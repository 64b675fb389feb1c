/* dnnl.c - oneDNN 2 (Debian libdnnl-dev): matmul and convolution with zero points and output scales per channel. */
#include "bench.h"
#include "peers.h"

#if __has_include(<oneapi/dnnl/dnnl.h>)
#include <oneapi/dnnl/dnnl.h>
#if DNNL_VERSION_MAJOR == 2
#define HAVE_DNNL
#endif
#endif

#ifdef HAVE_DNNL
static dnnl_engine_t engine;
static dnnl_stream_t stream;

typedef struct layer {
  const problem *p;
  dnnl_primitive_t primitive;
  dnnl_memory_t x, w, bias, y;
  int32_t zero[2];
  dnnl_exec_arg_t arguments[6];
  int count;
} layer;

static void ok(dnnl_status_t status, const char *what) {
  if (status != dnnl_success) {
    fprintf(stderr, "oneDNN: %s failed (%d)\n", what, status);
    exit(1);
  }
}

static const char *start(void) {
  if (peers_isa && !strncmp(peers_isa, "avx2", 4))
    setenv("DNNL_MAX_CPU_ISA", "AVX2", 1);
  else if (peers_isa && !strcmp(peers_isa, "avx512bw"))
    setenv("DNNL_MAX_CPU_ISA", "AVX512_CORE", 1);
  ok(dnnl_engine_create(&engine, dnnl_cpu, 0), "engine");
  ok(dnnl_stream_create(&stream, engine, dnnl_stream_default_flags), "stream");
  return NULL;
}

static dnnl_memory_desc_t describe(int count, const dnnl_dim_t *dims, dnnl_data_type_t type, dnnl_format_tag_t tag) {
  dnnl_memory_desc_t md;
  ok(dnnl_memory_desc_init_by_tag(&md, count, dims, type, tag), "memory descriptor");
  return md;
}

static dnnl_primitive_attr_t attributes(const problem *p) {
  dnnl_primitive_attr_t attr;
  ok(dnnl_primitive_attr_create(&attr), "attributes");
  if (p->fp32)
    return attr;
  size_t k = p->shape->g.k;
  float *scale = malloc(k * sizeof *scale);
  for (size_t i = 0; i < k; i++)
    scale[i] = p->x_scale * p->w_scale[i] / p->y_scale;
  ok(dnnl_primitive_attr_set_output_scales(attr, (dnnl_dim_t)k, 1 << 1, scale), "output scales");
  ok(dnnl_primitive_attr_set_zero_points(attr, DNNL_ARG_SRC, 1, 0, &p->x_zero), "source zero point");
  ok(dnnl_primitive_attr_set_zero_points(attr, DNNL_ARG_DST, 1, 0, &p->y_zero), "destination zero point");
  free(scale);
  return attr;
}

static int describe_primitive(const problem *p, dnnl_primitive_attr_t attr, dnnl_memory_desc_t *weights,
                              dnnl_primitive_desc_t *out) {
  const q8_conv_geometry *g = &p->shape->g;
  const dnnl_data_type_t a = p->fp32 ? dnnl_f32 : dnnl_u8, b = p->fp32 ? dnnl_f32 : dnnl_s8,
                         c = p->fp32 ? dnnl_f32 : dnnl_s32;
  const dnnl_dim_t n = (dnnl_dim_t)g->n, k = (dnnl_dim_t)g->k, ch = (dnnl_dim_t)g->c, r = (dnnl_dim_t)g->r,
                   s = (dnnl_dim_t)g->s, groups = (dnnl_dim_t)g->groups;
  if (g->h == 1 && g->w == 1) {
    dnnl_memory_desc_t x = describe(2, (dnnl_dims_t){n, ch}, a, dnnl_ab),
                       w = describe(2, (dnnl_dims_t){ch, k}, b, dnnl_format_tag_any),
                       bias = describe(2, (dnnl_dims_t){1, k}, c, dnnl_ab),
                       y = describe(2, (dnnl_dims_t){n, k}, a, dnnl_ab);
    *weights = describe(2, (dnnl_dims_t){ch, k}, b, dnnl_ba);
    dnnl_matmul_desc_t desc;
    ok(dnnl_matmul_desc_init(&desc, &x, &w, &bias, &y), "matmul descriptor");
    return dnnl_primitive_desc_create(out, &desc, attr, engine, NULL) == dnnl_success;
  }
  dnnl_memory_desc_t x = describe(4, (dnnl_dims_t){n, ch, (dnnl_dim_t)g->h, (dnnl_dim_t)g->w}, a, dnnl_nhwc),
                     bias = describe(1, (dnnl_dims_t){k}, c, dnnl_a),
                     y = describe(4, (dnnl_dims_t){n, k, (dnnl_dim_t)g->p, (dnnl_dim_t)g->q}, a, dnnl_nhwc), w;
  if (groups == 1) {
    w = describe(4, (dnnl_dims_t){k, ch, r, s}, b, dnnl_format_tag_any);
    *weights = describe(4, (dnnl_dims_t){k, ch, r, s}, b, dnnl_ohwi);
  } else {
    w = describe(5, (dnnl_dims_t){groups, k / groups, ch / groups, r, s}, b, dnnl_format_tag_any);
    *weights = describe(5, (dnnl_dims_t){groups, k / groups, ch / groups, r, s}, b, dnnl_goihw);
  }
  const dnnl_dims_t strides = {(dnnl_dim_t)g->stride_h, (dnnl_dim_t)g->stride_w},
                   before = {(dnnl_dim_t)g->pad_top, (dnnl_dim_t)g->pad_left},
                   after = {(dnnl_dim_t)shape_padding(g->p, g->stride_h, g->r, g->h, g->pad_top),
                            (dnnl_dim_t)shape_padding(g->q, g->stride_w, g->s, g->w, g->pad_left)};
  dnnl_convolution_desc_t desc;
  ok(dnnl_convolution_forward_desc_init(&desc, dnnl_forward_inference, dnnl_convolution_direct, &x, &w, &bias, &y,
                                        strides, before, after),
     "convolution descriptor");
  return dnnl_primitive_desc_create(out, &desc, attr, engine, NULL) == dnnl_success;
}

static dnnl_memory_t memory(const dnnl_memory_desc_t *md, const void *data) {
  dnnl_memory_t m;
  ok(dnnl_memory_create(&m, md, engine, data ? (void *)(uintptr_t)data : DNNL_MEMORY_ALLOCATE), "memory");
  return m;
}

static void reorder_weights(layer *l, const dnnl_memory_desc_t *from, const dnnl_memory_desc_t *to) {
  dnnl_primitive_desc_t pd;
  dnnl_primitive_t reorder;
  dnnl_memory_t plain = memory(from, l->p->fp32 ? (const void *)l->p->fw : l->p->w);
  l->w = memory(to, NULL);
  ok(dnnl_reorder_primitive_desc_create(&pd, from, engine, to, engine, NULL), "reorder descriptor");
  ok(dnnl_primitive_create(&reorder, pd), "reorder");
  ok(dnnl_primitive_execute(reorder, stream, 2,
                            (dnnl_exec_arg_t[]){{DNNL_ARG_FROM, plain}, {DNNL_ARG_TO, l->w}}),
     "reorder");
  ok(dnnl_stream_wait(stream), "wait");
  dnnl_primitive_destroy(reorder);
  dnnl_primitive_desc_destroy(pd);
  dnnl_memory_destroy(plain);
}

static void *open_layer(const problem *p) {
  dnnl_primitive_attr_t attr = attributes(p);
  dnnl_primitive_desc_t pd;
  dnnl_memory_desc_t weights;
  if (!describe_primitive(p, attr, &weights, &pd))
    return NULL;
  layer *l = calloc(1, sizeof *l);
  l->p = p;
  ok(dnnl_primitive_create(&l->primitive, pd), "primitive");
  l->x = memory(dnnl_primitive_desc_query_md(pd, dnnl_query_src_md, 0),
                p->fp32 ? (const void *)p->fx : p->x);
  l->bias = memory(dnnl_primitive_desc_query_md(pd, dnnl_query_weights_md, 1),
                   p->fp32 ? (const void *)p->fbias : p->bias);
  l->y = memory(dnnl_primitive_desc_query_md(pd, dnnl_query_dst_md, 0), NULL);
  reorder_weights(l, &weights, dnnl_primitive_desc_query_md(pd, dnnl_query_weights_md, 0));
  dnnl_primitive_desc_destroy(pd);
  dnnl_primitive_attr_destroy(attr);
  return l;
}

static double run(void *handle, size_t count) {
  layer *l = handle;
  const dnnl_exec_arg_t arguments[] = {
      {DNNL_ARG_SRC, l->x}, {DNNL_ARG_WEIGHTS, l->w}, {DNNL_ARG_BIAS, l->bias}, {DNNL_ARG_DST, l->y}};
  double from = bench_now();
  for (size_t i = 0; i < count; i++)
    dnnl_primitive_execute(l->primitive, stream, 4, arguments);
  dnnl_stream_wait(stream);
  return bench_now() - from;
}

static int result(void *handle, void *y) {
  layer *l = handle;
  void *data;
  ok(dnnl_memory_get_data_handle(l->y, &data), "data");
  memcpy(y, data, l->p->y_count * (l->p->fp32 ? 4 : 1));
  return 1;
}

static void close_layer(void *handle) {
  layer *l = handle;
  dnnl_primitive_destroy(l->primitive);
  dnnl_memory_destroy(l->x);
  dnnl_memory_destroy(l->w);
  dnnl_memory_destroy(l->bias);
  dnnl_memory_destroy(l->y);
  free(l);
}

static void stop(void) {
  dnnl_stream_destroy(stream);
  dnnl_engine_destroy(engine);
}

const peer peer_dnnl = {"oneDNN", start, open_layer, run, NULL, result, close_layer, stop};
#else
static const char *start(void) {
  return "built without oneDNN 2 (Debian: libdnnl-dev)";
}
const peer peer_dnnl = {"oneDNN", start, NULL, NULL, NULL, NULL, NULL, NULL};
#endif
