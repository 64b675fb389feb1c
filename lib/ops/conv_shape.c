/* conv_shape.c - shapes and reference of Conv and ConvTranspose. */
#include "ops/conv_nd.h"

static q8_status find_conv(const q8_op_io *io, const q8_conv_params *p, const q8_shape *x, const q8_shape *w,
                           int transposed, q8_conv_nd *out) {
  int32_t dims = x->rank - 2;
  if (x->rank != w->rank || dims < 1)
    return q8_op_fail(io, QINT8_ERROR_SHAPE, "input %p and weight %p: expected rank 3 to 5 for 1-D to 3-D convolution", x,
                      w);
  int64_t in = transposed ? w->dim[0] : w->dim[1] * p->group, outputs = transposed ? w->dim[1] * p->group : w->dim[0];
  if (p->group < 1 || p->group > outputs || x->dim[1] != in || x->dim[1] % p->group || outputs % p->group ||
      x->dim[1] < 1)
    return q8_op_fail(io, QINT8_ERROR_SHAPE, "input %p, weight %p and %lld groups do not fit", x, w,
                      (long long)p->group);
  *out = (q8_conv_nd){.n = (size_t)x->dim[0], .c = (size_t)in, .k = (size_t)outputs, .groups = (size_t)p->group,
                      .dims = dims};
  return q8_spatial_of(io, &p->spatial, x, w, transposed, out->e);
}

q8_status q8_conv_nd_of(const q8_op_io *io, const q8_conv_params *p, const q8_shape *x, const q8_shape *w,
                        q8_conv_nd *out) {
  return find_conv(io, p, x, w, 0, out);
}

q8_status q8_conv_of_floats(const q8_op_io *io, int transposed, q8_conv_nd *c) {
  const q8_value *bias = q8_input(io, 2);
  Q8_TRY(find_conv(io, io->node->params, &io->inputs[0]->shape, &io->inputs[1]->shape, transposed, c));
  if (bias && bias->count != c->k)
    return q8_op_fail(io, QINT8_ERROR_SHAPE, "bias %p for %zu output channels", &bias->shape, c->k);
  return QINT8_OK;
}

q8_status q8_conv_infer(const q8_op_io *io, const q8_conv_nd *c, int32_t dtype) {
  q8_shape y = {.dim = {(int64_t)c->n, (int64_t)c->k}};
  q8_spatial_shape(c->e, c->dims, &y);
  return q8_infer_set(io, 0, dtype, &y);
}

size_t q8_conv_positions(const q8_conv_nd *c, int out) {
  return q8_spatial_positions(c->e, out);
}

size_t q8_conv_taps(const q8_conv_nd *c) {
  return (size_t)(c->e[0].kernel * c->e[1].kernel * c->e[2].kernel);
}

void q8_conv_split(const q8_conv_nd *c, int of_output, size_t index, int64_t *at) {
  for (int d = Q8_CONV_DIMS; d-- > 0;) {
    size_t n = (size_t)(of_output ? c->e[d].out : c->e[d].kernel);
    at[d] = (int64_t)(index % n);
    index /= n;
  }
}

int64_t q8_conv_source(const q8_conv_nd *c, const int64_t *at, const int64_t *tap) {
  return q8_conv_find(c, at, tap);
}

int64_t q8_conv_read(const q8_conv_nd *c, size_t position, size_t tap) {
  int64_t at[Q8_CONV_DIMS], t[Q8_CONV_DIMS];
  q8_conv_split(c, 1, position, at);
  q8_conv_split(c, 0, tap, t);
  return q8_conv_source(c, at, t);
}

/* ---- Reference ---- */

typedef struct planes {
  const float *x, *w; /* of the first channel */
  float *y;
  size_t channels, x_step, w_step; /* from one channel to the next */
} planes;

/* Adds the products of all taps: a position of y takes what it reads of x, or is what x is spread over, the other way
 * round. `c` is the convolution from the larger to the smaller plane. */
static void add_products(const q8_conv_nd *c, const planes *p, int transposed) {
  size_t positions = q8_conv_positions(c, 1), taps = q8_conv_taps(c);
  for (size_t t = 0; t < taps; t++)
    for (size_t i = 0; i < positions; i++) {
      int64_t source = q8_conv_read(c, i, t);
      if (source < 0)
        continue;
      const float *x = p->x + (transposed ? (int64_t)i : source);
      float *y = p->y + (transposed ? source : (int64_t)i);
      for (size_t j = 0; j < p->channels; j++)
        *y += x[j * p->x_step] * p->w[j * p->w_step + t];
    }
}

q8_status q8_conv_eval(const q8_op_io *io, int transposed) {
  const q8_conv_params *params = io->node->params;
  const q8_value *bias = q8_input(io, 2);
  q8_conv_nd c;
  Q8_TRY(q8_conv_of_floats(io, transposed, &c));
  size_t in = q8_conv_positions(&c, 0), out = q8_conv_positions(&c, 1), taps = q8_conv_taps(&c);
  size_t channels = c.c / c.groups, outputs = c.k / c.groups;
  planes p = {.y = io->outputs[0].data, .channels = channels, .x_step = in, .w_step = transposed ? outputs * taps : taps};
  for (int d = 0; transposed && d < Q8_CONV_DIMS; d++) {
    int64_t larger = c.e[d].out;
    c.e[d].out = c.e[d].in;
    c.e[d].in = larger;
  }
  for (size_t i = 0; i < c.n * c.k; i++, p.y += out) {
    size_t n = i / c.k, k = i % c.k, first = k / outputs * channels;
    float shift = bias ? ((const float *)bias->data)[k] : 0;
    p.x = (const float *)io->inputs[0]->data + (n * c.c + first) * in;
    p.w = (const float *)io->inputs[1]->data + (transposed ? first * outputs + k % outputs : k * channels) * taps;
    for (size_t j = 0; j < out; j++)
      p.y[j] = 0;
    add_products(&c, &p, transposed);
    for (size_t j = 0; j < out; j++) {
      float v = p.y[j] + shift;
      v = v < params->activation_lo ? params->activation_lo : v;
      p.y[j] = v > params->activation_hi ? params->activation_hi : v;
    }
  }
  return QINT8_OK;
}
