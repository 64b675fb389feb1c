/* nn.h - what the tests of lib/nn share: random convolutions, kernel masks, a host that runs tasks backwards.
 *
 * A matrix product is a convolution of M images of one pixel, so that one generator serves both. */
#ifndef Q8_TEST_NN_H
#define Q8_TEST_NN_H

#include <stdlib.h>
#include <string.h>

#include "base/cpu.h"
#include "nn/conv.h"
#include "reference.h"
#include "test.h"

/* ---- Kernels and threads ---- */

#define NN_MAX_MASKS 16

/* Masks from everything this CPU has down to none, which is scalar; how many. */
static inline size_t nn_masks(q8_cpu_mask *out) {
  q8_cpu_mask detected = q8_cpu_detect();
  size_t count = 0;
  out[count++] = detected;
  for (size_t i = 0; i < q8_isa_count && count < NN_MAX_MASKS; i++) {
    const q8_isa *isa = q8_isa_list[i];
    if (!(isa->needs & ~detected) && isa->needs != out[count - 1])
      out[count++] = isa->needs;
  }
  return count;
}

static inline void nn_backwards(void *user, size_t count, void (*task)(void *, size_t), void *argument) {
  (void)user;
  while (count-- > 0)
    task(argument, count);
}

/* Work in `threads` parts, done one after the other from the last to the first. */
static inline q8_host nn_host(int32_t threads) {
  qint8_host host = QINT8_HOST_INIT;
  q8_host out;
  host.parallel_for = nn_backwards;
  host.threads = threads;
  CHECK(q8_host_init(&out, &host, NULL) == QINT8_OK);
  return out;
}
static const int32_t nn_threads[] = {1, 2, 3, 7};

/* ---- Memory that ends at an unreadable page ---- */

typedef struct nn_block {
  void *base;
  size_t size;
} nn_block;

/* At an address that is a multiple of `align`, filled with noise. */
static inline void *nn_alloc(nn_block *block, size_t size, size_t align) {
  block->size = q8_round_up(size ? size : 1, align);
  block->base = test_guard_alloc(block->size, 0);
  memset(block->base, 0xA5, block->size);
  return block->base;
}
static inline void nn_free(nn_block *block) {
  test_guard_free(block->base, block->size, 0);
}

/* ---- Convolutions ---- */

typedef enum nn_shape {
  NN_MATRIX,
  NN_FEW_ROWS, /* of weights that leave no room in L2 */
  NN_POINTWISE,
  NN_TAPS,
  NN_STEM,
  NN_LINES, /* channels that fill blocks of k */
  NN_GROUPED,
  NN_DEPTHWISE,
  NN_SHAPES
} nn_shape;

static inline size_t nn_pick(int lo, int hi) {
  return (size_t)test_random_int(lo, hi);
}

static inline void nn_channels(q8_conv_geometry *g, nn_shape shape) {
  g->groups = 1;
  g->c = nn_pick(1, shape == NN_MATRIX ? 300 : shape == NN_POINTWISE ? 100 : shape == NN_STEM ? 8 : 40);
  if (shape == NN_FEW_ROWS) {
    g->c = nn_pick(900, 1100);
    g->k = q8_cpu_l2_size() / 2 / g->c + nn_pick(1, 130);
  }
  if (shape == NN_LINES)
    g->c = 8 * nn_pick(2, 9);
  g->k = nn_pick(1, shape == NN_MATRIX || shape == NN_POINTWISE ? 150 : 70);
  if (shape == NN_GROUPED) {
    g->groups = nn_pick(2, 5);
    g->c = g->groups * nn_pick(1, 9);
    g->k = g->groups * nn_pick(1, 20);
  } else if (shape == NN_DEPTHWISE) {
    g->c = g->k = g->groups = nn_pick(1, 100);
  }
}

/* One spatial dimension with at least one output. */
static inline size_t nn_extent(size_t in, size_t kernel, size_t *stride, size_t *dilation, size_t *pad) {
  size_t pad_end = nn_pick(0, 3), reach;
  *stride = nn_pick(1, 3);
  *dilation = test_random() & 1 ? 1 : nn_pick(1, 3);
  *pad = nn_pick(0, 3);
  reach = (kernel - 1) * *dilation + 1;
  while (in + *pad + pad_end < reach)
    ++*pad;
  return (in + *pad + pad_end - reach) / *stride + 1;
}

/* A random convolution of that kind with at most a few million products. */
static inline q8_conv_geometry nn_geometry(nn_shape shape) {
  q8_conv_geometry g = {1, 1, 1, 0, 0, 1, 1, 1, 1, 1, 1, 1, 0, 0, 1, 1};
  nn_channels(&g, shape);
  g.n = shape == NN_MATRIX && test_random() % 4 ? nn_pick(1, 90) : nn_pick(1, 3);
  if (shape == NN_FEW_ROWS)
    g.n = 4 * nn_pick(1, 4);
  if (shape == NN_MATRIX || shape == NN_FEW_ROWS)
    return g;
  g.h = g.p = nn_pick(1, 15);
  g.w = g.q = nn_pick(1, 15);
  if (shape == NN_POINTWISE)
    return g;
  g.r = nn_pick(1, shape == NN_DEPTHWISE || shape == NN_STEM ? 7 : 4);
  g.s = nn_pick(1, shape == NN_DEPTHWISE || shape == NN_STEM ? 7 : 4);
  g.p = nn_extent(g.h, g.r, &g.stride_h, &g.dilation_h, &g.pad_top);
  g.q = nn_extent(g.w, g.s, &g.stride_w, &g.dilation_w, &g.pad_left);
  return g;
}

static inline const char *nn_text(const q8_conv_geometry *g) {
  static char text[200];
  snprintf(text, sizeof text,
           "n %zu h %zu w %zu c %zu k %zu groups %zu %zux%zu stride %zu,%zu dilation %zu,%zu pad %zu,%zu",
           g->n, g->h, g->w, g->c, g->k, g->groups, g->r, g->s, g->stride_h, g->stride_w, g->dilation_h,
           g->dilation_w, g->pad_top, g->pad_left);
  return text;
}

static inline size_t nn_x_count(const q8_conv_geometry *g) {
  return g->n * g->h * g->w * g->c;
}
static inline size_t nn_rows(const q8_conv_geometry *g) {
  return g->n * g->p * g->q;
}
/* Weights of one output channel, [r][s][c / groups]. */
static inline size_t nn_filter(const q8_conv_geometry *g) {
  return g->r * g->s * (g->c / g->groups);
}

/* The address of x under one tap of output position `row` for the first channel of k's group, as an index; or
 * -1 in the padding. */
static inline int64_t nn_x_index(const q8_conv_geometry *g, size_t row, size_t k, size_t tap) {
  int64_t q = (int64_t)(row % g->q), p = (int64_t)(row / g->q % g->p), n = (int64_t)(row / (g->q * g->p));
  int64_t y = p * (int64_t)g->stride_h + (int64_t)(tap / g->s * g->dilation_h) - (int64_t)g->pad_top;
  int64_t x = q * (int64_t)g->stride_w + (int64_t)(tap % g->s * g->dilation_w) - (int64_t)g->pad_left;
  if (y < 0 || x < 0 || y >= (int64_t)g->h || x >= (int64_t)g->w)
    return -1;
  int64_t channel = (int64_t)(k / (g->k / g->groups) * (g->c / g->groups));
  return ((n * (int64_t)g->h + y) * (int64_t)g->w + x) * (int64_t)g->c + channel;
}

#endif
