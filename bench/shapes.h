/* shapes.h - the layers that bench_conv and the comparison with peers time: ResNet-50, MobileNet, EfficientNet and
 * transformers at batch 1. A matrix product M x N x K is a convolution of M images of one pixel. */
#ifndef Q8_BENCH_SHAPES_H
#define Q8_BENCH_SHAPES_H

#include "nn/conv.h"

typedef struct shape {
  const char *name;
  q8_conv_geometry g;
} shape;

#define GEMM(m, n_, k_)                                                                                      \
  {                                                                                                          \
    "gemm " #m "x" #n_ "x" #k_, {                                                                            \
      m, 1, 1, k_, n_, 1, 1, 1, 1, 1, 1, 1, 0, 0, 1, 1                                                       \
    }                                                                                                        \
  }
/* Square images and kernels, "same" padding. */
#define CONV(name, size, c, k, groups, r, stride)                                                            \
  {                                                                                                          \
    name, {                                                                                                  \
      1, size, size, c, k, groups, r, r, stride, stride, 1, 1, r / 2, r / 2, size / stride, size / stride    \
    }                                                                                                        \
  }
static const shape shapes[] = {
    GEMM(1, 1000, 1280),
    GEMM(1, 4096, 4096),
    GEMM(16, 1024, 1024),
    GEMM(128, 768, 768),
    GEMM(128, 3072, 768),
    GEMM(256, 256, 256),
    GEMM(1024, 1024, 1024),
    GEMM(3136, 64, 64),
    GEMM(784, 512, 128),
    GEMM(196, 256, 2304),
    GEMM(49, 2048, 512),
    CONV("7x7s2 3-64 @224", 224, 3, 64, 1, 7, 2),
    CONV("3x3 64 @56", 56, 64, 64, 1, 3, 1),
    CONV("1x1 64-256 @56", 56, 64, 256, 1, 1, 1),
    CONV("3x3 128 @28", 28, 128, 128, 1, 3, 1),
    CONV("3x3 256 @14", 14, 256, 256, 1, 3, 1),
    CONV("3x3 512 @7", 7, 512, 512, 1, 3, 1),
    CONV("1x1s2 1024-2048 @14", 14, 1024, 2048, 1, 1, 2),
    CONV("dw3x3 32 @112", 112, 32, 32, 32, 3, 1),
    CONV("dw3x3s2 144 @56", 56, 144, 144, 144, 3, 2),
    CONV("dw5x5 240 @14", 14, 240, 240, 240, 5, 1),
    CONV("dw3x3 576 @14", 14, 576, 576, 576, 3, 1),
    CONV("dw5x5 960 @7", 7, 960, 960, 960, 5, 1),
    CONV("1x1 32-16 @112", 112, 32, 16, 1, 1, 1),
    CONV("1x1 96-24 @56", 56, 96, 24, 1, 1, 1),
    CONV("1x1 160-960 @7", 7, 160, 960, 1, 1, 1),
};
enum { SHAPE_COUNT = sizeof shapes / sizeof *shapes };

/* The padding after the image that gives p rows and q columns. */
static inline size_t shape_padding(size_t out, size_t stride, size_t kernel, size_t in, size_t before) {
  size_t reach = (out - 1) * stride + kernel;
  return reach > in + before ? reach - in - before : 0;
}

static inline double shape_operations(const q8_conv_geometry *g) {
  return 2.0 * (double)(g->n * g->p * g->q * g->k * g->r * g->s * (g->c / g->groups));
}

#endif
