/* ort_model.c - see ort_model.h. */
#include "ort_model.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "onnx/proto.h"
#include "onnx/wire.h"

static int is_matrix(const problem *p) {
  return p->shape->g.h == 1 && p->shape->g.w == 1;
}

int ort_model_is_planar(const problem *p) {
  return p->fp32 && !is_matrix(p);
}

size_t ort_model_dims(const problem *p, size_t x[4], size_t y[4]) {
  const q8_conv_geometry *g = &p->shape->g;
  if (is_matrix(p)) {
    x[0] = y[0] = g->n, x[1] = g->c, y[1] = g->k;
    return 2;
  }
  const int planar = ort_model_is_planar(p);
  x[0] = y[0] = g->n;
  x[planar ? 1 : 3] = g->c, y[planar ? 1 : 3] = g->k;
  x[planar ? 2 : 1] = g->h, y[planar ? 2 : 1] = g->p;
  x[planar ? 3 : 2] = g->w, y[planar ? 3 : 2] = g->q;
  return 4;
}

static void initializer(q8_writer *out, const char *name, int type, size_t rank, const size_t *dims, const void *data,
                        size_t size) {
  size_t mark = q8_write_begin(out, Q8_GRAPH_INITIALIZER);
  for (size_t i = 0; i < rank; i++)
    q8_write_varint(out, Q8_TENSOR_DIMS, dims[i]);
  q8_write_varint(out, Q8_TENSOR_TYPE, (uint64_t)type);
  q8_write_string(out, Q8_TENSOR_NAME, name);
  q8_write_bytes(out, Q8_TENSOR_RAW, data, size);
  q8_write_end(out, mark);
}

static void value_info(q8_writer *out, uint32_t field, const char *name, int type, size_t rank, const size_t *dims) {
  size_t info = q8_write_begin(out, field);
  q8_write_string(out, Q8_INFO_NAME, name);
  size_t outer = q8_write_begin(out, Q8_INFO_TYPE), tensor = q8_write_begin(out, Q8_VALUE_TENSOR);
  q8_write_varint(out, Q8_TENSOR_TYPE_ELEMENT, (uint64_t)type);
  size_t shape_mark = q8_write_begin(out, Q8_TENSOR_TYPE_SHAPE);
  for (size_t i = 0; i < rank; i++) {
    size_t dim = q8_write_begin(out, Q8_SHAPE_DIM);
    q8_write_varint(out, Q8_DIM_VALUE, dims[i]);
    q8_write_end(out, dim);
  }
  q8_write_end(out, shape_mark);
  q8_write_end(out, tensor);
  q8_write_end(out, outer);
  q8_write_end(out, info);
}

static void ints(q8_writer *out, const char *name, size_t count, const size_t *values) {
  size_t mark = q8_write_begin(out, Q8_NODE_ATTRIBUTE);
  q8_write_string(out, Q8_ATTRIBUTE_NAME, name);
  for (size_t i = 0; i < count; i++)
    q8_write_varint(out, Q8_ATTRIBUTE_INTS, values[i]);
  q8_write_varint(out, Q8_ATTRIBUTE_TYPE, Q8_TYPE_INTS);
  q8_write_end(out, mark);
}

static void integer(q8_writer *out, const char *name, size_t value) {
  size_t mark = q8_write_begin(out, Q8_NODE_ATTRIBUTE);
  q8_write_string(out, Q8_ATTRIBUTE_NAME, name);
  q8_write_varint(out, Q8_ATTRIBUTE_I, value);
  q8_write_varint(out, Q8_ATTRIBUTE_TYPE, Q8_TYPE_INT);
  q8_write_end(out, mark);
}

static void node(q8_writer *out, const problem *p) {
  static const char *const gemm[] = {"x", "xs", "xz", "w", "ws", "wz", "ys", "yz"};
  static const char *const conv[] = {"x", "xs", "xz", "w", "ws", "wz", "ys", "yz", "b"};
  static const char *const fp32[] = {"x", "w", "b"};
  const q8_conv_geometry *g = &p->shape->g;
  const char *const *inputs = p->fp32 ? fp32 : is_matrix(p) ? gemm : conv;
  size_t mark = q8_write_begin(out, Q8_GRAPH_NODE);
  for (size_t i = 0; i < (p->fp32 ? 3u : is_matrix(p) ? 8u : 9u); i++)
    q8_write_string(out, Q8_NODE_INPUT, inputs[i]);
  q8_write_string(out, Q8_NODE_OUTPUT, "y");
  if (is_matrix(p)) {
    q8_write_string(out, Q8_NODE_OP, p->fp32 ? "Gemm" : "QLinearMatMul");
  } else {
    q8_write_string(out, Q8_NODE_OP, p->fp32 ? "Conv" : "QLinearConv");
    ints(out, "kernel_shape", 2, (const size_t[]){g->r, g->s});
    ints(out, "strides", 2, (const size_t[]){g->stride_h, g->stride_w});
    ints(out, "pads", 4,
         (const size_t[]){g->pad_top, g->pad_left,
                          shape_padding(g->p, g->stride_h, g->r, g->h, g->pad_top),
                          shape_padding(g->q, g->stride_w, g->s, g->w, g->pad_left)});
    integer(out, "group", g->groups);
    if (!p->fp32)
      integer(out, "channels_last", 1);
  }
  if (!p->fp32 && !is_matrix(p))
    q8_write_string(out, Q8_NODE_DOMAIN, "com.microsoft");
  q8_write_end(out, mark);
}

/* Weights in ONNX's order: [k][c][r][s] of a convolution, [c][k] of a matrix. */
static void weights(q8_writer *out, const problem *p) {
  const q8_conv_geometry *g = &p->shape->g;
  const size_t c = g->c / g->groups, taps = g->r * g->s, element = p->fp32 ? 4 : 1;
  const uint8_t *w = p->fp32 ? (const uint8_t *)p->fw : (const uint8_t *)p->w;
  uint8_t *turned = malloc(p->w_count * element);
  for (size_t i = 0; i < p->w_count; i++) {
    size_t k = i / (taps * c), t = i / c % taps, ch = i % c;
    size_t to = is_matrix(p) ? ch * g->k + k : (k * c + ch) * taps + t;
    memcpy(turned + to * element, w + i * element, element);
  }
  const size_t filter[] = {g->k, c, g->r, g->s}, matrix[] = {c, g->k};
  initializer(out, "w", p->fp32 ? 1 : 3, is_matrix(p) ? 2 : 4, is_matrix(p) ? matrix : filter, turned,
              p->w_count * element);
  free(turned);
}

static void initializers(q8_writer *out, const problem *p) {
  const size_t k = p->shape->g.k;
  weights(out, p);
  if (p->fp32 || !is_matrix(p))
    initializer(out, "b", p->fp32 ? 1 : 6, 1, &k, p->fp32 ? (const void *)p->fbias : p->bias, k * 4);
  if (p->fp32)
    return;
  const uint8_t x_zero = (uint8_t)p->x_zero, y_zero = (uint8_t)p->y_zero;
  int8_t *zeros = calloc(k, 1);
  initializer(out, "xs", 1, 0, NULL, &p->x_scale, 4);
  initializer(out, "ys", 1, 0, NULL, &p->y_scale, 4);
  initializer(out, "xz", 2, 0, NULL, &x_zero, 1);
  initializer(out, "yz", 2, 0, NULL, &y_zero, 1);
  initializer(out, "ws", 1, 1, &k, p->w_scale, k * 4);
  initializer(out, "wz", 3, 1, &k, zeros, k);
  free(zeros);
}

static void opset(q8_writer *out, const char *domain, uint64_t version) {
  size_t mark = q8_write_begin(out, Q8_MODEL_OPSET);
  q8_write_string(out, Q8_OPSET_DOMAIN, domain);
  q8_write_varint(out, Q8_OPSET_VERSION, version);
  q8_write_end(out, mark);
}

int ort_model_write(const problem *p, const char *path) {
  q8_host host;
  q8_writer out;
  size_t x[4], y[4], rank = ort_model_dims(p, x, y);
  const int type = p->fp32 ? 1 : 2;
  q8_host_init(&host, NULL, NULL);
  q8_writer_init(&out, &host);
  q8_write_varint(&out, Q8_MODEL_IR_VERSION, 8);
  size_t graph = q8_write_begin(&out, Q8_MODEL_GRAPH);
  node(&out, p);
  q8_write_string(&out, Q8_GRAPH_NAME, "layer");
  initializers(&out, p);
  value_info(&out, Q8_GRAPH_INPUT, "x", type, rank, x);
  value_info(&out, Q8_GRAPH_OUTPUT, "y", type, rank, y);
  q8_write_end(&out, graph);
  opset(&out, "", 13);
  opset(&out, "com.microsoft", 1);
  FILE *file = fopen(path, "wb");
  int done = file && !out.failed && fwrite(out.bytes, 1, out.size, file) == out.size;
  if (file && fclose(file) != 0)
    done = 0;
  q8_writer_free(&out);
  return done;
}
